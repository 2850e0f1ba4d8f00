"""The first instance: made once, when a cloud with real guests is set up, by the same API calls that a user makes.

Every call bears a fixed name or token, so that an interrupted `mallee up` goes on where it was: the private key is written before
the key pair is imported, the launch carries a client token, and the marker file is written last.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from mallee.cli import home, node_client, ssh
from mallee.cli.client import client
from mallee.cli.progress import Step
from mallee.settings import Settings

KEY = GROUP = "mallee"
TOKEN = "mallee-first-instance"
TYPE = "t2.nano"


def marker(chosen: Settings) -> Path:
    return chosen.home / "first.json"


def launch(chosen: Settings) -> str:
    """Key pair, security group with port 22 open, instance; returns its id."""
    ec2 = client("ec2", chosen)
    _key_pair(ec2, ssh.keys(chosen))
    group = _group(ec2)
    image = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["mallee-starter*"]}])["Images"]
    if not image:
        raise home.Sorry("the starter image is not registered; see ./mallee logs cloud")
    newest = max(image, key=lambda each: each["CreationDate"])
    return _run(ec2, newest["ImageId"], group)


def _run(ec2: Any, image_id: str, group: str) -> str:
    from botocore.exceptions import ClientError

    for attempt in range(1, 100):
        try:
            answer = ec2.run_instances(
                ImageId=image_id,
                InstanceType=TYPE,
                MinCount=1,
                MaxCount=1,
                KeyName=KEY,
                SecurityGroupIds=[group],
                ClientToken=f"{TOKEN}-{attempt}",
                TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "first"}]}],
            )
            return str(answer["Instances"][0]["InstanceId"])
        except ClientError as error:
            # an earlier attempt came to nothing: this one is another launch
            if _code(error) != "IdempotentInstanceTerminated":
                raise
    raise home.Sorry("a hundred first instances came to nothing; see ./mallee logs node")


def _code(error: Exception) -> str:
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _key_pair(ec2: Any, keys: Path) -> None:
    from botocore.exceptions import ClientError

    private = keys / f"{KEY}.pem"
    public = ensure_key(private)
    try:
        ec2.import_key_pair(KeyName=KEY, PublicKeyMaterial=public)
    except ClientError as error:
        if _code(error) != "InvalidKeyPair.Duplicate":
            raise


def ensure_key(private: Path) -> bytes:
    """An ed25519 key in the file, made when it is missing; returns the public OpenSSH line."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not private.exists():
        made = Ed25519PrivateKey.generate()
        text = made.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
        home.write_private(private, text)
    key = form.load_ssh_private_key(private.read_bytes(), None)
    return key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)


def _group(ec2: Any) -> str:
    """A group that opens port 22 to everybody who can reach the instance; it is found again by name."""
    from botocore.exceptions import ClientError

    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [GROUP]}])["SecurityGroups"]
    if found:
        group = str(found[0]["GroupId"])
    else:
        group = str(ec2.create_security_group(GroupName=GROUP, Description="opens port 22 (ssh)")["GroupId"])
    try:
        ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0")
    except ClientError as error:
        if _code(error) != "InvalidPermission.Duplicate":
            raise
    return group


def wait_for_ssh(chosen: Settings, instance_id: str, key: str, step: Step | None = None, seconds: float = 180) -> dict[str, Any]:
    """Until a command runs on the instance by ssh; returns its description. ``Sorry`` names the state it is stuck in."""
    ec2 = client("ec2", chosen)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        instance: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        state = instance["State"]["Name"]
        if step is not None:
            step.say(f"{instance_id} is {state}")
        if state in ("shutting-down", "terminated", "stopped"):
            reason = instance.get("StateReason", {}).get("Message", "no reason was given")
            raise home.Sorry(f"{instance_id} is {state}: {reason}. Look closer with ./mallee doctor {instance_id}")
        if state == "running" and banner(chosen, instance_id) and _command_works(chosen, instance_id, key):
            return instance
        time.sleep(0.15)
    raise home.Sorry(f"{instance_id} does not answer ssh after {seconds:.0f} s. Look closer with ./mallee doctor {instance_id}")


def banner(chosen: Settings, instance_id: str) -> bool:
    """Whether an ssh server greets on port 22, through the node."""
    link: socket.socket | None = None
    try:
        link, answer = node_client.connect(chosen, {"ask": "connect", "id": instance_id, "port": 22}, timeout=5)
        return not answer.get("error") and link.recv(4) == b"SSH-"
    except (home.Sorry, OSError):
        return False
    finally:
        if link is not None:
            link.close()


def _command_works(chosen: Settings, instance_id: str, key: str) -> bool:
    options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
    words = ssh.command(chosen, instance_id, key, options=options, remote=["true"])
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


def remember(chosen: Settings, instance_id: str) -> None:
    home.write_private(marker(chosen), json.dumps({"InstanceId": instance_id}).encode())


def remembered(chosen: Settings) -> str | None:
    """The first instance's id, once it has answered."""
    try:
        return str(json.loads(marker(chosen).read_text())["InstanceId"])
    except OSError:
        return None
