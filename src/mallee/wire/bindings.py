"""Where a REST operation's input and output live: labels of the path, query string, headers, status code, body.

Compiled once per operation. A request's labels and query are text like any form field; a header holds a scalar, a list
with commas, or, with a prefix, a whole map (S3's ``x-amz-meta-``). What is bound to none of these is the body, or the
one member that ``payload`` names is.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from mallee.wire import times
from mallee.wire.errors import AwsError
from mallee.wire.message import Headers, Request, header_value, unquoted
from mallee.wire.model import Member, Operation, Shape
from mallee.wire.output import Answered
from mallee.wire.reading import Reader, Unreadable, text_reader
from mallee.wire.xmlout import text_formatter

_OR_NONE = frozenset((b"if-modified-since", b"if-unmodified-since"))
"""What is no date there counts for nothing (RFC 9110, 13.1.3 and 13.1.4)."""

_QUOTED = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"\s*|([^,]*))(?:,|$)')


class RequestBinding:
    """Reads all that is not in the body. ``payload``: the member that is the whole body, or None."""

    def __init__(self, operation: Operation) -> None:
        self.labels: list[tuple[str, str, Reader]] = []
        self.queries: dict[str, tuple[str, Reader, bool]] = {}
        self.query_map: str | None = None
        self.headers: list[tuple[bytes, str, Reader, bool]] = []
        self.prefixes: list[tuple[bytes, str]] = []
        self.body_members = False
        shape = operation.input
        self.payload: Member | None = None
        if shape is None:
            return
        if "payload" in shape.traits:
            self.payload = shape.members[shape.traits["payload"]]
        for name, member in shape.members.items():
            self._bind(name, member)

    def _bind(self, name: str, member: Member) -> None:
        location = member.traits.get("location")
        kind = member.shape.type
        if location == "uri":
            self.labels.append((member.wire_name, name, text_reader(member, "iso8601")))
        elif location == "querystring":
            if kind == "map":
                self.query_map = name
            else:
                many = kind == "list"
                self.queries[member.wire_name] = (
                    name,
                    text_reader(member.shape.member if many else member, "iso8601"),
                    many,
                )
        elif location == "header":
            header = member.wire_name.lower().encode()
            self.headers.append((header, name, _header_reader(member), kind == "string"))
        elif location == "headers":
            self.prefixes.append((member.wire_name.lower().encode(), name))
        else:
            self.body_members = True

    def read(self, request: Request, labels: dict[str, str], query: list[tuple[str, str]], out: dict[str, Any]) -> None:
        for wire_name, name, reader in self.labels:
            if wire_name in labels:
                out[name] = _located("uri", wire_name, reader, unquoted(labels[wire_name]))
        if self.queries or self.query_map is not None:
            self._read_query(query, out)
        for header, name, reader, is_text in self.headers:
            raw = request.header(header)
            if raw is not None and (raw or is_text):
                try:
                    out[name] = _located("header", header.decode(), reader, _header_text(raw))
                except Unreadable:
                    if header not in _OR_NONE:
                        raise
        for prefix, name in self.prefixes:
            found = {}
            for key, raw in request.headers:
                if key.startswith(prefix):
                    found[key[len(prefix) :].decode("latin-1")] = _header_text(raw)
            if found:
                out[name] = found

    def _read_query(self, query: list[tuple[str, str]], out: dict[str, Any]) -> None:
        for key, text in query:
            bound = self.queries.get(key)
            if bound is None:
                if self.query_map is not None:
                    out.setdefault(self.query_map, {})[key] = text
                continue
            name, reader, many = bound
            if many:
                out.setdefault(name, []).append(_located("querystring", key, reader, text))
            else:
                out[name] = _located("querystring", key, reader, text)


def _located(location: str, name: str, reader: Reader, text: str) -> Any:
    try:
        return reader(text)
    except Unreadable as error:
        error.location = location
        raise error.within(name) from None


def _header_text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _header_reader(member: Member) -> Reader:
    if member.traits.get("jsonvalue"):
        return _json_value
    shape = member.shape
    if shape.type != "list":
        return text_reader(member, "rfc822")
    element = text_reader(shape.member, "rfc822")
    if shape.member.shape.type == "timestamp" and shape.member.traits.get("timestampFormat", "rfc822") == "rfc822":
        return lambda text: [element(part) for part in re.findall(r"[^,]+,[^,]+", text)]
    return lambda text: [element(part) for part in _parts(text)]


def _parts(text: str) -> list[str]:
    found = []
    at = 0
    while at < len(text):
        match = _QUOTED.match(text, at)
        if match is None or match.end() == at:
            break
        quoted, plain = match.groups()
        found.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip())
        at = match.end()
    return found


def _json_value(text: str) -> Any:
    try:
        return json.loads(b64decode(text, validate=True))
    except (ValueError, RecursionError):
        raise Unreadable("value", "string", text) from None


class ResponseBinding:
    """Writes all that is not in the body. ``payload`` as in `RequestBinding`; ``code``: the status of success."""

    def __init__(self, operation: Operation) -> None:
        self.code: int = operation.http.get("responseCode", 200)
        self.code_member: str | None = None
        self.headers: dict[str, tuple[bytes, Callable[[Any], str]]] = {}
        self.prefixes: dict[str, str] = {}
        self.body_members: frozenset[str] = frozenset()
        self.payload: Member | None = None
        shape = operation.output
        if shape is None:
            return
        if "payload" in shape.traits:
            self.payload = shape.members[shape.traits["payload"]]
        self._bind(shape)

    def _bind(self, shape: Shape) -> None:
        body = []
        for name, member in shape.members.items():
            location = member.traits.get("location")
            if location == "header":
                self.headers[name] = (member.wire_name.lower().encode(), _header_formatter(member))
            elif location == "headers":
                self.prefixes[name] = member.wire_name.lower()
            elif location == "statusCode":
                self.code_member = name
            else:
                body.append(name)
        self.body_members = frozenset(body)

    def write(self, output: dict[str, Any], headers: Headers) -> tuple[int, dict[str, Any]]:
        """Appends headers; returns the status and what remains for the body."""
        code = output.status if isinstance(output, Answered) else self.code
        rest = {}
        for name, value in output.items():
            if value is None:
                continue
            if name in self.headers:
                header, formatter = self.headers[name]
                headers.append((header, header_value(formatter(value))))
            elif name in self.prefixes:
                for key, text in value.items():
                    headers.append((header_value(self.prefixes[name] + key.lower()), header_value(text)))
            elif name == self.code_member:
                code = value
            elif name in self.body_members:
                rest[name] = value
            else:
                raise KeyError(name)
        return code, rest


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise TypeError(f"{value!r:.80} is not a string")


def _header_formatter(member: Member) -> Callable[[Any], str]:
    if member.traits.get("jsonvalue"):
        return lambda value: b64encode(json.dumps(value, separators=(",", ":")).encode()).decode("ascii")
    kind = member.shape.type
    if kind == "timestamp":
        return text_formatter(member, times.iso, "rfc822")
    if kind == "string":
        return _plain
    if kind == "list":
        element = _header_formatter(member.shape.member)
        return lambda value: ", ".join(element(item) for item in value)
    return text_formatter(member, times.iso)


def rest_query(request: Request) -> list[tuple[str, str]]:
    try:
        return request.query
    except AwsError:
        raise AwsError("InvalidURI", "Couldn't parse the specified URI.", status=400) from None
