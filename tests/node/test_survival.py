"""Whatever dies, at whatever moment: guests don't notice, and everything comes to be as it should."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from mallee.node.teardown import AgentRuns, teardown
from tests.node.cloud import Cloud

pytestmark = pytest.mark.node


def running_since(cloud: Cloud, key: Path, guest_id: str) -> float:
    guest = next(guest for guest in cloud.document.guests if guest.id == guest_id)
    return time.time() - float(cloud.ssh(guest, key, "cut -d' ' -f1 /proc/uptime"))


@pytest.mark.parametrize("moment", [0.02, 0.15, 0.4, 0.7, 1.2])
def test_the_agent_is_killed_during_a_launch(cloud: Cloud, key: Path, moment: float) -> None:
    cloud.start_node()
    cloud.wait(lambda report: report.generation >= 1)
    guest = cloud.guest(1)
    cloud.want(guest)
    time.sleep(moment)
    cloud.kill_node()
    cloud.start_node()
    cloud.ready(guest, 90)
    found = cloud.ask(ask="audit")
    assert found["domains"] == found["guests"] == found["consoles"] == [guest.id]
    assert [process["guest"] for process in found["processes"] if process["guest"]] == [guest.id]
    cloud.want()
    time.sleep(moment / 4)
    cloud.kill_node()
    cloud.start_node()
    cloud.gone()
    found = cloud.ask(ask="audit")
    assert found["domains"] == found["guests"] == found["consoles"] == found["groups"] == []


def test_guests_outlive_agent_and_libvirtd(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    first = cloud.ready(guest)
    since = running_since(cloud, key, guest.id)
    facts = cloud.ask(ask="status")
    os.kill(facts["libvirtd"], signal.SIGKILL)
    limit = time.monotonic() + 30
    while not ((now := cloud.ask(ask="status"))["connected"] and now["libvirtd"] not in (None, facts["libvirtd"])):
        assert time.monotonic() < limit
        time.sleep(0.05)
    cloud.kill_node()
    cloud.start_node()
    seen = cloud.ready(guest)
    assert (seen.started_at, seen.ready_at) == (first.started_at, first.ready_at)
    assert abs(running_since(cloud, key, guest.id) - since) < 2
    off = cloud.change(guest, power="off")  # the new libvirtd has it in hand
    cloud.wait_guest(off, lambda seen: seen.state == "off" and seen.stopped_by == "cloud", 40)


def test_a_node_without_its_cloud_leaves_everything_running(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    cloud.ready(guest)
    since = running_since(cloud, key, guest.id)
    cloud.vanish()
    cloud.kill_node()
    cloud.start_node()
    time.sleep(3)
    assert [process["guest"] for process in cloud.ask(ask="audit")["processes"] if process["guest"]] == [guest.id]
    cloud.serve()
    cloud.ready(guest)
    assert abs(running_since(cloud, key, guest.id) - since) < 2


def test_a_guest_whose_qemu_dies_has_crashed(cloud: Cloud) -> None:
    cloud.start_node()
    guest, other = cloud.guest(1), cloud.guest(2)
    cloud.want(guest, other)
    cloud.ready(guest)
    cloud.ready(other, 90)
    os.kill(cloud.ask(ask="inspect", id=guest.id)["domain"]["qemu"], signal.SIGKILL)
    cloud.wait_guest(guest, lambda seen: seen.state == "crashed")
    assert [fault.code for fault in cloud.reports[-1].faults] == ["guest-crashed"]
    assert cloud.wait_guest(other, lambda seen: True).state == "running"
    again = cloud.change(guest)
    cloud.ready(again)
    assert cloud.reports[-1].faults == ()
    # and when nobody is there to see it
    pid = cloud.ask(ask="inspect", id=guest.id)["domain"]["qemu"]
    libvirtd = cloud.ask(ask="status")["libvirtd"]
    cloud.kill_node()
    os.kill(libvirtd, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    cloud.start_node()
    cloud.wait_guest(again, lambda seen: seen.state == "crashed")


def test_the_machine_goes_down_and_comes_back(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest, quiet = cloud.guest(1), cloud.guest(2)
    cloud.want(guest, quiet)
    cloud.ready(guest, 90)
    cloud.ready(quiet, 90)
    cloud.ssh(quiet, key, "sudo poweroff")
    cloud.wait_guest(quiet, lambda seen: seen.state == "off", 40)
    cloud.kill_node(signal.SIGTERM)
    teardown(cloud.home, files=False)  # as a shutdown of the machine: guests, libvirtd and networks are gone
    record = json.loads((cloud.home / "node/guests" / guest.id / "guest.json").read_text())
    assert record["state"] == "running"
    cloud.start_node()
    cloud.ready(guest)
    seen = cloud.wait_guest(quiet, lambda seen: True)
    assert (seen.state, seen.stopped_by) == ("off", "guest")


def test_clouds_live_side_by_side(cloud: Cloud, neighbour: Cloud, key: Path) -> None:
    there = Path("/run/libvirt").exists()
    for each in (cloud, neighbour):
        each.start_node()
        each.want(each.guest(1))
    for each in (cloud, neighbour):
        each.ready(each.document.guests[0], 90)
    with pytest.raises(AgentRuns):
        teardown(cloud.home, files=True)
    cloud.kill_node()
    teardown(cloud.home, files=True)
    first, second = neighbour.document.guests[0], neighbour.guest(2)
    neighbour.want(first, second)
    neighbour.ready(second, 90)
    assert neighbour.ssh(first, key, "echo well").strip() == "well"
    assert Path("/run/libvirt").exists() == there
