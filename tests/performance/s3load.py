"""Load on S3's doors: requests signed before the clock starts, on raw connections, from one process that costs next to nothing."""

from __future__ import annotations

import hashlib
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .load import Target

EMPTY = hashlib.sha256(b"").hexdigest()


def request(target: Target, method: str, path: str, body: bytes = b"", sha256: str | None = None) -> bytes:
    """A signed request's head and body, ready for the socket."""
    url = target.endpoint + path
    digest = sha256 or (hashlib.sha256(body).hexdigest() if body else EMPTY)
    made = AWSRequest(method, url, headers={"X-Amz-Content-SHA256": digest})
    signer = S3SigV4Auth(Credentials(target.access_key, target.secret_key), "s3", target.region)
    signer.payload = lambda request: digest  # type: ignore[method-assign]
    signer.add_auth(made)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}", *(f"{name}: {value}" for name, value in made.headers.items())]
    if body or method == "PUT":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def connect(endpoint: str) -> socket.socket:
    where = urlsplit(endpoint)
    made = socket.create_connection((where.hostname, where.port or 80), timeout=60)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


@dataclass
class _Busy:
    socket: socket.socket
    got: bytearray
    wanted: int = -1


def at_once(endpoint: str, requests: Sequence[bytes], connections: int) -> float:
    """Answers per second: all requests, spread over so many connections, each sent when the one before it was answered."""
    selector = selectors.DefaultSelector()
    left = iter(requests)
    began = time.perf_counter()
    busy = 0
    for _ in range(connections):
        one = _Busy(connect(endpoint), bytearray())
        selector.register(one.socket, selectors.EVENT_READ, one)
        one.socket.sendall(next(left))
        busy += 1
    done = 0
    while busy:
        for key, _ in selector.select():
            one = key.data
            one.got += _some(one.socket)
            if one.wanted < 0:
                one.wanted = _length(one.got)
            if one.wanted < 0 or len(one.got) < one.wanted:
                continue
            assert one.got[9:12] in (b"200", b"204"), bytes(one.got[:500])
            done += 1
            one.got, one.wanted = bytearray(), -1
            following = next(left, None)
            if following is None:
                busy -= 1
                selector.unregister(one.socket)
                one.socket.close()
            else:
                one.socket.sendall(following)
    return done / (time.perf_counter() - began)


def _some(link: socket.socket) -> bytes:
    data = link.recv(1 << 18)
    assert data, "the server closed the connection"
    return data


def _length(got: bytearray, has_body: bool = True) -> int:
    end = got.find(b"\r\n\r\n")
    if end < 0:
        return -1
    head = bytes(got[:end]).lower()
    mark = head.find(b"content-length:")
    length = int(head[mark + 15 : (head + b"\r\n").index(b"\r\n", mark)]) if mark >= 0 else 0
    return end + 4 + length


def upload(endpoint: str, head_and_body: bytes) -> float:
    """Seconds of one large PUT."""
    link = connect(endpoint)
    began = time.perf_counter()
    link.sendall(head_and_body)
    answer = _some(link)
    taken = time.perf_counter() - began
    assert answer[9:12] == b"200", answer[:500]
    link.close()
    return taken


def download(endpoint: str, asked: bytes, size: int) -> float:
    """Seconds of one large GET; nothing is done with the bytes."""
    link = connect(endpoint)
    into = bytearray(1 << 20)
    began = time.perf_counter()
    link.sendall(asked)
    got = bytearray(_some(link))
    while got.find(b"\r\n\r\n") < 0:
        got += _some(link)
    assert got[9:12] == b"200", bytes(got[:500])
    left = size - (len(got) - got.find(b"\r\n\r\n") - 4)
    while left:
        count = link.recv_into(into)
        assert count
        left -= count
    taken = time.perf_counter() - began
    link.close()
    return taken


def processor_of(pid: int) -> Callable[[], float]:
    """Processor seconds that a process has used."""
    stat = Path(f"/proc/{pid}/stat")

    def used() -> float:
        words = stat.read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / 100

    return used
