"""Smithy's RPC v2 with CBOR bodies: the operation in the path, ``/service/X/operation/Y``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mallee.wire import cbor
from mallee.wire.errors import AwsError
from mallee.wire.message import Headers, Request, Response
from mallee.wire.model import Model, Operation
from mallee.wire.protocols.base import Protocol, told
from mallee.wire.protocols.json import query_error
from mallee.wire.reading import Reader
from mallee.wire.values import ValueReaders

if TYPE_CHECKING:
    from mallee.wire.catalogue import Service
    from mallee.wire.routing import Route


class CborProtocol(Protocol):
    name = "smithy-rpc-v2-cbor"

    def read(self, route: Route, request: Request) -> dict[str, Any]:
        read: Reader = route.operation.compiled("cbor input", _reader)
        value: dict[str, Any] = read(cbor.decode(request.body))
        return value

    def write(self, route: Route, output: dict[str, Any], request_id: str) -> Response:
        operation = route.operation
        body = bytearray()
        if operation.output is not None:
            write: cbor.Writer = operation.compiled("cbor output", _writer)
            write(output, body)
        elif output:
            raise KeyError(next(iter(output)))
        return 200, _headers(request_id), bytes(body)

    def error(self, service: Service | None, version: str, params: Any, error: AwsError, request_id: str) -> Response:
        what = told(service, error)
        members = what.shape.members if what.shape is not None else {}
        message_name = next((m.wire_name for name, m in members.items() if name.lower() == "message"), "message")
        body = bytearray((0xBF,))
        body += cbor.text("__type") + cbor.text(what.kind)
        body += cbor.text(message_name) + cbor.text(what.message)
        for name, value in what.fields.items():
            if value is None:
                continue
            member = members.get(name)
            if member is not None and service is not None:
                with service.model.lock:
                    write = cbor.CborWriters(service.model).member(member)
                body += cbor.text(member.wire_name)
                write(value, body)
            else:
                body += cbor.text(name) + cbor.text(str(value))
        body.append(0xFF)
        return what.status, _headers(request_id) + query_error(service, what), bytes(body)


def _headers(request_id: str) -> Headers:
    return [
        (b"content-type", b"application/cbor"),
        (b"smithy-protocol", b"rpc-v2-cbor"),
        (b"x-amzn-requestid", request_id.encode()),
    ]


def _reader(model: Model, operation: Operation) -> Reader:
    if operation.input is None:
        return lambda node: {}
    return ValueReaders(model, binary=True).structure(operation.input)


def _writer(model: Model, operation: Operation) -> cbor.Writer:
    assert operation.output is not None
    return cbor.CborWriters(model).structure(operation.output)
