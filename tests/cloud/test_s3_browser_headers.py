"""What clients give to be told again in the heads of answers splits none of them."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cloud.harness import TestCloud
from tests.cloud.s3 import NAME, allow, bucket
from tests.http.server import serving

SPLIT = "a\r\nx-injected: 1\r\n\r\nHTTP/1.1 200 OK\r\n"


def get(cloud: TestCloud, url: str, method: str = "GET", headers: Any = ()) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    return cloud.request(method, parts.path, parts.query, [(b"host", parts.netloc.encode()), *headers])


@pytest.mark.parametrize(
    "name", ["ResponseContentType", "ResponseContentDisposition", "ResponseCacheControl", "ResponseContentEncoding", "ResponseContentLanguage"]
)
def test_what_an_address_wishes(sqlite_cloud: TestCloud, name: str) -> None:
    s3 = bucket(sqlite_cloud)
    s3.put_object(Bucket=NAME, Key="key", Body=b"text")
    url = s3.generate_presigned_url("get_object", {"Bucket": NAME, "Key": "key", name: SPLIT})
    status, headers, body = get(sqlite_cloud, url)
    assert (status, body) == (200, b"text") and "x-injected" not in headers
    assert not any("\r" in value or "\n" in value for value in headers.values())


@pytest.mark.parametrize(("key", "value"), [("a", SPLIT), ("a\r\nx-injected", "1"), ("a: b\r\n", "1"), ("", "1"), ("a", "\0"), ("a b", "1")])
def test_metadata_of_an_address(cloud: TestCloud, key: str, value: str) -> None:
    """Presigned addresses may bring headers in their queries, where nothing is out of the question."""
    s3 = bucket(cloud)

    def hoist(request: Any, **_: Any) -> None:
        request.params[f"x-amz-meta-{key}"] = value

    s3.meta.events.register("before-sign.s3.PutObject", hoist)
    url = s3.generate_presigned_url("put_object", {"Bucket": NAME, "Key": "key"})
    s3.meta.events.unregister("before-sign.s3.PutObject", hoist)
    status, _, _ = get(cloud, url, "PUT", [(b"content-length", b"0")])
    assert status in (200, 400, 403)
    if status == 200:
        status, headers, _ = get(cloud, s3.generate_presigned_url("get_object", {"Bucket": NAME, "Key": "key"}))
        assert status == 200 and "x-injected" not in headers
        assert not any("\r" in part or "\n" in part for pair in headers.items() for part in pair)
    assert cloud.cloud.dispatcher.faults == 0


def test_on_the_wire(sqlite_cloud: TestCloud) -> None:
    """Latin-1, UTF-8 and separators in metadata come back in one header each."""
    s3 = bucket(sqlite_cloud, public=True)
    allow(s3, "s3:PutObject", "s3:GetObject")
    values = [b"caf\xe9", "café".encode(), b"\xc2\x85\xe2\x80\xa8", b"\x85", b"a:b; c=d, e", b"  padded  "]
    with serving(sqlite_cloud.cloud.api) as server:
        client = server.connect()
        for value in values:
            head = f"PUT /{NAME}/key HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n".encode()
            client.send(head + b"x-amz-meta-a: " + value + b"\r\ncontent-type: " + value + b"\r\n\r\nx")
            assert client.answer()[0] == 200
            client.send(f"GET /{NAME}/key HTTP/1.1\r\nhost: x\r\n\r\n".encode())
            status, headers, body = client.answer()
            assert (status, body) == (200, b"x")
            assert headers["x-amz-meta-a"] and set(headers) <= {
                "date", "server", "x-amz-request-id", "x-amz-id-2", "accept-ranges", "last-modified", "content-length", "etag", "content-type",
                "x-amz-meta-a",
            }  # fmt: skip
        client.socket.shutdown(socket.SHUT_RDWR)
        client.close()
