"""The walk of a new user: set up, look, run, log in, read the console, terminate; all with unmodified clients."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mallee.cli.preflight import reachable
from tests.clouds import SOURCE, Cloud, first_instance, free_ports, mallee

pytestmark = pytest.mark.node

AWS = [str(Path(sys.executable).parent / "aws"), "--cli-connect-timeout", "5", "--output", "text"]


def aws(up: Cloud, *words: str) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(up.home), **up.environment}
    done = subprocess.run([*AWS, *words], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_first_instance_answers_ssh(real: Cloud) -> None:
    instance = first_instance(real)
    assert real.command("ssh", instance, "uname", "-s").stdout.strip() == "Linux"


def test_up_again_changes_nothing(real: Cloud) -> None:
    before = real.pids()
    started = time.monotonic()
    text = real.command("up").stdout
    assert real.pids() == before
    assert "+ " not in text.replace("+ first", "+ first!"), text
    assert time.monotonic() - started < 20


def test_the_aws_command_line_sees_it(real: Cloud) -> None:
    instance = first_instance(real)
    assert aws(real, "sts", "get-caller-identity", "--query", "Account").isdigit()
    query = "Reservations[].Instances[].[InstanceId,State.Name]"
    assert [instance, "running"] in [
        line.split() for line in aws(real, "ec2", "describe-instances", "--query", query).splitlines()
    ]
    console = aws(real, "ec2", "get-console-output", "--instance-id", instance, "--query", "Output")
    assert "mallee-ready" in console


def test_user_data_runs_and_terminate_removes(real: Cloud) -> None:
    ec2 = real.client("ec2")
    image = aws(real, "ec2", "describe-images", "--owners", "self", "--filters", "Name=name,Values=mallee-starter*")
    image_id = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["mallee-starter*"]}])["Images"][0][
        "ImageId"
    ]
    assert image_id in image
    made = ec2.run_instances(
        ImageId=image_id,
        InstanceType="t2.nano",
        MinCount=1,
        MaxCount=1,
        KeyName="mallee",
        SecurityGroups=["mallee"],
        UserData="#!/bin/sh\necho user-data says $((6*7))\n",
    )["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[made], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    text = ""
    for _ in range(240):
        output = ec2.get_console_output(InstanceId=made, Latest=True).get("Output", "")
        text = output if "user-data" in output else base64.b64decode(output).decode(errors="replace") if output else ""
        if "user-data says 42" in text:
            break
        time.sleep(0.5)
    assert "user-data says 42" in text
    ec2.terminate_instances(InstanceIds=[made])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[made], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    assert real.command("audit").returncode == 0


def test_stop_start_and_reboot_keep_the_disk(real: Cloud) -> None:
    ec2 = real.client("ec2")
    instance = first_instance(real)
    real.command("ssh", instance, "echo kept > /home/ec2-user/note; sync")
    boot = real.command("ssh", instance, "cat /proc/sys/kernel/random/boot_id").stdout
    ec2.reboot_instances(InstanceIds=[instance])
    assert _another_boot(real, instance, boot)
    ec2.stop_instances(InstanceIds=[instance])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    assert "PublicIpAddress" not in ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    ec2.start_instances(InstanceIds=[instance])
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    assert _another_boot(real, instance, boot)
    assert real.command("ssh", instance, "cat /home/ec2-user/note").stdout.strip() == "kept"


def _another_boot(real: Cloud, instance: str, boot: str) -> bool:
    for _ in range(120):
        now = real.command("ssh", instance, "cat /proc/sys/kernel/random/boot_id", check=False).stdout
        if now and now != boot:
            return True
        time.sleep(0.5)
    return False


def test_an_elastic_address_is_reached_by_plain_ssh(real: Cloud) -> None:
    ec2 = real.client("ec2")
    instance = first_instance(real)
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(InstanceId=instance, AllocationId=address["AllocationId"])
    try:
        words = ["ssh", "-i", str(real.home / "keys/mallee.pem"), "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"]
        words += [
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "ConnectTimeout=10",
            "-l",
            "ec2-user",
            address["PublicIp"],
            "hostname",
        ]
        for _ in range(20):
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            time.sleep(0.5)
        assert done.stdout.startswith("ip-172-31-"), done.stderr
    finally:
        ec2.disassociate_address(PublicIp=address["PublicIp"])
        ec2.release_address(AllocationId=address["AllocationId"])


def test_security_groups_hold_for_mallee_ssh_too(real: Cloud) -> None:
    ec2 = real.client("ec2")
    instance = first_instance(real)
    group = ec2.describe_security_groups(GroupNames=["mallee"])["SecurityGroups"][0]
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    try:
        shut = False
        for _ in range(20):
            shut = real.command("ssh", instance, "true", check=False).returncode != 0
            if shut:
                break
            time.sleep(0.25)
        assert shut
    finally:
        ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
    for _ in range(40):
        if real.command("ssh", instance, "true", check=False).returncode == 0:
            return
        time.sleep(0.25)
    raise AssertionError("port 22 stayed shut")


def test_status_doctor_and_logs_speak(real: Cloud) -> None:
    instance = first_instance(real)
    assert "running" in real.command("status").stdout
    text = real.command("doctor", instance).stdout
    assert instance in text and "well" in text.splitlines()[-1], text
    assert real.command("doctor").returncode == 0
    assert real.command("logs", "-n", "5").stdout


@pytest.fixture
def everybody() -> Iterator[Path]:
    """A folder that any user may write to."""
    folder = Path(tempfile.mkdtemp(prefix="mallee-everybody-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def as_nobody(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(SOURCE / "mallee"), *words]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "MALLEE_HOME": str(home / "cloud")}
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not reachable(SOURCE, 65534), reason="the checkout lies where only its owner can walk")
def test_without_root_there_is_a_word_of_advice_and_a_simulated_cloud(everybody: Path) -> None:
    refused = as_nobody(everybody, "up")
    assert refused.returncode == 1
    assert "sudo ./mallee up" in refused.stderr and "--simulated" in refused.stderr
    made = as_nobody(everybody, "up", "--simulated", "--port", str(free_ports()), "--boot-seconds", "0")
    assert made.returncode == 0, made.stdout + made.stderr
    assert as_nobody(everybody, "doctor").returncode == 0
    assert as_nobody(everybody, "down", "--destroy").returncode == 0
    assert not (everybody / "cloud").exists()


def test_down_names_what_is_not_there(tmp_path: Path) -> None:
    assert "no cloud" in mallee(tmp_path / "nowhere", "down").stdout
