"""Sockets in the file system that only their owner and root can open."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def private_listener(path: Path, backlog: int) -> socket.socket:
    """Bound and listening; one that a former process left is replaced. Its mode comes from the socket itself (Linux), never from the
    umask, which belongs to the whole process: a program that another thread starts meanwhile would inherit it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.fchmod(listener.fileno(), 0o600)
    listener.bind(str(path))
    listener.listen(backlog)
    return listener
