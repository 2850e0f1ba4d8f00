"""The condition keys that every call has: each is there when AWS says so, and only then."""

from __future__ import annotations

import datetime
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from mallee.identity import context
from mallee.identity.call import ANONYMOUS, Call, Principal, Session
from mallee.store import ManualClock, Tx
from tests.identity.conftest import Identity

ACCOUNT = "123456789012"
NOW = datetime.datetime(2026, 3, 4, 5, 6, 7, tzinfo=datetime.UTC)
MINUTE = datetime.timedelta(minutes=1)

ROOT = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "root", None, "AKIA1")
USER_ARN = f"arn:aws:iam::{ACCOUNT}:user/x/bob"
BOB = Principal(ACCOUNT, USER_ARN, "AIDA1", "user", "bob", "AKIA2", "AIDA1", USER_ARN, tags={"Team": "red"})

ALWAYS = {
    "aws:currenttime": "2026-03-04T05:06:07Z",
    "aws:epochtime": "1772600767",
    "aws:securetransport": "false",
    "aws:sourceip": "192.0.2.7",
    "aws:useragent": "curl/8",
    "aws:requestedregion": "local-1",
    "aws:viaawsservice": "false",
}


@pytest.fixture
def tx(identity: Identity) -> Iterator[Tx]:
    before, identity.database.clock = identity.database.clock, ManualClock(NOW)
    with identity.database.reading(ACCOUNT) as tx:
        yield tx
    identity.database.clock = before


def call(identity: Identity, tx: Tx, principal: Principal, service: str = "sts", **more: Any) -> Call:
    given: dict[str, Any] = {"source_ip": "192.0.2.7", "header": {b"user-agent": b"curl/8"}.get, "input": {}, **more}
    return Call(service, "DoThings", principal=principal, tx=tx, request_id="r", settings=identity.settings, **given)


def keys(made: Call) -> dict[str, str]:
    """Those of the call, without what every call has."""
    found = context.of(made)
    values = {name: ",".join(found.get(name) or ()) for name in found.names()}
    assert {name: values.pop(name) for name in ALWAYS} == ALWAYS
    return values


def session(kind: str, **more: Any) -> Session:
    return Session(kind, ACCOUNT, "x", "me", NOW - MINUTE, NOW + 60 * MINUTE, **more)


def test_a_root_with_its_own_key(identity: Identity, tx: Tx) -> None:
    assert keys(call(identity, tx, ROOT)) == {
        "aws:principalarn": ROOT.arn,
        "aws:principalaccount": ACCOUNT,
        "aws:principaltype": "Account",
        "aws:principalisawsservice": "false",
        "aws:userid": ACCOUNT,
    }


def test_a_user_with_its_own_key(identity: Identity, tx: Tx) -> None:
    assert keys(call(identity, tx, BOB)) == {
        "aws:principalarn": USER_ARN,
        "aws:principalaccount": ACCOUNT,
        "aws:principaltype": "User",
        "aws:principalisawsservice": "false",
        "aws:principaltag/team": "red",
        "aws:userid": "AIDA1",
        "aws:username": "bob",
    }


@pytest.mark.parametrize("mfa", [None, NOW - 5 * MINUTE])
def test_a_user_s_session(identity: Identity, tx: Tx, mfa: datetime.datetime | None) -> None:
    somebody = Principal(
        ACCOUNT, USER_ARN, "AIDA1", "user", "bob", "ASIA1", "AIDA1", USER_ARN, session("session", mfa_at=mfa)
    )  # fmt: skip
    found = keys(call(identity, tx, somebody))
    assert found["aws:username"] == "bob" and found["aws:principaltype"] == "User"
    assert found["aws:tokenissuetime"] == "2026-03-04T05:05:07Z"
    assert found["aws:multifactorauthpresent"] == ("true" if mfa else "false")
    assert found.get("aws:multifactorauthage") == ("300" if mfa else None)
    assert "aws:sourceidentity" not in found and "aws:federatedprovider" not in found


def test_a_role_s_session(identity: Identity, tx: Tx) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/team/Reader"
    given = session(
        "assumed-role",
        source_identity="alice",
        provider="arn:aws:iam::1:oidc-provider/x",
        keys={"ec2:SourceInstanceARN": ("arn:i",)},
    )
    somebody = Principal(
        ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/Reader/me", "AROA1:me", "assumed-role", None, "ASIA1", "AROA1", role, given,
        {"cost": "7"},
    )  # fmt: skip
    assert keys(call(identity, tx, somebody)) == {
        "aws:principalarn": role,
        "aws:principalaccount": ACCOUNT,
        "aws:principaltype": "AssumedRole",
        "aws:principalisawsservice": "false",
        "aws:principaltag/cost": "7",
        "aws:userid": "AROA1:me",
        "aws:tokenissuetime": "2026-03-04T05:05:07Z",
        "aws:multifactorauthpresent": "false",
        "aws:sourceidentity": "alice",
        "aws:federatedprovider": "arn:aws:iam::1:oidc-provider/x",
        "ec2:sourceinstancearn": "arn:i",
    }


def test_a_federated_user(identity: Identity, tx: Tx) -> None:
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/me"
    somebody = Principal(
        ACCOUNT, arn, f"{ACCOUNT}:me", "federated-user", None, "ASIA1", "AIDA1", USER_ARN, session("federated-user")
    )  # fmt: skip
    found = keys(call(identity, tx, somebody))
    assert (found["aws:principalarn"], found["aws:principaltype"], found["aws:userid"]) == (arn, "FederatedUser", f"{ACCOUNT}:me")
    assert "aws:username" not in found


def test_nobody(identity: Identity, tx: Tx) -> None:
    assert keys(call(identity, tx, ANONYMOUS)) == {"aws:principaltype": "Anonymous", "aws:userid": "anonymous"}


def test_what_the_request_says_of_itself(identity: Identity, tx: Tx) -> None:
    headers = {b"referer": "https://example.org/ä".encode("latin-1")}
    found = context.of(call(identity, tx, BOB, secure=True, header=headers.get))
    assert found.get("aws:SecureTransport") == ("true",)
    assert found.get("aws:Referer") == ("https://example.org/ä",)
    bare = context.of(call(identity, tx, BOB, source_ip="", header={}.get))
    assert [bare.get(f"aws:{name}") for name in ("SourceIp", "UserAgent", "Referer")] == [None] * 3


class Input(dict[str, Any]):
    """One that can be watched."""


def test_a_call_goes_with_its_answer(identity: Identity, tx: Tx) -> None:
    """No circle holds it until the collector comes by."""
    given = Input()
    made = call(identity, tx, BOB, input=given)
    assert context.of(made).get("aws:username") == ("bob",)
    watched = weakref.ref(given)
    gc.disable()
    try:
        del made, given
        assert watched() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "given",
    [
        {"Tags": [{"Key": "team", "Value": "red"}, {"Key": "bare"}]},
        {"tags": [{"key": "team", "value": "red"}, {"key": "bare", "value": ""}]},
        {"Tags": [{"TagKey": "team", "TagValue": "red"}, {"TagKey": "bare", "TagValue": ""}]},
        {"tags": {"team": "red", "bare": ""}},
    ],
)
def test_tags_in_whatever_form(identity: Identity, tx: Tx, given: dict[str, Any]) -> None:
    made = call(identity, tx, BOB, "kms", input=given)
    assert context.request_tags(made, "*") == {"team": "red", "bare": ""}
    assert context.tag_keys(made, "*") == ["team", "bare"]


def test_without_tags_there_are_no_keys_of_them(identity: Identity, tx: Tx) -> None:
    for service, given in (("kms", {}), ("kms", {"Tags": []}), ("ec2", {}), ("ec2", {"TagSpecifications": []})):
        made = call(identity, tx, BOB, service, input=given)
        assert not context.request_tags(made, "*") and context.tag_keys(made, "arn:aws:ec2:r:1:instance/*") is None


def test_tags_of_ec2_s_specifications_belong_to_their_type(identity: Identity, tx: Tx) -> None:
    given = {
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "b", "Value": "2"}]},
            {"ResourceType": "instance", "Tags": [{"Key": "c", "Value": "3"}]},
            {"Tags": [{"Key": "d", "Value": "4"}]},
            {"ResourceType": "elastic-ip"},
        ]
    }
    made = call(identity, tx, BOB, "ec2", input=given)
    assert context.request_tags(made, "arn:aws:ec2:r:1:instance/*") == {"a": "1", "c": "3"}
    assert context.request_tags(made, "arn:aws:ec2:r:1:volume/*") == {"b": "2"}
    assert context.request_tags(made, "arn:aws:ec2:r:1:instance/i-1") == {}
    assert context.request_tags(made, "arn:aws:ec2:r::image/ami-1") == {} == context.request_tags(made, "*")
