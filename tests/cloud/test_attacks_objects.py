"""Attacks on the object store: somebody else's buckets and objects, locks that should hold, requests that cost too much."""

from __future__ import annotations

import datetime
import io
import json
import time
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from mallee.objects import internal, lookup, records, store
from mallee.objects.index import listing
from tests.cloud.harness import ENDPOINT, Account, TestCloud, refused
from tests.cloud.s3 import NAME, OPEN, allow, bucket, presigned
from tests.cloud.swift import Swift
from tests.cloud.test_s3_replication import SOURCE, TARGET, configure, pair, role, rule
from tests.http.server import Client, serving


def code(function: Any, *arguments: Any, **given: Any) -> str:
    try:
        function(*arguments, **given)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


# ------------------------------------------------------------------------------------------------------- a bucket's namesake


def test_a_body_that_was_allowed_into_a_bucket_goes_into_no_namesake(sqlite_cloud: TestCloud) -> None:
    """Begun while the bucket is the attacker's, ended when it is another's."""
    cloud = sqlite_cloud
    mine = bucket(cloud, public=True)
    allow(mine, "s3:PutObject")
    with serving(cloud.cloud.api) as server:
        for size in (10_000, 3_000_000):
            client = Client(server.port)
            client.send(f"PUT /{NAME}/key HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n".encode() + b"x" * 5000)
            time.sleep(0.5)
            mine.delete_bucket(Bucket=NAME)
            theirs = bucket(cloud, account=cloud.account())
            client.send(b"x" * (size - 5000))
            status, _, body = client.answer()
            assert (status, b"<Code>NoSuchBucket</Code>" in body) == (404, True), body
            assert theirs.list_objects_v2(Bucket=NAME)["KeyCount"] == 0
            client.close()
            theirs.delete_bucket(Bucket=NAME)
            mine = bucket(cloud, public=True)
            allow(mine, "s3:PutObject")


# --------------------------------------------------------------------------------------------------------------------- locks


def test_an_expiry_does_not_hide_what_is_locked(cloud: TestCloud) -> None:
    owner = bucket(cloud, lock=True)
    swift = Swift(cloud.admin)
    made = owner.put_object(Bucket=NAME, Key="key", Body=b"kept", ContentType="text/a")["VersionId"]
    owner.put_object_legal_hold(Bucket=NAME, Key="key", LegalHold={"Status": "ON"})
    assert swift("POST", f"{NAME}/key", x_delete_after="1", content_type="text/b").status == 403
    assert owner.head_object(Bucket=NAME, Key="key")["ContentType"] == "text/a"
    assert swift("PUT", f"{NAME}/other", body=b"kept", x_delete_after="60").status == 201
    owner.put_object_legal_hold(Bucket=NAME, Key="other", LegalHold={"Status": "ON"})
    cloud.clock.advance(86_500)
    cloud.run()
    for key in ("key", "other"):
        assert owner.get_object(Bucket=NAME, Key=key)["Body"].read() == b"kept"
    assert owner.get_object(Bucket=NAME, Key="key", VersionId=made)["Body"].read() == b"kept"


def test_who_may_put_buries_no_version(cloud: TestCloud) -> None:
    """An expiry makes a delete marker, and no version unreadable."""
    owner = bucket(cloud, versioning="Enabled")
    swift = Swift(cloud.admin)
    made = owner.put_object(Bucket=NAME, Key="key", Body=b"kept")["VersionId"]
    assert swift("POST", f"{NAME}/key", x_delete_after="1").status == 202
    cloud.clock.advance(5)
    assert code(owner.get_object, Bucket=NAME, Key="key") == "NoSuchKey"
    assert owner.get_object(Bucket=NAME, Key="key", VersionId=made)["Body"].read() == b"kept"
    cloud.clock.advance(86_500)
    cloud.run()
    assert owner.get_object(Bucket=NAME, Key="key", VersionId=made)["Body"].read() == b"kept"


def test_an_original_s_owner_does_not_unlock_its_replica(cloud: TestCloud) -> None:
    owner = pair(cloud, lock=True)
    until = cloud.clock.now() + datetime.timedelta(days=100)
    for key in ("held", "kept"):
        owner.put_object(Bucket=SOURCE, Key=key, Body=b"1", Tagging="a=1")
    cloud.run()
    owner.put_object_legal_hold(Bucket=TARGET, Key="held", LegalHold={"Status": "ON"})
    owner.put_object_retention(Bucket=TARGET, Key="kept", Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
    for key in ("held", "kept"):
        owner.put_object_tagging(Bucket=SOURCE, Key=key, Tagging={"TagSet": [{"Key": "a", "Value": "2"}]})
        soon = cloud.clock.now() + datetime.timedelta(days=1)
        owner.put_object_retention(Bucket=SOURCE, Key=key, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": soon})
        owner.put_object_legal_hold(Bucket=SOURCE, Key=key, LegalHold={"Status": "OFF"})
    cloud.run()
    assert owner.get_object_tagging(Bucket=TARGET, Key="held")["TagSet"] == [{"Key": "a", "Value": "2"}]
    assert owner.get_object_legal_hold(Bucket=TARGET, Key="held")["LegalHold"]["Status"] == "ON"
    found = owner.get_object_retention(Bucket=TARGET, Key="kept")["Retention"]
    assert found["Mode"] == "COMPLIANCE" and abs(found["RetainUntilDate"] - until) < datetime.timedelta(seconds=1)
    for key in ("held", "kept"):
        there = owner.head_object(Bucket=TARGET, Key=key)["VersionId"]
        with refused("AccessDenied", 403):
            owner.delete_object(Bucket=TARGET, Key=key, VersionId=there, BypassGovernanceRetention=True)


def test_a_hold_that_came_with_the_original_goes_with_it(cloud: TestCloud) -> None:
    owner = pair(cloud, lock=True)
    owner.put_object(Bucket=SOURCE, Key="key", Body=b"1")
    cloud.run()
    for wanted in ("ON", "OFF"):
        owner.put_object_legal_hold(Bucket=SOURCE, Key="key", LegalHold={"Status": wanted})
        cloud.run()
        assert owner.get_object_legal_hold(Bucket=TARGET, Key="key")["LegalHold"]["Status"] == wanted
    owner.put_object_legal_hold(Bucket=SOURCE, Key="key", LegalHold={"Status": "ON"})
    cloud.run()
    owner.put_object_legal_hold(Bucket=TARGET, Key="key", LegalHold={"Status": "ON"})
    owner.put_object_legal_hold(Bucket=SOURCE, Key="key", LegalHold={"Status": "OFF"})
    cloud.run()
    assert owner.get_object_legal_hold(Bucket=TARGET, Key="key")["LegalHold"]["Status"] == "ON"


# ------------------------------------------------------------------------------------------------------------------- too much


def test_a_manifest_of_manifests_is_removed_in_bounded_time(sqlite_cloud: TestCloud) -> None:
    swift = Swift(sqlite_cloud.admin)
    assert swift("PUT", "things").status == 201
    swift.put("things/0", b"x")
    for depth in range(1, 8):
        rows = json.dumps([{"path": f"/things/{depth - 1}"}] * 40).encode()
        assert swift("PUT", f"things/{depth}", "multipart-manifest=put", rows).status == 201
    began = time.monotonic()
    gone = swift("DELETE", "things/7", "multipart-manifest=delete", accept="application/json")
    assert gone.status == 200 and gone.json["Number Deleted"] == 8, gone
    assert time.monotonic() - began < 10


def test_a_pattern_of_a_select_takes_seconds_at_most(sqlite_cloud: TestCloud) -> None:
    owner = bucket(sqlite_cloud)
    owner.put_object(Bucket=NAME, Key="key", Body=b"a" * 500_000 + b"\n")
    began = time.monotonic()
    for pattern in ("a_" * 50_000 + "b", "_a" * 50_000 + "_b", "a_" * 63 + "b"):
        code(
            owner.select_object_content, Bucket=NAME, Key="key", Expression=f"SELECT * FROM s3object s WHERE s._1 LIKE '%{pattern}%'",
            ExpressionType="SQL", InputSerialization={"CSV": {}}, OutputSerialization={"CSV": {}},
        )  # fmt: skip
    assert time.monotonic() - began < 20


# ------------------------------------------------------------------------------------------------------------ confused deputies


def test_a_role_of_the_same_name_is_no_role_to_replicate_with(cloud: TestCloud) -> None:
    """Another account may configure the bucket, passes a role of its own, and gets the owner's namesake to work for it."""
    theirs = cloud.account()
    owner = bucket(cloud, SOURCE, versioning="Enabled")
    attacker = bucket(cloud, TARGET, versioning="Enabled", account=theirs)
    allow(attacker, "s3:*", name=TARGET, to={"AWS": cloud.admin.id})
    allow(owner, "s3:PutReplicationConfiguration", name=SOURCE, to={"AWS": theirs.id}, on="")
    ours, arn = role(cloud), role(cloud, account=theirs)
    for wanted in (arn, ours):
        assert code(configure, attacker, wanted, rule()) in ("InvalidArgument", "AccessDenied")
    owner.put_object(Bucket=SOURCE, Key="key", Body=b"secret")
    cloud.run()
    assert attacker.list_objects_v2(Bucket=TARGET)["KeyCount"] == 0


@pytest.mark.parametrize("restricted", [True, False])
def test_a_public_policy_that_is_restricted_takes_no_replicas(cloud: TestCloud, restricted: bool) -> None:
    theirs = cloud.account()
    victim = bucket(cloud, TARGET, versioning="Enabled", public=True)
    allow(victim, "s3:ReplicateObject", name=TARGET)
    blocks = OPEN | {"RestrictPublicBuckets": restricted}
    victim.put_public_access_block(Bucket=TARGET, PublicAccessBlockConfiguration=blocks)
    attacker = bucket(cloud, SOURCE, versioning="Enabled", account=theirs)
    configure(attacker, role(cloud, account=theirs), rule())
    attacker.put_object(Bucket=SOURCE, Key="key", Body=b"unasked")
    cloud.run()
    assert victim.list_objects_v2(Bucket=TARGET)["KeyCount"] == (0 if restricted else 1)


def test_a_copied_tag_is_not_the_one_that_a_header_names(cloud: TestCloud) -> None:
    owner = bucket(cloud)
    owner.put_object(Bucket=NAME, Key="secret", Body=b"1", Tagging="level=secret")
    owner.put_object(Bucket=NAME, Key="open", Body=b"1", Tagging="level=open")
    tagger = user(
        cloud, "tagger", "s3:PutObject", "s3:GetObject", "s3:GetObjectTagging",
        tagging={"StringEquals": {"s3:RequestObjectTag/level": "open"}},
    )  # fmt: skip
    with refused("AccessDenied", 403):
        tagger.copy_object(Bucket=NAME, Key="made", CopySource=f"{NAME}/secret", Tagging="level=open")
    tagger.copy_object(Bucket=NAME, Key="made", CopySource=f"{NAME}/open")
    tagger.copy_object(Bucket=NAME, Key="made", CopySource=f"{NAME}/secret", Tagging="level=open", TaggingDirective="REPLACE")
    assert owner.get_object_tagging(Bucket=NAME, Key="made")["TagSet"] == [{"Key": "level", "Value": "open"}]


def user(cloud: TestCloud, name: str, *actions: str, tagging: dict[str, Any]) -> Any:
    made = cloud.user(name)
    statements = [
        {"Effect": "Allow", "Action": list(actions), "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:PutObjectTagging", "Resource": "*", "Condition": tagging},
    ]
    document = {"Version": "2012-10-17", "Statement": statements}
    cloud.client("iam").put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(document))
    return made.client("s3")


# ---------------------------------------------------------------------------------------------------------------- names


def test_a_bucket_that_is_remembered_opens_no_namesake(cloud: TestCloud) -> None:
    """As another process of the same database remembers it for some seconds."""
    mine = bucket(cloud)
    mine.head_bucket(Bucket=NAME)
    with cloud.database.reading() as tx:
        remembered = lookup.memory(tx)
        entry = remembered.known[NAME]
    mine.delete_bucket(Bucket=NAME)
    theirs = bucket(cloud, account=cloud.account())
    everything = json.dumps({
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": cloud.admin.id}, "Action": "s3:*", "Resource": f"arn:aws:s3:::{NAME}/*"},
    })  # fmt: skip
    for attempt in (
        lambda: mine.put_bucket_policy(Bucket=NAME, Policy=everything),
        lambda: mine.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"}),
        lambda: mine.delete_bucket(Bucket=NAME),
        lambda: mine.put_object(Bucket=NAME, Key="key", Body=b""),
        lambda: mine.create_multipart_upload(Bucket=NAME, Key="key"),
    ):
        remembered.known[NAME] = (time.monotonic() + 60, entry[1])
        assert code(attempt) in ("OperationAborted", "NoSuchBucket", "AccessDenied")
        remembered.known.pop(NAME, None)
    assert code(theirs.get_bucket_policy, Bucket=NAME) == "NoSuchBucketPolicy"
    assert "Status" not in theirs.get_bucket_versioning(Bucket=NAME)
    assert theirs.list_objects_v2(Bucket=NAME)["KeyCount"] == 0


def test_no_bucket_takes_the_host_of_an_access_point(cloud: TestCloud) -> None:
    theirs = cloud.account()
    owner = bucket(cloud)
    control, account_id = cloud.client("s3control"), cloud.admin.id
    control.create_access_point(AccountId=account_id, Name="door", Bucket=NAME)
    with refused("BucketAlreadyExists", 409):
        bucket(cloud, f"door-{account_id}", account=theirs)
    assert owner.head_bucket(Bucket=f"door-{account_id}")["AccessPointAlias"]
    bucket(cloud, f"other-{account_id}", account=theirs)
    with refused("InvalidRequest", 400):
        control.create_access_point(AccountId=account_id, Name="other", Bucket=NAME)


def test_another_account_s_access_point_does_not_keep_a_bucket(cloud: TestCloud) -> None:
    owner, theirs = bucket(cloud), cloud.account()
    control = cloud.client("s3control", account=theirs)
    made = control.create_access_point(AccountId=theirs.id, Name="door", Bucket=NAME, BucketAccountId=cloud.admin.id)
    owner.delete_bucket(Bucket=NAME)
    bucket(cloud)
    assert code(cloud.client("s3", account=theirs).list_objects_v2, Bucket=made["Alias"]) == "NoSuchBucket"


# ------------------------------------------------------------------------------------------------------- presigned addresses


@pytest.mark.parametrize("signer", [HmacV1QueryAuth, S3SigV4QueryAuth])
def test_no_header_hides_in_another_s_value(sqlite_cloud: TestCloud, signer: Any) -> None:
    """Version 2 signs headers as lines: what has a line break in its value would be two of them, or one."""
    owner, pair = bucket(sqlite_cloud), sqlite_cloud.admin.credentials
    keys = Credentials(pair.access_key_id, pair.secret_access_key)
    if signer is HmacV1QueryAuth:
        asked = AWSRequest("PUT", f"{ENDPOINT}/{NAME}/key", headers={"x-amz-meta-a": "1", "x-amz-tagging": "level=secret"})
        HmacV1QueryAuth(keys).add_auth(asked)
        assert presigned(sqlite_cloud, asked.url, "PUT")[0] == 200, asked.url
        parts = urlsplit(asked.url)
        query = dict(parse_qsl(parts.query))
        query["x-amz-meta-a"] += f"\nx-amz-tagging:{query.pop('x-amz-tagging')}"
        url = f"{ENDPOINT}{parts.path}?{urlencode(query, quote_via=quote)}"
        assert owner.get_object_tagging(Bucket=NAME, Key="key")["TagSet"]
    else:
        asked = AWSRequest("PUT", f"{ENDPOINT}/{NAME}/key", params={"x-amz-meta-a": "1\r\nset-cookie: x"})
        S3SigV4QueryAuth(keys, "s3", "local-1", 900).add_auth(asked)
        url = asked.url
    status, _, body = presigned(sqlite_cloud, url, "PUT")
    assert status in (400, 403), body


@pytest.mark.parametrize("name", ["ContentType", "ContentDisposition", "CacheControl", "ContentLanguage", "ContentEncoding"])
def test_an_override_forges_no_header(sqlite_cloud: TestCloud, name: str) -> None:
    owner = bucket(sqlite_cloud)
    owner.put_object(Bucket=NAME, Key="a\r\nset-cookie: x", Body=b"x")
    given = {"Bucket": NAME, "Key": "a\r\nset-cookie: x", f"Response{name}": "a\r\nset-cookie: x"}
    status, headers, _ = presigned(sqlite_cloud, owner.generate_presigned_url("get_object", given))
    assert status == 200 and "set-cookie" not in headers and not any("\n" in value or "\r" in value for value in headers.values())


# ---------------------------------------------------------------------------------------------------------- Mallee's own buckets


def test_the_bucket_of_images_is_nobody_s_to_change(sqlite_cloud: TestCloud) -> None:
    cloud = sqlite_cloud
    internal.put(store.at(cloud.database), internal.IMAGES, "image", 5, io.BytesIO(b"bytes"))
    theirs = cloud.account()
    swift = Swift(cloud.admin)
    name = internal.IMAGES
    for who in (cloud.admin, theirs):
        _try_to_change(cloud, who, name)
        cloud.clock.advance(90_000)
        cloud.run()
    for method, path in (("PUT", f"{name}/image"), ("POST", f"{name}/image"), ("DELETE", f"{name}/image"), ("GET", name), ("DELETE", name)):
        assert swift(method, path, body=b"").status in (401, 403, 404)
    outsider = cloud.client("s3", account=theirs)
    for attempt in (
        lambda: outsider.get_object(Bucket=name, Key="image"),
        lambda: outsider.head_object(Bucket=name, Key="image"),
        lambda: outsider.list_objects_v2(Bucket=name),
        lambda: outsider.copy_object(Bucket=f"mine-{theirs.id}", Key="stolen", CopySource=f"{name}/image"),
        lambda: outsider.get_object_attributes(Bucket=name, Key="image", ObjectAttributes=["ETag"]),
        lambda: outsider.select_object_content(
            Bucket=name, Key="image", Expression="SELECT * FROM s3object", ExpressionType="SQL", InputSerialization={"CSV": {}},
            OutputSerialization={"CSV": {}},
        ),
    ):  # fmt: skip
        assert code(attempt) in ("AccessDenied", "403"), attempt
    found = internal.opened(store.at(cloud.database), name, "image")
    assert found is not None and found.read(0, 5) == b"bytes"
    found.close()
    with store.at(cloud.database).index.reading() as tx, cloud.database.reading() as main:
        there = records.bucket(main, name)
        assert there is not None and [each.key for each in listing.objects(tx, there.id).entries] == [b"image"]


def _try_to_change(cloud: TestCloud, who: Account, name: str) -> None:
    mine = f"mine-{who.id}"
    s3 = bucket(cloud, mine, versioning="Enabled", account=who, ownership="ObjectWriter", public=True)
    s3.put_object(Bucket=mine, Key="key", Body=b"x")
    arn = role(cloud, account=who)
    inventory = {
        "Id": "a", "IsEnabled": True, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"},
        "Destination": {"S3BucketDestination": {"Bucket": f"arn:aws:s3:::{name}", "Format": "CSV"}},
    }  # fmt: skip
    rules = [{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}/*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    for attempt in (
        lambda: s3.put_object(Bucket=name, Key="image", Body=b"evil"),
        lambda: s3.copy_object(Bucket=name, Key="image", CopySource=f"{mine}/key"),
        lambda: s3.create_multipart_upload(Bucket=name, Key="image"),
        lambda: s3.delete_object(Bucket=name, Key="image"),
        lambda: s3.put_object_tagging(Bucket=name, Key="image", Tagging={"TagSet": []}),
        lambda: s3.put_object_acl(Bucket=name, Key="image", ACL="public-read"),
        lambda: s3.rename_object(Bucket=name, Key="other", RenameSource="image"),
        lambda: s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy)),
        lambda: s3.put_bucket_acl(Bucket=name, ACL="public-read"),
        lambda: s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"}),
        lambda: s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules}),
        lambda: s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}),
        lambda: s3.delete_bucket(Bucket=name),
        lambda: s3.create_bucket(Bucket=name),
        lambda: configure(s3, arn, rule(name), name=mine),
        lambda: configure(s3, arn, rule(mine), name=name),
        lambda: s3.put_bucket_logging(Bucket=mine, BucketLoggingStatus={"LoggingEnabled": {"TargetBucket": name, "TargetPrefix": ""}}),
        lambda: cloud.client("s3control", account=who).create_access_point(
            AccountId=who.id, Name="door", Bucket=name, BucketAccountId=cloud.admin.id
        ),
    ):
        assert code(attempt), attempt.__code__.co_names
    s3.put_bucket_inventory_configuration(Bucket=mine, Id="a", InventoryConfiguration=inventory)  # which goes nowhere
    assert code(s3.delete_objects, Bucket=name, Delete={"Objects": [{"Key": "image"}]}) == "AccessDenied"


def test_what_a_configuration_says_forges_no_header(sqlite_cloud: TestCloud) -> None:
    owner = bucket(sqlite_cloud)
    evil = "x\r\nset-cookie: a"
    owner.put_object(Bucket=NAME, Key="key", Body=b"x")
    rules = [{"ID": evil, "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]
    code(owner.put_bucket_lifecycle_configuration, Bucket=NAME, LifecycleConfiguration={"Rules": rules})
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": evil}
    code(
        owner.put_bucket_encryption, Bucket=NAME,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": default}]},
    )  # fmt: skip
    for more in ({"ExposeHeaders": [evil]}, {"AllowedHeaders": [evil]}, {"AllowedOrigins": [evil]}, {"AllowedOrigins": ["*\r\nset-cookie: a"]}):
        given = {"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["*"]} | more
        code(owner.put_bucket_cors, Bucket=NAME, CORSConfiguration={"CORSRules": [given]})
        for operation in ("get_object", "put_object"):
            url = owner.generate_presigned_url(operation, {"Bucket": NAME, "Key": "key"})
            _, headers, _ = presigned(sqlite_cloud, url, operation[:3].upper(), origin="http://a")
            assert "set-cookie" not in headers and not any("\n" in value or "\r" in value for value in headers.values()), headers


# ------------------------------------------------------------------------------------------------------------------ other doors


def test_a_form_is_for_its_own_bucket_and_key(sqlite_cloud: TestCloud) -> None:
    """What was signed for one bucket, sent to another of the same owner, by another key, or with further fields."""
    owner = bucket(sqlite_cloud)
    bucket(sqlite_cloud, "another-bucket", lock=True)
    made = owner.generate_presigned_post(NAME, "in/${filename}", Fields={"acl": "private"}, Conditions=[{"acl": "private"}])
    for name, more in (
        ("another-bucket", {}), (NAME, {"key": "elsewhere/${filename}"}), (NAME, {"bucket": "another-bucket", "x-amz-meta-a": "1"}),
        (NAME, {"x-amz-tagging": "a=b"}), (NAME, {"acl": "public-read"}), (NAME, {"x-amz-copy-source": f"{NAME}/x"}),
        (NAME, {"x-amz-mallee-replica": "x"}), (NAME, {"X-Amz-Date": "20990101T000000Z"}),
    ):  # fmt: skip
        status = _form(sqlite_cloud, name, made["fields"] | more)
        assert status in (400, 403), (name, more, status)
    assert _form(sqlite_cloud, NAME, made["fields"]) == 204
    for name in (NAME, "another-bucket"):
        assert owner.list_objects_v2(Bucket=name)["KeyCount"] == (1 if name == NAME else 0)


def _form(cloud: TestCloud, name: str, fields: dict[str, str]) -> int:
    parts = [f'--b\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n' for field, value in fields.items()]
    parts.append('--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nx\r\n--b--\r\n')
    body = "".join(parts).encode()
    sent = [(b"host", b"mallee.test:8773"), (b"content-type", b"multipart/form-data; boundary=b"), (b"content-length", b"%d" % len(body))]
    return cloud.request("POST", f"/{name}", "", sent, body)[0]


def test_an_upload_is_its_beginner_s_and_the_bucket_owner_s(cloud: TestCloud) -> None:
    """Whoever may put there may add parts; an outsider learns, lists, ends and takes nothing, whether he knows the id or not."""
    owner, outsider = bucket(cloud), cloud.client("s3", account=cloud.account())
    upload = owner.create_multipart_upload(Bucket=NAME, Key="key")["UploadId"]
    owner.upload_part(Bucket=NAME, Key="key", UploadId=upload, PartNumber=1, Body=b"secret")
    for known in (upload, "0" * len(upload)):
        named = {"Bucket": NAME, "Key": "key", "UploadId": known}
        parts = {"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]}
        for attempt in (
            lambda named=named: outsider.list_parts(**named),
            lambda named=named: outsider.abort_multipart_upload(**named),
            lambda named=named: outsider.upload_part(**named, PartNumber=1, Body=b"evil"),
            lambda named=named: outsider.upload_part_copy(**named, PartNumber=1, CopySource=f"{NAME}/x"),
            lambda named=named, parts=parts: outsider.complete_multipart_upload(**named, MultipartUpload=parts),
        ):  # fmt: skip
            assert code(attempt) == "AccessDenied"
    assert code(outsider.list_multipart_uploads, Bucket=NAME) == "AccessDenied"
    bucket(cloud, "another-bucket")
    assert code(owner.list_parts, Bucket="another-bucket", Key="key", UploadId=upload) == "NoSuchUpload"
    assert code(owner.list_parts, Bucket=NAME, Key="other", UploadId=upload) == "NoSuchUpload"
    assert len(owner.list_parts(Bucket=NAME, Key="key", UploadId=upload)["Parts"]) == 1


def test_a_customer_s_key_is_for_its_own_object(sqlite_cloud: TestCloud) -> None:
    sqlite_cloud.scheme = "https"  # a customer's key goes over no open wire
    owner = bucket(sqlite_cloud)
    one, other = "1" * 32, "2" * 32
    owner.put_object(Bucket=NAME, Key="key", Body=b"secret", SSECustomerAlgorithm="AES256", SSECustomerKey=one)
    for given in ({}, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": other}):
        assert code(owner.get_object, Bucket=NAME, Key="key", **given) in ("AccessDenied", "InvalidRequest")
        source = {f"CopySource{name}": value for name, value in given.items()}
        assert code(owner.copy_object, Bucket=NAME, Key="copy", CopySource=f"{NAME}/key", **source) in ("AccessDenied", "InvalidRequest")
        assert code(
            owner.select_object_content, Bucket=NAME, Key="key", Expression="SELECT * FROM s3object", ExpressionType="SQL",
            InputSerialization={"CSV": {}}, OutputSerialization={"CSV": {}}, **given,
        ) in ("AccessDenied", "InvalidRequest")  # fmt: skip
    swift = Swift(sqlite_cloud.admin)
    assert swift("GET", f"{NAME}/key").status in (400, 403)
    assert swift("COPY", f"{NAME}/key", destination=f"{NAME}/copy").status in (400, 403)
    assert owner.list_objects_v2(Bucket=NAME)["KeyCount"] == 1


def test_a_number_without_an_end_is_a_number(sqlite_cloud: TestCloud) -> None:
    owner = bucket(sqlite_cloud)
    owner.put_object(Bucket=NAME, Key="key", Body=b"0123456789")
    upload = owner.create_multipart_upload(Bucket=NAME, Key="copy")["UploadId"]
    swift, many = Swift(sqlite_cloud.admin), "9" * 5000
    assert code(owner.get_object, Bucket=NAME, Key="key", Range=f"bytes={many}-") == "InvalidRange"
    assert owner.get_object(Bucket=NAME, Key="key", Range=f"bytes=5-{many}")["Body"].read() == b"56789"
    assert owner.get_object(Bucket=NAME, Key="key", Range=f"bytes=-{many}")["Body"].read() == b"0123456789"
    assert swift("GET", f"{NAME}/key", range=f"bytes={many}-").status == 416
    copied = {"Bucket": NAME, "Key": "copy", "UploadId": upload, "PartNumber": 1, "CopySource": f"{NAME}/key"}
    assert code(owner.upload_part_copy, **copied, CopySourceRange=f"bytes=0-{many}") == "InvalidArgument"
    for method, target, headers in (
        ("PUT", f"/{NAME}/key", {b"content-length": many}), ("PUT", f"/{NAME}/key", {b"x-amz-decoded-content-length": many}),
        ("GET", f"/{NAME}?max-keys={many}", {}), ("GET", f"/{NAME}/key?partNumber={many}", {}), ("GET", f"/{NAME}?limit={many}", {}),
    ):  # fmt: skip
        path, _, query = target.partition("?")
        sent = [(b"host", b"mallee.test:8773"), *[(name, value.encode()) for name, value in headers.items()]]
        assert sqlite_cloud.request(method, path, query, sent, b"")[0] < 500


def test_a_website_sends_nobody_to_another_host_for_a_slash(sqlite_cloud: TestCloud) -> None:
    owner = bucket(sqlite_cloud, public=True)
    allow(owner, "s3:GetObject")
    owner.put_bucket_website(Bucket=NAME, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    owner.put_object(Bucket=NAME, Key="/evil.example/index.html", Body=b"x")
    host = f"{NAME}.{sqlite_cloud.settings.website_domains[0]}"
    status, headers, _ = sqlite_cloud.request("GET", "//evil.example", "", [(b"host", host.encode())], b"")
    assert status == 302 and headers["location"] == f"http://{host}//evil.example/"
