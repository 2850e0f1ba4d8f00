"""Stops what runs of a cloud on this host, and, when its files go as well, leaves the host as it was.

Works without the agent and without libvirtd, from any state, as often as one likes: what is there is found by the
cloud's tag.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mallee.node import record
from mallee.node.config import NodeConfig
from mallee.node.hypervisor import Away, Hypervisor, HypervisorError
from mallee.node.inventory import processes_in
from mallee.node.libvirtd import Daemon, end
from mallee.node.limits import Limits
from mallee.node.network import Networks, node_namespace
from mallee.node.settings import config_of, only_one

PATIENCE = 20.0  # seconds that guests get to shut themselves down, all together
_OWN = ("images", "guests", "consoles", "libvirt")


def teardown(home: Path, files: bool, say: Callable[[str], None] = lambda text: None, patience: float = PATIENCE) -> None:
    """``home`` is the cloud's. Without ``files`` guests are shut down and start again with the next ``up``; with them nothing remains."""
    config = config_of(home)
    with _no_agent(home):
        _teardown(config, files, say, patience)


def _teardown(config: NodeConfig, files: bool, say: Callable[[str], None], patience: float) -> None:
    guests = _guests(config)
    if guests and not files:
        say(f"asking {len(guests)} guests to shut down")
        _ask_to_shut_down(config, guests, patience)
    _end_processes(config, say)
    Daemon(config).stop()
    _note_stopped(config)
    Limits(config.tag).teardown()
    say("taking networks down")
    Networks(config).teardown()
    if files:
        Daemon(config).remove()
        for name in _OWN:
            shutil.rmtree(config.home / name, ignore_errors=True)
        shutil.rmtree(config.home, ignore_errors=True)


class AgentRuns(Exception):
    """The agent would make again what is taken down."""


@contextlib.contextmanager
def _no_agent(home: Path) -> Iterator[None]:
    limit = time.monotonic() + 10.0
    while (lock := only_one(home)) is None:
        if time.monotonic() > limit:
            raise AgentRuns(f"The node agent of {home} is running; stop it first (./mallee down does).")
        time.sleep(0.1)
    try:
        yield
    finally:
        os.close(lock)


def _guests(config: NodeConfig) -> list[str]:
    return [guest for _, _, guest in processes_in(node_namespace(config.tag)) if guest]


def _ask_to_shut_down(config: NodeConfig, guests: list[str], patience: float) -> None:
    hypervisor = Hypervisor(config, lambda guest_id, event, detail: None, lambda: None)
    hypervisor.start()
    limit = time.monotonic() + patience
    pressed: dict[str, float] = {}
    try:
        while (running := _guests(config)) and time.monotonic() < limit:
            for guest_id in running:
                if time.monotonic() - pressed.get(guest_id, 0.0) > 5.0:
                    with contextlib.suppress(Away, HypervisorError):
                        hypervisor.press_power_button(guest_id)
                        pressed[guest_id] = time.monotonic()
            time.sleep(0.1)
    finally:
        hypervisor.stop()


def _end_processes(config: NodeConfig, say: Callable[[str], None]) -> None:
    """QEMU flushes its disks when it is asked to end."""
    left = [(pid, guest) for pid, _, guest in processes_in(node_namespace(config.tag)) if guest]
    for pid, guest in left:
        say(f"ending {guest}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    for pid, _ in left:
        end(pid, 5.0)


def _note_stopped(config: NodeConfig) -> None:
    """To the next agent it is as if the machine had been switched off: guests that ran, and are wanted to, start again."""
    directory = config.home / "guests"
    for path in directory.glob(f"i-*/{record.FILE}"):
        found = record.load(path.parent)
        if found.state == "running":
            found.boot = ""
            record.save(path.parent, found)
