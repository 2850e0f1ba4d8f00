"""The words of a SELECT: one pass of one regular expression that cannot backtrack.

A keyword is a word of the list "Reserved keywords" (Amazon S3 Select SQL reference); any of them may be a name only in
double quotes. Text in backticks is an Ion literal.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NamedTuple

from mallee.objects.select.errors import fail
from mallee.objects.select.timestamps import parsed
from mallee.objects.select.values import CONTEXT, negated

_RESERVED = """
absolute action add all allocate alter and any are as asc assertion at authorization avg bag begin between bit
bit_length blob bool boolean both by cascade cascaded case cast catalog char char_length character character_length
check clob close coalesce collate collation column commit connect connection constraint constraints continue convert
corresponding count create cross current current_date current_time current_timestamp current_user cursor date day
deallocate dec decimal declare default deferrable deferred delete desc describe descriptor diagnostics disconnect
distinct domain double drop else end end-exec escape except exception exec execute exists external extract false fetch
first float for foreign found from full get global go goto grant group having hour identity immediate in indicator
initially inner input insensitive insert int integer intersect interval into is isolation join key language last
leading left level like limit list local lower match max min minute missing module month names national natural nchar
next no not null nullif numeric octet_length of on only open option or order outer output overlaps pad partial pivot
position precision prepare preserve primary prior privileges procedure public read real references relative restrict
revoke right rollback rows schema scroll second section select session session_user set sexp size smallint some space
sql sqlcode sqlerror sqlstate string struct substring sum symbol system_user table temporary then time timestamp
timezone_hour timezone_minute to trailing transaction translate translation trim true tuple union unique unknown
unpivot update upper usage user using value values varchar varying view when whenever where with work write year zone
"""
KEYWORDS = frozenset(_RESERVED.split())

WORD, NAME, STRING, NUMBER, ION, OPERATOR, END = "keyword", "name", "string", "number", "ion", "operator", "end"

# no possessive quantifiers: Python before 3.11.5 matches them wrongly around alternatives (gh-106052)
_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*[^*]*(?:\*(?!/)[^*]*)*\*/)
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<tail>\w?)
    |(?P<word>[^\W\d][\w$]*)
    |"(?P<quoted>[^"]*(?:""[^"]*)*)"(?!")
    |'(?P<string>[^']*(?:''[^']*)*)'(?!')
    |`(?P<ion>[^`]*)`
    |(?P<operator><>|<=|>=|!=|\|\||[-+*/%=<>(),.\[\];])""",
    re.VERBOSE,
)


class Token(NamedTuple):
    kind: str
    value: Any
    """Of a keyword, in lower case; of a quoted name, Quoted."""
    at: int

    def __str__(self) -> str:
        return "the end" if self.kind == END else f"{self.kind} {str(self.value)[:40]!r} at character {self.at + 1}"


def tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            code = "LexerInvalidLiteral" if text[at] in "'\"`" or text.startswith("/*", at) else "LexerInvalidChar"
            fail(code, f"At character {at + 1}: {text[at]!r}.")
        kind, value = match.lastgroup, match[0]
        if kind == "tail":
            found.append(_number(match, at))
        elif kind == "word":
            lower = value.lower()
            found.append(Token(WORD, lower, at) if lower in KEYWORDS else Token(NAME, value, at))
        elif kind == "quoted":
            found.append(Token(NAME, Quoted(match["quoted"].replace('""', '"')), at))
        elif kind == "string":
            found.append(Token(STRING, match["string"].replace("''", "'"), at))
        elif kind == "ion":
            found.append(Token(ION, ion(match["ion"]), at))
        elif kind == "operator":
            found.append(Token(OPERATOR, "<>" if value == "!=" else value, at))
        at = match.end()
    found.append(Token(END, None, len(text)))
    return found


class Quoted(str):
    """A name in double quotes."""


def _number(match: re.Match[str], at: int) -> Token:
    if match["tail"]:
        fail("LexerInvalidLiteral", f"At character {at + 1}.")
    return Token(NUMBER, number(match["number"]), at)


def number(text: str) -> int | Decimal:
    if text.isdigit() and len(text) < 20 and (value := int(text)) < 2**63:
        return value
    try:
        return CONTEXT.create_decimal(text)
    except ArithmeticError:
        fail("NumberFormatError")


_ION_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]*)?(?:[dDeE][+-]?[0-9]+)?")


def ion(text: str) -> Any:
    """The literals of Ion that a query has a use for: timestamps, numbers, booleans, null and strings."""
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    if text == "null":
        return None
    if (moment := parsed(text)) is not None:
        return moment
    if _ION_NUMBER.fullmatch(text):
        value = number(text.lstrip("-").replace("d", "e").replace("D", "e"))
        return negated(value) if text.startswith("-") else value
    if len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1] and "\\" not in text:
        return text[1:-1]
    fail("LexerInvalidIONLiteral", f"{text[:40]!r}")
