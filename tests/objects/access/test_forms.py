"""Whose form a browser sends: signed by boto3's own ways, with the policy's own rules."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.config import Config

from mallee.identity.call import ANONYMOUS
from mallee.objects.rules import post_policy
from mallee.wire import AwsError
from tests.identity import signing
from tests.identity.conftest import Identity, identity, module_identity  # noqa: F401 (fixtures)
from tests.identity.signing import NOW


def form(identity: Identity, version: str, secret: str | None = None, region: str = "local-1") -> dict[str, str]:  # noqa: F811
    import boto3

    made = boto3.client(
        "s3", region_name=region, endpoint_url="http://mallee.test", aws_access_key_id=identity.root.access_key_id,
        aws_secret_access_key=secret or identity.root.secret_access_key, config=Config(signature_version=version),
    )  # fmt: skip
    with signing.at(NOW):
        found = made.generate_presigned_post(
            "bucket", "dir/${filename}", Fields={"acl": "private"}, Conditions=[{"acl": "private"}]
        )
    return dict(found["fields"])


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_boto3_s_forms(identity: Identity, version: str) -> None:  # noqa: F811
    fields = form(identity, version)
    proof = identity.authenticator.verify_post(fields)
    assert proof.principal.is_root and proof.how == "POST"
    assert proof.version == ("AWS4-HMAC-SHA256" if version == "s3v4" else "AWS")
    policy = post_policy.read(fields["policy"])
    policy.check(fields | {"key": "dir/me.jpg"}, "bucket", NOW)
    for change in ({"key": "elsewhere"}, {"acl": "public-read"}, {"x-amz-meta-a": "b"}):
        with pytest.raises(AwsError, match="Invalid according to Policy"):
            policy.check(fields | change, "bucket", NOW)


def refusal(identity: Identity, fields: dict[str, Any]) -> AwsError:  # noqa: F811
    with pytest.raises(AwsError) as caught:
        identity.authenticator.verify_post(fields)
    return caught.value


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_forms_that_are_not_believed(identity: Identity, version: str) -> None:  # noqa: F811
    error = refusal(identity, form(identity, version, secret="x" * 40))
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    fields = form(identity, version)
    assert refusal(identity, fields | {"policy": fields["policy"][:-4] + "fX0="}).code == "SignatureDoesNotMatch"
    name = "x-amz-signature" if version == "s3v4" else "signature"
    for left in ("policy", name):
        error = refusal(identity, {key: value for key, value in fields.items() if key != left})
        assert error.code == "InvalidArgument" and error.message.startswith("Bucket POST must contain a field named '")
    other = "x-amz-credential" if version == "s3v4" else "AWSAccessKeyId"
    unknown = fields | {other: fields[other].replace(identity.root.access_key_id, "AKIANOBODY")}
    assert refusal(identity, unknown).code == "InvalidAccessKeyId"


def test_of_another_region(identity: Identity) -> None:  # noqa: F811
    assert refusal(identity, form(identity, "s3v4", region="eu-west-1")).fields["Region"] == "local-1"


def test_nobody_s(identity: Identity) -> None:  # noqa: F811
    assert identity.authenticator.verify_post({"key": "x"}).principal is ANONYMOUS
