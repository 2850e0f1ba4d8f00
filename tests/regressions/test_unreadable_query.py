"""A query that is not UTF-8, unsigned, was answered in the words of the query protocol, to HEAD with a body; and a NUL made a 500 on PostgreSQL."""

from __future__ import annotations

import pytest

from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket


@pytest.mark.parametrize("query", ["versionId=%80", "%ff", "prefix=%C0%AF", "x=%ED%A0%80"])
def test_s3_says_it_in_its_own_words(sqlite_cloud: TestCloud, query: str) -> None:
    allow(bucket(sqlite_cloud, public=True), "s3:GetObject")
    status, headers, body = sqlite_cloud.request("GET", f"/{NAME}/key", query, [(b"host", b"x")])
    assert status == 400 and headers["content-type"] == "application/xml" and b"<Error><Code>InvalidURI</Code>" in body
    status, _, body = sqlite_cloud.request("HEAD", f"/{NAME}/key", query, [(b"host", b"x")])
    assert (status, body) == (400, b"")


@pytest.mark.parametrize("query", ["uploadId=%00", "versionId=a%00", "partNumber=1&uploadId=%00"])
def test_what_no_database_can_be_asked_for(cloud: TestCloud, query: str) -> None:
    allow(bucket(cloud, public=True), "s3:*Object*", "s3:*Multipart*")
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        status, _, _ = cloud.request(method, f"/{NAME}/key", query, [(b"host", b"x"), (b"content-length", b"0")])
        assert status < 500
    for path in ("/%00/key", "/%00"):
        assert cloud.request("GET", path, "", [(b"host", b"x")])[0] in (400, 404)
    assert cloud.cloud.dispatcher.faults == 0


def test_very_many_parameters(sqlite_cloud: TestCloud) -> None:
    allow(bucket(sqlite_cloud, public=True), "s3:GetObject")
    for query in ("a&" * 30_000, "a=b&" * 15_000, "prefix=" + "x" * 60_000, "%41" * 20_000):
        for path in (f"/{NAME}", f"/{NAME}/key", "/"):
            assert 400 <= sqlite_cloud.request("GET", path, query, [(b"host", b"x")])[0] < 500
    assert sqlite_cloud.cloud.dispatcher.faults == 0
