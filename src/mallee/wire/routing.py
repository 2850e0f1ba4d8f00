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

from mallee.wire.errors import AwsError
from mallee.wire.message import Request, Response
from mallee.wire.model import Operation
from mallee.wire.protocols import PROTOCOLS, Protocol
from mallee.wire.services import Entry, Service, Services, services

_SCOPE = re.compile(rb"Credential=\s*[^/,\s]{1,256}/\d{8}/[^/,\s]{1,128}/([A-Za-z0-9_-]{1,64})/aws4_request")
_SCOPE_QUERY = re.compile(rb"(?:^|&)X-Amz-Credential=[^&]{1,512}?(?:%2F|/)aws4_request(?:&|$)", re.IGNORECASE)
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
        return self.protocol.error(self.service, self.version, None, error, request_id)

    def unsupported(self) -> AwsError:
        """The error for an operation that the model has and Mallee does not."""
        return self.service.dialect.unsupported(self.operation.name)

    @property
    def streams(self) -> bool:
        """Whether the body goes to the handler as it comes in, instead of being read before."""
        shape = self.operation.input
        payload = shape.traits.get("payload") if shape is not None else None
        return payload is not None and shape is not None and bool(shape.members[payload].traits.get("streaming"))


@dataclass(slots=True)
class Address:
    """How far a request can be understood without looking for its operation."""

    protocol: Protocol
    service: Service | None
    version: str
    name: str


class Router:
    def __init__(self, catalogue: Services) -> None:
        self._services = catalogue

    def route(self, request: Request) -> Route:
        """Raises AwsError when the request names no operation of a service in the catalogue; `fallback_error` then
        writes it."""
        address = self.address(request)
        service = address.service
        if service is None:
            raise AwsError("InvalidAction", "The request names no service that Mallee has.", status=400)
        model = service.model_for(address.protocol.name)
        if address.name not in model.operations:
            raise service.dialect.unknown(address.name, address.version)
        return Route(service, model.operation(address.name), address.protocol, address.version)

    def fallback_error(self, request: Request, error: AwsError, request_id: str) -> Response:
        """The error in the form that the client most likely reads, for a request whose routing failed."""
        try:
            address = self.address(request)
        except AwsError:
            return PROTOCOLS["query"].error(None, "", request, error, request_id)
        return address.protocol.error(address.service, address.version, request, error, request_id)

    def address(self, request: Request) -> Address:
        scope = credential_scope(request)
        entries = self._services.by_scope.get(scope or "", [])
        fields = request.fields
        name = fields.get("Action") or fields.get("Operation") or ""
        version = fields.get("Version", "")
        entry = self._of_form(request, entries, name, version)
        if entry is None:
            return Address(PROTOCOLS["query"], None, version, name)
        protocol = "ec2" if "ec2" in entry.protocols else "query"
        return Address(PROTOCOLS[protocol], self._services.get(entry.name), version or entry.version, name)

    def _of_form(self, request: Request, entries: list[Entry], name: str, version: str) -> Entry | None:
        forms = [entry for entry in entries if entry.is_form]
        exact = [entry for entry in forms if entry.version == version]
        if exact or forms:
            return (exact or forms)[0]
        if entries:
            return None
        if version in self._services.by_version:
            return self._services.by_version[version]
        host = (request.header(b"host") or b"").decode("latin-1").split(":")[0].split(".")
        for label in host:
            forms = [entry for entry in self._services.by_scope.get(label, ()) if entry.is_form]
            if forms:
                return forms[0]
        for entry in self._services.entries:
            if entry.is_form and name in self._services.get(entry.name).operations:
                return entry
        return None


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


_ROUTER = Router(services)
route = _ROUTER.route
fallback_error = _ROUTER.fallback_error
