"""Names for guests: one dnsmasq per VPC in its router's namespace, and one for the host that they ask for the names of others.

The VPC's resolver answers at base+2 and 169.254.169.253. It is the authority for the region's domain and the addresses of the VPC:
a name there that nobody has does not exist and is never asked outside. With egress "none" it asks nobody. With "nat" it forwards to
the host's resolver process, which listens on the host's end of the uplink only and asks whom the host itself asks.

Processes start without any privilege (an unprivileged uid; the router's namespace lets it bind port 53), outlive the agent, and are
found again by their command line, which names a directory under /run/mallee/<tag>. One with another command line is replaced.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from mallee.fabric.document import Network
from mallee.node.config import NodeConfig
from mallee.node.network.edge import RESOLVER_PORT, host_address
from mallee.node.network.namespaces import Namespace, NetworkError, missing
from mallee.node.network.routers import API, RESOLVER

_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\Z")
_STATE = Path("/run/mallee")
_LONGEST_LOG = 1 << 20


def binary() -> str:
    return shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin:/bin") or ""


def runtime_folder(tag: str) -> Path:
    return _STATE / tag


def hosts_of(network: Network) -> str:
    """The hosts file of a VPC. Inside it a public name means the private address, as in AWS."""
    names = dict(network.hosts)
    for port in network.ports:
        if port.private_hostname:
            names.setdefault(port.private_hostname, port.ip)
        if port.public_hostname:
            names.setdefault(port.public_hostname, port.ip)
    lines = []
    for name, address in sorted(names.items(), key=lambda item: (item[1], not item[0].startswith("ip-"), item[0])):
        if len(name) <= 253 and _NAME.match(name):
            lines.append(f"{ipaddress.IPv4Address(address)} {name}\n")
    return "".join(lines)


def reverse_zones(cidr: str) -> list[str]:
    """The zones of the reverse names that a CIDR needs: whole octets, so that no half of a foreign zone is claimed."""
    network = ipaddress.ip_network(cidr)
    octets = max(1, -(-network.prefixlen // 8))
    parts = (str(part.network_address).split(".")[:octets] for part in network.subnets(new_prefix=8 * octets))
    return [".".join(reversed(part)) + ".in-addr.arpa" for part in parts]


@dataclass(slots=True)
class Resolver:
    """One dnsmasq process in one namespace, known by its folder."""

    namespace: Namespace
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    pid: int = 0  # of the process that was right when last seen

    def ensure(self, options: list[str], hosts: str | None) -> None:
        """The process runs with just these options and, a moment later, these hosts."""
        user = _user()
        self._prepare_folder(user)
        if hosts is not None:
            self._write_hosts(hosts, user)
        self._bound_log()
        command, network = self._command(options, hosts is not None), self.namespace.identity()
        if self.process is not None:
            self.process.poll()  # reaps it when it has ended
        seen = _process(self.pid) if self.pid else None
        if seen is not None and (seen.command, seen.network) == (command, network):
            return
        running = self.running()
        if len(running) == 1 and (running[0].command, running[0].network) == (command, network):
            self.pid = running[0].pid
            return
        for each in running:
            self._end(each.pid)
        self._start(command, user)

    def _command(self, options: list[str], with_hosts: bool) -> list[str]:
        fixed = ["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file", "--log-facility=-", "--no-hosts", "--bind-interfaces"]
        fixed += ["--domain-needed", "--bogus-priv", "--local-ttl=60", "--cache-size=2000", "--dns-forward-max=300"]
        # a directory is watched by dnsmasq; naming it is also how the process is found
        where = f"--hostsdir={self.folder}" if with_hosts else f"--addn-hosts={self.folder}/none"
        return [binary(), where, *fixed, *options]

    def _prepare_folder(self, user: pwd.struct_passwd) -> None:
        self.folder.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o750, exist_ok=True)
        os.chown(self.folder, 0, user.pw_gid)

    def _write_hosts(self, hosts: str, user: pwd.struct_passwd) -> None:
        with contextlib.suppress(FileNotFoundError):
            if (self.folder / "hosts").read_text() == hosts:
                return
        fresh = self.folder / ".hosts"  # dnsmasq does not read files whose names begin with a dot
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        with open(descriptor, "w") as file:
            os.fchown(descriptor, 0, user.pw_gid)
            file.write(hosts)
        fresh.replace(self.folder / "hosts")

    @property
    def _log(self) -> Path:
        return self.folder.with_suffix(".log")

    def _bound_log(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > _LONGEST_LOG:
                os.truncate(self._log, 0)

    def _start(self, command: list[str], user: pwd.struct_passwd) -> None:
        if not command[0]:
            raise missing("dnsmasq")
        said = self._log
        said.unlink(missing_ok=True)
        with self.namespace.inside(), open(said, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
                start_new_session=True,
            )
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                reason = " ".join(said.read_text(errors="replace").split())[-300:]
                raise NetworkError(f"the resolver in {self.namespace.name or 'the host'} does not start: {reason}")
            if b"started" in said.read_bytes():
                self.pid = self.process.pid
                return
            time.sleep(0.005)
        raise NetworkError(f"the resolver in {self.namespace.name or 'the host'} does not come up")

    def running(self) -> list[Process]:
        if self.process is not None:
            self.process.poll()
        return [each for each in processes(self.folder.parent) if self.folder == each.folder]

    def _end(self, pid: int) -> None:
        """Ends one of our processes and waits, so that its address is free for the next."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not any(each.pid == pid for each in processes(self.folder.parent)):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline and any(each.pid == pid for each in self.running()):
                time.sleep(0.005)

    def remove(self) -> None:
        for each in self.running():
            self._end(each.pid)
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=2)
        self.process = None
        self.pid = 0
        shutil.rmtree(self.folder, ignore_errors=True)
        self._log.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    command: list[str]
    folder: Path
    network: int  # identity of the network namespace that it lives in


def _process(pid: int) -> Process | None:
    """That process, when it is a dnsmasq that names a folder."""
    try:
        words = [os.fsdecode(word) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]]
        if len(words) < 2 or not words[0].endswith("dnsmasq"):
            return None
        network = os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None
    return Process(pid, words, Path(words[1].partition("=")[2].removesuffix("/none")), network)


def processes(within: Path) -> list[Process]:
    """Every dnsmasq of ours whose folder lies in this directory, whoever started it."""
    found = (_process(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [process for process in found if process is not None and process.folder.parent == within]


def _user() -> pwd.struct_passwd:
    for name in ("dnsmasq", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NetworkError("there is neither a user dnsmasq nor a user nobody to run the resolver as")


class Names:
    """The resolvers of one cloud on this node."""

    def __init__(self, config: NodeConfig, host: Namespace, upstream: Path = Path("/etc/resolv.conf")) -> None:
        self.config = config
        self.upstream = upstream
        self._folder = runtime_folder(config.tag)
        self._host = Resolver(host, self._folder / "host")
        self._vpcs: dict[str, Resolver] = {}

    def ensure_host(self) -> None:
        """The resolver that asks for the VPCs, where there is a way out."""
        if self.config.egress == "nat":
            address = host_address(self.config.tag)
            options = [f"--listen-address={address}", f"--port={RESOLVER_PORT}", f"--resolv-file={self.upstream}"]
            self._host.ensure(options, None)

    def ensure(self, network: Network, namespace: Namespace) -> None:
        """Every name of the region's endpoints (``ec2.local-1.mallee.internal``) leads to the cloud's API."""
        endpoints = f"{self.config.region}.{self.config.dns_suffix}"
        resolver = self._vpcs.setdefault(network.id, Resolver(namespace, self._folder / network.id))
        options = [f"--listen-address={address}" for address in dict.fromkeys((network.dns, RESOLVER))]
        options += ["--no-resolv", f"--local=/{network.domain}/"]
        if _NAME.match(endpoints):
            options += [f"--local=/{endpoints}/", f"--address=/{endpoints}/{API}"]
        options += [f"--local=/{zone}/" for cidr in network.cidrs for zone in reverse_zones(cidr)]
        if self.config.egress == "nat":
            options.append(f"--server={host_address(self.config.tag)}#{RESOLVER_PORT}")
        if not _NAME.match(network.domain):
            raise NetworkError(f"{network.domain!r} is not a domain")
        resolver.ensure(options, hosts_of(network))

    def remove(self, vpc_id: str, namespace: Namespace) -> None:
        self._vpcs.pop(vpc_id, Resolver(namespace, self._folder / vpc_id)).remove()

    def found(self) -> list[Process]:
        return processes(self._folder)

    def teardown(self) -> None:
        self._host.remove()
        for process in self.found():
            Resolver(self._host.namespace, process.folder).remove()
        shutil.rmtree(self._folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._folder.parent.rmdir()
