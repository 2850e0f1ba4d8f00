"""What browsers are told about other origins."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket, unsigned

HOST = (b"host", b"mallee.test:8773")
VIRTUAL = (b"host", NAME.encode() + b".s3.local-1.mallee.internal:8773")
SITE = "http://www.example.com"
RULES = [
    {"AllowedMethods": ["PUT", "POST"], "AllowedOrigins": [SITE], "AllowedHeaders": ["x-amz-*", "Content-Type"], "MaxAgeSeconds": 3000},
    {"AllowedMethods": ["GET", "HEAD"], "AllowedOrigins": ["*"], "ExposeHeaders": ["x-amz-request-id", "ETag"]},
    {"AllowedMethods": ["DELETE"], "AllowedOrigins": ["https://*.example.com"]},
]


def configured(cloud: TestCloud, **options: Any) -> Any:
    s3 = bucket(cloud, **options)
    s3.put_bucket_cors(Bucket=NAME, CORSConfiguration={"CORSRules": RULES})
    return s3


def preflight(
    cloud: TestCloud, path: str = f"/{NAME}/key", host: tuple[bytes, bytes] = HOST, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return cloud.request("OPTIONS", path, headers=[host, *given])


METHOD = "access_control_request_method"
HEADERS = "access_control_request_headers"


@pytest.mark.parametrize(("path", "host"), [(f"/{NAME}/a/b", HOST), (f"/{NAME}", HOST), ("/a/b", VIRTUAL), ("/", VIRTUAL)])
def test_a_preflight(sqlite_cloud: TestCloud, path: str, host: tuple[bytes, bytes]) -> None:
    configured(sqlite_cloud)
    asked = {"origin": SITE, METHOD: "PUT", HEADERS: "X-Amz-Date, content-type"}
    status, headers, body = preflight(sqlite_cloud, path, host, **asked)
    assert (status, body) == (200, b"")
    told = {name: value for name, value in headers.items() if not name.startswith("x-amz")}
    assert told == {
        "access-control-allow-origin": SITE,
        "access-control-allow-methods": "PUT, POST",
        "access-control-allow-headers": "x-amz-date, content-type",
        "access-control-max-age": "3000",
        "access-control-allow-credentials": "true",
        "vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
        "content-length": "0",
    }


def test_everybody(sqlite_cloud: TestCloud) -> None:
    configured(sqlite_cloud)
    status, headers, _ = preflight(sqlite_cloud, origin="null", **{METHOD: "GET"})
    assert status == 200 and headers["access-control-allow-origin"] == "*"
    assert headers["access-control-expose-headers"] == "x-amz-request-id, ETag"
    assert "access-control-allow-credentials" not in headers and "access-control-max-age" not in headers


def test_refused_preflights(sqlite_cloud: TestCloud) -> None:
    configured(sqlite_cloud)
    sqlite_cloud.client("s3").create_bucket(Bucket="without-rules")

    def refusal(expected: int, path: str = f"/{NAME}/key", **headers: str) -> bytes:
        status, told, body = preflight(sqlite_cloud, path, **headers)
        assert status == expected
        assert not any(name.startswith("access-control") for name in told)
        return body

    assert b"<Code>BadRequest</Code><Message>Insufficient information. Origin request header needed.<" in refusal(400, **{METHOD: "GET"})
    assert b"<Message>Invalid Access-Control-Request-Method: null<" in refusal(400, origin=SITE)
    assert b"<Message>Invalid Access-Control-Request-Method: PATCH<" in refusal(400, origin=SITE, **{METHOD: "PATCH"})
    for headers in (
        {"origin": "http://other.example.com", METHOD: "PUT"},
        {"origin": SITE, METHOD: "DELETE"},
        {"origin": SITE, METHOD: "PUT", HEADERS: "authorization"},
    ):
        body = refusal(403, **headers)
        assert b"<Code>AccessForbidden</Code><Message>CORSResponse: This CORS request is not allowed." in body
        assert b"<ResourceType>OBJECT</ResourceType>" in body
    body = refusal(403, "/without-rules", origin=SITE, **{METHOD: "GET"})
    assert b"<Message>CORSResponse: CORS is not enabled for this bucket.</Message>" in body
    assert b"<Method>GET</Method><ResourceType>BUCKET</ResourceType>" in body
    assert b"CORSResponse: Bucket not found" in refusal(403, "/no-such-bucket/x", origin=SITE, **{METHOD: "GET"})
    assert b"AccessForbidden" in refusal(403, "/", origin=SITE, **{METHOD: "GET"})


def test_what_is_changed_counts_at_once(sqlite_cloud: TestCloud) -> None:
    s3 = configured(sqlite_cloud)
    asked = {"origin": SITE, METHOD: "PUT"}
    assert preflight(sqlite_cloud, **asked)[0] == 200
    s3.delete_bucket_cors(Bucket=NAME)
    assert preflight(sqlite_cloud, **asked)[0] == 403


def test_actual_requests(cloud: TestCloud) -> None:
    s3 = configured(cloud, public=True)
    allow(s3, "s3:GetObject", "s3:DeleteObject")
    s3.put_object(Bucket=NAME, Key="key", Body=b"text")
    status, headers, body = cloud.request("GET", f"/{NAME}/key", headers=[HOST, (b"origin", SITE.encode())])
    assert (status, body) == (200, b"text")
    assert headers["access-control-allow-origin"] == "*" and headers["access-control-allow-methods"] == "GET, HEAD"
    assert headers["vary"].startswith("Origin")
    # errors, too
    status, headers, _ = cloud.request("GET", "/none", headers=[VIRTUAL, (b"origin", SITE.encode())])
    assert status == 403 and headers["access-control-allow-origin"] == "*"
    status, headers, _ = cloud.request("PUT", f"/{NAME}/key", headers=[HOST, (b"origin", SITE.encode()), (b"content-length", b"0")])
    assert status == 403 and headers["access-control-allow-origin"] == SITE
    assert headers["access-control-allow-credentials"] == "true"
    # an origin that no rule knows is answered, and told nothing
    status, headers, _ = cloud.request("DELETE", f"/{NAME}/key", headers=[HOST, (b"origin", SITE.encode())])
    assert status == 204 and "access-control-allow-origin" not in headers and headers["vary"].startswith("Origin")
    status, headers, _ = cloud.request("GET", f"/{NAME}/key", headers=[HOST])
    assert status == 404 or status == 403
    assert "access-control-allow-origin" not in headers and "vary" not in headers
    assert unsigned(cloud)


def test_an_origin_that_is_none(sqlite_cloud: TestCloud) -> None:
    s3 = configured(sqlite_cloud)
    s3.put_bucket_cors(Bucket=NAME, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["http://*"]}]})
    for origin in (b"http://a\r\nset-cookie: x", b"http://a\x00", b""):
        _, headers, _ = sqlite_cloud.request("GET", f"/{NAME}/key", headers=[HOST, (b"origin", origin)])
        assert "access-control-allow-origin" not in headers
    assert sqlite_cloud.cloud.dispatcher.faults == 0
