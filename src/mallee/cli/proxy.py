"""ssh's ProxyCommand: a byte stream to a port of an instance through the node that runs it, held to its security groups.

`python -m mallee.cli.proxy --home H i-… 22`
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import sys
from pathlib import Path

from mallee.cli import home, node_client


def pump(link: socket.socket) -> None:
    """Standard input to the socket and the socket to standard output, until the far end closes."""
    link.settimeout(None)
    selector = selectors.DefaultSelector()
    selector.register(link, selectors.EVENT_READ)
    selector.register(0, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is link:
                data = link.recv(65536)
                if not data:
                    return
                _write(1, data)
                continue
            data = os.read(0, 65536)
            if data:
                link.sendall(data)
            else:
                selector.unregister(0)
                link.shutdown(socket.SHUT_WR)


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def main() -> None:
    parser = argparse.ArgumentParser(prog="mallee-proxy")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("instance")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    try:
        chosen = home.settings(arguments.home)
        question = {"ask": "connect", "id": arguments.instance, "port": arguments.port}
        link, answer = node_client.connect(chosen, question, timeout=20)
        if answer.get("error"):
            raise home.Sorry(str(answer["error"]))
    except home.Sorry as sorry:
        sys.exit(f"mallee: {sorry}")
    try:
        pump(link)
    except (BrokenPipeError, ConnectionError):
        pass


if __name__ == "__main__":
    main()
