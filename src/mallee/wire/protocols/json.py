"""The JSON protocol, versions 1.0 and 1.1: the operation in ``X-Amz-Target``, everything else in the body.

A service that used to speak the query protocol (``awsQueryCompatible``) also tells an error's old code, in
``x-amzn-query-error``, by which its clients know it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mallee.wire import jsonbody
from mallee.wire.errors import AwsError
from mallee.wire.message import Headers, Request, Response, header_value
from mallee.wire.model import Model, Operation
from mallee.wire.protocols import events
from mallee.wire.protocols.base import Protocol, Told, told
from mallee.wire.reading import Reader
from mallee.wire.values import ValueReaders

if TYPE_CHECKING:
    from mallee.wire.catalogue import Service
    from mallee.wire.routing import Route


class JsonProtocol(Protocol):
    name = "json"

    def read(self, route: Route, request: Request) -> dict[str, Any]:
        read: Reader = route.operation.compiled("json input", _reader)
        value: dict[str, Any] = read(jsonbody.decode(request.body))
        return value

    def write(self, route: Route, output: dict[str, Any], request_id: str) -> Response:
        operation = route.operation
        headers: Headers = [(b"x-amzn-requestid", request_id.encode())]
        if operation.output is None:
            if output:
                raise KeyError(next(iter(output)))
            return 200, [*headers, self._type(route.service, route.params)], b""
        stream = events.member_of(operation.output)
        if stream is not None:
            headers.append(events.CONTENT_TYPE)
            value = dict(output)
            messages = value.pop(stream.name, ())
            first = jsonbody.encode(operation.compiled("json output", _writer)(value))
            body = events.stream(self.name, route.service.model, stream.shape, messages, first)
            return 200, headers, body
        write: jsonbody.Plain = operation.compiled("json output", _writer)
        return 200, [*headers, self._type(route.service, route.params)], jsonbody.encode(write(output))

    def error(self, service: Service | None, version: str, params: Any, error: AwsError, request_id: str) -> Response:
        what = told(service, error)
        headers: Headers = [(b"x-amzn-requestid", request_id.encode()), self._type(service, params)]
        headers += query_error(service, what)
        return what.status, headers, jsonbody.encode(error_body(what, service, typed=True))

    @staticmethod
    def _type(service: Service | None, asked: bytes | None) -> tuple[bytes, bytes]:
        """The JSON version that the client used, or the service's own."""
        if asked is not None and asked[:23] in (b"application/x-amz-json-1", b"application/x-amz-json-"):
            version = asked[23:26].decode("latin-1")
            if version in ("1.0", "1.1"):
                return (b"content-type", b"application/x-amz-json-" + version.encode())
        version = service.model.metadata.get("jsonVersion", "1.1") if service is not None else "1.1"
        return (b"content-type", f"application/x-amz-json-{version}".encode())


def _reader(model: Model, operation: Operation) -> Reader:
    if operation.input is None:
        return lambda node: {}
    return ValueReaders(model, binary=False).structure(operation.input)


def _writer(model: Model, operation: Operation) -> jsonbody.Plain:
    assert operation.output is not None
    return jsonbody.JsonWriters(model).structure(operation.output)


def query_error(service: Service | None, what: Told) -> Headers:
    if service is None or not service.entry.query_compatible:
        return []
    told_as = f"{what.code};{'Sender' if what.sender else 'Receiver'}"
    return [(b"x-amzn-query-error", header_value(told_as))]


def error_body(what: Told, service: Service | None, *, typed: bool) -> dict[str, Any]:
    """The error's shape as JSON, with the type in the body where the protocol has it there."""
    body: dict[str, Any] = {"__type": what.kind} if typed else {}
    members = what.shape.members if what.shape is not None else {}
    message_name = next((m.wire_name for name, m in members.items() if name.lower() == "message"), "message")
    body[message_name] = what.message
    for name, value in what.fields.items():
        if value is None:
            continue
        member = members.get(name)
        if member is not None and service is not None:
            with service.model.lock:
                write = jsonbody.JsonWriters(service.model).member(member)
            body[member.wire_name] = write(value)
        else:
            body[name] = value
    return body
