"""The AWS protocols: bytes to dicts and dicts to bytes, from the models that botocore ships.

Knows no service: nothing here says what an operation does. See docs/wire.md.
"""

from __future__ import annotations

from mallee.wire.catalogue import Entry, Service, Services, services
from mallee.wire.errors import AwsError
from mallee.wire.message import Headers, Request, Response
from mallee.wire.model import Operation, Shape
from mallee.wire.output import OutputError
from mallee.wire.protocols import PROTOCOLS
from mallee.wire.routing import Route, Router, fallback_error, route, router
from mallee.wire.xmlout import Constant

__all__ = [
    "PROTOCOLS",
    "AwsError",
    "Constant",
    "Entry",
    "Headers",
    "Operation",
    "OutputError",
    "Request",
    "Response",
    "Route",
    "Router",
    "Service",
    "Services",
    "Shape",
    "fallback_error",
    "route",
    "router",
    "services",
]
