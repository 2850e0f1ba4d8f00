"""A node without a hypervisor: the same protocol, the same states and reports as a real one, and nothing behind them.

Automatic (``start``/``stop``): one thread asks for the document, one works and reports, in the time of the clock.
Single-step (``step``): each call asks once, applies, carries out what is due, reports; nothing happens in between, so
that a test with a manual clock decides every moment.

As on a real node, what is in no document is removed, a guest is powered on only by a document that asks more of it
than was applied before, a report is complete, and the first report of a run comes only after its first document has
been applied: until then the node can't know what its guests should be.
"""

from __future__ import annotations

import heapq
import logging
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from mallee.fabric.document import Capacity, Credentials, Desired, GuestReport, Join, Report
from mallee.fabric.pace import Pace
from mallee.fabric.transport import LONGEST_POLL, FabricError, JoinFirst, Transport, Unreachable

from .console import Console, boot_text
from .guests import SimulatedGuest, Times, disk_full, image_corrupt
from .troubles import Troubles

log = logging.getLogger(__name__)

LARGE = Capacity(vcpus=4096, memory_mib=16 * 1024 * 1024, disk_gib=1024 * 1024, accelerator="simulated")
HEARTBEAT = timedelta(seconds=10)
_RETRY = 0.1  # seconds between attempts when the transport does not hold the pace itself

T = TypeVar("T")


class Clock(Protocol):
    def now(self) -> datetime: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class _Interrupted(Exception):
    """An armed fault ended this pass over the document."""


class Simulator:
    """A simulated node. ``arm``, ``shut_down`` and ``crash`` may be called from any thread, at any time."""

    def __init__(
        self,
        node_id: str,
        zone: str,
        transport: Transport,
        clock: Clock | None = None,
        times: Times | None = None,
        capacity: Capacity = LARGE,
        hostname: str | None = None,
    ) -> None:
        self.node_id = node_id
        self.zone = zone
        self.hostname = hostname or node_id
        self.times = times or Times()
        self.capacity = capacity
        self.troubles = Troubles()
        self._transport = transport
        self._clock = clock or SystemClock()
        self._changes = threading.Condition(threading.RLock())
        self._joining = threading.Lock()
        self._guests: dict[str, SimulatedGuest] = {}
        self._addresses: dict[str, str] | None = None  # by guest, of the present document; worked out when asked for
        self._reports: dict[str, GuestReport] = {}
        self._consoles: dict[str, Console] = {}
        self._unsent_consoles: dict[str, None] = {}
        self._look: dict[str, None] = {}  # guests to look at in the next pass, in order
        self._due: list[tuple[datetime, str]] = []
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()
        self._report_pace = Pace(longest=1.0)
        self._console_pace = Pace(share=0.1, longest=0.5)
        self._begin_run()

    def _begin_run(self) -> None:
        self._boot_id = uuid.uuid4().hex
        self._sequence = 0
        self._joined = False
        self._document: Desired | None = None
        self._inbox: Desired | None = None
        self._applied = 0
        self._dirty = False
        self._reported_at: datetime | None = None
        self._last_report: Report | None = None

    # ------------------------------------------------------------------------------------ what tests and people do

    def arm(self, name: str, guest: str | None = None, times: int = 1, **parameters: Any) -> None:
        """Arms a named fault (``troubles.NAMES``) for a guest, or for whichever comes first."""
        self.troubles.arm(name, guest, times, **parameters)

    def guests(self) -> dict[str, GuestReport]:
        """What the node sees of its guests now, reported or not."""
        with self._changes:
            return {guest_id: guest.report() for guest_id, guest in self._guests.items()}

    def shut_down(self, guest_id: str) -> None:
        """The guest powers itself off, as by ``poweroff`` inside. ``KeyError`` when the node has no such guest."""
        self._happen(guest_id, lambda guest: guest.stopped("guest"))

    def crash(self, guest_id: str) -> None:
        """The guest's virtual machine ends by itself."""
        self._happen(guest_id, SimulatedGuest.crashed)

    def credentials(self, guest_id: str, delivery: str = "2.0") -> Credentials:
        """What the guest would find at ``iam/security-credentials/<role>``: asked of the cloud each time, for a guest that the
        document gives a role. ``KeyError`` when it gives it none.
        """
        with self._changes:
            guest = self._guests[guest_id]
            if guest.wanted.metadata.role is None and not guest.wanted.metadata.profile_gone:
                raise KeyError(guest_id)
        return self._call("credentials", lambda: self._transport.credentials(self.node_id, guest_id, delivery))

    def reboot_host(self) -> None:
        """The whole host reboots: every guest loses its power, the agent starts anew, and the guests that ran start
        again.
        """
        with self._changes:
            for guest in self._guests.values():
                if guest.doing:
                    guest.abandon()
                if guest.state == "running":
                    guest.stopped("cloud")
                    guest.run_again = True
                self._look[guest.id] = None
            self._begin_run()
            self._changes.notify_all()

    def _happen(self, guest_id: str, event: Callable[[SimulatedGuest], None]) -> None:
        with self._changes:
            guest = self._guests[guest_id]
            if guest.state == "running":
                event(guest)
                self._mark(guest)
                self._changes.notify_all()

    # ------------------------------------------------------------------------------------------------- single-step

    def step(self) -> bool:
        """Asks for the document, applies it, carries out what is due, and reports; says whether anything changed."""
        try:
            self._join()
            with self._changes:
                after = self._handle()
            document = self._call("desired", lambda: self._transport.desired(self.node_id, *after, 0.0))
            changed = self._work(document)
            changed = self._report() or changed
            return self._hand_over_consoles(len(self._unsent_consoles)) or changed
        except JoinFirst:
            self._joined = False
            return True
        except (Unreachable, _Interrupted):
            return True

    def next_due(self) -> datetime | None:
        """When the next thing happens by itself; a test may set its clock to it."""
        with self._changes:
            times = [due for guest in self._guests.values() if (due := guest.next_due()) is not None]
            return min(times) if times else None

    # --------------------------------------------------------------------------------------------------- automatic

    def start(self) -> None:
        """Lets the node live by itself, until ``stop``."""
        self._stopped.clear()
        for work in (self._ask, self._live):
            thread = threading.Thread(target=work, name=f"simulator-{self.node_id}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stopped.set()
        close = getattr(self._transport, "close", None)
        if close is not None:
            close()
        with self._changes:
            self._changes.notify_all()
        for thread in self._threads:
            thread.join(timeout=LONGEST_POLL + 5)
        self._threads.clear()

    def _ask(self) -> None:
        """Waits for documents and puts them where ``_live`` finds them."""
        while not self._stopped.is_set():
            try:
                self._join()
                with self._changes:
                    run, after = self._boot_id, self._handle()
                document = self._call("desired", lambda: self._transport.desired(self.node_id, *after, LONGEST_POLL))  # noqa: B023
                with self._changes:
                    if document is not None and run == self._boot_id:
                        self._inbox = document
                        self._changes.notify_all()
            except JoinFirst as error:
                self._joined = False
                self._trouble("asking for the document", error)
            except FabricError as error:
                self._trouble("asking for the document", error)

    def _live(self) -> None:
        """Works and reports, as changes and the clock ask for it."""
        while not self._stopped.is_set():
            with self._changes:
                pause = self._pause()
                if pause > 0:
                    self._changes.wait(pause)
                document, self._inbox = self._inbox, None
                first = document is None and self._document is None
            try:
                self._join()
                if first:  # a run that has just begun; the other thread may still wait on behalf of the former
                    document = self._call("desired", lambda: self._transport.desired(self.node_id, 0, "", 0.0))
                self._work(document)
                if self._report_pace.wait() == 0:
                    self._report()
                if self._console_pace.wait() == 0:
                    self._hand_over_consoles(1)
            except JoinFirst as error:
                self._joined = False
                self._trouble("reporting", error)
            except _Interrupted:
                continue
            except FabricError as error:
                self._trouble("reporting", error)

    def _trouble(self, what: str, error: FabricError) -> None:
        if not self._stopped.is_set():
            log.warning("%s: %s: %s", self.node_id, what, error)
            self._stopped.wait(_RETRY)

    def _pause(self) -> float:
        """Seconds until there is something to do."""
        if self._inbox is not None or self._document is None or self._look:
            return 0.0
        pauses = [HEARTBEAT.total_seconds()]
        if self._due:
            pauses.append((self._due[0][0] - self._clock.now()).total_seconds())
        if self._dirty and self._applied:
            pauses.append(self._report_pace.wait())
        if self._unsent_consoles:
            pauses.append(self._console_pace.wait())
        return max(0.0, min(pauses))

    # -------------------------------------------------------------------------------------------------- the fabric

    def _call(self, name: str, call: Callable[[], T]) -> T:
        result = call()
        if self.troubles.strike("lost-reply", call=name):
            raise Unreachable("The reply was lost.")
        return result

    def _join(self) -> None:
        with self._joining:
            if self._joined:
                return
            joining = Join(self.node_id, self._boot_id, self.zone, self.hostname, self.capacity)
            self._call("join", lambda: self._transport.join(joining))
            with self._changes:
                if joining.boot_id == self._boot_id:
                    self._joined = self._dirty = True

    def _handle(self) -> tuple[int, str]:
        """Generation and digest of the newest document that has arrived."""
        newest = self._inbox or self._document
        return (0, "") if newest is None else (newest.generation, newest.digest)

    def _report(self) -> bool:
        with self._changes:
            now = self._clock.now()
            beat = self._reported_at is None or now - self._reported_at >= HEARTBEAT
            if not self._applied or not (self._dirty or beat):
                return False
            said = self._dirty
            self._dirty = False
            self._sequence += 1
            faults = tuple(guest.fault for guest in self._guests.values() if guest.fault is not None)
            report = Report(
                self.node_id,
                self._boot_id,
                self._sequence,
                self._applied,
                self.capacity,
                tuple(self._reports.values()),
                faults,
            )
        began = time.monotonic()
        try:
            self._call("report", lambda: self._transport.report(report))
        except FabricError:
            self._dirty = True
            raise
        self._report_pace.worked(time.monotonic() - began)
        self._reported_at = now
        before, self._last_report = self._last_report, report
        if before is not None and before.boot_id == report.boot_id and self.troubles.strike("stale-generation"):
            self._transport.report(before)
        return said

    def _hand_over_consoles(self, most: int) -> bool:
        sent = False
        for _ in range(most):
            with self._changes:
                guest_id = next(iter(self._unsent_consoles), None)
                if guest_id is None:
                    break
                del self._unsent_consoles[guest_id]
                console = self._consoles.get(guest_id)
                text, offset = console.end() if console is not None else (b"", 0)
            if console is None:
                continue
            began = time.monotonic()
            try:
                self._call("console", lambda: self._transport.console(guest_id, text, offset))  # noqa: B023
            except FabricError:
                self._unsent_consoles[guest_id] = None
                raise
            self._console_pace.worked(time.monotonic() - began)
            sent = True
        return sent

    # ---------------------------------------------------------------------------------------------------- the work

    def _work(self, document: Desired | None) -> bool:
        """One pass: takes in the document, if there is a new one, and does to each guest what is due and wanted."""
        with self._changes:
            if document is not None:
                self._take_in(document)
            if self._document is None:
                return False
            now = self._clock.now()
            while self._due and self._due[0][0] <= now:
                self._look[heapq.heappop(self._due)[1]] = None
            changed = document is not None
            while self._look:
                guest_id = next(iter(self._look))
                guest = self._guests.get(guest_id)
                if guest is not None:
                    self._advance(guest, now)
                    changed = True
                self._look.pop(guest_id, None)
            if self._document is not None and self._applied != self._document.generation:
                self._applied = self._document.generation
                self._dirty = changed = True
            return changed

    def _take_in(self, document: Desired) -> None:
        if self._document is None or document.guests is not self._document.guests:
            present = set()
            for wanted in document.guests:
                present.add(wanted.id)
                guest = self._guests.get(wanted.id)
                if guest is None:
                    guest = self._guests[wanted.id] = SimulatedGuest(wanted)
                    self._look[wanted.id] = None
                elif _asks_more(guest, wanted):
                    self._look[wanted.id] = None
                guest.wanted, guest.gone = wanted, False
            for guest_id, guest in self._guests.items():
                if guest_id not in present and not guest.gone:
                    guest.gone = True
                    self._look[guest_id] = None
        self._document = document
        self._addresses = None

    def _advance(self, guest: SimulatedGuest, now: datetime) -> None:
        """Carries the guest on until it is as wanted or has to wait."""
        self._mark(guest)
        if guest.gone and guest.doing not in ("", "remove"):
            guest.abandon()
        if guest.doing == "stop" and guest.wanted.force_off:
            guest.due = now
        while guest.id in self._guests:
            if guest.ready_due is not None and guest.ready_due <= now:
                self._ready(guest, now)
            if guest.doing:
                assert guest.due is not None
                if guest.due > now:
                    break
                self._finish(guest)
                continue
            intent = guest.intent()
            if intent == "":
                guest.settled()
                break
            if intent == "start":
                guest.started(now, self.times.boot)
            elif intent == "reboot":
                guest.rebooted(now, self.times.boot)
            else:
                self._begin(guest, intent, now)
        if guest.id in self._guests:
            self._mark(guest)
            due = guest.next_due()
            if due is not None:
                heapq.heappush(self._due, (due, guest.id))

    def _begin(self, guest: SimulatedGuest, action: str, now: datetime) -> None:
        seconds = {"prepare": self.times.prepare, "stop": self.times.stop, "remove": self.times.remove}[action]
        if action == "stop" and guest.wanted.force_off:
            seconds = 0.0
        slow = self.troubles.strike("slow", guest.id)
        if slow is not None:
            seconds += slow.parameters.get("seconds", 30.0)
        guest.begin(action, now, seconds)
        if action == "prepare":
            if self.troubles.strike("half-done", guest.id):
                guest.abandon()
                raise _Interrupted
            if self.troubles.strike("reboot-midway", guest.id):
                self.reboot_host()
                raise _Interrupted

    def _finish(self, guest: SimulatedGuest) -> None:
        action, guest.doing, guest.due = guest.doing, "", None
        if action == "remove":
            del self._guests[guest.id]
            self._reports.pop(guest.id, None)
            self._consoles.pop(guest.id, None)
            self._unsent_consoles.pop(guest.id, None)
            self._dirty = True
        elif action == "stop":
            guest.stopped("cloud")
        elif self.troubles.strike("disk-full", guest.id):
            guest.failed(disk_full(guest.id))
        elif self.troubles.strike("image-corrupt", guest.id):
            guest.failed(image_corrupt(guest.id))
        else:
            guest.prepared()

    def _ready(self, guest: SimulatedGuest, now: datetime) -> None:
        guest.ready(now)
        self._consoles.setdefault(guest.id, Console()).add(boot_text(guest.wanted, self._address(guest.id)))
        self._unsent_consoles[guest.id] = None
        if self.troubles.strike("guest-crash", guest.id):
            guest.crashed()

    def _address(self, guest_id: str) -> str:
        if self._addresses is None:
            networks = self._document.networks if self._document is not None else ()
            ports = (port for network in networks for port in network.ports)
            self._addresses = {port.guest_id: port.ip for port in ports if port.device_index == 0}
        return self._addresses.get(guest_id, "")

    def _mark(self, guest: SimulatedGuest) -> None:
        """Remembers what is to be reported of the guest, and that there is something to report if that is new."""
        seen = guest.report()
        if self._reports.get(guest.id) != seen:
            self._reports[guest.id] = seen
            self._dirty = True


def _asks_more(guest: SimulatedGuest, wanted: Any) -> bool:
    known = guest.wanted
    return (
        guest.gone
        or wanted.revision != known.revision
        or wanted.power != known.power
        or wanted.reboots != known.reboots
        or wanted.force_off != known.force_off
    )
