"""Inputs that nobody would send, to every operation of identity and administration, through the whole cloud: whatever comes, the
answer is the operation's or its refusal, never a fault of Mallee's own, and never a long wait.

What is sent follows from the seed alone; a failure names the input.
"""

from __future__ import annotations

import random
import string
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from mallee.registry import Handler, Registry
from mallee.wire import services
from tests.cloud import attacks, isolation, people, sts, victims
from tests.cloud.attacks import send, signed, signed_json
from tests.cloud.harness import Account, TestCloud
from tests.cloud.test_isolation import method, model
from tests.wire.generate import Generator

IDENTITY = ("iam", "sts", "mallee", "service-quotas")
HANDLERS = [each for each in Registry().handlers() if each.service in IDENTITY]
LEFT_ALONE = {"CloseAccount", "RevokeSessions"}  # of the account itself: nothing would be asked any more
EXAMPLES = 8
LONGEST = 5.0  # seconds

NASTY = [
    "", " ", "\0", "\n", "\ufeff", "\ud7ff", "\ud800", "a\n", "null", "true", "-1", "0", "1e400", "9" * 30, "NaN", "${aws:username}", "*", "../..",
    "arn:aws:iam::*:user/*", "arn:aws:iam::aws:policy/AdministratorAccess", "arn:::::", "arn:aws:iam::123456789012:role/" + "a" * 100,
    "%00", "%", "<x/>", "&amp;", "]]>", "{}", "[]", '{"Version":"2012-10-17","Statement":[]}', "😀" * 50, "e\u0301", "\u202e", "\u212a",
    "root", "aws:x", "v1", "v0", "v99999999999999999999", "2024-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "ssh-rsa AAAA", "a.b.c", "=" * 100, "https://", "https://[::1]/x",
    "https://169.254.169.254/", "task/aws-service-role/x/y/z", "AIDA" + "A" * 17, "AKIA" + "A" * 16, "ASIA" + "7" * 16,
]  # fmt: skip


class Odd(Generator):
    """Like the model's, but now and then what the model does not foresee, or a name of something that is there."""

    def __init__(self, seed: Any, service: str, operation: str, victim: victims.Victim) -> None:
        super().__init__(seed, "query")
        self.service, self.operation, self.victim = service, operation, victim
        self.member = ""

    def structure(self, shape: Any, depth: int = 0) -> dict[str, Any]:
        found = {}
        for name, member in shape.members.items():
            if name in shape.required_members or (depth < 4 and self.random.random() < 0.6):
                self.member = name
                found[name] = self.value(member, depth + 1)
        return found

    def _string(self, shape: Any, depth: int) -> str:
        chance = self.random.random()
        kind = isolation.kind_of(self.service, self.operation, self.member)
        if chance < 0.5 and kind is not None:
            return self.victim.identifiers[kind]
        usual = self.victim.usual.get(f"{self.service}.{self.member}", self.victim.usual.get(self.member))
        if chance < 0.6 and isinstance(usual, str):
            return usual
        return str(self.random.choice(NASTY)) if chance < 0.8 else super()._string(shape, depth)

    def _list(self, shape: Any, depth: int) -> list[Any]:
        count = self.random.choice([0, 1, 1, 2, 2, 60])
        return [self.value(shape.member, depth + 1) for _ in range(count)]

    def _timestamp(self, shape: Any, depth: int) -> datetime:
        return self.random.choice(
            [datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]
        )


def whole(cloud: TestCloud) -> tuple[victims.Victim, Account]:
    """One of everything, and somebody of the same account who may do everything and is no root."""
    victim = victims.make(cloud)
    return victim, people.user(cloud, "fuzz", "*", account=victim.account)


def check(cloud: TestCloud, what: Any, status: int, began: float) -> None:
    assert status < 500, what
    assert time.perf_counter() - began < LONGEST, what
    assert cloud.cloud.dispatcher.faults == 0, what


@pytest.mark.parametrize("seed", range(2))
def test_odd_inputs(cloud: TestCloud, seed: int) -> None:
    """What boto3 can be brought to send."""
    victim, who = whole(cloud)
    done = 0
    for handler in HANDLERS:
        if handler.operation in LEFT_ALONE:
            continue
        shape = model(cloud, handler.service, handler.operation)
        for caller in (who, cloud.admin):
            client = caller.client(handler.service, validate=False)
            for number in range(EXAMPLES // 2):
                odd = Odd((seed, handler.operation, number), handler.service, handler.operation, victim)
                asked = odd.structure(shape.input_shape) if shape.input_shape is not None else {}
                began = time.perf_counter()
                try:
                    status = method(client, handler.operation)(**asked)["ResponseMetadata"]["HTTPStatusCode"]
                    done += 1
                except ClientError as error:
                    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                except (BotoCoreError, UnicodeEncodeError, ValueError, TypeError, AttributeError):
                    continue  # it could not be sent
                check(cloud, (handler.action, asked), status, began)
    assert done > 100
    cloud.client("ec2").describe_vpcs()


def test_odd_forms(sqlite_cloud: TestCloud) -> None:
    """What nothing of boto3 would send: members of the wrong kind, levels, numbers and names that are none."""
    victim, who = whole(sqlite_cloud)
    for handler in HANDLERS:
        if handler.service not in attacks.VERSIONS or handler.operation in LEFT_ALONE:
            continue
        rng = random.Random(f"form/{handler.operation}")
        for _ in range(EXAMPLES):
            body = f"Action={handler.operation}&Version={attacks.VERSIONS[handler.service]}&" + "&".join(
                pairs(rng, handler, victim)
            )
            began = time.perf_counter()
            told = send(sqlite_cloud, signed(who, handler.service, body))
            check(sqlite_cloud, body, told.status, began)


def pairs(rng: random.Random, handler: Handler, victim: victims.Victim) -> list[str]:
    shape = services.get(handler.service).operation(handler.operation).input
    names = list(shape.members) if shape is not None else []
    found = []
    for _ in range(rng.randint(0, 8)):
        name = rng.choice([*names, *names, "X", "", ".", "Action", "Version", "Signature"])
        for _ in range(rng.choice([0, 0, 1, 2, 3, 40])):
            name += "." + rng.choice(
                ["member", "1", "2", "0", "-1", "entry", "Key", "Value", "key", "value", "arn", "x", "", "9" * 12]
            )
        value = rng.choice([*NASTY, *victim.identifiers.values(), "".join(rng.choices(string.printable, k=20))])
        found.append(f"{quote(name, safe='')}={quote(value.encode('utf-8', 'surrogatepass'), safe='')}")
    rng.shuffle(found)
    return found


def test_odd_json(sqlite_cloud: TestCloud) -> None:
    """Values of other types than the model's, at every place."""
    victim, who = whole(sqlite_cloud)
    values: list[Any] = [
        None,
        True,
        False,
        0,
        -1,
        1.5,
        10**30,
        "",
        "x",
        [],
        [[]],
        {},
        {"": ""},
        [None],
        {"a": {"b": [1]}},
        *NASTY[:20],
    ]
    for handler in HANDLERS:
        entry = services.get(handler.service).entry
        if entry.target is None or handler.operation in LEFT_ALONE:
            continue
        shape = services.get(handler.service).operation(handler.operation).input
        names = [*(shape.members if shape is not None else ()), "Unknown", ""]
        rng = random.Random(f"json/{handler.operation}")
        for number in range(3 * EXAMPLES):
            given: Any = {
                name: rng.choice([*values, *victim.identifiers.values()])
                for name in rng.sample(names, rng.randint(1, len(names)))
            }
            if number == 0:
                given = rng.choice([[], None, 1, "x", [{}]])
            began = time.perf_counter()
            told = send(sqlite_cloud, signed_json(who, entry.scopes[0], f"{entry.target}.{handler.operation}", given))
            check(sqlite_cloud, (handler.action, given), told.status, began)


def test_odd_policies(sqlite_cloud: TestCloud) -> None:
    """Documents that are nearly right: stored or refused; and whoever has them is answered."""
    iam = sqlite_cloud.client("iam", validate=False)
    who = sts.user(sqlite_cloud.admin, "ann", "sts:*")
    rng = random.Random("policies")
    elements = [
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
        "Principal",
        "NotPrincipal",
        "Version",
    ]
    stored = 0
    for _ in range(150):
        statement: dict[str, Any] = {"Effect": rng.choice(["Allow", "Deny"]), "Action": "ec2:*", "Resource": "*"}
        for _ in range(rng.randint(0, 2)):
            statement[rng.choice(elements)] = odd_value(rng)
        try:
            iam.put_user_policy(UserName="ann", PolicyName="odd", PolicyDocument=sts.policy(statement))
            stored += 1
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("MalformedPolicyDocument", "LimitExceeded", "ValidationError"), statement
        for call in (who.client("ec2").describe_vpcs, who.client("iam").list_users):
            try:
                call()
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, statement
        assert sqlite_cloud.cloud.dispatcher.faults == 0, statement
    assert stored > 10


def odd_value(rng: random.Random) -> Any:
    texts = [
        "*",
        "ec2:*",
        "ec2:",
        ":",
        "",
        "arn:aws:s3:::x",
        "arn:aws:iam::123456789012:root",
        "123456789012",
        "${",
        "${x}",
        "${aws:a,'b'}",
    ]
    operators = ["StringEquals", "ForAllValues:StringLike", "NumericLessThan", "DateLessThan", "Bool", "IpAddress", "ArnLike", "Null",
                 "BinaryEquals", "StringEqualsIfExists", "ForAnyValue:Null", "No"]  # fmt: skip
    keys = [
        "aws:username",
        "aws:CurrentTime",
        "aws:SourceIp",
        "aws:PrincipalTag/",
        "aws:PrincipalTag/k",
        "aws:TagKeys",
        "x:y",
        "aws:",
        "",
    ]
    values = [
        "",
        "x",
        True,
        1,
        1.5,
        "2026-01-01T00:00:00Z",
        "10.0.0.0/8",
        "::/0",
        "999.0.0.0/8",
        [],
        ["a", 1],
        None,
        {},
        "${aws:username}",
    ]
    return rng.choice([
        rng.choice(texts), [rng.choice(texts) for _ in range(3)], [], {}, None, 1, True,
        {rng.choice(operators): {rng.choice(keys): rng.choice(values)}},
        {rng.choice(operators): {rng.choice(keys): [rng.choice(values), rng.choice(values)]}},
        {"AWS": rng.choice(texts)}, {"Service": "ec2.amazonaws.com"}, {"Federated": rng.choice(texts)},
    ])  # fmt: skip
