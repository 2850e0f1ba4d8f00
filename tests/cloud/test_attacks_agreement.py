"""What is authorised is what is done: made from the registry, of every operation and every way in which it names a resource.

A call is stopped between its authorization and its handler where only the questions matter, so that nothing of the scene changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mallee.http import dispatch
from mallee.identity import authorize
from mallee.identity.access import Access
from mallee.identity.call import Call
from mallee.identity.rules.evaluate import Decision, Grants, Question, decide
from mallee.wire import AwsError
from tests.cloud.harness import TestCloud
from tests.cloud.test_authorization_everywhere import DENIED, HANDLERS, INVALID, OPEN, Scene, replaced, scene

__all__ = ["scene"]

# DeleteObjects answers for each key, and the answer to a HEAD has no body that says why
ASKING = [each for each in HANDLERS if each.action not in OPEN and each.operation not in ("DeleteObjects", "HeadBucket", "HeadObject")]
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
# allows all, and is asked about each resource each time: what depends on the time is not remembered
LOOKING = {**EVERYTHING, "Condition": {"NumericGreaterThan": {"aws:EpochTime": "0"}}}
NAMING = {"CreateKeyPair", "ImportKeyPair", "CreatePolicy"}  # what they name is new, and other letters are another name
PASSED = "400 Passed: "


class Questions:
    """The questions of the last call."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    @contextmanager
    def of(self) -> Iterator[list[Question]]:
        self.asked = []
        yield self.asked

    def decide(self, question: Question, grants: Grants) -> Decision:
        self.asked.append(question)
        return decide(question, grants)


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> Questions:
    found = Questions()
    monkeypatch.setattr(authorize, "decide", found.decide)
    return found


class Stop:
    """While ``on``, every call but the root's own ends when it was authorised."""

    def __init__(self) -> None:
        self.on = False

    def authorize(self, call: Call, access: Access) -> None:
        authorize.authorize(call, access)
        if self.on and call.principal.kind != "root":
            raise AwsError("Passed", "", status=400)


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Stop:
    made = Stop()
    monkeypatch.setattr(dispatch, "authorize", made.authorize)
    return made


def inputs(scene: Scene, handler: Any) -> list[dict[str, Any]]:
    return [scene.required(handler), *(asked for _, asked, _ in scene.identified(handler))]


def test_a_deny_of_its_own_action_stops_every_operation(scene: Scene) -> None:
    """To somebody who may do everything else."""
    entries: int | None = None
    for handler in ASKING:
        own = [handler.action, handler.action.replace("Object", "ObjectVersion", 1)]  # S3 has actions of their own for versions
        scene.allow(EVERYTHING, {"Effect": "Deny", "Action": own, "Resource": "*"})
        entries = scene.journal()
        for asked in inputs(scene, handler):
            told = scene.ask(handler, scene.somebody, asked)
            if INVALID.match(told):
                assert told == scene.ask(handler, scene.owner, asked), handler.action
                continue
            assert DENIED.match(told) and "with an explicit deny" in told, f"{handler.action}: {told[:300]}"
        assert scene.journal() == entries, handler.action
    assert entries is not None
    assert scene.cloud.cloud.dispatcher.faults == 0


def test_what_is_asked_is_enough_and_needed(scene: Scene, questions: Questions, stop: Stop) -> None:
    """Allowed exactly the actions on exactly the resources that a call is about, it passes; with any one of them left out, not."""
    stop.on = True
    for handler in ASKING:
        for asked in inputs(scene, handler):
            scene.allow(LOOKING)
            with questions.of() as found:
                told = scene.ask(handler, scene.somebody, asked)
            if INVALID.match(told):
                continue
            assert told.startswith(PASSED), f"{handler.action}: {told[:300]}"
            pairs = list(dict.fromkeys((each.action, each.resource) for each in found))
            assert pairs, handler.action
            exactly = [{"Effect": "Allow", "Action": action, "Resource": literal(arn)} for action, arn in pairs]
            scene.allow(*exactly)
            told = scene.ask(handler, scene.somebody, asked)
            assert told.startswith(PASSED), f"{handler.action} with {pairs}: {told[:300]}"
            for left in range(len(exactly)):
                kept = [each for number, each in enumerate(exactly) if number != left]
                scene.allow(*(kept or [{"Effect": "Allow", "Action": "logs:DescribeLogGroups", "Resource": "*"}]))
                told = scene.ask(handler, scene.somebody, asked)
                assert DENIED.match(told), f"{handler.action} without {pairs[left]}: {told[:300]}"


def literal(arn: str) -> str:
    """A star in an ARN that is asked about is no wildcard of a policy."""
    return arn.replace("*", "${*}") if arn.startswith("arn:") else "*"


def test_no_spelling_of_a_name_avoids_a_deny(scene: Scene, questions: Questions, stop: Stop) -> None:
    """Where a Deny on a thing's ARN stops a call that names it, it stops the same call with the name in other letters, beside
    another, or twice; or that call finds nothing."""
    for handler in ASKING:
        if handler.prefix == "mallee" or handler.operation in NAMING:
            continue
        for _, asked, identifier in scene.identified(handler):
            if handler.service == "s3" and asked.get("Key") == identifier:
                continue  # any text is a key, and another text another key
            scene.allow(LOOKING)
            stop.on = True
            with questions.of() as found:
                scene.ask(handler, scene.somebody, asked)
            stop.on = False
            own = {
                literal(each.resource)
                for each in found
                if each.resource.endswith((f"/{identifier}", f":{identifier}", identifier))
            }
            if not own - {"*"}:
                continue
            scene.allow(EVERYTHING, {"Effect": "Deny", "Action": "*", "Resource": sorted(own - {"*"})})
            if "with an explicit deny" not in scene.ask(handler, scene.somebody, asked):
                continue
            entries = scene.journal()
            for other in spellings(identifier, asked):
                told = scene.ask(handler, scene.somebody, other)
                assert told[:1] == "4" or identifier not in told, f"{handler.action} {other}: {told[:300]}"
            assert scene.journal() == entries, handler.action
    assert scene.cloud.cloud.dispatcher.faults == 0


def spellings(identifier: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for other in {
        identifier.upper(), identifier.title(), identifier.swapcase(), f" {identifier}", f"{identifier} ", f"{identifier}\n",
        f"{identifier}\t", f"./{identifier}", identifier.replace("-", "\u2010"), identifier.replace("i", "\u0131"),
        identifier.replace("/", "//"), identifier.replace(":", "%3A"), identifier.replace("arn:aws:", "arn:aws-cn:"),
        identifier.replace("iam::", "iam:local-1:"),
    } - {identifier}:  # fmt: skip
        yield replaced(asked, identifier, other)
    absent = "a" if not identifier.startswith("arn:") else identifier + "x"
    yield from (
        lists(asked, identifier, around) for around in ([identifier, identifier], [absent, identifier], [identifier, absent])
    )


def lists(value: Any, identifier: str, around: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: lists(each, identifier, around) for key, each in value.items()}
    if isinstance(value, list):
        return around if value == [identifier] else [lists(each, identifier, around) for each in value]
    return value


# ------------------------------------------------------------------------------------------------------- tags in a request


@pytest.mark.parametrize("keys", [("team", "team"), ("team", "Team"), ("Team", "team")])
def test_tags_given_twice_are_not_one_to_policies_and_another_to_the_operation(
    sqlite_cloud: TestCloud, keys: tuple[str, str]
) -> None:
    from tests.cloud import people, sts

    who = people.user(sqlite_cloud, "alice")
    red = {"StringEquals": {"aws:RequestTag/team": "red"}}
    sqlite_cloud.client("iam").put_user_policy(
        UserName="alice",
        PolicyName="p",
        PolicyDocument=sts.policy(
            {
                "Action": ["iam:CreateUser", "iam:TagUser", "ec2:CreateTags", "ec2:CreateSecurityGroup"],
                "Resource": "*",
                "Condition": red,
            },
            {"Action": "ec2:CreateSecurityGroup", "Resource": "arn:aws:ec2:*:*:vpc/*"},
        ),
    )
    ec2 = sqlite_cloud.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    for values in (("red", "blue"), ("blue", "red")):
        tags = [{"Key": key, "Value": value} for key, value in zip(keys, values, strict=True)]
        apart = [{"ResourceType": "security-group", "Tags": [each]} for each in tags]
        together = [{"ResourceType": "security-group", "Tags": tags}]
        for call in (
            lambda tags=tags: who.client("iam").create_user(UserName="eve", Tags=tags),
            lambda tags=tags: who.client("ec2").create_tags(Resources=[vpc], Tags=tags),
            lambda apart=apart: group(who, vpc, apart),
            lambda together=together: group(who, vpc, together),
        ):
            try:
                call()
            except ClientError as error:
                assert error.response["ResponseMetadata"]["HTTPStatusCode"] < 500, error
    for group_tags in [each.get("Tags", []) for each in ec2.describe_security_groups()["SecurityGroups"]]:
        if keys[0] == keys[1] and group_tags:
            assert group_tags == [{"Key": "team", "Value": "red"}]
    told = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [vpc]}])["Tags"]
    assert keys[0] != keys[1] or [each["Value"] for each in told] in ([], ["red"])


def group(who: Any, vpc: str, tags: list[dict[str, Any]]) -> None:
    who.client("ec2").create_security_group(GroupName=f"g{hash(str(tags))}", Description="d", VpcId=vpc, TagSpecifications=tags)


# -------------------------------------------------------------------------------------------------------------- client tokens


def test_another_s_client_token_is_no_permission(sqlite_cloud: TestCloud) -> None:
    """A replay is authorised anew, as whoever sends it."""
    from tests.cloud import people
    from tests.cloud.harness import refused

    asked = {"ImageId": sqlite_cloud.image_id, "MinCount": 1, "MaxCount": 1, "ClientToken": "shared"}
    made = sqlite_cloud.client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"]
    nobody = people.user(sqlite_cloud, "alice", "ec2:Describe*")
    with refused("UnauthorizedOperation", 403):
        nobody.client("ec2").run_instances(**asked)
    with refused("UnauthorizedOperation", 403):
        nobody.client("ec2").run_instances(**asked, DryRun=True)
    elsewhere = sqlite_cloud.account("other").client("ec2").run_instances(**asked)["Instances"][0]["InstanceId"]
    assert elsewhere != made
