"""Multipart uploads through boto3: parts, order, sizes, checksums, repetition, listings, copies of parts."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mallee.objects import checksums, store
from tests.cloud.harness import TestCloud, refused
from tests.cloud.s3 import NAME, bucket, version

PART = 5 * 1024 * 1024
BODIES = (os.urandom(PART), os.urandom(PART + 3), b"the end")
WHOLE = b"".join(BODIES)


def begin(s3: Any, key: str = "key", **options: Any) -> str:
    return str(s3.create_multipart_upload(Bucket=NAME, Key=key, **options)["UploadId"])


def send(s3: Any, upload: str, bodies: tuple[bytes, ...] = BODIES, key: str = "key", **options: Any) -> list[dict[str, Any]]:
    told = []
    for number, body in enumerate(bodies, 1):
        answer = s3.upload_part(Bucket=NAME, Key=key, UploadId=upload, PartNumber=number, Body=body, **options)
        sums = {name: value for name, value in answer.items() if name.startswith("Checksum") and name != "ChecksumType"}
        told.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
    return told


def complete(s3: Any, upload: str, parts: list[dict[str, Any]], key: str = "key", **options: Any) -> Any:
    return s3.complete_multipart_upload(Bucket=NAME, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **options)


def test_parts_become_an_object(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    upload = begin(s3, Metadata={"a": "b"}, ContentType="text/x", Tagging="t=1")
    assert "Contents" not in s3.list_objects_v2(Bucket=NAME)
    parts = send(s3, upload)
    told = complete(s3, upload, parts)
    expected = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in BODIES)).hexdigest()
    assert told["ETag"] == f'"{expected}-3"' and told["Bucket"] == NAME and told["Key"] == "key"
    assert told["Location"].endswith(f"/{NAME}/key")
    found = s3.get_object(Bucket=NAME, Key="key")
    assert found["Body"].read() == WHOLE
    assert found["Metadata"] == {"a": "b"} and found["ContentType"] == "text/x" and found["TagCount"] == 1
    assert s3.list_multipart_uploads(Bucket=NAME).get("Uploads", []) == []
    with refused("NoSuchUpload", 404):
        s3.list_parts(Bucket=NAME, Key="key", UploadId=upload)
    with refused("NoSuchUpload", 404):
        s3.upload_part(Bucket=NAME, Key="key", UploadId=upload, PartNumber=1, Body=b"x")


def test_reads_by_part_number_and_across_parts(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    upload = begin(s3)
    complete(s3, upload, send(s3, upload))
    for number, body in enumerate(BODIES, 1):
        part = s3.get_object(Bucket=NAME, Key="key", PartNumber=number)
        assert part["Body"].read() == body and part["PartsCount"] == 3
        assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
        head = s3.head_object(Bucket=NAME, Key="key", PartNumber=number)
        assert head["ContentLength"] == len(body) and head["PartsCount"] == 3
    with refused("InvalidPartNumber", 416):
        s3.get_object(Bucket=NAME, Key="key", PartNumber=4)
    with refused("InvalidRequest", 400):
        s3.get_object(Bucket=NAME, Key="key", PartNumber=1, Range="bytes=0-1")
    for first, last in ((0, 0), (PART - 1, PART), (PART, PART), (2 * PART, 2 * PART + 9), (len(WHOLE) - 8, len(WHOLE) + 8)):
        got = s3.get_object(Bucket=NAME, Key="key", Range=f"bytes={first}-{last}")["Body"].read()
        assert got == WHOLE[first : last + 1]


def test_what_a_completion_refuses(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    upload = begin(s3)
    parts = send(s3, upload, (b"small", BODIES[0], b"end"))
    with refused("EntityTooSmall", 400):
        complete(s3, upload, parts)
    with refused("InvalidPartOrder", 400):
        complete(s3, upload, [parts[1], parts[0]])
    with refused("InvalidPartOrder", 400):
        complete(s3, upload, [parts[1], parts[1]])
    with refused("InvalidPart", 400):
        complete(s3, upload, [parts[1], {"PartNumber": 9, "ETag": parts[2]["ETag"]}])
    with refused("InvalidPart", 400):
        complete(s3, upload, [{"PartNumber": 2, "ETag": parts[2]["ETag"]}])
    with refused("MalformedXML", 400):
        complete(s3, upload, [])
    with refused("InvalidRequest", 400):
        complete(s3, upload, parts[1:], MpuObjectSize=1)
    assert complete(s3, upload, parts[1:], MpuObjectSize=PART + 3)["ETag"].endswith('-2"')
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == BODIES[0] + b"end"


def test_a_part_may_be_sent_again(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    upload = begin(s3)
    send(s3, upload, (b"first", b"second"))
    parts = send(s3, upload, (BODIES[0], b"other"))
    listed = s3.list_parts(Bucket=NAME, Key="key", UploadId=upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, PART), (2, 5)]
    complete(s3, upload, parts)
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == BODIES[0] + b"other"


def test_a_completion_that_is_repeated_is_answered_the_same(cloud: TestCloud) -> None:
    s3 = bucket(cloud, versioning="Enabled")
    upload = begin(s3)
    parts = send(s3, upload)
    first = complete(s3, upload, parts)
    again = complete(s3, upload, parts)
    assert (first["ETag"], first["VersionId"]) == (again["ETag"], again["VersionId"])
    assert len(s3.list_object_versions(Bucket=NAME)["Versions"]) == 1
    with refused("NoSuchUpload", 404):
        complete(s3, upload, parts[:1])


def test_of_completions_at_once_one_makes_the_object(cloud: TestCloud) -> None:
    s3 = bucket(cloud, versioning="Enabled")
    upload = begin(s3)
    parts = send(s3, upload)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: complete(s3, upload, parts)["VersionId"], range(8)))
    assert len(set(told)) == 1
    assert len(s3.list_object_versions(Bucket=NAME)["Versions"]) == 1


def test_an_abort_leaves_nothing(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    upload = begin(s3)
    parts = send(s3, upload)
    s3.abort_multipart_upload(Bucket=NAME, Key="key", UploadId=upload)
    with refused("NoSuchUpload", 404):
        s3.abort_multipart_upload(Bucket=NAME, Key="key", UploadId=upload)
    with refused("NoSuchUpload", 404):
        complete(s3, upload, parts)
    s3.delete_bucket(Bucket=NAME)


def test_an_upload_is_of_one_key(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    upload = begin(s3)
    with refused("NoSuchUpload", 404):
        s3.upload_part(Bucket=NAME, Key="other", UploadId=upload, PartNumber=1, Body=b"x")
    with refused("InvalidArgument", 400):
        s3.upload_part(Bucket=NAME, Key="key", UploadId=upload, PartNumber=0, Body=b"x")
    with refused("InvalidArgument", 400):
        s3.upload_part(Bucket=NAME, Key="key", UploadId=upload, PartNumber=10_001, Body=b"x")
    s3.upload_part(Bucket=NAME, Key="key", UploadId=upload, PartNumber=10_000, Body=b"x")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_composite_checksums(sqlite_cloud: TestCloud, algorithm: str) -> None:
    s3 = bucket(sqlite_cloud)
    upload = begin(s3, ChecksumAlgorithm=algorithm)
    parts = send(s3, upload, ChecksumAlgorithm=algorithm)
    member = checksums.MEMBERS[algorithm]
    assert [part[member] for part in parts] == [checksums.encoded(checksums.of(algorithm, body)) for body in BODIES]
    with refused("InvalidRequest", 400):
        complete(s3, upload, [{name: part[name] for name in ("PartNumber", "ETag")} for part in parts])
    with refused("InvalidPart", 400):
        complete(s3, upload, [parts[0], parts[1] | {member: parts[0][member]}, parts[2]])
    told = complete(s3, upload, parts)
    assert told[member] == checksums.composite(algorithm, [checksums.of(algorithm, body) for body in BODIES])
    assert told["ChecksumType"] == "COMPOSITE"
    assert s3.head_object(Bucket=NAME, Key="key", ChecksumMode="ENABLED")[member] == told[member]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksums(sqlite_cloud: TestCloud, algorithm: str) -> None:
    s3 = bucket(sqlite_cloud)
    member, whole = checksums.MEMBERS[algorithm], checksums.encoded(checksums.of(algorithm, WHOLE))
    upload = begin(s3, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    parts = send(s3, upload, ChecksumAlgorithm=algorithm)
    with refused("BadDigest", 400):
        complete(s3, upload, parts, ChecksumType="FULL_OBJECT", **{member: checksums.encoded(checksums.of(algorithm, b"else"))})
    told = complete(s3, upload, parts, ChecksumType="FULL_OBJECT", **{member: whole})
    assert told[member] == whole and told["ChecksumType"] == "FULL_OBJECT"


def test_checksum_types_that_cannot_be(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    with refused("InvalidRequest", 400):
        begin(s3, ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT")
    with refused("InvalidRequest", 400):
        begin(s3, ChecksumAlgorithm="CRC64NVME", ChecksumType="COMPOSITE")
    upload = begin(s3, ChecksumAlgorithm="SHA256")
    with refused("InvalidRequest", 400):
        s3.upload_part(Bucket=NAME, Key="key", UploadId=upload, PartNumber=1, Body=b"x", ChecksumAlgorithm="CRC32")


def test_listings_go_on_where_they_ended(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    ids = []
    for key in ("a", "a", "b/1", "b/2", "c"):
        ids.append((key, begin(s3, key)))
        cloud.clock.advance(1)
    seen: list[tuple[str, str]] = []
    markers: dict[str, str] = {}
    while True:
        page = s3.list_multipart_uploads(Bucket=NAME, MaxUploads=2, **markers)
        seen += [(one["Key"], one["UploadId"]) for one in page["Uploads"]]
        if not page["IsTruncated"]:
            break
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert seen == ids
    rolled = s3.list_multipart_uploads(Bucket=NAME, Delimiter="/")
    assert [each["Prefix"] for each in rolled["CommonPrefixes"]] == ["b/"] and len(rolled["Uploads"]) == 3
    assert len(s3.list_multipart_uploads(Bucket=NAME, Prefix="b/")["Uploads"]) == 2
    upload = ids[0][1]
    send(s3, upload, (b"1", b"2", b"3"), "a")
    first = s3.list_parts(Bucket=NAME, Key="a", UploadId=upload, MaxParts=2)
    assert [part["PartNumber"] for part in first["Parts"]] == [1, 2] and first["IsTruncated"] and first["NextPartNumberMarker"] == 2
    rest = s3.list_parts(Bucket=NAME, Key="a", UploadId=upload, PartNumberMarker=2)
    assert [part["PartNumber"] for part in rest["Parts"]] == [3] and not rest["IsTruncated"]


def test_conditions_of_a_completion(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    there = s3.put_object(Bucket=NAME, Key="key", Body=b"there")["ETag"]
    upload = begin(s3)
    parts = send(s3, upload)
    with refused("PreconditionFailed", 412):
        complete(s3, upload, parts, IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        complete(s3, upload, parts, IfMatch='"else"')
    complete(s3, upload, parts, IfMatch=there)


def test_parts_are_copied(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    s3.put_object(Bucket=NAME, Key="source +ü", Body=WHOLE)
    upload = begin(s3)
    source = {"Bucket": NAME, "Key": "source +ü"}
    one = s3.upload_part_copy(Bucket=NAME, Key="key", UploadId=upload, PartNumber=1, CopySource=source)
    two = s3.upload_part_copy(
        Bucket=NAME, Key="key", UploadId=upload, PartNumber=2, CopySource=source, CopySourceRange=f"bytes=5-{PART + 4}"
    )
    for wrong in ("bytes=5-", "5-9", "bytes=9-5", f"bytes=0-{len(WHOLE)}"):
        with refused("InvalidArgument", 400):
            s3.upload_part_copy(Bucket=NAME, Key="key", UploadId=upload, PartNumber=3, CopySource=source, CopySourceRange=wrong)
    parts = [{"PartNumber": n, "ETag": told["CopyPartResult"]["ETag"]} for n, told in enumerate((one, two), 1)]
    complete(s3, upload, parts)
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == WHOLE + WHOLE[5 : PART + 5]


def test_versions_of_uploads(cloud: TestCloud) -> None:
    s3 = bucket(cloud)
    upload = begin(s3)
    complete(s3, upload, send(s3, upload))
    version(s3)
    upload = begin(s3)
    told = complete(s3, upload, send(s3, upload, (b"new",)))
    versions = s3.list_object_versions(Bucket=NAME)["Versions"]
    assert [each["VersionId"] for each in versions] == [told["VersionId"], "null"]
    assert s3.get_object(Bucket=NAME, Key="key", VersionId="null")["Body"].read() == WHOLE


@pytest.mark.parametrize(
    "options",
    [
        {"ServerSideEncryption": "AES256"},
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/mine"},
        {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": b"k" * 32},
    ],
    ids=["S3", "KMS", "C"],
)
def test_encrypted_parts(sqlite_cloud: TestCloud, options: dict[str, Any]) -> None:
    sqlite_cloud.scheme = "https"  # a customer's key goes over no open wire
    s3 = bucket(sqlite_cloud)
    customer = {name: value for name, value in options.items() if name.startswith("SSECustomer")}
    upload = begin(s3, **options)
    if customer:
        with refused("InvalidRequest", 400):
            send(s3, upload, (b"x",))
    complete(s3, upload, send(s3, upload, **customer))
    assert s3.get_object(Bucket=NAME, Key="key", **customer)["Body"].read() == WHOLE
    got = s3.get_object(Bucket=NAME, Key="key", Range=f"bytes={PART - 2}-{PART + 1}", **customer)
    assert got["Body"].read() == WHOLE[PART - 2 : PART + 2]
    held = store.at(sqlite_cloud.database).engine
    with store.at(sqlite_cloud.database).index.reading() as tx:
        from mallee.objects.index import versions
        from mallee.objects.records import bucket as named

        with sqlite_cloud.database.reading() as main:
            found = named(main, NAME)
        assert found is not None
        version = versions.current(tx, found.id, b"key")
    assert version is not None
    for location, _ in version.content:
        content = held.open(location)
        assert WHOLE[:64] not in content.read(0, content.size) and BODIES[1][:64] not in content.read(0, content.size)
        content.close()
