"""The way of guests to the cloud's API: http://169.254.169.252 in every router's namespace, and https.

A connection is passed on to a socket of the cloud that only nodes can open, after a header that says from which VPC and
address it came (``fabric/origin.py``): the firewall has checked both, so that policies may rely on ``aws:SourceVpc`` and
``aws:VpcSourceIp``. Nothing else of the host can be reached in this way. The bytes are not looked at, and TLS ends in the
cloud. Connections are bounded in number per guest, in what is kept of them, and in how long they may say nothing.
"""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

from mallee.fabric import origin
from mallee.fabric.origin import Origin
from mallee.node.network.loop import READ, WRITE, Loop
from mallee.node.network.routers import API
from mallee.node.network.served import Place, Tallies, View

PORTS = {80: origin.PLAIN, 443: origin.TLS}
PER_GUEST, IN_ALL = 64, 2048  # connections at a time
SILENCE = 300.0  # seconds without a byte in either direction
BUFFER = 64 * 1024  # bytes on their way in one direction
_BATCH = 32


class Door:
    """The listening sockets of one VPC and the connections that came through them; made inside the router's namespace."""

    def __init__(self, run: Path, loop: Loop, vpc_id: str, tallies: Tallies) -> None:
        """``run``: the folder of the cloud's sockets."""
        self.run = run
        self.loop = loop
        self.vpc_id = vpc_id
        self.tallies = tallies
        self.view = View()
        self.relays: set[Relay] = set()
        self.per_guest: dict[str, int] = {}
        self.listening: dict[int, socket.socket] = {}
        try:
            for port in PORTS:
                self.listening[port] = socket.create_server((API, port), backlog=128)
                self.listening[port].setblocking(False)
        except OSError:
            self.close()
            raise

    def open(self) -> None:
        """In the loop's thread, as all that follows."""
        for port, each in self.listening.items():
            self.loop.watch(each, READ, lambda port=port: self._accept(port))  # type: ignore[misc]

    def close(self) -> None:
        for each in self.listening.values():
            self.loop.forget(each)
            each.close()
        for relay in list(self.relays):
            relay.close()

    def tick(self) -> None:
        now = time.monotonic()
        for relay in [each for each in self.relays if now - each.moved > SILENCE]:
            relay.close()
        # what has left the network is cut: whoever gets its address later is somebody else
        for relay in [each for each in self.relays if self.view.by_ip.get(each.place.port.ip) is None]:
            relay.close()

    def _accept(self, port: int) -> None:
        for _ in range(_BATCH):  # then the others have their turn
            try:
                guest, (ip, source_port) = self.listening[port].accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            place = self.view.by_ip.get(ip)
            if place is None:
                guest.close()
                continue
            tally = self.tallies.of(place.port.guest_id)
            if self.per_guest.get(place.port.guest_id, 0) >= PER_GUEST or len(self.relays) >= IN_ALL:
                tally.note(refused=True, port=port, why="too many connections")
                guest.close()
                continue
            header = origin.encode(Origin(self.vpc_id, ip, source_port), API, port)
            cloud = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                guest.setblocking(False)
                cloud.setblocking(False)
                cloud.connect(str(self.run / PORTS[port]))
            except OSError:  # the guest's client tries again
                tally.note(refused=True, port=port, why="the cloud is away")
                guest.close()
                cloud.close()
                continue
            tally.note(port=port, why="passed on")
            Relay(self, place, guest, cloud, header)


class Relay:
    """Both directions of one connection."""

    def __init__(self, door: Door, place: Place, guest: socket.socket, cloud: socket.socket, header: bytes) -> None:
        self.door = door
        self.place = place
        self.moved = time.monotonic()
        self.ways = (_Way(guest, cloud, bytearray(header)), _Way(cloud, guest, bytearray()))
        self.sockets = (guest, cloud)
        with contextlib.suppress(OSError):
            guest.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        door.relays.add(self)
        door.per_guest[place.port.guest_id] = door.per_guest.get(place.port.guest_id, 0) + 1
        self.turn()

    def turn(self) -> None:
        """Moves what can be moved without waiting, then waits for whatever was missing."""
        try:
            moved = [way.move() for way in self.ways]
        except OSError:
            self.close()
            return
        if any(moved):
            self.moved = time.monotonic()
        if all(way.done for way in self.ways):
            self.close()
            return
        for each in self.sockets:
            events = 0
            for way in self.ways:
                events |= READ if way.source is each and way.wants_more else 0
                events |= WRITE if way.target is each and way.held else 0
            if events:
                self.door.loop.watch(each, events, self.turn)
            else:
                self.door.loop.forget(each)

    def close(self) -> None:
        if self not in self.door.relays:
            return
        self.door.relays.discard(self)
        guest_id = self.place.port.guest_id
        left = self.door.per_guest.get(guest_id, 1) - 1
        if left:
            self.door.per_guest[guest_id] = left
        else:
            self.door.per_guest.pop(guest_id, None)
        for each in self.sockets:
            self.door.loop.forget(each)
            each.close()


class _Way:
    """One direction: what was read and not yet written, and whether the end was reached and passed on."""

    __slots__ = ("done", "ended", "held", "source", "target")

    def __init__(self, source: socket.socket, target: socket.socket, held: bytearray) -> None:
        self.source = source
        self.target = target
        self.held = held
        self.ended = False
        self.done = False

    @property
    def wants_more(self) -> bool:
        return not self.ended and len(self.held) < BUFFER

    def move(self) -> bool:
        """Whether any byte was moved."""
        moved = False
        if self.wants_more:
            with contextlib.suppress(BlockingIOError, InterruptedError):
                data = self.source.recv(BUFFER)
                self.held += data
                self.ended = not data
                moved = True
        if self.held:
            with contextlib.suppress(BlockingIOError, InterruptedError):
                del self.held[: self.target.send(self.held)]
                moved = True
        if self.ended and not self.held and not self.done:
            self.done = True
            with contextlib.suppress(OSError):
                self.target.shutdown(socket.SHUT_WR)
        return moved
