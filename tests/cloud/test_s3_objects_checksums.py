"""Checksums of objects: each algorithm by header, by trailer and by nobody; wrong ones; the digest of the signature."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from mallee.objects import checksums
from tests.cloud import s3 as tools
from tests.cloud.harness import ENDPOINT, TestCloud, refused
from tests.cloud.s3 import NAME

ALGORITHMS = sorted(checksums.ALGORITHMS)
MEMBER = {each: f"Checksum{each}" for each in ALGORITHMS}


def of(algorithm: str, data: bytes) -> str:
    return base64.b64encode(checksums.of(algorithm, data)).decode()


def send(
    cloud: TestCloud, body: bytes, headers: dict[str, str], *, trailing: bool = False, signed: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    """A PUT that boto3 would not make. ``signed``: what is signed in place of the body."""
    request = AWSRequest("PUT", f"{ENDPOINT}/{NAME}/key", headers=headers, data=body if signed is None else signed)
    request.context = {"client_config": Config(), "signing": {}}
    if trailing:
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    given = cloud.admin.credentials
    S3SigV4Auth(Credentials(given.access_key_id, given.secret_access_key), "s3", cloud.settings.region).add_auth(request)
    sent = [(name.lower().encode(), str(value).encode()) for name, value in request.headers.items()]
    sent += [(b"host", ENDPOINT.removeprefix("http://").encode()), (b"content-length", str(len(body)).encode())]
    return cloud.request("PUT", f"/{NAME}/key", "", sent, body)


def chunked(data: bytes, *trailers: str, size: int = 65_536) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return framed + b"0\r\n" + "".join(f"{each}\r\n" for each in trailers).encode() + b"\r\n"


def trailing(data: bytes, name: str, *, decoded: int | None = None) -> dict[str, str]:
    length = len(data) if decoded is None else decoded
    return {"x-amz-decoded-content-length": str(length), "x-amz-trailer": name, "Content-Encoding": "aws-chunked"}


@pytest.mark.parametrize("size", [0, 5, 300_000])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_by_header_and_by_trailer(sqlite_cloud: TestCloud, algorithm: str, size: int) -> None:
    s3 = tools.bucket(sqlite_cloud)
    data = os.urandom(size)
    value, header = of(algorithm, data), f"x-amz-checksum-{algorithm.lower()}"
    wrong = of(algorithm, b"something else")
    for body, headers, form in (
        (data, {header: value}, False),
        (chunked(data, f"{header}:{value}"), trailing(data, header), True),
    ):
        status, answered, document = send(sqlite_cloud, body, headers, trailing=form)
        assert status == 200, document
        assert answered[header] == value and answered["x-amz-checksum-type"] == "FULL_OBJECT"
        told = s3.head_object(Bucket=NAME, Key="key", ChecksumMode="ENABLED")
        assert told[MEMBER[algorithm]] == value and told["ChecksumType"] == "FULL_OBJECT" and "ContentEncoding" not in told
        assert MEMBER[algorithm] not in s3.head_object(Bucket=NAME, Key="key")
        got = s3.get_object(Bucket=NAME, Key="key", ChecksumMode="ENABLED")
        assert got["Body"].read() == data and got[MEMBER[algorithm]] == value
        assert s3.list_objects_v2(Bucket=NAME)["Contents"][0]["ChecksumAlgorithm"] == [algorithm]
    for body, headers, form in (
        (data, {header: wrong}, False),
        (chunked(data, f"{header}:{wrong}"), trailing(data, header), True),
    ):
        status, _, document = send(sqlite_cloud, body, headers, trailing=form)
        assert status == 400 and b"<Code>BadDigest</Code>" in document
        assert f"The {algorithm} you specified did not match the calculated checksum.".encode() in document
    for body, headers, form in (
        (data, {header: "nonsense"}, False),
        (data, {header: "AAA="}, False),
        (chunked(data, f"{header}:nonsense"), trailing(data, header), True),
    ):
        status, _, document = send(sqlite_cloud, body, headers, trailing=form)
        assert status == 400 and b"<Code>InvalidRequest</Code>" in document
    assert s3.get_object(Bucket=NAME, Key="key")["Body"].read() == data


def test_by_nobody(cloud: TestCloud) -> None:
    """Objects that come without any get a CRC64NVME, as AWS's do since December 2024."""
    s3 = tools.bucket(cloud)
    status, answered, _ = send(cloud, b"hello", {})
    assert status == 200 and answered["x-amz-checksum-crc64nvme"] == of("CRC64NVME", b"hello")
    assert s3.head_object(Bucket=NAME, Key="key", ChecksumMode="ENABLED")["ChecksumCRC64NVME"] == of("CRC64NVME", b"hello")


def test_boto3_of_its_own(cloud: TestCloud) -> None:
    s3 = tools.bucket(cloud)
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
        made = s3.put_object(Bucket=NAME, Key="key", Body=b"hello", ChecksumAlgorithm=algorithm)
        assert made[MEMBER[algorithm]] == of(algorithm, b"hello")
        assert s3.get_object(Bucket=NAME, Key="key", ChecksumMode="ENABLED")["Body"].read() == b"hello"
    with refused("BadDigest", 400):
        s3.put_object(Bucket=NAME, Key="key", Body=b"hello", ChecksumSHA256=of("SHA256", b"other"))
    with refused("InvalidRequest", 400) as told:
        s3.put_object(Bucket=NAME, Key="key", Body=b"hello", ChecksumSHA256=of("SHA256", b"hello"), ChecksumCRC32=of("CRC32", b"hello"))
    assert told() == "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."


def test_bodies_that_are_not_as_they_say(sqlite_cloud: TestCloud) -> None:
    tools.bucket(sqlite_cloud)

    def code(*given: Any, **more: Any) -> tuple[int, str]:
        status, _, document = send(sqlite_cloud, *given, **more)
        return status, document.decode().partition("<Code>")[2].partition("<")[0]

    header, value = "x-amz-checksum-crc32", of("CRC32", b"hello")
    for data in (b"jello", b"j" * 300_000):
        assert code(data, {}, signed=b"hello") == (400, "XAmzContentSHA256Mismatch")
    body = chunked(b"hello", f"{header}:{value}")
    assert code(body, trailing(b"hello", header, decoded=6), trailing=True) == (400, "IncompleteBody")
    assert code(body, trailing(b"hello", header, decoded=4), trailing=True) == (400, "IncompleteBody")
    assert code(chunked(b"hello"), trailing(b"hello", header), trailing=True) == (400, "MalformedTrailerError")
    assert code(body[:-6], trailing(b"hello", header), trailing=True)[0] == 400
    assert code(b"zz\r\nhello\r\n0\r\n\r\n", trailing(b"hello", header), trailing=True)[0] == 400
    assert code(body, {"x-amz-trailer": header}, trailing=True) == (411, "MissingContentLength")
    assert code(body, trailing(b"hello", "x-amz-checksum-rot13"), trailing=True) == (400, "InvalidRequest")
    assert code(b"hello", {"x-amz-checksum-rot13": "AAAA"}) == (400, "InvalidRequest")
    assert code(b"hello", {"x-amz-sdk-checksum-algorithm": "ROT13"})[0] == 400
    status, _, document = sqlite_cloud.request("GET", f"/{NAME}/key", headers=[(b"host", b"mallee.test")])
    assert status == 403, document
    with refused("NoSuchKey", 404):  # nothing of all that became an object
        sqlite_cloud.client("s3").get_object(Bucket=NAME, Key="key")
