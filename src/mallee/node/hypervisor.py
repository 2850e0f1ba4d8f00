"""The conversation with the node's libvirtd: one connection, its events, and the few things that are asked of a domain.

The connection is kept by one thread: when libvirtd dies, the thread starts it again, connects, and says ``restored``;
guests don't notice. Meanwhile calls raise ``Away``, which means "later", never "failed". A guest's domain is
transient and bears the guest's id: it exists exactly while QEMU runs, and libvirt keeps nothing that could contradict
the node's own records.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt

from mallee.node.accelerator import accelerator
from mallee.node.config import NodeConfig
from mallee.node.domain import EMULATOR
from mallee.node.libvirtd import Daemon, DaemonError

log = logging.getLogger(__name__)

_EVENTS = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "suspended",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
}
_STOPPED = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: "shutdown",
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: "destroyed",
}
_GONE = {libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID}
_BROKEN = {libvirt.VIR_ERR_RPC, libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_NO_CONNECT, libvirt.VIR_ERR_INVALID_CONN}
_REASON = re.compile(r"^\d{4}-\S+ \S+: shutting down, reason=(\w+)", re.MULTILINE)


class Away(Exception):
    """libvirtd is not there at the moment; it is being started."""


class HypervisorError(Exception):
    """libvirt or QEMU refused; the text is what they said."""


@dataclass(frozen=True, slots=True)
class State:
    """Of a domain that exists. ``paused``: it never ran yet, or was paused by hand; ``stuck``: QEMU paused it because its disk can't be written."""

    running: bool
    paused: bool = False
    stuck: bool = False


Event = Callable[[str, str, str], None]  # guest id; started, suspended, resumed, stopped, rebooted; detail


class Hypervisor:
    def __init__(self, config: NodeConfig, event: Event, restored: Callable[[], None]) -> None:
        self.config = config
        self.accelerator = accelerator(config.home / "accelerator.json")
        self.daemon = Daemon(config, self.accelerator)
        self.trouble: str | None = None  # why libvirtd does not start, if it does not
        self._event = event
        self._restored = restored
        self._connection: Any = None
        self._lost = threading.Event()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    # ------------------------------------------------------------------------------------------------------- connection

    def start(self) -> None:
        """Returns at once; ``restored`` is called when the connection is there, now and after every loss."""
        libvirt.registerErrorHandler(lambda context, error: None, None)
        libvirt.virEventRegisterDefaultImpl()
        for work, name in ((self._run_events, "libvirt-events"), (self._keep, "libvirt")):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Lets go of the connection. libvirtd and the guests go on."""
        self._stop.set()
        self._lost.set()
        self._threads[1].join(timeout=5)

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def _run_events(self) -> None:
        while not self._stop.is_set():
            try:
                libvirt.virEventRunDefaultImpl()
            except libvirt.libvirtError:
                time.sleep(0.1)

    def _keep(self) -> None:
        pause = 0.1
        while not self._stop.is_set():
            try:
                self.daemon.ensure()
                connection = self._connect()
            except (DaemonError, libvirt.libvirtError, OSError) as error:
                self.trouble = str(error)
                log.error("libvirtd: %s", error)
                self._stop.wait(pause)
                pause = min(pause * 2, 10.0)
                continue
            pause, self.trouble = 0.1, None
            self._lost.clear()
            self._connection = connection
            self._restored()
            self._lost.wait()
            self._connection = None
            _close(connection)

    def _connect(self) -> Any:
        connection = libvirt.open(self.daemon.uri())
        connection.registerCloseCallback(lambda connection, reason, opaque: self._lost.set(), None)
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle, None)
        connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._on_reboot, None)
        return connection

    def warm(self) -> None:
        """Has libvirt learn what QEMU can do (seconds, once per QEMU version), so that the first guest does not wait for it."""
        self._call(lambda connection: connection.getDomainCapabilities(EMULATOR, "x86_64", "pc", self._kind()))

    def _kind(self) -> str:
        return "kvm" if self.accelerator == "kvm" else "qemu"

    def _on_lifecycle(self, connection: Any, domain: Any, event: int, detail: int, opaque: Any) -> None:
        name = _EVENTS.get(event)
        if name == "stopped":
            self._event(domain.name(), name, _STOPPED.get(detail, "crashed"))
        elif name is not None:
            self._event(domain.name(), name, "")

    def _on_reboot(self, connection: Any, domain: Any, opaque: Any) -> None:
        self._event(domain.name(), "rebooted", "")

    # ---------------------------------------------------------------------------------------------------------- domains

    def _call(self, ask: Callable[[Any], Any]) -> Any:
        connection = self._connection
        if connection is None:
            raise Away
        try:
            return ask(connection)
        except libvirt.libvirtError as error:
            if error.get_error_code() in _BROKEN and not _answers(connection):
                self._lost.set()
                raise Away from error
            raise

    def _on_domain(self, name: str, do: Callable[[Any], Any]) -> bool:
        """False when there is no such domain."""
        try:
            self._call(lambda connection: do(connection.lookupByName(name)))
            return True
        except libvirt.libvirtError as error:
            if error.get_error_code() in _GONE:
                return False
            raise HypervisorError(str(error)) from error

    def names(self) -> list[str]:
        domains = self._call(lambda connection: connection.listAllDomains(0))
        return sorted(domain.name() for domain in domains)

    def state(self, name: str) -> State | None:
        found: list[tuple[int, int]] = []
        if not self._on_domain(name, lambda domain: found.append(tuple(domain.state()))):
            return None
        state, reason = found[0]
        if state == libvirt.VIR_DOMAIN_PAUSED:
            stuck = reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR
            return State(running=False, paused=not stuck, stuck=stuck)
        if state in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED):
            return None
        return State(running=True)

    def create(self, document: str) -> None:
        """Makes the domain, paused before its first instruction. One that exists already is left as it is."""
        try:
            self._call(lambda connection: connection.createXML(document, libvirt.VIR_DOMAIN_START_PAUSED))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_INVALID and "already" in str(error):
                return
            raise HypervisorError(str(error)) from error

    def resume(self, name: str) -> bool:
        return self._on_domain(name, lambda domain: domain.resume())

    def press_power_button(self, name: str) -> bool:
        return self._on_domain(name, lambda domain: domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN))

    def reboot(self, name: str) -> bool:
        """The power button, and power again when the guest has shut itself down."""
        return self._on_domain(name, lambda domain: domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN))

    def reset(self, name: str) -> bool:
        return self._on_domain(name, lambda domain: domain.reset())

    def destroy(self, name: str) -> bool:
        return self._on_domain(name, lambda domain: domain.destroy())

    def kill(self, name: str) -> bool:
        """Ends a guest whose disks are not wanted any more: without waiting for QEMU to write them out."""
        pid = self.qemu(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return self.destroy(name)

    def document(self, name: str) -> str | None:
        found: list[str] = []
        return found[0] if self._on_domain(name, lambda domain: found.append(domain.XMLDesc())) else None

    # ------------------------------------------------------------------------------------------------- what is on the disk

    def qemu(self, name: str) -> int | None:
        """The pid of the guest's QEMU."""
        try:
            pid = int((self.daemon.base / f"run/qemu/{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
        try:
            return pid if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes() else None
        except (FileNotFoundError, ProcessLookupError):
            return None

    def log_path(self, name: str) -> Path:
        return self.daemon.base / f"log/qemu/{name}.log"

    def last_end(self, name: str) -> str | None:
        """Why the guest's last run ended, from the log that libvirtd keeps: shutdown, destroyed, crashed, …; ``None``: it was not there to see."""
        ends = [match[1] for match in _REASON.finditer(self._log_tail(name).rpartition(": starting up libvirt")[2])]
        return ends[-1] if ends else None

    def last_words(self, name: str) -> str:
        lines = [line for line in self._log_tail(name).splitlines() if "qemu-system" in line and not line.startswith(("/", " "))]
        return lines[-1][:300] if lines else ""

    def _log_tail(self, name: str) -> str:
        try:
            with open(self.log_path(name), "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 16384))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def forget(self, name: str) -> None:
        """What libvirt leaves behind of a domain that is gone."""
        self.log_path(name).unlink(missing_ok=True)


def _answers(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _close(connection: Any) -> None:
    try:
        connection.close()
    except libvirt.libvirtError:
        pass
