"""Policies and requests drawn at random from so few words that they meet often, and short ways to ask the engine."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from mallee.identity.call import Principal
from mallee.identity.rules import principals
from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import Grants, Question, Source
from mallee.identity.rules.policy import Kind, compile_policy

HOME, AWAY = "111122223333", "444455556666"
VERSION = "2012-10-17"

USER_ARN = f"arn:aws:iam::{HOME}:user/team/bob"
ROLE_ARN = f"arn:aws:iam::{HOME}:role/worker"
SESSION_ARN = f"arn:aws:sts::{HOME}:assumed-role/worker/one"
FEDERATED_ARN = f"arn:aws:sts::{HOME}:federated-user/ann"

ROOT = Principal(HOME, f"arn:aws:iam::{HOME}:root", HOME, "root")
USER = Principal(HOME, USER_ARN, "AIDABOBBOBBOBBOBBOBB", "user", holder_id="AIDABOBBOBBOBBOBBOBB", issuer_arn=USER_ARN)
SESSION = Principal(
    HOME, SESSION_ARN, "AROAWORKERWORKERWORK:one", "assumed-role", holder_id="AROAWORKERWORKERWORK", issuer_arn=ROLE_ARN
)
FEDERATED = Principal(HOME, FEDERATED_ARN, f"{HOME}:ann", "federated-user", holder_id="AIDABOBBOBBOBBOBBOBB", issuer_arn=USER_ARN)
ANONYMOUS = Principal("", "", "anonymous", "anonymous")
SERVICE = principals.service("ec2.amazonaws.com")
PROVIDER_ARN = f"arn:aws:iam::{HOME}:oidc-provider/idp.example.com"
IDENTITY_PROVIDER = principals.federated(PROVIDER_ARN)
CALLERS = (ROOT, USER, SESSION, FEDERATED, ANONYMOUS, SERVICE, IDENTITY_PROVIDER)


def plain(caller):
    """A caller as the oracle knows it."""
    return {"kind": caller.kind, "arn": caller.arn, "account": caller.account_id, "issuer": caller.issuer_arn}


def document(*statements, version=VERSION):
    return {"Version": version, "Statement": list(statements)}


def compiled(policy, kind=Kind.IDENTITY):
    return compile_policy(policy if isinstance(policy, str) else json.dumps(policy), kind)


def source(policy, kind=Kind.IDENTITY, name="p"):
    return Source(compiled(policy, kind), name, "user-managed")


def allow(action="*", resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource} | more


def deny(action="*", resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource} | more


def granting(*statements, version=VERSION):
    return Grants(identity=(source(document(*statements, version=version)),))


def asking(action, resource="*", context=None, principal=USER, **more):
    return Question(action, resource, Context(context or {}), principal, **more)


# -- at random ---------------------------------------------------------------------------------------------------------

actions = st.sampled_from(["s3:GetObject", "s3:PutObject", "s3:ListBucket", "ec2:RunInstances", "sts:AssumeRole"])
action_patterns = st.sampled_from(
    ["*", "s3:*", "s3:Get*", "S3:getobject", "s3:?utObject", "s3:*Object", "ec2:RunInstances", "sts:Assume*", "s3:*t*t*"]
)
resources = st.sampled_from(
    ["*", "arn:aws:s3:::a", "arn:aws:s3:::a/bob", "arn:aws:s3:::a/*", "arn:aws:ec2:r:1:instance/i-1", "arn:aws:s3:::a/B?b"]
)
resource_patterns = st.sampled_from(
    [
        "*",
        "arn:aws:s3:::a",
        "arn:aws:s3:::a/*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::a/${aws:username}",
        "arn:aws:s3:::a/${aws:username, 'bob'}",
        "arn:aws:s3:::a/${*}",
        "arn:aws:s3:::a/?${s3:prefix}b",
        "arn:aws:ec2:*:*:instance/*",
        "arn:aws:ec2:*1",
        "arn:aws:s3",
    ]
)
keys = st.sampled_from(
    ["aws:username", "s3:prefix", "aws:TagKeys", "AWS:SourceIp", "s3:max-keys", "aws:CurrentTime", "aws:SourceArn"]
)
words = st.sampled_from(
    [
        "",
        "bob",
        "Bob",
        "b*",
        "*",
        "?ob",
        "5",
        "10",
        "10.0",
        "-1",
        "true",
        "TRUE",
        "false",
        "10.0.0.7",
        "10.0.0.0/24",
        "::1",
        "2001:db8::/32",
        "2024-01-01T00:00:00Z",
        "2024-01-01",
        "1704067200",
        "2024",
        "2024-01-01T01:00:00+01:00",
        "Ym9i",
        "arn:aws:s3:::a",
        "arn:aws:s3:::*",
        "arn:*:s3:?:*:a",
        "${aws:username}",
        "x${s3:prefix, 'y'}*",
        "${*}",
        "x*",
        "arn:aws:iam::1:user/${aws:username}",
    ]
)
dates = st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-01", "1704067200", "2024", "2024-01-01T01:00:00+01:00"])
ranges = st.sampled_from(["10.0.0.7", "10.0.0.0/24", "::1", "2001:db8::/32", "0.0.0.0/0"])
_bases = ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"]
_bases += ["Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"]
_bases += [
    family + how
    for family in ("Numeric", "Date")
    for how in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
]


@st.composite
def conditions(draw):
    base = draw(st.sampled_from([*_bases, "Null"]))
    if base == "Null":
        return base, draw(keys), draw(st.sampled_from(["true", "false", True, False, ["true", "false"]]))
    values = dates if base.startswith("Date") else ranges if base.endswith("IpAddress") else words
    name = draw(st.sampled_from(["", "", "ForAllValues:", "ForAnyValue:"])) + base + draw(st.sampled_from(["", "", "IfExists"]))
    return name, draw(keys), draw(st.one_of(values, st.lists(values, min_size=1, max_size=3)))


def values_of_keys():
    one = st.sampled_from(
        [
            "",
            "bob",
            "Bob",
            "B*b",
            "5",
            "10",
            "true",
            "False",
            "10.0.0.7",
            "::1",
            "2024-01-01T00:00:00Z",
            "1704067200",
            "Ym9i",
            "*",
            "arn:aws:s3:::a",
            "arn:aws:iam::1:user/bob",
            "nonsense",
        ]
    )
    return st.dictionaries(keys, st.one_of(one, st.lists(one, min_size=1, max_size=3)), max_size=6)


_AWS = ["*", HOME, AWAY, f"arn:aws:iam::{HOME}:root", USER_ARN, ROLE_ARN, SESSION_ARN, FEDERATED_ARN]
named = st.one_of(
    st.just("*"),
    st.fixed_dictionaries({"AWS": st.lists(st.sampled_from(_AWS), min_size=1, max_size=3)}),
    st.fixed_dictionaries({"Service": st.sampled_from(["ec2.amazonaws.com", "s3.amazonaws.com"]), "AWS": st.just(HOME)}),
    st.fixed_dictionaries({"Federated": st.sampled_from([PROVIDER_ARN, "accounts.google.com"])}),
)


@st.composite
def statements(draw, principal=False, resource=True, trust=False):
    statement = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Allow", "Deny"]))}
    if trust:
        statement["Action"] = draw(st.sampled_from(["sts:AssumeRole", "sts:TagSession", ["sts:TagSession", "sts:AssumeRole"]]))
    else:
        patterns = st.one_of(action_patterns, st.lists(action_patterns, min_size=1, max_size=2))
        statement[draw(st.sampled_from(["Action", "Action", "Action", "NotAction"]))] = draw(patterns)
    if resource:
        patterns = st.one_of(resource_patterns, st.lists(resource_patterns, min_size=1, max_size=2))
        statement[draw(st.sampled_from(["Resource", "Resource", "Resource", "NotResource"]))] = draw(patterns)
    if principal:
        element = "Principal" if statement["Effect"] == "Allow" else draw(st.sampled_from(["Principal", "NotPrincipal"]))
        statement[element] = draw(named)
    block = {}
    for operator, key, wanted in draw(st.lists(conditions(), max_size=2)):
        block.setdefault(operator, {})[key] = wanted
    if block or draw(st.booleans()):
        statement["Condition"] = block
    return statement


def policies(**kinds):
    return st.lists(statements(**kinds), min_size=1, max_size=3).map(lambda found: document(*found))
