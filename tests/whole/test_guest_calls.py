"""A real guest uses the API as its role: with what the starter image has, and with an unmodified boto3 that speaks from within
the guest."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mallee.cli import ssh
from mallee.settings import load
from tests.clouds import Cloud, first_instance, free_ports

pytestmark = pytest.mark.node

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture(scope="module")
def vpc_id(real: Cloud) -> str:
    """A profile ``caller``, whose role may look at instances from within the default VPC, and at VPCs from anywhere."""
    iam = real.client("iam")
    vpc = str(real.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"])
    iam.create_role(RoleName="caller", AssumeRolePolicyDocument=json.dumps(TRUST))
    within = {"StringEquals": {"aws:SourceVpc": vpc}, "IpAddress": {"aws:VpcSourceIp": "172.31.0.0/16"}}
    statements = [
        {"Effect": "Allow", "Action": "ec2:DescribeInstances", "Resource": "*", "Condition": within},
        {"Effect": "Allow", "Action": "ec2:DescribeVpcs", "Resource": "*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName="caller", PolicyName="p", PolicyDocument=policy)
    iam.create_instance_profile(InstanceProfileName="caller")
    iam.add_role_to_instance_profile(InstanceProfileName="caller", RoleName="caller")
    return vpc


@pytest.fixture(scope="module", params=[True, False], ids=["with a public address", "without one"])
def guest(real: Cloud, vpc_id: str, request: Any) -> Iterator[str]:
    ec2 = real.client("ec2")
    image = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["mallee-starter*"]}])["Images"][0][
        "ImageId"
    ]
    group = ec2.describe_security_groups(GroupNames=["mallee"])["SecurityGroups"][0]["GroupId"]
    made = ec2.run_instances(
        ImageId=image,
        InstanceType="t2.nano",
        MinCount=1,
        MaxCount=1,
        KeyName="mallee",
        IamInstanceProfile={"Name": "caller"},
        MetadataOptions={"HttpTokens": "required"},
        NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": request.param, "Groups": [group]}],
    )["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[made], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    says(real, made, "true")
    yield made
    ec2.terminate_instances(InstanceIds=[made])


def says(real: Cloud, guest: str, command: str, seconds: float = 90) -> str:
    limit = time.monotonic() + seconds
    while True:
        done = real.command("ssh", guest, command, check=False)
        if done.returncode == 0:
            return done.stdout
        assert time.monotonic() < limit, done.stdout + done.stderr
        time.sleep(0.5)


def test_the_starter_image_calls_the_api(real: Cloud, guest: str) -> None:
    who = says(real, guest, "aws-query sts GetCallerIdentity")
    assert f":assumed-role/caller/{guest}</Arn>" in who
    found = says(
        real, guest, f"aws-query ec2 DescribeInstances InstanceId.1={guest} 'Filter.1.Name=instance-id' Filter.1.Value.1={guest}"
    )
    assert f"<instanceId>{guest}</instanceId>" in found
    named = says(real, guest, f"AWS_ENDPOINT_URL=http://ec2.{load(real.home).region}.mallee.internal aws-query ec2 DescribeVpcs")
    assert "<vpcId>" in named
    refused = real.command("ssh", guest, f"aws-query ec2 TerminateInstances InstanceId.1={guest}", check=False)
    assert refused.returncode != 0 and "403" in refused.stderr
    told = real.command("doctor", guest).stdout
    assert "caller, by the instance profile caller" in told and "connections, 0 refused" in told


def test_an_unmodified_boto3_calls_it_from_within_the_guest(real: Cloud, guest: str) -> None:
    with tunnelled(real, guest) as client:
        assert client("sts").get_caller_identity()["Arn"].endswith(f":assumed-role/caller/{guest}")
        found = client("ec2").describe_instances(InstanceIds=[guest])["Reservations"]
        assert found[0]["Instances"][0]["IamInstanceProfile"]["Arn"].endswith(":instance-profile/caller")
        credentials = client("ec2")._request_signer._credentials.get_frozen_credentials()
        stolen = client("ec2", real.endpoint, credentials)
        assert stolen.describe_vpcs()["Vpcs"]
        with pytest.raises(Exception, match="UnauthorizedOperation"):  # outside, nobody says that it came from the VPC
            stolen.describe_instances()


@contextlib.contextmanager
def tunnelled(real: Cloud, guest: str) -> Iterator[Any]:
    """Clients whose metadata service and API are those of the guest: ssh forwards two ports of this machine to them."""
    import boto3
    import botocore.session
    from botocore.config import Config

    port = free_ports(2)
    forwards = ["-N", "-L", f"127.0.0.1:{port}:169.254.169.254:80", "-L", f"127.0.0.1:{port + 1}:169.254.169.252:80"]
    process = subprocess.Popen(ssh.command(load(real.home), guest, "mallee", options=forwards), stdin=subprocess.DEVNULL)
    core = botocore.session.Session()
    core.set_config_variable("ec2_metadata_service_endpoint", f"http://127.0.0.1:{port}/")
    core.set_config_variable("metadata_service_num_attempts", 20)
    core.set_config_variable("metadata_service_timeout", 5)
    core.get_component("credential_provider").providers[:] = [
        each for each in core.get_component("credential_provider").providers if each.METHOD == "iam-role"
    ]

    def client(service: str, endpoint: str = f"http://127.0.0.1:{port + 1}", credentials: Any = None) -> Any:
        keys = {}
        if credentials is not None:
            keys = dict(zip(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), credentials[:3], strict=True))
        config = Config(retries={"max_attempts": 3}, proxies={})
        region = real.environment["AWS_DEFAULT_REGION"]
        return boto3.Session(botocore_session=core).client(
            service, region_name=region, endpoint_url=endpoint, config=config, **keys
        )

    try:
        time.sleep(1)
        assert process.poll() is None
        yield client
    finally:
        process.kill()
        process.wait()


def test_a_guest_without_a_role_has_no_credentials(real: Cloud, vpc_id: str) -> None:
    plain = first_instance(real)
    done = real.command("ssh", plain, "aws-query sts GetCallerIdentity", check=False)
    assert done.returncode == 1 and "no role" in done.stderr


def test_a_role_comes_and_goes_while_the_guest_runs(real: Cloud, vpc_id: str) -> None:
    plain, ec2 = first_instance(real), real.client("ec2")
    made = ec2.associate_iam_instance_profile(InstanceId=plain, IamInstanceProfile={"Name": "caller"})
    assert "assumed-role/caller" in says(real, plain, "aws-query sts GetCallerIdentity", 30)
    ec2.disassociate_iam_instance_profile(AssociationId=made["IamInstanceProfileAssociation"]["AssociationId"])
    limit = time.monotonic() + 30
    while real.command("ssh", plain, "aws-query sts GetCallerIdentity", check=False).returncode == 0:
        assert time.monotonic() < limit
        time.sleep(0.5)


def test_secrets_of_guests_are_in_no_file_of_the_node(real: Cloud, guest: str) -> None:
    path = "/latest/meta-data/iam/security-credentials/caller"
    ask = f". /etc/mallee/imds; imds_token=$(imds_token); imds {path.removeprefix('/latest/')}"
    told = json.loads(says(real, guest, ask))
    for folder in (real.home / "node", real.home / "log", real.home / "run"):
        for secret in (told["SecretAccessKey"], told["Token"]):
            found = subprocess.run(
                ["grep", "-rlF", "--exclude=*.qcow2", "--exclude-dir=images", "--devices=skip", secret, str(folder)],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert found.stdout == "", found.stdout
