"""Inventories: what is in the lists, where they are, how often they come."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
from typing import Any

import pytest

from mallee.objects.upkeep import inventory, walking
from tests.cloud.harness import TestCloud, refused
from tests.cloud.s3 import allow, bucket

SOURCE, TARGET = "the-source", "the-target"
DAY = 86400.0
FIELDS = [
    "Size", "LastModifiedDate", "ETag", "StorageClass", "IsMultipartUploaded", "ReplicationStatus", "EncryptionStatus",
    "ObjectLockRetainUntilDate", "ObjectLockMode", "ObjectLockLegalHoldStatus", "IntelligentTieringAccessTier", "BucketKeyStatus",
    "ChecksumAlgorithm", "ObjectAccessControlList", "ObjectOwner",
]  # fmt: skip


def configuration(id: str = "list", versions: str = "Current", fields: Any = (), often: str = "Daily", to: Any = None, **more: Any) -> Any:
    destination = {"Bucket": f"arn:aws:s3:::{TARGET}", "Format": "CSV", "Prefix": "lists", **(to or {})}
    return {
        "Id": id, "IsEnabled": True, "IncludedObjectVersions": versions, "Schedule": {"Frequency": often}, "OptionalFields": list(fields),
        "Destination": {"S3BucketDestination": destination}, **more,
    }  # fmt: skip


def configure(s3: Any, *given: Any, **options: Any) -> None:
    made = given[0] if given else configuration(**options)
    s3.put_bucket_inventory_configuration(Bucket=SOURCE, Id=made["Id"], InventoryConfiguration=made)


def pair(cloud: TestCloud, **options: Any) -> Any:
    s3 = bucket(cloud, SOURCE, **options)
    bucket(cloud, TARGET)
    let_in(s3)
    return s3


def let_in(s3: Any) -> None:
    allow(s3, "s3:PutObject", name=TARGET, to={"Service": "s3.amazonaws.com"}, ArnLike={"aws:SourceArn": f"arn:aws:s3:::{SOURCE}"})


def manifests(s3: Any) -> list[dict[str, Any]]:
    found = [each["Key"] for each in s3.list_objects_v2(Bucket=TARGET).get("Contents", ())]
    return [json.loads(read(s3, key)) for key in found if key.endswith("manifest.json")]


def read(s3: Any, key: str) -> bytes:
    return s3.get_object(Bucket=TARGET, Key=key)["Body"].read()  # type: ignore[no-any-return]


def rows(s3: Any, manifest: dict[str, Any]) -> list[dict[str, str]]:
    names = manifest["fileSchema"].split(", ")
    found = []
    for file in manifest["files"]:
        data = read(s3, file["key"])
        assert file["size"] == len(data) and file["MD5checksum"] == hashlib.md5(data).hexdigest()
        found += [dict(zip(names, row, strict=True)) for row in csv.reader(io.StringIO(gzip.decompress(data).decode()))]
    return found


def test_a_list_of_latest_versions_with_all_fields(cloud: TestCloud) -> None:
    s3 = pair(cloud, lock=True, ownership="ObjectWriter", public=True)
    s3.put_object(Bucket=SOURCE, Key="a/plain \"key\", ü", Body=b"12345")
    s3.put_object(
        Bucket=SOURCE, Key="b", Body=b"", ServerSideEncryption="AES256", StorageClass="STANDARD_IA", ChecksumAlgorithm="SHA1",
        ObjectLockLegalHoldStatus="ON", ACL="public-read",
    )  # fmt: skip
    s3.put_object(Bucket=SOURCE, Key="gone", Body=b"")
    s3.delete_object(Bucket=SOURCE, Key="gone")
    configure(s3, fields=FIELDS)
    cloud.run()
    (manifest,) = manifests(s3)
    assert manifest["sourceBucket"] == SOURCE and manifest["destinationBucket"] == f"arn:aws:s3:::{TARGET}"
    assert manifest["fileFormat"] == "CSV" and manifest["version"] == "2016-11-30"
    assert manifest["fileSchema"] == "Bucket, Key, " + ", ".join(FIELDS)
    plain, full = rows(s3, manifest)
    canonical = s3.list_buckets()["Owner"]["ID"]
    assert plain["Key"] == "a/plain%20%22key%22%2C%20%C3%BC" and plain["Size"] == "5" and plain["ETag"] == hashlib.md5(b"12345").hexdigest()
    assert plain["LastModifiedDate"].startswith("2024-01-01T") and plain["LastModifiedDate"].endswith("Z")
    assert plain["EncryptionStatus"] == "NOT-SSE" and plain["ObjectOwner"] == canonical and plain["IsMultipartUploaded"] == "false"
    assert full["EncryptionStatus"] == "SSE-S3" and full["StorageClass"] == "STANDARD_IA" and full["ChecksumAlgorithm"] == "SHA1"
    assert full["ObjectLockLegalHoldStatus"] == "ON"
    grants = json.loads(base64.b64decode(full["ObjectAccessControlList"]))["grants"]
    assert {"uri": "http://acs.amazonaws.com/groups/global/AllUsers", "type": "Group", "permission": "READ"} in grants


def test_where_the_files_are(cloud: TestCloud) -> None:
    s3 = pair(cloud)
    s3.put_object(Bucket=SOURCE, Key="key", Body=b"")
    configure(s3, to={"Encryption": {"SSES3": {}}})
    cloud.run()
    found = {each["Key"] for each in s3.list_objects_v2(Bucket=TARGET)["Contents"]}
    at = cloud.clock.now()
    folder = f"lists/{SOURCE}/list"
    (data,) = [each for each in found if each.startswith(f"{folder}/data/") and each.endswith(".csv.gz")]
    manifest = f"{folder}/{at:%Y-%m-%dT%H-%MZ}/manifest"
    link = f"{folder}/hive/dt={at:%Y-%m-%d-%H-%M}/symlink.txt"
    assert found == {data, f"{manifest}.json", f"{manifest}.checksum", link}
    assert read(s3, f"{manifest}.checksum").decode() == hashlib.md5(read(s3, f"{manifest}.json")).hexdigest()
    assert read(s3, link).decode() == f"s3://{TARGET}/{data}"
    assert s3.head_object(Bucket=TARGET, Key=data)["ServerSideEncryption"] == "AES256"


def test_all_versions_of_a_prefix(cloud: TestCloud) -> None:
    s3 = pair(cloud, versioning="Enabled")
    for key in ("a", "b/", "b/1", "b/1", "b0", "c"):
        s3.put_object(Bucket=SOURCE, Key=key, Body=b"")
    marker = s3.delete_object(Bucket=SOURCE, Key="b/1")["VersionId"]
    configure(s3, versions="All", Filter={"Prefix": "b/"})
    cloud.run()
    (manifest,) = manifests(s3)
    found = rows(s3, manifest)
    assert manifest["fileSchema"] == "Bucket, Key, VersionId, IsLatest, IsDeleteMarker"
    assert sorted((each["Key"], each["IsLatest"], each["IsDeleteMarker"]) for each in found) == [
        ("b/", "true", "false"), ("b/1", "false", "false"), ("b/1", "false", "false"), ("b/1", "true", "true"),
    ]  # fmt: skip
    assert [each["VersionId"] for each in found if each["IsDeleteMarker"] == "true"] == [marker]


def test_every_day_or_every_sunday(cloud: TestCloud) -> None:
    s3 = pair(cloud)
    configure(s3, id="daily")
    configure(s3, id="weekly", often="Weekly")
    configure(s3, {**configuration("off"), "IsEnabled": False})

    def count() -> tuple[int, int, int]:
        found = [each["Key"] for each in s3.list_objects_v2(Bucket=TARGET).get("Contents", ()) if each["Key"].endswith("json")]
        return tuple(sum(f"/{id}/" in key for key in found) for id in ("daily", "weekly", "off"))  # type: ignore[return-value]

    cloud.run()
    cloud.run()
    assert count() == (1, 1, 0)  # a Monday
    for _ in range(7):
        cloud.clock.advance(DAY)
        cloud.run()
    assert count() == (8, 2, 0)
    configure(s3, id="weekly", often="Weekly", fields=["Size"])
    cloud.clock.advance(60)
    cloud.run()
    assert count() == (8, 3, 0)


def test_an_empty_bucket_and_one_that_lets_nothing_in(cloud: TestCloud) -> None:
    s3 = pair(cloud)
    s3.delete_bucket_policy(Bucket=TARGET)
    configure(s3)
    cloud.run()
    assert manifests(s3) == []
    let_in(s3)
    cloud.clock.advance(DAY)
    cloud.run()
    (manifest,) = manifests(s3)
    assert rows(s3, manifest) == [] and len(manifest["files"]) == 1


def test_what_is_not_there_is_refused(cloud: TestCloud) -> None:
    s3 = pair(cloud)
    for given in ({"to": {"Format": "Parquet"}}, {"to": {"Format": "ORC"}}, {"fields": ["LifecycleExpirationDate"]}):
        with refused("NotImplemented", 501):
            configure(s3, **given)


def test_a_long_list_has_several_files(sqlite_cloud: TestCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = pair(sqlite_cloud, versioning="Enabled")
    for number in range(25):
        s3.put_object(Bucket=SOURCE, Key=f"{number // 2:03}", Body=b"")
    monkeypatch.setattr(walking, "PIECE", 3)
    monkeypatch.setattr(inventory, "MOST_ROWS", 7)
    configure(s3, versions="All")
    sqlite_cloud.run()
    (manifest,) = manifests(s3)
    assert len(manifest["files"]) > 2
    assert len({(each["Key"], each["VersionId"]) for each in rows(s3, manifest)}) == 25
