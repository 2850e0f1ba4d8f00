"""Temporary URLs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.cloud.harness import TestCloud
from tests.cloud.swift import Answer, Swift, send

KEY = "the key"


@pytest.fixture
def swift(cloud: TestCloud) -> Swift:
    made = Swift(cloud.admin)
    assert made("PUT", "things").status == 201
    assert made("POST", x_account_meta_temp_url_key=KEY).status == 204
    made.put("things/a/x é.txt", b"content")
    return made


def query(swift: Swift, name: str, method: str = "GET", digest: str = "sha256", key: str = KEY, seconds: int = 60, **more: str) -> str:
    expires = int(swift.account.cloud.clock.now().timestamp()) + seconds
    path = f"/v1/AUTH_{swift.account.id}/{name}"
    if "temp_url_prefix" in more:
        path = f"prefix:/v1/AUTH_{swift.account.id}/{name.partition('/')[0]}/{more['temp_url_prefix']}"
    text = f"{method}\n{expires}\n{path}"
    if "temp_url_ip_range" in more:
        text = f"ip={more['temp_url_ip_range']}\n{text}"
    made = hmac.new(key.encode(), text.encode(), getattr(hashlib, digest))
    return urlencode({"temp_url_sig": made.hexdigest(), "temp_url_expires": expires, **more})


def by_url(swift: Swift, method: str, name: str, asked: str, body: bytes | None = None, **headers: str) -> Answer:
    return send(swift.account.cloud, method, swift.path(name), asked, body, **headers)


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_get(swift: Swift, digest: str) -> None:
    name = "things/a/x é.txt"
    found = by_url(swift, "GET", name, query(swift, name, digest=digest))
    assert found.status == 200 and found.body == b"content"
    assert found.headers["content-disposition"] == "attachment; filename=\"x _.txt\"; filename*=UTF-8''x%20%C3%A9.txt"
    assert by_url(swift, "HEAD", name, query(swift, name, digest=digest)).status == 200
    assert by_url(swift, "GET", name, query(swift, name, digest=digest), range="bytes=0-1").body == b"co"
    named = by_url(swift, "GET", name, query(swift, name, digest=digest, filename='a"b\r\n.txt'))
    assert named.headers["content-disposition"].startswith('attachment; filename="a_b__.txt"')
    assert by_url(swift, "GET", name, query(swift, name, digest=digest, inline="")).headers["content-disposition"] == "inline"


def test_what_does_not_hold(swift: Swift) -> None:
    name = "things/a/x é.txt"
    good = query(swift, name)
    for asked in (
        query(swift, name, key="other"), query(swift, name, seconds=-1), query(swift, name, method="PUT"), query(swift, "things/y"),
        good.replace("temp_url_expires=1", "temp_url_expires=2"), good.partition("&")[0], good.partition("&")[2],
        good.replace("temp_url_sig=", "temp_url_sig=0"), "temp_url_sig=x&temp_url_expires=never", "temp_url_sig=md5:xx&temp_url_expires=1",
        query(swift, name, temp_url_prefix="b"), query(swift, name, temp_url_ip_range="198.51.100.0/24"), query(swift, name, temp_url_ip_range="x"),
    ):  # fmt: skip
        assert by_url(swift, "GET", name, asked).status == 401, asked
    assert by_url(swift, "DELETE", name, good).status == 401 and by_url(swift, "POST", name, good).status == 401
    assert by_url(swift, "GET", "things", good).status == 401 and by_url(swift, "GET", "", good).status == 401
    other = Swift(swift.account.cloud.account())
    assert send(swift.account.cloud, "GET", other.path(name), good).status == 401
    assert by_url(swift, "GET", name, good).status == 200


def test_prefixes_addresses_and_forms(swift: Swift) -> None:
    name = "things/a/x é.txt"
    assert by_url(swift, "GET", name, query(swift, name, temp_url_prefix="a/")).status == 200
    assert by_url(swift, "GET", name, query(swift, name, temp_url_ip_range="192.0.2.0/24")).status == 200
    text = f"GET\n4102444800\n/v1/AUTH_{swift.account.id}/{name}".encode()
    made = base64.urlsafe_b64encode(hmac.new(KEY.encode(), text, hashlib.sha256).digest()).decode().rstrip("=")
    asked = urlencode({"temp_url_sig": f"sha256:{made}", "temp_url_expires": "2100-01-01T00:00:00Z"})
    assert by_url(swift, "GET", name, asked).status == 200


def test_put_and_delete(swift: Swift) -> None:
    asked = query(swift, "things/new", "PUT")
    assert by_url(swift, "PUT", "things/new", asked, b"new").status == 201
    assert swift.get("things/new") == b"new"
    assert by_url(swift, "HEAD", "things/new", asked).status == 200 and by_url(swift, "GET", "things/new", asked).status == 401
    assert by_url(swift, "PUT", "things/new", asked, b"", x_object_manifest="things/a").status == 400
    assert by_url(swift, "PUT", "things/new", asked, b"", x_copy_from="things/a/x").status == 400
    assert by_url(swift, "PUT", "things/new", asked + "&multipart-manifest=put", b"[]").status == 400
    assert by_url(swift, "DELETE", "things/new", query(swift, "things/new", "DELETE")).status == 204
    asked = query(swift, "things/new", "DELETE") + "&bulk-delete"
    assert by_url(swift, "DELETE", "things/new", asked, b"things/a/x%20%C3%A9.txt").status == 400
    asked = query(swift, "things/new", "DELETE") + "&multipart-manifest=delete"
    assert by_url(swift, "DELETE", "things/new", asked).status == 400
    assert by_url(swift, "COPY", "things/a/x é.txt", query(swift, "things/a/x é.txt", "GET"), destination="things/y").status == 401
    asked = query(swift, "things/new", "POST")
    assert by_url(swift, "POST", "things/new", asked, x_object_manifest="things/a").status == 400


def test_keys_of_containers_and_the_second(swift: Swift) -> None:
    name = "things/a/x é.txt"
    swift("PUT", "others")
    swift.put("others/x", b"1")
    assert swift("POST", "things", x_container_meta_temp_url_key_2="theirs").status == 204
    swift.account.cloud.clock.advance(10)
    assert by_url(swift, "GET", name, query(swift, name, key="theirs")).status == 200
    assert by_url(swift, "GET", "others/x", query(swift, "others/x", key="theirs")).status == 401
    assert swift("POST", x_remove_account_meta_temp_url_key="x").status == 204
    assert by_url(swift, "GET", name, query(swift, name)).status == 401
    for told in (swift("HEAD").headers, swift("HEAD", "things").headers):
        assert not any("temp-url" in header for header in told)


def test_a_key_opens_what_its_maker_may(swift: Swift, cloud: TestCloud) -> None:
    """Whoever may set a key gets no rights by it, and it ends with his access key."""
    user, iam = cloud.user("somebody"), cloud.client("iam")
    by = Swift(user)
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": "s3:PutAccountPublicAccessBlock", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::things/mine/*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="somebody", PolicyName="p", PolicyDocument=document)
    swift.put("things/mine/x", b"1")
    assert by("POST", x_account_meta_temp_url_key_2="by user").status == 204
    asked = query(swift, "things/mine/x", key="by user")
    assert by_url(swift, "GET", "things/mine/x", asked).status == 200
    name = "things/a/x é.txt"
    assert by_url(swift, "GET", name, query(swift, name, key="by user")).status == 403
    iam.update_access_key(UserName="somebody", AccessKeyId=user.credentials.access_key_id, Status="Inactive")
    assert by_url(swift, "GET", "things/mine/x", asked).status == 401
    with cloud.database.reading() as tx:
        from mallee.objects.swift import records

        assert "by user" not in json.dumps(records.of_account(tx, swift.account.id))
