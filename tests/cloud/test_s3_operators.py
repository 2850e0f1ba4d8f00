"""What operators see and set of the object store: usage, quotas of accounts and buckets, records for bills, its state, a round trip, an audit."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from mallee.identity.records import control
from mallee.objects import auditing, capacity, records, store
from mallee.objects.index import garbage, usage, versions
from mallee.objects.upkeep import record_usage
from tests.cloud import s3 as scene
from tests.cloud.harness import Account, TestCloud, refused
from tests.cloud.people import user

MIB = 1024 * 1024
LARGE = 300_000  # a file of its own


def usage_of(cloud: TestCloud, name: str = scene.NAME) -> dict[str, Any]:
    (found,) = cloud.client("mallee").describe_bucket_usage(BucketName=name)["Buckets"]
    return dict(found)


def limit(**keys: str) -> str:
    condition = {"NumericLessThanEquals": {f"s3:quota-{name}": value for name, value in keys.items()}}
    return json.dumps({"Version": "2011-04-01", "Statement": [{"Effect": "Limit", "Action": "s3:*", "Resource": "*", "Condition": condition}]})


# --------------------------------------------------------------------------------------------------------------- usage


def test_usage_counts_versions_and_parts(cloud: TestCloud) -> None:
    s3 = scene.bucket(cloud, versioning="Enabled")
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"12345")
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"123")
    upload = s3.create_multipart_upload(Bucket=scene.NAME, Key="b")["UploadId"]
    s3.upload_part(Bucket=scene.NAME, Key="b", UploadId=upload, PartNumber=1, Body=b"1234567")
    found = usage_of(cloud)
    assert (found["Objects"], found["Bytes"], found["NoncurrentVersions"], found["NoncurrentBytes"]) == (1, 3, 1, 5)
    assert (found["Uploads"], found["UploadBytes"], found["AccountId"], found["Internal"]) == (1, 7, cloud.admin.id, False)
    assert "QuotaBytes" not in found


def test_an_account_sees_its_own_and_administrators_all(cloud: TestCloud) -> None:
    mine, other = cloud.account(), cloud.account()
    for number, account in enumerate((mine, other, mine)):
        scene.bucket(cloud, f"bucket-{number}", account=account)
    seen = mine.client("mallee")
    assert [each["BucketName"] for each in seen.describe_bucket_usage()["Buckets"]] == ["bucket-0", "bucket-2"]
    with refused("BucketNotFoundException", 400):
        seen.describe_bucket_usage(BucketName="bucket-1")
    with refused("AccessDeniedException", 400):
        seen.describe_bucket_usage(AccountId=other.id)
    pages = cloud.client("mallee").get_paginator("describe_bucket_usage").paginate(PaginationConfig={"PageSize": 2})
    names = [each["BucketName"] for page in pages for each in page["Buckets"]]
    assert names == sorted(names) and {"bucket-0", "bucket-1", "bucket-2"} <= set(names)
    theirs = cloud.client("mallee").describe_bucket_usage(AccountId=other.id)["Buckets"]
    assert [each["BucketName"] for each in theirs] == ["bucket-1"]


@pytest.mark.parametrize("operation", ["describe_object_store", "probe_object_store", "audit_object_store"])
def test_the_store_is_the_administrators_to_look_at(sqlite_cloud: TestCloud, operation: str) -> None:
    with refused("AccessDeniedException", 400):
        getattr(sqlite_cloud.account().client("mallee"), operation)()


# -------------------------------------------------------------------------------------------------------------- quotas


def test_a_bucket_quota_in_bytes(cloud: TestCloud) -> None:
    owner = cloud.account()
    s3, mallee = scene.bucket(cloud, account=owner), cloud.client("mallee")
    assert mallee.put_bucket_quota(BucketName=scene.NAME, Bytes=10)["Bucket"]["QuotaBytes"] == 10
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"123456")
    with refused("QuotaExceeded", 403):
        s3.put_object(Bucket=scene.NAME, Key="b", Body=b"12345")
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"1234567890")  # in the place of what was there
    s3.put_object(Bucket=scene.NAME, Key="empty", Body=b"")
    with refused("QuotaExceeded", 403):
        s3.copy_object(Bucket=scene.NAME, Key="c", CopySource=f"{scene.NAME}/a")
    mallee.put_bucket_quota(BucketName=scene.NAME, Bytes=4)  # takes nothing away, and what becomes less is let pass
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"12345")
    s3.delete_object(Bucket=scene.NAME, Key="a")
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"1234")
    mallee.delete_bucket_quota(BucketName=scene.NAME)
    s3.put_object(Bucket=scene.NAME, Key="b", Body=b"12345")
    with refused("QuotaValueNotFoundException", 400):
        mallee.delete_bucket_quota(BucketName=scene.NAME)


@pytest.mark.parametrize("versioning", ["Enabled", "Suspended"])
def test_every_version_counts(cloud: TestCloud, versioning: str) -> None:
    s3 = scene.bucket(cloud, versioning=versioning)
    cloud.client("mallee").put_bucket_quota(BucketName=scene.NAME, Bytes=12, Objects=2)
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"12345")
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"123456")
    if versioning == "Enabled":
        with refused("QuotaExceeded", 403):
            s3.put_object(Bucket=scene.NAME, Key="a", Body=b"")
    else:
        s3.put_object(Bucket=scene.NAME, Key="a", Body=b"1234567")
        with refused("QuotaExceeded", 403):
            s3.put_object(Bucket=scene.NAME, Key="b", Body=b"123456")


def test_a_bucket_quota_in_objects(cloud: TestCloud) -> None:
    s3 = scene.bucket(cloud)
    cloud.client("mallee").put_bucket_quota(BucketName=scene.NAME, Objects=2)
    for key in ("a", "b", "a"):
        s3.put_object(Bucket=scene.NAME, Key=key, Body=b"1")
    with refused("QuotaExceeded", 403):
        s3.put_object(Bucket=scene.NAME, Key="c", Body=b"")
    s3.rename_object(Bucket=scene.NAME, Key="c", RenameSource="a")
    upload = s3.create_multipart_upload(Bucket=scene.NAME, Key="d")["UploadId"]
    part = s3.upload_part(Bucket=scene.NAME, Key="d", UploadId=upload, PartNumber=1, Body=b"1")
    with refused("QuotaExceeded", 403):
        s3.complete_multipart_upload(
            Bucket=scene.NAME, Key="d", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        )
    s3.delete_object(Bucket=scene.NAME, Key="c")
    s3.complete_multipart_upload(
        Bucket=scene.NAME, Key="d", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )


def test_parts_count(cloud: TestCloud) -> None:
    s3 = scene.bucket(cloud)
    cloud.client("mallee").put_bucket_quota(BucketName=scene.NAME, Bytes=10)
    s3.put_object(Bucket=scene.NAME, Key="source", Body=b"12345")
    named = {"Bucket": scene.NAME, "Key": "a"}
    upload = s3.create_multipart_upload(**named)["UploadId"]
    s3.upload_part(**named, UploadId=upload, PartNumber=1, Body=b"1234")
    s3.upload_part(**named, UploadId=upload, PartNumber=1, Body=b"12345")  # again, in its place
    with refused("QuotaExceeded", 403):
        s3.upload_part(**named, UploadId=upload, PartNumber=2, Body=b"1")
    with refused("QuotaExceeded", 403):
        s3.upload_part_copy(**named, UploadId=upload, PartNumber=2, CopySource=f"{scene.NAME}/source")
    parts = [{"PartNumber": 1, "ETag": s3.list_parts(**named, UploadId=upload)["Parts"][0]["ETag"]}]
    s3.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": parts})  # which takes no more
    assert usage_of(cloud)["Bytes"] == 10


def test_a_body_that_is_too_large_is_refused_before_it_comes(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = scene.bucket(sqlite_cloud)
    s3.put_object(Bucket=scene.NAME, Key="source", Body=bytes(LARGE))
    sqlite_cloud.client("mallee").put_bucket_quota(BucketName=scene.NAME, Bytes=2 * LARGE - 1)
    upload = s3.create_multipart_upload(Bucket=scene.NAME, Key="a")["UploadId"]
    monkeypatch.setattr(store.at(sqlite_cloud.database).engine, "writer", lambda *_: pytest.fail("bytes are written"))
    named = {"Bucket": scene.NAME, "Key": "a"}
    writes: list[Callable[[], Any]] = [
        lambda: s3.put_object(**named, Body=bytes(LARGE)),
        lambda: s3.copy_object(**named, CopySource=f"{scene.NAME}/source"),
        lambda: s3.upload_part(**named, UploadId=upload, PartNumber=1, Body=bytes(LARGE)),
        lambda: s3.upload_part_copy(**named, UploadId=upload, PartNumber=1, CopySource=f"{scene.NAME}/source"),
    ]
    for write in writes:
        with refused("QuotaExceeded", 403):
            write()


def test_what_one_batch_adds_counts_in_it(cloud: TestCloud) -> None:
    """Works that share a commit see each other's bytes, which are not written yet."""
    s3 = scene.bucket(cloud)
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"123")
    objects = store.at(cloud.database)
    with cloud.database.reading() as tx:
        found = records.bucket(tx, scene.NAME)
    assert found is not None

    def work(tx: Any) -> tuple[int, int]:
        before = usage.total(tx, [found.id]).bytes
        versions.delete(tx, "", found.id, b"a", found.account_id)
        return before, usage.total(tx, [found.id]).bytes

    assert objects.index.run(work) == (3, 0)


def test_without_a_quota_nothing_is_asked(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = scene.bucket(sqlite_cloud)
    monkeypatch.setattr(capacity, "SECONDS", 3600.0)
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"1")  # after which it is known that there is none
    monkeypatch.setattr(control, "quota_values_of", lambda *_: pytest.fail("quotas are read"))
    monkeypatch.setattr(usage, "total", lambda *_: pytest.fail("usage is read"))
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"1")


def test_the_last_place_is_given_once(cloud: TestCloud) -> None:
    scene.bucket(cloud)
    cloud.client("mallee").put_bucket_quota(BucketName=scene.NAME, Objects=3, Bytes=100)

    def put(number: int) -> bool:
        s3 = cloud.client("s3")
        try:
            s3.put_object(Bucket=scene.NAME, Key=f"k{number}", Body=b"1")
        except s3.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "QuotaExceeded", error
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(put, range(24))) == 3
    assert usage_of(cloud)["Objects"] == 3


def test_an_accounts_quota_is_of_all_its_buckets(cloud: TestCloud) -> None:
    owner, mallee = cloud.account(), cloud.client("mallee")
    s3 = scene.bucket(cloud, "one-bucket", account=owner)
    scene.bucket(cloud, "two-bucket", account=owner)
    named = {"AccountId": owner.id, "ServiceCode": "s3", "QuotaCode": "mallee-size"}
    s3.put_object(Bucket="one-bucket", Key="a", Body=bytes(MIB // 2))
    assert mallee.put_account_quota(**named, Value=1)["Quota"]["Used"] == 0.5
    s3.put_object(Bucket="two-bucket", Key="a", Body=bytes(MIB // 2))
    for name in ("one-bucket", "two-bucket"):
        with refused("QuotaExceeded", 403):
            s3.put_object(Bucket=name, Key="b", Body=b"1")
    mallee.delete_account_quota(**named)
    s3.put_object(Bucket="one-bucket", Key="b", Body=b"1")
    mallee.put_account_quota(**named | {"QuotaCode": "mallee-objects"}, Value=3)
    with refused("QuotaExceeded", 403):
        s3.put_object(Bucket="two-bucket", Key="c", Body=b"1")
    mallee.put_account_quota(**named | {"QuotaCode": "mallee-bucket-size"}, Value=0)
    with refused("QuotaExceeded", 403):
        s3.put_object(Bucket="two-bucket", Key="a", Body=bytes(MIB))
    assert owner.client("service-quotas").get_service_quota(ServiceCode="s3", QuotaCode="mallee-objects")["Quota"]["Value"] == 3


def test_whoever_writes_it_counts_for_the_buckets_owner(cloud: TestCloud) -> None:
    owner, guest = cloud.account(), cloud.account()
    s3 = scene.bucket(cloud, account=owner, public=True)
    scene.allow(s3, "s3:PutObject", to={"AWS": guest.id})
    quota = {"ServiceCode": "s3", "QuotaCode": "mallee-objects", "Value": 0}
    cloud.client("mallee").put_account_quota(AccountId=guest.id, **quota)
    guest.client("s3").put_object(Bucket=scene.NAME, Key="a", Body=b"1")
    cloud.client("mallee").put_account_quota(AccountId=owner.id, **quota)
    with refused("QuotaExceeded", 403) as told:
        guest.client("s3").put_object(Bucket=scene.NAME, Key="b", Body=b"1")
    assert told() == "The quota of the bucket or of its owner is exceeded."  # what there is, is the owner's to know


@pytest.mark.parametrize(
    ("key", "value", "first", "second"),
    [("bucketsize", "1", MIB, 1), ("buckettotalsize", "1", MIB, 1), ("bucketobjectnumber", "1", 1, 1)],
)
def test_limits_of_an_accounts_policy(cloud: TestCloud, key: str, value: str, first: int, second: int) -> None:
    owner = cloud.account()
    s3, mallee = scene.bucket(cloud, account=owner), cloud.client("mallee")
    mallee.put_account_policy(AccountId=owner.id, PolicyName="small", PolicyDocument=limit(**{key: value}))
    s3.put_object(Bucket=scene.NAME, Key="a", Body=bytes(first))
    with refused("QuotaExceeded", 403):
        s3.put_object(Bucket=scene.NAME, Key="b", Body=bytes(second))
    mallee.delete_account_policy(AccountId=owner.id, PolicyName="small")
    s3.put_object(Bucket=scene.NAME, Key="b", Body=bytes(second))


def test_limits_of_a_users_policy_count_the_buckets_that_it_made(cloud: TestCloud) -> None:
    owner = cloud.account()
    root = scene.bucket(cloud, "of-the-root", account=owner)
    root.put_object(Bucket="of-the-root", Key="a", Body=bytes(2 * MIB))
    somebody = user(cloud, "anna", "s3:*", account=owner)
    theirs = somebody.client("s3")
    theirs.create_bucket(Bucket="of-anna")
    iam = owner.client("iam")
    iam.put_user_policy(UserName="anna", PolicyName="limit", PolicyDocument=limit(buckettotalsize="1"))
    theirs.put_object(Bucket="of-anna", Key="a", Body=bytes(MIB))
    with refused("QuotaExceeded", 403):
        theirs.put_object(Bucket="of-anna", Key="b", Body=b"1")
    theirs.put_object(Bucket="of-the-root", Key="b", Body=b"1")
    root.put_object(Bucket="of-anna", Key="b", Body=b"1")
    iam.delete_user_policy(UserName="anna", PolicyName="limit")
    theirs.put_object(Bucket="of-anna", Key="b", Body=b"12")


def test_bucket_quotas_that_cannot_be(sqlite_cloud: TestCloud) -> None:
    scene.bucket(sqlite_cloud)
    mallee = sqlite_cloud.client("mallee", validate=False)
    for given, code in (
        ({"BucketName": scene.NAME}, "InvalidParameterException"),
        ({"BucketName": "no-such-bucket", "Bytes": 1}, "BucketNotFoundException"),
        ({"BucketName": scene.NAME, "Bytes": -1}, "ValidationException"),
    ):
        with refused(code, 400):
            mallee.put_bucket_quota(**given)
    with refused("AccessDeniedException", 400):
        sqlite_cloud.account().client("mallee").put_bucket_quota(BucketName=scene.NAME, Bytes=1)


# ------------------------------------------------------------------------------------------------------------- records


def records_of(account: Account, **given: Any) -> list[dict[str, Any]]:
    found = account.client("mallee").get_paginator("list_bucket_usage_records").paginate(PaginationConfig={"PageSize": 1}, **given)
    return [each for page in found for each in page["Records"]]


def test_records_day_by_day(cloud: TestCloud) -> None:
    owner = cloud.account()
    now = cloud.clock.now()
    cloud.clock.advance((now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - now).total_seconds())
    s3 = scene.bucket(cloud, account=owner)
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"1234567890")
    began = f"{cloud.clock.now():%Y-%m-%d}"
    sample(cloud)
    sample(cloud)  # at the same moment: nothing is counted twice
    cloud.clock.advance(12 * 3600)
    sample(cloud)
    (first,) = records_of(owner, Since=began)
    assert (first["Day"], first["BucketName"], first["AccountId"], first["Objects"], first["Bytes"]) == (began, scene.NAME, owner.id, 1, 10)
    assert first["ByteHours"] == pytest.approx(120)
    s3.put_object(Bucket=scene.NAME, Key="b", Body=b"1234567890")
    s3.delete_object(Bucket=scene.NAME, Key="a")
    cloud.clock.advance(18 * 3600)  # 6 hours into the next day
    sample(cloud)
    first, second = records_of(owner)
    assert first["ByteHours"] == pytest.approx(240)
    assert (second["ByteHours"], second["Bytes"], second["PeakBytes"]) == (pytest.approx(60), 10, 10)
    assert records_of(owner, Since=second["Day"]) == [second] and records_of(owner, Until=began) == [first]
    assert records_of(cloud.account()) == []
    assert records_of(cloud.admin, BucketName=scene.NAME) == [first, second]
    s3.delete_object(Bucket=scene.NAME, Key="b")
    s3.delete_bucket(Bucket=scene.NAME)
    cloud.clock.advance(3600)
    sample(cloud)
    gone = records_of(owner)[-1]
    assert (gone["Bytes"], gone["PeakBytes"], gone["ByteHours"]) == (0, 10, pytest.approx(70))


def sample(cloud: TestCloud) -> None:
    record_usage(cloud.database, cloud.clock)


def test_records_say_what_is_no_day(sqlite_cloud: TestCloud) -> None:
    with refused("InvalidParameterException", 400):
        sqlite_cloud.client("mallee").list_bucket_usage_records(Since="2026-13-01")
    with refused("InvalidParameterException", 400):
        sqlite_cloud.client("mallee").list_bucket_usage_records(NextToken="bm8=")


# --------------------------------------------------------------------------------------------------- state, probe, audit


def test_the_state_of_the_store(cloud: TestCloud) -> None:
    s3 = scene.bucket(cloud)
    s3.put_object(Bucket=scene.NAME, Key="a", Body=b"123")
    found = cloud.client("mallee").describe_object_store()["ObjectStore"]
    assert (found["Engine"], found["Copies"], found["Owed"], found["Faults"]) == ("local", 1, 0, [])
    (disk,) = found["Disks"]
    assert 0 < disk["FreeBytes"] < disk["TotalBytes"] and "Fault" not in disk
    assert found["Bytes"] >= 3 and found["Packs"] >= 1
    s3.put_bucket_lifecycle_configuration(
        Bucket=scene.NAME, LifecycleConfiguration={"Rules": [{"ID": "r", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 9}}]}
    )
    cloud.run(seconds=120)
    found = cloud.client("mallee").describe_object_store()["ObjectStore"]
    assert [(each["Name"], each["BucketName"]) for each in found["Walks"]] == [("lifecycle", scene.NAME)]
    assert (found["LastScrub"]["Damaged"], found["LastScrub"]["BeganAt"] <= found["LastScrub"]["EndedAt"]) == (0, True)


def test_a_round_trip(cloud: TestCloud) -> None:
    mallee = cloud.client("mallee")
    for _ in range(2):
        assert mallee.probe_object_store()["Bytes"] > 100_000
    assert usage_of(cloud, "mallee-probe")["Objects"] == 0
    assert usage_of(cloud, "mallee-probe")["Internal"] is True


def audit(cloud: TestCloud, page: int = 2, **given: Any) -> tuple[int, list[str]]:
    checked, differences = 0, []
    token: dict[str, str] = {}
    while True:
        answer = cloud.client("mallee").audit_object_store(MaxResults=page, **given, **token)
        checked += answer["Checked"]
        differences += answer["Differences"]
        if "NextToken" not in answer:
            return checked, differences
        token = {"NextToken": answer["NextToken"]}


def test_an_audit_of_a_healthy_store(cloud: TestCloud) -> None:
    s3 = scene.bucket(cloud, versioning="Enabled")
    for number in range(7):
        s3.put_object(Bucket=scene.NAME, Key=f"k{number % 3}", Body=bytes(LARGE if number % 2 else 100))
    s3.delete_object(Bucket=scene.NAME, Key="k0")
    upload = s3.create_multipart_upload(Bucket=scene.NAME, Key="u")["UploadId"]
    s3.upload_part(Bucket=scene.NAME, Key="u", UploadId=upload, PartNumber=1, Body=io.BytesIO(bytes(LARGE)))
    checked, differences = audit(cloud)
    assert differences == [] and checked >= 16
    assert audit(cloud, Every=1000)[0] < checked
    assert auditing.audit(store.at(cloud.database), ["contents"], age=0.0).differences == []


def test_an_audit_finds_what_is_missing_and_what_is_nobodys(cloud: TestCloud) -> None:
    s3 = scene.bucket(cloud)
    for key, size in (("small", 100), ("large", LARGE), ("kept", 100)):
        s3.put_object(Bucket=scene.NAME, Key=key, Body=bytes(size))
    objects = store.at(cloud.database)
    with cloud.database.reading() as tx:
        found = records.bucket(tx, scene.NAME)
    assert found is not None
    with objects.index.reading() as tx:
        large = versions.current(tx, found.id, b"large")
    assert large is not None
    objects.engine.discard([large.content[0][0]])
    label = {"kind": "object", "bucket": found.id, "key": "bm9ib2R5"}
    (orphan,) = objects.engine.append([(label, b"nobody's")])
    writer = objects.engine.writer()
    writer.write(b"nobody's either")
    other = writer.finish(label)
    objects.index.run(lambda tx: usage.add(tx, found.id, objects=1))
    _, differences = audit(cloud, page=100)
    assert [each for each in differences if "is not there" in each] == [
        f"s3_current {found.id}/large refers to {large.content[0][0]}, which is not there"
    ]
    assert any("objects 3 and not 4" in each for each in differences)
    told = auditing.audit(objects, ["contents"], age=-60.0).differences
    assert sorted(told) == sorted(f"{location} is there, and nobody refers to it" for location in (orphan, other))
    objects.index.run(lambda tx: garbage.let_go(tx, [(orphan, 1), (other, 1)]))


def test_metrics(sqlite_cloud: TestCloud) -> None:
    scene.bucket(sqlite_cloud).put_object(Bucket=scene.NAME, Key="a", Body=b"123")
    text = sqlite_cloud.cloud.metrics.text()
    assert "mallee_objects_up 1" in text and 'mallee_objects_bytes{kind="current"} ' in text
    for name in ("garbage", "disk_free_bytes", "owed", "faults", "dead_bytes"):
        assert f"# TYPE mallee_objects_{name} gauge" in text
