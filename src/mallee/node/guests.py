"""The guests of this node: each is brought, step by step, to what the desired document says of it.

A guest's turn looks at what is wanted, what was recorded and what libvirt says, takes the one step that
``record.decide`` names, and looks again. It waits for nothing: an image to be fetched, a network to be applied, a
guest to shut down wake it when they have come to an end, or a time does. So no step has an "in progress" that a crash
could leave behind, and several guests go on side by side in a few threads.

Without a document nothing is done to any guest: a node that cannot reach its cloud leaves everything running.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from mallee.fabric.document import Blob, Desired, Fault, Guest, GuestReport, Port
from mallee.node import disks, domain, record
from mallee.node.config import NodeConfig
from mallee.node.console import Consoles
from mallee.node.hypervisor import Away, Hypervisor, HypervisorError, State
from mallee.node.images import SPARE_BYTES, ImageFault, Images, disk_full
from mallee.node.libvirtd import SHOWN, boot_id
from mallee.node.limits import Limits
from mallee.node.network.namespaces import NetworkError, checked_id, port_link
from mallee.node.turns import Turns

log = logging.getLogger(__name__)

THREADS = 6
STOP_GRACE = 60.0  # seconds a guest may take to shut itself down
REBOOT_GRACE = 60.0
PRESS_EVERY = 2.0  # the power button is pressed again: a guest that is still booting does not notice the first time
HEALTH_GRACE = 120.0  # a guest that says nothing of being ready counts as well after that time
HEALTH_EVERY = 5.0
ATTEMPTS = 5  # of a step that fails, before the guest is reported as failed
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Plumbing(Protocol):
    """What guests need of ``network.Networks``."""

    def adopt_tap(self, port_id: str, ifname: str) -> None: ...

    def reachable(self, guest_id: str, port: int) -> bool: ...


@dataclass(slots=True)
class Held:
    """A guest as this agent holds it. Everything but ``wanted`` and ``record`` may be lost at any time."""

    id: str
    record: record.Record
    wanted: Guest | None = None
    generation: int = 0  # of the document that last changed ``wanted``
    nics: tuple[domain.Nic, ...] = ()
    doing: str = ""
    ended: str | None = None  # why it ended, as the event said
    missing: bool = False  # its QEMU was not there at the last comparison
    suspect: bool = False  # nor at the one before
    lost: bool = False  # it has died, and libvirtd had to be told
    stopping: float | None = None
    pressed: float = 0.0
    attempts: int = 0
    fault: Fault | None = None
    health: str = "initializing"
    awake: set[str] = field(default_factory=set)


class Guests:
    def __init__(
        self,
        config: NodeConfig,
        hypervisor: Hypervisor,
        images: Images,
        consoles: Consoles,
        networks: Plumbing,
        limits: Limits,
        changed: Callable[[], None],
    ) -> None:
        self.config = config
        self.directory = config.home / "guests"
        self.boot = boot_id()
        self._hypervisor, self._images, self._consoles = hypervisor, images, consoles
        self._networks, self._limits, self._changed = networks, limits, changed
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._known = False  # whether a document has come
        self._connected = 0  # newest generation whose networks are there
        self._turns = Turns(self._turn, THREADS, "guests")
        self._steps: dict[str, Callable[[Held, Any, State | None], bool]] = {
            record.REMOVE: self._remove,
            record.PREPARE: self._prepare,
            record.START: self._start,
            record.RESUME: self._resume,
            record.ADOPT: self._adopt,
            record.STOP: self._stop,
            record.REBOOT: self._reboot,
            record.ENDED: self._ended,
            record.SETTLE: self._settle,
        }
        self.directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        self._turns.start()

    def stop(self) -> None:
        self._turns.stop()

    # ------------------------------------------------------------------------------------------------------ what is wanted

    def apply(self, desired: Desired) -> None:
        """Takes in a document. Guests that are here and not in it are removed."""
        mtu = self.config.mtu
        domains = [] if self._known else self._domains()
        ports: dict[str, list[Port]] = {}
        for network in desired.networks:
            for port in network.ports:
                ports.setdefault(port.guest_id, []).append(port)
        woken = []
        with self._lock:
            first, self._known = not self._known, True
            wanted = {checked_id(guest.id): guest for guest in desired.guests}
            for guest_id in wanted.keys() | self._held.keys() | set(self._on_disk()) | set(domains):
                held = self._hold(guest_id)
                guest = wanted.get(guest_id)
                if held.wanted != guest or first:
                    held.generation = desired.generation
                    held.attempts = 0
                    held.awake.clear()
                    if guest is not None and (held.wanted is None or guest.revision != held.wanted.revision):
                        self._images.forgive(_blobs(guest))
                        held.stopping = None
                    held.wanted = guest
                    woken.append(guest_id)
                by_index = sorted(ports.get(guest_id, ()), key=lambda port: port.device_index)
                held.nics = tuple(domain.Nic(port.id, port.mac, mtu) for port in by_index)
        self._turns.wake(*woken)

    def networks_applied(self, generation: int) -> None:
        with self._lock:
            self._connected = max(self._connected, generation)
            waiting = [held.id for held in self._held.values() if "network" in held.awake]
        self._turns.wake(*waiting)

    def restored(self) -> None:
        """The hypervisor is (again) there: everything may have changed meanwhile."""
        with self._lock:
            if not self._known:
                return
        for name in self._domains():
            with self._lock:
                self._hold(name)
        self.wake_all()

    def wake_all(self) -> None:
        with self._lock:
            names = list(self._held) if self._known else []
        self._turns.wake(*names)

    def compare(self) -> None:
        """Looks for guests that shall run and whose QEMU is gone, for libvirtd may not know: one that was started while a
        killed QEMU was still dying keeps the domain and never says that it ended. To be called now and then; a QEMU must be
        missing twice, since libvirt replaces its files one by one."""
        for held in self.held().values():
            gone = held.record.state == "running" and self._hypervisor.qemu(held.id) is None
            if gone and held.missing:
                held.suspect = True
                self._turns.wake(held.id)
            held.missing = gone

    def images_changed(self) -> None:
        with self._lock:
            waiting = [held.id for held in self._held.values() if "images" in held.awake]
        self._turns.wake(*waiting)

    def _domains(self) -> list[str]:
        try:
            return self._hypervisor.names()
        except Away:
            return []

    def _on_disk(self) -> list[str]:
        return [entry.name for entry in self.directory.iterdir() if entry.name.startswith("i-") and entry.is_dir()]

    def _hold(self, guest_id: str) -> Held:
        held = self._held.get(guest_id)
        if held is None:
            known = record.load(self.directory / guest_id)
            well = known.ready_at is not None or _age(known) >= HEALTH_GRACE
            held = self._held[guest_id] = Held(guest_id, known, health="ok" if well else "initializing")
        return held

    # ---------------------------------------------------------------------------------------------------------- what happens

    def happened(self, guest_id: str, event: str, detail: str) -> None:
        """An event of the hypervisor's, in its thread."""
        with self._lock:
            held = self._held.get(guest_id)
            if held is None:
                return
            if event == "stopped":
                held.ended = detail
            elif event == "rebooted" and held.record.state == "running":
                held.record.run_offset = self._consoles.rebooted(guest_id)
                held.record.reboot_due = held.record.ready_at = None
                held.health = "initializing"
                self._save(held)
        self._turns.wake(guest_id)
        if event == "rebooted":
            self._changed()

    def ready(self, guest_id: str) -> None:
        """The guest's console said so."""
        with self._lock:
            held = self._held.get(guest_id)
            if held is None:
                return
            held.record.ready_at = now()
            held.health = "ok"
            self._save(held)
        self._changed()

    # -------------------------------------------------------------------------------------------------------------- reports

    def reports(self) -> tuple[tuple[GuestReport, ...], tuple[Fault, ...]]:
        with self._lock:
            reports = tuple(record.report(held.record, held.health, held.doing) for held in self._held.values())
            return reports, tuple(held.fault for held in self._held.values() if held.fault is not None)

    def held(self) -> dict[str, Held]:
        with self._lock:
            return dict(self._held)

    def idle(self) -> bool:
        return self._turns.idle()

    def images_in_use(self) -> set[str]:
        with self._lock:
            used = {digest for held in self._held.values() for digest in held.record.images}
            return used | {blob.digest for held in self._held.values() if held.wanted for blob in _blobs(held.wanted)}

    # ---------------------------------------------------------------------------------------------------------------- turns

    def _turn(self, guest_id: str) -> None:
        for _ in range(12):
            with self._lock:
                held = self._held.get(guest_id)
                if held is None or not self._known:
                    return
                wanted = held.wanted
            try:
                is_ = self._alive(held, self._hypervisor.state(guest_id))
                step = record.decide(wanted, held.record, is_, self.boot)
                if step == record.NOTHING:
                    self._at_rest(held, is_)
                    return
                began = time.monotonic()
                going = self._steps[step](held, wanted, is_)
                log.debug("guest %s: %s in %.3f s", guest_id, step, time.monotonic() - began)
                if not going:
                    self._changed()
                    return
            except Away:
                return
            except ImageFault as fault:
                self._failed(held, wanted, fault.about(guest_id))
                return
            except (HypervisorError, NetworkError, domain.StylesheetError, OSError) as error:
                self._troubled(held, wanted, error)
                return
            self._changed()

    def _alive(self, held: Held, is_: State | None) -> State | None:
        """What libvirtd says, unless the guest's QEMU is known to be dead: then libvirtd is told."""
        if not held.suspect:
            return is_
        held.suspect = False
        if is_ is None or held.record.state != "running" or self._hypervisor.qemu(held.id) is not None:
            return is_
        log.warning("guest %s: its QEMU is gone, and libvirtd did not notice", held.id)
        held.lost = True
        self._hypervisor.destroy(held.id)
        return None

    def _troubled(self, held: Held, wanted: Guest | None, error: Exception) -> None:
        held.attempts += 1
        log.warning("guest %s, attempt %d: %s", held.id, held.attempts, error)
        if isinstance(error, OSError) and error.errno in _FULL:
            self._failed(held, wanted, disk_full(self.directory).about(held.id))
        elif held.attempts < ATTEMPTS or wanted is None or wanted.power == "off":
            self._turns.later(held.id, min(30.0, 0.25 * 2**held.attempts))
        else:
            words = self._hypervisor.last_words(held.id)
            cause = f"The guest could not be started: {error}" + (f" ({words})" if words and words not in str(error) else "")
            self._failed(
                held,
                wanted,
                Fault(
                    "guest-start-failed", held.id, cause, "./mallee logs node has the whole of it; then launch or start it again."
                ),
            )

    def _failed(self, held: Held, wanted: Guest | None, fault: Fault) -> None:
        log.error("guest %s: %s", held.id, fault.cause)
        held.fault, held.doing, held.attempts = fault, "", 0
        if wanted is not None:
            try:
                self._hypervisor.destroy(held.id)
            except (Away, HypervisorError) as error:
                log.warning("guest %s: %s", held.id, error)
            held.record.state, held.record.detail, held.record.revision = "failed", fault.cause, wanted.revision
            held.record.started_at = held.record.ready_at = None
            try:
                self._save(held)
            except OSError as error:  # a full disk: what is in memory is reported all the same
                log.warning("guest %s: %s", held.id, error)
        else:
            self._turns.later(held.id, 30.0)
        self._changed()

    def _save(self, held: Held) -> None:
        directory = self.directory / held.id
        if directory.is_dir():
            record.save(directory, held.record)

    # ---------------------------------------------------------------------------------- steps: True when it can go on at once

    def _files(self, held: Held, wanted: Guest) -> domain.Files | None:
        """Images and disks, as QEMU sees them; ``None`` while an image is being fetched."""
        held.awake.discard("images")
        blobs = _blobs(wanted)
        found = self._images.paths(blobs)
        if found is None:
            held.awake.add("images")
            found = self._images.paths(blobs)  # it may have arrived before anybody knew that we wait
        if found is None:
            held.doing = "fetching the image"
            return None
        held.awake.discard("images")
        directory = self.directory / held.id
        directory.mkdir(exist_ok=True)
        os.chown(directory, 0, self.config.qemu_uid)
        directory.chmod(0o710)
        held.record.images = sorted(found)
        self._save(held)
        made = disks.make(directory, wanted, found, self.config.qemu_uid)
        boot = wanted.boot
        return domain.Files(
            disks=tuple(SHOWN / "guests" / held.id / path.name for path in made),
            console=SHOWN / "consoles" / held.id,
            kernel=SHOWN / "images" / found[boot.kernel.digest].name if boot.kernel else None,
            ramdisk=SHOWN / "images" / found[boot.ramdisk.digest].name if boot.ramdisk else None,
        )

    def _prepare(self, held: Held, wanted: Guest, is_: State | None) -> bool:
        held.doing = "making the disks"
        if self._files(held, wanted) is None:
            return False
        self._rest(held, "off", "cloud", wanted)
        return True

    def _start(self, held: Held, wanted: Guest, is_: State | None) -> bool:
        held.doing = "making the disks"
        files = self._files(held, wanted)
        if files is None:
            return False
        held.doing, held.ended, held.stopping = "starting the virtual machine", None, None
        self._consoles.begin(held.id)
        stylesheet = self.config.home / "domain.xsl"
        text = domain.document(
            wanted, files, held.nics, self._hypervisor.accelerator, stylesheet if stylesheet.exists() else None
        )
        held.health, held.record.ready_at = "initializing", None
        held.record.ports = [nic.port_id for nic in held.nics]
        self._save(held)
        self._hypervisor.create(text)
        return True

    def _resume(self, held: Held, wanted: Guest, is_: State | None) -> bool:
        with self._lock:
            if self._connected < held.generation:
                held.awake.add("network")
                held.doing = "waiting for the network"
                return False
            held.awake.discard("network")
        for port_id in held.record.ports:
            self._networks.adopt_tap(port_id, port_link(port_id))
        pid = self._hypervisor.qemu(held.id)
        if pid is not None:
            self._limits.apply(held.id, pid, wanted.vcpus, wanted.memory_mib)
        if not self._hypervisor.resume(held.id):
            return True
        self._running(held, wanted)
        return True

    def _adopt(self, held: Held, wanted: Guest, is_: State | None) -> bool:
        """It was set going, and the agent that did it died before it could note it."""
        self._running(held, wanted)
        return True

    def _running(self, held: Held, wanted: Guest) -> None:
        with self._lock:
            mine = held.record
            mine.state, mine.boot, mine.detail, mine.stopped_by = "running", self.boot, "", None
            mine.revision, mine.reboots, mine.reboot_due = wanted.revision, wanted.reboots, None
            mine.started_at = now()
            if held.health != "ok":  # the console may have been quicker
                mine.ready_at = None
            mine.run_offset = 0
            held.doing, held.fault, held.attempts, held.ended = "", None, 0, None
            self._save(held)
        self._consoles.follow(held.id, 0, awaiting=mine.ready_at is None)

    def _settle(self, held: Held, wanted: Guest, is_: State | None) -> bool:
        held.record.revision = wanted.revision
        held.doing = ""
        self._save(held)
        return True

    def _stop(self, held: Held, wanted: Guest, is_: State | None) -> bool:
        assert is_ is not None
        if wanted.force_off or not is_.running:
            self._hypervisor.destroy(held.id)
            return True
        moment = time.monotonic()
        if held.stopping is None:
            held.stopping, held.pressed = moment, 0.0
        if moment - held.stopping >= STOP_GRACE:
            log.info("guest %s does not shut itself down; ending it", held.id)
            self._hypervisor.destroy(held.id)
            return True
        if moment - held.pressed >= PRESS_EVERY:
            held.pressed = moment
            self._hypervisor.press_power_button(held.id)
        self._turns.later(held.id, min(PRESS_EVERY, max(0.05, held.stopping + STOP_GRACE - moment)))
        return False

    def _reboot(self, held: Held, wanted: Guest, is_: State | None) -> bool:
        held.pressed = time.monotonic()
        self._hypervisor.reboot(held.id)
        held.record.reboots = wanted.reboots
        held.record.reboot_due = time.time() + REBOOT_GRACE
        self._save(held)
        self._turns.later(held.id, PRESS_EVERY)
        return True

    def _ended(self, held: Held, wanted: Guest, is_: State | None) -> bool:
        why = "crashed" if held.lost else held.ended or self._hypervisor.last_end(held.id) or "crashed"
        if held.record.boot != self.boot:
            why = "destroyed"
        held.ended, held.stopping, held.missing, held.lost = None, None, False, False
        self._limits.remove(held.id)
        self._consoles.ended(held.id)
        if why in ("shutdown", "destroyed"):
            self._rest(held, "off", "guest" if why == "shutdown" and wanted.power == "on" else "cloud", wanted)
            return True
        words = self._hypervisor.last_words(held.id)
        self._rest(held, "crashed", None, wanted, f"The virtual machine ended by itself{f': {words}' if words else ''}.")
        held.fault = Fault(
            "guest-crashed",
            held.id,
            held.record.detail,
            "Look at the end of its console (`aws ec2 get-console-output`), then stop and start, or terminate, the instance.",
        )
        return True

    def _rest(self, held: Held, state: str, by: str | None, wanted: Guest, detail: str = "") -> None:
        mine = held.record
        mine.state, mine.stopped_by, mine.detail = state, by, detail
        mine.started_at = mine.ready_at = mine.reboot_due = None
        if wanted.power == "off":
            mine.revision = wanted.revision
        held.doing, held.attempts, held.health, held.fault = "", 0, "initializing", None
        self._save(held)

    def _remove(self, held: Held, wanted: Guest | None, is_: State | None) -> bool:
        if is_ is not None:
            held.doing = "removing"
            self._hypervisor.kill(held.id)
        self._limits.remove(held.id)
        self._consoles.forget(held.id)
        shutil.rmtree(self.directory / held.id, ignore_errors=True)
        if (self.directory / held.id).exists():
            raise OSError(errno.ENOTEMPTY, f"{self.directory / held.id} could not be removed")
        self._hypervisor.forget(held.id)
        with self._lock:
            if held.wanted is None:
                del self._held[held.id]
            else:  # wanted again meanwhile
                held.record = record.Record(held.id)
                self._turns.wake(held.id)
        return False

    # -------------------------------------------------------------------------------------------------------------- at rest

    def _at_rest(self, held: Held, is_: State | None) -> None:
        """It is as wanted: what time may still bring is looked after."""
        held.doing, held.attempts = "", 0
        if is_ is None:
            return
        self._consoles.follow(held.id, held.record.run_offset, awaiting=held.record.ready_at is None)
        if is_.stuck:
            self._stuck(held)
            return
        due = held.record.reboot_due
        if due is not None:
            if time.time() >= due:
                log.info("guest %s does not reboot by itself; resetting it", held.id)
                self._hypervisor.reset(held.id)
                held.record.reboot_due = None
                self._save(held)
            else:
                if time.monotonic() - held.pressed >= PRESS_EVERY:
                    held.pressed = time.monotonic()
                    self._hypervisor.reboot(held.id)
                self._turns.later(held.id, PRESS_EVERY)
        if held.health != "ok":
            self._look_at_health(held)

    def _stuck(self, held: Held) -> None:
        """QEMU paused the guest because its disk can't grow. It goes on where it was as soon as there is room."""
        if shutil.disk_usage(self.directory).free > 2 * SPARE_BYTES:
            held.fault = None
            self._hypervisor.resume(held.id)
        else:
            fault = disk_full(self.directory).about(held.id)
            held.fault = Fault(
                fault.code,
                held.id,
                f"The guest is paused. {fault.cause}",
                "Free space on the node's disk; the guest then goes on by itself.",
            )
            held.health = "impaired"
            self._turns.later(held.id, 5.0)
        self._changed()

    def _look_at_health(self, held: Held) -> None:
        """Guests that don't say that they are ready: well when they answer ssh, or have run for a while."""
        if held.record.ready_at is not None:
            held.health = "ok"
            self._changed()
            return
        age = _age(held.record)
        if age >= HEALTH_GRACE or (age >= 2 * HEALTH_EVERY and self._networks.reachable(held.id, 22)):
            held.health = "ok"
            self._changed()
            return
        self._turns.later(held.id, HEALTH_EVERY)


def _age(known: record.Record) -> float:
    """Seconds since the present run began; 0 when there is none."""
    return (datetime.now(UTC) - datetime.fromisoformat(known.started_at)).total_seconds() if known.started_at else 0.0


def _blobs(guest: Guest) -> list[Blob]:
    boot = [blob for blob in (guest.boot.kernel, guest.boot.ramdisk) if blob is not None]
    return boot + [disk.image for disk in guest.disks if disk.image is not None]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
