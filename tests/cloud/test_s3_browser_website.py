"""Buckets as websites."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mallee.store import Database, ManualClock
from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket

HOST = f"{NAME}.s3-website.local-1.mallee.internal:8773"
INDEX = {"IndexDocument": {"Suffix": "index.html"}}
Answer = tuple[int, dict[str, str], bytes]


def site(cloud: TestCloud, configuration: dict[str, Any] | None = None, **objects: Any) -> Any:
    s3 = bucket(cloud, public=True)
    allow(s3, "s3:GetObject")
    s3.put_bucket_website(Bucket=NAME, WebsiteConfiguration=configuration or INDEX)
    for key, body in {"index.html": b"home", "docs/index.html": b"docs", **objects}.items():
        s3.put_object(Bucket=NAME, Key=key, Body=body, ContentType="text/html")
    return s3


def listable(s3: Any) -> None:
    """Everybody may read and list."""
    statements = [
        {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{NAME}{on}"}
        for action, on in (("s3:GetObject", "/*"), ("s3:ListBucket", ""))
    ]
    s3.put_bucket_policy(Bucket=NAME, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def visit(cloud: TestCloud, path: str, query: str = "", method: str = "GET", host: str = HOST, **headers: str) -> Answer:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return cloud.request(method, path, query, [(b"host", host.encode()), *given])


def test_pages(cloud: TestCloud) -> None:
    s3 = site(cloud)
    for host in (HOST, f"{NAME}.s3-website-local-1.mallee.internal", HOST.upper()):
        status, headers, body = visit(cloud, "/", host=host)
        assert (status, body, headers["content-type"]) == (200, b"home", "text/html")
    assert visit(cloud, "/docs/")[2] == b"docs"
    assert visit(cloud, "/docs/index.html")[2] == b"docs"
    s3.put_object(Bucket=NAME, Key="ä b/c", Body=b"odd")
    assert visit(cloud, "/%C3%A4%20b/c")[2] == b"odd"
    assert visit(cloud, "/", "versionId=x&acl&response-content-type=a/b")[2] == b"home"
    assert visit(cloud, "/", authorization="AWS4-HMAC-SHA256 whatever")[2] == b"home"
    status, headers, body = visit(cloud, "/", method="HEAD")
    assert (status, body, headers["content-length"]) == (200, b"", "4")


def test_large_pages_and_parts_of_them(sqlite_cloud: TestCloud) -> None:
    content = os.urandom(1_500_000)
    s3 = site(sqlite_cloud, big=content)
    assert visit(sqlite_cloud, "/big")[2] == content
    status, headers, body = visit(sqlite_cloud, "/big", range="bytes=1000-1999")
    assert (status, body) == (206, content[1000:2000]) and headers["content-range"] == "bytes 1000-1999/1500000"
    etag = s3.head_object(Bucket=NAME, Key="big")["ETag"]
    status, headers, body = visit(sqlite_cloud, "/big", if_none_match=etag)
    assert (status, body, headers["etag"]) == (304, b"", etag)
    status, headers, body = visit(sqlite_cloud, "/big", if_match='"x"')
    assert status == 412 and b"<h1>412 Precondition Failed</h1>" in body
    status, headers, body = visit(sqlite_cloud, "/big", range="bytes=9999999-")
    assert status == 416 and b"<h1>416 Requested Range Not Satisfiable</h1>" in body


def test_folders(sqlite_cloud: TestCloud) -> None:
    s3 = site(sqlite_cloud)
    status, headers, body = visit(sqlite_cloud, "/docs", "a=1")
    assert status == 302 and headers["location"] == "/docs/?a=1"
    assert headers["x-amz-error-code"] == "Found" and b"<h1>302 Moved Temporarily</h1>" in body
    # an object of that very name comes first, even if nobody may see it
    s3.put_object(Bucket=NAME, Key="docs", Body=b"an object")
    assert visit(sqlite_cloud, "/docs")[2] == b"an object"
    allow(s3, "s3:GetObject", on="/docs/*")
    assert visit(sqlite_cloud, "/docs")[0] == 403
    s3.delete_object(Bucket=NAME, Key="docs")
    assert visit(sqlite_cloud, "/docs")[0] == 302
    # a folder that nobody may see is none
    allow(s3, "s3:GetObject", on="/other/*")
    assert visit(sqlite_cloud, "/docs")[0] == 403


def test_errors(sqlite_cloud: TestCloud) -> None:
    s3 = site(sqlite_cloud)
    status, headers, body = visit(sqlite_cloud, "/<none>")
    assert status == 403 and headers["content-type"] == "text/html; charset=utf-8"
    assert b"<title>403 Forbidden</title>" in body and b"<li>Code: AccessDenied</li>" in body and b"<li>Message: Access Denied</li>" in body
    assert f"<li>RequestId: {headers['x-amz-request-id']}</li>".encode() in body and b"<li>HostId: " in body
    assert headers["x-amz-error-code"] == "AccessDenied" and headers["x-amz-error-message"] == "Access Denied"
    listable(s3)
    status, headers, body = visit(sqlite_cloud, "/%3Cnone%3E")
    assert status == 404 and b"<li>Code: NoSuchKey</li>" in body and b"<li>Key: &lt;none&gt;</li>" in body
    assert headers["x-amz-error-detail-Key"] == "<none>"
    status, headers, body = visit(sqlite_cloud, "/none", method="HEAD")
    assert status == 404 and body == b"" and int(headers["content-length"]) > 100


def test_error_documents(sqlite_cloud: TestCloud) -> None:
    s3 = site(sqlite_cloud, {**INDEX, "ErrorDocument": {"Key": "oops.html"}}, **{"oops.html": b"sorry"})
    listable(s3)
    status, headers, body = visit(sqlite_cloud, "/none", range="bytes=1-2", if_none_match="*")
    assert (status, body, headers["content-type"]) == (404, b"sorry", "text/html")
    assert headers["x-amz-error-code"] == "NoSuchKey"
    s3.delete_object(Bucket=NAME, Key="oops.html")
    status, _, body = visit(sqlite_cloud, "/none")
    assert status == 404 and body.count(b"<li>Code: NoSuchKey</li>") == 2
    assert b"<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>" in body and b"<li>Key: oops.html</li>" in body


def test_what_is_no_website(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    status, headers, body = visit(sqlite_cloud, "/")
    assert status == 404 and b"<li>Code: NoSuchWebsiteConfiguration</li>" in body
    assert f"<li>BucketName: {NAME}</li>".encode() in body and headers["x-amz-error-detail-BucketName"] == NAME
    status, _, body = visit(sqlite_cloud, "/", host="none.s3-website.local-1.mallee.internal")
    assert status == 404 and b"<li>Code: NoSuchBucket</li>" in body
    assert visit(sqlite_cloud, "/", host="s3-website.local-1.mallee.internal")[0] == 404
    s3.put_bucket_website(Bucket=NAME, WebsiteConfiguration=INDEX)
    s3.put_object(Bucket=NAME, Key="index.html", Body=b"private")
    assert visit(sqlite_cloud, "/")[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods(sqlite_cloud: TestCloud, method: str) -> None:
    site(sqlite_cloud)
    status, headers, body = visit(sqlite_cloud, "/index.html", method=method)
    assert status == 405 and headers["allow"] == "GET, HEAD" and b"<li>Code: MethodNotAllowed</li>" in body
    assert visit(sqlite_cloud, "/index.html")[2] == b"home"


def test_redirects_of_objects(sqlite_cloud: TestCloud) -> None:
    s3 = site(sqlite_cloud)
    for size, target in ((5, "/docs/"), (1_000_000, "https://example.com/x")):
        s3.put_object(Bucket=NAME, Key="old", Body=b"x" * size, WebsiteRedirectLocation=target)
        status, headers, body = visit(sqlite_cloud, "/old")
        assert (status, headers["location"], body) == (301, target, b"")
        assert "x-amz-website-redirect-location" not in headers
    # the API shows the object
    assert len(s3.get_object(Bucket=NAME, Key="old")["Body"].read()) == 1_000_000


def test_rules(sqlite_cloud: TestCloud) -> None:
    rules = [
        {"Condition": {"KeyPrefixEquals": "old/"}, "Redirect": {"ReplaceKeyPrefixWith": "new/"}},
        {"Condition": {"HttpErrorCodeReturnedEquals": "404"}, "Redirect": {"ReplaceKeyPrefixWith": "#!/", "HttpRedirectCode": "302"}},
        {"Condition": {"KeyPrefixEquals": "one"}, "Redirect": {"HostName": "b.example", "Protocol": "https", "ReplaceKeyWith": "two"}},
    ]
    s3 = site(sqlite_cloud, {**INDEX, "RoutingRules": rules})
    listable(s3)
    status, headers, body = visit(sqlite_cloud, "/old/a%20b", "x=1")
    assert (status, headers["location"], body) == (301, f"http://{HOST}/new/a%20b?x=1", b"")
    status, headers, _ = visit(sqlite_cloud, "/deep/link")
    assert (status, headers["location"]) == (302, f"http://{HOST}/#!/deep/link")
    assert visit(sqlite_cloud, "/one?")[1]["location"] == "https://b.example/two"
    assert visit(sqlite_cloud, "/")[2] == b"home"


def test_everything_elsewhere(sqlite_cloud: TestCloud) -> None:
    s3 = bucket(sqlite_cloud)
    s3.put_bucket_website(Bucket=NAME, WebsiteConfiguration={"RedirectAllRequestsTo": {"HostName": "example.com"}})
    status, headers, _ = visit(sqlite_cloud, "/a/b", "c=d")
    assert (status, headers["location"]) == (301, "http://example.com/a/b?c=d")
    sqlite_cloud.scheme = "https"
    assert visit(sqlite_cloud, "/")[1]["location"] == "https://example.com/"


@pytest.mark.parametrize("path", ["/%ff", "/%00", "/a%0d%0ax:y", "/..", "//", "/%2e%2e/%2F", "/" + "a" * 2000, "/%ED%A0%80", "/%C0%AF"])
def test_paths_that_nobody_means_well(sqlite_cloud: TestCloud, path: str) -> None:
    rules = [{"Condition": {"HttpErrorCodeReturnedEquals": "404"}, "Redirect": {"HostName": "x"}}]
    s3 = site(sqlite_cloud, {**INDEX, "RoutingRules": rules})
    for _ in range(2):
        status, headers, _ = visit(sqlite_cloud, path)
        assert status in (301, 400, 403, 404)
        assert all(value.isprintable() for value in headers.values())
        listable(s3)
    assert sqlite_cloud.cloud.dispatcher.faults == 0


def test_other_origins(sqlite_cloud: TestCloud) -> None:
    s3 = site(sqlite_cloud)
    rules = [{"AllowedMethods": ["GET"], "AllowedOrigins": ["http://a.example"]}]
    s3.put_bucket_cors(Bucket=NAME, CORSConfiguration={"CORSRules": rules})
    for path in ("/", "/none"):
        headers = visit(sqlite_cloud, path, origin="http://a.example")[1]
        assert headers["access-control-allow-origin"] == "http://a.example"
    status, headers, _ = visit(sqlite_cloud, "/x", method="OPTIONS", origin="http://a.example", access_control_request_method="GET")
    assert status == 200 and headers["access-control-allow-methods"] == "GET"


def test_health_is_not_a_page(sqlite_cloud: TestCloud) -> None:
    site(sqlite_cloud, health=b"fine, thanks")
    assert visit(sqlite_cloud, "/health")[2] == b"fine, thanks"
    assert visit(sqlite_cloud, "/health", host=f"{NAME}.s3.local-1.mallee.internal")[2] == b"fine, thanks"
    assert b'"status"' in visit(sqlite_cloud, "/health", host="mallee.test")[2]


def test_domains_of_one_s_own(tmp_path: Path, _empty_database: Path) -> None:
    shutil.copy(_empty_database, tmp_path / "cloud.db")
    database = Database(f"sqlite:///{tmp_path}/cloud.db", ManualClock(), synchronous=False)
    domains = ("web.example", "www.example.com")
    made = TestCloud(tmp_path / "home", database, database.clock, objects_website_domains=domains)  # type: ignore[arg-type]
    site(made)
    assert visit(made, "/", host=f"{NAME}.web.example:80")[2] == b"home"
    assert visit(made, "/", host=f"{NAME}.other.example")[0] != 200
    s3 = bucket(made, "www.example.com", public=True)
    allow(s3, "s3:GetObject", name="www.example.com")
    s3.put_bucket_website(Bucket="www.example.com", WebsiteConfiguration=INDEX)
    s3.put_object(Bucket="www.example.com", Key="index.html", Body=b"www")
    assert visit(made, "/", host="www.example.com")[2] == b"www"
    made.close()
    database.close()
