"""Real guests on a real node: their whole life, as the cloud asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.node.cloud import Cloud

pytestmark = pytest.mark.node


def test_a_guest_lives_and_is_removed(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1, user_data="#!/bin/sh\necho data of $(id -un)\n")
    cloud.want(guest)
    seen = cloud.ready(guest)
    assert (seen.revision, seen.reboots, seen.started_at is not None) == (1, 0, True)
    assert cloud.ssh(guest, key, "hostname; sudo id -u; df / | tail -1").split()[:2] == ["ip-172-31-0-11", "0"]
    assert b"data of root" in cloud.console_says(guest, b"ended with code 0")
    cloud.want()
    cloud.gone()
    found = cloud.ask(ask="audit")
    assert found["domains"] == found["guests"] == found["consoles"] == found["groups"] == []
    assert {process["guest"] for process in found["processes"]} == {""}


def test_stop_by_the_power_button_and_start_again(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    cloud.ready(guest)
    cloud.ssh(guest, key, "echo kept > /home/ec2-user/file; sync")
    off = cloud.change(guest, power="off")
    seen = cloud.wait_guest(off, lambda seen: seen.state == "off" and seen.revision == off.revision, 40)
    assert (seen.stopped_by, seen.started_at, seen.ready_at) == ("cloud", None, None)
    assert "does not shut itself down" not in cloud.node_log()
    on = cloud.change(off, power="on")
    seen = cloud.ready(on)
    assert seen.revision == on.revision
    assert cloud.ssh(on, key, "cat file; dmesg 2>/dev/null; sudo dmesg | grep -c 'recovery complete'; true").split() == [
        "kept",
        "0",
    ]


def test_a_guest_that_switches_itself_off_stays_off(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    cloud.ready(guest)
    cloud.ssh(guest, key, "sudo poweroff")
    seen = cloud.wait_guest(guest, lambda seen: seen.state == "off", 40)
    assert seen.stopped_by == "guest"
    cloud.kill_node()
    cloud.start_node()
    seen = cloud.wait_guest(guest, lambda seen: True)
    assert (seen.state, seen.stopped_by) == ("off", "guest")
    again = cloud.change(guest)
    cloud.ready(again)


def test_reboot_keeps_the_run_and_is_counted(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    first = cloud.ready(guest)
    before = cloud.ask(ask="inspect", id=guest.id)["domain"]["qemu"]
    rebooted = cloud.change(guest, reboots=1)
    cloud.wait_guest(rebooted, lambda seen: seen.reboots == 1 and seen.ready_at is None, 40)
    seen = cloud.ready(rebooted)
    assert seen.started_at == first.started_at
    assert cloud.ask(ask="inspect", id=guest.id)["domain"]["qemu"] == before
    assert cloud.consoles[guest.id][1].count(b"mallee-ready") == 2
    cloud.ssh(rebooted, key, "sudo reboot")
    cloud.wait_guest(rebooted, lambda seen: seen.ready_at is None, 40)
    assert cloud.ready(rebooted).reboots == 1


def test_several_guests_come_and_go_together(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guests = [cloud.guest(number) for number in range(1, 5)]
    cloud.want(*guests)
    for guest in guests:
        cloud.ready(guest, 120)
    names = {cloud.ssh(guest, key, "hostname").strip() for guest in guests}
    assert names == {f"ip-172-31-0-{10 + number}" for number in range(1, 5)}
    cloud.want(guests[0])
    cloud.wait(lambda report: [seen.id for seen in report.guests] == [guests[0].id])
    assert cloud.ask(ask="audit")["domains"] == [guests[0].id]
    cloud.want()
    cloud.gone()
