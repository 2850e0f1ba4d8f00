"""A field of a browser's form whose name was all backslashes kept the whole process busy for as long as one liked, and nobody had signed it."""

from __future__ import annotations

import time

import pytest

from mallee.http.multipart import _parameters
from tests.cloud.harness import TestCloud


@pytest.mark.parametrize("piece", [b"\\", b'\\"', b"\\\\x", b'\\" ', b'";', b';a="', b';a="\\', b"; a", b' ;a = "\\";'])
@pytest.mark.parametrize("end", [b"", b'"', b'x"', b'" x'])
def test_no_disposition_takes_long(piece: bytes, end: bytes) -> None:
    began = time.monotonic()
    _parameters(b'form-data; name="' + piece * (16_000 // len(piece)) + end)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        (b'form-data; name="a"; filename="C:\\dir\\"', "filename", "C:\\dir\\"),
        (b'form-data; name="a"; filename="C:\\dir\\f.txt"; x=1', "filename", "C:\\dir\\f.txt"),
        (b'form-data; name="a\\"b"', "name", 'a"b'),
        (b'form-data; name="a\\"; b"; c=d', "name", 'a"; b'),
        (b'form-data; name="a\\"b\\"', "name", 'a"b\\'),
        (b"form-data; name=a", "name", "a"),
        (b'form-data; name="a;b" ; c="d"', "name", "a;b"),
    ],
)
def test_what_it_names_is_as_before(text: bytes, name: str, value: str) -> None:
    assert _parameters(text)[name] == value


def test_such_a_form_is_answered(sqlite_cloud: TestCloud) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="' + b"\\" * 2000 + b"x\r\n\r\nvalue\r\n--b--\r\n"
    head = [(b"host", b"x"), (b"content-type", b"multipart/form-data; boundary=b"), (b"content-length", b"%d" % len(body))]
    began = time.monotonic()
    status, _, _ = sqlite_cloud.request("POST", "/bucket", "", head, body)
    assert status == 400 and time.monotonic() - began < 5
