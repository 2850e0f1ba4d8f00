"""DescribeInstanceAttribute, ModifyInstanceAttribute, ResetInstanceAttribute, ModifyInstanceMetadataOptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mallee.compute import access, changes, descriptions, instance_types, records, rules
from mallee.compute.records import LAUNCH_DATA, ROOT_VOLUMES, Instance
from mallee.ec2 import resources
from mallee.ec2.access import about, attribute_keys, checked
from mallee.identity.access import Check, On
from mallee.identity.call import Call
from mallee.network import access as networks
from mallee.network import groups, interfaces
from mallee.network.records import Interface
from mallee.nodes import records as nodes
from mallee.wire.errors import AwsError


def describe_instance_attribute(call: Call) -> dict[str, Any]:
    instance = _instance(call)
    attribute = call.input.get("Attribute") or ""
    read = _READERS.get(attribute)
    if read is None:
        raise AwsError(
            "InvalidParameterValue", f"Value ({attribute[:64]}) for parameter attribute is invalid. Unknown attribute."
        )
    return {"InstanceId": instance.id, **read(call, instance)}


def modify_instance_attribute(call: Call) -> dict[str, Any]:
    """Exactly one attribute, by a parameter of its own or by ``Attribute`` and ``Value``."""
    instance = _instance(call)
    if instance.state in (rules.SHUTTING_DOWN, rules.TERMINATED):
        raise AwsError("IncorrectInstanceState", f"Instance '{instance.id}' is {instance.state} and cannot be modified.")
    asked = _asked(call)
    if not asked:
        raise AwsError("InvalidParameterCombination", "No attributes specified.")
    if len(asked) > 1:
        raise AwsError("InvalidParameterCombination", "Fields for multiple attribute types specified")
    ((attribute, value),) = asked.items()
    _WRITERS[attribute](call, instance, value)
    return {}


def reset_instance_attribute(call: Call) -> dict[str, Any]:
    instance = _instance(call)
    attribute = call.input.get("Attribute") or ""
    if attribute == "sourceDestCheck":
        _set_source_dest_check(call, instance, True)
    elif attribute in ("kernel", "ramdisk"):
        _must_be_stopped(instance)
        image = records.images(call.tx, [instance.image_id])[instance.image_id]
        column = f"{attribute}_id"
        changes.ask(call.tx, instance, **{column: getattr(image, column)})
    else:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({attribute[:64]}) for parameter attribute is invalid. It must be kernel, ramdisk or sourceDestCheck.",
        )
    return {}


def modify_instance_metadata_options(call: Call) -> dict[str, Any]:
    instance = _instance(call)
    if instance.state in (rules.SHUTTING_DOWN, rules.TERMINATED):
        raise AwsError("IncorrectInstanceState", f"Instance '{instance.id}' is {instance.state} and cannot be modified.")
    present = rules.MetadataOptions(
        instance.metadata_tokens, instance.metadata_hops, instance.metadata_endpoint, instance.metadata_tags
    )
    wanted = rules.metadata_options(call.input, present)
    if wanted != present:
        changes.ask(
            call.tx,
            instance,
            metadata_tokens=wanted.tokens,
            metadata_hops=wanted.hop_limit,
            metadata_endpoint=wanted.endpoint,
            metadata_tags=wanted.tags,
            metadata_applied=False,
        )
    answer = descriptions.metadata_options(wanted.tokens, wanted.hop_limit, wanted.endpoint, wanted.tags, False)
    return {"InstanceId": instance.id, "InstanceMetadataOptions": answer}


def _instance(call: Call) -> Instance:
    id = call.input.get("InstanceId")
    if not id:
        raise AwsError("MissingParameter", "The request must contain the parameter InstanceId")
    resources.check_id("instance", id)
    if call.operation == "DescribeInstanceAttribute":
        found = records.instance(call.tx, id)
    else:
        found = records.instances_for_change(call.tx, [id]).get(id)
    if found is None:
        raise resources.not_found("instance", id)
    return found


def _primary(call: Call, instance: Instance) -> Interface:
    held = interfaces.of_instances(call.tx, [instance.id]).get(instance.id, [])
    if len(held) > 1:
        raise AwsError(
            "InvalidInstanceID",
            f"There are multiple interfaces attached to instance '{instance.id}'. "
            "Please specify an interface ID for the operation instead.",
        )
    if not held:
        raise AwsError("IncorrectInstanceState", f"The instance '{instance.id}' has no network interface.")
    return held[0]


# ----------------------------------------------------------------------------------------------------------- reading


def _value(value: Any) -> dict[str, Any]:
    return {} if value is None else {"Value": value}


def _user_data(call: Call, instance: Instance) -> dict[str, Any]:
    return {"UserData": _value(records.launch_data(call.tx, instance.id)[0])}


def _mappings(call: Call, instance: Instance) -> dict[str, Any]:
    volumes = records.volume_rows(call.tx, [instance.id])
    return {"BlockDeviceMappings": [descriptions.mapping(volume) for volume in volumes]}


def _groups(call: Call, instance: Instance) -> dict[str, Any]:
    view = interfaces.View(call.tx, call.settings, [instance.id])
    held = view.of(instance.id)
    return {"Groups": view.groups(held[0]) if held else []}


def _source_dest_check(call: Call, instance: Instance) -> dict[str, Any]:
    return {"SourceDestCheck": _value(_primary(call, instance).source_dest_check)}


_READERS: dict[str, Callable[[Call, Instance], dict[str, Any]]] = {
    "instanceType": lambda call, instance: {"InstanceType": _value(instance.instance_type)},
    "kernel": lambda call, instance: {"KernelId": _value(instance.kernel_id)},
    "ramdisk": lambda call, instance: {"RamdiskId": _value(instance.ramdisk_id)},
    "userData": _user_data,
    "disableApiTermination": lambda call, instance: {"DisableApiTermination": _value(instance.termination_protected)},
    "disableApiStop": lambda call, instance: {"DisableApiStop": _value(instance.stop_protected)},
    "instanceInitiatedShutdownBehavior": lambda call, instance: {
        "InstanceInitiatedShutdownBehavior": _value(instance.shutdown_behavior)
    },
    "rootDeviceName": lambda call, instance: {"RootDeviceName": _value(instance.root_device_name)},
    "blockDeviceMapping": _mappings,
    "productCodes": lambda call, instance: {"ProductCodes": []},
    "sourceDestCheck": _source_dest_check,
    "groupSet": _groups,
    "ebsOptimized": lambda call, instance: {"EbsOptimized": _value(instance.ebs_optimized)},
    "sriovNetSupport": lambda call, instance: {"SriovNetSupport": {}},
    "enaSupport": lambda call, instance: {"EnaSupport": _value(True)},
    "enclaveOptions": lambda call, instance: {"EnclaveOptions": {"Enabled": False}},
}


# ----------------------------------------------------------------------------------------------------------- writing

_MEMBERS = {
    "BlockDeviceMappings": "blockDeviceMapping",
    "DisableApiStop": "disableApiStop",
    "DisableApiTermination": "disableApiTermination",
    "EbsOptimized": "ebsOptimized",
    "EnaSupport": "enaSupport",
    "Groups": "groupSet",
    "InstanceInitiatedShutdownBehavior": "instanceInitiatedShutdownBehavior",
    "InstanceType": "instanceType",
    "Kernel": "kernel",
    "Ramdisk": "ramdisk",
    "SourceDestCheck": "sourceDestCheck",
    "SriovNetSupport": "sriovNetSupport",
    "UserData": "userData",
}
_FLAGS = frozenset({"disableApiStop", "disableApiTermination", "ebsOptimized", "enaSupport", "sourceDestCheck"})


def _asked(call: Call) -> dict[str, Any]:
    given = call.input
    found: dict[str, Any] = {}
    for member, attribute in _MEMBERS.items():
        value = given.get(member)
        if value is None:
            continue
        found[attribute] = value.get("Value") if isinstance(value, dict) else value
    named = given.get("Attribute")
    if named is None:
        return found
    if named not in _WRITERS:
        raise AwsError("InvalidParameterValue", f"Value ({named[:64]}) for parameter attribute is invalid.")
    if named in found:
        return found
    value = given.get("Value")
    if value is None:
        raise AwsError("MissingParameter", "The request must contain the parameter value")
    found[named] = _flag(named, value) if named in _FLAGS else value
    return found


def _flag(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise AwsError(
            "InvalidParameterValue", f"Value ({value[:64]}) for parameter {name} is invalid. It must be true or false."
        )
    return value.lower() == "true"


def _must_be_stopped(instance: Instance) -> None:
    if instance.state != rules.STOPPED:
        raise AwsError("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")


def _set_type(call: Call, instance: Instance, value: str) -> None:
    """The disk stays on its node, so that the node must have room for the new size."""
    _must_be_stopped(instance)
    kind = instance_types.find(value or "")
    if kind is None or instance.architecture not in kind.architectures:
        raise AwsError(
            "InvalidInstanceAttributeValue", f"The instance type '{(value or '')[:64]}' is not valid for this instance."
        )
    if instance.ebs_optimized and kind.ebs_optimized == "unsupported":
        raise AwsError(
            "InvalidParameterCombination", f"EBS-optimized instances are not supported for the instance type '{kind.name}'."
        )
    if not nodes.resize(call.tx.everyone(), instance.id, kind.vcpus, kind.memory_mib):
        raise AwsError(
            "InsufficientInstanceCapacity",
            f"The node of the instance '{instance.id}' does not have sufficient {kind.name} capacity.",
            status=500,
        )
    changes.ask(call.tx, instance, instance_type=kind.name)


def _set_part(kind: str, prefix: str) -> Callable[[Call, Instance, str], None]:
    def write(call: Call, instance: Instance, value: str) -> None:
        _must_be_stopped(instance)
        resources.check_id(prefix, value or "")
        image = records.visible_image(call.tx, call.account_id, value)
        if image is None or image.kind != kind or image.state != "available":
            raise resources.not_found(prefix, value)
        wanted: dict[str, Any] = {f"{kind}_id": value}
        changes.ask(call.tx, instance, **wanted)

    return write


def _set_user_data(call: Call, instance: Instance, value: bytes | str | None) -> None:
    _must_be_stopped(instance)
    if isinstance(value, bytes):
        kept = rules.encoded_user_data(value)
    else:
        kept = rules.user_data(value)
    if not call.tx.change(LAUNCH_DATA, instance.id, user_data=kept) and kept:
        call.tx.insert(LAUNCH_DATA, instance_id=instance.id, user_data=kept, public_key=None)
    changes.ask(call.tx, instance)


def _set_shutdown_behavior(call: Call, instance: Instance, value: str) -> None:
    if value not in ("stop", "terminate"):
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({(value or '')[:64]}) for parameter instanceInitiatedShutdownBehavior is invalid. "
            "It must be stop or terminate.",
        )
    changes.note(call.tx, instance, shutdown_behavior=value)


def _set_groups(call: Call, instance: Instance, value: list[str]) -> None:
    if not value:
        raise AwsError("InvalidParameterValue", "At least one security group must be specified.")
    held = _primary(call, instance)
    interfaces.set_groups(call.tx, held, groups.resolve(call.tx, instance.vpc_id, list(dict.fromkeys(value))))
    changes.ask(call.tx, instance)


def _set_source_dest_check(call: Call, instance: Instance, value: bool) -> None:
    interfaces.change(call.tx, _primary(call, instance), source_dest_check=bool(value))


def _set_ebs_optimized(call: Call, instance: Instance, value: bool) -> None:
    _must_be_stopped(instance)
    kind = instance_types.find(instance.instance_type)
    if value and (kind is None or kind.ebs_optimized == "unsupported"):
        raise AwsError(
            "InvalidParameterCombination",
            f"EBS-optimized instances are not supported for the instance type '{instance.instance_type}'.",
        )
    changes.note(call.tx, instance, ebs_optimized=bool(value))


def _set_fixed(present: Any) -> Callable[[Call, Instance, Any], None]:
    """An attribute that has one value here; asking for that one changes nothing."""

    def write(call: Call, instance: Instance, value: Any) -> None:
        if value != present:
            raise AwsError("UnsupportedOperation", "This attribute cannot be changed here.")

    return write


def _set_mappings(call: Call, instance: Instance, value: list[dict[str, Any]]) -> None:
    volumes = {volume.device_name: volume for volume in records.volume_rows(call.tx, [instance.id])}
    for mapping in value:
        name = mapping.get("DeviceName") or ""
        volume = volumes.get(name) or volumes.get(f"/dev/{name}")
        if volume is None:
            raise AwsError("InvalidInstanceAttributeValue", f"No device is currently mapped at {name[:64]}")
        if mapping.get("VirtualName") or "NoDevice" in mapping:
            raise AwsError("UnsupportedOperation", "Only DeleteOnTermination of an attached volume can be changed.")
        delete = (mapping.get("Ebs") or {}).get("DeleteOnTermination")
        call.tx.change(ROOT_VOLUMES, volume.id, delete_on_termination=True if delete is None else delete)
    changes.ask(call.tx, instance)


_WRITERS: dict[str, Callable[[Call, Instance, Any], None]] = {
    "blockDeviceMapping": _set_mappings,
    "disableApiStop": lambda call, instance, value: changes.note(call.tx, instance, stop_protected=bool(value)),
    "disableApiTermination": lambda call, instance, value: changes.note(call.tx, instance, termination_protected=bool(value)),
    "ebsOptimized": _set_ebs_optimized,
    "enaSupport": _set_fixed(True),
    "groupSet": _set_groups,
    "instanceInitiatedShutdownBehavior": _set_shutdown_behavior,
    "instanceType": _set_type,
    "kernel": _set_part("kernel", "aki"),
    "ramdisk": _set_part("ramdisk", "ari"),
    "sourceDestCheck": _set_source_dest_check,
    "sriovNetSupport": _set_fixed(None),
    "userData": _set_user_data,
}


# ------------------------------------------------------------------------------------------------------------------ access


def _attribute(call: Call) -> str | None:
    """The attribute that is modified, by the member of the input that has its name."""
    given = next((member for member in _MEMBERS if call.input.get(member) is not None), None)
    by_name = {attribute: member for member, attribute in _MEMBERS.items()}
    return given or by_name.get(call.input.get("Attribute") or "")


def _volumes(call: Call) -> Iterable[Check]:
    """The volumes whose attachments are modified."""
    wanted = {(mapping.get("DeviceName") or "").removeprefix("/dev/") for mapping in call.input.get("BlockDeviceMappings") or ()}
    if wanted and records.instance(call.tx, call.input["InstanceId"]) is not None:
        for volume in records.volume_rows(call.tx, [call.input["InstanceId"]]):
            if volume.device_name.removeprefix("/dev/") in wanted:
                yield about(call, access.VOLUME, volume.id)


_OPTIONS = ("HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint", "HttpProtocolIpv6", "InstanceMetadataTags")


def _option(call: Call) -> list[str] | None:
    return [member for member in _OPTIONS if call.input.get(member) is not None] or None


_INSTANCE = On(access.INSTANCE, "InstanceId")
ACCESS = {
    "describe_instance_attribute": checked(_INSTANCE),
    "modify_instance_attribute": checked(
        _INSTANCE,
        On(networks.SECURITY_GROUP, "Groups"),
        keys=attribute_keys(_attribute, _MEMBERS),
        find=_volumes,
    ),
    "reset_instance_attribute": checked(_INSTANCE),
    "modify_instance_metadata_options": checked(_INSTANCE, keys=attribute_keys(_option, _OPTIONS)),
}
