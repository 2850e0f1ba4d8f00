"""A bucket of one account, with callers of its own, of another account, and nobody: what the tests of decisions ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore import UNSIGNED
from botocore.exceptions import ClientError

from tests.cloud.harness import Account, TestCloud

OK = "OK"
ARN = "arn:aws:s3:::"


def told(call: Callable[..., Any], /, **given: Any) -> str:
    """``OK``, or the code of the error; of HEAD its status."""
    try:
        call(**given)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return OK


def message(call: Callable[..., Any], /, **given: Any) -> str:
    try:
        call(**given)
    except ClientError as error:
        return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
    return OK


def allow(
    action: str | list[str], principal: Any = None, resource: str | list[str] = "*", effect: str = "Allow", **condition: Any
) -> Any:
    """A statement; with a principal, of a resource's policy."""
    made = {"Effect": effect, "Action": action, "Resource": resource}
    if principal is not None:
        made["Principal"] = principal
    return made | ({"Condition": condition} if condition else {})


def deny(*given: Any, **more: Any) -> Any:
    return allow(*given, effect="Deny", **more)


def document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass
class Scene:
    """``owner`` and ``other`` are roots of two accounts, ``reader`` and ``guest`` users of theirs who may do everything in S3, ``clerk`` and
    ``stranger`` users of theirs who may do nothing yet."""

    cloud: TestCloud
    bucket: str = "the-bucket"
    people: dict[str, Account] = field(default_factory=dict)

    def s3(self, who: str) -> Any:
        if who == "nobody":
            return self.cloud.client("s3", signature_version=UNSIGNED)
        return self.people[who].client("s3")

    @property
    def owner(self) -> Any:
        return self.s3("owner")

    def get(self, who: str, key: str = "key", **more: Any) -> str:
        return told(self.s3(who).get_object, Bucket=self.bucket, Key=key, **more)

    def put(self, who: str, key: str = "key", **more: Any) -> str:
        return told(self.s3(who).put_object, Bucket=self.bucket, Key=key, Body=b"x", **more)

    def list(self, who: str, **more: Any) -> str:
        return told(self.s3(who).list_objects_v2, Bucket=self.bucket, **more)

    def policy(self, *statements: Any) -> None:
        """Of the bucket; none without statements."""
        if statements:
            self.owner.put_bucket_policy(Bucket=self.bucket, Policy=document(*statements), ConfirmRemoveSelfBucketAccess=True)
        else:
            self.owner.delete_bucket_policy(Bucket=self.bucket)

    def may(self, who: str, *statements: Any) -> None:
        """The only policy of a user."""
        account = self.people["owner" if who in ("reader", "clerk") else "other"]
        account.client("iam").put_user_policy(UserName=who, PolicyName="own", PolicyDocument=document(*statements))

    def block(self, *settings: str) -> None:
        self.owner.put_public_access_block(
            Bucket=self.bucket, PublicAccessBlockConfiguration=dict.fromkeys(settings, True)
        )  # fmt: skip

    def ownership(self, wanted: str) -> None:
        self.owner.put_bucket_ownership_controls(Bucket=self.bucket, OwnershipControls={"Rules": [{"ObjectOwnership": wanted}]})

    def canonical_id(self, who: str) -> str:
        return str(self.s3(who).list_buckets()["Owner"]["ID"])


def make(cloud: TestCloud) -> Scene:
    """Nothing is blocked, ACLs are on, and there is one object, ``key``."""
    scene = Scene(cloud)
    scene.people = {"owner": cloud.account("owner"), "other": cloud.account("other")}
    for name, account in (("reader", "owner"), ("clerk", "owner"), ("guest", "other"), ("stranger", "other")):
        scene.people[name] = cloud.user(name, scene.people[account])
    scene.owner.create_bucket(Bucket=scene.bucket, ObjectOwnership="ObjectWriter")
    scene.block()
    scene.owner.put_object(Bucket=scene.bucket, Key="key", Body=b"x")
    for name in ("reader", "guest"):
        scene.may(name, allow("s3:*"))
    return scene
