"""Texts of a policy with variables in them: ``${aws:username}``, ``${aws:PrincipalTag/team, 'none'}``, ``${*}``.

A text is read once into tokens. What a variable stands for is put in at each question and is never a wildcard there,
whatever characters it has; a variable whose key the request lacks makes the whole text match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mallee.identity.rules import patterns
from mallee.identity.rules.context import Context
from mallee.identity.rules.errors import SYNTAX, Malformed

_SPECIAL = frozenset("*?$")
_KEY = re.compile(r"[^${}',*?]+")
_DEFAULT = re.compile(r"'([^'{}]*)'")


@dataclass(frozen=True, slots=True)
class Variable:
    name: str  # the key as the policy spells it
    default: str | None

    def value(self, context: Context) -> str | None:
        found = context.single(self.name)
        return self.default if found is None else found


class Star:
    """A ``*`` in the policy's own text."""


class One:
    """A ``?`` in the policy's own text."""


Token = str | Variable | type[Star] | type[One]
Test = Callable[[str, Context], bool]
"""Whether a text of the request matches a text of the policy."""


def tokens(text: str, variables: bool, wildcards: bool) -> tuple[Token, ...]:
    """A text of a policy, read. Without ``variables`` (an old Version, or an element that takes none) ``${`` is but text."""
    found: list[Token] = []
    place = 0
    while variables and (start := text.find("${", place)) >= 0:
        _literal(found, text[place:start], wildcards)
        end = text.find("}", start)
        if end < 0:
            raise Malformed(SYNTAX)
        found.append(_variable(text[start + 2 : end]))
        place = end + 1
    _literal(found, text[place:], wildcards)
    return tuple(found)


def _variable(inside: str) -> str | Variable:
    """What stands between the braces: a special character, or a key with or without a default."""
    if inside in _SPECIAL:
        return inside
    key, comma, default = inside.partition(",")
    key, default = key.strip(), default.strip()
    quoted = _DEFAULT.fullmatch(default)
    if not _KEY.fullmatch(key) or bool(comma) != bool(quoted):
        raise Malformed(SYNTAX)
    return Variable(key, quoted.group(1) if quoted else None)


def _literal(found: list[Token], text: str, wildcards: bool) -> None:
    if not wildcards:
        found.append(text)
        return
    for part in re.split(r"([*?])", text):
        if part:
            found.append(Star if part == "*" else One if part == "?" else part)


def keys(read: tuple[Token, ...]) -> frozenset[str]:
    return frozenset(token.name for token in read if isinstance(token, Variable))


def test(read: tuple[Token, ...], ignore_case: bool = False) -> Test:
    """The matcher of a text that was read."""
    if not any(isinstance(token, Variable) for token in read):
        matches = _fixed(read, ignore_case)
        if ignore_case:
            return lambda text, context: matches(text.lower())
        return lambda text, context: matches(text)

    def matches_with(text: str, context: Context) -> bool:
        pieces = resolve(read, context, ignore_case)
        return pieces is not None and patterns.match(pieces, text.lower() if ignore_case else text)

    return matches_with


def fill(read: tuple[Token, ...], context: Context) -> list[Token] | None:
    """The same with the value of each variable in its place; None when one has none."""
    found: list[Token] = []
    for token in read:
        value = token.value(context) if isinstance(token, Variable) else token
        if value is None:
            return None
        found.append(value)
    return found


def resolve(read: tuple[Token, ...], context: Context, ignore_case: bool = False) -> list[patterns.Piece] | None:
    """The pieces between stars, ready to be matched; None when a variable has no value."""
    filled = fill(read, context)
    if filled is None:
        return None
    pieces: list[list[str | None]] = [[]]
    for token in filled:
        if isinstance(token, str):
            pieces[-1].append(token.lower() if ignore_case else token)
        elif token is Star:
            pieces.append([])
        else:
            pieces[-1].append(None)
    return [patterns.piece(each) for each in pieces]


_NOTHING = Context()


def _fixed(read: tuple[Token, ...], ignore_case: bool) -> patterns.Matcher:
    pieces = resolve(read, _NOTHING, ignore_case)
    assert pieces is not None
    if len(pieces) == 1 and None not in pieces[0]:
        return "".join(token for token in pieces[0] if token).__eq__
    if not any(pieces):
        return patterns.everything
    if len(pieces) == 2 and not pieces[1] and len(pieces[0]) == 1 and pieces[0][0] is not None:
        start = pieces[0][0]
        return lambda text: text.startswith(start)
    return lambda text: patterns.match(pieces, text)
