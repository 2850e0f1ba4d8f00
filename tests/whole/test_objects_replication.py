"""Replication, to another bucket and to another endpoint, of a cloud whose process is killed again and again while it replicates."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests import clouds
from tests.whole.objects import cloud_pid, objects_cloud, until_up

SOURCE, TARGET, REMOTE = "replicated", "replicas", "remote-replicas"
COUNT, KILLS = 120, 3
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def up() -> Iterator[clouds.Cloud]:
    with objects_cloud("replication") as made:
        yield made


def add_target(up: clouds.Cloud, name: str) -> None:
    """As a user types it; the secret comes by standard input."""
    words = ["bucket", "target", "add", name, up.endpoint, "--access-key", up.environment["AWS_ACCESS_KEY_ID"]]
    words += ["--region", up.environment["AWS_DEFAULT_REGION"]]
    subprocess.run(
        [str(clouds.SOURCE / "mallee"), *words], env={**os.environ, "MALLEE_HOME": str(up.home)}, check=True, timeout=60, text=True,
        input=up.environment["AWS_SECRET_ACCESS_KEY"] + "\n", capture_output=True,
    )  # fmt: skip


def rule(priority: int, arn: str) -> dict[str, Any]:
    return {
        "Priority": priority, "Status": "Enabled", "Filter": {}, "DeleteMarkerReplication": {"Status": "Enabled"},
        "Destination": {"Bucket": arn},
    }  # fmt: skip


def test_nothing_is_lost_and_nothing_made_twice(up: clouds.Cloud) -> None:
    s3, iam = up.client("s3"), up.client("iam")
    for name in (SOURCE, TARGET, REMOTE):
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    arn = iam.create_role(RoleName="replicator", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName="replicator", PolicyName="all", PolicyDocument=json.dumps(ALL))
    add_target(up, "myself")
    assert "myself" in up.command("bucket", "target", "list").stdout
    rules = [rule(1, f"arn:aws:s3:::{TARGET}"), rule(2, f"arn:aws:s3:myself::{REMOTE}")]
    s3.put_bucket_replication(Bucket=SOURCE, ReplicationConfiguration={"Role": arn, "Rules": rules})

    def put(number: int) -> str:
        body = b"%d" % number * (1 if number % 3 else 100_000)
        return str(s3.put_object(Bucket=SOURCE, Key=f"key-{number % 40:02}", Body=body)["VersionId"])

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(put, range(COUNT)))
    for number in range(KILLS):
        time.sleep(0.3 * number)
        os.kill(cloud_pid(up), signal.SIGKILL)
        until_up(up)
    assert len(versions(s3, SOURCE)) == COUNT
    until = time.monotonic() + 120
    while time.monotonic() < until and (left := pending(s3)):
        time.sleep(1)
    assert not left
    assert versions(s3, TARGET) == versions(s3, SOURCE) and {each[1] for each in versions(s3, TARGET)} == set(made)
    # what a kill interrupted may have come there twice
    assert COUNT <= len(versions(s3, REMOTE)) <= COUNT + KILLS * 70
    for number in range(40):
        key = f"key-{number:02}"
        bodies = {s3.get_object(Bucket=name, Key=key)["Body"].read() for name in (SOURCE, TARGET, REMOTE)}
        assert len(bodies) == 1, key


def pending(s3: Any) -> list[str]:
    listed = versions(s3, SOURCE)
    return [f"{key} {id}" for key, id in listed if s3.head_object(Bucket=SOURCE, Key=key, VersionId=id)["ReplicationStatus"] != "COMPLETED"]


def versions(s3: Any, name: str) -> list[tuple[str, str]]:
    return [(each["Key"], each["VersionId"]) for each in s3.list_object_versions(Bucket=name)["Versions"]]
