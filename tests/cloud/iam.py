"""What the tests of IAM share."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from mallee.identity.quotas import Quota
from mallee.identity.records import control
from tests.cloud.harness import ADMIN, TestCloud

READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def allow(cloud: TestCloud, quota: Quota, value: int) -> None:
    """Gives the administrator's account another quota."""
    with cloud.database.transaction() as tx:
        tx.put(control.quota_values, account_id=ADMIN, service=quota.service, code=quota.code, value=float(value), set_at=tx.now)


def trusting(principal: Any, action: str = "sts:AssumeRole") -> str:
    """A trust policy."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


EC2 = trusting({"Service": "ec2.amazonaws.com"})


def at_once(cloud: TestCloud, times: int, call: Callable[[Any], Any]) -> list[str]:
    """What several clients that call at the same moment are answered: the error's code, or ``done``."""
    answers: list[str] = []
    start = threading.Barrier(times)

    def one(number: int) -> None:
        iam = cloud.client("iam", user_agent_extra=f"client-{number}")
        start.wait()
        try:
            call(iam)
            answers.append("done")
        except ClientError as error:
            answers.append(error.response["Error"]["Code"])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(answers)
