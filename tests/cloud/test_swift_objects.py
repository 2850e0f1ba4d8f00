"""Swift's objects, over the buckets that S3 sees too."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused
from tests.cloud.swift import Swift

CONTENT = b"the content"
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def swift(cloud: TestCloud) -> Swift:
    made = Swift(cloud.admin)
    assert made("PUT", "things").status == 201
    return made


def test_put_get_head_delete(swift: Swift) -> None:
    made = swift("PUT", "things/a/b c.txt", body=CONTENT, x_object_meta_colour="blue", x_object_meta_empty="")
    assert (made.status, made.headers["etag"]) == (201, MD5)
    found = swift("GET", "things/a/b c.txt")
    assert (found.status, found.body) == (200, CONTENT)
    assert found.headers["etag"] == MD5 and found.headers["content-type"] == "text/plain"
    assert found.headers["x-object-meta-colour"] == "blue" and "x-object-meta-empty" not in found.headers
    assert found.headers["content-length"] == "11" and found.headers["x-trans-id"].startswith("tx")
    head = swift("HEAD", "things/a/b c.txt")
    assert head.status == 200 and head.body == b"" and head.headers["content-length"] == "11"
    assert swift("DELETE", "things/a/b c.txt").status == 204
    gone = swift("DELETE", "things/a/b c.txt")
    assert gone.status == 404 and b"Not Found" in gone.body
    assert swift("GET", "things/a/b c.txt").status == 404


def test_the_same_object_by_s3(swift: Swift) -> None:
    s3 = swift.account.client("s3")
    swift.put("things/one", CONTENT, content_type="text/x-thing", x_object_meta_colour="blue", content_encoding="none")
    found = s3.get_object(Bucket="things", Key="one")
    assert found["Body"].read() == CONTENT and found["Metadata"] == {"colour": "blue"}
    assert found["ContentType"] == "text/x-thing" and found["ETag"] == f'"{MD5}"'
    s3.put_object(Bucket="things", Key="two", Body=b"x", Metadata={"size": "small"})
    told = swift("GET", "things/two")
    assert told.body == b"x" and told.headers["x-object-meta-size"] == "small"


@pytest.mark.parametrize("size", [0, 1, 128 * 1024, 128 * 1024 + 1, 3_000_000])
def test_bodies_of_any_size_and_in_chunks(swift: Swift, size: int) -> None:
    content = os.urandom(size)
    etag = hashlib.md5(content).hexdigest()
    assert swift.put("things/whole", content, etag=etag).headers["etag"] == etag
    assert swift.put("things/chunks", content, transfer_encoding="chunked").headers["etag"] == etag
    assert swift.get("things/whole") == swift.get("things/chunks") == content


def test_what_the_client_says_of_the_body(swift: Swift) -> None:
    assert swift("PUT", "things/x", body=CONTENT, etag="0" * 32).status == 422
    assert swift("PUT", "things/x", body=CONTENT, etag="nonsense").status == 422
    assert swift("PUT", "things/x", body=CONTENT, etag=f'"{MD5}"').status == 201
    assert swift("PUT", "things/x", body=CONTENT, if_none_match="*").status == 412
    assert swift("PUT", "nothing/x", body=CONTENT).status == 404
    assert swift("PUT", "things/x", transfer_encoding="identity").status in (201, 411)


def test_ranges_and_conditions(swift: Swift) -> None:
    swift.put("things/x", b"0123456789")
    etag = hashlib.md5(b"0123456789").hexdigest()
    part = swift("GET", "things/x", range="bytes=2-4")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert swift.get("things/x", range="bytes=-3") == b"789"
    beyond = swift("GET", "things/x", range="bytes=10-")
    assert beyond.status == 416 and beyond.headers["content-range"] == "bytes */10"
    same = swift("GET", "things/x", if_none_match=etag)
    assert (same.status, same.body) == (304, b"")
    assert swift("GET", "things/x", if_match=f'"{etag}"').status == 200
    assert swift("GET", "things/x", if_match="other").status == 412
    assert swift("HEAD", "things/x", if_modified_since="Fri, 01 Jan 2100 00:00:00 GMT").status == 304


def test_post_replaces_metadata(swift: Swift) -> None:
    swift.put("things/x", CONTENT, content_type="text/a", x_object_meta_a="1", content_disposition="inline")
    assert swift("POST", "things/x", x_object_meta_b="2").status == 202
    found = swift("HEAD", "things/x").headers
    assert found["x-object-meta-b"] == "2" and "x-object-meta-a" not in found and "content-disposition" not in found
    assert found["content-type"] == "text/a" and found["etag"] == MD5
    assert swift("POST", "things/x", content_type="text/b").status == 202
    found = swift("HEAD", "things/x").headers
    assert found["content-type"] == "text/b" and "x-object-meta-b" not in found
    assert swift("POST", "things/none", x_object_meta_b="2").status == 404
    assert swift("POST", "things/x", x_object_meta_b="2" * 3000).status == 400
    assert swift.get("things/x") == CONTENT


def test_copies(swift: Swift) -> None:
    assert swift("PUT", "others").status == 201
    swift.put("things/x y", CONTENT, content_type="text/a", x_object_meta_a="1", x_object_meta_b="1")
    made = swift("COPY", "things/x y", destination="others/z%20z", x_object_meta_b="2")
    assert made.status == 201 and made.headers["etag"] == MD5 and made.headers["x-copied-from"] == "things/x%20y"
    found = swift("GET", "others/z z")
    assert found.body == CONTENT and found.headers["content-type"] == "text/a"
    assert found.headers["x-object-meta-a"] == "1" and found.headers["x-object-meta-b"] == "2"
    assert swift.put("others/fresh", x_copy_from="/things/x%20y", x_fresh_metadata="true", content_type="text/c").headers["etag"] == MD5
    found = swift("GET", "others/fresh")
    assert found.body == CONTENT and "x-object-meta-a" not in found.headers
    assert swift("COPY", "things/x y", destination="/things/x%20y", x_object_meta_c="3").status == 201
    assert swift("HEAD", "things/x y").headers["x-object-meta-c"] == "3"
    assert swift("PUT", "others/new", x_copy_from="things/x%20y", if_none_match="*").status == 201
    assert swift("PUT", "others/new", x_copy_from="things/x%20y", if_none_match="*").status == 412
    assert swift("COPY", "things/x y", destination="others/new", if_match="other").status == 412
    assert swift("COPY", "things/none", destination="things/y").status == 404
    assert swift("COPY", "things/x y").status == 412
    assert swift("COPY", "things/x y", destination="things").status == 412
    assert swift("COPY", "things/x y", destination="nothing/x").status == 404


def test_objects_expire(swift: Swift) -> None:
    cloud = swift.account.cloud
    now = int(cloud.clock.now().timestamp())
    assert swift("PUT", "things/x", x_delete_at=str(now - 1)).status == 400
    assert swift("PUT", "things/x", x_delete_after="soon").status == 400
    swift.put("things/x", CONTENT, x_delete_at=str(now + 60))
    swift.put("things/kept", CONTENT)
    swift.put("things/y", CONTENT, x_delete_after="120")
    assert swift("HEAD", "things/y").headers["x-delete-at"] == str(now + 120)
    assert swift("POST", "things/y", x_delete_after="180").status == 202
    cloud.clock.advance(61)
    assert swift("GET", "things/x").status == 404 and swift("DELETE", "things/x").status == 404
    assert swift("POST", "things/x", x_object_meta_a="1").status == 404
    s3 = swift.account.client("s3")
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket="things", Key="x")
    assert swift.get("things/y") == CONTENT
    cloud.run(seconds=25 * 3600)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket="things")["Contents"]] == ["kept"]


def test_bulk_delete(swift: Swift) -> None:
    for number in range(40):
        swift.put(f"things/{number} é")
    assert swift("PUT", "empty").status == 201
    lines = "\n".join([*(f"things/{number}%20%C3%A9" for number in range(40)), "/things/none", "nothing/x", "empty", "%ff", ""]).encode()
    found = swift("POST", "", "bulk-delete", lines, accept="application/json", content_type="text/plain")
    assert found.status == 200 and found.json["Number Deleted"] == 41 and found.json["Number Not Found"] == 2
    assert found.json["Response Status"] == "400 Bad Request" and len(found.json["Errors"]) == 1
    assert swift("GET", "things").status == 204
    found = swift("DELETE", "", "bulk-delete", b"things\n")
    assert b"Number Deleted: 1" in found.body
    assert swift("GET", "things").status == 404


def test_names_that_cannot_be(swift: Swift) -> None:
    long = "x" * 1025
    assert swift("PUT", f"things/{long}").status == 400
    assert swift("PUT", "Not_A_Bucket").status == 400
    assert swift("GET", "things/\0").status == 412
    for path in ("/v1/AUTH_%ff", f"/v1/AUTH_{swift.account.id}/things/%ff"):
        found: Any = swift.account.cloud.request("GET", path, "", [(b"x-auth-token", swift.token.encode())])
        assert found[0] == 412, found
    assert swift("PUT", "things/x", x_symlink_target="y").status == 501
    assert swift("PUT", "things", x_versions_location="y").status == 501
