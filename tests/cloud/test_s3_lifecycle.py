"""Lifecycles at work, with a clock that the test moves: expirations, transitions, versions, markers, uploads, locks."""

from __future__ import annotations

from typing import Any

import pytest

from mallee.objects import records
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, bucket

DAY = 86400.0


def configure(s3: Any, *rules: dict[str, Any], **options: Any) -> None:
    made = [{"ID": f"rule-{number}", "Status": "Enabled", "Filter": {}, **rule} for number, rule in enumerate(rules)]
    s3.put_bucket_lifecycle_configuration(Bucket=NAME, LifecycleConfiguration={"Rules": made}, **options)


def pass_days(cloud: TestCloud, days: float) -> None:
    cloud.clock.advance(days * DAY)
    cloud.run()


def keys(s3: Any) -> list[str]:
    return [each["Key"] for each in s3.list_objects_v2(Bucket=NAME).get("Contents", ())]


def test_objects_expire_by_prefix_tag_and_size(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    for key, body, tags in (("old/a", b"1", ""), ("keep", b"1", ""), ("tagged", b"1", "go=yes"), ("big", b"x" * 100, "")):
        s3.put_object(Bucket=NAME, Key=key, Body=body, Tagging=tags)
    configure(
        s3,
        {"Filter": {"Prefix": "old/"}, "Expiration": {"Days": 1}},
        {"Filter": {"Tag": {"Key": "go", "Value": "yes"}}, "Expiration": {"Days": 2}},
        {"Filter": {"ObjectSizeGreaterThan": 50}, "Expiration": {"Days": 3}},
    )
    pass_days(cloud, 0.9)
    assert len(keys(s3)) == 4
    pass_days(cloud, 1)
    assert keys(s3) == ["big", "keep", "tagged"]
    pass_days(cloud, 1)
    assert keys(s3) == ["big", "keep"]
    pass_days(cloud, 1)
    assert keys(s3) == ["keep"]


def test_a_disabled_rule_does_nothing_and_new_rules_count_at_once(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"x")
    configure(s3, {"Status": "Disabled", "Expiration": {"Days": 1}})
    pass_days(cloud, 5)
    assert keys(s3) == ["key"]
    configure(s3, {"Expiration": {"Days": 1}})
    cloud.run()
    assert keys(s3) == []


def test_transitions_go_to_colder_classes_only(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    s3.put_object(Bucket=NAME, Key="large", Body=b"x" * 200_000)
    s3.put_object(Bucket=NAME, Key="small", Body=b"x")
    s3.put_object(Bucket=NAME, Key="cold", Body=b"x" * 200_000, StorageClass="GLACIER")
    configure(
        s3, {"Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 90, "StorageClass": "GLACIER_IR"}]}
    )

    def classes() -> dict[str, str]:
        return {each["Key"]: each["StorageClass"] for each in s3.list_objects_v2(Bucket=NAME)["Contents"]}

    pass_days(cloud, 31)
    assert classes() == {"large": "STANDARD_IA", "small": "STANDARD", "cold": "GLACIER"}
    pass_days(cloud, 60)
    assert classes() == {"large": "GLACIER_IR", "small": "STANDARD", "cold": "GLACIER"}
    assert s3.get_object(Bucket=NAME, Key="large")["Body"].read() == b"x" * 200_000


def test_in_a_versioned_bucket(cloud: TestCloud) -> None:
    s3 = bucket(cloud, versioning="Enabled")
    for number in range(5):
        s3.put_object(Bucket=NAME, Key="key", Body=b"%d" % number)
        cloud.clock.advance(1)
    configure(
        s3,
        {
            "Expiration": {"Days": 10},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 2, "NewerNoncurrentVersions": 2},
        },
    )

    def left() -> tuple[int, int]:
        found = s3.list_object_versions(Bucket=NAME)
        return len(found.get("Versions", ())), len(found.get("DeleteMarkers", ()))

    pass_days(cloud, 1)
    assert left() == (5, 0)
    pass_days(cloud, 2)
    assert left() == (3, 0)
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == b"4"
    pass_days(cloud, 8)
    assert left() == (2, 1) and keys(s3) == []  # expired: a delete marker hides it, and one version more has two newer ones
    configure(s3, {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, {"Expiration": {"ExpiredObjectDeleteMarker": True}})
    pass_days(cloud, 2)
    assert left()[0] == 0
    pass_days(cloud, 1)
    assert left() == (0, 0)


def test_uploads_are_aborted(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    s3.create_multipart_upload(Bucket=NAME, Key="a/old")
    s3.create_multipart_upload(Bucket=NAME, Key="b/other")
    configure(s3, {"Filter": {"Prefix": "a/"}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}})
    pass_days(cloud, 2)
    assert len(s3.list_multipart_uploads(Bucket=NAME)["Uploads"]) == 2
    pass_days(cloud, 2)
    assert [each["Key"] for each in s3.list_multipart_uploads(Bucket=NAME)["Uploads"]] == ["b/other"]


def test_what_is_locked_stays(cloud: TestCloud) -> None:
    s3 = bucket(cloud, lock=True)
    s3.put_object(Bucket=NAME, Key="key", Body=b"1", ObjectLockLegalHoldStatus="ON", ChecksumAlgorithm="SHA256")
    s3.put_object(Bucket=NAME, Key="key", Body=b"2")
    configure(s3, {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
    pass_days(cloud, 5)
    assert len(s3.list_object_versions(Bucket=NAME)["Versions"]) == 2
    version = s3.list_object_versions(Bucket=NAME)["Versions"][1]["VersionId"]
    s3.put_object_legal_hold(Bucket=NAME, Key="key", VersionId=version, LegalHold={"Status": "OFF"})
    pass_days(cloud, 1)
    assert len(s3.list_object_versions(Bucket=NAME)["Versions"]) == 1


@pytest.mark.parametrize("count", [2500])
def test_a_walk_goes_on_in_pieces_and_tells_how_far_it_is(sqlite_cloud: TestCloud, count: int) -> None:
    cloud = sqlite_cloud
    s3 = bucket(cloud)
    from mallee.objects import store
    from mallee.objects.index import versions
    from mallee.objects.index.rows import New

    with cloud.database.reading() as tx:
        found = records.bucket(tx, NAME)
    assert found is not None

    def fill(tx: Any) -> None:
        for number in range(count):
            versions.put(tx, "", New(found.id, b"%05d" % number, 0, "d41d8cd98f00b204e9800998ecf8427e", found.account_id, ()))

    store.at(cloud.database).index.run(fill)
    configure(s3, {"Expiration": {"Days": 1}})
    pass_days(cloud, 3)
    assert keys(s3) == []
    with cloud.database.reading() as tx:
        walk = next(each for each in records.walks(tx) if each.name == "lifecycle")
    assert walk.ended_at is not None and walk.state["expired"] == count


def test_answers_tell_when_an_object_expires(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    configure(s3, {"ID": "rule 1", "Filter": {"Prefix": "a"}, "Expiration": {"Days": 1}})
    told = s3.put_object(Bucket=NAME, Key="a", Body=b"x")["Expiration"]
    assert told == 'expiry-date="Wed, 03 Jan 2024 00:00:00 GMT", rule-id="rule%201"'
    assert s3.head_object(Bucket=NAME, Key="a")["Expiration"] == told
    assert "Expiration" not in s3.put_object(Bucket=NAME, Key="b", Body=b"x")
