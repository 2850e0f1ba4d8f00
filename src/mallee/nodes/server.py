"""The fabric over HTTP: a small ASGI application on a unix socket, and the server that holds it.

The socket's file mode is the authentication: only the cloud's own user and root can open it. A question for the
desired document waits in the event loop, not in a thread; one thread per process watches the topic ``desired``, reads
all generations at once and wakes those whose node's generation has moved, so that an idle node costs nothing and a
thousand nodes cost one query per change.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

import uvicorn

from mallee.fabric.document import Join, Report, decode, encode
from mallee.fabric.pace import Pace
from mallee.fabric.sockets import private_listener
from mallee.fabric.transport import (
    CONSOLE_LIMIT,
    GENERATION_HEADER,
    LONGEST_POLL,
    NODE_HEADER,
    OFFSET_HEADER,
    REPORT_LIMIT,
    VERSION,
    VERSION_HEADER,
    BlobMissing,
    CredentialsMissing,
    JoinFirst,
    Refused,
    VersionRefused,
)
from mallee.store import Database, StoreUnavailable

from .records import generations
from .session import Session

_POLL = 2.0  # seconds between looks at the generations when no nudge comes
_CHUNK = 1024 * 1024
_JOIN_LIMIT = 64 * 1024
_THREADS = 4
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")

log = logging.getLogger(__name__)
T = TypeVar("T")
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class _Failure(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = json.dumps({"error": code, "message": message}).encode()


class _Watch:
    """Wakes those who wait for a node's generation to move."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[asyncio.Future[None], tuple[str, int]] = {}
        self._latest: dict[str, int] = {}
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    async def wait(self, node_id: str, after: int, timeout: float) -> None:
        """Returns when the node's generation is not ``after``, after ``timeout`` seconds, or when the watch stops."""
        self._start()
        assert self._loop is not None
        if self._latest.get(node_id, after) > after:  # it moved between the caller's look and now
            return
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting[future] = (node_id, after)
        try:
            await asyncio.wait_for(future, timeout)
        except TimeoutError:
            pass
        finally:
            del self._waiting[future]

    def stop(self) -> None:
        self._stopped.set()
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def _start(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            threading.Thread(target=self._run, name="fabric-watch", daemon=True).start()

    def _run(self) -> None:
        assert self._loop is not None
        pace = Pace(share=0.1, longest=0.05)
        while not self._stopped.is_set():
            try:
                mark = self._database.mark("desired")
                began = time.monotonic()
                with self._database.reading() as tx:
                    now = generations(tx)
                self._loop.call_soon_threadsafe(self._wake, now)
                pace.worked(time.monotonic() - began)
                self._database.wait("desired", _POLL, mark)
                self._stopped.wait(pace.wait())
            except StoreUnavailable:
                self._stopped.wait(_POLL)
            except Exception:
                if self._loop.is_closed():
                    return
                log.exception("watching the nodes' generations")
                self._stopped.wait(_POLL)

    def _wake(self, now: dict[str, int]) -> None:
        self._latest = now
        for future, (node_id, after) in self._waiting.items():
            if now.get(node_id) != after and not future.done():
                future.set_result(None)


class FabricApp:
    """The ASGI application. Answers ``200`` or ``204``; a refusal is ``{"error": code, "message": sentence}``."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._watch = _Watch(session.database)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fabric")

    def stop(self) -> None:
        """Answers all who wait, so that the server can end. To be called in the event loop's thread."""
        self._watch.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the fabric does not speak {scope['type']}")
        begun = False

        async def sending(message: dict[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._answer(scope, receive, sending)
        except _Failure as failure:
            await _respond(send, failure.status, failure.body)
        except VersionRefused as error:
            await _respond(send, 426, _Failure(426, "version", str(error)).body, {"upgrade": f"mallee-fabric/{VERSION}"})
        except JoinFirst as error:
            await _respond(send, 409, _Failure(409, "join-first", str(error)).body)
        except BlobMissing as error:
            await _respond(send, 404, _Failure(404, "blob-missing", str(error)).body)
        except CredentialsMissing as error:
            await _respond(send, 404, _Failure(404, "no-credentials", str(error)).body)
        except Refused as error:
            await _respond(send, 400, _Failure(400, "refused", str(error)).body)
        except StoreUnavailable as error:
            await _respond(send, 503, _Failure(503, error.fault, str(error)).body)
        except Exception:
            log.exception("answering %s %s", scope["method"], scope["path"])
            if begun:
                raise
            await _respond(send, 500, _Failure(500, "internal", "The cloud failed; its log says how.").body)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        _check_version(headers)
        method, path = scope["method"], scope["path"]
        if (method, path) == ("GET", "/v1/desired"):
            await self._desired(parse_qs(scope["query_string"].decode("latin-1")), send)
        elif (method, path) == ("POST", "/v1/report"):
            report = _parsed(Report, await _body(receive, headers, REPORT_LIMIT))
            _check_node(headers, report.node_id)
            await self._in_thread(self.session.report, report)
            await _respond(send, 204)
        elif (method, path) == ("POST", "/v1/join"):
            joining = _parsed(Join, await _body(receive, headers, _JOIN_LIMIT))
            _check_node(headers, joining.node_id)
            await self._in_thread(self.session.join, joining)
            await _respond(send, 204)
        elif method == "POST" and path.startswith("/v1/console/"):
            text = await _body(receive, headers, CONSOLE_LIMIT)
            offset = headers.get(OFFSET_HEADER.lower(), "0")
            if not re.fullmatch(r"[0-9]{1,18}", offset):
                raise _Failure(400, "malformed", f"{OFFSET_HEADER} is a number of bytes.")
            instance_id = path.removeprefix("/v1/console/")
            node_id = headers.get(NODE_HEADER.lower())
            await self._in_thread(self.session.console, node_id, instance_id, text, int(offset))
            await _respond(send, 204)
        elif method == "GET" and path.startswith("/v1/credentials/"):
            await self._credentials(path.removeprefix("/v1/credentials/"), scope, headers, send)
        elif method == "GET" and path.startswith("/v1/blobs/"):
            await self._blob(path.removeprefix("/v1/blobs/"), headers.get("range"), send)
        else:
            raise _Failure(404, "unknown", f"The fabric has no {method} {path}.")

    async def _desired(self, query: dict[str, list[str]], send: Send) -> None:
        try:
            node_id = query["node"][0]
            after = int(query.get("after", ["0"])[0])
            digest = query.get("digest", [""])[0]
            wait = float(query.get("wait", [str(LONGEST_POLL)])[0])
            if not 0.0 <= wait <= LONGEST_POLL:
                raise ValueError(wait)
        except (KeyError, ValueError):
            raise _Failure(400, "malformed", "Ask /v1/desired with node, after, digest and wait (at most 25).") from None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            document = await self._in_thread(self.session.document, node_id)
            if document.generation != after or document.digest != digest:
                break
            remaining = deadline - loop.time()
            if remaining <= 0 or self._watch.stopped:
                break
            await self._watch.wait(node_id, after, remaining)
            await asyncio.sleep(min(self.session.pause(node_id), max(0.0, deadline - loop.time())))
        if document.digest == digest:
            await _respond(send, 204, headers={GENERATION_HEADER.lower(): str(document.generation)})
        else:
            await _respond(send, 200, document.body())

    async def _credentials(self, instance_id: str, scope: Scope, headers: dict[str, str], send: Send) -> None:
        delivery = parse_qs(scope["query_string"].decode("latin-1")).get("delivery", [""])[0]
        if delivery not in ("1.0", "2.0"):
            raise _Failure(400, "malformed", "Ask /v1/credentials/<instance> with delivery, which is 1.0 or 2.0.")
        node_id = headers.get(NODE_HEADER.lower())
        found = await self._in_thread(self.session.credentials, node_id, instance_id, delivery)
        await _respond(send, 200, encode(found))

    async def _blob(self, digest: str, wanted: str | None, send: Send) -> None:
        name = unquote(digest)
        blob = await self._in_thread(self.session.blob, name)
        try:
            size = blob.size
            first, last = _range(wanted, size)
            partial = (first, last) != (0, size - 1)
            headers = {"content-length": str(last - first + 1), "accept-ranges": "bytes", "etag": f'"{name.removeprefix("sha256:")}"'}
            headers["content-type"] = "application/octet-stream"
            if partial:
                headers["content-range"] = f"bytes {first}-{last}/{size}"
            await send({"type": "http.response.start", "status": 206 if partial else 200, "headers": _encoded(headers)})
            while first <= last:
                chunk = await self._in_thread(blob.read, first, min(_CHUNK, last - first + 1))
                first += len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await self._in_thread(blob.close)

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, functools.partial(function, *arguments))


def _check_version(headers: dict[str, str]) -> None:
    spoken = headers.get(VERSION_HEADER.lower())
    if spoken != str(VERSION):
        raise VersionRefused(
            f"This cloud speaks version {VERSION} of the fabric, the node sent "
            f"{'none' if spoken is None else f'version {spoken[:20]}'}; "
            "bring both to the same release of Mallee, the cloud first."
        )


def _check_node(headers: dict[str, str], node_id: str) -> None:
    if headers.get(NODE_HEADER.lower(), node_id) != node_id:
        raise _Failure(403, "other-node", "A node speaks for itself only.")


def _parsed(kind: type[T], body: bytes) -> T:
    try:
        return decode(kind, body)
    except ValueError as error:
        raise _Failure(400, "malformed", f"The body can't be read: {error}.") from None


async def _body(receive: Receive, headers: dict[str, str], limit: int) -> bytes:
    declared = headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _Failure(413, "too-large", f"At most {limit} bytes are taken here.")
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Failure(400, "malformed", "The body ended early.")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _Failure(413, "too-large", f"At most {limit} bytes are taken here.")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _range(wanted: str | None, size: int) -> tuple[int, int]:
    """First and last byte to send; the whole blob for what is no range of the one form that is spoken here."""
    match = _RANGE.fullmatch(wanted or "")
    if match is None or match.groups() == ("", ""):
        return 0, size - 1
    first, last = match.groups()
    if first == "":
        low, high = max(0, size - int(last)), size - 1
    else:
        low, high = int(first), min(int(last or size - 1), size - 1)
    if low > high:
        raise _Failure(416, "range", f"The blob has {size} bytes.")
    return low, high


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _respond(send: Send, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
    all_headers = dict(headers or {})
    if status != 204:
        all_headers |= {"content-type": "application/json", "content-length": str(len(body))}
    await send({"type": "http.response.start", "status": status, "headers": _encoded(all_headers)})
    await send({"type": "http.response.body", "body": body})


class _Uvicorn(uvicorn.Server):
    """Leaves the process's signals to whoever owns the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class FabricServer:
    """``FabricApp`` on a unix socket, in the running event loop."""

    def __init__(self, session: Session, path: Path) -> None:
        self.app = FabricApp(session)
        self._path = path
        config = uvicorn.Config(
            self.app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False, timeout_keep_alive=75
        )
        self._server = _Uvicorn(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when nodes can connect."""
        listener = private_listener(self._path, 128)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
                raise RuntimeError("the fabric's server did not start")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Answers what was asked, then ends; the socket's file is removed."""
        self.app.stop()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        self._path.unlink(missing_ok=True)
