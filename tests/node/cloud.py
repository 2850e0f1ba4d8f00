"""A cloud of the test's own: speaks the fabric over a real unix socket and holds one node's document in memory.

The node under test is the real process (`python -m mallee.node`), so that it can be killed like one.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.server
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mallee.fabric.document import (
    Blob,
    Boot,
    Desired,
    Disk,
    Group,
    Guest,
    GuestReport,
    Metadata,
    Network,
    Port,
    Report,
    Rule,
    Subnet,
    decode,
    encode,
)
from mallee.node.starter import StarterImage

VPC, SUBNET, GROUP = "vpc-0123456789abcde01", "subnet-0123456789abcde01", "sg-0123456789abcde01"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    cloud: Cloud

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a node that was killed


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def address_string(self) -> str:
        return "node"

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/v1/desired":
            asked = dict(urllib.parse.parse_qsl(query))
            found = self.server.cloud.after(int(asked["after"]), float(asked["wait"]))
            if found is None:
                self._answer(204, X_Mallee_Generation=asked["after"])
            else:
                self._answer(200, encode(found))
            return
        digest = urllib.parse.unquote(path.rpartition("/")[2])
        self.server.cloud.fetched.append(digest)
        data = self.server.cloud.blob(digest)
        if data is None:
            self._answer(404, json.dumps({"message": f"There is no blob {digest}."}).encode())
            return
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start >= len(data):
            self._answer(416)
        else:
            self._answer(206 if start else 200, data[start:])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        cloud = self.server.cloud
        if self.path == "/v1/report":
            cloud.take(decode(Report, body))
        elif self.path.startswith("/v1/console/"):
            with cloud.changes:
                cloud.consoles[self.path.rpartition("/")[2]] = (int(self.headers["X-Offset"]), body)
                cloud.changes.notify_all()
        self._answer(204)


class Cloud:
    def __init__(self, home: Path, image: StarterImage, public_key: str, tag: str) -> None:
        self.home, self.image, self.public_key, self.tag = home, image, public_key, tag
        self.document = Desired(
            "node-1", 1, "local-1", "local-1a", (f"100.{64 + int(tag[:2], 16) % 64}.{int(tag[2:], 16)}.0/24",)
        )
        self.reports: list[Report] = []
        self.consoles: dict[str, tuple[int, bytes]] = {}
        self.blobs: dict[str, Path] = {part.digest: part.path for part in (image.kernel, image.ramdisk, image.root)}
        self.damaged: dict[str, bytes] = {}
        self.fetched: list[str] = []
        self.changes = threading.Condition()
        self.node: subprocess.Popen[bytes] | None = None
        (home / "run").mkdir(parents=True, exist_ok=True)
        self.serve()

    # ------------------------------------------------------------------------------------------------------- the cloud's end

    def serve(self) -> None:
        path = self.home / "run/fabric.sock"
        path.unlink(missing_ok=True)
        self._server = _Server(str(path), _Handler)
        self._server.cloud = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def vanish(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        (self.home / "run/fabric.sock").unlink(missing_ok=True)

    def after(self, generation: int, wait: float) -> Desired | None:
        with self.changes:
            self.changes.wait_for(lambda: self.document.generation != generation, min(wait, 25))
            return self.document if self.document.generation != generation else None

    def blob(self, digest: str) -> bytes | None:
        if digest in self.damaged:
            return self.damaged[digest]
        path = self.blobs.get(digest)
        return path.read_bytes() if path else None

    def take(self, report: Report) -> None:
        with self.changes:
            self.reports.append(report)
            self.changes.notify_all()

    # ----------------------------------------------------------------------------------------------------------- the document

    def guest(self, number: int, **changes: Any) -> Guest:
        """A guest on the starter image; ``user_data`` may be text."""
        user_data = changes.pop("user_data", None)
        image = self.image
        metadata = Metadata(
            account_id="123456789012",
            image_id="ami-0123456789abcdef0",
            instance_type="t3.nano",
            reservation_id="r-0123456789abcdef0",
            launch_index=0,
            hostname=f"ip-172-31-0-{10 + number}.local-1.compute.internal",
            region="local-1",
            zone="local-1a",
            zone_id="loc1-az1",
            launched_at="2026-01-01T00:00:00Z",
            key_name="test",
            public_key=self.public_key,
            user_data=base64.b64encode(user_data.encode()).decode() if user_data else None,
            security_groups=("default",),
        )
        plain = Guest(
            id=f"i-0123456789abcd{number:03x}",
            revision=1,
            power="on",
            reboots=0,
            vcpus=1,
            memory_mib=160,
            disks=(
                Disk(
                    f"vol-0123456789abcd{number:03x}", "/dev/xvda", 1, Blob(image.root.digest, image.root.format, image.root.size)
                ),
            ),
            boot=Boot(
                Blob(image.kernel.digest, size=image.kernel.size),
                Blob(image.ramdisk.digest, size=image.ramdisk.size),
                image.command_line,
            ),
            metadata=metadata,
            port_ids=(f"eni-0123456789abcd{number:03x}",),
        )
        return dataclasses.replace(plain, **changes)

    def network(self, guests: tuple[Guest, ...]) -> tuple[Network, ...]:
        if not guests:
            return ()
        ports = tuple(
            Port(
                id=guest.port_ids[0],
                guest_id=guest.id,
                device_index=0,
                mac=f"0a:00:00:00:00:{int(guest.id[-3:], 16):02x}",
                ip=f"172.31.0.{10 + int(guest.id[-3:], 16)}",
                subnet_id=SUBNET,
                group_ids=(GROUP,),
                private_hostname=guest.metadata.hostname,
            )
            for guest in guests
        )
        rules = (Rule("sgr-0123456789abcde01", "tcp", 22, 22, "0.0.0.0/0"),)
        group = Group(GROUP, rules, (Rule("sgr-0123456789abcde02", "-1", cidr="0.0.0.0/0"),), tuple(port.ip for port in ports))
        subnet = Subnet(SUBNET, "172.31.0.0/20", "172.31.0.1")
        return (Network(VPC, 4711, ("172.31.0.0/16",), "172.31.0.2", "local-1.compute.internal", (subnet,), ports, (group,)),)

    def want(self, *guests: Guest) -> int:
        """The document has these guests and no other; returns its generation."""
        with self.changes:
            generation = self.document.generation + 1
            self.document = dataclasses.replace(
                self.document, generation=generation, guests=guests, networks=self.network(guests), digest=f"sha256:{generation}"
            )
            self.changes.notify_all()
            return generation

    def change(self, guest: Guest, **changes: Any) -> Guest:
        """The guest with these changes and the next revision, in the document."""
        new = dataclasses.replace(guest, revision=guest.revision + 1, **changes)
        self.want(*(new if each.id == guest.id else each for each in self.document.guests))
        return new

    # -------------------------------------------------------------------------------------------------------------- looking

    def wait(self, holds: Callable[[Report], Any], seconds: float = 60) -> Any:
        """What ``holds`` says of the newest report, as soon as it is true."""
        with self.changes:
            found: Any = None

            def check() -> Any:
                nonlocal found
                found = holds(self.reports[-1]) if self.reports else None
                return found

            if not self.changes.wait_for(check, seconds):
                raise AssertionError(
                    f"not within {seconds} s; last report: {self.reports[-1] if self.reports else None}\n{self.node_log()[-4000:]}"
                )
            return found

    def wait_guest(self, guest: Guest, holds: Callable[[GuestReport], Any], seconds: float = 60) -> GuestReport:
        def found(report: Report) -> GuestReport | None:
            return next((each for each in report.guests if each.id == guest.id and holds(each)), None)

        return self.wait(found, seconds)

    def ready(self, guest: Guest, seconds: float = 60) -> GuestReport:
        return self.wait_guest(guest, lambda seen: seen.state == "running" and seen.ready_at and seen.health == "ok", seconds)

    def console_says(self, guest: Guest, text: bytes, seconds: float = 30) -> bytes:
        with self.changes:
            assert self.changes.wait_for(lambda: text in self.consoles.get(guest.id, (0, b""))[1], seconds), self.consoles.get(
                guest.id, (0, b"")
            )[1][-300:]
            return self.consoles[guest.id][1]

    def gone(self, seconds: float = 30) -> None:
        generation = self.document.generation
        self.wait(lambda report: report.generation >= generation and not report.guests, seconds)

    def node_log(self) -> str:
        path = self.home / "log/node.log"
        return path.read_text() if path.exists() else ""

    # ---------------------------------------------------------------------------------------------------------------- the node

    def start_node(self, **environment: str) -> None:
        with self.changes:
            self.reports.clear()
        command = [sys.executable, "-m", "mallee.node", "--home", str(self.home)]
        self.node = subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True)

    def kill_node(self, number: int = signal.SIGKILL) -> None:
        assert self.node is not None
        self.node.send_signal(number)
        self.node.wait(timeout=20)

    def ask(self, **question: Any) -> dict[str, Any]:
        with self.stream(question) as link:
            return dict(json.loads(link.makefile().readline()))

    def stream(self, question: dict[str, Any]) -> socket.socket:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(30)
        link.connect(str(self.home / "run/node.sock"))
        link.sendall(json.dumps(question).encode() + b"\n")
        return link

    def ssh(self, guest: Guest, key: Path, command: str, seconds: float = 30) -> str:
        proxy = f"{sys.executable} {Path(__file__).with_name('proxy.py')} {self.home}/run/node.sock {guest.id}"
        options = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            f"ProxyCommand={proxy}",
        )
        words = ["ssh", "-i", str(key), *(word for option in options for word in ("-o", option)), "ec2-user@guest", command]
        limit = time.monotonic() + seconds
        while True:
            done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
            if done.returncode == 0 or time.monotonic() > limit:
                break
            time.sleep(0.2)
        assert done.returncode == 0, done.stderr
        return done.stdout


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
