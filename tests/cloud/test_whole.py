"""The first walk through the whole: from boto3 to rows, machines, a simulated node and back."""

from __future__ import annotations

from tests.cloud.harness import TestCloud, refused


def test_who_am_i(cloud: TestCloud) -> None:
    assert cloud.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:root"
    other = cloud.account("research")
    assert other.client("sts").get_caller_identity()["Account"] == other.id
    assert cloud.user("eve").client("sts").get_caller_identity()["Arn"].endswith(":user/eve")


def test_an_instance_lives_and_ends(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)
    instance_id = made["Instances"][0]["InstanceId"]
    assert made["Instances"][0]["State"]["Name"] == "pending"
    cloud.run()
    (instance,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    assert instance["State"]["Name"] == "running"
    ec2.terminate_instances(InstanceIds=[instance_id])
    cloud.run()
    (instance,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    assert instance["State"]["Name"] == "terminated"
    assert not any(simulator.guests() for simulator in cloud.simulators)


def test_accounts_do_not_see_each_other(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    instance_id = ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    theirs = cloud.account().client("ec2")
    assert theirs.describe_instances()["Reservations"] == []
    with refused("InvalidInstanceID.NotFound", 400):
        theirs.terminate_instances(InstanceIds=[instance_id])
    with refused("UnauthorizedOperation", 403):
        cloud.user().client("ec2").describe_instances()


def test_a_dry_run_launches_nothing(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    with refused("DryRunOperation", 412) as said:
        ec2.run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1, DryRun=True)
    assert said() == "Request would have succeeded, but DryRun flag is set."
    assert ec2.describe_instances()["Reservations"] == []
