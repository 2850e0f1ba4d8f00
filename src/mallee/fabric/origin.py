"""Where a connection came from, told by the node that passes it on to the cloud: the PROXY protocol, version 2, before the
first byte of the guest's own, with the VPC in a TLV of the range for private use.

Only nodes reach the sockets on which the cloud believes it. What a guest sends comes after it and can't be mistaken for it.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass

PLAIN, TLS = "vpc-api.sock", "vpc-api-tls.sock"  # in the cloud's run folder

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION_AND_PROXY, _TCP4 = 0x21, 0x11
_VPC = 0xE0
HEAD = 16  # bytes that tell how many follow
_LONGEST = 256
_ADDRESSES = struct.Struct("!4s4sHH")
_ID = re.compile(r"vpc-[0-9a-f]{8,17}\Z")


@dataclass(frozen=True, slots=True)
class Origin:
    """A guest's end of a connection: its VPC, its private address there."""

    vpc_id: str
    address: str
    port: int


class BadOrigin(ValueError):
    """Not what a node says."""


def encode(origin: Origin, to: str, to_port: int) -> bytes:
    source, target = ipaddress.IPv4Address(origin.address).packed, ipaddress.IPv4Address(to).packed
    vpc = origin.vpc_id.encode()
    body = _ADDRESSES.pack(source, target, origin.port, to_port) + struct.pack("!BH", _VPC, len(vpc)) + vpc
    return _SIGNATURE + struct.pack("!BBH", _VERSION_AND_PROXY, _TCP4, len(body)) + body


def remaining(head: bytes) -> int:
    """How many bytes follow the first ``HEAD``."""
    if len(head) != HEAD or not head.startswith(_SIGNATURE):
        raise BadOrigin("no PROXY header")
    command, family, length = struct.unpack_from("!BBH", head, len(_SIGNATURE))
    if (command, family) != (_VERSION_AND_PROXY, _TCP4) or not _ADDRESSES.size < length <= _LONGEST:
        raise BadOrigin("a PROXY header of another kind")
    return int(length)


def decode(body: bytes) -> Origin:
    """What follows the first ``HEAD`` bytes."""
    source, _, port, _ = _ADDRESSES.unpack_from(body)
    at = _ADDRESSES.size
    while at + 3 <= len(body):
        kind, length = struct.unpack_from("!BH", body, at)
        value = body[at + 3 : at + 3 + length]
        at += 3 + length
        if kind == _VPC and len(value) == length:
            vpc = value.decode("latin-1")
            if _ID.match(vpc):
                return Origin(vpc, str(ipaddress.IPv4Address(source)), port)
    raise BadOrigin("a PROXY header without a VPC")
