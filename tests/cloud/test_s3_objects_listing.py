"""Listings of objects, version 1 and 2: order, prefixes, delimiters, pages, encodings, owners; and who may."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud, refused
from tests.cloud.people import user
from tests.cloud.s3 import NAME

KEYS = ["a", "b/1", "b/2/x", "b/2/y", "b/3", "c", "d//", "d/e", "é", "😀"]  # in the order of their bytes


def filled(cloud: TestCloud, keys: list[str] = KEYS) -> Any:
    s3 = tools.bucket(cloud)
    for key in keys:
        s3.put_object(Bucket=NAME, Key=key, Body=b"1")
    return s3


def keys(told: dict[str, Any]) -> list[str]:
    return [each["Key"] for each in told.get("Contents", ())]


def prefixes(told: dict[str, Any]) -> list[str]:
    return [each["Prefix"] for each in told.get("CommonPrefixes", ())]


def test_version_2(cloud: TestCloud) -> None:
    s3 = filled(cloud)
    told = s3.list_objects_v2(Bucket=NAME)
    assert keys(told) == KEYS
    assert (told["KeyCount"], told["MaxKeys"], told["IsTruncated"], told["Name"], told["Prefix"]) == (10, 1000, False, NAME, "")
    one = told["Contents"][0]
    assert one == {
        "Key": "a", "LastModified": cloud.clock.now(), "ETag": '"c4ca4238a0b923820dcc509a6f75849b"', "Size": 1, "StorageClass": "STANDARD",
        "ChecksumAlgorithm": ["CRC32"], "ChecksumType": "FULL_OBJECT",
    }  # fmt: skip
    assert "NextContinuationToken" not in told and "StartAfter" not in told
    owned = s3.list_objects_v2(Bucket=NAME, FetchOwner=True)["Contents"][0]["Owner"]
    assert owned["ID"] == s3.list_buckets()["Owner"]["ID"]
    told = s3.list_objects_v2(Bucket=NAME, Delimiter="/")
    assert keys(told) == ["a", "c", "é", "😀"] and prefixes(told) == ["b/", "d/"] and told["KeyCount"] == 6 and told["Delimiter"] == "/"
    told = s3.list_objects_v2(Bucket=NAME, Delimiter="/", Prefix="b/")
    assert keys(told) == ["b/1", "b/3"] and prefixes(told) == ["b/2/"] and told["Prefix"] == "b/"
    assert prefixes(s3.list_objects_v2(Bucket=NAME, Delimiter="2/")) == ["b/2/"]
    assert prefixes(s3.list_objects_v2(Bucket=NAME, Delimiter="/", Prefix="d/")) == ["d//"]
    assert prefixes(s3.list_objects_v2(Bucket=NAME, Delimiter="/", Prefix="b")) == ["b/"]
    assert keys(s3.list_objects_v2(Bucket=NAME, Prefix="nothing")) == []
    assert keys(s3.list_objects_v2(Bucket=NAME, StartAfter="b/3")) == KEYS[5:]
    assert s3.list_objects_v2(Bucket=NAME, StartAfter="b/3")["StartAfter"] == "b/3"
    told = s3.list_objects_v2(Bucket=NAME, Delimiter="/", StartAfter="b/")
    assert prefixes(told)[-1] == "d/" and "a" not in keys(told)
    assert prefixes(s3.list_objects_v2(Bucket=NAME, Delimiter="/", StartAfter="c")) == ["d/"]


@pytest.mark.parametrize("delimiter", ["", "/", "2"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 10])
def test_pages(sqlite_cloud: TestCloud, delimiter: str, size: int) -> None:
    s3 = filled(sqlite_cloud)
    more = {"Delimiter": delimiter} if delimiter else {}
    whole = s3.list_objects_v2(Bucket=NAME, **more)
    expected = keys(whole), prefixes(whole)
    token: dict[str, str] = {}
    found: tuple[list[str], list[str]] = ([], [])
    while True:
        page = s3.list_objects_v2(Bucket=NAME, MaxKeys=size, **more, **token)
        found[0].extend(keys(page))
        found[1].extend(prefixes(page))
        assert page["KeyCount"] == len(keys(page)) + len(prefixes(page)) <= size and page["MaxKeys"] == size
        assert page.get("ContinuationToken") == token.get("ContinuationToken")
        if not page["IsTruncated"]:
            assert "NextContinuationToken" not in page
            break
        assert page["KeyCount"] == size
        token = {"ContinuationToken": page["NextContinuationToken"]}
    assert found == expected
    marker: dict[str, str] = {}
    again: tuple[list[str], list[str]] = ([], [])
    while True:
        page = s3.list_objects(Bucket=NAME, MaxKeys=size, **more, **marker)
        again[0].extend(keys(page))
        again[1].extend(prefixes(page))
        if not page["IsTruncated"]:
            break
        assert ("NextMarker" in page) == bool(delimiter)
        marker = {"Marker": page["NextMarker"] if delimiter else keys(page)[-1]}
    assert again == expected


def test_a_token_outlives_its_place(sqlite_cloud: TestCloud) -> None:
    s3 = filled(sqlite_cloud)
    token = s3.list_objects_v2(Bucket=NAME, MaxKeys=3)["NextContinuationToken"]
    for key in KEYS[:5]:
        s3.delete_object(Bucket=NAME, Key=key)
    s3.put_object(Bucket=NAME, Key="b/2/z", Body=b"")
    assert keys(s3.list_objects_v2(Bucket=NAME, ContinuationToken=token, StartAfter="😀")) == ["b/2/z", *KEYS[5:]]


def test_version_1(cloud: TestCloud) -> None:
    s3 = filled(cloud)
    told = s3.list_objects(Bucket=NAME)
    assert keys(told) == KEYS and told["Marker"] == "" and told["MaxKeys"] == 1000 and "NextMarker" not in told
    assert told["Contents"][0]["Owner"]["ID"] == s3.list_buckets()["Owner"]["ID"]
    assert keys(s3.list_objects(Bucket=NAME, Marker="c")) == KEYS[6:]
    assert s3.list_objects(Bucket=NAME, Marker="c")["Marker"] == "c"


def test_how_many(sqlite_cloud: TestCloud) -> None:
    s3 = filled(sqlite_cloud, KEYS[:3])
    for operation in (s3.list_objects, s3.list_objects_v2):
        told = operation(Bucket=NAME, MaxKeys=0)
        assert keys(told) == [] and told["IsTruncated"] is False and told["MaxKeys"] == 0
        assert operation(Bucket=NAME, MaxKeys=5000)["MaxKeys"] == 1000
        with refused("InvalidArgument", 400):
            operation(Bucket=NAME, MaxKeys=-1)
        with refused("NoSuchBucket", 404):
            operation(Bucket="no-bucket")
        with refused("InvalidArgument", 400) as told:
            sqlite_cloud.client("s3", validate=False).list_objects_v2(Bucket=NAME, EncodingType="base64")
        assert told() == "Invalid Encoding Method specified in Request"
    for token in ("", "x", "€", "MWE", "////"):
        with refused("InvalidArgument", 400) as told:
            s3.list_objects_v2(Bucket=NAME, ContinuationToken=token)
        assert told() == "The continuation token provided is incorrect"


def raw(cloud: TestCloud, s3: Any, query: str) -> ElementTree.Element:
    """The document itself, whose names boto3 would decode."""
    url = s3.generate_presigned_url("list_objects_v2", {"Bucket": NAME})
    tools.allow(s3, "s3:ListBucket", on="")
    status, _, document = tools.presigned(cloud, url.split("?")[0] + "?" + query)
    assert status == 200, document
    return ElementTree.fromstring(document)


def test_encodings(sqlite_cloud: TestCloud) -> None:
    s3 = tools.bucket(sqlite_cloud, public=True)
    for key in ("a b+c", "d/é&<>", "%"):
        s3.put_object(Bucket=NAME, Key=key, Body=b"")
    name = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    found = raw(sqlite_cloud, s3, "list-type=2")
    assert found.tag == f"{name}ListBucketResult"
    assert [each.text for each in found.iter(f"{name}Key")] == ["%", "a b+c", "d/é&<>"] and found.find(f"{name}EncodingType") is None
    found = raw(sqlite_cloud, s3, "list-type=2&encoding-type=url&start-after=%24%25&delimiter=%2F")
    assert [each.text for each in found.iter(f"{name}Key")] == ["%25", "a+b%2Bc"]
    assert found.findtext(f"{name}StartAfter") == "%24%25" and found.findtext(f"{name}EncodingType") == "url"
    found = raw(sqlite_cloud, s3, "encoding-type=url&prefix=d%2F")
    assert [each.text for each in found.iter(f"{name}Key")] == ["d/%C3%A9%26%3C%3E"] and found.findtext(f"{name}Prefix") == "d/"


def test_restore_states(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    for key, kind in (("cold", "GLACIER"), ("colder", "DEEP_ARCHIVE"), ("warm", "STANDARD")):
        s3.put_object(Bucket=NAME, Key=key, Body=b"", StorageClass=kind)
    s3.restore_object(Bucket=NAME, Key="cold", RestoreRequest={"Days": 1})
    for operation, member in ((s3.list_objects_v2, "Contents"), (s3.list_objects, "Contents"), (s3.list_object_versions, "Versions")):
        assert all("RestoreStatus" not in each for each in operation(Bucket=NAME)[member])
        told = {each["Key"]: each.get("RestoreStatus") for each in operation(Bucket=NAME, OptionalObjectAttributes=["RestoreStatus"])[member]}
        assert told["colder"] is None and told["warm"] is None
        assert told["cold"]["IsRestoreInProgress"] is False and told["cold"]["RestoreExpiryDate"] > cloud.clock.now()


def test_who_may(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud, public=True)
    s3.put_object(Bucket=NAME, Key="mine/1", Body=b"")
    lister = user(cloud, "lister", "s3:ListBucket", on=f"arn:aws:s3:::{NAME}").client("s3")
    assert keys(lister.list_objects_v2(Bucket=NAME)) == keys(lister.list_objects(Bucket=NAME)) == ["mine/1"]
    with refused("AccessDenied", 403):
        lister.list_object_versions(Bucket=NAME)
    for who in (user(cloud, "reader", "s3:GetObject").client("s3"), cloud.account().client("s3"), tools.unsigned(cloud)):
        for operation in ("list_objects_v2", "list_objects", "list_object_versions"):
            with refused("AccessDenied", 403):
                getattr(who, operation)(Bucket=NAME)
    tools.allow(s3, "s3:ListBucket", on="", StringEquals={"s3:prefix": "mine/"}, NumericLessThanEquals={"s3:max-keys": "10"})
    nobody = tools.unsigned(cloud)
    assert keys(nobody.list_objects_v2(Bucket=NAME, Prefix="mine/", MaxKeys=10)) == ["mine/1"]
    for other in ({}, {"Prefix": "mine/"}, {"Prefix": "mine/", "MaxKeys": 11}, {"Prefix": "", "MaxKeys": 1}):
        with refused("AccessDenied", 403):
            nobody.list_objects_v2(Bucket=NAME, **other)
