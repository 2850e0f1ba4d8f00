"""The node agent: makes its host match the cloud's desired document, and tells the cloud what it sees.

Three loops, none of which waits for another: one holds a question to the cloud open and puts documents into an inbox;
one applies the newest document, guests and networks side by side; one reports, at once when something changed and now
and then to say that the node is alive. What guests do reaches the agent as events (libvirt's, the consoles'), so that
an idle node does nothing.

The agent may die at any moment. Everything it knows is in the kernel, in libvirt and in small files, and the next one
goes on from there. The first report of a run follows the first document: before it, the node can't know what its
guests should be.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable

from mallee.fabric.document import Capacity, Credentials, Desired, Fault, Join, Report
from mallee.fabric.pace import Pace
from mallee.fabric.transport import LONGEST_POLL, FabricError, JoinFirst, Transport
from mallee.node.config import NodeConfig
from mallee.node.console import Consoles
from mallee.node.guests import Guests
from mallee.node.hypervisor import Away, Hypervisor
from mallee.node.images import Images
from mallee.node.limits import Limits
from mallee.node.network import NetworkError, Networks

log = logging.getLogger(__name__)

HEARTBEAT = 15.0  # seconds between reports of a node on which nothing changes
RETRY = 3.0  # seconds until a network that failed is tried again
COMPARE = 5.0  # seconds between looks at whether every guest's QEMU is alive
UPKEEP = 600.0  # seconds between looks at everything, whether or not anything was heard
_LOG_LIMIT = 1 << 20  # bytes of QEMU's own words per guest


class Agent:
    def __init__(self, config: NodeConfig, transport: Transport, networks: Networks | None = None) -> None:
        self.config = config
        self.transport = transport
        self.boot_id = uuid.uuid4().hex
        self.networks = networks if networks is not None else Networks(config, credentials=self._credentials)
        self.networks.ensure_node_namespace()
        self.hypervisor = Hypervisor(config, self._on_event, self._on_restored)
        self.images = Images(config.home / "images", transport, config.qemu_uid, lambda: self.guests.images_changed())
        self.consoles = Consoles(
            config.home / "consoles", config.qemu_uid, transport, lambda guest_id: self.guests.ready(guest_id)
        )
        self.limits = Limits(config.tag)
        self.guests = Guests(
            config, self.hypervisor, self.images, self.consoles, _Plumbing(self.networks), self.limits, self.changed
        )
        self.applied = 0
        self.document: Desired | None = None
        self._asked: tuple[int, str] = (0, "")
        self._inbox: Desired | None = None
        self._news = threading.Condition()
        self._dirty = False
        self._joined = False
        self._joining = threading.Lock()
        self._network_faults: tuple[Fault, ...] = ()
        self._retry_at: float | None = None
        self._sequence = 0
        self._pace = Pace(share=0.25, longest=1.0)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    # ----------------------------------------------------------------------------------------------------------- life

    def start(self) -> None:
        self.hypervisor.daemon.prepare()
        self.consoles.start()
        self.hypervisor.start()
        self.guests.start()
        for work in (self._ask, self._apply, self._report, self._warm, self._compare):
            thread = threading.Thread(target=work, name=work.__name__.strip("_"), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ends the agent, and nothing else: guests, networks and libvirtd go on."""
        self._stopped.set()
        close = getattr(self.transport, "close", None)
        if close is not None:
            close()
        with self._news:
            self._news.notify_all()
        self.guests.stop()
        self.consoles.stop()
        self.images.close()
        self.hypervisor.stop()
        self.networks.close()
        for thread in self._threads:
            thread.join(timeout=5)

    def _warm(self) -> None:
        while not self._stopped.is_set():
            try:
                self.hypervisor.warm()
                return
            except Away:
                self._stopped.wait(0.05)
            except Exception as error:
                log.warning("QEMU can't be used: %s", error)
                self._stopped.wait(10.0)

    def _compare(self) -> None:
        while not self._stopped.wait(COMPARE):
            try:
                self.guests.compare()
            except Exception:
                log.exception("comparing guests with their processes")

    def _credentials(self, guest_id: str, delivery: str) -> Credentials:
        return self.transport.credentials(self.config.node_id, guest_id, delivery)

    # ---------------------------------------------------------------------------------------------------------- events

    def changed(self) -> None:
        """Something that the cloud should hear of."""
        with self._news:
            self._dirty = True
            self._news.notify_all()

    def _on_event(self, guest_id: str, event: str, detail: str) -> None:
        log.debug("guest %s %s %s", guest_id, event, detail)
        self.guests.happened(guest_id, event, detail)

    def _on_restored(self) -> None:
        self.guests.restored()
        self.changed()

    # ----------------------------------------------------------------------------------------------------- the document

    def _ask(self) -> None:
        while not self._stopped.is_set():
            try:
                self._join()
                document = self.transport.desired(self.config.node_id, *self._asked, LONGEST_POLL)
                if document is not None:
                    self._asked = (document.generation, document.digest)
                    with self._news:
                        self._inbox = document
                        self._news.notify_all()
            except JoinFirst:
                self._joined = False
            except FabricError as error:
                log.debug("the cloud: %s", error)
                self._stopped.wait(0.1)
            except Exception:
                log.exception("asking for the document")
                self._stopped.wait(2.0)

    def _join(self) -> None:
        with self._joining:
            if not self._joined:
                config = self.config
                self.transport.join(Join(config.node_id, self.boot_id, config.zone, socket.gethostname(), self.capacity()))
                self._joined = True
                self.changed()

    def _apply(self) -> None:
        upkeep = time.monotonic() + UPKEEP
        while not self._stopped.is_set():
            with self._news:
                limit = min(upkeep, self._retry_at or upkeep)
                while self._inbox is None and not self._stopped.is_set() and (rest := limit - time.monotonic()) > 0:
                    self._news.wait(rest)
                document, self._inbox = self._inbox, None
            if self._stopped.is_set():
                return
            try:
                if document is not None:
                    self._take(document)
                elif self.document is not None:
                    self._apply_networks(self.document)
                if time.monotonic() >= upkeep:
                    upkeep = time.monotonic() + UPKEEP
                    self._keep_up()
            except Exception:
                log.exception("applying the document")
                self._retry_at = time.monotonic() + RETRY
                if document is not None:
                    with self._news:
                        self._inbox = self._inbox or document
                    self._stopped.wait(RETRY)

    def _take(self, document: Desired) -> None:
        last = self.document
        self.document = document
        if (
            last is None
            or last.guests is not document.guests
            or last.networks is not document.networks
            or last.public_pool != document.public_pool
        ):
            self.guests.apply(document)
            self._apply_networks(document)
        else:
            self.guests.networks_applied(document.generation)
        self.applied = document.generation
        self.changed()

    def _apply_networks(self, document: Desired) -> None:
        began = time.monotonic()
        faults = tuple(self.networks.apply(document))
        log.debug("networks of generation %d applied in %.3f s", document.generation, time.monotonic() - began)
        self._retry_at = time.monotonic() + RETRY if faults else None
        if faults != self._network_faults:
            self._network_faults = faults
            self.changed()
        self.guests.networks_applied(document.generation)

    def _keep_up(self) -> None:
        """What accumulates, and what might have been missed."""
        for name in self.images.collect(self.guests.images_in_use()):
            log.info("removed the unused image %s", name)
        for held in self.guests.held().values():
            path = self.hypervisor.log_path(held.id)
            if path.exists() and path.stat().st_size > _LOG_LIMIT:
                os.truncate(path, 0)
        self.guests.wake_all()

    # ---------------------------------------------------------------------------------------------------------- reports

    def capacity(self) -> Capacity:
        """What this machine has for guests: a part of the memory stays with the machine."""
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
        kept = max(256, min(1024, total // 4))
        used = sum(path.stat().st_blocks * 512 for path in self.guests.directory.glob("*/*.qcow2"))
        disk = (shutil.disk_usage(self.config.home).free + used) >> 30
        return Capacity(len(os.sched_getaffinity(0)), total - kept, disk, self.hypervisor.accelerator)

    def faults(self) -> tuple[Fault, ...]:
        faults = self._network_faults
        if self.hypervisor.trouble is not None:
            remedy = f"It is tried again by itself. See {self.hypervisor.daemon.base}/log."
            faults += (
                Fault("hypervisor-down", self.config.node_id, f"libvirtd does not start: {self.hypervisor.trouble}", remedy),
            )
        return faults

    def observe(self) -> Report:
        reports, faults = self.guests.reports()
        return Report(
            node_id=self.config.node_id,
            boot_id=self.boot_id,
            sequence=0,
            generation=self.applied,
            capacity=self.capacity(),
            guests=reports,
            faults=self.faults() + faults,
        )

    def _report(self) -> None:
        last: Report | None = None
        heartbeat = 0.0
        while not self._stopped.is_set():
            with self._news:
                while (
                    not self._stopped.is_set()
                    and not (self._dirty and self.applied)
                    and (rest := heartbeat - time.monotonic()) > 0
                ):
                    self._news.wait(rest)
            if self._stopped.wait(self._pace.wait()):
                return
            if not self.applied:
                heartbeat = time.monotonic() + HEARTBEAT
                continue
            with self._news:
                self._dirty = False
            try:
                self._join()
                seen = self.observe()
                if last is not None and _same(seen, last) and time.monotonic() < heartbeat:
                    continue
                began = time.monotonic()
                self._sequence += 1
                self.transport.report(dataclasses.replace(seen, sequence=self._sequence))
                self._pace.worked(time.monotonic() - began)
                last, heartbeat = seen, time.monotonic() + HEARTBEAT
            except JoinFirst:
                self._joined, last = False, None
                self.changed()
            except FabricError as error:
                log.debug("the report was not taken: %s", error)
                last = None
                self.changed()
                self._stopped.wait(0.2)
            except Exception:
                log.exception("reporting")
                last = None
                self.changed()
                self._stopped.wait(2.0)


class _Plumbing:
    """The networks as guests use them."""

    def __init__(self, networks: Networks) -> None:
        self.adopt_tap: Callable[[str, str], None] = networks.adopt_tap
        self._connect = networks.connect

    def reachable(self, guest_id: str, port: int) -> bool:
        try:
            self._connect(guest_id, port, timeout=1.0).close()
            return True
        except (NetworkError, OSError):
            return False


def _same(one: Report, other: Report) -> bool:
    """But for what moves all the time."""
    return dataclasses.replace(one, capacity=other.capacity) == other
