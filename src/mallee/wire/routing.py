"""From a request to the operation it asks for.

A client says what it wants in one of five ways, looked at in this order: the path ``/service/X/operation/Y`` (CBOR),
the header ``X-Amz-Target`` (JSON), a form with an ``Action`` (EC2 and query), or method and path (REST). The credential
scope of the signature names the service where those leave it open; an unsigned form is told by its version, its host,
or the services that have such an action; an unsigned REST request is S3's.

The protocol belongs to the request, not to the service: CloudWatch answers each client in the protocol that it spoke.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mallee.wire.bindings import rest_query
from mallee.wire.catalogue import Entry, Service, Services, services
from mallee.wire.errors import AwsError
from mallee.wire.message import Request, Response
from mallee.wire.model import Operation
from mallee.wire.paths import virtual_bucket
from mallee.wire.protocols import PROTOCOLS, Protocol

_SCOPE = re.compile(rb"Credential=\s*[^/,\s]{1,256}/\d{8}/[^/,\s]{1,128}/([A-Za-z0-9_-]{1,64})/aws4_request")
_SCOPE_QUERY = re.compile(rb"(?:^|&)X-Amz-Credential=[^&]{1,512}?(?:%2F|/)aws4_request(?:&|$)", re.IGNORECASE)
_RPC = re.compile(r"/service/([^/]+)/operation/([^/]+)$")
_VERSION = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(slots=True)
class Route:
    """What a request asks for. ``version`` is the API version that the client named, whose namespace the answer
    bears."""

    service: Service
    operation: Operation
    protocol: Protocol
    version: str
    params: Any = None

    def parse(self, request: Request) -> dict[str, Any]:
        """The input by the model's member names: times aware and in UTC, blobs bytes, checked. Raises AwsError."""
        return self.protocol.parse(self, request)

    def respond(self, output: dict[str, Any] | None, request_id: str) -> Response:
        """Status, headers and body. Raises OutputError when the output does not fit the operation's shape."""
        return self.protocol.respond(self, output, request_id)

    def error(self, error: AwsError, request_id: str) -> Response:
        response = self.protocol.error(self.service, self.version, self.params, error, request_id)
        return bodiless(response) if self.operation.http.get("method") == "HEAD" else response

    def unsupported(self) -> AwsError:
        """The error for an operation that the model has and Mallee does not."""
        return self.service.dialect.unsupported(self.operation.name)

    @property
    def streams(self) -> bool:
        """Whether the body goes to the handler as it comes in, instead of being read before."""
        shape = self.operation.input
        payload = shape.traits.get("payload") if shape is not None else None
        return payload is not None and shape is not None and bool(shape.members[payload].traits.get("streaming"))


def bodiless(response: Response) -> Response:
    """The answer to HEAD, whose errors only their status tells."""
    status, headers, _ = response
    return status, [header for header in headers if header[0] != b"content-type"], b""


@dataclass(slots=True)
class Address:
    """How far a request can be understood without looking for its operation."""

    protocol: Protocol
    service: Service | None
    version: str
    name: str
    params: Any = None
    refusal: AwsError | None = None


class Router:
    """``s3_domains``: the domains below which a host's first labels are a bucket (virtual-host style)."""

    def __init__(self, services: Services, s3_domains: tuple[str, ...] = ()) -> None:
        self._services = services
        self.s3_domains = s3_domains

    def route(self, request: Request) -> Route:
        """Raises AwsError when the request names no operation of a service in the catalogue; `fallback_error` then
        writes it."""
        address = self.address(request)
        service = address.service
        if address.refusal is not None:
            raise address.refusal
        if service is None:
            code = "InvalidAction" if address.protocol.name == "query" else "UnknownOperationException"
            raise AwsError(code, "The request names no service that Mallee has.", status=400)
        model = service.model_for(address.protocol.name)
        if address.name not in model.operations:
            raise service.dialect.unknown(address.name, address.version)
        return Route(service, model.operation(address.name), address.protocol, address.version, address.params)

    def fallback_error(self, request: Request, error: AwsError, request_id: str) -> Response:
        """The error in the form that the client most likely reads, for a request whose routing failed."""
        try:
            address = self.address(request)
        except AwsError:
            form = request.header(b"authorization") is None or request.is_form
            protocol = "query" if form else "rest-xml"
            response = PROTOCOLS[protocol].error(None, "", None, error, request_id)
            return bodiless(response) if request.method == "HEAD" else response
        response = address.protocol.error(address.service, address.version, address.params, error, request_id)
        return bodiless(response) if request.method == "HEAD" else response

    def address(self, request: Request) -> Address:
        path = request.raw_path
        if b"/service/" in path and request.header(b"smithy-protocol") == b"rpc-v2-cbor":
            match = _RPC.search(path.decode("latin-1"))
            if match is not None:
                return self._of_target("smithy-rpc-v2-cbor", match.group(1), match.group(2), None)
        target = request.header(b"x-amz-target")
        if target is not None:
            prefix, _, name = target.decode("latin-1").rpartition(".")
            return self._of_target("json", prefix, name, request.header(b"content-type"))
        scope = credential_scope(request)
        entries = self._services.by_scope.get(scope or "", [])
        if scope is not None and not entries:
            raise AwsError("InvalidAction", f"Mallee does not have the service {scope}.", status=400)
        if not entries or entries[0].is_form:
            fields = request.fields if request.raw_path == b"/" or request.is_form or entries else _fields(request)
            name = fields.get("Action", "")
            if name or entries:
                return self._of_form(request, entries, name, fields.get("Version", ""))
        elif not any(entry.is_rest for entry in entries):  # A service of JSON, and no target.
            return Address(PROTOCOLS["json"], self._services.get(entries[0].name), entries[0].version, "")
        return self._of_path(request, entries)

    def _of_target(self, protocol: str, target: str, name: str, content_type: bytes | None) -> Address:
        entry = self._services.by_target.get(target)
        service = self._services.get(entry.name) if entry is not None and protocol in entry.protocols else None
        version = entry.version if entry is not None else ""
        return Address(PROTOCOLS[protocol], service, version, name, content_type)

    def _of_form(self, request: Request, entries: list[Entry], name: str, version: str) -> Address:
        entry = self._form_entry(request, entries, name, version)
        if entry is None:
            return Address(PROTOCOLS["query"], None, version, name, wants_json(request))
        protocol = "ec2" if "ec2" in entry.protocols else "query"
        if not _VERSION.fullmatch(version):
            version = entry.version
        return Address(PROTOCOLS[protocol], self._services.get(entry.name), version, name, wants_json(request))

    def _of_path(self, request: Request, entries: list[Entry]) -> Address:
        entry = next((entry for entry in entries if entry.is_rest), None)
        if _is_control(request):
            entry = next(entry for entry in self._services.entries if entry.name == "s3control")
        if entry is None:
            hosted = [entry for entry in self._by_host(request) if entry.is_rest]
            entry = hosted[0] if hosted else next(entry for entry in self._services.entries if entry.name == "s3")
        service = self._services.get(entry.name)
        protocol = PROTOCOLS[entry.protocols[0]]
        try:
            path = self.s3_path(request) if entry.name == "s3" else request.raw_path.decode("latin-1")
            query = rest_query(request)
            found = service.paths.find(request, path, query)
        except AwsError as error:
            return Address(protocol, service, entry.version, "", refusal=error)
        if entry.name == "s3" and found is not None:
            refusal = _strange_subresource(request, query, service) or _half_a_part(found[0], query, service)
            if refusal is not None:
                return Address(protocol, service, entry.version, found[0], refusal=refusal)
        if found is None:
            refusal = _no_form(request, path) if entry.name == "s3" else None
            return Address(protocol, service, entry.version, "", refusal=refusal)
        name, labels, version = found
        return Address(protocol, service, version or entry.version, name, labels)

    def s3_path(self, request: Request) -> str:
        """A request's path with the bucket in front, whether path or host names it. Raises AwsError."""
        path = request.raw_path.decode("latin-1")
        bucket = virtual_bucket(request.header(b"host"), self.s3_domains)
        return path if bucket is None else f"/{bucket}{path}"

    def _by_host(self, request: Request) -> list[Entry]:
        host = (request.header(b"host") or b"").decode("latin-1").partition(":")[0]
        for label in host.split(".")[:8]:
            if label in self._services.by_scope:
                return self._services.by_scope[label]
        return []

    def _form_entry(self, request: Request, entries: list[Entry], name: str, version: str) -> Entry | None:
        forms = [entry for entry in entries if entry.is_form]
        if forms:
            exact = [entry for entry in forms if entry.version == version]
            older = [entry for entry in forms if entry.version <= version]
            return (exact or older[-1:] or forms)[0]
        if version in self._services.by_version:
            return self._services.by_version[version]
        forms = [entry for entry in self._by_host(request) if entry.is_form]
        if forms:
            return forms[0]
        for entry in self._services.entries:
            if entry.is_form and name in self._services.get(entry.name).operations:
                return entry
        return None


def _is_control(request: Request) -> bool:
    """Whether it is S3 Control's, which is signed as S3's own requests are: by its paths, and since a bucket may be called like their
    first part, by the header that all of its operations need."""
    return request.raw_path.startswith(b"/v20180820/") and request.header(b"x-amz-account-id") is not None


def _fields(request: Request) -> dict[str, str]:
    """The parameters of what is more likely S3's, whose own words a query that cannot be read will meet."""
    try:
        return request.fields
    except AwsError:
        return {}


def wants_json(request: Request) -> bool:
    """Whether a client of the query protocol would rather read JSON: not one that would take it among others."""
    return (request.header(b"accept") or b"").strip().lower() == b"application/json"


def _strange_subresource(request: Request, query: list[tuple[str, str]], service: Service) -> AwsError | None:
    """A bare query key that no operation knows may be a sub-resource of a newer S3; what would change something must
    not be taken for the operation without it, least of all DeleteBucket."""
    if request.method in ("GET", "HEAD"):
        return None
    for key, value in query:
        if not value and key not in service.paths.known and not key.lower().startswith("x-amz-"):
            return service.dialect.unsupported(f"the sub-resource {key[:80]}")
    return None


def _half_a_part(name: str, query: list[tuple[str, str]], service: Service) -> AwsError | None:
    """A part that tells its number or its upload alone must not become the object."""
    if name not in ("PutObject", "CopyObject"):
        return None
    given = {key for key, _ in query}
    if "uploadId" in given:
        return service.dialect.unknown(name, "")
    if "partNumber" in given:
        told = "This operation does not accept partNumber without uploadId"
        return AwsError("InvalidArgument", told, status=400, ArgumentName="partNumber", ArgumentValue="partNumber")
    return None


def _no_form(request: Request, path: str) -> AwsError | None:
    """What is posted to a bucket is a browser's form, and S3 tells those that send it otherwise."""
    kind = (request.header(b"content-type") or b"").lower()
    if request.method != "POST" or request.raw_query or "/" in path.strip("/") or path == "/" or kind.startswith(b"multipart/form-data"):
        return None
    told = "Bucket POST must be of the enclosure-type multipart/form-data"
    return AwsError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", status=412, Condition=told)


def credential_scope(request: Request) -> str | None:
    """The service that a version 4 signature, in the header or the query string, was made for."""
    header = request.header(b"authorization")
    if header is not None:
        match = _SCOPE.search(header[:4096])
        return match.group(1).decode("ascii") if match else None
    match = _SCOPE_QUERY.search(request.raw_query[:16384])
    if match:
        parts = re.split(rb"%2[Ff]|/", match.group())
        return parts[-2].decode("latin-1") if len(parts) >= 3 else None
    return None


router = Router(services)
route = router.route
fallback_error = router.fallback_error
