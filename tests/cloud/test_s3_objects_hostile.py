"""Requests that nobody means well: whatever stands in queries, headers and documents, S3 refuses it or does it, and never fails."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

import pytest

from tests.cloud import s3 as tools
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME

Headers = Iterable[tuple[bytes, bytes]]

QUERIES = [
    "%FF", "%", "%zz", "%00", "%0D%0AX-Evil:1", "", "x" * 3000, "-1", "99999999999999999999", "1.5", "%F0%9F%98%80", "%ED%A0%80", "null", "true",
]  # fmt: skip
VALUES = [b"\xff\xfe", b"a\x00b", b" ", b'"', b"=?UTF-8?Q?x?=", b"x" * 3000, b"-1", b"9" * 30, "é".encode(), b"null", b"*"]
DOCUMENTS = [
    b"", b"<", b"<a/>", b"<a>" * 5000, b"\xff\xfe<a/>", b"<Tagging/>", b"<Tagging><TagSet><Tag/></TagSet></Tagging>",
    b'<!DOCTYPE x [<!ENTITY e "x">]><Tagging>&e;</Tagging>', b"<Retention/>", b"<LegalHold><Status/></LegalHold>",
    b"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>never</RetainUntilDate></Retention>",
    b"<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>9999-12-31T23:59:59Z</RetainUntilDate></Retention>",
    b"<RestoreRequest><Days>999999999999</Days></RestoreRequest>", b"<RestoreRequest><Days>2147483647</Days></RestoreRequest>",
    b"<AccessControlPolicy/>", b"<Delete><Object/></Delete>", b"<Delete><Object><Key></Key></Object></Delete>", b"<SelectObjectContentRequest/>",
]  # fmt: skip
OF_READS = (
    "range", "if-match", "if-none-match", "if-modified-since", "if-range", "x-amz-checksum-mode", "x-amz-expected-bucket-owner",
    "x-amz-request-payer", "x-amz-max-parts", "x-amz-part-number-marker",
)  # fmt: skip
OF_WRITES = (
    "x-amz-meta-a", "x-amz-meta-", "content-type", "cache-control", "expires", "content-encoding", "content-md5", "x-amz-acl",
    "x-amz-grant-read", "x-amz-tagging", "x-amz-storage-class", "x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-key",
    "x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-object-lock-legal-hold", "x-amz-checksum-crc32", "x-amz-trailer",
    "x-amz-sdk-checksum-algorithm", "x-amz-website-redirect-location", "x-amz-copy-source", "x-amz-content-sha256",
    "x-amz-decoded-content-length", "x-amz-server-side-encryption-context", "if-none-match", "if-match",
)  # fmt: skip


class Hostile:
    """Whatever it sends, nobody has signed: policies let everybody do everything to two buckets."""

    def __init__(self, cloud: TestCloud) -> None:
        self.cloud = cloud
        self._open(tools.bucket(cloud, public=True, versioning="Enabled"), NAME)
        self._open(tools.bucket(cloud, "locked", public=True, lock=True), "locked")

    def _open(self, s3: Any, name: str) -> None:
        s3.put_object(Bucket=name, Key="key", Body=b"hello")
        s3.put_object(Bucket=name, Key="cold", Body=b"", StorageClass="GLACIER")
        everything = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]}
        s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everything]}))

    def send(self, method: str, path: str, query: str = "", headers: Headers = (), body: bytes = b"") -> int:
        sent = [(b"host", b"mallee.test"), (b"content-length", b"%d" % len(body)), *headers]
        status, told, document = self.cloud.request(method, f"/{path}", query, sent, body)
        assert status < 500 or status == 501, (method, path, query[:80], headers, status, document[:300])
        assert "x-evil" not in told and not any(letter in value for value in told.values() for letter in "\r\n")
        return status


@pytest.fixture
def hostile(sqlite_cloud: TestCloud) -> Hostile:
    return Hostile(sqlite_cloud)


def test_queries(hostile: Hostile) -> None:
    of_listings = {
        "": ("prefix", "delimiter", "marker", "max-keys", "encoding-type"),
        "list-type=2&": ("prefix", "delimiter", "continuation-token", "max-keys", "start-after", "fetch-owner"),
        "versions&": ("prefix", "delimiter", "key-marker", "max-keys"),
        "versions&key-marker=a&": ("version-id-marker",),
        "uploads&": ("prefix", "delimiter", "key-marker", "max-uploads", "upload-id-marker"),
    }
    of_reads = ("versionId", "partNumber", "response-content-disposition", "response-expires", "response-content-type", "uploadId")
    for value in QUERIES:
        for start, names in of_listings.items():
            for name in names:
                hostile.send("GET", NAME, f"{start}{name}={value}")
        for name in of_reads:
            for method in ("GET", "HEAD"):
                hostile.send(method, f"{NAME}/key", f"{name}={value}")
        for sub in ("tagging", "acl", "retention", "legal-hold", "attributes", "restore", "renameObject", "select&select-type=2"):
            for method in ("GET", "PUT", "DELETE", "POST"):
                hostile.send(method, "locked/key", f"{sub}&versionId={value}")
        hostile.send("DELETE", f"{NAME}/key", f"versionId={value}")
        hostile.send("PUT", f"{NAME}/{value}", body=b"1")
        hostile.send("GET", f"{NAME}/{value}")
        hostile.send("GET", f"{value}/key")


def test_headers(hostile: Hostile) -> None:
    for value in VALUES:
        for name in OF_READS:
            hostile.send("GET", f"{NAME}/key", headers=[(name.encode(), value)])
            hostile.send("GET", f"{NAME}/key", "attributes", [(b"x-amz-object-attributes", b"ETag,ObjectParts"), (name.encode(), value)])
        for name in OF_WRITES:
            for bucket in (NAME, "locked"):
                if hostile.send("PUT", f"{bucket}/fuzz", headers=[(name.encode(), value)], body=b"1") == 200:
                    assert hostile.send("GET", f"{bucket}/fuzz") in (200, 400, 403)
                    hostile.send("HEAD", f"{bucket}/fuzz")
        for name in ("x-amz-rename-source", "x-amz-client-token", "x-amz-rename-source-if-match", "if-none-match"):
            hostile.send("PUT", f"{NAME}/fuzz", "renameObject", [(name.encode(), value), (b"x-amz-rename-source", b"key")])


def test_documents(hostile: Hostile) -> None:
    for document in DOCUMENTS:
        digest = base64.b64encode(hashlib.md5(document, usedforsecurity=False).digest())
        for bucket in (NAME, "locked"):
            for method, key, query in (
                ("PUT", "key", "tagging"), ("PUT", "key", "acl"), ("PUT", "key", "retention"), ("PUT", "key", "legal-hold"),
                ("POST", "cold", "restore"), ("POST", "key", "select&select-type=2"), ("POST", "", "delete"),
            ):  # fmt: skip
                hostile.send(method, f"{bucket}/{key}", query, [(b"content-md5", digest)], document)
