"""Who may do what in S3, asked by requests: each rule of "How Amazon S3 authorizes a request", and all of them together."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tests.objects.access.scene import ARN, OK, Scene, allow, deny, message, told

NO = "AccessDenied"
OTHERS = ("other", "guest", "stranger", "nobody")


# ----------------------------------------------------------------------------------------------- one account by itself


def test_the_account_s_own(scene: Scene) -> None:
    assert scene.get("owner") == scene.get("reader") == OK
    assert [scene.get(who) for who in ("clerk", *OTHERS)] == [NO] * 5
    assert [scene.put(who) for who in ("clerk", *OTHERS)] == [NO] * 5
    assert [scene.list(who) for who in ("clerk", *OTHERS)] == [NO] * 5


def test_what_iam_allows_by_resource_and_condition(scene: Scene) -> None:
    scene.may("clerk", allow("s3:GetObject", resource=f"{ARN}the-bucket/ke*"))
    assert scene.get("clerk") == OK and scene.put("clerk") == NO and scene.list("clerk") == NO
    scene.may("clerk", allow("s3:GetObject", resource=f"{ARN}the-bucket/other*"))
    assert scene.get("clerk") == NO
    scene.may("clerk", allow("s3:ListBucket", StringLike={"s3:prefix": "home/*"}, NumericLessThanEquals={"s3:max-keys": "10"}))
    assert scene.list("clerk") == NO and scene.list("clerk", Prefix="home/x") == NO
    assert scene.list("clerk", Prefix="home/x", MaxKeys=10) == OK and scene.list("clerk", Prefix="other", MaxKeys=10) == NO


def test_a_bucket_s_policy_is_enough_within_the_account(scene: Scene) -> None:
    clerk = f"arn:aws:iam::{scene.people['owner'].id}:user/clerk"
    scene.policy(allow("s3:GetObject", {"AWS": clerk}, f"{ARN}the-bucket/*"))
    assert scene.get("clerk") == OK and scene.put("clerk") == NO
    scene.policy(allow("s3:GetObject", {"AWS": scene.people["owner"].id}, f"{ARN}the-bucket/*"))
    assert scene.get("clerk") == NO, "the account may let its users; that is not their own"


def test_a_deny_of_the_bucket_s_holds_for_everybody(scene: Scene) -> None:
    scene.policy(deny("s3:GetObject", "*", f"{ARN}the-bucket/*"))
    assert {scene.get(who) for who in scene.people} == {NO}
    assert scene.put("owner") == OK


def test_its_own_policy_shuts_no_root_out(scene: Scene) -> None:
    scene.policy(deny("s3:*", "*", [f"{ARN}the-bucket", f"{ARN}the-bucket/*"]))
    for who, verdict in (("owner", OK), ("reader", NO)):
        assert told(scene.s3(who).get_bucket_policy, Bucket="the-bucket") == verdict
    assert scene.list("owner") == NO
    scene.policy()
    assert scene.list("owner") == OK


# --------------------------------------------------------------------------------------------------- of other accounts


def test_others_need_both(scene: Scene) -> None:
    scene.policy(allow("s3:GetObject", {"AWS": scene.people["other"].id}, f"{ARN}the-bucket/*"))
    assert [scene.get(who) for who in OTHERS] == [OK, OK, NO, NO]
    stranger = f"arn:aws:iam::{scene.people['other'].id}:user/stranger"
    scene.policy(allow("s3:GetObject", {"AWS": stranger}, f"{ARN}the-bucket/*"))
    assert [scene.get(who) for who in OTHERS] == [NO, NO, NO, NO], "its own account has not said yes"
    scene.may("stranger", allow("s3:GetObject"))
    assert [scene.get(who) for who in OTHERS] == [NO, NO, OK, NO]


def test_everybody(scene: Scene) -> None:
    scene.policy(allow("s3:GetObject", "*", f"{ARN}the-bucket/*"))
    assert [scene.get(who) for who in OTHERS] == [OK, OK, NO, OK], "a user still needs its own account's word"
    assert [scene.list(who) for who in OTHERS] == [NO] * 4


def test_only_the_bucket_s_account_touches_its_policy(scene: Scene) -> None:
    scene.policy(allow("s3:*", {"AWS": scene.people["other"].id}, [f"{ARN}the-bucket", f"{ARN}the-bucket/*"]))
    assert told(scene.s3("other").get_bucket_policy, Bucket="the-bucket") == "MethodNotAllowed"
    assert told(scene.s3("other").delete_bucket_policy, Bucket="the-bucket") == "MethodNotAllowed"
    assert told(scene.s3("other").get_bucket_location, Bucket="the-bucket") == OK


def test_a_canonical_user(scene: Scene) -> None:
    scene.policy(allow("s3:GetObject", {"CanonicalUser": scene.canonical_id("other")}, f"{ARN}the-bucket/*"))
    assert [scene.get(who) for who in OTHERS] == [OK, OK, NO, NO]


def test_buckets_that_are_not_there(scene: Scene) -> None:
    for who in ("owner", "clerk", "other", "nobody"):
        assert told(scene.s3(who).list_objects_v2, Bucket="no-such-bucket") == "NoSuchBucket"
        assert told(scene.s3(who).get_object, Bucket="no-such-bucket", Key="k") == "NoSuchBucket"
        assert told(scene.s3(who).head_bucket, Bucket="no-such-bucket") == "404"
        assert told(scene.s3(who).head_bucket, Bucket="the-bucket") == (OK if who == "owner" else "403")


def test_the_expected_owner(scene: Scene) -> None:
    owner, other = scene.people["owner"].id, scene.people["other"].id
    assert scene.get("owner", ExpectedBucketOwner=owner) == OK
    assert scene.get("owner", ExpectedBucketOwner=other) == NO
    assert scene.list("reader", ExpectedBucketOwner=other) == NO


def test_nobody_has_no_account(scene: Scene) -> None:
    nobody = scene.s3("nobody")
    assert told(nobody.list_buckets) == NO
    assert told(nobody.create_bucket, Bucket="anybodys-bucket") == NO
    assert told(nobody.put_bucket_acl, Bucket="the-bucket", ACL="public-read") == NO


def test_the_sentences(scene: Scene) -> None:
    """To the account's own the reason, to all others nothing."""
    clerk = f"arn:aws:iam::{scene.people['owner'].id}:user/clerk"
    assert message(scene.s3("clerk").get_object, Bucket="the-bucket", Key="key") == (
        f'AccessDenied: User: {clerk} is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::the-bucket/key" '
        "because no identity-based policy allows the s3:GetObject action"
    )
    scene.policy(deny("s3:GetObject", "*", f"{ARN}the-bucket/*"))
    assert message(scene.s3("reader").get_object, Bucket="the-bucket", Key="key").endswith(
        "with an explicit deny in a resource-based policy"
    )
    for who in OTHERS:
        assert message(scene.s3(who).get_object, Bucket="the-bucket", Key="key") == "AccessDenied: Access Denied"


def test_a_missing_key_is_told_to_whom_may_list(scene: Scene) -> None:
    assert scene.get("owner", "none") == "NoSuchKey"
    scene.may("clerk", allow("s3:GetObject"))
    assert scene.get("clerk", "none") == NO
    scene.may("clerk", allow(["s3:GetObject", "s3:ListBucket"]))
    assert scene.get("clerk", "none") == "NoSuchKey"
    scene.policy(allow("s3:GetObject", "*", f"{ARN}the-bucket/*"))
    assert scene.get("nobody", "none") == NO
    scene.policy(allow(["s3:GetObject", "s3:ListBucket"], "*", [f"{ARN}the-bucket", f"{ARN}the-bucket/*"]))
    assert scene.get("nobody", "none") == "NoSuchKey"


# ---------------------------------------------------------------------------------------------------------------- ACLs


def acl(scene: Scene, canned: str, key: str = "key") -> None:
    scene.owner.put_object_acl(Bucket="the-bucket", Key=key, ACL=canned)


def test_an_object_s_acl(scene: Scene) -> None:
    acl(scene, "public-read")
    assert [scene.get(who) for who in ("clerk", *OTHERS)] == [NO, OK, OK, NO, OK]
    acl(scene, "authenticated-read")
    assert [scene.get(who) for who in OTHERS] == [OK, OK, NO, NO]
    scene.owner.put_object_acl(Bucket="the-bucket", Key="key", GrantRead=f'id="{scene.canonical_id("other")}"')
    assert [scene.get(who) for who in OTHERS] == [OK, OK, NO, NO]
    assert told(scene.s3("other").get_object_acl, Bucket="the-bucket", Key="key") == NO
    acl(scene, "private")
    assert [scene.get(who) for who in OTHERS] == [NO] * 4


def test_the_acl_s_of_acl_s(scene: Scene) -> None:
    canonical = f'id="{scene.canonical_id("other")}"'
    scene.owner.put_object_acl(Bucket="the-bucket", Key="key", GrantReadACP=canonical)
    other = scene.s3("other")
    assert told(other.get_object_acl, Bucket="the-bucket", Key="key") == OK
    assert told(other.put_object_acl, Bucket="the-bucket", Key="key", ACL="private") == NO and scene.get("other") == NO
    scene.owner.put_bucket_acl(Bucket="the-bucket", GrantWriteACP=canonical)
    assert told(other.get_bucket_acl, Bucket="the-bucket") == NO
    assert told(other.put_bucket_acl, Bucket="the-bucket", GrantRead=canonical, GrantReadACP=canonical) == OK
    assert told(other.get_bucket_acl, Bucket="the-bucket") == OK and scene.list("other") == OK


def test_a_bucket_s_acl(scene: Scene) -> None:
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="public-read")
    assert [scene.list(who) for who in ("clerk", *OTHERS)] == [NO, OK, OK, NO, OK]
    assert [scene.get(who) for who in OTHERS] == [NO] * 4 and scene.get("nobody", "none") == "NoSuchKey"
    assert scene.put("nobody") == NO
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="public-read-write")
    assert [scene.put(who, who) for who in ("clerk", *OTHERS)] == [NO, OK, OK, NO, OK]
    assert told(scene.s3("nobody").list_multipart_uploads, Bucket="the-bucket") == OK
    assert told(scene.s3("nobody").get_bucket_versioning, Bucket="the-bucket") == NO


def test_writers_own_what_they_write(scene: Scene) -> None:
    """ObjectWriter: the bucket's owner may not read it, but may remove it; its policy does not reach it."""
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="public-read-write")
    assert scene.put("other", "theirs") == OK
    assert scene.get("other", "theirs") == OK and scene.get("guest", "theirs") == OK and scene.get("stranger", "theirs") == NO
    assert [scene.get(who, "theirs") for who in ("owner", "reader", "nobody")] == [NO] * 3
    scene.policy(allow("s3:GetObject", "*", f"{ARN}the-bucket/*"))
    assert [scene.get(who, "theirs") for who in ("owner", "nobody")] == [NO] * 2 and scene.get("nobody") == OK
    scene.policy(deny("s3:GetObject", "*", f"{ARN}the-bucket/*"))
    assert scene.get("other", "theirs") == NO, "a Deny reaches it all the same"
    scene.policy()
    assert told(scene.owner.put_object_acl, Bucket="the-bucket", Key="theirs", ACL="public-read") == NO
    scene.s3("other").put_object_acl(Bucket="the-bucket", Key="theirs", ACL="bucket-owner-read")
    assert scene.get("owner", "theirs") == OK and scene.get("reader", "theirs") == OK and scene.get("nobody", "theirs") == NO
    assert told(scene.s3("nobody").delete_object, Bucket="the-bucket", Key="theirs") == NO
    assert told(scene.s3("other").delete_object, Bucket="the-bucket", Key="key") == NO
    assert told(scene.s3("other").delete_object, Bucket="the-bucket", Key="theirs") == OK
    assert scene.put("other", "theirs") == OK
    assert told(scene.owner.delete_object, Bucket="the-bucket", Key="theirs") == OK


def test_what_nobody_owns(scene: Scene) -> None:
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="public-read-write")
    assert scene.put("nobody", "found") == OK
    assert [scene.get(who, "found") for who in ("owner", "other")] == [NO] * 2
    assert told(scene.owner.delete_object, Bucket="the-bucket", Key="found") == OK


def test_bucket_owner_preferred(scene: Scene) -> None:
    scene.ownership("BucketOwnerPreferred")
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="public-read-write")
    assert scene.put("other", "kept") == OK and scene.get("owner", "kept") == NO
    assert scene.put("other", "given", ACL="bucket-owner-full-control") == OK
    assert scene.get("owner", "given") == OK and scene.get("other", "given") == NO


def test_enforced(scene: Scene) -> None:
    """ACLs count for nothing, and what others own becomes the bucket's owner's."""
    acl(scene, "public-read")
    scene.owner.put_bucket_acl(Bucket="the-bucket", GrantWrite=f'id="{scene.canonical_id("other")}"')
    assert scene.put("other", "theirs") == OK
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="private")
    scene.ownership("BucketOwnerEnforced")
    assert [scene.get(who) for who in OTHERS] == [NO] * 4
    assert scene.get("owner", "theirs") == OK and scene.get("other", "theirs") == NO
    assert scene.put("owner", ACL="public-read") == "AccessControlListNotSupported"
    assert scene.put("owner", ACL="bucket-owner-full-control") == OK
    assert told(scene.owner.put_object_acl, Bucket="the-bucket", Key="key", ACL="public-read") == "AccessControlListNotSupported"
    scene.policy(allow("s3:GetObject", "*", f"{ARN}the-bucket/*"))
    assert scene.get("nobody", "theirs") == OK


def test_what_headers_ask_for_is_asked_about(scene: Scene) -> None:
    scene.may("clerk", allow("s3:PutObject"))
    assert scene.put("clerk") == OK
    assert scene.put("clerk", ACL="private") == NO and scene.put("clerk", Tagging="a=b") == NO
    scene.may("clerk", allow(["s3:PutObject", "s3:PutObjectAcl", "s3:PutObjectTagging"]))
    assert scene.put("clerk", ACL="private") == OK and scene.put("clerk", Tagging="a=b") == OK
    scene.may("clerk", allow("s3:CreateBucket"))
    clerk = scene.s3("clerk")
    assert told(clerk.create_bucket, Bucket="clerks-1") == OK
    assert told(clerk.create_bucket, Bucket="clerks-2", ObjectLockEnabledForBucket=True) == NO
    assert told(clerk.create_bucket, Bucket="clerks-3", ObjectOwnership="ObjectWriter") == NO


# ------------------------------------------------------------------------------------------------- Block Public Access


def test_public_acls_are_ignored(scene: Scene) -> None:
    acl(scene, "public-read")
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="public-read-write")
    scene.block("IgnorePublicAcls")
    assert [scene.get(who) for who in ("owner", *OTHERS)] == [OK, NO, NO, NO, NO]
    assert [scene.list(who) for who in OTHERS] == [NO] * 4 and scene.put("nobody") == NO
    canonical = f'id="{scene.canonical_id("other")}"'
    scene.owner.put_object_acl(Bucket="the-bucket", Key="key", GrantRead=canonical)
    assert [scene.get(who) for who in OTHERS] == [OK, OK, NO, NO]


def test_public_acls_are_refused(scene: Scene) -> None:
    scene.block("BlockPublicAcls")
    assert scene.put("owner", ACL="public-read") == NO and scene.put("owner", ACL="private") == OK
    assert told(scene.owner.put_bucket_acl, Bucket="the-bucket", ACL="authenticated-read") == NO
    assert told(scene.owner.put_object_acl, Bucket="the-bucket", Key="key", ACL="public-read") == NO


def test_public_policies_are_refused(scene: Scene) -> None:
    scene.block("BlockPublicPolicy")
    public = json.dumps({"Version": "2012-10-17", "Statement": [allow("s3:GetObject", "*", f"{ARN}the-bucket/*")]})
    assert told(scene.owner.put_bucket_policy, Bucket="the-bucket", Policy=public) == NO
    scene.policy(allow("s3:GetObject", {"AWS": scene.people["other"].id}, f"{ARN}the-bucket/*"))


def test_public_buckets_are_for_their_account(scene: Scene) -> None:
    scene.policy(
        allow("s3:GetObject", "*", f"{ARN}the-bucket/*"),
        allow("s3:ListBucket", {"AWS": scene.people["other"].id}, f"{ARN}the-bucket"),
    )
    acl(scene, "public-read")
    assert scene.get("nobody") == scene.list("other") == OK
    scene.block("RestrictPublicBuckets")
    assert [scene.get(who) for who in ("owner", "clerk", *OTHERS)] == [OK, OK, NO, NO, NO, NO]
    assert scene.list("other") == NO
    scene.policy(allow("s3:ListBucket", {"AWS": scene.people["other"].id}, f"{ARN}the-bucket"))
    assert scene.list("other") == OK, "a policy that names whom it lets in is not public"
    assert scene.get("nobody") == OK


def test_the_status_of_a_policy(scene: Scene) -> None:
    for statement, public in (
        (allow("s3:GetObject", "*", f"{ARN}the-bucket/*"), True),
        (allow("s3:GetObject", {"AWS": scene.people["other"].id}, f"{ARN}the-bucket/*"), False),
        (allow("s3:GetObject", "*", f"{ARN}the-bucket/*", StringEquals={"aws:SourceVpc": "vpc-1"}), False),
    ):
        scene.policy(statement)
        assert scene.owner.get_bucket_policy_status(Bucket="the-bucket")["PolicyStatus"]["IsPublic"] is public


# -------------------------------------------------------------------------------------------------------- more than one


def test_copies_read_and_write(scene: Scene) -> None:
    def copy(who: str, source: str = "the-bucket/key", **more: Any) -> str:
        return told(scene.s3(who).copy_object, Bucket="the-bucket", Key="copy", CopySource=source, **more)

    assert copy("owner") == copy("reader") == OK and [copy(who) for who in ("clerk", *OTHERS)] == [NO] * 5
    scene.may("clerk", allow("s3:PutObject"))
    assert copy("clerk") == NO
    scene.may("clerk", allow(["s3:GetObject", "s3:PutObject"]))
    assert copy("clerk") == OK
    scene.owner.put_object_tagging(Bucket="the-bucket", Key="key", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert copy("clerk") == NO and copy("clerk", TaggingDirective="REPLACE") == OK
    scene.may("clerk", allow(["s3:GetObject", "s3:PutObject", "s3:GetObjectTagging", "s3:PutObjectTagging"]))
    assert copy("clerk") == OK
    assert copy("clerk", "no-such-bucket/key") == "NoSuchBucket"
    from_key = {"StringLike": {"s3:x-amz-copy-source": "the-bucket/key"}}
    scene.may("clerk", allow("s3:PutObject", **from_key), allow(["s3:GetObject*", "s3:PutObjectTagging"]))
    assert copy("clerk") == OK and copy("clerk", "the-bucket/copy") == NO
    scene.s3("other").create_bucket(Bucket="another")
    assert told(scene.s3("other").copy_object, Bucket="another", Key="k", CopySource="the-bucket/key") == NO
    scene.policy(allow("s3:GetObject*", {"AWS": scene.people["other"].id}, f"{ARN}the-bucket/*"))
    assert told(scene.s3("other").copy_object, Bucket="another", Key="k", CopySource="the-bucket/key") == OK


def test_several_deletes_are_several_questions(scene: Scene) -> None:
    scene.may("clerk", allow("s3:DeleteObject", resource=f"{ARN}the-bucket/mine/*"))
    for key in ("mine/1", "mine/2", "theirs"):
        scene.put("owner", key)
    asked = {"Objects": [{"Key": key} for key in ("mine/1", "theirs", "mine/2")]}
    answer = scene.s3("clerk").delete_objects(Bucket="the-bucket", Delete=asked)
    assert [each["Key"] for each in answer["Deleted"]] == ["mine/1", "mine/2"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("theirs", NO)]
    answer = scene.s3("nobody").delete_objects(Bucket="the-bucket", Delete={"Objects": [{"Key": "key"}]})
    assert answer["Errors"][0]["Code"] == NO and scene.get("owner") == OK


def test_versions_have_actions_of_their_own(scene: Scene) -> None:
    scene.owner.put_bucket_versioning(Bucket="the-bucket", VersioningConfiguration={"Status": "Enabled"})
    version = scene.owner.put_object(Bucket="the-bucket", Key="key", Body=b"y")["VersionId"]
    scene.may("clerk", allow(["s3:GetObject", "s3:DeleteObject"]))
    assert scene.get("clerk") == OK and scene.get("clerk", VersionId=version) == NO
    assert told(scene.s3("clerk").delete_object, Bucket="the-bucket", Key="key", VersionId=version) == NO
    scene.may("clerk", allow("s3:GetObjectVersion", StringEquals={"s3:VersionId": version}))
    assert scene.get("clerk") == NO and scene.get("clerk", VersionId=version) == OK and scene.get("clerk", VersionId="null") == NO


def test_tags_of_objects_decide(scene: Scene) -> None:
    scene.put("owner", "open", Tagging="class=public")
    scene.may("clerk", allow("s3:GetObject", StringEquals={"s3:ExistingObjectTag/class": "public"}))
    assert scene.get("clerk", "open") == OK and scene.get("clerk") == NO
    scene.may("clerk", allow(["s3:PutObject", "s3:PutObjectTagging"], StringEquals={"s3:RequestObjectTag/class": "public"}))
    assert scene.put("clerk", "new", Tagging="class=public&x=y") == OK
    assert scene.put("clerk", "new", Tagging="class=secret") == NO and scene.put("clerk", "new") == NO
    keys = {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["class"]}}
    scene.may("clerk", allow(["s3:PutObject", "s3:PutObjectTagging"], **keys))
    assert scene.put("clerk", "new", Tagging="class=a") == OK and scene.put("clerk", "new", Tagging="class=a&other=b") == NO


def test_how_it_was_signed_decides(scene: Scene) -> None:
    scene.policy(
        deny("s3:*", "*", f"{ARN}the-bucket/*", StringNotEquals={"s3:signatureversion": "AWS4-HMAC-SHA256"}),
        deny("s3:*", "*", f"{ARN}the-bucket/*", StringEquals={"s3:authType": "REST-QUERY-STRING"}, NumericGreaterThan={"s3:signatureAge": "60000"}),
    )  # fmt: skip
    assert scene.get("owner") == OK
    assert (
        told(
            scene.cloud.client("s3", account=scene.people["owner"], signature_version="s3").get_object,
            Bucket="the-bucket",
            Key="key",
        )
        == NO
    )
    url = scene.owner.generate_presigned_url("get_object", {"Bucket": "the-bucket", "Key": "key"}, ExpiresIn=900)
    path, _, query = url.partition("//")[2].partition("/")[2].partition("?")
    ask = lambda: scene.cloud.request("GET", f"/{path}", query, [(b"host", b"mallee.test:8773")])[0]  # noqa: E731
    assert ask() == 200


def test_uploads_are_their_initiator_s(scene: Scene) -> None:
    scene.policy(allow("s3:PutObject", {"AWS": scene.people["other"].id}, f"{ARN}the-bucket/*"))
    other = scene.s3("other")
    upload = other.create_multipart_upload(Bucket="the-bucket", Key="big")["UploadId"]
    named = {"Bucket": "the-bucket", "Key": "big", "UploadId": upload}
    assert told(other.upload_part, **named, PartNumber=1, Body=b"x") == OK
    assert told(other.list_parts, **named) == OK and told(scene.owner.list_parts, **named) == OK
    assert told(scene.s3("nobody").list_parts, **named) == NO
    theirs = scene.owner.create_multipart_upload(Bucket="the-bucket", Key="big")["UploadId"]
    assert told(other.abort_multipart_upload, Bucket="the-bucket", Key="big", UploadId=theirs) == NO
    assert told(other.abort_multipart_upload, **named) == OK


# ------------------------------------------------------------------------------------------------------------- together

POLICIES: dict[str, Any] = {
    "none": None,
    "everybody": allow("s3:GetObject", "*", f"{ARN}the-bucket/*"),
    "other": allow("s3:GetObject", "OTHER", f"{ARN}the-bucket/*"),
    "clerk": allow("s3:GetObject", "CLERK", f"{ARN}the-bucket/*"),
    "denied": deny("s3:GetObject", "OTHER", f"{ARN}the-bucket/*"),
}
ACLS = ("private", "public-read", "authenticated-read", "bucket-owner-read")
BLOCKS = ((), ("IgnorePublicAcls",), ("RestrictPublicBuckets",))
CALLERS = ("owner", "reader", "clerk", "other", "guest", "stranger", "nobody")


def expected(who: str, writer: str, policy: str, acl: str, block: tuple[str, ...], enforced: bool) -> bool:
    """AWS's rules once more, told by cases."""
    home = "other" if who in ("other", "guest", "stranger") else "" if who == "nobody" else "owner"
    owner = "owner" if enforced else writer
    own_says_yes = who not in ("clerk", "stranger")
    if policy == "denied" and home == "other":
        return False
    if home != "owner" and policy == "everybody" and "RestrictPublicBuckets" in block:
        return False
    by_policy = owner == "owner" and (
        policy == "everybody" or (policy == "other" and home == "other") or (policy == "clerk" and who == "clerk")
    )
    if home == owner:
        return own_says_yes or (by_policy and home == "owner")
    public = acl in ("public-read", "authenticated-read") and "IgnorePublicAcls" not in block
    by_acl = not enforced and (
        (public and (acl == "public-read" or home != ""))
        or (acl == "bucket-owner-read" and writer == "other" and home == "owner")
    )
    return (by_policy or by_acl) and own_says_yes


@pytest.mark.parametrize("ownership", ["ObjectWriter", "BucketOwnerEnforced"])
def test_all_together(scene: Scene, ownership: str) -> None:
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="public-read-write")
    for writer, canned in itertools.product(("owner", "other"), ACLS):
        scene.s3(writer).put_object(Bucket="the-bucket", Key=f"{writer}-{canned}", Body=b"x", ACL=canned)
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="private")
    scene.ownership(ownership)
    other, clerk = scene.people["other"].id, f"arn:aws:iam::{scene.people['owner'].id}:user/clerk"
    wrong = []
    for (policy, statement), block in itertools.product(POLICIES.items(), BLOCKS):
        scene.block()
        if statement is None:
            scene.policy()
        else:
            named = {"OTHER": {"AWS": other}, "CLERK": {"AWS": clerk}}.get(statement["Principal"], statement["Principal"])
            scene.policy(statement | {"Principal": named})
        scene.block(*block)
        for writer, canned, who in itertools.product(("owner", "other"), ACLS, CALLERS):
            found = scene.get(who, f"{writer}-{canned}") == OK
            if found is not expected(who, writer, policy, canned, block, ownership == "BucketOwnerEnforced"):
                wrong.append((who, writer, policy, canned, block, found))
    assert not wrong, wrong[:5]
