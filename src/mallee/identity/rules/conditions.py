"""Condition operators: one test of a request's key against the values of a policy, as AWS's truth tables have it.

| the key is | plain | negated (…Not…) | …IfExists | ForAnyValue: | ForAllValues: | Null "true" |
|---|---|---|---|---|---|---|
| absent | false | true | true | false | true | true |
| present | one value matches | none matches | as without | one value (of the request) passes | each passes | false |

A value of the request that does not read as the operator's type (a word for a number) matches nothing, so a negated
operator holds for it. So does a value of the policy, but where AWS refuses such a policy.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from mallee.identity.rules import variables
from mallee.identity.rules.context import Context
from mallee.identity.rules.errors import SYNTAX, Malformed
from mallee.identity.rules.variables import Star, Test, Token

Condition = Callable[[Context], bool]
Scalar = str | bool | int | Decimal

_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?", re.ASCII)
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|z|[+-]\d\d:?\d\d)?)?)?)?", re.ASCII
)
_EPOCH = re.compile(r"-?\d{1,13}(?:\.\d{1,9})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator without its prefix and suffix: how its values are read, and whether it holds when none matches."""

    name: str
    compile: Callable[[Sequence[tuple[Token, ...]]], list[Test]]
    negated: bool = False
    variables: bool = False
    wildcards: bool = False


def compile_condition(name: str, key: str, values: Sequence[Scalar], use_variables: bool) -> tuple[Condition, frozenset[str]]:
    """A condition ready to be asked, and the keys that it refers to. Raises Malformed for an operator that does not exist."""
    quantifier, base, if_exists = split(name)
    if base == "Null":
        if if_exists or quantifier:
            raise Malformed(SYNTAX)
        return _null(key, values), frozenset((key,))
    operator = OPERATORS.get(base)
    if operator is None:
        raise Malformed(SYNTAX)
    with_variables = use_variables and operator.variables
    read = [variables.tokens(text(value), with_variables, operator.wildcards) for value in values]
    tests = operator.compile(read)
    keys = frozenset((key,)).union(*(variables.keys(each) for each in read))
    return _quantified(key, tests, operator.negated, quantifier, if_exists), keys


def split(name: str) -> tuple[str, str, bool]:
    """``ForAllValues:StringLikeIfExists`` → (``ForAllValues``, ``StringLike``, True)."""
    quantifier, colon, base = name.rpartition(":")
    if colon and quantifier not in ("ForAllValues", "ForAnyValue"):
        raise Malformed(SYNTAX)
    if_exists = base.endswith("IfExists")
    return quantifier, base.removesuffix("IfExists"), if_exists


def exists(name: str) -> bool:
    """Whether there is such an operator, whole."""
    try:
        quantifier, base, if_exists = split(name)
    except Malformed:
        return False
    return base in OPERATORS or (base == "Null" and not quantifier and not if_exists)


def text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


_EMPTY = ("",)
"""One empty text is no value to the operators on sets."""


def _quantified(key: str, tests: list[Test], negated: bool, quantifier: str, if_exists: bool) -> Condition:
    if len(tests) == 1:
        passes = tests[0]
    else:

        def passes(value: str, context: Context) -> bool:
            return any(test(value, context) for test in tests)

    if quantifier == "ForAllValues":

        def all_values(context: Context) -> bool:
            found = context.get(key)
            return found is None or found == _EMPTY or all(passes(value, context) is not negated for value in found)

        return all_values
    if quantifier == "ForAnyValue":

        def any_value(context: Context) -> bool:
            found = context.get(key)
            if found is None:
                return if_exists
            return found != _EMPTY and any(passes(value, context) is not negated for value in found)

        return any_value
    absent = negated or if_exists

    def plain(context: Context) -> bool:
        found = context.get(key)
        if found is None:
            return absent
        if len(found) == 1:
            return passes(found[0], context) is not negated
        return any(passes(value, context) for value in found) is not negated

    return plain


def _null(key: str, values: Sequence[Scalar]) -> Condition:
    wanted = {text(value).lower() for value in values}
    absent, present = "true" in wanted, "false" in wanted
    return lambda context: absent if context.get(key) is None else present


def _strings(read: Sequence[tuple[Token, ...]]) -> list[Test]:
    return _grouped(read, False)


def _strings_ignoring_case(read: Sequence[tuple[Token, ...]]) -> list[Test]:
    return _grouped(read, True)


def _grouped(read: Sequence[tuple[Token, ...]], ignore_case: bool) -> list[Test]:
    """Plain texts among the values are looked up in a set, the others tried one after another."""
    plain: set[str] = set()
    tests: list[Test] = []
    for each in read:
        if all(isinstance(token, str) for token in each):
            whole = "".join(str(token) for token in each)
            plain.add(whole.lower() if ignore_case else whole)
        else:
            tests.append(variables.test(each, ignore_case))
    if plain:
        fixed = frozenset(plain)
        tests.insert(0, (lambda value, context: value.lower() in fixed) if ignore_case else lambda value, context: value in fixed)
    return tests


def _arns(read: Sequence[tuple[Token, ...]]) -> list[Test]:
    return [_arn(each) for each in read]


def _arn(read: tuple[Token, ...]) -> Test:
    """An ARN pattern: each of the six fields is compared with its own, so that no wildcard reaches into another field."""
    if read and all(token is Star for token in read):
        return lambda value, context: value.startswith("arn:") and value.count(":") >= 5
    if not variables.keys(read):
        tests = _fields(read)
        return lambda value, context: _each(tests, value, context)

    def matches_with(value: str, context: Context) -> bool:
        filled = variables.fill(read, context)
        return filled is not None and _each(_fields(filled), value, context)

    return matches_with


def _fields(read: Sequence[Token]) -> list[Test]:
    """The test of each field; none when there are not six of them."""
    fields: list[list[Token]] = [[]]
    for token in read:
        if not isinstance(token, str):
            fields[-1].append(token)
            continue
        first, *rest = token.split(":", 6 - len(fields))
        fields[-1].append(first)
        fields.extend([each] for each in rest)
    return [variables.test(tuple(field)) for field in fields] if len(fields) == 6 else []


def _each(tests: list[Test], value: str, context: Context) -> bool:
    parts = value.split(":", 5)
    return len(parts) == len(tests) and all(test(part, context) for test, part in zip(tests, parts, strict=True))


def _plain(read: Sequence[tuple[Token, ...]]) -> list[str]:
    return ["".join(str(token) for token in each) for each in read]


def _compared(
    convert: Callable[[str], Decimal | None], holds: Callable[[Decimal, Decimal], bool]
) -> Callable[[Sequence[tuple[Token, ...]]], list[Test]]:
    def compile(read: Sequence[tuple[Token, ...]]) -> list[Test]:
        limits = [limit for limit in map(convert, _plain(read)) if limit is not None]

        def passes(value: str, context: Context) -> bool:
            asked = convert(value)
            return asked is not None and any(holds(asked, limit) for limit in limits)

        return [passes]

    return compile


def number(value: str) -> Decimal | None:
    return Decimal(value) if _NUMBER.fullmatch(value) else None


def moment(value: str) -> Decimal | None:
    """A time as seconds since 1970: ISO 8601 in W3C's forms (UTC unless it says otherwise), or that very number. Four digits
    are a year."""
    found = _DATE.fullmatch(value)
    if found is None:
        return Decimal(value) if _EPOCH.fullmatch(value) else None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        whole = datetime.datetime(
            int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=datetime.UTC
        )
    except ValueError:
        return None
    seconds = Decimal(int((whole - _EPOCH_START).total_seconds()))
    if fraction:
        seconds += Decimal("0." + fraction)
    if zone and zone not in "Zz":
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        offset = hours * 3600 + minutes * 60
        seconds += offset if zone[0] == "-" else -offset
    return seconds


_EPOCH_START = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _booleans(read: Sequence[tuple[Token, ...]]) -> list[Test]:
    def boolean(each: tuple[Token, ...]) -> Test:
        tokens = tuple(token.lower() if isinstance(token, str) else token for token in each)
        test = variables.test(tokens, ignore_case=True)
        return lambda value, context: value.lower() in ("true", "false") and test(value, context)

    return [boolean(each) for each in read]


def _binaries(read: Sequence[tuple[Token, ...]]) -> list[Test]:
    wanted = {blob for blob in map(_blob, _plain(read)) if blob is not None}

    def passes(value: str, context: Context) -> bool:
        return _blob(value) in wanted

    return [passes]


def is_binary(value: str) -> bool:
    return _blob(value) is not None


def _blob(value: str) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(value: str) -> Network | None:
    """An address or a range in CIDR form; bits beyond the prefix are let pass, as AWS does."""
    address, slash, bits = value.partition("/")
    if slash and not (bits.isascii() and bits.isdigit()):
        return None
    try:
        return ipaddress.ip_network(f"{address}/{bits}" if slash else address, strict=False)
    except ValueError:
        return None


def _addresses(read: Sequence[tuple[Token, ...]]) -> list[Test]:
    networks = [found for found in map(network, _plain(read)) if found is not None]

    def passes(value: str, context: Context) -> bool:
        address = _address(value)
        return address is not None and any(address in each for each in networks)

    return [passes]


@lru_cache(maxsize=1024)
def _address(value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address of the request; one of IPv4 in IPv6's clothes is taken for what it is."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _all() -> dict[str, Operator]:
    found = [
        Operator("StringEquals", _strings, variables=True),
        Operator("StringNotEquals", _strings, negated=True, variables=True),
        Operator("StringEqualsIgnoreCase", _strings_ignoring_case, variables=True),
        Operator("StringNotEqualsIgnoreCase", _strings_ignoring_case, negated=True, variables=True),
        Operator("StringLike", _strings, variables=True, wildcards=True),
        Operator("StringNotLike", _strings, negated=True, variables=True, wildcards=True),
        Operator("Bool", _booleans, variables=True),
        Operator("BinaryEquals", _binaries),
        Operator("IpAddress", _addresses),
        Operator("NotIpAddress", _addresses, negated=True),
    ]
    for name, negated in (("ArnEquals", False), ("ArnLike", False), ("ArnNotEquals", True), ("ArnNotLike", True)):
        found.append(Operator(name, _arns, negated, variables=True, wildcards=True))
    comparisons: dict[str, Callable[[Decimal, Decimal], bool]] = {
        "LessThan": Decimal.__lt__,
        "LessThanEquals": Decimal.__le__,
        "GreaterThan": Decimal.__gt__,
        "GreaterThanEquals": Decimal.__ge__,
    }
    for family, convert in (("Numeric", number), ("Date", moment)):
        same = _compared(convert, lambda asked, limit: asked == limit)
        found.append(Operator(family + "Equals", same))
        found.append(Operator(family + "NotEquals", same, negated=True))
        found.extend(Operator(family + name, _compared(convert, holds)) for name, holds in comparisons.items())
    return {operator.name: operator for operator in found}


OPERATORS = _all()
