"""The simulated node, step by step and by itself."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mallee.fabric.client import SocketTransport
from mallee.fabric.document import Desired, GuestReport
from mallee.nodes import records
from mallee.simulator import AT_ONCE, FAULTS, Simulator, Times
from mallee.simulator.console import Console
from mallee.store import Clock

from .serving import serving
from .world import ZONE, World

SLOW = Times(prepare=2, boot=10, stop=5, remove=1)


@pytest.fixture
def world(sqlite_world: World) -> World:
    return sqlite_world


@pytest.fixture
def simulator(world: World) -> Simulator:
    made = Simulator("n-1", ZONE, world.transport(), world.clock, AT_ONCE)
    settle(made)
    return made


@pytest.fixture
def slow(world: World) -> Simulator:
    made = Simulator("n-1", ZONE, world.transport(), world.clock, SLOW)
    settle(made)
    return made


def settle(simulator: Simulator, most: int = 20) -> int:
    """Steps until nothing changes; how many steps changed something."""
    for count in range(most):
        if not simulator.step():
            return count
    raise AssertionError(f"the simulator was not idle after {most} steps")


def later(world: World, simulator: Simulator, seconds: float) -> None:
    world.clock.advance(seconds)
    settle(simulator)


def seen(world: World, instance_id: str = "i-1") -> tuple[str, int, int] | None:
    found = world.report(instance_id)
    return None if found is None else (found.state, found.revision, found.reboots)


def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


# one life, step by step


def test_a_life_at_once(world: World, simulator: Simulator) -> None:
    world.launch("i-1")
    settle(simulator)
    found = world.report("i-1")
    assert found is not None
    assert (found.state, found.revision, found.health) == ("running", 1, "ok")
    assert found.ready_at == found.started_at == "2024-01-01T12:00:00.000Z"
    world.ask("i-1", power="off")
    settle(simulator)
    found = world.report("i-1")
    assert found is not None
    assert (found.state, found.revision, found.stopped_by, found.started_at) == ("off", 2, "cloud", None)
    world.ask("i-1", power="on")
    settle(simulator)
    assert seen(world) == ("running", 3, 0)
    world.terminate("i-1")
    settle(simulator)
    assert seen(world) is None
    assert world.node().applied == world.node().generation


def test_a_life_in_its_time(world: World, slow: Simulator) -> None:
    world.launch("i-1")
    settle(slow)
    assert seen(world) == ("preparing", 0, 0)
    later(world, slow, 2)
    assert seen(world) == ("running", 1, 0)
    found = world.report("i-1")
    assert found is not None and (found.health, found.ready_at) == ("initializing", None)
    later(world, slow, 9.5)
    assert world.report("i-1") == found
    later(world, slow, 0.5)
    found = world.report("i-1")
    assert found is not None and (found.health, found.ready_at) == ("ok", "2024-01-01T12:00:12.000Z")
    world.ask("i-1", power="off")
    settle(slow)
    assert seen(world) == ("running", 1, 0)
    later(world, slow, 5)
    assert seen(world) == ("off", 2, 0)
    world.terminate("i-1")
    settle(slow)
    assert seen(world) == ("off", 2, 0)
    later(world, slow, 1)
    assert seen(world) is None


def test_what_is_due_is_known(world: World, slow: Simulator) -> None:
    assert slow.next_due() is None
    world.launch("i-1")
    settle(slow)
    due = slow.next_due()
    assert due is not None and (due - world.clock.now()).total_seconds() == 2


def test_a_reboot_is_done_once(world: World, slow: Simulator) -> None:
    world.launch("i-1")
    settle(slow)
    later(world, slow, 12)
    started = world.report("i-1")
    world.ask("i-1", reboots=1)
    settle(slow)
    found = world.report("i-1")
    assert started is not None and found is not None
    assert (seen(world), found.ready_at, found.started_at) == (("running", 2, 1), None, started.started_at)
    later(world, slow, 10)
    world.ask("i-1")
    settle(slow)
    found = world.report("i-1")
    assert found is not None and (found.ready_at is not None, found.reboots, found.revision) == (True, 1, 3)


def test_reboots_of_the_past_are_not_made_up_for(world: World, simulator: Simulator) -> None:
    world.launch("i-1")
    world.ask("i-1", reboots=4)
    settle(simulator)
    assert seen(world) == ("running", 2, 4)


def test_a_termination_amid_the_preparation(world: World, slow: Simulator) -> None:
    world.launch("i-1")
    settle(slow)
    world.terminate("i-1")
    settle(slow)
    later(world, slow, 1)
    assert seen(world) is None and slow.guests() == {}


def test_a_stop_amid_the_boot_and_a_forced_one(world: World, slow: Simulator) -> None:
    world.launch("i-1")
    settle(slow)
    later(world, slow, 3)
    world.ask("i-1", power="off")
    settle(slow)
    assert seen(world) == ("running", 1, 0)
    world.ask("i-1", force_off=True)
    settle(slow)
    assert seen(world) == ("off", 3, 0)


def test_a_guest_that_shall_be_off_from_the_start(world: World, simulator: Simulator) -> None:
    world.launch("i-1")
    world.ask("i-1", power="off")
    settle(simulator)
    assert seen(world) == ("off", 2, 0)


def test_a_guest_that_shuts_itself_down_stays_off_until_it_is_asked_anew(world: World, simulator: Simulator) -> None:
    world.launch("i-1")
    settle(simulator)
    simulator.shut_down("i-1")
    settle(simulator)
    found = world.report("i-1")
    assert found is not None and (found.state, found.stopped_by, found.revision) == ("off", "guest", 1)
    world.write(lambda tx: records.touch(tx, node_id="n-1"))
    settle(simulator)
    assert seen(world) == ("off", 1, 0)
    world.ask("i-1")
    settle(simulator)
    assert seen(world) == ("running", 2, 0)
    with pytest.raises(KeyError):
        simulator.shut_down("i-2")


def test_a_step_without_anything_new_says_so_and_costs_nothing(world: World, simulator: Simulator) -> None:
    world.launch("i-1")
    settle(simulator)
    sequence, built = world.node().sequence, world.built
    for _ in range(5):
        assert simulator.step() is False
    assert (world.node().sequence, world.built) == (sequence, built)


def test_a_heartbeat_goes_out_with_the_clock(world: World, simulator: Simulator) -> None:
    world.clock.advance(30)
    assert simulator.step() is False
    assert world.node().seen_at == world.clock.now()


def test_a_host_that_reboots_starts_again_what_ran(world: World, simulator: Simulator) -> None:
    for name in ("i-1", "i-2", "i-3"):
        world.launch(name)
    world.ask("i-2", power="off")
    settle(simulator)
    simulator.shut_down("i-3")
    settle(simulator)
    run = world.node().boot_id
    world.clock.advance(60)
    simulator.reboot_host()
    settle(simulator)
    assert world.node().boot_id != run
    states = [world.report(name) for name in ("i-1", "i-2", "i-3")]
    assert [found and (found.state, found.stopped_by) for found in states] == [
        ("running", None),
        ("off", "cloud"),
        ("off", "guest"),
    ]
    assert states[0] is not None and states[0].started_at == "2024-01-01T12:01:00.000Z"


def test_nothing_is_reported_before_the_first_document_of_a_run(world: World) -> None:
    """Or a host that has just rebooted would say of its guests that they are off."""
    said: list[tuple[GuestReport, ...]] = []
    transport = world.transport()

    def report(what: object, send: Callable[[object], None] = transport.report) -> None:  # type: ignore[assignment]
        said.append(what.guests)  # type: ignore[attr-defined]
        send(what)

    transport.report = report  # type: ignore[assignment, method-assign]
    made = Simulator("n-1", ZONE, transport, world.clock, AT_ONCE)
    settle(made)
    world.launch("i-1")
    settle(made)
    said.clear()
    made.reboot_host()
    made.troubles.arm("lost-reply", call="desired", times=3)
    for _ in range(4):
        made.step()
    settle(made)
    assert [[each.state for each in guests] for guests in said] == [["running"]]


# consoles


def test_the_console_of_a_boot(world: World, simulator: Simulator) -> None:
    world.launch("i-1")
    settle(simulator)
    with world.database.reading() as tx:
        console = records.console(tx, "i-1")
    assert console is not None
    for word in (b"i-1", b"t3.nano", b"172.31.0.4", b"login:"):
        assert word in console.text


def test_a_console_keeps_its_end() -> None:
    console = Console()
    for number in range(20_000):
        console.add(f"line {number}\n")
    text, offset = console.end()
    whole = "".join(f"line {number}\n" for number in range(20_000)).encode()
    assert len(text) == 64 * 1024
    assert text == whole[offset:]


# faults


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_strikes_once_and_is_lived_through(world: World, simulator: Simulator, name: str) -> None:
    world.launch("i-0")
    settle(simulator)
    simulator.arm(name, guest="i-1" if name not in ("lost-reply", "stale-generation") else None, seconds=5)
    world.launch("i-1")
    world.launch("i-2")
    settle(simulator)
    later(world, simulator, 5)
    assert [struck for struck, _ in simulator.troubles.struck] == [name]
    assert simulator.troubles.armed == []
    expected = {"disk-full": "failed", "image-corrupt": "failed", "guest-crash": "crashed"}.get(name, "running")
    assert seen(world) == (expected, 1, 0)
    assert seen(world, "i-0") == seen(world, "i-2") == ("running", 1, 0)
    assert world.node().applied == world.node().generation
    world.terminate("i-1")
    settle(simulator)
    assert seen(world) is None
    assert world.node().faults == []


def test_a_failed_guest_is_tried_again_when_more_is_asked(world: World, simulator: Simulator) -> None:
    simulator.arm("disk-full")
    world.launch("i-1")
    settle(simulator)
    found = world.report("i-1")
    assert found is not None and (found.state, found.detail) == ("failed", "There is no room for the guest's disk on the node.")
    assert [fault["code"] for fault in world.node().faults] == ["disk-full"]
    world.ask("i-1")
    settle(simulator)
    assert seen(world) == ("running", 2, 0)
    assert world.node().faults == []


def test_half_done_holds_back_the_generation(world: World, simulator: Simulator) -> None:
    simulator.arm("half-done", guest="i-1")
    world.launch("i-1")
    assert simulator.step() is True
    assert world.node().applied < world.node().generation
    settle(simulator)
    assert world.node().applied == world.node().generation


def test_a_late_report_changes_nothing(world: World, simulator: Simulator) -> None:
    world.launch("i-1")
    settle(simulator)
    simulator.arm("stale-generation")
    world.ask("i-1", power="off")
    settle(simulator)
    assert simulator.troubles.struck == [("stale-generation", None)]
    assert seen(world) == ("off", 2, 0)
    assert world.node().applied == world.node().generation


@pytest.mark.parametrize("call", ["join", "desired", "report", "console"])
def test_a_lost_reply_of_each_call(world: World, call: str) -> None:
    made = Simulator("n-1", ZONE, world.transport(), world.clock, AT_ONCE)
    made.arm("lost-reply", call=call, times=3)
    settle(made)
    world.launch("i-1")
    settle(made)
    world.terminate("i-1")
    settle(made)
    assert made.troubles.armed == []
    assert made.guests() == {}


def test_the_page_names_every_fault() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", page, re.M))
    assert {name: text.replace("`", "") for name, text in rows.items()} == {
        name: text.replace("`", "") for name, text in FAULTS.items()
    }


def test_an_unknown_fault_is_no_fault(simulator: Simulator) -> None:
    with pytest.raises(ValueError, match="no-such"):
        simulator.arm("no-such")
    simulator.arm("slow", times=2)
    simulator.arm("half-done")
    simulator.troubles.disarm("slow")
    assert simulator.troubles.armed == ["half-done"]
    simulator.troubles.disarm()
    assert simulator.troubles.armed == []


# by itself


@pytest.fixture(params=["direct", "socket"])
def living(request: pytest.FixtureRequest, world: World, tmp_path: Path):  # type: ignore[no-untyped-def]
    """A simulator that lives by itself, by either transport."""
    world.database.clock = Clock()
    if request.param == "direct":
        made = Simulator("n-1", ZONE, world.transport(), times=AT_ONCE)
        made.start()
        eventually(lambda: world.transport().session.database and _joined(world))
        yield made
        made.stop()
        return
    with serving(world.session(), tmp_path / "fabric.sock") as server:
        made = Simulator("n-1", ZONE, SocketTransport(server.path), times=AT_ONCE)
        made.server = server  # type: ignore[attr-defined]
        made.start()
        eventually(lambda: _joined(world))
        yield made
        made.stop()


def _joined(world: World) -> bool:
    with world.database.reading() as tx:
        return bool(records.nodes(tx))


def test_a_life_by_itself(world: World, living: Simulator) -> None:
    world.launch("i-1")
    eventually(lambda: seen(world) == ("running", 1, 0))
    living.shut_down("i-1")
    eventually(lambda: seen(world) == ("off", 1, 0))
    world.ask("i-1")
    eventually(lambda: seen(world) == ("running", 2, 0))
    living.reboot_host()
    eventually(lambda: seen(world) == ("running", 2, 0) and world.node().applied == world.node().generation)
    world.terminate("i-1")
    eventually(lambda: seen(world) is None and living.guests() == {})


def test_times_pass_by_themselves(world: World, living: Simulator) -> None:
    living.times = Times(0.1, 0.2, 0.1, 0.1)
    world.launch("i-1")
    began = time.monotonic()
    eventually(lambda: (found := world.report("i-1")) is not None and found.ready_at is not None)
    assert 0.25 < time.monotonic() - began < 3


@pytest.mark.parametrize("name", ["lost-reply", "half-done", "reboot-midway", "stale-generation"])
def test_faults_by_itself(world: World, living: Simulator, name: str) -> None:
    world.launch("i-0")
    eventually(lambda: seen(world, "i-0") == ("running", 1, 0))
    living.arm(name)
    world.launch("i-1")
    eventually(lambda: seen(world) == ("running", 1, 0))
    world.launch("i-2")
    eventually(lambda: seen(world, "i-2") == ("running", 1, 0))
    eventually(lambda: living.troubles.armed == [])
    eventually(lambda: world.node().applied == world.node().generation)


def test_many_at_once(world: World, living: Simulator) -> None:
    names = [f"i-{number:03}" for number in range(100)]
    threads = [
        threading.Thread(target=lambda part=part: [world.launch(name) for name in part]) for part in (names[:50], names[50:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: all(seen(world, name) == ("running", 1, 0) for name in names), 30)
    for name in names:
        world.terminate(name)
    eventually(lambda: living.guests() == {}, 30)


def test_a_cloud_that_restarts(world: World, tmp_path: Path) -> None:
    world.database.clock = Clock()
    with serving(world.session(), tmp_path / "fabric.sock") as server:
        made = Simulator("n-1", ZONE, SocketTransport(server.path), times=AT_ONCE)
        made.start()
        try:
            eventually(lambda: _joined(world))
            world.launch("i-1")
            eventually(lambda: seen(world) == ("running", 1, 0))
            server.stop()
            world.launch("i-2")
            time.sleep(0.3)
            assert made.guests()["i-1"].state == "running"
            server.start()
            eventually(lambda: seen(world, "i-2") == ("running", 1, 0))
        finally:
            made.stop()


def test_the_document_is_not_kept_from_being_shared(world: World) -> None:
    """``replace`` on a handed out document leaves its parts the same objects: that is what makes "no change" cheap."""
    document = Desired("n-1", 1, "local-1", ZONE, guests=())
    assert replace(document, generation=2).guests is document.guests
