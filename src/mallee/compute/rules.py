"""What may happen to an instance and what it is told: pure decisions, no database and no clock of their own.

An instance is in one of six states. Four verbs move it; each verb has one row in ``_VERBS``, which says for every
state whether the verb acts, changes nothing, or is refused with EC2's own words. What a node observes moves it too:
``observe`` says what a report means for an instance, and is the only place that compares what shall be with what
is.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mallee.wire import Constant
from mallee.wire.errors import AwsError

PENDING, RUNNING, SHUTTING_DOWN, TERMINATED, STOPPING, STOPPED = STATES = (
    "pending",
    "running",
    "shutting-down",
    "terminated",
    "stopping",
    "stopped",
)
CODES = {PENDING: 0, RUNNING: 16, SHUTTING_DOWN: 32, TERMINATED: 48, STOPPING: 64, STOPPED: 80}
STATE_SETS = {name: Constant(Code=code, Name=name) for name, code in CODES.items()}  # shared by all answers

ON, OFF, GONE = "on", "off", "gone"  # what the node is asked for: run it, keep it switched off, have nothing of it


# ------------------------------------------------------------------------------------------------------------- verbs


@dataclass(frozen=True, slots=True)
class Verdict:
    """``to`` is the state that the verb leads to, None when it changes nothing."""

    to: str | None


_NOTHING = Verdict(None)
_REFUSED = "This instance '{id}' is not in a state from which it can be {done}."

_VERBS: dict[str, tuple[str, dict[str, Verdict]]] = {
    "start": ("started", {PENDING: _NOTHING, RUNNING: _NOTHING, STOPPED: Verdict(PENDING)}),
    "stop": (
        "stopped",
        {PENDING: Verdict(STOPPING), RUNNING: Verdict(STOPPING), STOPPING: _NOTHING, STOPPED: _NOTHING},
    ),
    "reboot": ("rebooted", {RUNNING: Verdict(RUNNING), SHUTTING_DOWN: _NOTHING, TERMINATED: _NOTHING}),
    "terminate": (
        "terminated",
        {state: _NOTHING if state in (SHUTTING_DOWN, TERMINATED) else Verdict(SHUTTING_DOWN) for state in STATES},
    ),
}


def decide(verb: str, id: str, state: str, *, has_run: bool = True) -> Verdict:
    """What a verb does to an instance in a state; raises ``IncorrectInstanceState`` when it may not."""
    done, row = _VERBS[verb]
    if verb == "stop" and state == PENDING and not has_run:
        raise AwsError(
            "IncorrectInstanceState",
            f"Instance '{id}' cannot be stopped as it has never reached the 'running' state.",
        )
    verdict = row.get(state)
    if verdict is None:
        message = _REFUSED.format(id=id, done=done)
        if verb == "start":
            message = message.replace("This", "The", 1)
        raise AwsError("IncorrectInstanceState", message)
    return verdict


def protected(verb: str, id: str, *, termination: bool, stop: bool) -> None:
    """Raises ``OperationNotPermitted`` when an attribute of the instance forbids the verb."""
    attribute = {"terminate": "disableApiTermination" * termination, "stop": "disableApiStop" * stop}.get(verb)
    if attribute:
        done = _VERBS[verb][0]
        raise AwsError(
            "OperationNotPermitted",
            f"The instance '{id}' may not be {done}. Modify its '{attribute}' instance attribute and try again.",
        )


# ----------------------------------------------------------------------------------------------------------- reasons

_REASONS = {
    "pending": "pending",
    "Client.UserInitiatedShutdown": "User initiated shutdown",
    "Client.InstanceInitiatedShutdown": "Instance initiated shutdown",
    "Server.InsufficientInstanceCapacity": "Insufficient capacity to satisfy instance request",
    "Server.InternalError": "Internal error on launch",
}


def reason(code: str, detail: str = "") -> tuple[str, str]:
    """Code and message of ``StateReason``; ``detail`` replaces what EC2 says in general."""
    text = detail or _REASONS.get(code, "")
    return code, text if code == PENDING else f"{code}: {text}"


def transition(at: datetime.datetime, who: str = "User initiated") -> str:
    """``StateTransitionReason``: ``User initiated (2026-03-04 05:06:07 GMT)``."""
    return f"{who} ({at:%Y-%m-%d %H:%M:%S} GMT)"


# ------------------------------------------------------------------------------------------------------- observation


class Report(Protocol):
    """What these rules look at in a node's report of a guest."""

    @property
    def revision(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def stopped_by(self) -> str | None: ...
    @property
    def health(self) -> str: ...


def observe(state: str, power: str, revision: int, report: Report | None) -> str:
    """What a node's report means for an instance:

    ``wait`` (not there yet, or nothing new), ``up`` (runs as asked), ``down`` (is off as asked), ``gone`` (nothing is
    left of it), ``went-off`` (it switched itself off), ``crashed`` (its virtual machine ended by itself), ``failed``
    (the node gave up making it).

    A report counts only from the revision that asked for the present power on: an older one describes an earlier wish.
    """
    if report is None:
        return "gone" if power == GONE else "wait"
    if power == GONE:
        return "wait"
    if power == OFF:
        return "down" if report.state in ("off", "crashed", "failed") and report.revision >= revision else "wait"
    if report.revision < revision:
        return "wait"
    if report.state == "running":
        return "up"
    if report.state == "failed":
        return "failed"
    if report.state == "crashed":
        return "crashed"
    if report.state == "off" and report.stopped_by == "guest":
        return "went-off"
    return "wait"


def health(state: str, report: Report | None) -> tuple[str, str]:
    """System status and instance status as DescribeInstanceStatus names them."""
    if state not in (PENDING, RUNNING):
        return "not-applicable", "not-applicable"
    if state == PENDING or report is None:
        return "initializing", "initializing"
    if report.state in ("crashed", "failed"):
        return "ok", "impaired"
    return "ok", {"ok": "ok", "impaired": "impaired"}.get(report.health, "initializing")


REACHABILITY = {
    "ok": "passed",
    "impaired": "failed",
    "initializing": "initializing",
    "insufficient-data": "insufficient-data",
}


# -------------------------------------------------------------------------------------------------------- parameters

USER_DATA_LIMIT = 16384


def user_data(given: str | None) -> str | None:
    """User data as kept: base64 in one line, None for none. Raises what EC2 raises."""
    if not given:
        return None
    try:
        raw = base64.b64decode("".join(given.split()), validate=True)
    except (ValueError, binascii.Error):
        raise AwsError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    return encoded_user_data(raw)


def encoded_user_data(raw: bytes) -> str | None:
    if len(raw) > USER_DATA_LIMIT:
        raise AwsError("InvalidParameterValue", f"User data is limited to {USER_DATA_LIMIT} bytes")
    return base64.b64encode(raw).decode("ascii") or None


@dataclass(frozen=True, slots=True)
class RootVolume:
    size_gib: int
    delete_on_termination: bool
    volume_type: str


_VOLUME_TYPES = ("gp2", "gp3", "standard")
_UNLIMITED = ("Iops", "Throughput", "VolumeInitializationRate")
_NAME = re.compile(r"(?:/dev/)?[a-z0-9]{2,30}")


def root_volume(mappings: Sequence[Mapping[str, Any]], device: str, image_gib: int, default_type: str = "gp3") -> RootVolume:
    """The root volume that an image's ``device`` of ``image_gib`` becomes under the mappings of a launch."""
    chosen = RootVolume(image_gib, True, default_type)
    seen = set()
    for mapping in mappings:
        name = mapping.get("DeviceName")
        if not name:
            raise AwsError("MissingParameter", "The request must contain the parameter deviceName")
        if not _NAME.fullmatch(name):
            raise AwsError(
                "InvalidParameterValue",
                f"Value ({name[:64]}) for parameter device is invalid. {name[:64]} is not valid.",
            )
        short = name.removeprefix("/dev/")
        if short in seen:
            raise AwsError("InvalidBlockDeviceMapping", f"The device '{name}' is used in more than one block-device mapping")
        seen.add(short)
        if short != device.removeprefix("/dev/"):
            _refuse_device(name, mapping)
            continue
        if "NoDevice" in mapping or mapping.get("VirtualName"):
            raise AwsError("InvalidBlockDeviceMapping", f"The root device '{device}' cannot be left out or replaced")
        chosen = _root(mapping.get("Ebs") or {}, device, image_gib, chosen)
    return chosen


def _refuse_device(name: str, mapping: Mapping[str, Any]) -> None:
    """Only the root is there for now. Leaving out a device that isn't there (``NoDevice``) asks for nothing."""
    if "NoDevice" in mapping:
        return
    raise AwsError(
        "UnsupportedOperation",
        f"The block device mapping of '{name}' is not supported: only the root device can be mapped at launch.",
    )


def _root(ebs: Mapping[str, Any], device: str, image_gib: int, default: RootVolume) -> RootVolume:
    for member in ("SnapshotId", "KmsKeyId", "OutpostArn", "EbsCardIndex", "AvailabilityZone", "AvailabilityZoneId"):
        if ebs.get(member) not in (None, "", 0):
            raise AwsError("UnsupportedOperation", f"The parameter {member} is not supported for the root device '{device}'.")
    if ebs.get("Encrypted"):
        raise AwsError("UnsupportedOperation", f"Encrypted volumes are not supported ('{device}').")
    kind = ebs.get("VolumeType") or default.volume_type
    if kind not in _VOLUME_TYPES or any(ebs.get(member) for member in _UNLIMITED):
        raise AwsError(
            "UnsupportedOperation",
            f"The root device '{device}' is a disk of its node without provisioned performance: "
            f"volume types are {', '.join(_VOLUME_TYPES)}, without {', '.join(_UNLIMITED)}.",
        )
    size = ebs.get("VolumeSize")
    if size is None:
        size = image_gib
    if size < image_gib:
        raise AwsError(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than the image's root device, expect size >= {image_gib}GB",
        )
    if size > 16384:
        raise AwsError("InvalidParameterValue", f"Volume of size {size}GB is larger than the maximum of 16384GB")
    keep = ebs.get("DeleteOnTermination")
    return RootVolume(size, default.delete_on_termination if keep is None else keep, kind)


@dataclass(frozen=True, slots=True)
class MetadataOptions:
    """As stored: the names and values are EC2's."""

    tokens: str = "optional"
    hop_limit: int = 1
    endpoint: str = "enabled"
    tags: str = "disabled"


def metadata_options(given: Mapping[str, Any] | None, present: MetadataOptions | None = None) -> MetadataOptions:
    """Options with those given laid over the present ones. What is not given stays."""
    given = given or {}
    present = present or MetadataOptions()
    if given.get("HttpProtocolIpv6") == "enabled":
        raise AwsError("UnsupportedOperation", "The IPv6 endpoint of the instance metadata service is not supported.")
    for name, allowed in _OPTION_VALUES.items():
        value = given.get(name)
        if value is not None and value not in allowed:
            raise AwsError("InvalidParameterValue", f"Value ({value}) for parameter {name} is invalid.")
    hops = given.get("HttpPutResponseHopLimit")
    if hops is not None and not 1 <= hops <= 64:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({hops}) for parameter HttpPutResponseHopLimit is invalid. Expecting a value between 1 and 64.",
        )
    return MetadataOptions(
        tokens=given.get("HttpTokens") or present.tokens,
        hop_limit=present.hop_limit if hops is None else hops,
        endpoint=given.get("HttpEndpoint") or present.endpoint,
        tags=given.get("InstanceMetadataTags") or present.tags,
    )


_OPTION_VALUES = {
    "HttpTokens": ("optional", "required"),
    "HttpEndpoint": ("enabled", "disabled"),
    "InstanceMetadataTags": ("enabled", "disabled"),
    "HttpProtocolIpv6": ("enabled", "disabled"),
}


@dataclass(frozen=True, slots=True)
class ProfileNamed:
    """An instance profile as requests name it: by one of the two."""

    arn: str | None
    name: str | None


def profile_named(given: Mapping[str, Any] | None) -> ProfileNamed | None:
    """What an ``IamInstanceProfile`` names; None when it names none."""
    arn, name = (given or {}).get("Arn") or None, (given or {}).get("Name") or None
    if arn and name:
        raise AwsError(
            "InvalidParameterCombination",
            "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'",
        )
    return ProfileNamed(arn, name) if arn or name else None


def counts(minimum: int | None, maximum: int | None, limit: int) -> tuple[int, int]:
    """MinCount and MaxCount of a launch, checked as EC2 checks them."""
    for name, value in (("minCount", minimum), ("maxCount", maximum)):
        if value is None:
            raise AwsError("MissingParameter", f"The request must contain the parameter {name[0].upper() + name[1:]}")
        if value < 1:
            raise AwsError(
                "InvalidParameterValue",
                f"Value ({value}) for parameter {name} is invalid. Expected a positive integer.",
            )
    assert minimum is not None and maximum is not None
    if minimum > maximum:
        raise AwsError(
            "InvalidParameterCombination",
            f"Value ({minimum}) for parameter minCount is invalid. It must be less than or equal to maxCount ({maximum}).",
        )
    if maximum > limit:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({maximum}) for parameter maxCount is invalid. At most {limit} instances can be launched by one call.",
        )
    return minimum, maximum


def hostname(private_ip: str) -> str:
    """The first label of an instance's private name: ``ip-172-31-0-5``."""
    return "ip-" + private_ip.replace(".", "-")
