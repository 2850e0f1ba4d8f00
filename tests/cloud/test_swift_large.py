"""Large objects by manifests, static and dynamic."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import pytest

from tests.cloud.harness import TestCloud
from tests.cloud.swift import Swift

SEGMENTS = [os.urandom(1000), os.urandom(300_000), b"tail"]
WHOLE = b"".join(SEGMENTS)
JOINED = hashlib.md5("".join(hashlib.md5(each).hexdigest() for each in SEGMENTS).encode()).hexdigest()


@pytest.fixture
def swift(cloud: TestCloud) -> Swift:
    made = Swift(cloud.admin)
    assert made("PUT", "things").status == 201 and made("PUT", "segments").status == 201
    for number, each in enumerate(SEGMENTS):
        made.put(f"segments/x é/{number}", each)
    return made


def rows(**more: Any) -> list[dict[str, Any]]:
    return [
        {"path": f"/segments/x é/{number}", "etag": hashlib.md5(each).hexdigest(), "size_bytes": len(each), **more}
        for number, each in enumerate(SEGMENTS)
    ]


def put(swift: Swift, name: str, wanted: list[Any], **headers: str) -> Any:
    return swift("PUT", name, "multipart-manifest=put", json.dumps(wanted).encode(), **headers)


def test_static(swift: Swift) -> None:
    made = put(swift, "things/big", rows(), content_type="video/x", x_object_meta_a="1", etag=JOINED)
    assert made.status == 201 and made.headers["etag"] == f'"{JOINED}"', made
    found = swift("GET", "things/big")
    assert found.status == 200 and found.body == WHOLE and found.headers["content-length"] == str(len(WHOLE))
    assert found.headers["etag"] == f'"{JOINED}"' and found.headers["x-static-large-object"] == "True"
    assert found.headers["content-type"] == "video/x" and found.headers["x-object-meta-a"] == "1"
    head = swift("HEAD", "things/big")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(WHOLE)))
    for first, last in ((0, 0), (990, 1010), (1000, 300_999), (300_998, 301_003), (5, len(WHOLE) + 5)):
        part = swift("GET", "things/big", range=f"bytes={first}-{last}")
        assert part.status == 206 and part.body == WHOLE[first : last + 1]
    assert swift.get("things/big", range="bytes=-6") == WHOLE[-6:]
    assert swift("GET", "things/big", range=f"bytes={len(WHOLE)}-").status == 416
    assert swift("GET", "things/big", if_none_match=JOINED).status == 304 and swift("GET", "things/big", if_match="x").status == 412
    shown = json.loads(swift.get("things", "format=json"))[0]
    assert (shown["bytes"], shown["hash"]) == (len(WHOLE), JOINED)
    listed = json.loads(swift.get("things/big", "multipart-manifest=get"))
    assert [each["name"] for each in listed] == [each["path"] for each in rows()]
    raw = swift.get("things/big", "multipart-manifest=get&format=raw")
    assert json.loads(raw) == rows()
    assert put(swift, "things/again", json.loads(raw)).status == 201


def test_what_a_manifest_says_must_hold(swift: Swift) -> None:
    for wrong, words in (
        ({**rows()[0], "etag": "0" * 32}, b"Etag Mismatch"), ({**rows()[0], "size_bytes": 5}, b"Size Mismatch"),
        ({"path": "/segments/none"}, b"404 Not Found"), ({"path": "/nothing/none"}, b"404 Not Found"),
        ({**rows()[0], "range": "5000-"}, b"Unsatisfiable Range"), ({"path": "segments"}, b"path"), ({"data": "aGFsbG8="}, b"inline"),
        ({**rows()[0], "more": 1}, b"extraneous"), ({"path": "/segments/x é/0", "size_bytes": 0}, b"too small"), (5, b"not a JSON object"),
        ({"path": "/segments/\ud800"}, b"path"), ({"path": "/segments/\0"}, b"path"), ({"path": "/segments/x é/0", "range": "a-b"}, b"Range"),
    ):  # fmt: skip
        found = put(swift, "things/big", [*rows(), wrong])
        assert found.status == 400 and words in found.body, (wrong, found)
    for body in (b"", b"{}", b"[]", b"nonsense", b"[" * 100_000):
        assert swift("PUT", "things/big", "multipart-manifest=put", body).status == 400
    assert put(swift, "things/big", [rows()[0]] * 1001).status == 413
    assert put(swift, "things/big", rows(), etag="0" * 32).status == 422
    assert swift("HEAD", "things/big").status == 404


def test_ranges_and_nesting(swift: Swift) -> None:
    assert put(swift, "things/inner", [{"path": "/segments/x é/1", "range": "10-19"}, {"path": "/segments/x é/2"}]).status == 201
    inner = SEGMENTS[1][10:20] + b"tail"
    assert swift.get("things/inner") == inner
    outer = [{"path": "/things/inner", "size_bytes": 14}, {"path": "/segments/x é/2", "range": "1-2"}, {"path": "/things/inner", "range": "-5"}]
    assert put(swift, "things/outer", outer).status == 201
    whole = inner + b"ai" + inner[-5:]
    assert swift.get("things/outer") == whole and swift.get("things/outer", range="bytes=8-16") == whole[8:17]
    name = "things/outer"
    for number in range(14):
        found = put(swift, f"things/deep{number}", [{"path": f"/{name}"}])
        name = f"things/deep{number}"
        assert found.status == 201
    assert swift("GET", "things/deep5").body == whole
    assert swift("GET", "things/deep13").status == 409


def test_segments_that_change(swift: Swift) -> None:
    put(swift, "things/big", rows())
    swift.put("segments/x é/0", b"other")
    assert swift("GET", "things/big").status == 409
    assert swift("HEAD", "things/big").status == 200
    assert swift.get("things/big", range="bytes=1000-1009") == WHOLE[1000:1010]
    swift.put("segments/x é/0", SEGMENTS[0])
    assert swift("DELETE", "segments/x é/1").status == 204
    short = swift("GET", "things/big")  # it had begun before that could be seen, and is cut off
    assert short.body == SEGMENTS[0] and short.headers["content-length"] == str(len(WHOLE))


def test_static_ones_are_removed_and_copied(swift: Swift) -> None:
    put(swift, "things/big", rows(), x_object_meta_a="1")
    made = swift("COPY", "things/big", destination="things/plain")
    assert made.status == 201 and made.headers["etag"] == hashlib.md5(WHOLE).hexdigest()
    plain = swift("GET", "things/plain")
    assert plain.body == WHOLE and "x-static-large-object" not in plain.headers and plain.headers["x-object-meta-a"] == "1"
    assert swift("COPY", "things/big", "multipart-manifest=get", destination="things/twin").status == 201
    assert swift("HEAD", "things/twin").headers["x-static-large-object"] == "True"
    assert swift("POST", "things/big", x_object_meta_b="1").status == 202
    assert swift.get("things/big") == WHOLE
    assert swift("DELETE", "things/twin").status == 204 and swift.get("things/big") == WHOLE
    gone = swift("DELETE", "things/big", "multipart-manifest=delete", accept="application/json")
    assert gone.status == 200 and gone.json["Number Deleted"] == 4
    assert swift("GET", "segments").status == 204 and swift("GET", "things/big").status == 404
    assert swift("DELETE", "things/plain", "multipart-manifest=delete").status == 400


def test_dynamic(swift: Swift) -> None:
    swift.put("things/big", b"", x_object_manifest="segments/x%20%C3%A9/", content_type="video/x")
    found = swift("GET", "things/big")
    assert found.status == 200 and found.body == WHOLE and found.headers["x-object-manifest"] == "segments/x%20%C3%A9/"
    assert found.headers["etag"] == f'"{JOINED}"'
    assert swift("HEAD", "things/big").headers["content-length"] == str(len(WHOLE))
    part = swift("GET", "things/big", range="bytes=999-1001")
    assert (part.status, part.body, part.headers["content-range"]) == (206, WHOLE[999:1002], f"bytes 999-1001/{len(WHOLE)}")
    swift.put("segments/x é/3", b" more")
    assert swift.get("things/big") == WHOLE + b" more"
    assert swift("GET", "things/big", "multipart-manifest=get").body == b""
    assert swift("COPY", "things/big", destination="things/plain").status == 201
    assert swift.get("things/plain") == WHOLE + b" more"
    swift.put("things/none", b"", x_object_manifest="segments/none")
    assert swift("GET", "things/none").body == b""
    for wrong in ("segments", "/", "", "nothing/x"):
        found = swift("PUT", "things/wrong", x_object_manifest=wrong)
        assert found.status in (201, 412)
        assert swift("GET", "things/wrong").status in (200, 404)
    assert swift("POST", "things/big", x_object_manifest="segments/x%20%C3%A9/").status == 202 and len(swift.get("things/big")) > 1000
    assert swift("POST", "things/big").status == 202 and swift.get("things/big") == b""


def test_segments_need_rights_of_their_own(swift: Swift, cloud: TestCloud) -> None:
    put(swift, "things/static", rows())
    swift.put("things/dynamic", b"", x_object_manifest="segments/x%20%C3%A9/")
    by = Swift(cloud.user("somebody"))
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": ["arn:aws:s3:::things/*"]}]}
    cloud.client("iam").put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=json.dumps(document))
    assert by("GET", "things/static").status == 403 and by("GET", "things/dynamic").status == 403
    assert put(by, "things/mine", rows()).status == 400 and by("COPY", "things/static", destination="things/y").status == 403
    other = Swift(cloud.account())
    other("PUT", "foreign")
    assert b"404" in put(other, "foreign/x", rows()).body
    other.put("foreign/y", b"", x_object_manifest="segments/x%20%C3%A9/")
    assert other("GET", "foreign/y").status == 404


def test_expiring_manifests(swift: Swift) -> None:
    put(swift, "things/big", rows(), x_delete_after="10")
    assert swift.get("things/big") == WHOLE
    swift.account.cloud.clock.advance(11)
    assert swift("GET", "things/big").status == 404 and swift.get("segments/x é/2") == b"tail"


def test_the_container_that_clients_put_segments_in(swift: Swift) -> None:
    assert swift("PUT", "things_segments").status == 201 and swift("PUT", "things_segments").status == 202
    swift.put("things_segments/a/1", b"one")
    assert put(swift, "things/big", [{"path": "/things_segments/a/1"}]).status == 201
    assert swift.get("things/big") == b"one"
    swift.put("things/dynamic", b"", x_object_manifest="things_segments/a/")
    assert swift.get("things/dynamic") == b"one"
    assert "things-segments" in swift.get("").decode().split()
    assert swift.get("things-segments/a/1") == b"one"
