"""Block Public Access: what is withheld from everybody, whatever ACLs and policies grant; and which policies are public at all.

The settings of a bucket and of its account count together (AWS: "the most restrictive combination"). The bucket's are a configuration of
the kind ``KIND``, the account's the same kind under the account's id in the place of a bucket's. Both are plain documents of
``PublicAccessBlockConfiguration``'s members.
"""

from __future__ import annotations

import functools
import json
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import bindparam, select

from mallee.identity.rules.conditions import network
from mallee.identity.rules.context import fold
from mallee.objects.records import CONFIGURATIONS, Bucket, Document
from mallee.store import Tx

KIND: Final = "PublicAccessBlock"
BLOCK_ACLS, IGNORE_ACLS, BLOCK_POLICY, RESTRICT = SETTINGS = (
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
)
SECONDS: Final = 5.0

_OF_ACCOUNT = (
    select(CONFIGURATIONS.c.document)
    .where(CONFIGURATIONS.c.bucket_id == bindparam("account"))
    .where(CONFIGURATIONS.c.kind == KIND)
    .where(CONFIGURATIONS.c.id == "")
)


class _Remembered(dict[str, tuple[float, frozenset[str]]]):
    """Accounts' settings, each with the end of its time."""


def blocked(tx: Tx, bucket: Bucket) -> frozenset[str]:
    """The settings that are on for a bucket."""
    found = _on(bucket.configuration(KIND)) | of_account(tx, bucket.account_id)
    return found if bucket.access_point is None else found | _on(bucket.access_point.blocks)


def of_account(tx: Tx, account_id: str) -> frozenset[str]:
    """Those of a whole account, as they were at most ``SECONDS`` ago."""
    known: dict[str, tuple[float, frozenset[str]]] = tx.memory.get(_Remembered) or tx.memory.setdefault(
        _Remembered, _Remembered()
    )
    found = known.get(account_id)
    if found is not None and found[0] > time.monotonic() and not tx.changed:
        return found[1]
    read = _on(account_document(tx, account_id))
    if not tx.changed:
        if len(known) >= 10_000:
            known.clear()
        known[account_id] = (time.monotonic() + SECONDS, read)
    return read


def account_document(tx: Tx, account_id: str) -> Document | None:
    """What PutPublicAccessBlock of S3 Control set for the account; None if nothing."""
    row = tx.everyone().first(_OF_ACCOUNT, account=account_id)
    return None if row is None else dict(row.document)


def set_account_document(tx: Tx, account_id: str, document: Document | None) -> bool:
    """Sets it, or removes it (False if there was none)."""
    key = {"bucket_id": account_id, "kind": KIND, "id": ""}
    everyone, remembered = tx.everyone(), tx.memory.get(_Remembered)
    if remembered is not None:
        tx.after_commit(lambda: remembered.pop(account_id, None) and None)
    if document is None:
        return everyone.remove(CONFIGURATIONS, key)
    everyone.put(CONFIGURATIONS, **key, account_id=account_id, document=document, changed_at=tx.now)
    return True


def _on(document: Mapping[str, Any] | None) -> frozenset[str]:
    return frozenset(name for name in SETTINGS if (document or {}).get(name))


# ---------------------------------------------------------------------------------------------------------- public policies


_FIXED: Final = frozenset(
    fold(name)
    for name in (
        "aws:SourceArn", "aws:SourceVpc", "aws:SourceVpce", "aws:SourceOwner", "aws:SourceAccount", "aws:userid", "aws:PrincipalAccount",
        "aws:PrincipalArn", "aws:PrincipalOrgID", "s3:DataAccessPointArn", "s3:DataAccessPointAccount",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    )
)  # fmt: skip
"""Keys of which a fixed value tells one caller from everybody (S3 user guide, "The meaning of public")."""

_SAME = frozenset({"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"})
_ACCESS_POINT = fold("s3:DataAccessPointArn")
_ADDRESS = fold("aws:SourceIp")
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_WIDEST = {4: 8, 6: 32}
"""A range of addresses that is wider than this is everybody."""


@functools.lru_cache(256)
def is_public_policy(text: str) -> bool:
    """Whether any statement of a bucket's (valid) policy lets in people who are not told apart: it allows, to everybody, under no
    condition that holds one of the keys above to a fixed value."""
    statements = json.loads(text).get("Statement", [])
    return any(_is_public(each) for each in ([statements] if isinstance(statements, dict) else statements))


def _is_public(statement: Mapping[str, Any]) -> bool:
    if statement.get("Effect") != "Allow":
        return False
    if "NotPrincipal" not in statement and not _is_everybody(statement.get("Principal")):
        return False
    return not any(
        _tells_apart(operator, key, _list(values))
        for operator, keys in (statement.get("Condition") or {}).items()
        for key, values in keys.items()
    )


def _is_everybody(principal: Any) -> bool:
    if principal == "*":
        return True
    return isinstance(principal, Mapping) and "*" in _list(principal.get("AWS", ()))


def _tells_apart(operator: str, key: str, values: list[Any]) -> bool:
    """Whether a condition holds only for callers that its values name. Operators that hold when the key is absent tell nobody apart."""
    quantifier, _, plain = operator.rpartition(":")
    if quantifier == "ForAllValues" or plain.endswith("IfExists") or not values:
        return False
    name = fold(key)
    if plain == "IpAddress":
        return name == _ADDRESS and all(_is_narrow(str(value)) for value in values)
    return plain in _SAME and name in _FIXED and all(_is_fixed(name, str(value)) for value in values)


def _is_fixed(key: str, value: str) -> bool:
    """Without wildcards and variables; of an access point's ARN it is enough that its account is fixed."""
    if _VARIABLE.search(value):
        return False
    if "*" not in value and "?" not in value:
        return bool(value)
    parts = value.split(":", 5)
    return key == _ACCESS_POINT and len(parts) == 6 and bool(re.fullmatch(r"\d{12}", parts[4], re.ASCII))


def _is_narrow(value: str) -> bool:
    found = network(value)
    return found is None or found.prefixlen >= _WIDEST[found.version]  # what is no range matches nobody


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [value]
    return list(value) if isinstance(value, Iterable) else [value]
