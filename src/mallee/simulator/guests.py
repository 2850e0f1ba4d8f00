"""One simulated guest: what it is doing, when that is done, and what its node would report of it.

A guest does one thing at a time (prepare, stop, remove); each takes a time that ``Times`` names, and what is to be
done next is decided anew from what is wanted and what is, never from a plan. So a change of mind at any moment (a
termination amid the preparation, say) needs no case of its own. The clock is whatever the caller says ``now`` is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mallee.fabric.document import Fault, Guest, GuestReport


@dataclass(frozen=True, slots=True)
class Times:
    """How long things take, in seconds; 0 is at once."""

    prepare: float = 0.3  # image, disk and network, until the guest is powered on
    boot: float = 1.0  # from power on (or a reboot) until the guest says that it is ready
    stop: float = 0.5
    remove: float = 0.2


AT_ONCE = Times(0.0, 0.0, 0.0, 0.0)


@dataclass(slots=True)
class SimulatedGuest:
    """``made``: its disks are there. ``revision`` and ``reboots``: the newest that were applied. ``doing``: what is
    going on now, until ``due``; ``ready_due`` runs beside it.
    """

    wanted: Guest
    gone: bool = False  # the document does not contain it any more
    made: bool = False
    half_made: bool = False
    revision: int = -1
    reboots: int = 0
    state: str = "preparing"
    detail: str = ""
    started_at: datetime | None = None
    ready_at: datetime | None = None
    stopped_by: str | None = None
    doing: str = ""
    due: datetime | None = None
    ready_due: datetime | None = None
    run_again: bool = False  # it ran when its node went down
    fault: Fault | None = None
    console: list[str] = field(default_factory=list)  # lines not yet added to the console's end

    @property
    def id(self) -> str:
        return self.wanted.id

    def next_due(self) -> datetime | None:
        """When something happens to it by itself."""
        times = [each for each in (self.due, self.ready_due) if each is not None]
        return min(times) if times else None

    def intent(self) -> str:
        """What has to be done to it next: prepare, start, stop, reboot, remove or, when it is as wanted, nothing."""
        if self.gone:
            return "remove"
        wanted = self.wanted
        if self.state == "failed":
            return "prepare" if wanted.revision > self.revision else ""
        if not self.made:
            return "prepare"
        if wanted.power == "off":
            return "stop" if self.state == "running" else ""
        if self.state != "running":
            return "start" if wanted.revision > self.revision or self.run_again else ""
        return "reboot" if self.reboots < wanted.reboots else ""

    def begin(self, action: str, now: datetime, seconds: float) -> None:
        self.doing = action
        self.due = now + timedelta(seconds=seconds)
        if action == "prepare":
            self.state = "preparing"
            self.detail = "preparing the disks"
            self.fault = None
        elif action == "remove":
            self.ready_due = None

    def abandon(self) -> None:
        """Drops what is going on; what has been made of it so far stays half made."""
        self.half_made = self.half_made or self.doing == "prepare"
        self.doing = ""
        self.due = None

    # What the end of an action, or an event, makes of it.

    def prepared(self) -> None:
        self.made, self.half_made = True, False
        self.state, self.detail = "off", ""
        self.stopped_by = "cloud"

    def failed(self, fault: Fault) -> None:
        self.state, self.detail = "failed", fault.cause
        self.revision = self.wanted.revision
        self.fault = fault

    def started(self, now: datetime, boot: float) -> None:
        self.state = "running"
        self.revision = self.wanted.revision
        self.started_at = now
        self.stopped_by = None
        self.fault = None
        self.run_again = False
        self.reboots = self.wanted.reboots
        self._booting(now, boot)

    def rebooted(self, now: datetime, boot: float) -> None:
        self.reboots = self.wanted.reboots
        self._booting(now, boot)

    def ready(self, now: datetime) -> None:
        self.ready_at = now
        self.ready_due = None

    def stopped(self, by: str) -> None:
        self._ended("off")
        self.stopped_by = by

    def crashed(self) -> None:
        self._ended("crashed")
        self.fault = guest_crashed(self.id)

    def settled(self) -> None:
        """It is as wanted: what was asked of it is applied."""
        self.revision = self.wanted.revision

    def _booting(self, now: datetime, boot: float) -> None:
        self.ready_at = None
        self.ready_due = now + timedelta(seconds=boot)

    def _ended(self, state: str) -> None:
        self.state = state
        self.ready_at = self.ready_due = None
        self.run_again = False

    def report(self) -> GuestReport:
        running = self.state == "running"
        if running:
            health = "ok" if self.ready_at else "initializing"
        else:
            health = "impaired" if self.state == "crashed" else "initializing"
        return GuestReport(
            id=self.id,
            revision=max(0, self.revision),
            state=self.state,
            reboots=self.reboots,
            started_at=_text(self.started_at) if running else None,
            stopped_by=self.stopped_by if self.state == "off" else None,
            detail=self.detail,
            ready_at=_text(self.ready_at),
            health=health,
        )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def disk_full(guest_id: str) -> Fault:
    return Fault(
        "disk-full",
        guest_id,
        "There is no room for the guest's disk on the node.",
        "Free space on the node's disk, or terminate instances on it; then launch again.",
    )


def image_corrupt(guest_id: str) -> Fault:
    return Fault(
        "image-corrupt",
        guest_id,
        "The image that the guest starts from does not have the digest it is registered with.",
        "Register the image again from a good copy; then launch again.",
    )


def guest_crashed(guest_id: str) -> Fault:
    return Fault(
        "guest-crashed",
        guest_id,
        "The guest's virtual machine ended without being asked to.",
        "Look at the end of its console (`aws ec2 get-console-output`), then start or terminate the instance.",
    )
