"""JSON brings a NUL or half a character by an escape, CBOR a NUL as it is: PostgreSQL keeps neither, no answer can carry the half, and
500 was answered. (Forms: test_control_characters.py)"""

from __future__ import annotations

import pytest

from mallee.wire import cbor, jsonbody
from mallee.wire.reading import Unreadable
from tests.cloud import attacks
from tests.cloud.harness import TestCloud

ODD = [r'"\u0000"', r'"a\ud800b"', r'"\uDFFF"', r'{"\u0000": 1}', r'[[{"a": ["\uDC00\uD800"]}]]']


@pytest.mark.parametrize("text", ODD)
def test_what_only_an_escape_can_bring(text: str) -> None:
    with pytest.raises(Unreadable):
        jsonbody.decode(text.encode())


def test_other_escapes_are_read() -> None:
    text = r'["\ud83d\ude00", "\\u0000", "\\ud800", "\u0001\u00e9"]'
    assert jsonbody.decode(text.encode()) == ["😀", "\\u0000", "\\ud800", "\x01é"]


def test_a_nul_in_cbor() -> None:
    with pytest.raises(Unreadable):
        cbor.decode(b"\xa1\x61a\x61\0")
    with pytest.raises(Unreadable):
        cbor.decode(b"\xa1\x61a\x7f\x61\0\xff")
    assert cbor.decode(b"\xa1\x61a\x41\0") == {"a": b"\0"}


@pytest.mark.parametrize("text", [r"\u0000", r"\ud800"])
def test_a_sign_in_with_them_is_refused(cloud: TestCloud, text: str) -> None:
    body = f'{{"Account":"{text}","UserName":"{text}","Password":"{text}"}}'.encode()
    told = attacks.send(cloud, attacks.signed_json(cloud.admin, "mallee", "Mallee_20261101.SignIn", body))
    assert (told.status, told.code) == (400, "SerializationException"), told.text
