"""What policies cost a call: ratios of processor time within one run, interleaved, through the whole dispatcher."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mallee.identity import grants, records
from mallee.identity.records import policies
from mallee.identity.signature.sigv4 import signing_key
from tests.cloud.harness import ADMIN, Account, TestCloud

from .bench import caller, least, local_cloud
from .record import Pair, at_most

pytestmark = pytest.mark.performance

SERVICES = ("s3", "sqs", "sns", "dynamodb", "lambda", "kms", "logs", "events", "ssm")


@pytest.fixture
def cloud(folder: Path) -> Iterator[TestCloud]:
    with local_cloud(folder) as made:
        yield made


def document(number: int) -> str:
    """Twenty statements: eighteen about other services, and two that DescribeInstances must pass, each with a condition."""
    statements: list[dict[str, Any]] = []
    for service in SERVICES:
        mine = f"arn:aws:{service}:local-1:{ADMIN}:team-{number}/*"
        statements.append({"Effect": "Allow", "Action": [f"{service}:Get*", f"{service}:List*"], "Resource": mine})
        tagged = {"StringEquals": {"aws:ResourceTag/team": f"team-{number}"}, "Bool": {"aws:SecureTransport": "true"}}
        statements.append({"Effect": "Allow", "Action": f"{service}:*", "Resource": "*", "Condition": tagged})
    within = {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.0/24"]}}
    statements.append({"Effect": "Allow", "Action": ["ec2:Describe*", "ec2:Get*"], "Resource": "*", "Condition": within})
    elsewhere = {"StringNotEquals": {"aws:RequestedRegion": ["local-1", "us-east-1"]}}
    statements.append({"Effect": "Deny", "NotAction": ["sts:*", "iam:*"], "Resource": "*", "Condition": elsewhere})
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def user(cloud: TestCloud, name: str, count: int = 10) -> Account:
    """A user with so many attached policies."""
    made, iam = cloud.user(name), cloud.client("iam")
    for number in range(count):
        policy = iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=document(number))["Policy"]
        iam.attach_user_policy(UserName=name, PolicyArn=policy["Arn"])
    return made


def launch(cloud: TestCloud) -> None:
    cloud.client("ec2").run_instances(ImageId=cloud.image_id, MinCount=1, MaxCount=1)
    cloud.run()


def test_a_user_with_ten_policies_costs_little_more_than_the_root(cloud: TestCloud) -> None:
    """DescribeInstances of one instance; every five seconds the policies are read anew, which is within."""
    launch(cloud)
    somebody = caller(user(cloud, "bob"), Action="DescribeInstances")
    root = caller(cloud.admin, Action="DescribeInstances")
    at_most(
        "DescribeInstances of a user with 10 policies of 20 statements",
        "the root",
        1.1,
        lambda: Pair(*least([somebody, root])),
    )


def test_policies_that_are_read_anew_cost_a_fraction_of_a_call(cloud: TestCloud) -> None:
    """The first call in five seconds against those that follow."""
    launch(cloud)
    bob = user(cloud, "bob")
    ask = caller(bob, Action="DescribeInstances")

    def first() -> None:
        with cloud.database.reading() as tx:
            grants.memory(tx).known.clear()
        ask()

    at_most(
        "a call for which 10 policies are read anew", "one that finds them remembered", 6.0, lambda: Pair(*least([first, ask]))
    )


def test_many_users_and_policies_do_not_slow_a_call(folder: Path) -> None:
    """1,000 users and 500 policies in the account, against an account with one user."""
    (folder / "full").mkdir()
    (folder / "bare").mkdir()
    with local_cloud(folder / "full") as full, local_cloud(folder / "bare") as bare:
        fill(full, users=1000, managed=500)
        callers = []
        for cloud in (full, bare):
            launch(cloud)
            callers.append(caller(user(cloud, "bob"), Action="DescribeInstances"))

        def first(cloud: TestCloud, ask: Any) -> Any:
            def again() -> None:
                with cloud.database.reading() as tx:
                    grants.memory(tx).known.clear()
                ask()

            return again

        at_most("DescribeInstances with 1,000 users and 500 policies", "an empty account", 1.2, lambda: Pair(*least(callers)))
        anew = [first(full, callers[0]), first(bare, callers[1])]
        at_most("the same, policies read anew", "an empty account", 1.2, lambda: Pair(*least(anew)))


def fill(cloud: TestCloud, users: int, managed: int) -> None:
    with cloud.database.transaction(ADMIN) as tx:
        arns = []
        for number in range(managed):
            made = policies.add_policy(tx, ADMIN, f"policy-{number}", document(number))
            arns.append(made.arn("aws"))
        for number in range(users):
            somebody = records.add_user(tx, ADMIN, f"user-{number}")
            for each in range(3):
                policies.attach(tx, ADMIN, somebody.id, arns[(number + each * 7) % managed])


def test_a_known_key_costs_little_more_than_the_hmacs(cloud: TestCloud) -> None:
    """Believing a request whose key is remembered against the bare HMACs of version 4: four for the key, one for the text."""
    keys = cloud.admin.credentials
    secret, text = keys.secret_access_key, b"x" * 140

    def bare() -> bytes:
        return hmac.digest(signing_key(secret, "20250301", "local-1", "sts"), text, "sha256")

    believe = believer(cloud)
    at_most("a signature with a key that is remembered", "its bare HMACs", 3.0, lambda: Pair(*least([believe, bare], times=200)))


def believer(cloud: TestCloud) -> Any:
    """Believes one signed request, again and again."""
    from mallee.wire import Request, route

    from .load import Target

    keys = cloud.admin.credentials
    target = Target("http://mallee.test:8773", keys.access_key_id, keys.secret_access_key, cloud.settings.region)
    head, body = target.request(Action="DescribeInstances").split(b"\r\n\r\n", 1)
    parts = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
    request = Request("POST", b"/", b"", [(name.lower(), value) for name, _, value in parts])
    request.body = body
    found = route(request)
    authenticator = cloud.cloud.dispatcher._authenticator
    return lambda: authenticator.principal(request, "ec2", ("ec2",), "ec2", found.operation)
