"""Network namespaces by name: making, entering and removing them, and what is done from inside.

Namespaces live where ``ip netns`` keeps them (/run/netns), so an operator looks into any of them with ``ip netns exec``. Only the
calling thread enters a namespace, and only for the length of a ``with``; a socket opened there stays there, a process started there
runs there. ``Namespace(None)`` is the host's own.

Names are the only record of what belongs to whom: ``mle-<tag>-node`` is the namespace of this cloud's hypervisor, and
``mle-<tag>-<digits of the vpc id>`` the router of one VPC.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from mallee.node.network.netlink import Netlink

FOLDER = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_TAG = re.compile(r"[0-9a-f]{4}\Z")
_ID = re.compile(r"[a-z]{1,8}-[0-9a-f]{8,17}\Z")


class NetworkError(Exception):
    """Something about the network of this host did not work; the texts are for a person."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.remedy = remedy


def checked_tag(tag: str) -> str:
    if not _TAG.match(tag):
        raise ValueError(f"a tag is four hexadecimal digits, not {tag!r}")
    return tag


def checked_id(value: str) -> str:
    """Ids become names of links, chains and files, so nothing but an id may pass."""
    if not _ID.match(value):
        raise NetworkError(f"{value!r} is not a resource id")
    return value


def node_namespace(tag: str) -> str:
    return f"mle-{checked_tag(tag)}-node"


def router_namespace(tag: str, vpc_id: str) -> str:
    return f"mle-{checked_tag(tag)}-{checked_id(vpc_id).split('-')[1]}"


def port_link(port_id: str) -> str:
    """The name of a port's link in its router namespace, and the one to give the tap when it is made."""
    return f"p-{checked_id(port_id)[-12:]}"


def uplink_link(vpc_id: str) -> str:
    """The node's end of the pair that leads to a VPC's router."""
    return f"v-{checked_id(vpc_id)[-12:]}"


def tagged(tag: str) -> list[str]:
    """Every namespace of this tag on the host."""
    prefix = f"mle-{checked_tag(tag)}-"
    try:
        return sorted(entry for entry in os.listdir(FOLDER) if entry.startswith(prefix))
    except FileNotFoundError:
        return []


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


class Namespace:
    """One namespace, by name; ``None`` is the one the agent runs in."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.path = FOLDER / name if name else Path("/proc/self/ns/net")
        self._lock = threading.Lock()
        self._netlink: tuple[int, Netlink] | None = None

    def __repr__(self) -> str:
        return f"Namespace({self.name!r})"

    # ------------------------------------------------------------------------------------------------------ existence

    def identity(self) -> int:
        """The kernel's number of this namespace; 0 when there is none (a plain file left by a reboot is none)."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return 0
        return found.st_ino if found.st_dev == os.stat("/proc/self/ns/net").st_dev else 0

    def create(self) -> bool:
        """True when it had to be made."""
        if self.identity():
            return False
        self.path.unlink(missing_ok=True)
        run(["ip", "netns", "add", str(self.name)])
        return True

    def delete(self) -> None:
        """Unnames the namespace. It ends when its last socket and process do: close and stop them first."""
        self.close()
        if self.identity():
            run(["ip", "netns", "delete", str(self.name)])
        elif self.name:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            if self._netlink:
                self._netlink[1].close()
            self._netlink = None

    # --------------------------------------------------------------------------------------------------------- inside

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is in this namespace until the block ends."""
        if self.name is None:
            yield
            return
        with contextlib.ExitStack() as stack:
            home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, home)
            try:
                there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NetworkError(f"the namespace {self.name} does not exist") from None
            stack.callback(os.close, there)
            try:
                _enter(there)
            except OSError as error:
                raise NetworkError(f"cannot enter the namespace {self.name}: {error.strerror}") from error
            stack.callback(_enter, home)
            yield

    @property
    def netlink(self) -> Netlink:
        """A conversation that is opened once, and again when the namespace was replaced behind our back."""
        identity = self.identity()
        with self._lock:
            if self._netlink is None or self._netlink[0] != identity:
                if self._netlink:
                    self._netlink[1].close()
                with self.inside():
                    self._netlink = (identity, Netlink())
            return self._netlink[1]

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the namespace, as netlink wants it to move a link there."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def set(self, **values: int) -> None:
        """Writes kernel settings below net/: ``ipv4__ip_forward`` is net/ipv4/ip_forward."""
        with self.inside():
            for key, value in values.items():
                self._write(key.replace("__", "/"), value)

    def set_link(self, link: str, **values: int) -> None:
        """Writes settings of one link: ``ipv4__conf__proxy_arp`` is net/ipv4/conf/LINK/proxy_arp."""
        with self.inside():
            for key, value in values.items():
                family, kind, name = key.split("__")
                self._write(f"{family}/{kind}/{link}/{name}", value)

    @staticmethod
    def _write(key: str, value: int) -> None:
        path = f"/proc/sys/net/{key}"
        if key.startswith("ipv6/") and not os.path.exists(path):
            return  # a kernel without IPv6 has nothing to switch off
        with open(path) as file:
            if file.read().strip() == str(value):
                return
        with open(path, "w") as file:
            file.write(str(value))

    def get(self, key: str) -> int:
        with self.inside(), open(f"/proc/sys/net/{key}") as file:
            return int(file.read())

    def run(self, command: list[str], text: str = "") -> str:
        with self.inside():
            return run(command, text)


_PACKAGES = {"ip": "iproute2", "nft": "nftables", "dnsmasq": "dnsmasq-base"}


def missing(tool: str) -> NetworkError:
    return NetworkError(f"{tool} is not installed", f"Install it (on Debian and Ubuntu: apt-get install {_PACKAGES.get(tool, tool)}).")


def run(command: list[str], text: str = "") -> str:
    """Runs a tool to its end in the calling thread's namespace and returns what it says; what goes wrong is a NetworkError."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        raise missing(command[0]) from None
    except subprocess.TimeoutExpired:
        raise NetworkError(f"{' '.join(command[:3])} did not end within 60 seconds") from None
    if done.returncode:
        said = " ".join(done.stderr.split())[:400]
        raise NetworkError(f"{' '.join(command[:3])} failed: {said or f'exit status {done.returncode}'}")
    return done.stdout
