"""EC2's protocol: the query protocol's elder, with its own names, no result wrapper, and its own form of error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mallee.wire import times
from mallee.wire.errors import AwsError
from mallee.wire.message import Response
from mallee.wire.model import Model, Operation
from mallee.wire.protocols.base import told
from mallee.wire.protocols.query import QueryProtocol, namespace, write_fields
from mallee.wire.xmlout import DECLARATION, Writer, XmlWriters, escaped

if TYPE_CHECKING:
    from mallee.wire.catalogue import Service
    from mallee.wire.routing import Route

_TYPE = (b"content-type", b"text/xml;charset=UTF-8")


class Ec2Protocol(QueryProtocol):
    name = "ec2"
    strict = True

    def write(self, route: Route, output: dict[str, Any], request_id: str) -> Response:
        operation = route.operation
        name = operation.name
        xmlns = escaped(namespace(route.service, route.version))
        opening = f'<{name}Response xmlns="{xmlns}"><requestId>{request_id}</requestId>'
        parts = [DECLARATION, opening]
        if operation.output is None:
            if output and output != {"Return": True}:
                raise KeyError(next(iter(output)))
            parts.append("<return>true</return>")
        else:
            write: Writer = operation.compiled("ec2.output", _writer)
            write(output, parts.append)
        parts.append(f"</{name}Response>\n")
        return 200, [_TYPE, (b"x-amzn-requestid", request_id.encode())], "".join(parts).encode()

    def error(self, service: Service | None, version: str, params: Any, error: AwsError, request_id: str) -> Response:
        what = told(service, error)
        parts = [
            f"{DECLARATION}<Response><Errors><Error><Code>{escaped(what.code)}</Code><Message>{escaped(what.message)}</Message>"
        ]
        write_fields(what, service, parts.append)
        parts.append(f"</Error></Errors><RequestID>{request_id}</RequestID></Response>\n")
        return (
            what.status,
            [_TYPE, (b"x-amzn-requestid", request_id.encode())],
            "".join(parts).encode("utf-8", "replace"),
        )


def _writer(model: Model, operation: Operation) -> Writer:
    assert operation.output is not None
    return XmlWriters(model, times.iso_millis, "item").content(operation.output)
