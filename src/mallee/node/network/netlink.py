"""A small rtnetlink and ctnetlink client: links, addresses, routes, rules, neighbours and tracked connections of one namespace.

A ``Netlink`` belongs for ever to the network namespace of the thread that opened it, whatever namespace its users are in later; the
agent keeps one open per namespace. Every write is acknowledged by the kernel before it returns, and a write that finds its work done
is no error. It exists because the agent's memory is budgeted: the general library costs 24 MB for the two dozen messages used here.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ROUTE_PROTOCOL = 77  # marks the routes that are ours

_REQUEST, _ACK, _DUMP, _REPLACE, _EXCL, _CREATE = 0x1, 0x4, 0x300, 0x100, 0x200, 0x400
_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWNEIGH, _GETNEIGH = 28, 30
_NEWRULE, _DELRULE, _GETRULE = 32, 33, 34
_CT_GET, _CT_DELETE = 0x101, 0x102

MAIN, LOCAL = 254, 255
UNICAST, UNREACHABLE = 1, 7
_ROUTE_KINDS = {UNICAST: "unicast", 2: "local", 3: "broadcast", 6: "blackhole", UNREACHABLE: "unreachable", 8: "prohibit"}
_ONLINK = 4
_PERMANENT = 0x80
_UP, _LOWER_UP = 0x1, 0x10000


@dataclass(frozen=True, slots=True)
class Link:
    index: int
    name: str
    mac: str
    up: bool
    carrier: bool
    mtu: int
    kind: str  # veth, tun, vxlan, or "" for a physical one and lo
    statistics: dict[str, int]


@dataclass(frozen=True, slots=True, order=True)
class Address:
    index: int
    ip: str
    length: int


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """``to`` in CIDR notation ("0.0.0.0/0" is the default route); an onlink next hop when ``via`` is given."""

    to: str
    index: int = 0
    via: str = ""
    source: str = ""
    kind: int = UNICAST
    table: int = MAIN
    metric: int = 0
    protocol: int = ROUTE_PROTOCOL

    @property
    def kind_name(self) -> str:
        return _ROUTE_KINDS.get(self.kind, str(self.kind))


@dataclass(frozen=True, slots=True, order=True)
class Neighbour:
    index: int
    ip: str
    mac: str
    permanent: bool


@dataclass(frozen=True, slots=True, order=True)
class PolicyRule:
    preference: int
    mark: int
    table: int


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))


def _ip(kind: int, value: str) -> bytes:
    return _attribute(kind, socket.inet_aton(value))


def _mac(kind: int, value: str) -> bytes:
    return _attribute(kind, bytes.fromhex(value.replace(":", "")))


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def _u32(value: bytes | None, default: int = 0) -> int:
    return default if value is None else struct.unpack("=I", value)[0]


def _address(value: bytes | None) -> str:
    return "" if value is None else socket.inet_ntoa(value)


def _mac_text(value: bytes | None) -> str:
    return "" if value is None else ":".join(f"{octet:02x}" for octet in value)


class Netlink:
    """One conversation with the kernel about the namespace it was opened in. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequence = 0
        self._route = self._open(socket.NETLINK_ROUTE)
        self._filter: socket.socket | None = None
        try:
            self._filter = self._open(12)  # NETLINK_NETFILTER: absent where the kernel has no connection tracking
        except OSError:
            pass

    @staticmethod
    def _open(family: int) -> socket.socket:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        opened.settimeout(10)
        opened.bind((0, 0))
        return opened

    def close(self) -> None:
        self._route.close()
        if self._filter is not None:
            self._filter.close()

    # ------------------------------------------------------------------------------------------------------ exchange

    def _ask(
        self,
        kind: int,
        flags: int,
        body: bytes,
        through: socket.socket | None = None,
        keep: Callable[[bytes], bool] | None = None,
    ) -> list[bytes]:
        """Sends one message and returns the payloads of the answer (that ``keep`` likes); raises the kernel's ``OSError``."""
        through = through or self._route
        with self._lock:
            self._sequence += 1
            sequence = self._sequence
            through.send(struct.pack("=IHHII", 16 + len(body), kind, flags | _REQUEST, sequence, 0) + body)
            answers: list[bytes] = []
            while True:
                data = through.recv(1 << 18)
                at = 0
                while at + 16 <= len(data):
                    length, got, _, number, _ = struct.unpack_from("=IHHII", data, at)
                    payload = data[at + 16 : at + length]
                    at += (length + 3) & ~3
                    if number != sequence:
                        continue
                    if got == _ERROR:
                        code = -struct.unpack_from("=i", payload)[0]
                        if code:
                            raise OSError(code, os.strerror(code))
                        return answers
                    if got == _DONE:
                        return answers
                    if keep is None or keep(payload):
                        answers.append(payload)

    def _do(self, kind: int, body: bytes, flags: int = 0, fine: tuple[int, ...] = ()) -> None:
        try:
            self._ask(kind, flags | _ACK, body)
        except OSError as error:
            if error.errno not in fine:
                raise

    # --------------------------------------------------------------------------------------------------------- links

    def links(self) -> dict[str, Link]:
        found = {}
        for payload in self._ask(_GETLINK, _DUMP, struct.pack("=BxHiII", 0, 0, 0, 0, 0)):
            link = self._read_link(payload)
            found[link.name] = link
        return found

    def link(self, name: str) -> Link | None:
        try:
            answers = self._ask(_GETLINK, _ACK, struct.pack("=BxHiII", 0, 0, 0, 0, 0) + _text(3, name))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        return self._read_link(answers[0])

    @staticmethod
    def _read_link(payload: bytes) -> Link:
        _, _, index, flags, _ = struct.unpack_from("=BxHiII", payload)
        members = dict(_attributes(payload[16:]))
        information = dict(_attributes(members.get(18, b"")))
        numbers = struct.unpack_from("=8Q", members[23]) if 23 in members else (0,) * 8
        names = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped")
        return Link(
            index=index,
            name=members[3].rstrip(b"\0").decode(errors="replace"),
            mac=_mac_text(members.get(1)),
            up=bool(flags & _UP),
            carrier=bool(flags & _LOWER_UP),
            mtu=_u32(members.get(4)),
            kind=information.get(1, b"").rstrip(b"\0").decode(errors="replace"),
            statistics=dict(zip(names, numbers, strict=True)),
        )

    def add_veth(self, name: str, peer: str, peer_namespace: int, mac: str, peer_mac: str, mtu: int) -> None:
        """A pair of links: ``name`` here, ``peer`` in the namespace of that open file."""
        header = struct.pack("=BxHiII", 0, 0, 0, 0, 0)
        end = header + _text(3, peer) + _mac(1, peer_mac) + _number(4, mtu) + _number(28, peer_namespace)
        information = _text(1, "veth") + _attribute(2 | _NESTED, _attribute(1 | _NESTED, end))
        body = header + _text(3, name) + _mac(1, mac) + _number(4, mtu) + _attribute(18 | _NESTED, information)
        self._do(_NEWLINK, body, _CREATE | _EXCL)

    def change_link(
        self, index: int, *, up: bool | None = None, mac: str = "", mtu: int = 0, name: str = "", namespace: int | None = None
    ) -> None:
        body = struct.pack("=BxHiII", 0, 0, index, _UP if up else 0, 0 if up is None else _UP)
        body += _mac(1, mac) if mac else b""
        body += _number(4, mtu) if mtu else b""
        body += _text(3, name) if name else b""
        body += _number(28, namespace) if namespace is not None else b""
        self._do(_SETLINK, body)

    def delete_link(self, name: str) -> None:
        self._do(_DELLINK, struct.pack("=BxHiII", 0, 0, 0, 0, 0) + _text(3, name), fine=(errno.ENODEV,))

    # ----------------------------------------------------------------------------------------------------- addresses

    def addresses(self) -> set[Address]:
        found = set()
        for payload in self._ask(_GETADDR, _DUMP, struct.pack("=BBBBI", socket.AF_INET, 0, 0, 0, 0)):
            _, length, _, _, index = struct.unpack_from("=BBBBI", payload)
            members = dict(_attributes(payload[8:]))
            found.add(Address(index, _address(members.get(2, members.get(1))), length))
        return found

    def add_address(self, address: Address) -> None:
        body = struct.pack("=BBBBI", socket.AF_INET, address.length, 0, 0, address.index) + _ip(2, address.ip) + _ip(1, address.ip)
        self._do(_NEWADDR, body, _CREATE | _EXCL, fine=(errno.EEXIST,))

    def delete_address(self, address: Address) -> None:
        body = struct.pack("=BBBBI", socket.AF_INET, address.length, 0, 0, address.index) + _ip(2, address.ip)
        self._do(_DELADDR, body, fine=(errno.EADDRNOTAVAIL, errno.ENODEV))

    # -------------------------------------------------------------------------------------------------------- routes

    def routes(self, protocol: int | None = ROUTE_PROTOCOL) -> set[Route]:
        """The namespace's IPv4 routes: ours, or all of them with ``protocol`` None."""
        found = set()
        for payload in self._ask(_GETROUTE, _DUMP, struct.pack("=8BI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
            _, length, _, _, table, origin, _, kind, flags = struct.unpack_from("=8BI", payload)
            if flags & 0x200 or (protocol is not None and origin != protocol):  # 0x200: a cached clone
                continue
            members = dict(_attributes(payload[12:]))
            found.add(
                Route(
                    to=f"{_address(members.get(1)) or '0.0.0.0'}/{length}",
                    index=_u32(members.get(4)),
                    via=_address(members.get(5)),
                    source=_address(members.get(7)),
                    kind=kind,
                    table=_u32(members.get(15), table),
                    metric=_u32(members.get(6)),
                    protocol=origin,
                )
            )
        return found

    def _route_body(self, route: Route) -> bytes:
        address, length = route.to.split("/")
        scope = 253 if route.kind == UNICAST and not route.via else 0  # link, or universe
        flags = _ONLINK if route.via else 0
        table = route.table if route.table < 256 else 0
        body = struct.pack(
            "=8BI", socket.AF_INET, int(length), 0, 0, table, route.protocol, scope, route.kind, flags
        ) + _number(15, route.table)
        body += _ip(1, address) if int(length) else b""
        body += _number(4, route.index) if route.index else b""
        body += _ip(5, route.via) if route.via else b""
        body += _ip(7, route.source) if route.source else b""
        return body + (_number(6, route.metric) if route.metric else b"")

    def add_route(self, route: Route) -> None:
        """Adds the route, replacing another to the same place with the same metric."""
        self._do(_NEWROUTE, self._route_body(route), _CREATE | _REPLACE)

    def delete_route(self, route: Route) -> None:
        self._do(_DELROUTE, self._route_body(route), fine=(errno.ESRCH, errno.ENODEV))

    def rules(self) -> set[PolicyRule]:
        found = set()
        for payload in self._ask(_GETRULE, _DUMP, struct.pack("=8BI", socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)):
            table = payload[4]
            members = dict(_attributes(payload[12:]))
            found.add(PolicyRule(_u32(members.get(6)), _u32(members.get(10)), _u32(members.get(15), table)))
        return found

    @staticmethod
    def _rule_body(rule: PolicyRule) -> bytes:
        table = rule.table if rule.table < 256 else 0
        body = struct.pack("=8BI", socket.AF_INET, 0, 0, 0, table, 0, 0, 1, 0) + _number(6, rule.preference)
        return body + (_number(10, rule.mark) if rule.mark else b"") + _number(15, rule.table)

    def add_rule(self, rule: PolicyRule) -> None:
        self._do(_NEWRULE, self._rule_body(rule), _CREATE | _EXCL, fine=(errno.EEXIST,))

    def delete_rule(self, rule: PolicyRule) -> None:
        self._do(_DELRULE, self._rule_body(rule), fine=(errno.ENOENT,))

    # ---------------------------------------------------------------------------------------------------- neighbours

    def neighbours(self) -> set[Neighbour]:
        found = set()
        for payload in self._ask(_GETNEIGH, _DUMP, struct.pack("=BxHiHBB", socket.AF_INET, 0, 0, 0, 0, 0)):
            _, _, index, state, _, _ = struct.unpack_from("=BxHiHBB", payload)
            members = dict(_attributes(payload[12:]))
            found.add(Neighbour(index, _address(members.get(1)), _mac_text(members.get(2)), bool(state & _PERMANENT)))
        return found

    def set_neighbour(self, index: int, ip: str, mac: str) -> None:
        """A permanent entry: never asked for by ARP, never changed by what somebody claims."""
        body = struct.pack("=BxHiHBB", socket.AF_INET, 0, index, _PERMANENT, 0, 0) + _ip(1, ip) + _mac(2, mac)
        self._do(_NEWNEIGH, body, _CREATE | _REPLACE)

    # ------------------------------------------------------------------------------------------- tracked connections

    def forget_connections(self, addresses: set[str]) -> int:
        """Deletes the tracked IPv4 connections that any of these addresses takes part in; returns how many."""
        if self._filter is None or not addresses:
            return 0
        wanted = {socket.inet_aton(address) for address in addresses}
        header = struct.pack("=BBH", socket.AF_INET, 0, 0)
        forgotten = 0
        for payload in self._ask(_CT_GET, _DUMP, header, self._filter, lambda found: bool(_ends(found) & wanted)):
            members = dict(_attributes(payload[4:]))
            body = header + _attribute(1 | _NESTED, members[1])
            body += _attribute(12, members[12]) if 12 in members else b""
            body += _attribute(18, members[18]) if 18 in members else b""
            try:
                self._ask(_CT_DELETE, _ACK, body, self._filter)
                forgotten += 1
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
        return forgotten


def _ends(payload: bytes) -> set[bytes]:
    """The addresses of both directions of a tracked connection."""
    found: set[bytes] = set()
    for kind, direction in _attributes(payload[4:]):
        if kind in (1, 2):
            inner = dict(_attributes(dict(_attributes(direction)).get(1, b"")))
            found.update(inner[end] for end in (1, 2) if end in inner)
    return found
