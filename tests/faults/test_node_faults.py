"""Every named fault, at every turn of an instance's life: the cloud comes to rest, says what happened, and nothing is left."""

from __future__ import annotations

import pytest

from mallee.simulator import FAULTS

from .conftest import Unlucky

FAILING = {
    "disk-full": ("terminated", "Server.InternalError"),
    "image-corrupt": ("terminated", "Server.InternalError"),
    "guest-crash": ("stopped", "Server.InternalError"),
}
OF_THE_NODE = {"lost-reply", "stale-generation"}


def arm(unlucky: Unlucky, name: str, guest: str | None = None, times: int = 1) -> None:
    unlucky.node.arm(name, None if name in OF_THE_NODE else guest, times)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_while_launching(unlucky: Unlucky, name: str) -> None:
    before = unlucky.rows()
    arm(unlucky, name)
    ids = unlucky.launch(3)
    unlucky.cloud.run(120)
    assert [struck for struck, _ in unlucky.node.troubles.struck] == [name]
    unlucky.assert_settled()
    states = unlucky.states(ids)
    if name in FAILING:
        state, code = FAILING[name]
        assert sorted(states) == sorted(["running", "running", state])
        reason = unlucky.instance(ids[states.index(state)])["StateReason"]
        assert reason["Code"] == code and len(reason["Message"]) > len(code) + 2
    else:
        assert states == ["running"] * 3
    unlucky.terminate(ids)
    unlucky.cloud.run(120)
    assert unlucky.states(ids) == ["terminated"] * 3
    unlucky.assert_nothing_left(before)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_again_and_again_while_launching(unlucky: Unlucky, name: str) -> None:
    before = unlucky.rows()
    arm(unlucky, name, times=5)
    ids = unlucky.launch(2)
    unlucky.cloud.run(400)
    unlucky.assert_settled()
    assert set(unlucky.states(ids)) <= {FAILING.get(name, ("running", ""))[0]}
    unlucky.node.troubles.disarm()
    unlucky.terminate(ids)
    unlucky.cloud.run(120)
    unlucky.assert_nothing_left(before)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_while_terminating(unlucky: Unlucky, name: str) -> None:
    before = unlucky.rows()
    ids = unlucky.launch(3)
    unlucky.cloud.run(60)
    assert unlucky.states(ids) == ["running"] * 3
    arm(unlucky, name, times=3)
    unlucky.terminate(ids)
    unlucky.cloud.run(200)
    assert unlucky.states(ids) == ["terminated"] * 3
    unlucky.assert_nothing_left(before)


@pytest.mark.parametrize("after", [0.5, 3.0])
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_terminated_amid_the_launch(unlucky: Unlucky, name: str, after: float) -> None:
    before = unlucky.rows()
    arm(unlucky, name)
    ids = unlucky.launch(2)
    unlucky.cloud.run(after)
    unlucky.terminate(ids)
    unlucky.cloud.run(200)
    assert unlucky.states(ids) == ["terminated"] * 2
    unlucky.node.troubles.disarm()
    unlucky.assert_nothing_left(before)


@pytest.mark.parametrize("verb", ["stop", "reboot", "start"])
@pytest.mark.parametrize("name", sorted(FAULTS))
def test_while_stopping_rebooting_and_starting(unlucky: Unlucky, name: str, verb: str) -> None:
    before = unlucky.rows()
    (name_of,) = unlucky.launch()
    unlucky.cloud.run(60)
    if verb == "start":
        unlucky.ec2.stop_instances(InstanceIds=[name_of])
        unlucky.cloud.run(60)
    arm(unlucky, name, name_of)
    getattr(unlucky.ec2, f"{verb}_instances")(InstanceIds=[name_of])
    unlucky.cloud.run(300)
    unlucky.assert_settled()
    expected = "stopped" if verb == "stop" else "running"
    if name == "guest-crash" and verb != "stop":
        expected = "stopped"
        assert unlucky.instance(name_of)["StateReason"]["Code"] == "Server.InternalError"
    assert unlucky.states([name_of]) == [expected]
    unlucky.node.troubles.disarm()
    unlucky.terminate([name_of])
    unlucky.cloud.run(120)
    unlucky.assert_nothing_left(before)


def test_a_crashed_guest_can_be_started_again(unlucky: Unlucky) -> None:
    (name,) = unlucky.launch()
    unlucky.cloud.run(60)
    unlucky.node.crash(name)
    unlucky.cloud.run(60)
    assert unlucky.states([name]) == ["stopped"]
    assert ("guest-crashed", name) in unlucky.open_faults()
    unlucky.ec2.start_instances(InstanceIds=[name])
    unlucky.cloud.run(60)
    assert unlucky.states([name]) == ["running"]
    assert unlucky.open_faults() == []


def test_a_full_disk_is_a_fault_while_it_lasts(unlucky: Unlucky) -> None:
    unlucky.node.arm("disk-full")
    (name,) = unlucky.launch()
    unlucky.cloud.run(1.5)
    while unlucky.node.guests():
        assert ("disk-full", name) in unlucky.open_faults()
        unlucky.cloud.run(1)
    unlucky.cloud.run(1)
    assert unlucky.open_faults() == []
    message = unlucky.instance(name)["StateReason"]["Message"]
    assert "no room" in message


def test_a_silent_node_keeps_what_it_has_and_gets_nothing_new(unlucky: Unlucky) -> None:
    ids = unlucky.launch(2)
    unlucky.cloud.run(60)
    silent = unlucky.cloud.simulators.pop()
    unlucky.cloud.run(90)
    assert ("node-unreachable", silent.node_id) in unlucky.open_faults()
    assert unlucky.states(ids) == ["running"] * 2
    with pytest.raises(unlucky.ec2.exceptions.ClientError, match="InsufficientInstanceCapacity"):
        unlucky.launch()
    unlucky.terminate(ids[:1])
    unlucky.cloud.run(600)
    assert unlucky.states(ids) == ["shutting-down", "running"]
    unlucky.cloud.simulators.append(silent)
    unlucky.cloud.run(60)
    assert unlucky.states(ids) == ["terminated", "running"]
    assert unlucky.open_faults() == []
    assert unlucky.states(unlucky.launch()) == ["pending"]


def test_a_host_that_reboots_has_its_guests_again(unlucky: Unlucky) -> None:
    ids = unlucky.launch(3)
    unlucky.cloud.run(60)
    unlucky.ec2.stop_instances(InstanceIds=ids[:1])
    unlucky.cloud.run(60)
    unlucky.node.reboot_host()
    unlucky.cloud.run(60)
    assert unlucky.states(ids) == ["stopped", "running", "running"]
    unlucky.assert_settled()
