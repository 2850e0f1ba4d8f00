"""The instance metadata service of one VPC: http://169.254.169.254 in the router's namespace, versions 1 and 2.

Who asks is told by the source address, which the firewall has checked against the port that the packet came from. A token is a
signed statement (until when, for which instance) and needs no memory, so that a guest that asks for a million costs nothing and a
token outlives the agent. Requests are hostile input: bounded in size, time and number per guest, and one connection carries one.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import unquote

from mallee.fabric.document import Credentials
from mallee.node.config import NodeConfig
from mallee.node.network import metadata
from mallee.node.network.credentials import RoleCredentials, shown
from mallee.node.network.loop import READ, WRITE, Loop
from mallee.node.network.routers import METADATA
from mallee.node.network.served import Place, Tallies, View

TOKEN, TOKEN_TTL = "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds"
LONGEST_TOKEN = 21600
LONGEST_HEAD = 16384
LONGEST_REQUEST = 10.0  # seconds from the connection to the last byte of the answer
PER_GUEST, IN_ALL = 32, 1024  # connections at a time
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_PAGE = """<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head>
  <title>{0} - {1}</title>
 </head>
 <body>
  <h1>{0} - {1}</h1>
 </body>
</html>
"""


@dataclass(slots=True)
class Response:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hops: int = 0  # how many hops the answer may travel; 0 means as any packet
    delivery: str = ""  # the body are the credentials of the guest's role, for this version of the service: 1.0 or 2.0

    @classmethod
    def error(cls, status: int, **headers: str) -> Response:
        page = _PAGE.format(status, _REASONS[status]).encode()
        return cls(
            status, page, {"Content-Type": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
        )

    def bytes(self, without_body: bool = False) -> bytes:
        head = [f"HTTP/1.1 {self.status} {_REASONS[self.status]}", f"Content-Length: {len(self.body)}", "Connection: close"]
        head += [f"Date: {formatdate(usegmt=True)}", "Server: EC2ws"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + (b"" if without_body else self.body)


class Tokens:
    """Session tokens: expiry and a signature over it and the instance, in EC2's length of 56 characters."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _signature(self, instance_id: str, expiry: bytes) -> bytes:
        return hmac.digest(self._key, expiry + instance_id.encode(), hashlib.sha512)[:34]

    def issue(self, instance_id: str, seconds: int, now: float) -> str:
        expiry = struct.pack("!Q", int(now * 1000) + seconds * 1000)
        return base64.urlsafe_b64encode(expiry + self._signature(instance_id, expiry)).decode()

    def remaining(self, token: str, instance_id: str, now: float) -> int | None:
        """Seconds that the token is still good for with this instance; None when it is not."""
        try:
            data = base64.urlsafe_b64decode(token.encode("ascii"))
        except (binascii.Error, ValueError):
            return None
        if len(data) != 42 or not hmac.compare_digest(data[8:], self._signature(instance_id, data[:8])):
            return None
        left = struct.unpack("!Q", data[:8])[0] / 1000 - now
        return int(left) if left > 0 else None


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]


def parse(head: bytes) -> Request | int:
    """The request in these bytes, which end before the empty line; or the status of the refusal."""
    try:
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, version = first.split(" ")
    except ValueError:
        return 400
    if not version.startswith("HTTP/1."):
        return 505 if version.startswith("HTTP/") else 400
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            return 400
        headers[name.lower()] = value.strip()
    if target.startswith("http://"):
        target = "/" + target[7:].partition("/")[2]
    if not target.startswith("/"):
        return 400
    return Request(method, target.partition("?")[0], headers)


def respond(request: Request, places: tuple[Place, ...], tokens: Tokens, config: NodeConfig, now: float) -> Response:
    """The answer to one request of the guest that has these ports."""
    guest = places[0].guest
    if guest is None or not guest.metadata.options.endpoint:
        return Response.error(403)
    options = guest.metadata.options
    path = [unquote(part) for part in request.path.split("/") if part]
    if request.method == "PUT":
        if path[1:] != ["api", "token"] or path[0] not in metadata.VERSIONS:
            return Response.error(404)
        if "x-forwarded-for" in request.headers:
            return Response.error(403)
        asked = request.headers.get(TOKEN_TTL, "")
        if not (asked.isascii() and asked.isdigit() and len(asked) <= 5 and 1 <= int(asked) <= LONGEST_TOKEN):
            return Response.error(400)
        token = tokens.issue(guest.id, int(asked), now)
        headers = {"Content-Type": "text/plain", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds": asked}
        return Response(200, token.encode(), headers, hops=options.hop_limit)
    if request.method not in ("GET", "HEAD"):
        return Response.error(405, Allow="GET, HEAD, PUT")
    headers = {}
    given = request.headers.get(TOKEN)
    if given is not None:
        left = tokens.remaining(given, guest.id, now)
        if left is None:
            return Response.error(401)
        headers["X-Aws-Ec2-Metadata-Token-Ttl-Seconds"] = str(left)
    elif options.tokens_required:
        return Response.error(401)
    body = metadata.find(path, places, guest, config)
    if body is None:
        return Response.error(404)
    if isinstance(body, metadata.Role):
        return Response(200, b"", {"Content-Type": "text/plain", **headers}, delivery="1.0" if given is None else "2.0")
    raw = path[1:] == ["user-data"]
    return Response(200, body, {"Content-Type": "application/octet-stream" if raw else "text/plain", **headers})


class Server:
    """The listening socket of one VPC and its connections; made inside the router's namespace."""

    def __init__(self, config: NodeConfig, loop: Loop, tokens: Tokens, tallies: Tallies, credentials: RoleCredentials) -> None:
        self.config = config
        self.loop = loop
        self.tokens = tokens
        self.credentials = credentials
        self.tallies = tallies
        self.view = View()
        self.connections: dict[socket.socket, Connection] = {}
        self.per_guest: dict[str, int] = {}
        self.socket = socket.create_server((METADATA, 80), backlog=256)
        self.socket.setblocking(False)

    def close(self) -> None:
        self.loop.forget(self.socket)
        self.socket.close()
        for connection in list(self.connections.values()):
            connection.close()

    def acceptable(self) -> None:
        for _ in range(64):  # then the others have their turn
            try:
                accepted, (ip, _) = self.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            place = self.view.by_ip.get(ip)
            if place is None or len(self.connections) >= IN_ALL or self.per_guest.get(place.port.guest_id, 0) >= PER_GUEST:
                if place is not None:
                    self.tallies.of(place.port.guest_id).note(
                        refused=True, method="", path="", status=0, why="too many connections"
                    )
                accepted.close()
                continue
            accepted.setblocking(False)
            Connection(self, accepted, place)

    def tick(self) -> None:
        now = time.monotonic()
        for connection in [each for each in self.connections.values() if each.deadline < now]:
            connection.close()

    def answer(self, head: bytes, place: Place) -> tuple[Response, bool]:
        """The response, and whether its body stays at home (HEAD)."""
        request = parse(head)
        tally = self.tallies.of(place.port.guest_id)
        if isinstance(request, int):
            tally.note(refused=True, method="", path="", status=request)
            return Response.error(request), False
        places = self.view.ports.get(place.port.guest_id, (place,))
        response = respond(request, places, self.tokens, self.config, time.time())
        tally.note(response.status >= 400, method=request.method[:10], path=request.path[:200], status=response.status)
        return response, request.method == "HEAD"


class Connection:
    """One request and its answer. Reads the head, writes the answer, then waits for the guest to close, briefly."""

    def __init__(self, server: Server, accepted: socket.socket, place: Place) -> None:
        self.server = server
        self.socket = accepted
        self.place = place
        self.head = bytearray()
        self.answer = memoryview(b"")
        self.deadline = time.monotonic() + LONGEST_REQUEST
        server.connections[accepted] = self
        server.per_guest[place.port.guest_id] = server.per_guest.get(place.port.guest_id, 0) + 1
        server.loop.watch(accepted, READ, self._guard(self.readable))

    def _guard(self, callback: Callable[[], None]) -> Callable[[], None]:
        def guarded() -> None:
            try:
                callback()
            except (BlockingIOError, InterruptedError):
                pass
            except BaseException as error:
                self.close()
                if not isinstance(error, OSError):
                    raise

        return guarded

    def close(self) -> None:
        if self.server.connections.pop(self.socket, None) is None:
            return
        left = self.server.per_guest.get(self.place.port.guest_id, 1) - 1
        if left:
            self.server.per_guest[self.place.port.guest_id] = left
        else:
            self.server.per_guest.pop(self.place.port.guest_id, None)
        self.server.loop.forget(self.socket)
        self.socket.close()

    def readable(self) -> None:
        data = self.socket.recv(4096)
        if not data:
            self.close()
            return
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0 and len(self.head) <= LONGEST_HEAD:
            return
        if end < 0:
            response, without_body = Response.error(431), False
        else:
            response, without_body = self.server.answer(bytes(self.head[:end]), self.place)
        self.head.clear()
        if response.delivery:
            self._fetch(response, without_body)
        else:
            self._send(response, without_body)

    def _fetch(self, response: Response, without_body: bool) -> None:
        """The answer follows when the credentials are there; the loop goes on meanwhile."""
        guest = self.place.guest
        assert guest is not None
        self.server.loop.forget(self.socket)

        def fetched(found: Credentials | None) -> None:
            self.server.loop.soon(self._guard(lambda: arrived(found)))

        def arrived(found: Credentials | None) -> None:
            if self.socket not in self.server.connections:
                return  # its time was over
            if found is None:
                self._send(Response.error(503), without_body)
            else:
                response.body = shown(found)
                self._send(response, without_body)

        self.server.credentials.ask(guest, response.delivery, fetched)

    def _send(self, response: Response, without_body: bool) -> None:
        if response.hops:
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, min(max(response.hops, 1), 64))
        self.answer = memoryview(response.bytes(without_body))
        self.server.loop.watch(self.socket, WRITE, self._guard(self.writable))
        self.writable()

    def writable(self) -> None:
        while self.answer:
            self.answer = self.answer[self.socket.send(self.answer) :]
        self.socket.shutdown(socket.SHUT_WR)
        self.deadline = min(self.deadline, time.monotonic() + 2)
        self.server.loop.watch(self.socket, READ, self._guard(self.finishing))

    def finishing(self) -> None:
        """What the guest still sends is thrown away, so that closing does not reset the answer that it is reading."""
        with contextlib.suppress(BlockingIOError):
            if not self.socket.recv(65536):
                self.close()
