"""Whatever comes, nothing of Swift's API is at a loss for an answer."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cloud.harness import TestCloud
from tests.cloud.swift import Swift

NAMES = [
    b"content-type", b"content-length", b"transfer-encoding", b"etag", b"if-match", b"if-none-match", b"if-modified-since", b"range", b"if-range",
    b"x-object-meta-a", b"x-object-manifest", b"x-delete-at", b"x-delete-after", b"x-copy-from", b"x-copy-from-account", b"destination",
    b"destination-account", b"x-fresh-metadata", b"x-detect-content-type", b"content-disposition", b"content-encoding", b"expires", b"accept",
    b"x-container-read", b"x-container-write", b"x-remove-container-read", b"x-container-meta-a", b"x-container-meta-temp-url-key",
    b"x-account-meta-a", b"x-account-meta-temp-url-key", b"x-storage-policy", b"x-auth-token", b"x-auth-user", b"x-auth-key", b"x-subject-token",
    b"origin", b"host", b"x-container-meta-", b"x-object-meta-", b"access-control-request-method",
]  # fmt: skip
QUERIES = [
    b"format", b"limit", b"marker", b"end_marker", b"prefix", b"delimiter", b"path", b"reverse", b"multipart-manifest", b"bulk-delete",
    b"extract-archive", b"temp_url_sig", b"temp_url_expires", b"temp_url_prefix", b"temp_url_ip_range", b"filename", b"inline", b"Action",
]  # fmt: skip
odd = st.sampled_from(
    [b"", b"0", b"-1", b"1", b"9" * 30, b"\xff", "é".encode(), b"*", b"bytes=0-", b"bytes=5-1", b"/things/x", b"things/x", b"things", b"get", b"put",
     b"delete", b"json", b"xml", b".r:*", b"a:b,c:*", b"text/plain", b"application/json", b"%", b"%ff", b"%00", b"'\"<&>", b"chunked", b"a" * 300,
     b"0" * 32, b"0" * 40, b"0" * 64, b"true", b"AUTH_x", b"b/../c", b"Thu, 01 Jan 1970 00:00:00 GMT", b"sha256:x", b"\t", b"2030-01-01"]
)  # fmt: skip
value = st.one_of(odd, st.binary(max_size=20).map(lambda raw: bytes(each for each in raw if each not in b"\r\n\0")))
piece = st.one_of(st.sampled_from([b"things", b"x", b"big", b"none", b"", b".", b"..", b"%2F", b"%00", b"%ff", b"a%20b", b"\xc3\xa9"]), odd)
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "OPTIONS", "PATCH"])
headers = st.lists(st.tuples(st.sampled_from(NAMES), value), max_size=5)
query = st.lists(st.tuples(st.sampled_from(QUERIES), value), max_size=4)
bodies = st.sampled_from(
    [b"", b"x", b"things/x\nnone\n%ff", b"[]", b"{}", b'[{"path": "/things/x"}]', b'[{"path": "/things/x", "range": "0-"}]', b"[null]", b"\xff" * 50,
     b'{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "x", "password": "y"}}}}}']
)  # fmt: skip


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(methods, st.lists(piece, max_size=3), query, headers, bodies, st.sampled_from(["ours", "none", "theirs"]))
def test_any_request(
    sqlite_cloud: TestCloud, method: str, parts: list[bytes], asked: list[tuple[bytes, bytes]], given_headers: list[tuple[bytes, bytes]],
    body: bytes, who: str,
) -> None:  # fmt: skip
    swift = _prepared(sqlite_cloud)[who]
    path = b"/".join([swift.path().encode(), *parts]) if parts else swift.path().encode()
    sent = [*given_headers, (b"x-auth-token", swift.token.encode())] if who != "none" else list(given_headers)
    text = "&".join(f"{name.decode()}={raw.decode('latin-1')}" for name, raw in asked)
    _check(sqlite_cloud, method, path, text, sent, body)


signing = st.sampled_from(["/auth/v1.0", "/v3", "/v3/auth/tokens", "/v2.0/tokens", "/info", "/v3/%ff", "/v1/AUTH_"])
members = st.sampled_from(
    ["identity", "methods", "password", "user", "name", "id", "token", "scope", "project", "domain", "application_credential", "secret"]
)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(["password", "token"]))
documents = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=4), max_leaves=12)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(methods, signing, headers, bodies, documents)
def test_any_sign_in(
    sqlite_cloud: TestCloud, method: str, path: str, given_headers: list[tuple[bytes, bytes]], body: bytes, document: Any
) -> None:
    _check(sqlite_cloud, method, path.encode(), "", given_headers, body)
    _check(sqlite_cloud, method, path.encode(), "", given_headers, json.dumps({"auth": document}).encode())


def _check(cloud: TestCloud, method: str, path: bytes, text: str, sent: list[tuple[bytes, bytes]], body: bytes) -> None:
    if not any(name in (b"content-length", b"transfer-encoding") for name, _ in sent):
        sent = [*sent, (b"content-length", b"%d" % len(body))]
    status, found, _ = cloud.request(method, path.decode("latin-1"), text, sent, body)
    assert status < 500 or status == 501, (status, method, path, text, sent)
    assert not any("\n" in each or "\r" in each for each in found.values())


_known: dict[int, dict[str, Swift]] = {}


def _prepared(cloud: TestCloud) -> dict[str, Swift]:
    if id(cloud) not in _known:
        _known.clear()
        ours = Swift(cloud.admin)
        _known[id(cloud)] = {"ours": ours, "none": ours, "theirs": Swift(cloud.account(), at=cloud.admin.id)}
    ours = _known[id(cloud)]["ours"]
    ours("PUT", "things")
    ours("PUT", "things/x", body=b"content")
    ours("PUT", "things/big", "multipart-manifest=put", b'[{"path": "/things/x"}]')
    return _known[id(cloud)]
