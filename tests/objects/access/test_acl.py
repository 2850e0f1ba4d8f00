"""ACLs as requests bring them and answers tell them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.objects.access.scene import OK, Scene, message, told

ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
SIGNED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOGS = "http://acs.amazonaws.com/groups/s3/LogDelivery"


def grants(scene: Scene, of: str = "object") -> list[tuple[str, str]]:
    if of == "bucket":
        found = scene.owner.get_bucket_acl(Bucket="the-bucket")
    else:
        found = scene.owner.get_object_acl(Bucket="the-bucket", Key="key")
    return [(each["Grantee"].get("URI") or each["Grantee"]["ID"], each["Permission"]) for each in found["Grants"]]


def test_without_one_the_owner_controls_everything(scene: Scene) -> None:
    owner = scene.canonical_id("owner")
    for of in ("object", "bucket"):
        assert grants(scene, of) == [(owner, "FULL_CONTROL")]
    found = scene.owner.get_object_acl(Bucket="the-bucket", Key="key")
    assert found["Owner"] == {"ID": owner, "DisplayName": "owner"}
    assert found["Grants"][0]["Grantee"] == {"ID": owner, "DisplayName": "owner", "Type": "CanonicalUser"}


@pytest.mark.parametrize(
    ("canned", "more"),
    [
        ("private", []),
        ("public-read", [(ALL, "READ")]),
        ("public-read-write", [(ALL, "READ"), (ALL, "WRITE")]),
        ("authenticated-read", [(SIGNED, "READ")]),
        ("aws-exec-read", [("6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c", "READ")]),
        ("bucket-owner-read", []),
        ("bucket-owner-full-control", []),
    ],
)
def test_canned_lists_of_objects(scene: Scene, canned: str, more: list[tuple[str, str]]) -> None:
    scene.owner.put_object_acl(Bucket="the-bucket", Key="key", ACL=canned)
    assert grants(scene) == [(scene.canonical_id("owner"), "FULL_CONTROL"), *more]


def test_canned_lists_of_buckets(scene: Scene) -> None:
    owner = (scene.canonical_id("owner"), "FULL_CONTROL")
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="log-delivery-write")
    assert grants(scene, "bucket") == [owner, (LOGS, "WRITE"), (LOGS, "READ_ACP")]
    scene.owner.put_bucket_acl(Bucket="the-bucket", ACL="private")
    assert grants(scene, "bucket") == [owner]


def test_headers(scene: Scene) -> None:
    owner, other = scene.canonical_id("owner"), scene.canonical_id("other")
    scene.owner.put_object_acl(
        Bucket="the-bucket", Key="key", GrantRead=f'id="{owner}", uri="{ALL}"', GrantWriteACP=f"id={other}", GrantFullControl=f'id="{owner}"'
    )  # fmt: skip
    assert grants(scene) == [(owner, "FULL_CONTROL"), (owner, "READ"), (ALL, "READ"), (other, "WRITE_ACP")]


def test_bodies_come_back_as_they_went(scene: Scene) -> None:
    owner, other = scene.canonical_id("owner"), scene.canonical_id("other")
    given = [
        {"Grantee": {"Type": "CanonicalUser", "ID": other}, "Permission": "READ_ACP"},
        {"Grantee": {"Type": "Group", "URI": SIGNED}, "Permission": "READ"},
    ]
    policy = {"Owner": {"ID": owner}, "Grants": given}
    scene.owner.put_object_acl(Bucket="the-bucket", Key="key", AccessControlPolicy=policy)
    assert grants(scene) == [(other, "READ_ACP"), (SIGNED, "READ")]
    assert scene.get("owner") == OK, "an owner is not judged by its list"


def refusal(scene: Scene, **given: Any) -> str:
    return message(scene.owner.put_object_acl, Bucket="the-bucket", Key="key", **given)


def test_what_is_refused(scene: Scene) -> None:
    owner = scene.canonical_id("owner")
    assert refusal(scene, GrantRead='id="nobody"') == "InvalidArgument: Invalid id"
    assert refusal(scene, GrantRead=f'id="{"0" * 64}"') == "InvalidArgument: Invalid id"
    assert refusal(scene, GrantRead='uri="http://example.com"') == "InvalidArgument: Invalid group uri"
    assert refusal(scene, GrantRead="everybody").startswith("InvalidArgument: Argument format not recognized")
    assert refusal(scene, GrantRead=f'id="{owner}" id="{owner}"').startswith("InvalidArgument: Argument format not recognized")
    assert refusal(scene, GrantRead='emailAddress="a@example.com"').startswith("UnresolvableGrantByEmailAddress: ")
    both = "InvalidRequest: Specifying both Canned ACLs and Header Grants is not allowed"
    assert refusal(scene, ACL="private", GrantRead=f'id="{owner}"') == both
    body = {"Owner": {"ID": owner}, "Grants": []}
    assert refusal(scene, ACL="private", AccessControlPolicy=body).startswith("UnexpectedContent: ")
    assert (
        refusal(scene, AccessControlPolicy={"Owner": {"ID": scene.canonical_id("other")}, "Grants": []})
        == "AccessDenied: Access Denied"
    )
    assert refusal(scene, AccessControlPolicy={"Owner": {"ID": "x"}, "Grants": []}) == "InvalidArgument: Invalid id"
    assert refusal(scene, AccessControlPolicy={"Grants": []}).startswith("MalformedACLError: ")
    one = {"Grantee": {"Type": "CanonicalUser", "ID": owner}, "Permission": "READ"}
    many = {"Owner": {"ID": owner}, "Grants": [one] * 101}
    assert refusal(scene, AccessControlPolicy=many).startswith("MalformedACLError: ")
    assert refusal(scene, AccessControlPolicy={"Owner": {"ID": owner}, "Grants": [one] * 100}) == OK
    email = {"Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": "a@example.com"}, "Permission": "READ"}
    assert refusal(scene, AccessControlPolicy={"Owner": {"ID": owner}, "Grants": [email]}).startswith("UnresolvableGrantByEmail")


def test_new_objects_bear_theirs(scene: Scene) -> None:
    scene.put("owner", ACL="public-read")
    assert grants(scene)[1:] == [(ALL, "READ")]
    scene.put("owner")
    assert grants(scene)[1:] == [], "a new object begins anew"
    assert (
        told(
            scene.owner.copy_object,
            Bucket="the-bucket",
            Key="key",
            CopySource="the-bucket/key",
            ACL="public-read",
            MetadataDirective="REPLACE",
        )
        == OK
    )
    assert grants(scene)[1:] == [(ALL, "READ")]
