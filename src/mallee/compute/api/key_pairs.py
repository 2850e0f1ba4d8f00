"""CreateKeyPair, ImportKeyPair, DescribeKeyPairs, DeleteKeyPair."""

from __future__ import annotations

from typing import Any

from mallee.compute import access, keys, records
from mallee.compute.records import KEY_PAIRS, KeyPair
from mallee.ec2 import filters, resources, tags
from mallee.ec2.access import checked
from mallee.identity.access import On
from mallee.identity.call import Call
from mallee.store import ids
from mallee.wire.errors import AwsError

MAXIMUM = 5000
MAXIMUM_NAME = 255

_FILTERS = {
    "key-pair-id": lambda key: key.id,
    "fingerprint": lambda key: key.fingerprint,
    "key-name": lambda key: key.name,
}


def create_key_pair(call: Call) -> dict[str, Any]:
    name = _new_name(call)
    kind = call.input.get("KeyType") or "rsa"
    form = call.input.get("KeyFormat") or "pem"
    if kind not in ("rsa", "ed25519"):
        raise AwsError("InvalidParameterValue", f"Value ({kind[:64]}) for parameter KeyType is invalid.")
    if form not in ("pem", "ppk"):
        raise AwsError("InvalidParameterValue", f"Value ({form[:64]}) for parameter KeyFormat is invalid.")
    given = tags.from_specifications(call.input, "key-pair")
    public, private = keys.make(kind, form, name)
    id = _insert(call, name, public, given)
    return {
        "KeyPairId": id,
        "KeyName": name,
        "KeyFingerprint": public.fingerprint,
        "KeyMaterial": private,
        "Tags": given,
    }


def import_key_pair(call: Call) -> dict[str, Any]:
    name = _new_name(call)
    given = tags.from_specifications(call.input, "key-pair")
    try:
        public = keys.read_public(call.input.get("PublicKeyMaterial") or b"")
    except keys.BadKey as bad:
        raise AwsError("InvalidKey.Format", str(bad)) from None
    id = _insert(call, name, public, given)
    return {"KeyPairId": id, "KeyName": name, "KeyFingerprint": public.fingerprint, "Tags": given}


def describe_key_pairs(call: Call) -> dict[str, Any]:
    names, asked = call.input.get("KeyNames") or (), call.input.get("KeyPairIds") or ()
    resources.check_ids("key-pair", asked)
    found = records.key_pairs(call.tx)
    if names or asked:
        found = _chosen(found, names, asked)
    labels = tags.tags_of(call.tx, [key.id for key in found], "key-pair")
    found = filters.apply(call.input.get("Filters"), _FILTERS, found, tags_of=lambda key: labels.get(key.id, ()))
    with_public = bool(call.input.get("IncludePublicKey"))
    return {"KeyPairs": [_describe(key, labels.get(key.id, []), with_public) for key in found]}


def delete_key_pair(call: Call) -> dict[str, Any]:
    """Deleting a key pair that isn't there succeeds, so that a retry does."""
    name, id = call.input.get("KeyName"), call.input.get("KeyPairId")
    if name and id:
        raise AwsError("InvalidParameterCombination", "Specify either a key pair name or a key pair ID, but not both")
    if id:
        key = records.key_identified(call.tx, resources.check_id("key-pair", id))
    elif name:
        key = records.key_named(call.tx, name)
    else:
        raise AwsError("MissingParameter", "The request must contain the parameter KeyName or KeyPairId")
    if key is None:
        return {"Return": True}
    call.tx.remove(KEY_PAIRS, key.id)
    tags.remove(call.tx, [key.id])
    return {"Return": True, "KeyPairId": key.id}


def _new_name(call: Call) -> str:
    name: str | None = call.input.get("KeyName")
    if not name or not name.strip():
        raise AwsError("MissingParameter", "The request must contain the parameter KeyName")
    if len(name) > MAXIMUM_NAME:
        raise AwsError(
            "InvalidParameterValue",
            f"Value for parameter KeyName is invalid. Length exceeds maximum of {MAXIMUM_NAME}.",
        )
    if not name.isascii() or not name.isprintable():
        raise AwsError("InvalidParameterValue", "Value for parameter KeyName is invalid. Only ASCII characters are allowed.")
    if name != name.strip():
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({name}) for parameter KeyName is invalid. Leading and trailing spaces are not allowed.",
        )
    if records.key_named(call.tx, name) is not None:
        raise AwsError("InvalidKeyPair.Duplicate", f"The keypair '{name}' already exists.")
    return name


def _insert(call: Call, name: str, public: keys.PublicKey, given: tags.TagList) -> str:
    if records.count_keys(call.tx) >= MAXIMUM:
        raise AwsError("ResourceLimitExceeded", f"The maximum number of key pairs ({MAXIMUM}) has been reached.")
    id = ids.new("key")
    call.tx.insert(
        KEY_PAIRS,
        id=id,
        name=name,
        kind=public.kind,
        fingerprint=public.fingerprint,
        public_key=public.line,
        created_at=call.now,
    )
    tags.write(call.tx, id, "key-pair", given)
    return id


def _chosen(found: list[KeyPair], names: Any, asked: Any) -> list[KeyPair]:
    known_names, known_ids = {key.name for key in found}, {key.id for key in found}
    missing = [name for name in dict.fromkeys(names) if name not in known_names]
    if missing:
        plural = len(missing) > 1
        raise AwsError(
            "InvalidKeyPair.NotFound",
            f"The key pair{'s' * plural} '{', '.join(missing)}' do{'' if plural else 'es'} not exist",
        )
    unknown = [id for id in dict.fromkeys(asked) if id not in known_ids]
    if unknown:
        raise resources.not_found("key-pair", unknown)
    return [key for key in found if key.name in names or key.id in asked]


def _describe(key: KeyPair, given: tags.TagList, with_public: bool) -> dict[str, Any]:
    return {
        "KeyPairId": key.id,
        "KeyName": key.name,
        "KeyType": key.kind,
        "KeyFingerprint": key.fingerprint,
        "CreateTime": key.created_at,
        "Tags": given,
        "PublicKey": f"{key.public_key} {key.name}" if with_public else None,
    }


ACCESS = {
    "create_key_pair": checked(
        On(access.NEW_KEY_PAIR), keys={"ec2:KeyPairType": lambda call: call.input.get("KeyType") or "rsa"}
    ),
    "import_key_pair": checked(On(access.NEW_KEY_PAIR)),
    "describe_key_pairs": checked(),
    "delete_key_pair": checked(On(access.KEY_PAIR, "KeyName"), On(access.KEY_PAIR_IDENTIFIED, "KeyPairId")),
}
