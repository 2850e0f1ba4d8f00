"""Accounts and containers, their listings and access control lists."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from tests.cloud.harness import Account, TestCloud
from tests.cloud.swift import Swift, send

NAMES = ("a", "b/1", "b/2", "b/c/3", "d é", "e&<\">")


@pytest.fixture
def swift(cloud: TestCloud) -> Swift:
    made = Swift(cloud.admin)
    assert made("PUT", "things").status == 201
    return made


@pytest.fixture
def filled(swift: Swift) -> Swift:
    for name in NAMES:
        swift.put(f"things/{name}", name.encode())
    return swift


def listed(swift: Swift, query: str = "") -> list[str]:
    return swift.get("things", query).decode().splitlines() if swift("GET", "things", query).status == 200 else []


def test_containers_come_and_go(swift: Swift) -> None:
    assert swift("PUT", "things").status == 202
    head = swift("HEAD", "things")
    assert head.status == 204 and head.headers["x-container-object-count"] == "0"
    swift.put("things/x", b"12345")
    found = swift("HEAD", "things").headers
    assert (found["x-container-object-count"], found["x-container-bytes-used"]) == ("1", "5")
    full = swift("DELETE", "things")
    assert full.status == 409 and b"Conflict" in full.body
    assert swift("DELETE", "things/x").status == 204
    assert swift("DELETE", "things").status == 204
    assert swift("DELETE", "things").status == 404 and swift("HEAD", "things").status == 404


@pytest.mark.parametrize("name", ["UPPER", "a", "under_score", "x" * 64, "192.168.1.1", "spaced out"])
def test_names_that_no_bucket_has(sqlite_cloud: TestCloud, name: str) -> None:
    found = Swift(sqlite_cloud.admin)("PUT", name)
    assert found.status == 400 and b"A container is a bucket here" in found.body


def test_listings_of_containers(filled: Swift) -> None:
    assert listed(filled) == list(NAMES)
    assert listed(filled, "prefix=b/") == ["b/1", "b/2", "b/c/3"]
    assert listed(filled, "delimiter=/") == ["a", "b/", "d é", 'e&<">']
    assert listed(filled, "prefix=b/&delimiter=/") == ["b/1", "b/2", "b/c/"]
    assert listed(filled, "path=b") == ["b/1", "b/2"]
    assert listed(filled, "limit=2") == ["a", "b/1"]
    assert listed(filled, "limit=2&marker=b/1") == ["b/2", "b/c/3"]
    assert listed(filled, "marker=a&end_marker=b/c/3") == ["b/1", "b/2"]
    assert listed(filled, "limit=0") == []
    assert listed(filled, "prefix=none") == []
    assert filled("GET", "things", "limit=10001").status == 412
    assert filled("GET", "things", "reverse=true").status == 501


def test_listings_in_json_and_xml(filled: Swift) -> None:
    found = filled("GET", "things", "format=json&delimiter=/")
    assert found.headers["content-type"].startswith("application/json")
    assert [each.get("name", each.get("subdir")) for each in found.json] == ["a", "b/", "d é", 'e&<">']
    first = found.json[0]
    assert (first["bytes"], first["hash"]) == (1, "0cc175b9c0f1b6a831c399e269772661") and first["content_type"] == "application/octet-stream"
    assert [each["name"] for each in json.loads(filled.get("things", accept="application/json"))] == list(NAMES)
    tree = ET.fromstring(filled.get("things", "format=xml&delimiter=/"))
    assert tree.tag == "container" and tree.get("name") == "things"
    assert [each.findtext("name") for each in tree] == ["a", "b/", "d é", 'e&<">']
    assert filled("GET", "things", accept="image/png").status == 406
    filled.put("things/\x01\x1f\n")
    ET.fromstring(filled.get("things", "format=xml"))
    assert json.loads(filled.get("things", "format=json&limit=1"))[0]["name"] == "\x01\x1f\n"


def test_pages_of_many(sqlite_cloud: TestCloud) -> None:
    swift = Swift(sqlite_cloud.admin)
    swift("PUT", "things")
    names = [f"n{number:04}" for number in range(1100)]
    for name in names:
        swift.put(f"things/{name}", content_type=f"text/{name}")
    found = json.loads(swift.get("things", "format=json"))
    assert [each["name"] for each in found] == names
    assert [each["content_type"] for each in found] == [f"text/{name}" for name in names]
    assert [each["name"] for each in json.loads(swift.get("things", "format=json&limit=1050&marker=n0049"))] == names[50:]


def test_metadata_of_containers(swift: Swift) -> None:
    assert swift("POST", "things", x_container_meta_colour="blue", x_container_meta_size="1").status == 204
    found = swift("HEAD", "things").headers
    assert (found["x-container-meta-colour"], found["x-container-meta-size"]) == ("blue", "1")
    assert swift("POST", "things", x_remove_container_meta_size="x", x_container_meta_colour="").status == 204
    found = swift("HEAD", "things").headers
    assert "x-container-meta-colour" not in found and "x-container-meta-size" not in found
    assert swift("PUT", "things", x_container_meta_a="1").status == 202
    assert swift("HEAD", "things").headers["x-container-meta-a"] == "1"
    assert swift("POST", "things", x_container_meta_a="1" * 257).status == 400
    assert swift("POST", "things", x_container_meta_quota_bytes="1").status == 501
    assert swift("POST", "nothing", x_container_meta_a="1").status == 404


def test_the_account(swift: Swift) -> None:
    for name in ("cats", "dogs", "mice"):
        assert swift("PUT", name).status == 201
    swift.put("cats/x", b"123")
    head = swift("HEAD")
    assert head.status == 204
    told = {name: head.headers[f"x-account-{name}"] for name in ("container-count", "object-count", "bytes-used")}
    assert told == {"container-count": "4", "object-count": "1", "bytes-used": "3"}
    assert swift.get("").decode().split() == ["cats", "dogs", "mice", "things"]
    assert swift.get("", "reverse=true&limit=2").decode().split() == ["things", "mice"]
    assert swift.get("", "marker=cats&end_marker=mice").decode().split() == ["dogs"]
    assert swift.get("", "prefix=d").decode().split() == ["dogs"]
    found = json.loads(swift.get("", "format=json&limit=1"))[0]
    assert (found["name"], found["count"], found["bytes"]) == ("cats", 1, 3)
    assert ET.fromstring(swift.get("", "format=xml")).tag == "account"
    assert swift("POST", x_account_meta_a="1").status == 204
    assert swift("HEAD").headers["x-account-meta-a"] == "1"
    assert swift("POST", x_remove_account_meta_a="1").status == 204
    assert "x-account-meta-a" not in swift("HEAD").headers
    assert swift("PUT").status == 405 and swift("DELETE").status == 405


def test_names_by_alias(cloud: TestCloud) -> None:
    account = cloud.account("acme")
    swift = Swift(account, at="acme")
    assert swift("PUT", "acme-things").status == 201
    assert Swift(account).get("").decode().split() == ["acme-things"]


# --------------------------------------------------------------------------------------------------------------- rights


def test_accounts_know_nothing_of_each_other(swift: Swift, cloud: TestCloud) -> None:
    swift.put("things/x", b"secret")
    other = cloud.account()
    by = Swift(other)
    ours, not_there = Swift(other, at=swift.account.id), Swift(other, at="999999999999")
    for name in ("", "things", "nothing", "things/x", "things/none"):
        for method in ("GET", "HEAD", "POST", "DELETE"):
            told = {(found.status, found.body) for found in (ours(method, name), not_there(method, name))}
            assert len(told) == 1 and told.pop()[0] in (403, 405), (method, name)
    assert by("GET", "things").status == 404 and by("GET", "things/x").status == 404
    assert by("PUT", "things").status == 409  # names are the whole cloud's
    assert ours("PUT", "others").status == 403
    found = send(cloud, "GET", swift.path("things/x"))
    assert found.status == 401 and found.headers["www-authenticate"].startswith("Swift")
    assert send(cloud, "GET", swift.path("things/none")).status == 401
    assert send(cloud, "GET", "/v1/AUTH_999999999999/things/x").status == 401
    assert send(cloud, "GET", swift.path("things/x"), x_auth_token="AUTH_tknonsense").status == 401
    bulk = ours("POST", "", "bulk-delete", b"things/x")
    assert bulk.status == 403
    assert swift.get("things/x") == b"secret"


def test_users_may_what_their_policies_allow(swift: Swift, cloud: TestCloud) -> None:
    swift.put("things/x", b"1")
    user = cloud.user("somebody")
    by = Swift(user)
    for method, name in (("GET", ""), ("GET", "things"), ("GET", "things/x"), ("PUT", "things/y"), ("DELETE", "things/x"), ("POST", "things/x")):
        assert by(method, name).status == 403, (method, name)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::things/x"}]}
    cloud.client("iam").put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=json.dumps(document))
    assert by.get("things/x") == b"1"
    assert by("GET", "things").status == 403 and by("PUT", "things/x", body=b"2").status == 403
    assert by("POST", "things", x_container_meta_a="1").status == 403 and by("POST", x_account_meta_a="1").status == 403


def test_access_lists(swift: Swift, cloud: TestCloud) -> None:
    swift.put("things/x", b"1")
    other: Account = cloud.account("neighbours")
    by = Swift(other, at=swift.account.id)
    assert by("GET", "things/x").status == 403
    assert swift("POST", "things", x_container_read="neighbours").status == 204
    assert swift("HEAD", "things").headers["x-container-read"] == f"{other.id}:*"
    cloud.clock.advance(10)
    assert by.get("things/x") == b"1" and by.get("things") == b"x\n"
    assert "x-container-read" not in by("HEAD", "things").headers
    assert by("PUT", "things/y", body=b"2").status == 403
    assert swift("POST", "things", x_container_write=f"{other.id}:*").status == 204
    assert by("PUT", "things/y", body=b"2").status == 201 and by("DELETE", "things/y").status == 204
    assert swift("POST", "things", x_remove_container_write="x", x_container_read="").status == 204
    assert by("GET", "things/x").status == 403
    assert "x-container-read" not in swift("HEAD", "things").headers
    for text in ("nobody:here", ".r:example.com", "*:*", ".rlistings"):
        refused = swift("POST", "things", x_container_read=text)
        assert refused.status == 400 and b"cannot be kept" in refused.body
    assert swift("POST", "things", x_container_write=".r:*").status == 400


def test_open_to_everybody(swift: Swift, cloud: TestCloud) -> None:
    swift.put("things/x", b"1")
    blocked = swift("POST", "things", x_container_read=".r:*,.rlistings")
    assert blocked.status == 403 and b"Block Public Access" in blocked.body
    cloud.client("s3").delete_public_access_block(Bucket="things")
    assert swift("POST", "things", x_container_read=".r:*,.rlistings").status == 204
    assert swift("HEAD", "things").headers["x-container-read"] == ".r:*,.rlistings"
    assert send(cloud, "GET", swift.path("things/x")).body == b"1"
    assert send(cloud, "GET", swift.path("things")).body == b"x\n"
    assert send(cloud, "GET", swift.path("things/none")).status == 404
    assert send(cloud, "PUT", swift.path("things/x"), body=b"2").status == 401


def test_other_origins(swift: Swift, cloud: TestCloud) -> None:
    rules = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["http://a.example"]}]}
    cloud.client("s3").put_bucket_cors(Bucket="things", CORSConfiguration=rules)
    swift.put("things/x", b"1")
    assert swift("GET", "things/x", origin="http://a.example").headers["access-control-allow-origin"] == "http://a.example"
    told = send(cloud, "OPTIONS", swift.path("things/x"), origin="http://a.example", access_control_request_method="GET")
    assert told.status == 200 and told.headers["access-control-allow-origin"] == "http://a.example"
    assert "GET" in send(cloud, "OPTIONS", swift.path("things/x")).headers["allow"]


def test_no_method_makes_a_metric_of_its_own(sqlite_cloud: TestCloud) -> None:
    swift = Swift(sqlite_cloud.admin)
    for number in range(3):
        assert swift(f"ODD{number}", "things").status in (404, 405)
    assert swift("GET", "nothing").status == 404
    text = sqlite_cloud.cloud.metrics.text()
    assert "ODD" not in text.upper() and "GetContainer" in text
