"""Signing in as Swift's clients do, tokens, and which requests are Swift's at all."""

from __future__ import annotations

import json
from typing import Any

from tests.cloud.harness import Account, TestCloud
from tests.cloud.swift import Answer, Swift, send, token_of


def password(user_name: str, secret: str, project: dict[str, Any] | None = None, **domain: str) -> bytes:
    user: dict[str, Any] = {"name": user_name, "password": secret, "domain": domain or {"id": "default"}}
    auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
    if project:
        auth["scope"] = {"project": project}
    return json.dumps({"auth": auth}).encode()


def v3(cloud: TestCloud, body: bytes) -> Answer:
    return send(cloud, "POST", "/v3/auth/tokens", body=body, content_type="application/json")


def works(account: Account, token: str) -> bool:
    return send(account.cloud, "HEAD", f"/v1/AUTH_{account.id}", x_auth_token=token).status == 204


def test_v1(cloud: TestCloud) -> None:
    account = cloud.account("acme")
    pair = account.credentials
    for user in (pair.access_key_id, f"acme:{pair.access_key_id}", f"{account.id}:root", "acme:root"):
        found = send(cloud, "GET", "/auth/v1.0", x_auth_user=user, x_auth_key=pair.secret_access_key)
        assert found.status == 200, user
        assert found.headers["x-storage-url"] == f"http://mallee.test:8773/v1/AUTH_{account.id}"
        assert found.headers["x-storage-token"] == found.headers["x-auth-token"]
        assert 0 < int(found.headers["x-auth-token-expires"]) <= 86400
        assert works(account, found.headers["x-auth-token"])
    found = send(cloud, "GET", "/auth/v1.0", x_storage_user=pair.access_key_id, x_storage_pass=pair.secret_access_key)
    assert found.status == 200
    for user in ("", "nobody", "acme:nobody", f"999999999999:{pair.access_key_id}", f"{cloud.admin.id}:{pair.access_key_id}", "acme:\0", ":"):
        assert send(cloud, "GET", "/auth/v1.0", x_auth_user=user, x_auth_key=pair.secret_access_key).status == 401, user
    for key in ("", "wrong", "é"):
        assert send(cloud, "GET", "/auth/v1.0", x_auth_user="acme:root", x_auth_key=key).status == 401


def test_users_sign_in_by_name(cloud: TestCloud) -> None:
    user = cloud.user("somebody")
    found = send(cloud, "GET", "/auth/v1.0", x_auth_user=f"{user.id}:somebody", x_auth_key=user.credentials.secret_access_key)
    assert found.status == 200
    told = v3(cloud, password("somebody", user.credentials.secret_access_key, {"name": user.id, "domain": {"id": "default"}}))
    assert told.status == 201 and told.json["token"]["user"]["name"] == "somebody"


def test_keystone_3(cloud: TestCloud) -> None:
    account = cloud.account("acme")
    pair = account.credentials
    found = v3(cloud, password(pair.access_key_id, pair.secret_access_key, {"name": "acme", "domain": {"name": "Default"}}))
    assert found.status == 201 and works(account, found.headers["x-subject-token"])
    told = found.json["token"]
    assert told["project"]["id"] == account.id and told["project"]["name"] == "acme"
    url = next(each["url"] for each in told["catalog"][0]["endpoints"] if each["interface"] == "public")
    assert told["catalog"][0]["type"] == "object-store" and url.endswith(f"/v1/AUTH_{account.id}")
    assert v3(cloud, password(pair.access_key_id, pair.secret_access_key)).status == 201
    assert v3(cloud, password("root", pair.secret_access_key, name="acme")).status == 201
    assert v3(cloud, password(pair.access_key_id, "wrong")).status == 401
    assert v3(cloud, password(pair.access_key_id, pair.secret_access_key, {"name": cloud.admin.id})).status == 401
    credential = {"id": pair.access_key_id, "secret": pair.secret_access_key}
    body = {"auth": {"identity": {"methods": ["application_credential"], "application_credential": credential}}}
    assert works(account, v3(cloud, json.dumps(body).encode()).headers["x-subject-token"])
    token = found.headers["x-subject-token"]
    again = v3(cloud, json.dumps({"auth": {"identity": {"methods": ["token"], "token": {"id": token}}}}).encode())
    assert again.status == 201 and again.json["token"]["expires_at"] == told["expires_at"]
    shown = send(cloud, "GET", "/v3/auth/tokens", x_auth_token=token, x_subject_token=token)
    assert shown.status == 200 and shown.json["token"]["project"]["id"] == account.id
    foreign = token_of(cloud.admin)
    assert send(cloud, "GET", "/v3/auth/tokens", x_auth_token=foreign, x_subject_token=token).status == 404
    assert send(cloud, "DELETE", "/v3/auth/tokens", x_auth_token=token, x_subject_token=token).status == 501
    assert send(cloud, "GET", "/v3").json["version"]["id"].startswith("v3")
    assert send(cloud, "GET", "/v3/users").status == 404


def test_keystone_2(cloud: TestCloud) -> None:
    account = cloud.account("acme")
    pair = account.credentials
    given = {"username": pair.access_key_id, "password": pair.secret_access_key}
    found = send(cloud, "POST", "/v2.0/tokens", body=json.dumps({"auth": {"passwordCredentials": given, "tenantName": "acme"}}).encode())
    assert found.status == 200 and works(account, found.json["access"]["token"]["id"])
    assert found.json["access"]["serviceCatalog"][0]["endpoints"][0]["publicURL"].endswith(account.id)
    keys = {"accessKey": pair.access_key_id, "secretKey": pair.secret_access_key}
    found = send(cloud, "POST", "/v2.0/tokens", body=json.dumps({"auth": {"apiAccessKeyCredentials": keys}}).encode())
    assert found.status == 200
    wrong = send(cloud, "POST", "/v2.0/tokens", body=json.dumps({"auth": {"passwordCredentials": {**given, "password": "x"}}}).encode())
    assert wrong.status == 401 and wrong.json["error"]["code"] == 401


def test_hostile_documents(sqlite_cloud: TestCloud) -> None:
    bodies: tuple[Any, ...] = (
        b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"auth": null}', b'{"auth": {"identity": []}}', b'{"auth": {"identity": {"methods": {}}}}',
        password("x", "y", {"name": ["z"]}), password("\ud800", "y"), password("x", "\0"),
        json.dumps({"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": {}, "password": 1}}}}}).encode(),
        json.dumps({"auth": {"identity": {"methods": ["token"], "token": {"id": "AUTH_tk" + "A" * 80}}}}).encode(),
        json.dumps({"auth": {"identity": {"methods": ["token"], "token": {}}, "scope": 5}}).encode(),
    )  # fmt: skip
    for body in bodies:
        for path in ("/v3/auth/tokens", "/v2.0/tokens"):
            found = send(sqlite_cloud, "POST", path, body=body)
            assert found.status in (400, 401), (path, body[:80], found.status)
            assert "error" in found.json
    assert v3(sqlite_cloud, b" " * (8 * 1024 * 1024 + 1)).status == 413


def test_a_token_ends_with_its_time_and_with_its_key(cloud: TestCloud) -> None:
    user = cloud.user("somebody")
    cloud.client("iam").attach_user_policy(UserName="somebody", PolicyArn="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    token = token_of(user)
    assert works(user, token)
    assert "secret" not in token and user.credentials.secret_access_key not in token
    iam, key = cloud.client("iam"), user.credentials.access_key_id
    iam.update_access_key(UserName="somebody", AccessKeyId=key, Status="Inactive")
    assert not works(user, token)
    iam.update_access_key(UserName="somebody", AccessKeyId=key, Status="Active")
    assert works(user, token)
    cloud.clock.advance(24 * 3600 + 1)
    assert not works(user, token)


def test_s3_keeps_what_is_its_own(cloud: TestCloud) -> None:
    """Buckets that are called like the paths by which clients sign in, and hosts that name a bucket."""
    s3 = cloud.client("s3")
    info = send(cloud, "GET", "/info")
    assert info.status == 200 and "swift" in info.json
    for name in ("info", "auth", "v2.0"):
        s3.create_bucket(Bucket=name)
        s3.put_object(Bucket=name, Key="v1.0", Body=b"x")
        assert s3.get_object(Bucket=name, Key="v1.0")["Body"].read() == b"x"
    assert b"<Error>" in send(cloud, "GET", "/info").body
    assert "swift" in send(cloud, "GET", "/info", x_auth_token="x").json
    assert b"<Error>" in send(cloud, "GET", "/auth/v1.0").body
    host = f"info.{cloud.settings.s3_domains[0]}"
    assert b"<Error>" in send(cloud, "GET", "/v1/AUTH_x/y", host=host).body
    assert s3.list_objects_v2(Bucket="info")["KeyCount"] == 1


def test_odd_requests(sqlite_cloud: TestCloud) -> None:
    swift = Swift(sqlite_cloud.admin)
    swift("PUT", "things")
    for method in ("PATCH", "TRACE", "FOO", "CONNECT", "__CLASS__", "_RUN", "COPY"):
        for name in ("", "things", "things/x"):
            assert swift(method, name).status in (404, 405, 412), (method, name)
    for query in ("limit=x", "limit=-1", "format=%ff", "marker=%00", "prefix=%00", "delimiter=%00", "a" * 4000, "temp_url_sig=x", "=&=&"):
        for name in ("", "things", "things/x"):
            assert swift("GET", name, query).status < 500 or "delimiter" in query, (query, name)
    for path in ("/v1/AUTH_", "/v1/AUTH_/", "/v1/AUTH_//", "/v1/AUTH_x//y", "/v1/AUTH_%00/x", "/v1/AUTH_x%2Fy/z/q", "/v1/AUTH_../../x"):
        assert send(sqlite_cloud, "GET", path, x_auth_token=swift.token).status in (400, 403, 404, 412), path
        assert send(sqlite_cloud, "GET", path).status in (400, 401, 404, 412), path
    token = swift.token
    for changed in (token[:-1], token + "A", token[:20] + "A" + token[21:], token.lower(), "AUTH_tk", "AUTH_tk====", "é", ""):
        if changed != token:
            assert send(sqlite_cloud, "GET", swift.path(), x_auth_token=changed).status == 401
