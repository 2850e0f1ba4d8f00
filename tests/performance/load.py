"""One keep-alive connection that sends ready-made requests and times the answers: the client costs next to nothing."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


@dataclass(frozen=True, slots=True)
class Target:
    """A server of a cloud's API, and a key to it."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str

    def request(self, service: str = "ec2", version: str = "2016-11-15", **parameters: str) -> bytes:
        """A signed request in the query protocol, ready for the socket."""
        body = urlencode({**parameters, "Version": version}).encode()  # the action first, as every SDK writes it
        url = self.endpoint + "/"
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "Host": urlsplit(url).netloc}
        request = AWSRequest(method="POST", url=url, data=body, headers=headers)
        SigV4Auth(Credentials(self.access_key, self.secret_key), service, self.region).add_auth(request)
        lines = ["POST / HTTP/1.1", *(f"{name}: {value}" for name, value in request.headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


IDLE = 30.0  # seconds after which a server may well have closed what nobody used


class Connection:
    """Kept alive for as long as the server wants; one that closes after each answer is connected to anew, in the time measured."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.socket: socket.socket | None = None
        self._used = 0.0

    def _connected(self) -> socket.socket:
        if self.socket is None:
            where = urlsplit(self.target.endpoint)
            self.socket = socket.create_connection((where.hostname, where.port or 80), timeout=60)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.socket

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if time.monotonic() - self._used > IDLE:
            self.close()
        link = self._connected()
        link.sendall(request)
        got = bytearray()
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += _more(link)
        head = bytes(got[:end]).lower()
        status = int(head.split(None, 2)[1])
        mark = head.index(b"content-length:") + 15
        length = int(head[mark : (head + b"\r\n").index(b"\r\n", mark)])
        while len(got) < end + 4 + length:
            got += _more(link)
        if b"\r\nconnection: close" in head:
            self.close()
        self._used = time.monotonic()
        return status, bytes(got[end + 4 :])

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def _more(link: socket.socket) -> bytes:
    data = link.recv(1 << 18)
    assert data, "the server closed the connection"
    return data


def times(target: Target, requests: Sequence[bytes], seconds: float, most: int = 5000) -> list[float]:
    """Seconds of each answer, one after the other on one connection; every answer must be a 200."""
    connection = Connection(target)
    taken: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until and len(taken) < most:
        started = time.perf_counter()
        status, body = connection.send(requests[len(taken) % len(requests)])
        taken.append(time.perf_counter() - started)
        assert status == 200, body[:500]
    connection.close()
    return taken


def rate(taken: list[float]) -> float:
    return len(taken) / sum(taken)


def median(values: list[float]) -> float:
    return statistics.median(values)
