"""Access keys of users and of the account's root: at most two each, so that one can replace the other."""

from __future__ import annotations

from typing import Any

from mallee.identity import iam, keys, quotas
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.records import keys as records
from mallee.identity.records import uses
from mallee.identity.records.users import User
from mallee.identity.records.users import user as user_by_id
from mallee.identity.resources import KEY_OWNER, USER
from mallee.wire.errors import AwsError

_OWNER = On(USER, "UserName", default=iam.own_name)

ACCESS = {
    "create_access_key": Access(_OWNER),
    "list_access_keys": Access(_OWNER),
    "update_access_key": Access(_OWNER),
    "delete_access_key": Access(_OWNER),
    "get_access_key_last_used": Access(On(KEY_OWNER, "AccessKeyId")),
}


def create_access_key(call: Call) -> dict[str, Any]:
    owner = iam.the_owner(call, call.input.get("UserName"))
    there = records.access_keys_of(call.tx, call.account_id, _id(owner))
    quotas.require(
        call, quotas.ACCESS_KEYS_PER_USER, used=len(there), error=lambda most: iam.limit("AccessKeysPerUser", most)
    )  # fmt: skip
    access_key_id, secret = records.add_access_key(call.tx, call.vault, call.account_id, _id(owner))
    keys.forget_after(call.tx, access_key_id)
    return {
        "AccessKey": {
            "UserName": _name(owner),
            "AccessKeyId": access_key_id,
            "Status": records.ACTIVE,
            "SecretAccessKey": secret,
            "CreateDate": call.now,
        }
    }


def list_access_keys(call: Call) -> dict[str, Any]:
    owner = iam.the_owner(call, call.input.get("UserName"))
    found = records.access_keys_of(call.tx, call.account_id, _id(owner))

    def described(key: records.AccessKey) -> dict[str, Any]:
        return {"UserName": _name(owner), "AccessKeyId": key.id, "Status": key.status, "CreateDate": key.created_at}

    return iam.page(call, found, lambda key: key.id, "AccessKeyMetadata", described)


def update_access_key(call: Call) -> None:
    key = _the_key(call)
    status = call.input["Status"]
    if status not in (records.ACTIVE, records.INACTIVE):
        raise iam.invalid_input(f"The status of an access key cannot be set to {status}.")
    call.tx.change(records.access_keys, key.id, status=status)
    keys.forget_after(call.tx, key.id)


def delete_access_key(call: Call) -> None:
    key = _the_key(call)
    call.tx.remove(records.access_keys, key.id)
    uses.forget_key(call.tx, key.id)
    keys.forget_after(call.tx, key.id)


def get_access_key_last_used(call: Call) -> dict[str, Any]:
    """A key that this account does not have is denied, not missing: AWS tells nobody whether there is such a key."""
    key = records.access_key(call.tx, call.input["AccessKeyId"])
    if key is None:
        told = f"User: {call.principal.arn} is not authorized to perform: iam:GetAccessKeyLastUsed"
        raise AwsError("AccessDenied", f"{told} on resource: access key {call.input['AccessKeyId']}", status=403)
    owner = None if key.user_id is None else user_by_id(call.tx, key.user_id)
    use = uses.key_use(call.tx, key.id)
    if use is None:
        last: dict[str, Any] = {"ServiceName": "N/A", "Region": "N/A"}
    else:
        last = {"LastUsedDate": use.used_at, "ServiceName": use.service, "Region": use.region}
    return {"UserName": _name(owner), "AccessKeyLastUsed": last}


def _the_key(call: Call) -> records.AccessKey:
    owner = iam.the_owner(call, call.input.get("UserName"))
    key = records.access_key(call.tx, call.input["AccessKeyId"])
    if key is None or key.user_id != _id(owner):
        raise iam.no_such("access-key", call.input["AccessKeyId"])
    return key


def _id(owner: User | None) -> str | None:
    return None if owner is None else owner.id


def _name(owner: User | None) -> str | None:
    return None if owner is None else owner.name
