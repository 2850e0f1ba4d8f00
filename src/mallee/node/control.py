"""The agent's own socket, ``run/node.sock``: questions of people and of the command line on the same machine.

One JSON line is asked, one JSON line answered; after the answer to ``connect`` the same connection carries the raw
bytes to and from the guest's port. Only root can open the socket. It answers nothing that changes anything.

    {"ask": "status"} · {"ask": "inspect", "id": "i-…"} · {"ask": "audit"} · {"ask": "connect", "id": "i-…", "port": 22}
"""

from __future__ import annotations

import json
import logging
import selectors
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mallee.fabric.sockets import private_listener
from mallee.node import inventory
from mallee.node.network import NetworkError

if TYPE_CHECKING:
    from mallee.node.agent import Agent

log = logging.getLogger(__name__)

_LINE_LIMIT = 4096
_CHUNK = 65536
_MANY = threading.BoundedSemaphore(64)


class Control:
    def __init__(self, path: Path, agent: Agent) -> None:
        self.path = path
        self._agent = agent
        self._listener: socket.socket | None = None
        self._answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "status": lambda question: inventory.status(agent),
            "inspect": lambda question: inventory.inspect(agent, str(question["id"])),
            "audit": lambda question: inventory.audit(agent),
        }

    def start(self) -> None:
        listener = private_listener(self.path, 64)
        self._listener = listener
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def stop(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            self.path.unlink(missing_ok=True)
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            listener.close()

    def _accept(self) -> None:
        while (listener := self._listener) is not None:
            try:
                link = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), name="control-link", daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with link, _MANY:
            try:
                link.settimeout(10)
                question = json.loads(_line(link))
                if question.get("ask") == "connect":
                    self._connect(link, question)
                    return
                answer = self._answers.get(str(question.get("ask")), _unknown)(question)
            except (ValueError, TypeError, KeyError, AttributeError, NetworkError) as error:
                answer = {"error": f"the question can't be answered: {error}"}
            except OSError:
                return
            except Exception as error:
                log.exception("a question on the control socket")
                answer = {"error": f"the node could not answer: {error}"}
            try:
                link.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                return

    def _connect(self, link: socket.socket, question: dict[str, Any]) -> None:
        guest_id, port = str(question["id"]), int(question["port"])
        if not 0 < port < 65536:
            raise ValueError(f"{port} is not a port")
        try:
            target = self._agent.networks.connect(guest_id, port, timeout=float(question.get("timeout", 10.0)))
        except TimeoutError:
            reason = f"{guest_id} does not answer on port {port}: it is not up yet, or no rule of its security groups admits it"
            link.sendall(json.dumps({"error": reason}).encode() + b"\n")
            return
        except (NetworkError, OSError) as error:
            link.sendall(json.dumps({"error": f"no connection to {guest_id}, port {port}: {error}"}).encode() + b"\n")
            return
        with target:
            link.sendall(b'{"connected": true}\n')
            _splice(link, target)


def _unknown(question: dict[str, Any]) -> dict[str, Any]:
    return {"error": f"there is no question {question.get('ask')!r}"}


def _line(link: socket.socket) -> bytes:
    """Up to the end of the line and not a byte more: what follows belongs to the stream."""
    got = bytearray()
    while not got.endswith(b"\n"):
        byte = link.recv(1)
        if not byte or len(got) >= _LINE_LIMIT:
            raise ValueError("not a line")
        got += byte
    return bytes(got)


def _splice(one: socket.socket, other: socket.socket) -> None:
    """Bytes both ways until both ends have finished; the end of one direction is passed on."""
    one.settimeout(None)
    other.settimeout(None)
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while selector.get_map():
            for key, _ in selector.select():
                source, target = key.fileobj, key.data
                assert isinstance(source, socket.socket)
                try:
                    data = source.recv(_CHUNK)
                    if data:
                        target.sendall(data)
                        continue
                    selector.unregister(source)
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    return
