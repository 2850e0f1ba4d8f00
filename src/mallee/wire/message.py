"""Requests as the HTTP server hands them over, and what a response is.

Everything is as it was on the wire: the path undecoded, header names in lower case. A body is bytes, or, for operations
whose input streams (`Route.streams`), whatever object the server gives the handler to read from.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias
from urllib.parse import unquote, unquote_to_bytes

from mallee.wire.errors import AwsError

Headers: TypeAlias = list[tuple[bytes, bytes]]
Response: TypeAlias = tuple[int, Headers, Any]
FORM = b"application/x-www-form-urlencoded"
# Codes that cannot stand for a separator, replaced in the whole text at once, which spares most fields a decoding of their own.
_COMMON = (("+", " "), ("%20", " "), ("%2F", "/"), ("%3A", ":"), ("%2C", ","), ("%22", '"'), ("%7B", "{"), ("%7D", "}"))
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
MOST_FIELDS = 100_000


class Request:
    __slots__ = ("_fields", "_named", "_query", "body", "headers", "method", "raw_path", "raw_query")

    def __init__(self, method: str, raw_path: bytes, raw_query: bytes, headers: Headers, body: Any = b"") -> None:
        self.method = method
        self.raw_path = raw_path
        self.raw_query = raw_query
        self.headers = headers
        self.body = body
        self._named: dict[bytes, bytes] | None = None
        self._query: list[tuple[str, str]] | None = None
        self._fields: dict[str, str] | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first header of that (lower-case) name."""
        named = self._named
        if named is None:
            named = {}
            for key, value in self.headers:
                named.setdefault(key, value)
            self._named = named
        return named.get(name)

    def add_header(self, name: bytes, value: bytes) -> None:
        """One more, as if it had come with the others; ``name`` in lower case."""
        self.headers = [*self.headers, (name, value)]
        self._named = None

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query string, decoded; a key without ``=`` has the value ``""``. Raises AwsError for what is not
        UTF-8."""
        if self._query is None:
            self._query = pairs(self.raw_query)
        return self._query

    @property
    def is_form(self) -> bool:
        if self.method != "POST":
            return False
        kind = self.header(b"content-type")
        return kind is None or kind[: len(FORM)].lower() == FORM

    @property
    def fields(self) -> dict[str, str]:
        """Query string and form together, as the query protocols and version 2 signatures see them. Of a repeated
        key the last counts."""
        if self._fields is None:
            fields = dict(self.query)
            if self.is_form and isinstance(self.body, bytes):
                fields.update(pairs(self.body))
            self._fields = fields
        return self._fields


def pairs(text: bytes) -> list[tuple[str, str]]:
    if not text:
        return []
    try:
        decoded = text.decode()
        for code, character in _COMMON:
            decoded = decoded.replace(code, character)
        plain = "%" not in decoded
        pieces = decoded.split("&")
        if len(pieces) > MOST_FIELDS:
            raise AwsError("MalformedQueryString", "The request has too many parameters", status=400)
        found = []
        for piece in pieces:
            if piece:
                key, _, value = piece.partition("=")
                if not plain and "%" in piece:
                    key = unquote(key, errors="strict")
                    value = unquote(value, errors="strict")
                found.append((key, value))
        return found
    except UnicodeDecodeError:
        raise AwsError("MalformedQueryString", "The request is not valid UTF-8", status=400) from None


def header_value(text: str) -> bytes:
    """Text as a header's value; line breaks and other controls, which would forge headers, become spaces."""
    return _CONTROL.sub(" ", text).encode("utf-8", "replace")


def unquoted(segment: str) -> str:
    """One path segment (its bytes as Latin-1), percent-decoded. Raises AwsError for what is not UTF-8."""
    if "%" not in segment and segment.isascii():
        return segment
    try:
        return unquote_to_bytes(segment.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise AwsError("InvalidURI", "Couldn't parse the specified URI.", status=400) from None
