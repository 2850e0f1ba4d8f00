"""What is configured on buckets: put, told, deleted, and refused in S3's words."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from tests.cloud.harness import Account, TestCloud, refused

HELD = {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://*.example.com"]}


def s3_with(cloud: TestCloud, *names: str, account: Account | None = None, **options: Any) -> Any:
    s3 = cloud.client("s3", account=account, validate=False)
    for name in names:
        s3.create_bucket(Bucket=name, **options)
    return s3


@pytest.mark.parametrize(
    "operation, code",
    [
        ("get_bucket_cors", "NoSuchCORSConfiguration"),
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        ("get_bucket_tagging", "NoSuchTagSet"),
        ("get_bucket_website", "NoSuchWebsiteConfiguration"),
        ("get_bucket_policy", "NoSuchBucketPolicy"),
        ("get_bucket_policy_status", "NoSuchBucketPolicy"),
        ("get_bucket_replication", "ReplicationConfigurationNotFoundError"),
        ("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError"),
        ("get_object_lock_configuration", "ObjectLockConfigurationNotFoundError"),
    ],
)
def test_what_a_new_bucket_does_not_have(sqlite_cloud: TestCloud, operation: str, code: str) -> None:
    s3 = s3_with(sqlite_cloud, "plain")
    with refused(code, 404):
        getattr(s3, operation)(Bucket="plain")


def test_what_a_new_bucket_has(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "plain")
    assert s3.get_bucket_ownership_controls(Bucket="plain")["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    assert set(s3.get_public_access_block(Bucket="plain")["PublicAccessBlockConfiguration"].values()) == {True}
    assert "Status" not in s3.get_bucket_versioning(Bucket="plain")
    assert s3.get_bucket_request_payment(Bucket="plain")["Payer"] == "BucketOwner"
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket="plain")
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="plain")
    grants = s3.get_bucket_acl(Bucket="plain")
    assert [(grant["Grantee"]["ID"], grant["Permission"]) for grant in grants["Grants"]] == [(grants["Owner"]["ID"], "FULL_CONTROL")]


def test_settings_for_new_buckets(tmp_path: Any, sqlite_cloud: TestCloud) -> None:
    object.__setattr__(sqlite_cloud.settings, "objects_ownership", "ObjectWriter")
    object.__setattr__(sqlite_cloud.settings, "objects_block_public_access", False)
    s3 = s3_with(sqlite_cloud, "open", ACL="public-read")
    assert s3.get_bucket_ownership_controls(Bucket="open")["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "ObjectWriter"}]
    assert len(s3.get_bucket_acl(Bucket="open")["Grants"]) == 2
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        s3.get_public_access_block(Bucket="open")


def test_acls_of_new_buckets(sqlite_cloud: TestCloud) -> None:
    s3 = s3_with(sqlite_cloud)
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        s3.create_bucket(Bucket="acl-bucket", ACL="public-read")
    with refused("InvalidBucketAclWithBlockPublicAccessError", 400):
        s3.create_bucket(Bucket="acl-bucket", ACL="public-read", ObjectOwnership="ObjectWriter")
    s3.create_bucket(Bucket="acl-bucket", ACL="private")
    s3.create_bucket(Bucket="log-bucket", ACL="log-delivery-write", ObjectOwnership="BucketOwnerPreferred")
    assert len(s3.get_bucket_acl(Bucket="log-bucket")["Grants"]) == 3


def test_another_owner_than_expected(sqlite_cloud: TestCloud) -> None:
    s3 = s3_with(sqlite_cloud, "mine")
    s3.get_bucket_versioning(Bucket="mine", ExpectedBucketOwner=sqlite_cloud.admin.id)
    with refused("AccessDenied", 403):
        s3.get_bucket_versioning(Bucket="mine", ExpectedBucketOwner="999999999999")
    with refused("InvalidBucketOwnerAWSAccountID", 400):
        s3.get_bucket_versioning(Bucket="mine", ExpectedBucketOwner="me")


def test_tags(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "tagged", CreateBucketConfiguration={"Tags": [{"Key": "at", "Value": "birth"}]})
    assert s3.get_bucket_tagging(Bucket="tagged")["TagSet"] == [{"Key": "at", "Value": "birth"}]
    s3.put_bucket_tagging(Bucket="tagged", Tagging={"TagSet": [{"Key": "ä b", "Value": ""}]})
    assert s3.get_bucket_tagging(Bucket="tagged")["TagSet"] == [{"Key": "ä b", "Value": ""}]
    for wrong in ([("a", "1"), ("a", "2")], [("aws:x", "1")], [("a" * 129, "")], [("a", "b" * 257)], [("a;", "")]):
        with refused("InvalidTag", 400):
            s3.put_bucket_tagging(Bucket="tagged", Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in wrong]})
    with refused("BadRequest", 400):
        s3.put_bucket_tagging(Bucket="tagged", Tagging={"TagSet": [{"Key": str(n), "Value": ""} for n in range(51)]})
    s3.delete_bucket_tagging(Bucket="tagged")
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket="tagged")


def test_versioning(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "versioned")
    for status in ("Enabled", "Suspended", "Enabled"):
        s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket="versioned")["Status"] == status
    with refused("MalformedXML", 400):
        s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Off"})
    with refused("NotImplemented", 501):
        s3.put_bucket_versioning(
            Bucket="versioned", VersioningConfiguration={"Status": "Enabled", "MFADelete": "Enabled"}, MFA="arn 123456"
        )  # fmt: skip


def test_object_lock(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "locked", ObjectLockEnabledForBucket=True)
    assert s3.get_bucket_versioning(Bucket="locked")["Status"] == "Enabled"
    assert s3.get_object_lock_configuration(Bucket="locked")["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}
    with refused("InvalidBucketState", 409):
        s3.put_bucket_versioning(Bucket="locked", VersioningConfiguration={"Status": "Suspended"})

    def lock(bucket: str = "locked", **retention: Any) -> None:
        wanted: dict[str, Any] = {"ObjectLockEnabled": "Enabled"}
        if retention:
            wanted["Rule"] = {"DefaultRetention": retention}
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)

    lock(Mode="GOVERNANCE", Days=3)
    assert s3.get_object_lock_configuration(Bucket="locked")["ObjectLockConfiguration"]["Rule"] == {
        "DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}
    }
    for wrong in ({"Mode": "GOVERNANCE"}, {"Days": 1}, {"Mode": "GOVERNANCE", "Days": 1, "Years": 1}, {"Mode": "NONE", "Days": 1}):
        with refused("MalformedXML", 400):
            lock(**wrong)
    for days in (0, -1, 36_501):
        with refused("InvalidArgument", 400):
            lock(Mode="COMPLIANCE", Days=days)
    s3_with(cloud, "late")
    with refused("InvalidBucketState", 409):
        lock("late")
    s3.put_bucket_versioning(Bucket="late", VersioningConfiguration={"Status": "Enabled"})
    lock("late")
    assert s3.get_object_lock_configuration(Bucket="late")["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}


def test_public_access_block_and_ownership(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "blocked")
    s3.put_public_access_block(Bucket="blocked", PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    assert s3.get_public_access_block(Bucket="blocked")["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": True, "RestrictPublicBuckets": False,
    }  # fmt: skip
    with refused("AccessControlListNotSupported", 400):
        s3.put_bucket_acl(Bucket="blocked", ACL="public-read")
    s3.put_bucket_ownership_controls(Bucket="blocked", OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_bucket_acl(Bucket="blocked", ACL="public-read")
    assert len(s3.get_bucket_acl(Bucket="blocked")["Grants"]) == 2
    with refused("InvalidBucketAclWithObjectOwnership", 400):
        s3.put_bucket_ownership_controls(Bucket="blocked", OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})
    s3.put_public_access_block(Bucket="blocked", PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    with refused("AccessDenied", 403):
        s3.put_bucket_acl(Bucket="blocked", ACL="public-read-write")
    with refused("MissingSecurityHeader", 400):
        s3.put_bucket_acl(Bucket="blocked")
    s3.delete_public_access_block(Bucket="blocked")
    s3.delete_bucket_ownership_controls(Bucket="blocked")
    with refused("NoSuchPublicAccessBlockConfiguration", 404):
        s3.get_public_access_block(Bucket="blocked")
    with refused("OwnershipControlsNotFoundError", 404):
        s3.get_bucket_ownership_controls(Bucket="blocked")


def test_cors(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "crossed")
    rule = HELD | {"ID": "one", "AllowedHeaders": ["*"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}
    s3.put_bucket_cors(Bucket="crossed", CORSConfiguration={"CORSRules": [rule, HELD]})
    assert s3.get_bucket_cors(Bucket="crossed")["CORSRules"] == [rule, HELD]

    def refuse(code: str, **changes: Any) -> None:
        with refused(code, 400):
            s3.put_bucket_cors(Bucket="crossed", CORSConfiguration={"CORSRules": [HELD | changes]})

    refuse("InvalidRequest", AllowedMethods=["PATCH"])
    refuse("InvalidRequest", AllowedOrigins=["*.*"])
    refuse("InvalidRequest", AllowedHeaders=["x-*-*"])
    refuse("InvalidRequest", ExposeHeaders=["x-*"])
    refuse("MalformedXML", AllowedMethods=[])
    refuse("MalformedXML", AllowedHeaders=["x" * 66_000])
    for number in (0, 101):
        with refused("MalformedXML", 400):
            s3.put_bucket_cors(Bucket="crossed", CORSConfiguration={"CORSRules": [HELD] * number})
    s3.delete_bucket_cors(Bucket="crossed")
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket="crossed")


def test_lifecycle(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "aging")
    midnight = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    rules = [
        {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Date": midnight}},
        {"ID": "b", "Status": "Disabled", "Filter": {"And": {"Prefix": "x", "Tags": [{"Key": "k", "Value": "v"}]}},
         "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 60, "StorageClass": "GLACIER"}]},
        {"ID": "c", "Status": "Enabled", "Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
         "NoncurrentVersionExpiration": {"NoncurrentDays": 5, "NewerNoncurrentVersions": 3}},
    ]  # fmt: skip
    s3.put_bucket_lifecycle_configuration(Bucket="aging", LifecycleConfiguration={"Rules": rules})
    told = s3.get_bucket_lifecycle_configuration(Bucket="aging")
    assert told["Rules"] == rules and told["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    s3.put_bucket_lifecycle_configuration(
        Bucket="aging",
        LifecycleConfiguration={"Rules": [{"Status": "Enabled", "Filter": {"ObjectSizeGreaterThan": 5}, "Expiration": {"Days": 1}}]},
        TransitionDefaultMinimumObjectSize="varies_by_storage_class",
    )
    told = s3.get_bucket_lifecycle_configuration(Bucket="aging")
    assert told["Rules"][0]["ID"] and told["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    s3.delete_bucket_lifecycle(Bucket="aging")
    with refused("NoSuchLifecycleConfiguration", 404):
        s3.get_bucket_lifecycle_configuration(Bucket="aging")


def test_the_old_lifecycle(sqlite_cloud: TestCloud) -> None:
    s3 = s3_with(sqlite_cloud, "aging")
    rule = {"ID": "a", "Prefix": "x", "Status": "Enabled", "Transition": {"Days": 1, "StorageClass": "GLACIER"}}
    s3.put_bucket_lifecycle(Bucket="aging", LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle(Bucket="aging")["Rules"] == [rule]
    assert s3.get_bucket_lifecycle_configuration(Bucket="aging")["Rules"][0]["Transitions"] == [rule["Transition"]]


def test_website(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "site")
    wanted = {
        "IndexDocument": {"Suffix": "index.html"},
        "ErrorDocument": {"Key": "errors/404.html"},
        "RoutingRules": [{"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}}],
    }
    s3.put_bucket_website(Bucket="site", WebsiteConfiguration=wanted)
    told = s3.get_bucket_website(Bucket="site")
    assert {name: told[name] for name in wanted} == wanted
    index = {"IndexDocument": {"Suffix": "i"}}
    for wrong, code in (
        ({"ErrorDocument": {"Key": "x"}}, "InvalidArgument"),
        ({"IndexDocument": {"Suffix": "a/b"}}, "InvalidArgument"),
        (index | {"RedirectAllRequestsTo": {"HostName": "example.com"}}, "InvalidArgument"),
        (index | {"RoutingRules": [{"Redirect": {"ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}}]}, "InvalidRequest"),
        (index | {"RoutingRules": [{"Redirect": {"HttpRedirectCode": "200", "HostName": "h"}}]}, "InvalidRequest"),
        (index | {"RoutingRules": [{"Redirect": {"HostName": "h"}}] * 51}, "InvalidRequest"),
    ):
        with refused(code, 400):
            s3.put_bucket_website(Bucket="site", WebsiteConfiguration=wrong)
    s3.delete_bucket_website(Bucket="site")
    with refused("NoSuchWebsiteConfiguration", 404):
        s3.get_bucket_website(Bucket="site")


def test_logging(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "logged", "logs")
    s3_with(cloud, "logs-of-another", account=cloud.account())

    def log(**wanted: Any) -> None:
        s3.put_bucket_logging(Bucket="logged", BucketLoggingStatus={"LoggingEnabled": {"TargetPrefix": "p/"} | wanted})

    for wrong in ("missing", "logs-of-another"):
        with refused("InvalidTargetBucketForLogging", 400):
            log(TargetBucket=wrong)
    log(TargetBucket="logs")
    assert s3.get_bucket_logging(Bucket="logged")["LoggingEnabled"] == {"TargetBucket": "logs", "TargetPrefix": "p/"}
    s3.put_bucket_ownership_controls(Bucket="logs", OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    with refused("InvalidTargetBucketForLogging", 400):
        log(TargetBucket="logs")
    s3.put_bucket_acl(Bucket="logs", ACL="log-delivery-write")
    log(TargetBucket="logs", TargetObjectKeyFormat={"PartitionedPrefix": {"PartitionDateSource": "EventTime"}})
    s3.put_bucket_logging(Bucket="logged", BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket="logged")


def test_notifications_that_nobody_would_get(sqlite_cloud: TestCloud) -> None:
    s3 = s3_with(sqlite_cloud, "noted")
    s3.put_bucket_notification_configuration(Bucket="noted", NotificationConfiguration={})
    told = s3.get_bucket_notification_configuration(Bucket="noted")
    assert set(told) == {"ResponseMetadata"}
    arn = f"arn:aws:sqs:local-1:{sqlite_cloud.admin.id}:queue"
    queue = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}
    with refused("InvalidArgument", 400) as message:
        s3.put_bucket_notification_configuration(Bucket="noted", NotificationConfiguration={"QueueConfigurations": [queue]})
    assert message() == "Unable to validate the following destination configurations"
    with refused("InvalidArgument", 400):
        s3.put_bucket_notification_configuration(
            Bucket="noted", NotificationConfiguration={"QueueConfigurations": [queue]}, SkipDestinationValidation=True
        )
    with refused("NotImplemented", 501):
        s3.put_bucket_notification_configuration(Bucket="noted", NotificationConfiguration={"EventBridgeConfiguration": {}})


def test_replication(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "source", "copy")
    role = f"arn:aws:iam::{cloud.admin.id}:role/replicates"
    rule = {
        "ID": "all", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": ""}, "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": "arn:aws:s3:::copy", "StorageClass": "GLACIER"},
    }  # fmt: skip

    def replicate(changes: dict[str, Any] | None = None, role: str = role) -> None:
        s3.put_bucket_replication(
            Bucket="source", ReplicationConfiguration={"Role": role, "Rules": [rule | (changes or {})]}
        )  # fmt: skip

    with refused("InvalidRequest", 400) as told:
        replicate()
    assert told() == "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
    s3.put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Enabled"})
    with refused("InvalidRequest", 400) as told:
        replicate()
    assert told() == "Destination bucket must have versioning enabled."
    s3.put_bucket_versioning(Bucket="copy", VersioningConfiguration={"Status": "Enabled"})
    replicate()
    assert s3.get_bucket_replication(Bucket="source")["ReplicationConfiguration"] == {"Role": role, "Rules": [rule]}
    with refused("InvalidBucketState", 409):
        s3.put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Suspended"})
    for changes in (
        {"Destination": {"Bucket": "arn:aws:s3:::missing"}},
        {"Destination": {"Bucket": "arn:aws:s3:::source"}},
        {"Destination": {"Bucket": "arn:aws:s3:::copy", "Account": "999999999999"}},
        {"Destination": {"Bucket": "arn:aws:s3:::copy", "AccessControlTranslation": {"Owner": "Destination"}}},
        {"Filter": {"Tag": {"Key": "k", "Value": "v"}}, "DeleteMarkerReplication": {"Status": "Enabled"}},
    ):
        with refused("InvalidRequest", 400):
            replicate(changes)
    for changes, wrong in (({"Destination": {"Bucket": "copy"}}, role), ({}, "role"), ({}, "arn:aws:iam::999999999999:role/x")):
        with refused("InvalidArgument", 400):
            replicate(changes, wrong)
    s3.delete_bucket_replication(Bucket="source")
    with refused("ReplicationConfigurationNotFoundError", 404):
        s3.get_bucket_replication(Bucket="source")


def test_encryption(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "secret")
    for rule in (
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}},
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "key"}, "BucketKeyEnabled": True},
    ):
        s3.put_bucket_encryption(Bucket="secret", ServerSideEncryptionConfiguration={"Rules": [rule]})
        assert s3.get_bucket_encryption(Bucket="secret")["ServerSideEncryptionConfiguration"]["Rules"] == [rule]
    with refused("InvalidArgument", 400):
        wrong = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": "key"}}
        s3.put_bucket_encryption(Bucket="secret", ServerSideEncryptionConfiguration={"Rules": [wrong]})
    s3.delete_bucket_encryption(Bucket="secret")
    with refused("ServerSideEncryptionConfigurationNotFoundError", 404):
        s3.get_bucket_encryption(Bucket="secret")


def test_payment_and_acceleration(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "paid", "with.dots")
    s3.put_bucket_request_payment(Bucket="paid", RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket="paid")["Payer"] == "Requester"
    s3.put_bucket_accelerate_configuration(Bucket="paid", AccelerateConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_accelerate_configuration(Bucket="paid")["Status"] == "Enabled"
    with refused("InvalidRequest", 400):
        s3.put_bucket_accelerate_configuration(Bucket="with.dots", AccelerateConfiguration={"Status": "Enabled"})
    with refused("NotImplemented", 501):
        s3.put_bucket_abac(Bucket="paid", AbacStatus={"Status": "Enabled"})


DESTINATION = {"S3BucketDestination": {"Bucket": "arn:aws:s3:::lists", "Format": "CSV"}}
LISTED = {
    "inventory": ("InventoryConfiguration", {
        "Destination": DESTINATION, "IsEnabled": True, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"},
        "OptionalFields": ["Size", "ETag"],
    }),
    "metrics": ("MetricsConfiguration", {"Filter": {"Prefix": "a"}}),
    "analytics": ("AnalyticsConfiguration", {"StorageClassAnalysis": {}}),
    "intelligent_tiering": (
        "IntelligentTieringConfiguration", {"Status": "Enabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", LISTED)
def test_configurations_that_there_are_many_of(cloud: TestCloud, kind: str) -> None:
    s3 = s3_with(cloud, "many")
    member, document = LISTED[kind]

    def put(id: str, inner: str | None = None, **changes: Any) -> None:
        given = document | changes | {"Id": id if inner is None else inner}
        getattr(s3, f"put_bucket_{kind}_configuration")(Bucket="many", Id=id, **{member: given})

    def listed(**more: Any) -> Any:
        return getattr(s3, f"list_bucket_{kind}_configurations")(Bucket="many", **more)

    assert listed()["IsTruncated"] is False and f"{member}List" not in listed()
    with refused("NoSuchConfiguration", 404):
        getattr(s3, f"get_bucket_{kind}_configuration")(Bucket="many", Id="one")
    put("one")
    assert getattr(s3, f"get_bucket_{kind}_configuration")(Bucket="many", Id="one")[member] == document | {"Id": "one"}
    with refused("InvalidArgument", 400):
        put("one", inner="two")
    with refused("InvalidArgument", 400):
        put("not an id")
    for number in range(120):
        put(f"id-{number:03}")
    first = listed()
    assert first["IsTruncated"] and len(first[f"{member}List"]) == 100
    second = listed(ContinuationToken=first["NextContinuationToken"])
    assert not second["IsTruncated"] and len(second[f"{member}List"]) == 21
    getattr(s3, f"delete_bucket_{kind}_configuration")(Bucket="many", Id="one")
    with refused("NoSuchConfiguration", 404):
        getattr(s3, f"delete_bucket_{kind}_configuration")(Bucket="many", Id="one")


def test_everything_goes_with_the_bucket(cloud: TestCloud) -> None:
    s3 = s3_with(cloud, "gone")
    s3.put_bucket_cors(Bucket="gone", CORSConfiguration={"CORSRules": [HELD]})
    s3.put_bucket_tagging(Bucket="gone", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_bucket(Bucket="gone")
    with refused("NoSuchBucket", 404):
        s3.get_bucket_cors(Bucket="gone")
    s3_with(cloud, "gone")
    with refused("NoSuchCORSConfiguration", 404):
        s3.get_bucket_cors(Bucket="gone")
    with refused("NoSuchTagSet", 404):
        s3.get_bucket_tagging(Bucket="gone")
