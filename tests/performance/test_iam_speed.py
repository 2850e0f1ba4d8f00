"""IAM's speed against moto's server, which keeps everything in memory, in the same run, interleaved: one connection, by the
account's root and by a user whose policies name what it may do and to whom."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from tests.clouds import Cloud, cloud

from .conftest import made_folder
from .load import Connection, Target, median, rate, times
from .peer import moto
from .record import at_least
from .test_api_speed import target_of

pytestmark = pytest.mark.performance

ROUNDS, SECONDS, MADE, LISTED = 5, 1.0, 150, 100
_numbers = itertools.count()


@dataclass
class Pair:
    ours: Target
    restricted: Target
    peer: Target


def iam(target: Target, action: str, **parameters: str) -> bytes:
    return target.request("iam", "2010-05-08", Action=action, **parameters)


def done(target: Target, requests: list[bytes]) -> None:
    connection = Connection(target)
    for request in requests:
        status, body = connection.send(request)
        assert status == 200, body[:500]
    connection.close()


def restricted(up: Cloud, root: Target) -> Target:
    """A user who may look at users and make some, of a certain path, unless the request is not as it should be."""
    client = up.client("iam")
    client.create_user(UserName="clerk", Path="/staff/")
    account = client.get_user()["User"]["UserId"]
    whom = f"arn:aws:iam::{account}:user"
    statements = [
        {"Effect": "Allow", "Action": ["iam:GetUser", "iam:CreateUser", "iam:DeleteUser"], "Resource": f"{whom}/speed-*"},
        {"Effect": "Allow", "Action": "iam:List*", "Resource": "*"},
        {
            "Effect": "Deny", "Action": "iam:*", "Resource": "*",
            "Condition": {"NotIpAddress": {"aws:SourceIp": ["127.0.0.0/8", "10.0.0.0/8"]}},
        },
    ]  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    client.put_user_policy(UserName="clerk", PolicyName="clerk", PolicyDocument=document)
    key = client.create_access_key(UserName="clerk")["AccessKey"]
    return replace(root, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with made_folder() as folder, cloud(folder / "home", "--simulated", "--no-first-instance") as up, moto() as peer:
        ours = target_of(up)
        found = Pair(ours, restricted(up, ours), peer)
        for target in (ours, peer):
            done(target, [iam(target, "CreateUser", UserName=f"speed-{number}") for number in range(LISTED)])
        yield found


def compare(what: str, pair: Pair, who: str, least: float, run: Callable[[Target], float]) -> None:
    """``run`` tells a rate."""
    target = pair.ours if who == "root" else pair.restricted

    def measure() -> tuple[float, float]:
        ours, peer = [], []
        for _ in range(ROUNDS):
            ours.append(run(target))
            peer.append(run(pair.peer))
        return median(ours), median(peer)

    at_least(f"{what}, {who}", "moto", least, measure)


BOTH = pytest.mark.parametrize("who", ["root", "restricted user"])


@BOTH
def test_get_user(pair: Pair, who: str) -> None:
    compare("GetUser", pair, who, 3, lambda to: rate(times(to, [iam(to, "GetUser", UserName="speed-1")], SECONDS)))


@BOTH
def test_list_users(pair: Pair, who: str) -> None:
    compare("ListUsers, 100", pair, who, 3, lambda to: rate(times(to, [iam(to, "ListUsers", MaxItems="100")], SECONDS)))


@BOTH
def test_create_user(pair: Pair, who: str) -> None:
    """The goal is 3 (docs/limits.md). Most of the time goes to the disk, which an answered call has reached: a floor that
    holds while others write to it too is lower."""

    def run(to: Target) -> float:
        names = [f"speed-new-{next(_numbers)}" for _ in range(MADE)]
        taken = times(to, [iam(to, "CreateUser", UserName=name) for name in names], 60, most=MADE)
        done(to, [iam(to, "DeleteUser", UserName=name) for name in names])
        return 1 / median(taken)

    compare("CreateUser, p50", pair, who, 1.3, run)
