"""The policy of a form that a browser sends to S3: what its signer lets be uploaded by whoever has the form.

AWS: "POST policy" and "Upload examples". A policy is a JSON document in base64, signed as it is: an expiration and conditions. Every condition
must hold, and every field of the form, and the bucket, must be named by one, but for the policy itself, what signs it, the file, and fields that
begin with ``x-ignore-``. Names of fields are compared without regard to case; values are those after ``${filename}`` was filled in.

What is wrong with the document is ``InvalidPolicyDocument``; what it does not allow is ``AccessDenied``, each with AWS's own words.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mallee.wire.errors import AwsError

MOST: Final = 64 * 1024
"""Characters of a policy as it stands in the form."""

_FREE: Final = frozenset({"awsaccesskeyid", "signature", "x-amz-signature", "policy", "file"})
_EXPIRATION = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d{1,9})?Z", re.ASCII)
_OPERATORS: Final = {"eq": "eq", "starts-with": "starts-with"}
_RANGE: Final = "content-length-range"


@dataclass(frozen=True, slots=True)
class Condition:
    """``field`` in small letters; ``shown`` is the condition as its author wrote it."""

    operator: str  # eq | starts-with
    field: str
    value: str
    shown: str

    def holds(self, value: str) -> bool:
        if self.operator == "eq":
            return value == self.value
        if self.field == "content-type" and "," in value:  # a list of types: each must begin so
            return all(each.strip().startswith(self.value) for each in value.split(","))
        return value.startswith(self.value)


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """``least`` and ``most`` are bounds of the file's length in bytes, if it has any."""

    expiration: datetime.datetime
    conditions: tuple[Condition, ...]
    least: int | None = None
    most: int | None = None

    def check(self, fields: Mapping[str, str], bucket: str, now: datetime.datetime) -> None:
        """Raises AccessDenied for a form that it does not allow. ``bucket``: that of the request."""
        if now >= self.expiration:
            raise _denied("Policy expired.")
        given = {name.lower(): value for name, value in fields.items()}
        if len(given) != len(fields):  # two of one name: it would not be clear which holds
            raise _denied("Extra input fields: one is named twice")
        given["bucket"] = bucket
        for condition in self.conditions:
            if not condition.holds(given.get(condition.field, "")):
                raise _denied(f"Policy Condition failed: {condition.shown}")
        named = {condition.field for condition in self.conditions}
        extra = [name for name in given if name not in named and name not in _FREE and not name.startswith("x-ignore-")]
        if extra:
            raise _denied(f"Extra input fields: {', '.join(extra)}")

    def check_length(self, length: int) -> None:
        """Of the file."""
        if self.least is not None and length < self.least:
            text = "Your proposed upload is smaller than the minimum allowed size"
            raise AwsError("EntityTooSmall", text, status=400, ProposedSize=str(length), MinSizeAllowed=str(self.least))
        if self.most is not None and length > self.most:
            text = "Your proposed upload exceeds the maximum allowed size"
            raise AwsError("EntityTooLarge", text, status=400, ProposedSize=str(length), MaxSizeAllowed=str(self.most))


def read(text: str) -> PostPolicy:
    """The policy of a form's field. Raises InvalidPolicyDocument."""
    document = _document(text)
    if "expiration" not in document:
        raise _invalid("Policy missing expiration.")
    if "conditions" not in document:
        raise _invalid("Policy missing conditions.")
    for name in document:
        if name not in ("expiration", "conditions"):
            raise _invalid(f"Unexpected: '{name}'.")
    if not isinstance(document["conditions"], list):
        raise _invalid("Invalid 'conditions' value: must be a List.")
    conditions: list[Condition] = []
    least: int | None = None
    most: int | None = None
    for each in document["conditions"]:
        if isinstance(each, list) and each and isinstance(each[0], str) and each[0].lower() == _RANGE:
            low, high = _length_range(each)
            least = low if least is None else max(least, low)
            most = high if most is None else min(most, high)
        else:
            conditions.append(_condition(each))
    return PostPolicy(_expiration(document["expiration"]), tuple(conditions), least, most)


def _document(text: str) -> dict[str, Any]:
    if len(text) > MOST:
        raise AwsError(
            "MaxPostPreDataLengthExceededError", "Your POST request fields preceding the upload file were too large.", status=400
        )
    try:
        decoded = base64.b64decode("".join(text.split()), validate=True).decode("utf-8")
        document = json.loads(decoded, parse_constant=_no_constant, object_pairs_hook=_once)
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    return document


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two that bear one name it would not be clear which holds."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _expiration(value: Any) -> datetime.datetime:
    parts = _EXPIRATION.fullmatch(value) if isinstance(value, str) else None
    try:
        if parts is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, parts.groups())
        return datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    except ValueError:
        raise _invalid(f"Invalid 'expiration' value: '{value}'") from None


def _condition(each: Any) -> Condition:
    if isinstance(each, dict):
        if len(each) != 1:
            raise _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((name, value),) = each.items()
        if not isinstance(value, str):
            raise _invalid("Invalid Simple-Condition: value must be a string.")
        return Condition("eq", name.lower(), value, _shown("eq", name, value))
    if not isinstance(each, list) or len(each) != 3:
        raise _invalid("Invalid Condition: must be an Object or a List of three elements.")
    operator, field, value = each
    if not isinstance(operator, str) or operator.lower() not in _OPERATORS:
        raise _invalid(f"Invalid Condition: unknown operation '{operator}'.")
    if not isinstance(field, str) or not field.startswith("$") or len(field) == 1:
        raise _invalid("Invalid Condition: must start with '$'.")
    if not isinstance(value, str):
        raise _invalid("Invalid Condition: value must be a string.")
    return Condition(operator.lower(), field[1:].lower(), value, _shown(operator.lower(), field[1:], value))


def _shown(operator: str, name: str, value: str) -> str:
    return f"[{json.dumps(operator)}, {json.dumps('$' + name)}, {json.dumps(value)}]"


def _length_range(each: list[Any]) -> tuple[int, int]:
    if len(each) != 3:
        raise _invalid(f"Invalid {_RANGE}: must have two numbers.")
    low, high = (_length(value) for value in each[1:])
    return low, high


def _length(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**18:
        raise _invalid(f"Invalid {_RANGE}: must be whole numbers that are not negative.")
    return value


def _invalid(why: str) -> AwsError:
    return AwsError("InvalidPolicyDocument", f"Invalid Policy: {why}", status=400)


def _denied(why: str) -> AwsError:
    return AwsError("AccessDenied", f"Invalid according to Policy: {why}", status=403)
