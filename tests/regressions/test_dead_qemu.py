"""A libvirtd that was started while a killed QEMU was still dying took it for alive, and went on saying that its guest runs;
no event came and nothing looked again, so that the agent reported `running` for ever."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from mallee.fabric.document import Desired
from mallee.node import record
from mallee.node.config import NodeConfig
from mallee.node.guests import Guests
from mallee.node.hypervisor import State
from mallee.node.libvirtd import boot_id
from mallee.node.record import Record
from tests.node.test_rules import guest

WANTED = guest()


class Mistaken:
    """A libvirtd that keeps a domain until it is told to destroy it, whatever became of the process."""

    def __init__(self) -> None:
        self.domain = True
        self.pid: int | None = 4711
        self.events: Any = None

    def names(self) -> list[str]:
        return [WANTED.id] if self.domain else []

    def state(self, name: str) -> State | None:
        return State(running=True) if self.domain else None

    def qemu(self, name: str) -> int | None:
        return self.pid

    def destroy(self, name: str) -> bool:
        if self.domain:
            self.domain = False
            self.events(name, "stopped", "destroyed")
        return True

    def last_end(self, name: str) -> str | None:
        return None

    def last_words(self, name: str) -> str:
        return ""


@pytest.fixture
def world(tmp_path: Path) -> Any:
    directory = tmp_path / "guests" / WANTED.id
    directory.mkdir(parents=True)
    record.save(directory, Record(WANTED.id, revision=1, state="running", boot=boot_id(), started_at="2026-01-01T00:00:00Z"))
    hypervisor = Mistaken()
    news = threading.Event()
    guests = Guests(
        NodeConfig(tmp_path, "abcd", "node-1", "local-1a", "local-1"),
        hypervisor,  # type: ignore[arg-type]
        MagicMock(),
        MagicMock(),
        MagicMock(),
        MagicMock(),
        news.set,
    )
    hypervisor.events = guests.happened
    guests.start()
    guests.apply(Desired("node-1", 1, "local-1", "local-1a", guests=(WANTED,)))
    yield guests, hypervisor
    guests.stop()


def seen(guests: Guests) -> str:
    limit = time.monotonic() + 5
    while not guests.idle() and time.monotonic() < limit:
        time.sleep(0.005)
    ((report,), _) = guests.reports()
    return report.state


def test_a_domain_without_its_process_is_found_and_has_crashed(world: Any) -> None:
    guests, hypervisor = world
    guests.compare()
    guests.compare()
    assert seen(guests) == "running" and hypervisor.domain
    hypervisor.pid = None
    guests.compare()
    assert seen(guests) == "running"  # once may be a moment between two of libvirt's files
    guests.compare()
    assert seen(guests) == "crashed" and not hypervisor.domain
    assert [fault.code for fault in guests.reports()[1]] == ["guest-crashed"]


def test_a_process_that_is_there_again_is_believed(world: Any) -> None:
    guests, hypervisor = world
    hypervisor.pid = None
    guests.compare()
    hypervisor.pid = 4712
    guests.compare()
    hypervisor.pid = None
    guests.compare()
    assert seen(guests) == "running" and hypervisor.domain
