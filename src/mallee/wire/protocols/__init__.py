"""The protocols by name. A protocol is stateless: it reads a request for a route, writes an answer, writes an error."""

from __future__ import annotations

from mallee.wire.protocols.base import Protocol
from mallee.wire.protocols.ec2 import Ec2Protocol
from mallee.wire.protocols.query import QueryProtocol

PROTOCOLS: dict[str, Protocol] = {"ec2": Ec2Protocol(), "query": QueryProtocol()}

__all__ = ["PROTOCOLS", "Protocol"]
