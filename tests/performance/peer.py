"""moto's server as the reference of the speed tests: in an environment made once, on a loopback port, ended by pid."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tests.clouds import SOURCE, free_ports

from .load import Target

HOME = SOURCE / ".cache" / "peer"


def install() -> None:
    wanted = (SOURCE / "requirements-peer.txt").read_text()
    stamp = HOME / "ready"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(HOME)], check=True)
    pip = [str(HOME / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(SOURCE / "requirements-peer.txt")], check=True)
    stamp.write_text(wanted)


@contextmanager
def moto() -> Iterator[Target]:
    install()
    port = free_ports(1)
    log = (HOME / "log").open("wb")
    server = subprocess.Popen(
        [str(HOME / "bin" / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log, stdin=subprocess.DEVNULL
    )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(endpoint + "/moto-api/", timeout=1).read()
                break
            except OSError:
                time.sleep(0.1)
        yield Target(endpoint, "test", "test", "us-east-1")
    finally:
        server.terminate()
        server.wait(10)
        log.close()
