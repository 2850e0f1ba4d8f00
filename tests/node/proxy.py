"""ssh's ProxyCommand for the tests: the node's control socket as standard input and output."""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys


def main() -> None:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.connect(sys.argv[1])
    link.sendall(json.dumps({"ask": "connect", "id": sys.argv[2], "port": 22}).encode() + b"\n")
    line = b""
    while not line.endswith(b"\n"):
        line += link.recv(1)
    if "error" in json.loads(line):
        sys.exit(line.decode())
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(link, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fd == 0:
                data = os.read(0, 65536)
                if data:
                    link.sendall(data)
                else:
                    selector.unregister(0)
                    link.shutdown(socket.SHUT_WR)
            else:
                data = link.recv(65536)
                if not data:
                    return
                os.write(1, data)


main()
