"""Virtual MFA devices: made with a seed that is shown once, enabled by two codes in a row, up to eight per user.

The account's root enables, resynchronises and deactivates its own devices under the account's id in the place of a user
name; nobody else can.
"""

from __future__ import annotations

import io
from typing import Any

from mallee.identity import iam, totp
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.records import accounts
from mallee.identity.records import mfa as records
from mallee.identity.records.tags import remove_tags
from mallee.identity.records.users import User
from mallee.identity.records.users import user as user_by_id
from mallee.identity.resources import MFA, NEW_MFA, USER
from mallee.wire.errors import AwsError

MOST = 8
LONGEST_SERIAL = 256
ENABLE_REACH = 10  # five minutes
RESYNC_REACH = 2880  # a day

_OWNER = On(USER, "UserName", default=iam.own_name)
_IT = On(MFA, "SerialNumber")

ACCESS = {
    "create_virtual_mfa_device": Access(On(NEW_MFA)),
    "enable_mfa_device": Access(_OWNER),
    "resync_mfa_device": Access(_OWNER),
    "deactivate_mfa_device": Access(_OWNER),
    "delete_virtual_mfa_device": Access(_IT),
    "list_mfa_devices": Access(_OWNER),
    "list_virtual_mfa_devices": Access(),
    "get_mfa_device": Access(_OWNER),
    "tag_mfa_device": Access(_IT),
    "untag_mfa_device": Access(_IT),
    "list_mfa_device_tags": Access(_IT),
}


def create_virtual_mfa_device(call: Call) -> dict[str, Any]:
    name, path = call.input["VirtualMFADeviceName"], call.input.get("Path") or "/"
    tags = iam.read_tags(call.input.get("Tags"))
    serial = call.arn(f"mfa{path}{name}")
    if len(serial) > LONGEST_SERIAL:
        raise iam.invalid_input(f"The name and path of an MFA device must fit a serial number of {LONGEST_SERIAL} characters.")
    seed = totp.new_seed()
    free = call.tx.insert_if_free(
        records.mfa_devices,
        serial=serial,
        folded_serial=serial.lower(),
        name=name,
        path=path,
        seed=call.vault.seal(serial, seed),
        created_at=call.now,
        drift=0,
    )
    if not free:
        raise iam.exists("mfa", name)
    iam.tag(call, serial, "MFADevice", tags)
    account = accounts.account(call.tx, call.account_id)
    label = account.alias if account is not None and account.alias else call.account_id
    return {
        "VirtualMFADevice": {
            "SerialNumber": serial,
            "Base32StringSeed": seed.encode(),
            "QRCodePNG": _picture(totp.uri(name, label, seed)),
            "Tags": iam.tags_or_none(call, serial),
        }
    }


def _picture(text: str) -> bytes:
    import segno

    drawn = io.BytesIO()
    segno.make(text, error="m", micro=False).save(drawn, kind="png", scale=4)
    return drawn.getvalue()


def enable_mfa_device(call: Call) -> None:
    holder_id, _ = _holder(call)
    device = _the_device(call)
    if device.holder_id is not None:
        raise AwsError("EntityAlreadyExists", "MFA Device is already in use.", status=409)
    if records.count_mfa_devices_of(call.tx, holder_id) >= MOST:
        raise iam.limit("MFADevicesPerUser", MOST)
    drift = _synchronised(call, device, ENABLE_REACH)
    call.tx.change(records.mfa_devices, device.serial, holder_id=holder_id, enabled_at=call.now, drift=drift)


def resync_mfa_device(call: Call) -> None:
    device = _held(call)
    call.tx.change(records.mfa_devices, device.serial, drift=_synchronised(call, device, RESYNC_REACH))


def deactivate_mfa_device(call: Call) -> None:
    device = _held(call)
    call.tx.change(records.mfa_devices, device.serial, holder_id=None, enabled_at=None)


def delete_virtual_mfa_device(call: Call) -> None:
    device = _the_device(call)
    if device.holder_id is not None:
        raise iam.conflict("deactivate the MFA device first")
    remove_tags(call.tx, device.serial)
    records.remove_mfa_device(call.tx, device.serial)


def list_mfa_devices(call: Call) -> dict[str, Any]:
    holder_id, name = _holder(call)
    found = records.mfa_devices_of(call.tx, holder_id)

    def described(device: records.MfaDevice) -> dict[str, Any]:
        return {"UserName": name, "SerialNumber": device.serial, "EnableDate": device.enabled_at}

    return iam.page(call, found, lambda device: device.serial, "MFADevices", described)


def list_virtual_mfa_devices(call: Call) -> dict[str, Any]:
    status = call.input.get("AssignmentStatus") or "Any"
    if status not in ("Assigned", "Unassigned", "Any"):
        raise iam.invalid(f"The assignment status {status[:64]} is none of Assigned, Unassigned, Any.")
    found = [
        device
        for device in records.mfa_devices_in(call.tx, call.account_id)
        if status == "Any" or (device.holder_id is not None) == (status == "Assigned")
    ]

    def described(device: records.MfaDevice) -> dict[str, Any]:
        return {
            "SerialNumber": device.serial,
            "User": _user(call, device.holder_id),
            "EnableDate": device.enabled_at,
        }

    return iam.page(call, found, lambda device: device.serial, "VirtualMFADevices", described)


def get_mfa_device(call: Call) -> dict[str, Any]:
    """The named user's device; without a name the calling user's own, or for other callers the device whosever it is."""
    named = "UserName" in call.input or call.principal.kind == "user"
    device = _held(call) if named else _the_device(call)
    owner = None if device.holder_id is None else user_by_id(call.tx, device.holder_id)
    return {
        "UserName": None if owner is None else owner.name,
        "SerialNumber": device.serial,
        "EnableDate": device.enabled_at,
    }


def tag_mfa_device(call: Call) -> None:
    iam.tag(call, _the_device(call).serial, "MFADevice", iam.read_tags(call.input["Tags"]))


def untag_mfa_device(call: Call) -> None:
    iam.untag(call, _the_device(call).serial, call.input["TagKeys"])


def list_mfa_device_tags(call: Call) -> dict[str, Any]:
    return iam.list_tags(call, _the_device(call).serial)


# ------------------------------------------------------------------------------------------------------------------ common


def _holder(call: Call) -> tuple[str, str]:
    """Id and name of whose devices the request is about: a user, or the root, whose name and id are the account's."""
    name = call.input.get("UserName")
    if call.principal.is_root and name in (None, call.account_id):
        return call.account_id, call.account_id
    user = iam.the_user(call, name)
    return user.id, user.name


def _the_device(call: Call) -> records.MfaDevice:
    serial = call.input["SerialNumber"]
    found = records.mfa_device(call.tx, call.account_id, serial)
    if found is None:
        raise iam.no_such("mfa", serial)
    return found


def _held(call: Call) -> records.MfaDevice:
    """The device, if it is the named user's."""
    holder_id, _ = _holder(call)
    device = _the_device(call)
    if device.holder_id != holder_id:
        raise iam.no_such("mfa", call.input["SerialNumber"])
    return device


def _synchronised(call: Call, device: records.MfaDevice, reach: int) -> int:
    """How far the device's clock is ahead of ours, by the two codes. Both count as used, with all before them: a clock that was
    set back synchronises once it has passed what it showed before."""
    now = totp.step_at(call.now)
    seed = call.vault.open(device.serial, device.seed)
    first, second = call.input["AuthenticationCode1"], call.input["AuthenticationCode2"]
    step = totp.step_of_pair(seed, first, second, now, reach)
    if step is None or step <= records.last_step(call.tx, device.serial):
        raise AwsError("InvalidAuthenticationCode", "Authentication code for device is not valid", status=403)
    records.note_step(call.tx, device.serial, step)
    return step - now


def _user(call: Call, holder_id: str | None) -> dict[str, Any] | None:
    if holder_id is None:
        return None
    if holder_id == call.account_id:
        account = accounts.account(call.tx, holder_id)
        root = f"arn:{call.settings.partition}:iam::{holder_id}:root"
        return {"UserId": holder_id, "Arn": root, "CreateDate": None if account is None else account.created_at}
    owner: User | None = user_by_id(call.tx, holder_id)
    return None if owner is None else iam.listed_user(call, owner)
