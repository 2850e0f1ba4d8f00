"""Principals as policies write them, and trust that is held by unique ids."""

from __future__ import annotations

import json

import pytest

from mallee.identity.rules import pins, principals
from mallee.identity.rules.errors import Malformed
from mallee.identity.rules.evaluate import Grants, decide
from mallee.identity.rules.policy import Kind
from mallee.identity.rules.principals import Named
from tests.rules.policy_making import (
    ANONYMOUS,
    AWAY,
    CALLERS,
    FEDERATED,
    FEDERATED_ARN,
    HOME,
    IDENTITY_PROVIDER,
    PROVIDER_ARN,
    ROLE_ARN,
    ROOT,
    SERVICE,
    SESSION,
    SESSION_ARN,
    USER,
    USER_ARN,
    allow,
    asking,
    compiled,
    document,
)

ITSELF, BY_ISSUER, BY_ACCOUNT, NOT = Named.ITSELF, Named.BY_ISSUER, Named.BY_ACCOUNT, Named.NOT
ROOT_ARN = f"arn:aws:iam::{HOME}:root"


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        # root, user, session, federated user, anonymous, service, identity provider
        ("*", (ITSELF,) * 7),
        ({"AWS": "*"}, (ITSELF,) * 7),
        ({"AWS": ["*", USER_ARN]}, (ITSELF,) * 7),
        ({"AWS": HOME}, (ITSELF, BY_ACCOUNT, BY_ACCOUNT, BY_ACCOUNT, NOT, NOT, NOT)),
        ({"AWS": ROOT_ARN}, (ITSELF, BY_ACCOUNT, BY_ACCOUNT, BY_ACCOUNT, NOT, NOT, NOT)),
        ({"AWS": [AWAY, f"arn:aws:iam::{AWAY}:root"]}, (NOT,) * 7),
        ({"AWS": USER_ARN}, (NOT, ITSELF, NOT, BY_ISSUER, NOT, NOT, NOT)),
        ({"AWS": USER.user_id}, (NOT, ITSELF, NOT, BY_ISSUER, NOT, NOT, NOT)),
        ({"AWS": USER_ARN.upper().replace("ARN:AWS:IAM", "arn:aws:iam").replace("USER", "user")}, (NOT,) * 7),
        ({"AWS": ROLE_ARN}, (NOT, NOT, BY_ISSUER, NOT, NOT, NOT, NOT)),
        ({"AWS": SESSION.holder_id}, (NOT, NOT, BY_ISSUER, NOT, NOT, NOT, NOT)),
        ({"AWS": SESSION_ARN}, (NOT, NOT, ITSELF, NOT, NOT, NOT, NOT)),
        ({"AWS": FEDERATED_ARN}, (NOT, NOT, NOT, ITSELF, NOT, NOT, NOT)),
        ({"AWS": [HOME, USER_ARN, ROLE_ARN]}, (ITSELF, ITSELF, BY_ISSUER, BY_ISSUER, NOT, NOT, NOT)),
        ({"Service": "ec2.amazonaws.com"}, (NOT, NOT, NOT, NOT, NOT, ITSELF, NOT)),
        ({"Service": ["s3.amazonaws.com"]}, (NOT,) * 7),
        ({"Federated": PROVIDER_ARN}, (NOT, NOT, NOT, NOT, NOT, NOT, ITSELF)),
        ({"CanonicalUser": "79a5"}, (NOT,) * 7),
    ],
)
def test_how_an_element_names_each_caller(element, expected):
    read = principals.read(element)
    assert tuple(read.names_caller(caller) for caller in CALLERS) == expected


def test_a_canonical_user_is_an_account():
    read = principals.read({"CanonicalUser": "79a5"})
    assert read.names_caller(ROOT, "79a5") is ITSELF and read.names_caller(USER, "79a5") is BY_ACCOUNT
    assert read.names_caller(ANONYMOUS, "") is NOT


@pytest.mark.parametrize(
    ("element", "caller", "spared"),
    [
        ("*", USER, True),
        ({"AWS": [USER_ARN, ROOT_ARN]}, USER, True),  # the examples of the page on NotPrincipal
        ({"AWS": USER_ARN}, USER, False),
        ({"AWS": ROOT_ARN}, USER, False),
        ({"AWS": ROOT_ARN}, ROOT, True),
        ({"AWS": [SESSION_ARN, ROLE_ARN, ROOT_ARN]}, SESSION, True),
        ({"AWS": [SESSION_ARN, ROOT_ARN]}, SESSION, False),
        ({"AWS": [ROLE_ARN, ROOT_ARN]}, SESSION, False),
        ({"AWS": [FEDERATED_ARN, HOME]}, FEDERATED, True),
        ({"AWS": [USER_ARN, ROOT_ARN]}, ANONYMOUS, False),
        ({"Service": "ec2.amazonaws.com"}, SERVICE, True),
        ({"Service": "s3.amazonaws.com"}, SERVICE, False),
        ({"Federated": PROVIDER_ARN}, IDENTITY_PROVIDER, True),
    ],
)
def test_whom_a_not_principal_spares(element, caller, spared):
    assert principals.read(element).spares(caller) is spared


@pytest.mark.parametrize(
    "value",
    [
        "bob",
        "",
        "1234",
        "arn:aws:iam::1:root",
        f"arn:aws:iam::{HOME}:user/",
        f"arn:aws:iam::{HOME}:user/*",
        f"arn:aws:iam::{HOME}:ro*",
        f"arn:aws:iam::{HOME}:group/x",
        f"arn:aws:sts::{HOME}:assumed-role/x",
        f"arn:aws:sts::{HOME}:assumed-role/x/*",
        "arn:aws:s3:::b",
        f"arn:gcp:iam::{HOME}:root",
        "１２３４５６７８９０１２",
        f"arn:aws:iam:r:{HOME}:root",
        "aida",
        "arn:aws:iam::*:root",
    ],
)
def test_what_is_no_principal_is_refused_by_name(value):
    with pytest.raises(Malformed) as refused:
        principals.read({"AWS": value})
    assert refused.value.message == f'Invalid principal in policy: "AWS":"{value}"'


@pytest.mark.parametrize("value", ["ec2", "*.amazonaws.com", "EC2.amazonaws.com", "evil.com", "ec2.amazonaws.com.evil.com", ""])
def test_what_is_no_service_is_refused_by_name(value):
    with pytest.raises(Malformed) as refused:
        principals.read({"Service": value})
    assert refused.value.message == f'Invalid principal in policy: "SERVICE":"{value}"'


def test_a_policy_tells_whom_it_names():
    trust = compiled(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": [USER_ARN, AWAY], "Service": "ec2.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                },
                {"Effect": "Deny", "NotPrincipal": {"AWS": [ROOT_ARN], "Federated": PROVIDER_ARN}, "Action": "sts:AssumeRole"},
                {"Effect": "Deny", "Principal": "*", "Action": "sts:TagSession"},
            ],
        },
        Kind.TRUST,
    )
    assert trust.principals == {
        ("AWS", USER_ARN),
        ("AWS", AWAY),
        ("Service", "ec2.amazonaws.com"),
        ("AWS", HOME),
        ("Federated", PROVIDER_ARN),
        ("AWS", "*"),
    }


def test_principals_are_held_by_their_ids_and_shown_by_their_names():
    text = f"""{{"Version": "2012-10-17",
      "Statement": [{{"Sid": "{USER_ARN}", "Principal": {{"Service": "ec2.amazonaws.com", "AWS": ["{USER_ARN}",  "{HOME}"]}},
                     "Effect": "Allow", "Action": "sts:AssumeRole"}},
                    {{"NotPrincipal": {{"AWS": "{ROLE_ARN}"}}, "Effect": "Deny", "Action": "sts:AssumeRole"}}]}}"""
    ids = {USER_ARN: USER.user_id, ROLE_ARN: SESSION.holder_id}
    held = pins.replaced(text, ids.get)
    assert held == text.replace(f'["{USER_ARN}"', f'["{USER.user_id}"').replace(ROLE_ARN, SESSION.holder_id)
    assert json.loads(held)["Statement"][0]["Sid"] == USER_ARN
    assert pins.replaced(held, {value: key for key, value in ids.items()}.get) == text
    assert pins.replaced(json.dumps(document(allow())), ids.get) == json.dumps(document(allow()))
    with pytest.raises(Malformed):
        pins.replaced("{", ids.get)


def test_a_namesake_does_not_inherit_trust():
    trust = {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": USER_ARN}, "Action": "sts:AssumeRole"},
    }
    held = compiled(pins.replaced(json.dumps(trust), {USER_ARN: USER.user_id}.get), Kind.TRUST)
    namesake = type(USER)(HOME, USER_ARN, "AIDANEWNEWNEWNEWNEWN", "user", holder_id="AIDANEWNEWNEWNEWNEWN")
    assert decide(asking("sts:AssumeRole", ROLE_ARN, resource_policy=held), Grants()).allowed
    assert not decide(asking("sts:AssumeRole", ROLE_ARN, principal=namesake, resource_policy=held), Grants()).allowed
