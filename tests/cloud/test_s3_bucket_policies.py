"""Policies of buckets: which are taken, how they are kept, and that they keep their author in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused

BUCKET, INSIDE = "arn:aws:s3:::shared", "arn:aws:s3:::shared/*"


def document(**statement: Any) -> str:
    whole = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": INSIDE} | statement
    return json.dumps({"Version": "2012-10-17", "Statement": [{name: value for name, value in whole.items() if value is not None}]})


def opened(cloud: TestCloud) -> Any:
    s3 = cloud.client("s3", validate=False)
    s3.create_bucket(Bucket="shared")
    s3.delete_public_access_block(Bucket="shared")
    return s3


def test_a_policy_is_kept(cloud: TestCloud) -> None:
    s3 = opened(cloud)
    text = document()
    s3.put_bucket_policy(Bucket="shared", Policy=text)
    assert s3.get_bucket_policy(Bucket="shared")["Policy"] == text
    assert s3.get_bucket_policy_status(Bucket="shared")["PolicyStatus"]["IsPublic"] is True
    s3.put_bucket_policy(Bucket="shared", Policy=document(Principal={"AWS": cloud.admin.id}))
    assert s3.get_bucket_policy_status(Bucket="shared")["PolicyStatus"]["IsPublic"] is False
    s3.delete_bucket_policy(Bucket="shared")
    with refused("NoSuchBucketPolicy", 404):
        s3.get_bucket_policy(Bucket="shared")


@pytest.mark.parametrize(
    "text, told",
    [
        ("nonsense", "Policies must be valid JSON and the first byte must be '{'"),
        (" {}", "Policies must be valid JSON and the first byte must be '{'"),
        ("{", "This policy contains invalid Json"),
        ("{}", "Missing required field Statement"),
        (json.dumps({"Statement": []}), "Could not parse the policy: Statement is empty!"),
        (document().replace("2012-10-17", "2020-01-01"), "The policy must contain a valid version string"),
        (document(Resource="arn:aws:s3:::other/*"), "Policy has invalid resource"),
        (document(Resource="arn:aws:s3:::shared2"), "Policy has invalid resource"),
        (document(Resource="nonsense"), "Policy has invalid resource"),
        (document(Resource=None), "Missing required field Resource"),
        (document(Action="s3:Frobnicate"), "Policy has invalid action"),
        (document(Action="ec2:RunInstances"), "Policy has invalid action"),
        (document(Action=None), "Missing required field Action"),
        (document(Principal=None), "Missing required field Principal"),
        (document(Principal={"AWS": "arn:aws:iam::123456789012:user/nobody"}), "Invalid principal in policy"),
        (document(Principal={"AWS": "nonsense"}), "Invalid principal in policy"),
        (document(Effect="Perhaps"), "Invalid effect: Perhaps"),
        (document(Resource=BUCKET), "Action does not apply to any resource(s) in statement"),
        (document(Action="s3:ListBucket"), "Action does not apply to any resource(s) in statement"),
    ],
)
def test_what_is_no_policy(sqlite_cloud: TestCloud, text: str, told: str) -> None:
    s3 = opened(sqlite_cloud)
    with refused("MalformedPolicy", 400) as message:
        s3.put_bucket_policy(Bucket="shared", Policy=text)
    assert message() == told


@pytest.mark.parametrize(
    "text",
    [
        document(Action="s3:*", Resource=[BUCKET, INSIDE]),
        document(Action="*", Resource=BUCKET),
        document(Action=["s3:Get*", "s3:List*"], Resource=[INSIDE, BUCKET]),
        document(Action=None, NotAction="s3:PutObject"),
        document(Resource=None, NotResource=INSIDE, Effect="Deny", Action="s3:GetObject"),
        document(Resource="arn:aws:s3:::shared*"),
        document(Principal={"Service": "logging.s3.amazonaws.com"}, Action="s3:PutObject"),
    ],
)
def test_what_is_one(sqlite_cloud: TestCloud, text: str) -> None:
    s3 = opened(sqlite_cloud)
    s3.put_bucket_policy(Bucket="shared", Policy=text, ConfirmRemoveSelfBucketAccess=True)


def test_the_size_of_a_policy(sqlite_cloud: TestCloud) -> None:
    s3 = opened(sqlite_cloud)
    s3.put_bucket_policy(Bucket="shared", Policy="{" + " " * 30_000 + document()[1:])
    with refused("PolicyTooLarge", 400):
        s3.put_bucket_policy(Bucket="shared", Policy=document(Sid="x" * 21_000))
    with refused("MissingRequestBodyError", 400):
        s3.put_bucket_policy(Bucket="shared", Policy="")


@pytest.mark.parametrize("name", ["user/a\0b", "role/\ud800", "user/" + "x" * 10_000])
def test_principals_that_nobody_is(cloud: TestCloud, name: str) -> None:
    s3 = opened(cloud)
    with refused("MalformedPolicy", 400):
        s3.put_bucket_policy(Bucket="shared", Policy=document(Principal={"AWS": f"arn:aws:iam::{cloud.admin.id}:{name}"}))
    assert cloud.cloud.dispatcher.faults == 0


def test_a_name_is_not_inherited(cloud: TestCloud) -> None:
    s3, iam = opened(cloud), cloud.client("iam")
    cloud.user("reader")
    arn = f"arn:aws:iam::{cloud.admin.id}:user/reader"
    s3.put_bucket_policy(Bucket="shared", Policy=document(Principal={"AWS": arn}))
    assert arn in s3.get_bucket_policy(Bucket="shared")["Policy"]
    for key in iam.list_access_keys(UserName="reader")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="reader", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="reader")
    again = cloud.user("reader")
    assert arn not in s3.get_bucket_policy(Bucket="shared")["Policy"]
    s3.put_object(Bucket="shared", Key="key", Body=b"")
    with refused("AccessDenied", 403):
        again.client("s3").get_object(Bucket="shared", Key="key")


def test_a_public_policy_is_blocked(cloud: TestCloud) -> None:
    s3 = opened(cloud)
    s3.put_public_access_block(Bucket="shared", PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    with refused("AccessDenied", 403):
        s3.put_bucket_policy(Bucket="shared", Policy=document())
    s3.put_bucket_policy(Bucket="shared", Policy=document(Principal={"AWS": cloud.admin.id}))


def test_whoever_shuts_itself_out_must_say_so(cloud: TestCloud) -> None:
    s3 = opened(cloud)
    user = cloud.user("careless")
    allow = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
    cloud.client("iam").put_user_policy(UserName="careless", PolicyName="all", PolicyDocument=allow)
    theirs = user.client("s3")
    shut = document(Effect="Deny", Action="s3:PutBucketPolicy", Resource=BUCKET)
    with refused("AccessDenied", 403):
        theirs.put_bucket_policy(Bucket="shared", Policy=shut)
    theirs.put_bucket_policy(Bucket="shared", Policy=shut, ConfirmRemoveSelfBucketAccess=True)
    with refused("AccessDenied", 403):
        theirs.put_bucket_policy(Bucket="shared", Policy=document())
    s3.delete_bucket_policy(Bucket="shared")  # the root gets back in


def test_a_bucket_that_is_not_empty(cloud: TestCloud) -> None:
    s3 = opened(cloud)
    s3.put_object(Bucket="shared", Key="key", Body=b"")
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket="shared")
    s3.delete_object(Bucket="shared", Key="key")
    s3.delete_bucket(Bucket="shared")
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket="shared", Key="key", Body=b"")
