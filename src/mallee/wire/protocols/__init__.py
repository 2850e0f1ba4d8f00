"""The protocols by name. A protocol is stateless: it reads a request for a route, writes an answer, writes an error."""

from __future__ import annotations

from mallee.wire.protocols.base import Protocol
from mallee.wire.protocols.cbor import CborProtocol
from mallee.wire.protocols.ec2 import Ec2Protocol
from mallee.wire.protocols.json import JsonProtocol
from mallee.wire.protocols.query import QueryProtocol
from mallee.wire.protocols.rest import RestJsonProtocol, RestXmlProtocol

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Ec2Protocol(),
        QueryProtocol(),
        JsonProtocol(),
        CborProtocol(),
        RestXmlProtocol(),
        RestJsonProtocol(),
    )
}

__all__ = ["PROTOCOLS", "Protocol"]
