"""The REST protocols: labels, query and headers around a body of XML or JSON."""

from __future__ import annotations

from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from mallee.wire import jsonbody, times, xmlin
from mallee.wire.bindings import RequestBinding, ResponseBinding, rest_query
from mallee.wire.errors import AwsError
from mallee.wire.message import Headers, Request, Response, header_value
from mallee.wire.model import Model, Operation
from mallee.wire.output import Among
from mallee.wire.protocols import events
from mallee.wire.protocols.base import Protocol, Told, told
from mallee.wire.protocols.json import error_body
from mallee.wire.protocols.query import namespace, write_fields
from mallee.wire.reading import Reader, Unreadable
from mallee.wire.values import ValueReaders
from mallee.wire.xmlout import DECLARATION, Writer, XmlWriters, escaped

if TYPE_CHECKING:
    from mallee.wire.catalogue import Service
    from mallee.wire.routing import Route


class RestProtocol(Protocol):
    """What XML and JSON share: all but the body."""

    def read(self, route: Route, request: Request) -> dict[str, Any]:
        binding: RequestBinding = route.operation.compiled("rest request", lambda model, op: RequestBinding(op))
        out: dict[str, Any] = {}
        labels: dict[str, str] = route.params or {}
        binding.read(request, labels, rest_query(request), out)
        payload = binding.payload
        if payload is None:
            if binding.body_members and request.body:
                out.update(self.read_body(route, request.body))
        elif payload.traits.get("streaming") or payload.shape.type == "blob":
            if payload.traits.get("streaming") or request.body:
                out[payload.name] = request.body
        elif request.body:
            if payload.shape.type == "string":
                out[payload.name] = _text(request.body)
            else:
                out[payload.name] = self.read_body(route, request.body)
        return out

    def write(self, route: Route, output: dict[str, Any], request_id: str) -> Response:
        operation = route.operation
        binding: ResponseBinding = operation.compiled("rest response", lambda model, op: ResponseBinding(op))
        headers: Headers = self.identification(route.service, request_id)
        status, rest = binding.write(output, headers)
        payload = binding.payload
        if payload is None:
            if not binding.body_members or operation.http.get("method") == "HEAD":
                return status, headers, b""
            return status, self._typed(headers), self.write_body(route, rest)
        value = rest.pop(payload.name, None)
        if rest:
            raise KeyError(next(iter(rest)))
        if payload.shape.traits.get("eventstream"):
            headers.append(events.CONTENT_TYPE)
            return status, headers, events.stream(self.name, route.service.model, payload.shape, value or ())
        if payload.shape.type == "structure":
            return (
                (status, headers, b"")
                if value is None
                else (status, self._typed(headers), self.write_body(route, value))
            )
        if payload.shape.type == "string":
            value = jsonbody.string(value or "").encode("utf-8", "replace")
        return status, headers, b"" if value is None else value

    def _typed(self, headers: Headers) -> Headers:
        if not any(name == b"content-type" for name, _ in headers):
            headers.append((b"content-type", self.content_type))
        return headers

    content_type = b""

    def identification(self, service: Service, request_id: str) -> Headers:
        if service.name == "s3":
            return [(b"x-amz-request-id", request_id.encode()), (b"x-amz-id-2", request_id.encode())]
        return [(b"x-amzn-requestid", request_id.encode())]

    def read_body(self, route: Route, body: bytes) -> dict[str, Any]:
        raise NotImplementedError

    def write_body(self, route: Route, value: dict[str, Any]) -> bytes:
        raise NotImplementedError


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Unreadable("syntax", value="The request body is not valid UTF-8.") from None


class RestXmlProtocol(RestProtocol):
    name = "rest-xml"
    content_type = b"application/xml"

    def read_body(self, route: Route, body: bytes) -> dict[str, Any]:
        strict = route.service.dialect.strict_xml
        read = route.operation.compiled("xml body", lambda model, op: _xml_reader(model, op, strict))
        value: dict[str, Any] = read(xmlin.parse(body))
        return value

    def write_body(self, route: Route, value: dict[str, Any]) -> bytes:
        write: Writer = route.operation.compiled(
            f"xml output {route.version}", lambda model, op: _xml_writer(model, op, route.service, route.version)
        )
        parts = [DECLARATION]
        write(value, parts.append)
        return "".join(parts).encode()

    def error(self, service: Service | None, version: str, params: Any, error: AwsError, request_id: str) -> Response:
        what = told(service, error)
        if service is not None and service.name != "s3":
            return self._wrapped(service, version, what, request_id)
        headers: Headers = [(b"x-amz-request-id", request_id.encode()), (b"x-amz-id-2", request_id.encode()), *error.headers]
        if what.status in (204, 304):
            return what.status, headers, b""
        headers.append((b"content-type", b"application/xml"))
        parts = [f"{DECLARATION}<Error><Code>{escaped(what.code)}</Code><Message>{escaped(what.message)}</Message>"]
        write_fields(what, service, parts.append)
        parts.append(f"<RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>")
        return what.status, headers, "".join(parts).encode("utf-8", "replace")

    def _wrapped(self, service: Service, version: str, what: Told, request_id: str) -> Response:
        parts = [
            f'{DECLARATION}<ErrorResponse xmlns="{escaped(namespace(service, version))}"><Error>'
            f"<Type>{'Sender' if what.sender else 'Receiver'}</Type><Code>{escaped(what.code)}</Code>"
            f"<Message>{escaped(what.message)}</Message>"
        ]
        write_fields(what, service, parts.append)
        parts.append(f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>")
        headers: Headers = [(b"x-amzn-requestid", request_id.encode()), (b"content-type", b"text/xml")]
        return what.status, headers, "".join(parts).encode("utf-8", "replace")


def _xml_reader(model: Model, operation: Operation, strict: bool) -> Reader:
    """``strict`` services take a document for what they asked for by its root element, too: an empty one of another kind would otherwise
    be a valid way to switch everything off."""
    shape = operation.input
    assert shape is not None
    root = operation.input_traits.get("locationName")
    if "payload" in shape.traits:
        payload = shape.members[shape.traits["payload"]]
        root, shape = payload.traits.get("locationName"), payload.shape
    read = xmlin.XmlReaders(model, strict=strict).structure(shape)
    if not strict or root is None:
        return read

    def rooted(node: xmlin.Element) -> Any:
        if node.name != root:
            raise Unreadable("unknown").within(node.name)
        return read(node)

    return rooted


# The root elements of S3's answers, which its model leaves out.
_S3_ROOTS = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycle": "LifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotification": "NotificationConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
}


def _xml_writer(model: Model, operation: Operation, service: Service, version: str) -> Writer:
    shape = operation.output
    assert shape is not None
    s3 = service.name == "s3"
    root = operation.output_traits.get("locationName") or shape.traits.get("locationName") or shape.name
    if s3 and operation.name == "GetBucketLocation":
        return _location(namespace(service, version))
    if s3:
        root = _S3_ROOTS.get(operation.name, root)
    if "payload" in shape.traits:
        payload = shape.members[shape.traits["payload"]]
        root, shape = payload.wire_name, payload.shape
    writers = XmlWriters(model, times.iso_millis if s3 else times.iso)
    if s3 and operation.name == "ListObjectVersions":
        return _among(f'<{root} xmlns="{namespace(service, version)}">', f"</{root}>", writers.content(shape), ("Versions", "DeleteMarkers"))
    return writers.enclosed(shape, root, namespace(service, version))


def _among(opening: str, closing: str, content: Writer, names: tuple[str, ...]) -> Writer:
    """The lists of these names (`Among`) are written as one, their members in the order of their places: versions and delete
    markers of a key follow each other by age, and clients that read S3's XML themselves take them so."""

    def write(value: dict[str, Any], put: Any) -> None:
        put(opening)
        before = {name: item for name, item in value.items() if name not in names}
        after = {"CommonPrefixes": before.pop("CommonPrefixes", None)}
        content(before, put)
        placed = merge(*(_placed(name, value.get(name) or ()) for name in names))
        for name, run in groupby(placed, itemgetter(1)):
            content({name: [item for _, _, item in run]}, put)
        content(after, put)
        put(closing)

    return write


def _placed(name: str, members: Any) -> list[tuple[int, str, Any]]:
    places = members.places if isinstance(members, Among) else range(len(members))
    return [(place, name, item) for place, item in zip(places, members, strict=True)]


def _location(xmlns: str) -> Writer:
    """GetBucketLocation's answer is the one whose root element is itself the value."""

    def write(value: Any, put: Any) -> None:
        put(
            f'<LocationConstraint xmlns="{xmlns}">{escaped(value.get("LocationConstraint") or "")}</LocationConstraint>'
        )

    return write


class RestJsonProtocol(RestProtocol):
    name = "rest-json"
    content_type = b"application/json"

    def read_body(self, route: Route, body: bytes) -> dict[str, Any]:
        read = route.operation.compiled("json body", _json_reader)
        value: dict[str, Any] = read(jsonbody.decode(body))
        return value

    def write_body(self, route: Route, value: dict[str, Any]) -> bytes:
        return jsonbody.encode(route.operation.compiled("json output", _json_writer)(value))

    def error(self, service: Service | None, version: str, params: Any, error: AwsError, request_id: str) -> Response:
        what = told(service, error)
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"x-amzn-requestid", request_id.encode()),
            (b"x-amzn-errortype", header_value(what.kind)),
        ]
        return what.status, headers, jsonbody.encode(error_body(what, service, typed=False))


def _json_reader(model: Model, operation: Operation) -> Reader:
    shape = operation.input
    assert shape is not None
    if "payload" in shape.traits:
        shape = shape.members[shape.traits["payload"]].shape
    return ValueReaders(model, binary=False).structure(shape)


def _json_writer(model: Model, operation: Operation) -> jsonbody.Plain:
    shape = operation.output
    assert shape is not None
    if "payload" in shape.traits:
        shape = shape.members[shape.traits["payload"]].shape
    return jsonbody.JsonWriters(model).structure(shape)
