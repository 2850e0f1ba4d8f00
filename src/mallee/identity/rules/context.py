"""What a request says of itself to policies: its condition keys, looked up only when a policy asks.

A key's name is not case-sensitive (in ASCII: no other letter folds, so that no look-alike passes for another). A value
is one text or several; booleans, numbers and times become texts as AWS writes them. What is None or has no values is
absent. Whether a key was given as one value or as many is kept, since only a single-valued key may be a policy variable.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Iterable, Mapping

Plain = str | bool | int | float | bytes | datetime.datetime | None
Value = Plain | Iterable[Plain] | Mapping[str, str]
"""One value, several, or (for a name that ends in ``/``, such as ``aws:ResourceTag/``) a family: a value for each name below."""

_UPPER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def fold(name: str) -> str:
    """A name of a condition key or action in the one spelling that is compared: ASCII letters small, others as they are."""
    return name.lower() if name.isascii() else name.translate(_UPPER)


_AT_HAND = frozenset({
    "aws:sourceip", "aws:sourcevpc", "aws:vpcsourceip", "aws:securetransport", "aws:useragent", "aws:referer", "aws:requestedregion",
    "aws:viaawsservice", "aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:principalisawsservice",
    "aws:principalorgid", "aws:userid", "aws:username", "aws:tokenissuetime", "aws:multifactorauthpresent", "aws:sourceidentity",
    "aws:federatedprovider", "ec2:region",
})  # fmt: skip


def is_at_hand(key: str) -> bool:
    """Whether the key is of the call or its caller, costs nothing to look up, and mostly has the same value in the next call."""
    name = fold(key)
    return name in _AT_HAND or name.startswith("aws:principaltag/")


class Context:
    """The condition keys of one question. ``values`` has each key's value, or a function that is called when the key is
    first asked for, and never again. Names that end in ``/`` stand for families (tags). What is not here is looked for in
    ``beneath``: the keys that are common to all questions of a call, whose functions so also run once per call."""

    __slots__ = ("_beneath", "_found", "_given", "_values")

    def __init__(self, values: Mapping[str, Value | Callable[[], Value]] | None = None, beneath: Context | None = None) -> None:
        self._given = values or {}
        self._values: dict[str, Value | Callable[[], Value]] | None = None
        self._found: dict[str, tuple[tuple[str, ...] | None, bool]] = {}
        self._beneath = beneath

    def get(self, key: str) -> tuple[str, ...] | None:
        """The values of a key, at least one; None when the request has no such key."""
        found = self._found.get(key)
        return self.look(key)[0] if found is None else found[0]

    def single(self, key: str) -> str | None:
        """The value of a single-valued key, as a policy variable needs it; None when it is absent or has several."""
        values, several = self.look(key)
        return values[0] if values and not several else None

    def names(self) -> frozenset[str]:
        """Every key that the request has, in small letters, members of families included. It calls every function."""
        names = set(self._beneath.names()) if self._beneath else set()
        for name in tuple(self._own()):
            if name.endswith("/"):
                names.update(name + fold(member) for member in self._family(name))
            elif self.get(name) is not None:
                names.add(name)
        return frozenset(names)

    def _own(self) -> dict[str, Value | Callable[[], Value]]:
        if self._values is None:
            self._values = {fold(name): value for name, value in self._given.items()}
        return self._values

    def look(self, key: str) -> tuple[tuple[str, ...] | None, bool]:
        """The same, and whether the key is one of many values."""
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._resolve(key)
        return found

    def _resolve(self, key: str) -> tuple[tuple[str, ...] | None, bool]:
        own = self._own()
        name = fold(key)
        if name in own:
            value = own[name]
            if callable(value):
                value = own[name] = value()
            return texts(value)
        family, slash, _ = name.partition("/")
        if slash and family + "/" in own:
            member = key[len(family) + 1 :]
            members = self._family(family + "/")
            if member in members:
                return (members[member],), False
            for other in sorted(members):
                if fold(other) == fold(member):
                    return (members[other],), False
        return self._beneath.look(key) if self._beneath is not None else (None, False)

    def _family(self, name: str) -> Mapping[str, str]:
        own = self._own()
        value = own[name]
        if callable(value):
            value = own[name] = value()
        return value if isinstance(value, Mapping) else {}


def texts(value: Value) -> tuple[tuple[str, ...] | None, bool]:
    """A value as texts, and whether its key is one of many values."""
    if value is None or isinstance(value, Mapping):
        return None, False
    if isinstance(value, str | bool | int | float | bytes | datetime.datetime):
        return (_text(value),), False
    values = tuple(_text(each) for each in value if each is not None)
    return values or None, True


def _text(value: Plain) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)
