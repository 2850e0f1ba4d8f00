"""Start, stop, reboot, terminate, and what guests do by themselves, through boto3 with simulated nodes."""

from __future__ import annotations

import base64

import pytest

from mallee.simulator import Times
from tests.cloud.harness import TestCloud, refused


@pytest.fixture
def ec2(cloud):
    return cloud.client("ec2")


def _launch(cloud: TestCloud, count: int = 1, **asked):
    answer = cloud.client("ec2").run_instances(ImageId=cloud.image_id, MinCount=count, MaxCount=count, **asked)
    cloud.run()
    return [each["InstanceId"] for each in answer["Instances"]]


def _show(cloud: TestCloud, instance_id: str):
    return cloud.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]


def _state(cloud: TestCloud, instance_id: str) -> str:
    return _show(cloud, instance_id)["State"]["Name"]


def _simulator(cloud: TestCloud, instance_id: str):
    return next(each for each in cloud.simulators if instance_id in each.guests())


def test_stop_and_start(cloud, ec2):
    (id,) = _launch(cloud)
    before = _show(cloud, id)
    (answer,) = ec2.stop_instances(InstanceIds=[id])["StoppingInstances"]
    assert answer["PreviousState"]["Name"] == "running" and answer["CurrentState"] == {"Code": 64, "Name": "stopping"}
    cloud.run()
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[id])
    stopped = _show(cloud, id)
    assert stopped["StateReason"] == {
        "Code": "Client.UserInitiatedShutdown",
        "Message": "Client.UserInitiatedShutdown: User initiated shutdown",
    }
    assert stopped["StateTransitionReason"].startswith("User initiated (") and "PublicIpAddress" not in stopped
    assert stopped["PrivateIpAddress"] == before["PrivateIpAddress"]

    cloud.clock.advance(60)
    (answer,) = ec2.start_instances(InstanceIds=[id])["StartingInstances"]
    assert (answer["PreviousState"]["Name"], answer["CurrentState"]["Name"]) == ("stopped", "pending")
    cloud.run()
    ec2.get_waiter("instance_running").wait(InstanceIds=[id])
    started = _show(cloud, id)
    assert (
        started["LaunchTime"] > before["LaunchTime"] and started["UsageOperationUpdateTime"] == before["UsageOperationUpdateTime"]
    )
    assert started["PublicIpAddress"] and started["StateTransitionReason"] == "" and "StateReason" not in started
    assert started["BlockDeviceMappings"] == before["BlockDeviceMappings"]


def test_verbs_that_change_nothing_succeed(cloud, ec2):
    (id,) = _launch(cloud)
    (answer,) = ec2.start_instances(InstanceIds=[id])["StartingInstances"]
    assert answer["CurrentState"] == answer["PreviousState"] == {"Code": 16, "Name": "running"}
    ec2.stop_instances(InstanceIds=[id])
    cloud.run()
    (answer,) = ec2.stop_instances(InstanceIds=[id])["StoppingInstances"]
    assert answer["CurrentState"] == answer["PreviousState"] == {"Code": 80, "Name": "stopped"}


def test_terminate(cloud, ec2):
    (id,) = _launch(
        cloud, KeyName=_key(ec2), TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    )
    (answer,) = ec2.terminate_instances(InstanceIds=[id])["TerminatingInstances"]
    assert answer["PreviousState"]["Name"] == "running" and answer["CurrentState"] == {"Code": 32, "Name": "shutting-down"}
    cloud.run()
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[id])
    gone = _show(cloud, id)
    assert gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown" and gone["Tags"]
    for member in ("PrivateIpAddress", "PublicIpAddress", "SubnetId", "VpcId"):
        assert member not in gone
    assert gone["NetworkInterfaces"] == [] and gone["BlockDeviceMappings"] == []
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    (answer,) = ec2.terminate_instances(InstanceIds=[id])["TerminatingInstances"]
    assert answer["CurrentState"]["Name"] == "terminated"
    assert not any(each.guests() for each in cloud.simulators)

    cloud.run(seconds=3599)
    assert _state(cloud, id) == "terminated"
    cloud.run(seconds=5)
    with refused("InvalidInstanceID.NotFound") as message:
        ec2.describe_instances(InstanceIds=[id])
    assert message() == f"The instance ID '{id}' does not exist"
    assert ec2.describe_tags()["Tags"] == []


def _key(ec2) -> str:
    ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    return "mine"


@pytest.mark.parametrize("prepare", [None, "stop", "start", "reboot"])
def test_terminate_at_once_after_anything(cloud, ec2, prepare):
    (id,) = _launch(cloud)
    if prepare == "start":
        ec2.stop_instances(InstanceIds=[id])
        cloud.run()
    if prepare:
        getattr(ec2, f"{prepare}_instances")(InstanceIds=[id])
    ec2.terminate_instances(InstanceIds=[id])
    cloud.run(seconds=60)
    assert _state(cloud, id) == "terminated"
    assert not any(each.guests() for each in cloud.simulators)


def test_terminate_before_the_node_has_heard_of_it(cloud, ec2):
    answer = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)
    id = answer["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[id])
    cloud.run()
    assert _state(cloud, id) == "terminated"


def test_reboot(cloud, ec2):
    (id,) = _launch(cloud)
    simulator = _simulator(cloud, id)
    assert simulator.guests()[id].reboots == 0
    ec2.reboot_instances(InstanceIds=[id])
    ec2.reboot_instances(InstanceIds=[id])
    cloud.run()
    assert simulator.guests()[id].reboots == 2 and _state(cloud, id) == "running"


def test_states_that_refuse(cloud, ec2):
    (id,) = _launch(cloud)
    ec2.stop_instances(InstanceIds=[id])
    with refused("IncorrectInstanceState") as message:
        ec2.start_instances(InstanceIds=[id])
    assert message() == f"The instance '{id}' is not in a state from which it can be started."
    cloud.run()
    with refused("IncorrectInstanceState"):
        ec2.reboot_instances(InstanceIds=[id])
    ec2.terminate_instances(InstanceIds=[id])
    cloud.run()
    with refused("IncorrectInstanceState") as message:
        ec2.stop_instances(InstanceIds=[id])
    assert message() == f"This instance '{id}' is not in a state from which it can be stopped."
    ec2.reboot_instances(InstanceIds=[id])
    fresh = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    with refused("IncorrectInstanceState") as message:
        ec2.stop_instances(InstanceIds=[fresh])
    assert message() == f"Instance '{fresh}' cannot be stopped as it has never reached the 'running' state."


def test_all_or_none(cloud, ec2):
    first, second = _launch(cloud, 2)
    ec2.modify_instance_attribute(
        InstanceId=second,
        DisableApiTermination={"Value": True},
    )
    with refused("OperationNotPermitted") as message:
        ec2.terminate_instances(InstanceIds=[first, second])
    assert message() == (
        f"The instance '{second}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."
    )
    absent = "i-0123456789abcdef0"
    with refused("InvalidInstanceID.NotFound"):
        ec2.stop_instances(InstanceIds=[first, absent])
    with refused("InvalidInstanceID.Malformed"):
        ec2.stop_instances(InstanceIds=[first, "nonsense"])
    assert _state(cloud, first) == _state(cloud, second) == "running"
    ec2.modify_instance_attribute(InstanceId=second, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[first, second])


def test_stop_protection(cloud, ec2):
    (id,) = _launch(cloud, DisableApiStop=True, DisableApiTermination=True)
    for verb in (ec2.stop_instances, ec2.terminate_instances):
        with refused("OperationNotPermitted"):
            verb(InstanceIds=[id])
    ec2.modify_instance_attribute(InstanceId=id, Attribute="disableApiStop", Value="false")
    ec2.stop_instances(InstanceIds=[id])
    cloud.run()
    assert _state(cloud, id) == "stopped"


@pytest.mark.parametrize("behavior", ["stop", "terminate"])
def test_a_guest_that_powers_itself_off(cloud, behavior):
    (id,) = _launch(cloud, InstanceInitiatedShutdownBehavior=behavior)
    _simulator(cloud, id).shut_down(id)
    cloud.run()
    shown = _show(cloud, id)
    assert shown["State"]["Name"] == {"stop": "stopped", "terminate": "terminated"}[behavior]
    assert shown["StateReason"] == {
        "Code": "Client.InstanceInitiatedShutdown",
        "Message": "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
    }


def test_a_crashed_guest_is_stopped_with_a_fault_and_can_be_started(cloud, ec2):
    from mallee.durable import faults

    (id,) = _launch(cloud)
    _simulator(cloud, id).crash(id)
    cloud.run()
    shown = _show(cloud, id)
    assert shown["State"]["Name"] == "stopped" and shown["StateReason"]["Code"] == "Server.InternalError"
    with cloud.database.reading() as tx:
        assert [(fault.code, fault.subject) for fault in faults.open_(tx)] == [("guest-crashed", id)]
    ec2.start_instances(InstanceIds=[id])
    cloud.run()
    assert _state(cloud, id) == "running"
    with cloud.database.reading() as tx:
        assert not faults.open_(tx)


def _stubborn(tmp_path, database, clock) -> TestCloud:
    """A cloud whose guests take ever to shut down."""
    from mallee.store import schema

    schema.create(database)
    return TestCloud(tmp_path, database, clock, zones=("local-1a",), times=Times(0, 0, 10_000, 0))


def test_a_guest_that_does_not_shut_down_is_switched_off(tmp_path, database, clock):
    cloud = _stubborn(tmp_path, database, clock)
    ec2 = cloud.client("ec2")
    patient, hurried, skipped = _launch(cloud, 3)
    ec2.stop_instances(InstanceIds=[patient, hurried])
    ec2.stop_instances(InstanceIds=[skipped], SkipOsShutdown=True)
    cloud.run()
    assert [_state(cloud, id) for id in (patient, hurried, skipped)] == ["stopping", "stopping", "stopped"]
    ec2.stop_instances(InstanceIds=[hurried], Force=True)
    cloud.run()
    assert [_state(cloud, id) for id in (patient, hurried)] == ["stopping", "stopped"]
    cloud.run(seconds=120)
    assert _state(cloud, patient) == "stopped"
    cloud.close()


def test_a_guest_that_does_not_shut_down_is_terminated_all_the_same(tmp_path, database, clock):
    cloud = _stubborn(tmp_path, database, clock)
    ec2 = cloud.client("ec2")
    patient, skipped = _launch(cloud, 2)
    ec2.terminate_instances(InstanceIds=[patient])
    ec2.terminate_instances(InstanceIds=[skipped], SkipOsShutdown=True)
    cloud.run()
    assert [_state(cloud, id) for id in (patient, skipped)] == ["shutting-down", "terminated"]
    cloud.run(seconds=40)
    assert _state(cloud, patient) == "terminated"
    cloud.close()


def test_a_node_that_never_answers_is_a_fault_with_a_cause(tmp_path, database, clock):
    from mallee.durable import faults
    from mallee.store import schema

    schema.create(database)
    cloud = TestCloud(tmp_path, database, clock, zones=("local-1a",), times=Times(100_000, 0, 0, 100_000))
    ec2 = cloud.client("ec2")
    id = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    cloud.run(seconds=700)
    shown = _show(cloud, id)
    assert shown["State"]["Name"] == "shutting-down" and "did not start within" in shown["StateReason"]["Message"]
    with cloud.database.reading() as tx:
        open_ = {fault.code for fault in faults.open_(tx) if fault.subject == id}
    assert "instance-stuck" in open_
    cloud.close()


def test_console_output(cloud, ec2):
    (id,) = _launch(cloud)
    cloud.run(seconds=5)
    answer = ec2.get_console_output(InstanceId=id)
    assert answer["InstanceId"] == id and answer["Output"] and answer["Timestamp"].tzinfo is not None
    assert ec2.get_console_output(InstanceId=id, Latest=True)["Output"] == answer["Output"]
    base64.b64encode(answer["Output"].encode())
    fresh = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    assert "Output" not in ec2.get_console_output(InstanceId=fresh)
    with refused("InvalidInstanceID.NotFound"):
        cloud.account().client("ec2").get_console_output(InstanceId=id)


def test_status(cloud, ec2):
    (id,) = _launch(cloud)
    cloud.run(seconds=5)
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[id])
    ec2.get_waiter("system_status_ok").wait(InstanceIds=[id])
    (status,) = ec2.describe_instance_status()["InstanceStatuses"]
    assert status["InstanceStatus"]["Details"] == [{"Name": "reachability", "Status": "passed"}]
    pending = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    assert len(ec2.describe_instance_status()["InstanceStatuses"]) == 1
    everything = ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
    assert {each["InstanceId"]: each["InstanceStatus"]["Status"] for each in everything} == {id: "ok", pending: "initializing"}

    def ids(name, value):
        found = ec2.describe_instance_status(IncludeAllInstances=True, Filters=[{"Name": name, "Values": [value]}])
        return [each["InstanceId"] for each in found["InstanceStatuses"]]

    assert ids("instance-status.status", "ok") == [id] and ids("instance-state-name", "pending") == [pending]
    assert ids("system-status.reachability", "passed") == [id] and ids("event.code", "instance-stop") == []
    with refused("InvalidParameterValue"):
        ids("colour", "red")


def test_accounts_do_not_reach_each_other(cloud, ec2):
    (id,) = _launch(cloud)
    other = cloud.account().client("ec2")
    assert other.describe_instances()["Reservations"] == []
    assert other.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"] == []
    for verb in ("start", "stop", "reboot", "terminate"):
        with refused("InvalidInstanceID.NotFound") as message:
            getattr(other, f"{verb}_instances")(InstanceIds=[id])
        assert message() == f"The instance ID '{id}' does not exist"
    with refused("InvalidInstanceID.NotFound"):
        other.modify_instance_attribute(InstanceId=id, DisableApiTermination={"Value": True})
    with refused("InvalidInstanceID.NotFound"):
        other.describe_instance_attribute(InstanceId=id, Attribute="userData")
    assert _state(cloud, id) == "running"
