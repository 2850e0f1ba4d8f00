"""Questions to the node agent of this machine, over its control socket (root only): one JSON line each way."""

from __future__ import annotations

import json
import socket
from typing import Any

from mallee.cli.home import Sorry
from mallee.settings import Settings


def connect(chosen: Settings, question: dict[str, Any], timeout: float = 10.0) -> tuple[socket.socket, dict[str, Any]]:
    """Asks and returns the open socket with the answer's line; for ``connect`` the raw stream follows on it."""
    path = chosen.run / "node.sock"
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(timeout)
    try:
        link.connect(str(path))
    except PermissionError as error:
        raise Sorry("the node answers root only: use sudo") from error
    except OSError as error:
        why = "it is simulated" if chosen.simulated else "is the cloud up? See ./mallee status"
        raise Sorry(f"this cloud's node does not answer: {why}") from error
    link.sendall(json.dumps(question).encode() + b"\n")
    return link, _line(link)


def _line(link: socket.socket) -> dict[str, Any]:
    got = bytearray()
    # One byte at a time: what follows the line belongs to the stream.
    while not got.endswith(b"\n"):
        try:
            byte = link.recv(1)
        except TimeoutError as error:
            raise Sorry("the node took too long to answer") from error
        if not byte:
            raise Sorry("the node closed the connection without an answer; see ./mallee logs node")
        got += byte
    return dict(json.loads(got))


def ask(chosen: Settings, question: dict[str, Any], timeout: float = 10.0) -> dict[str, Any]:
    link, answer = connect(chosen, question, timeout)
    link.close()
    if answer.get("error"):
        raise Sorry(str(answer["error"]))
    return answer
