"""Event streams: an answer that goes on, as framed messages (``application/vnd.amazon.eventstream``).

The handler gives an iterable of one-member dicts, ``{"Records": {"Payload": b"..."}}``; what goes out is an iterator of
frames. A frame is its lengths with their checksum, headers, payload, and a checksum of it all. An AwsError raised by
the iterable ends the stream with an error frame. Whatever ends it, the iterable is closed, if it can be.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from zlib import crc32

from mallee.wire import jsonbody, times
from mallee.wire.errors import AwsError
from mallee.wire.model import Member, Model, Shape
from mallee.wire.xmlout import XmlWriters

CONTENT_TYPE = (b"content-type", b"application/vnd.amazon.eventstream")


def member_of(shape: Shape) -> Member | None:
    """The member of an output that is its event stream."""
    for member in shape.members.values():
        if member.shape.traits.get("eventstream"):
            return member
    return None


def frame(headers: Iterable[tuple[str, Any]], payload: bytes) -> bytes:
    block = b"".join(_header(name, value) for name, value in headers)
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    message = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return message + struct.pack(">I", crc32(message))


def _header(name: str, value: Any) -> bytes:
    head = bytes((len(name),)) + name.encode("ascii")
    if isinstance(value, bool):
        return head + bytes((0 if value else 1,))
    if isinstance(value, int):
        return head + b"\x05" + struct.pack(">q", value)
    if isinstance(value, bytes):
        return head + b"\x06" + struct.pack(">H", len(value)) + value
    if isinstance(value, str):
        raw = value.encode()
        return head + b"\x07" + struct.pack(">H", len(raw)) + raw
    return head + b"\x08" + struct.pack(">q", int(times.epoch(value) * 1000))


def stream(
    protocol: str, model: Model, shape: Shape, messages: Iterable[dict[str, Any]], first: bytes | None = None
) -> Iterator[bytes]:
    """Frames for the messages; ``first`` is the answer that comes before them where the protocol has one."""
    with model.lock:
        kinds = {name: _event(protocol, model, member.shape) for name, member in shape.members.items()}
    if first is not None:
        yield frame([*_kind("initial-response"), (":content-type", "application/x-amz-json-1.1")], first)
    try:
        for message in messages:
            for name, value in message.items():
                yield kinds[name](name, value)
    except AwsError as error:
        yield frame([(":message-type", "error"), (":error-code", error.code), (":error-message", error.message)], b"")
    finally:
        close = getattr(messages, "close", None)
        if close is not None:
            close()


def _kind(name: str) -> list[tuple[str, Any]]:
    return [(":message-type", "event"), (":event-type", name)]


def _event(protocol: str, model: Model, shape: Shape) -> Callable[[str, dict[str, Any]], bytes]:
    in_headers = [name for name, member in shape.members.items() if member.traits.get("eventheader")]
    payload = next((member for member in shape.members.values() if member.traits.get("eventpayload")), None)
    body = _body(protocol, model, payload, shape)

    def write(name: str, value: dict[str, Any]) -> bytes:
        headers = _kind(name)
        headers += [(key, value[key]) for key in in_headers if value.get(key) is not None]
        rest = {key: item for key, item in value.items() if key not in in_headers}
        content_type, raw = body(rest)
        return frame([*headers, (":content-type", content_type)] if raw else headers, raw)

    return write


def _body(
    protocol: str, model: Model, payload: Member | None, shape: Shape
) -> Callable[[dict[str, Any]], tuple[str, bytes]]:
    if payload is not None and payload.shape.type == "blob":
        return lambda value: ("application/octet-stream", bytes(value.get(payload.name) or b""))
    if payload is not None and payload.shape.type == "string":
        return lambda value: ("text/plain", (value.get(payload.name) or "").encode())
    inner = payload.shape if payload is not None else shape
    pick: Callable[[dict[str, Any]], Any] = (
        (lambda value: value.get(payload.name) or {}) if payload is not None else (lambda value: value)
    )
    if protocol == "rest-xml":
        write = XmlWriters(model, times.iso_millis).enclosed(inner, inner.name)

        def xml(value: dict[str, Any]) -> tuple[str, bytes]:
            parts: list[str] = []
            write(pick(value), parts.append)
            return "text/xml", "".join(parts).encode()

        return xml
    plain = jsonbody.JsonWriters(model).structure(inner)
    return lambda value: ("application/json", jsonbody.encode(plain(pick(value))))
