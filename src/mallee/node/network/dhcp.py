"""DHCP for the guests of one VPC: one socket in the router's namespace, one fixed answer per port.

There are no leases to keep: the address of a port stands in the document, and whoever asks on that port's link with that port's MAC
gets it, for an hour at a time. Requests for another address are refused (NAK), so that a guest that was cloned from another asks anew.
The requests of guests are hostile input: whatever is not a plain request on a known link is dropped without an answer.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mallee.node.network.routers import API, METADATA
from mallee.node.network.served import Place, Tallies, View

LEASE = 3600
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
KINDS = {DISCOVER: "discover", REQUEST: "request", DECLINE: "decline", RELEASE: "release", INFORM: "inform"}
_MAGIC = b"\x63\x82\x53\x63"
_PKTINFO = 8  # IP_PKTINFO
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Request:
    kind: int
    transaction: bytes
    client: str  # ciaddr
    hardware: bytes  # chaddr, as sent
    requested: str  # option 50
    server: str  # option 54


def read(data: bytes) -> Request | None:
    """The request in a datagram; None when it is none that a client of ours sends."""
    if len(data) < 241 or data[0] != 1 or data[1] != 1 or data[2] != 6 or data[236:240] != _MAGIC:
        return None
    options = dict(_options(data[240:]))
    kind = options.get(53, b"")
    if len(kind) != 1 or kind[0] not in KINDS:
        return None
    return Request(
        kind=kind[0],
        transaction=data[4:8],
        client=_address(data[12:16]),
        hardware=data[28:44],
        requested=_address(options.get(50, b"")),
        server=_address(options.get(54, b"")),
    )


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            return
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]


def _address(value: bytes) -> str:
    return socket.inet_ntoa(value) if len(value) == 4 and any(value) else ""


def answer(request: Request, place: Place, mtu: int) -> tuple[int, bytes] | None:
    """The reply's kind and bytes; None when none is due."""
    port, gateway = place.port, place.subnet.gateway
    if request.hardware[:6] != bytes.fromhex(port.mac.replace(":", "")):
        return None
    if request.server and request.server != gateway:
        return None  # it has chosen another server
    if request.kind == DISCOVER:
        kind = OFFER
    elif request.kind == INFORM:
        kind = ACK
    elif request.kind == REQUEST:
        asked = request.requested or request.client
        kind = ACK if asked == port.ip else NAK
    else:
        return None
    given = kind in (OFFER, ACK) and request.kind != INFORM
    header = struct.pack("!BBBB4sHH", 2, 1, 6, 0, request.transaction, 0, 0 if request.client and kind != NAK else 0x8000)
    header += socket.inet_aton(request.client or "0.0.0.0") + socket.inet_aton(port.ip if given else "0.0.0.0")
    header += socket.inet_aton(gateway) + bytes(4) + request.hardware + bytes(192) + _MAGIC
    options = _option(53, bytes([kind])) + _option(54, socket.inet_aton(gateway))
    if kind != NAK:
        options += _configuration(place, mtu, given)
    return kind, header + options + b"\xff"


def _configuration(place: Place, mtu: int, given: bool) -> bytes:
    network, gateway = ipaddress.ip_network(place.subnet.cidr), socket.inet_aton(place.subnet.gateway)
    options = b""
    if given:
        options += _option(51, struct.pack("!I", LEASE)) + _option(58, struct.pack("!I", LEASE // 2))
        options += _option(59, struct.pack("!I", LEASE * 7 // 8))
    options += _option(1, network.netmask.packed) + _option(28, network.broadcast_address.packed) + _option(3, gateway)
    options += _option(6, socket.inet_aton(place.network.dns)) + _option(26, struct.pack("!H", mtu))
    name = place.port.private_hostname.split(".")[0].encode("ascii", "ignore")[:63]
    options += _option(12, name) if name else b""
    domain = place.network.domain.encode("ascii", "ignore")[:253]
    options += _option(15, domain) if domain else b""
    # a client that reads classless routes ignores the router option: the default route stands here as well
    routes = b"".join(bytes([32]) + socket.inet_aton(address) + gateway for address in (METADATA, API))
    return options + _option(121, routes + bytes([0]) + gateway)


def _option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value


class Responder:
    """The DHCP socket of one VPC; made inside the router's namespace."""

    def __init__(self, mtu: int, tallies: Tallies) -> None:
        self.mtu = mtu
        self.tallies = tallies
        self.view = View()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self.socket.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)
            self.socket.setblocking(False)
            self.socket.bind(("", 67))
        except OSError:
            self.socket.close()
            raise

    def close(self) -> None:
        self.socket.close()

    def readable(self) -> None:
        for _ in range(_BATCH):  # then the others have their turn
            try:
                data, ancillary, _, _ = self.socket.recvmsg(1500, 256)
            except (BlockingIOError, InterruptedError):
                return
            index = next((struct.unpack_from("=I", value)[0] for level, kind, value in ancillary if (level, kind) == (0, _PKTINFO)), 0)
            place = self.view.by_index.get(index)
            if place is not None:
                self._serve(data, index, place)

    def _serve(self, data: bytes, index: int, place: Place) -> None:
        tally = self.tallies.of(place.port.id)
        request = read(data)
        reply = answer(request, place, self.mtu) if request else None
        if request is None or reply is None:
            tally.note(refused=True, asked=KINDS.get(request.kind, "") if request else "malformed", answered="")
            return
        kind, message = reply
        to = request.client if request.client and kind != NAK else "255.255.255.255"
        source = struct.pack("=I4s4s", index, socket.inet_aton(place.subnet.gateway), bytes(4))
        with contextlib.suppress(OSError):  # the link has gone meanwhile
            self.socket.sendmsg([message], [(socket.IPPROTO_IP, _PKTINFO, source)], 0, (to, 68))
        said = {OFFER: "offer", ACK: "ack", NAK: "nak"}[kind]
        tally.note(refused=kind == NAK, asked=KINDS[request.kind], answered=said, ip=place.port.ip)
