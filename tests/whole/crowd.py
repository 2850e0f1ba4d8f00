"""A crowd of clients in one process, as little of each as can be: ``python crowd.py``, told what to be by a line of JSON on standard input.

Groups of connections: each sends ``head`` and ``first`` bytes of a body, then ``more`` bytes a second; it reads what comes, or nothing. "ready" is
said once all have sent their first; a further line ends them all, by a reset, and what they have seen is told.
"""

from __future__ import annotations

import base64
import json
import select
import socket
import struct
import sys
import time
from collections import Counter

WAVE = 400
"""That connect at a time."""


def main() -> None:
    told = json.loads(sys.stdin.readline())
    address = told["host"], told["port"]
    poll = select.epoll()
    members: dict[int, tuple[socket.socket, dict[str, object]]] = {}
    seen: Counter[str] = Counter()
    slow: list[int] = []
    for group in told["groups"]:
        head = base64.b64decode(group["head"]) + b"x" * group["first"]
        for start in range(0, group["count"], WAVE):
            wave = []
            for _ in range(min(WAVE, group["count"] - start)):
                made = socket.socket()
                if not group["reads"]:
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                made.connect(address)
                made.setblocking(False)
                wave.append(made)
            for made in wave:
                try:
                    made.send(head)
                except OSError:
                    seen["lost"] += 1
                members[made.fileno()] = made, group
                if group["more"]:
                    slow.append(made.fileno())
                if group["reads"]:
                    poll.register(made.fileno(), select.EPOLLIN)
            _read(poll, members, seen, 0)
    _read(poll, members, seen, 0.5)
    print("ready", flush=True)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    due = time.monotonic() + 1
    while not _read(poll, members, seen, max(0, due - time.monotonic())):
        if time.monotonic() >= due:
            due += 1
            for number in slow:
                if number in members:
                    try:
                        members[number][0].send(b"x" * int(str(members[number][1]["more"])))
                    except BlockingIOError:
                        pass
                    except OSError:
                        seen["lost"] += 1
                        del members[number]
    seen["left"] = len(members)
    for made, _ in members.values():
        made.close()
    print(json.dumps(seen), flush=True)


def _read(poll: select.epoll, members: dict[int, tuple[socket.socket, dict[str, object]]], seen: Counter[str], wait: float) -> bool:
    """Whether there was something on standard input."""
    for number, _ in poll.poll(wait):
        if number not in members:
            return True
        made, _ = members[number]
        try:
            data = made.recv(65536)
        except BlockingIOError:
            continue
        except OSError:
            data = b""
        if data.startswith(b"HTTP/1.1 "):
            seen[data[9:12].decode()] += 1
        if not data:
            seen["closed"] += 1
            poll.unregister(number)
            made.close()
            del members[number]
    return False


if __name__ == "__main__":
    main()
