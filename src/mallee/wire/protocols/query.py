"""The query protocol: a form in, XML out, inside ``<OperationResponse><OperationResult>``.

A client that accepts JSON and nothing else gets the same as JSON, as from AWS: so servers ask STS whose presigned
GetCallerIdentity they were shown (Kubernetes' aws-iam-authenticator, logins of vaults). ``params`` of a route tell it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mallee.wire import jsonbody, times
from mallee.wire.errors import AwsError
from mallee.wire.forms import FormReaders, tree
from mallee.wire.message import Request, Response, unquoted
from mallee.wire.model import Model, Operation
from mallee.wire.protocols.base import Protocol, Told, told
from mallee.wire.reading import Reader
from mallee.wire.xmlout import DECLARATION, Put, Writer, XmlWriters, escaped

if TYPE_CHECKING:
    from mallee.wire.catalogue import Service
    from mallee.wire.routing import Route

_TYPE = (b"content-type", b"text/xml")
_JSON = (b"content-type", b"application/json")


class QueryProtocol(Protocol):
    name = "query"
    strict = False

    def read(self, route: Route, request: Request) -> dict[str, Any]:
        read, names = route.operation.compiled("form", self._reader)
        fields = tree(request.fields, names)
        if route.service.name == "sqs":
            _queue_of_path(fields, names, request)
        value: dict[str, Any] = read(fields)
        return value

    def _reader(self, model: Model, operation: Operation) -> tuple[Reader, frozenset[str]]:
        if operation.input is None:
            return (lambda node: {}), frozenset()
        readers = FormReaders(model, strict=self.strict)
        names = frozenset(readers.name(member) for member in operation.input.members.values())
        return readers.structure(operation.input), names

    def write(self, route: Route, output: dict[str, Any], request_id: str) -> Response:
        operation = route.operation
        if route.params:
            return _json(operation, output, request_id)
        name = operation.name
        parts = [f'{DECLARATION}<{name}Response xmlns="{escaped(namespace(route.service, route.version))}">']
        if operation.output is not None:
            wrapper = operation.output_traits.get("resultWrapper") or f"{name}Result"
            parts.append(f"<{wrapper}>")
            write: Writer = operation.compiled("query.output", _writer)
            write(output, parts.append)
            parts.append(f"</{wrapper}>")
        elif output:
            raise KeyError(next(iter(output)))
        parts.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>\n")
        return 200, [_TYPE, (b"x-amzn-requestid", request_id.encode())], "".join(parts).encode()

    def error(self, service: Service | None, version: str, params: Any, error: AwsError, request_id: str) -> Response:
        what = told(service, error)
        if params:
            return _json_error(what, request_id)
        xmlns = (
            escaped(namespace(service, version))
            if service is not None
            else "http://webservices.amazon.com/AWSFault/2005-15-09"
        )
        parts = [
            f'{DECLARATION}<ErrorResponse xmlns="{xmlns}"><Error><Type>{"Sender" if what.sender else "Receiver"}</Type>'
            f"<Code>{escaped(what.code)}</Code><Message>{escaped(what.message)}</Message>"
        ]
        write_fields(what, service, parts.append)
        parts.append(f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>\n")
        return (
            what.status,
            [_TYPE, (b"x-amzn-requestid", request_id.encode())],
            "".join(parts).encode("utf-8", "replace"),
        )


def _json(operation: Operation, output: dict[str, Any], request_id: str) -> Response:
    answer: dict[str, Any] = {}
    if operation.output is not None:
        wrapper = operation.output_traits.get("resultWrapper") or f"{operation.name}Result"
        write: jsonbody.Plain = operation.compiled("query.json", _json_writer)
        answer[wrapper] = write(output)
    elif output:
        raise KeyError(next(iter(output)))
    answer["ResponseMetadata"] = {"RequestId": request_id}
    return 200, [_JSON, (b"x-amzn-requestid", request_id.encode())], jsonbody.encode({f"{operation.name}Response": answer})


def _json_error(what: Told, request_id: str) -> Response:
    error = {"Code": what.code, "Message": what.message, "Type": "Sender" if what.sender else "Receiver"}
    body = jsonbody.encode({"Error": error, "RequestId": request_id})
    return what.status, [_JSON, (b"x-amzn-requestid", request_id.encode())], body


def _json_writer(model: Model, operation: Operation) -> jsonbody.Plain:
    assert operation.output is not None
    return jsonbody.JsonWriters(model).structure(operation.output)


def _queue_of_path(fields: dict[str, Any], names: frozenset[str], request: Request) -> None:
    """SQS's queue is the path of the request's URL, which clients may leave out of the form."""
    if "QueueUrl" in names and "QueueUrl" not in fields and request.raw_path.count(b"/") >= 2:
        host = (request.header(b"host") or b"").decode("latin-1")
        fields["QueueUrl"] = f"http://{host}{unquoted(request.raw_path.decode('latin-1'))}"


def _writer(model: Model, operation: Operation) -> Writer:
    assert operation.output is not None
    return XmlWriters(model, times.iso).content(operation.output)


def namespace(service: Service, version: str) -> str:
    """The service's namespace with the version that the client asked for."""
    entry = service.entry
    if entry.namespace is not None:
        return entry.namespace.format(version=version)
    modelled: str = service.model.metadata.get("xmlNamespace", "")
    return modelled.replace(entry.version, version)


def write_fields(what: Told, service: Service | None, put: Put) -> None:
    """Further members of the error's shape; for an error that has none, fields of scalars under their own names."""
    for name, value in what.fields.items():
        if value is None:
            continue
        member = what.shape.members.get(name) if what.shape is not None else None
        if member is not None and service is not None:
            with service.model.lock:
                write = XmlWriters(service.model, times.iso).element(member)
            write(value, put)
        else:
            put(f"<{name}>{escaped(str(value))}</{name}>")
