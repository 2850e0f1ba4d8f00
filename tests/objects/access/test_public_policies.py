"""Which policies are public, as S3's user guide says it ("The meaning of public")."""

from __future__ import annotations

from typing import Any

import pytest

from mallee.objects.acl import ALL_USERS, AUTHENTICATED, LOG_DELIVERY, allows, is_public
from mallee.objects.public_access import is_public_policy
from tests.objects.access.scene import allow, deny, document

EVERYBODY: dict[str, Any] = {"action": "s3:GetObject", "principal": "*", "resource": "arn:aws:s3:::b/*"}


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"StringLike": {"aws:SourceVpc": "vpc-*"}},
        {"StringEquals": {"aws:SourceVpc": "${aws:username}"}},
        {"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}},
        {"ForAllValues:StringEquals": {"aws:SourceVpc": "vpc-1"}},
        {"StringNotEquals": {"aws:SourceVpc": "vpc-1"}},
        {"StringEquals": {"aws:Referer": "https://example.com"}},
        {"StringEquals": {"s3:prefix": "public"}},
        {"StringLike": {"aws:userid": "AROAEXAMPLEID:*"}},
        {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}},
        {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}},
        {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/1"]}},
        {"IpAddress": {"aws:SourceIp": "::/0"}},
        {"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        {"Bool": {"aws:SecureTransport": "true"}},
        {"StringEquals": {"aws:SourceVpc": ["vpc-1", "vpc-?"]}},
    ],
)
def test_public(condition: dict[str, Any]) -> None:
    assert is_public_policy(document(allow(**EVERYBODY, **condition)))


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:SourceVpc": "vpc-91237329"}},
        {"StringEquals": {"AWS:sourcevpce": ["vpce-1", "vpce-2"]}},
        {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
        {"StringEquals": {"aws:SourceAccount": "123456789012"}},
        {"StringEquals": {"aws:userid": "AIDAEXAMPLE"}},
        {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:local-1:123456789012:topic"}},
        {"StringLike": {"s3:DataAccessPointArn": "arn:aws:s3:local-1:123456789012:accesspoint/*"}},
        {"StringEquals": {"s3:DataAccessPointAccount": "123456789012"}},
        {"StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:x"}},
        {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}},
        {"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "2001:db8::/32"]}},
        {"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"aws:SourceVpc": "vpc-1"}},
    ],
)
def test_not_public(condition: dict[str, Any]) -> None:
    assert not is_public_policy(document(allow(**EVERYBODY, **condition)))


def test_whom_it_names() -> None:
    for principal in (
        {"AWS": "123456789012"},
        {"Service": "logging.s3.amazonaws.com"},
        {"AWS": ["arn:aws:iam::123456789012:user/u"]},
    ):
        assert not is_public_policy(document(allow("s3:*", principal, "*")))
    assert is_public_policy(document(allow("s3:*", {"AWS": ["123456789012", "*"]}, "*")))
    assert not is_public_policy(document(deny("s3:*", "*", "*")))
    one = allow("s3:GetObject", {"AWS": "123456789012"}, "*")
    assert is_public_policy(document(one, allow("s3:GetObject", "*", "*")))
    others = {"Effect": "Allow", "NotPrincipal": {"AWS": "123456789012"}, "Action": "s3:*", "Resource": "*"}
    assert is_public_policy(document(others))


def test_public_lists() -> None:
    assert is_public([["a" * 64, "READ"], [ALL_USERS, "READ_ACP"]]) and is_public([[AUTHENTICATED, "WRITE"]])
    assert not is_public([[LOG_DELIVERY, "WRITE"]]) and not is_public(None)


@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("grantee", ["me", "you", ALL_USERS, AUTHENTICATED, LOG_DELIVERY])
@pytest.mark.parametrize("granted", ["READ", "WRITE", "FULL_CONTROL"])
def test_whom_a_list_lets_in(grantee: str, granted: str, signed: bool, ignore: bool) -> None:
    found = allows([[grantee, granted]], "READ", "me" if signed else "", signed, ignore_public=ignore)
    who = {"me": signed, ALL_USERS: not ignore, AUTHENTICATED: signed and not ignore}.get(grantee, False)
    assert found is (who and granted in ("READ", "FULL_CONTROL"))
