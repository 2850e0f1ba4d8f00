"""The node's end of the fabric: HTTP/1.1 over a unix socket, with nothing but the standard library.

Holds a few idle keep-alive connections, so that a long poll, reports and blob downloads go side by side from any
thread. A connection that the cloud closed while it lay idle is replaced silently; when the cloud can't be reached,
calls fail with ``Unreachable`` and the next ones are held back for a growing, jittered moment, so that a caller may
just loop.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import socket
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from .document import Credentials, Desired, Join, Report, decode, encode
from .transport import (
    CONSOLE_LIMIT,
    GENERATION_HEADER,
    LONGEST_POLL,
    NODE_HEADER,
    OFFSET_HEADER,
    VERSION,
    VERSION_HEADER,
    BlobCorrupt,
    BlobMissing,
    CredentialsMissing,
    FabricError,
    JoinFirst,
    Refused,
    Unreachable,
    VersionRefused,
)

_IDLE_CONNECTIONS = 4
_CHUNK = 1024 * 1024
_REPLY_TIMEOUT = 30.0  # seconds; a report of many guests waits for the cloud's one writer
_CREDENTIALS_TIMEOUT = 8.0  # a guest is waiting
_SHORTEST_BACK_OFF, _LONGEST_BACK_OFF = 0.05, 2.0
_REFUSALS = {409: JoinFirst, 426: VersionRefused, 404: BlobMissing, 503: Unreachable}


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_REPLY_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class SocketTransport:
    """``Transport`` over the unix socket at ``path``."""

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        self._lock = threading.Lock()
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._closed = threading.Event()
        self._back_off = 0.0
        self._not_before = 0.0
        self._documents: dict[str, Desired] = {}

    # ------------------------------------------------------------------------------------------------------------ calls

    def join(self, joining: Join) -> None:
        self._exchange("POST", "/v1/join", encode(joining), joining.node_id)

    def desired(self, node_id: str, after: int, digest: str, timeout: float) -> Desired | None:
        timeout = min(max(timeout, 0.0), LONGEST_POLL)
        query = urllib.parse.urlencode({"node": node_id, "after": after, "digest": digest, "wait": f"{timeout:.3f}"})
        status, headers, body = self._exchange("GET", f"/v1/desired?{query}", None, node_id, timeout + _REPLY_TIMEOUT)
        if status == 200:
            document = _read(body)
        else:
            generation = int(headers.get(GENERATION_HEADER, after))
            if generation == after:
                return None
            last = self._documents.get(node_id)
            if last is None or last.digest != digest:  # the caller has the content from elsewhere
                return self.desired(node_id, 0, "", timeout)
            document = replace(last, generation=generation)
        self._documents[node_id] = document
        return document

    def report(self, report: Report) -> None:
        self._exchange("POST", "/v1/report", encode(report), report.node_id)

    def console(self, instance_id: str, text: bytes, offset: int = 0) -> None:
        cut = max(0, len(text) - CONSOLE_LIMIT)
        path = f"/v1/console/{urllib.parse.quote(instance_id, safe='')}"
        self._exchange("POST", path, text[cut:], None, extra={OFFSET_HEADER: str(offset + cut)})

    def credentials(self, node_id: str, instance_id: str, delivery: str) -> Credentials:
        path = f"/v1/credentials/{urllib.parse.quote(instance_id, safe='')}?delivery={urllib.parse.quote(delivery, safe='')}"
        try:
            body = self._exchange("GET", path, None, node_id, _CREDENTIALS_TIMEOUT)[2]
        except BlobMissing as error:
            raise CredentialsMissing(str(error)) from None
        try:
            return decode(Credentials, body)
        except ValueError:  # its words would quote the body
            raise FabricError(f"The cloud's credentials for {instance_id} can't be read.") from None

    def blob(self, digest: str, to: Path) -> None:
        part = to.with_name(to.name + ".part")
        with open(part, "a+b") as file:
            hasher = hashlib.sha256()
            file.seek(0)
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
            try:
                self._fetch(digest, file, hasher)
            except _OwnDisk as trouble:
                raise trouble.error from None
            file.flush()
            os.fsync(file.fileno())
        if f"sha256:{hasher.hexdigest()}" != (digest if ":" in digest else f"sha256:{digest}"):
            part.unlink(missing_ok=True)
            raise BlobCorrupt(f"The blob {digest} arrived with the digest sha256:{hasher.hexdigest()}.")
        os.replace(part, to)

    def close(self) -> None:
        """Ends every connection; calls in progress in other threads fail with ``Unreachable`` at once, as do later
        ones.
        """
        self._closed.set()
        with self._lock:
            connections = [*self._idle, *self._busy]
            self._idle.clear()
        for connection in connections:
            if connection.sock is not None:
                try:
                    connection.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    # -------------------------------------------------------------------------------------------------------- machinery

    def _fetch(self, digest: str, file: BinaryIO, hasher: hashlib._Hash) -> None:
        offset = file.tell()
        extra = {"Range": f"bytes={offset}-"} if offset else {}
        with self._asked("GET", f"/v1/blobs/{urllib.parse.quote(digest)}", None, None, _REPLY_TIMEOUT, extra) as response:
            if response.status == 416:  # nothing is missing, or the part is longer than the blob: the digest decides
                response.read()
                return
            if response.status not in (200, 206):
                raise _refusal(response.status, response.read())
            remaining = int(response.headers["Content-Length"])
            while remaining:
                chunk = response.read(min(_CHUNK, remaining))
                if not chunk:
                    raise Unreachable(f"The cloud ended the blob {digest} early.")
                try:
                    file.write(chunk)
                except OSError as error:
                    raise _OwnDisk(error) from error
                hasher.update(chunk)
                remaining -= len(chunk)

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        node_id: str | None,
        timeout: float = _REPLY_TIMEOUT,
        extra: dict[str, str] | None = None,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        with self._asked(method, path, body, node_id, timeout, extra or {}) as response:
            answer = response.read()
            if response.status not in (200, 204):
                raise _refusal(response.status, answer)
            return response.status, response.headers, answer

    @contextmanager
    def _asked(
        self, method: str, path: str, body: bytes | None, node_id: str | None, timeout: float, extra: dict[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        headers = {VERSION_HEADER: str(VERSION), **extra}
        if node_id is not None:
            headers[NODE_HEADER] = node_id
        self._hold_back()
        connection, fresh = self._take()
        try:
            try:
                response = self._send(connection, method, path, body, headers, timeout)
            except (http.client.RemoteDisconnected, ConnectionError):
                if fresh or self._closed.is_set():
                    raise
                connection.close()  # it lay idle and the cloud has closed it; every call may be repeated
                response = self._send(connection, method, path, body, headers, timeout)
            if response.status < 500:
                self._back_off = 0.0
            else:
                self._slow_down()
            yield response
        except (http.client.HTTPException, OSError) as error:
            self._discard(connection)
            self._slow_down()
            raise Unreachable(f"The cloud does not answer at {self._path}: {error}.") from error
        except BaseException:
            self._discard(connection)
            raise
        else:
            self._give_back(connection, response)

    def _send(
        self,
        connection: _Connection,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        timeout: float,
    ) -> http.client.HTTPResponse:
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        connection.request(method, path, body, headers)
        return connection.getresponse()

    def _take(self) -> tuple[_Connection, bool]:
        with self._lock:
            if self._closed.is_set():
                raise Unreachable("This end of the fabric is closed.")
            fresh = not self._idle
            connection = _Connection(self._path) if fresh else self._idle.pop()
            self._busy.add(connection)
        return connection, fresh

    def _give_back(self, connection: _Connection, response: http.client.HTTPResponse) -> None:
        with self._lock:
            self._busy.discard(connection)
            if response.isclosed() and not self._closed.is_set() and len(self._idle) < _IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _discard(self, connection: _Connection) -> None:
        with self._lock:
            self._busy.discard(connection)
        connection.close()

    def _slow_down(self) -> None:
        self._back_off = min(_LONGEST_BACK_OFF, max(_SHORTEST_BACK_OFF, self._back_off * 2))
        self._not_before = time.monotonic() + self._back_off * random.uniform(0.5, 1.0)

    def _hold_back(self) -> None:
        if self._back_off:
            self._closed.wait(max(0.0, self._not_before - time.monotonic()))


class _OwnDisk(Exception):
    """Trouble with the file that a blob is written to, kept apart from trouble with the socket."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def _read(body: bytes) -> Desired:
    try:
        return decode(Desired, body)
    except ValueError as error:
        raise FabricError(f"The cloud's document can't be read: {error}.") from error


def _refusal(status: int, body: bytes) -> FabricError:
    try:
        sentence = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        sentence = f"The cloud answered with status {status}."
    return _REFUSALS.get(status, Refused if 400 <= status < 500 else Unreachable)(sentence)
