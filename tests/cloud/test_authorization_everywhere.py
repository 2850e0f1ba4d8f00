"""Every operation that exists, by itself: denied to whom nothing is allowed, telling nothing, and asked about as AWS asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import func, select

from mallee.identity import authorize
from mallee.identity.rules.evaluate import Decision, Grants, Question, decide
from mallee.registry import Handler, Registry
from mallee.store import journal
from tests import reference
from tests.cloud import isolation, victims
from tests.cloud.harness import Account, TestCloud
from tests.cloud.test_isolation import answer, model, options

HANDLERS = Registry().handlers()

# Operations that no policy is asked about before they begin, and what they answer to whom nothing is allowed.
OPEN = {
    "sts:GetCallerIdentity": "everybody may",
    "sts:GetSessionToken": "everybody may, unless a policy denies it",
    "sts:AssumeRole": "the role's trust policy decides",
    "sts:AssumeRoleWithSAML": "comes without credentials of ours",
    "sts:AssumeRoleWithWebIdentity": "comes without credentials of ours",
    "iam:ChangePassword": "the account's password policy may allow it",
    "iam:GetAccountPasswordPolicy": "the account's password policy may allow it",
    "mallee:SignIn": "comes without credentials of ours",
}
# What asks about each thing by itself, and tells of each by itself.
EACH = {("s3", "DeleteObjects"): '{"Errors": [{"Code": "AccessDenied", '}
DENIED = re.compile(r"40[03] (UnauthorizedOperation|AccessDenied|AccessDeniedException): ")
BARE = "403 403: Forbidden"  # the answer to HEAD has no words
VERSIONED = {  # actions of S3's that are others where the request names a version
    f"s3:{each}": f"s3:{each.replace('Object', 'ObjectVersion')}"
    for each in (
        "GetObject", "DeleteObject", "GetObjectAcl", "PutObjectAcl", "GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging",
        "GetObjectAttributes",
    )
}  # fmt: skip
INVALID = re.compile(r"400 (MissingParameter|ValidationError|ValidationException|IllegalArgumentException|MalformedXML): ")


@dataclass
class Scene:
    """``owner``: an account with one of everything. ``somebody``: a user of it, who may do nothing yet."""

    cloud: TestCloud
    victim: victims.Victim
    somebody: Account

    @property
    def owner(self) -> Account:
        return self.victim.account

    def allow(self, *statements: dict[str, Any]) -> None:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.owner.client("iam").put_user_policy(UserName="somebody", PolicyName="own", PolicyDocument=document)

    def ask(self, handler: Handler, who: Account, asked: dict[str, Any]) -> str:
        return answer(who.client(handler.service, validate=False, **options(handler.service)), handler.operation, asked)

    def required(self, handler: Handler) -> dict[str, Any]:
        return self.maker().required(handler.service, model(self.cloud, handler.service, handler.operation))

    def maker(self) -> isolation.Maker:
        arn = self.victim.identifiers["user-arn"]
        usual = {"IamInstanceProfile": {"Name": "nobody's"}, "PolicySourceArn": arn, "iam.Arn": arn}
        return isolation.Maker({**usual, **self.victim.usual, "s3control.AccountId": self.owner.id})

    def identified(self, handler: Handler) -> Iterator[tuple[str, dict[str, Any], str]]:
        """Inputs with one identifier of the owner's: its kind, the input, the identifier."""
        maker, shape = self.maker(), model(self.cloud, handler.service, handler.operation)
        for path, kind in isolation.places(handler.service, shape):
            identifier = self.victim.identifiers[kind]
            yield kind, maker.with_identifier(handler.service, shape, path, identifier), identifier

    def journal(self) -> int:
        with self.cloud.database.reading() as tx:
            return int(tx.value(select(func.count()).select_from(journal)) or 0)


@pytest.fixture
def scene(sqlite_cloud: TestCloud) -> Scene:
    victim = victims.make(sqlite_cloud)
    return Scene(sqlite_cloud, victim, sqlite_cloud.user("somebody", victim.account))


def test_what_is_open_is_known() -> None:
    assert {each.action for each in HANDLERS if each.access.open} == OPEN.keys()


def test_nobody_may_do_anything(scene: Scene) -> None:
    entries = scene.journal()
    for handler in HANDLERS:
        if handler.action in OPEN:
            continue
        inputs = [scene.required(handler), *(asked for _, asked, _ in scene.identified(handler))]
        for asked in inputs:
            told = scene.ask(handler, scene.somebody, asked)
            if INVALID.match(told):  # by the model, before anybody is asked: the root is told the same
                assert told == scene.ask(handler, scene.owner, asked), handler.action
                continue
            if (handler.service, handler.operation) in EACH:
                assert told.startswith(EACH[handler.service, handler.operation]), told
                continue
            if told == BARE and handler.operation.startswith("Head"):
                continue
            assert DENIED.match(told), f"{handler.action}: {told[:300]}"
            action = VERSIONED.get(handler.action, handler.action) if "VersionId" in asked else handler.action
            assert f"is not authorized to perform: {action} " in told, f"{handler.action}: {told[:300]}"
    assert scene.journal() == entries
    assert scene.cloud.cloud.dispatcher.faults == 0


def test_a_refusal_does_not_tell_what_exists(scene: Scene) -> None:
    """Of the caller's own account, either: whoever may not see a thing does not learn that it is there, nor where."""
    differ = []
    for handler in HANDLERS:
        if handler.action in OPEN:
            continue
        for kind, asked, identifier in scene.identified(handler):
            if kind in ("account", "bucket", "bucket-arn"):  # names of buckets are the whole cloud's: that there is one is no secret
                continue
            absent = isolation.missing(identifier)
            told = []
            for each, name in ((asked, identifier), (replaced(asked, identifier, absent), absent)):
                text = without_blob(scene.ask(handler, scene.somebody, each))
                told.append(text.replace(name, f"<{kind}>").replace(scene.owner.id, "<account>"))
            if told[0] != told[1]:
                differ.append(f"{handler.action} {kind}\n    there: {told[0][:300]}\n    not:   {told[1][:300]}")
    assert not differ, "\n".join(differ)


def without_blob(text: str) -> str:
    """A refusal with the length of its encoded message in the message's place."""
    before, mark, blob = text.partition("Encoded authorization failure message: ")
    return f"{before}{mark}{len(blob)}" if mark else text


def replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: replaced(each, old, new) for key, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, old, new) for each in value]
    return new if value == old else value


# Where we differ from AWS's reference on purpose.
OTHERWISE = {
    "s3:DeleteObject": "s3:if-match is newer than the reference that the tests have",
    "s3:TagResource": "buckets have it since November 2025",
    "s3:UntagResource": "buckets have it since November 2025",
    "s3:ListTagsForResource": "buckets have it since November 2025",
    "s3:GetAccessPoint": "AWS's reference knows no type for it; an access point's ARN is what it is about",
    "sts:GetFederationToken": "AWS names the federated user, whatever its reference says, and so do its documented policies",
}


def test_the_questions_are_aws_s(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever an operation asks about is an action of AWS's on a type of resource that it is checked against, with condition
    keys that AWS has for it."""
    asked: list[tuple[Handler, Question]] = []
    current: list[Handler] = []

    def record(question: Question, grants: Grants) -> Decision:
        asked.append((current[0], question))
        return decide(question, grants)

    monkeypatch.setattr(authorize, "decide", record)
    scene.allow({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"NumericGreaterThan": {"aws:EpochTime": "0"}}})
    for handler in HANDLERS:
        if handler.prefix == "mallee" or handler.action in OPEN:
            continue
        current[:] = [handler]
        before = len(asked)
        for input in (scene.required(handler), *(each for _, each, _ in scene.identified(handler))):
            scene.ask(handler, scene.somebody, {**input, "DryRun": True} if handler.dry else input)
        each = (handler.service, handler.operation) in EACH
        assert each or any(question.action == handler.action for _, question in asked[before:]), handler.action
    wrong = sorted({problem for handler, question in asked for problem in problems(question) if question.action not in OTHERWISE})
    assert not wrong, "\n".join(wrong)
    assert scene.cloud.cloud.dispatcher.faults == 0


def problems(question: Question) -> Iterator[str]:
    action, resource = question.action, question.resource
    if reference.action(action) is None:
        yield f"{action} is no action of AWS's"
        return
    if resource == "*":  # also of requests that name nothing of what they ought to, and are refused afterwards
        patterns = reference.keys(action)
    else:
        prefix, types = action.partition(":")[0], reference.types(action)
        found = reference.type_of(prefix, resource) & types.keys()
        if not found:
            yield f"{action} is asked about {resource}, not about {sorted(types)}"
            return
        patterns = [each for type in found for each in reference.keys(action, type)]
    for key in sorted(question.context._own()):
        if not key.startswith(("aws:", f"{action.partition(':')[0]}:resourcetag/")) and not reference.has(patterns, key):
            yield f"{action} on {re.sub('[0-9a-f]{17}', 'ID', resource)} has the key {key}"
