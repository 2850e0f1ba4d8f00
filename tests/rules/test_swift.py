"""Swift's pure parts: large objects, temporary URLs, access lists, tokens, paths, listings."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.identity.vault import Vault
from mallee.objects.swift import acl, large, listings, paths, temp_urls, tokens
from mallee.objects.swift.large import Segment
from mallee.wire import AwsError

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.data()), max_size=6), st.data())
def test_any_part_of_segments(parts: list[tuple[bytes, st.DataObject]], data: st.DataObject) -> None:
    segments, contents = [], []
    for number, (content, _) in enumerate(parts):
        first = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(1, len(content) - first))
        segments.append(Segment(str(number), "", len(content), first, length))
        contents.append(content)
    whole = b"".join(contents[number][each.offset : each.offset + each.length] for number, each in enumerate(segments))
    offset = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, len(whole) - offset))
    plan = large.within(segments, offset, length)
    assert b"".join(contents[int(each.path)][first : first + count] for each, first, count in plan) == whole[offset : offset + length]
    assert large.read(large.stored(segments)) == segments


@given(st.binary(max_size=200))
def test_any_manifest_is_read_or_refused(body: bytes) -> None:
    for function in (large.asked, large.read, large.raw):
        try:
            function(body)
        except AwsError as error:
            assert error.status in (400, 409, 413)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "etag", "size_bytes", "range", "name", "hash", "bytes", "sub_slo", "data"]), inner)
    ),
)


@given(st.lists(_json, max_size=3))
def test_any_document(document: list[object]) -> None:
    test_any_manifest_is_read_or_refused.hypothesis.inner_test(json.dumps(document).encode())  # type: ignore[attr-defined]


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_a_temporary_url_holds_for_what_it_was_made_for(digest: str) -> None:
    start, expires = "/v1/AUTH_1/c", int(NOW.timestamp()) + 10

    def signed(text: str, **more: str) -> temp_urls.Signed:
        signature = hmac.new(b"k", text.encode(), getattr(hashlib, digest)).hexdigest()
        found = temp_urls.claimed({"temp_url_sig": signature, "temp_url_expires": str(expires), **more})
        assert found is not None
        return found

    def holds(found: temp_urls.Signed, method: str = "GET", path: str = f"{start}/o", seconds: int = 0, address: str = "10.0.0.1") -> bool:
        return temp_urls.holds(found, [b"x", b"k"], method, start, path, address, NOW + datetime.timedelta(seconds=seconds)) == [False, True]

    url = signed(f"GET\n{expires}\n{start}/o")
    assert holds(url) and holds(url, "HEAD") and holds(url, seconds=10)
    assert not holds(url, "PUT") and not holds(url, seconds=11) and not holds(url, path=f"{start}/p")
    assert holds(signed(f"PUT\n{expires}\n{start}/o"), "PUT") and holds(signed(f"PUT\n{expires}\n{start}/o"), "HEAD")
    assert not holds(signed(f"DELETE\n{expires}\n{start}/o"), "HEAD")
    prefixed = signed(f"GET\n{expires}\nprefix:{start}/o", temp_url_prefix="o")
    assert holds(prefixed) and holds(prefixed, path=f"{start}/other") and not holds(prefixed, path=f"{start}/x")
    within = signed(f"ip=10.0.0.0/8\nGET\n{expires}\n{start}/o", temp_url_ip_range="10.0.0.0/8")
    assert holds(within) and not holds(within, address="192.0.2.1") and not holds(within, address="")
    assert not holds(signed(f"GET\n{expires}\n{start}/o", temp_url_ip_range="10.0.0.0/8"))


@given(st.dictionaries(st.sampled_from(["temp_url_sig", "temp_url_expires", "temp_url_ip_range", "filename", "inline"]), st.text(max_size=80)))
def test_any_claim(query: dict[str, str]) -> None:
    try:
        found = temp_urls.claimed(query)
    except AwsError as error:
        assert error.status == 401
        return
    assert found is None or not any(temp_urls.holds(found, [b"k"], "GET", "/v1/AUTH_1/c", "/v1/AUTH_1/c/o", "::1", NOW))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_a_disposition_is_one_header(filename: str, key: str, inline: bool) -> None:
    found = temp_urls.disposition(temp_urls.Signed("sha1", b"", 0, filename=filename or None, inline=inline), key)
    assert found.isascii() and found.isprintable() and found.count('"') in (0, 2)


def lists(text: str, kind: str = acl.READ) -> list[acl.Document]:
    known = {"1" * 12: "1" * 12, "acme": "2" * 12}
    return acl.statements(
        kind, text, "things", "aws", known.get, lambda account, name: f"arn:aws:iam::{account}:user/p/{name}" if name == "sue" else None
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ""), (".r:*", ".r:*"), (".r:*, .rlistings", ".r:*,.rlistings"), (".REF:*", ".r:*"), ("acme", "222222222222:*"),
        ("acme:*,111111111111:sue", "111111111111:sue,222222222222:*"), ("AUTH_acme:sue,.r:*", ".r:*,222222222222:sue"),
    ],
)  # fmt: skip
def test_lists_become_statements_and_are_told_again(text: str, told: str) -> None:
    policy = acl.merged(None, acl.READ, lists(text))
    assert acl.told(policy, acl.READ) == told and acl.told(policy, acl.WRITE) == ""
    other = {"Sid": "Mine", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    mixed = acl.merged(json.dumps({"Version": "2012-10-17", "Statement": other}), acl.READ, lists(text))
    assert acl.told(mixed, acl.READ) == told
    emptied = acl.merged(mixed, acl.READ, [])
    assert emptied is not None and json.loads(emptied)["Statement"] == [other]
    assert acl.merged(policy, acl.READ, []) is None


@pytest.mark.parametrize(
    "text", [".r:x.com", ".r:-x.com", ".rlistings", "nobody", "acme:bob", "*:*", "*", "acme:a/b", ":", ",".join(["acme"] * 101)]
)
def test_lists_that_cannot_be_said(text: str) -> None:
    with pytest.raises(AwsError, match="cannot be kept"):
        lists(text)


def test_everybody_may_not_write() -> None:
    with pytest.raises(AwsError):
        lists(".r:*", acl.WRITE)


@given(st.text(max_size=40))
def test_any_list(text: str) -> None:
    for kind in (acl.READ, acl.WRITE):
        try:
            acl.told(acl.merged(None, kind, lists(text, kind)), kind)
        except AwsError as error:
            assert error.status == 400


def test_tokens() -> None:
    vault, other = Vault(b"a" * 32), Vault(b"b" * 32)
    made = tokens.new("AKIAEXAMPLE", NOW)
    text = tokens.sealed(vault, made)
    assert tokens.opened(vault, text, NOW) == made and "AKIA" not in text
    assert tokens.opened(other, text, NOW) is None
    assert tokens.opened(vault, text, NOW + datetime.timedelta(hours=24)) is None
    assert (made.expires - NOW).total_seconds() <= 24 * 3600


@given(st.text(max_size=200) | st.binary(max_size=90).map(lambda raw: "AUTH_tk" + raw.hex()))
def test_no_other_token_opens(text: str) -> None:
    assert tokens.opened(Vault(b"a" * 32), text, NOW) is None


@given(st.binary(max_size=60).filter(lambda raw: b"?" not in raw))
def test_any_path(raw: bytes) -> None:
    try:
        found = paths.parse(b"/v1/AUTH_" + raw)
    except AwsError as error:
        assert error.status in (400, 412)
        return
    assert "/" not in found.container and "\0" not in found.account + found.container + found.key


def test_the_container_of_segments() -> None:
    found = paths.parse(b"/v1/AUTH_1/things_segments/a")
    assert (found.container, found.named) == ("things-segments", "things_segments")


_name = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(st.lists(_name, max_size=5), _name)
def test_listings_are_well_formed(names: list[str], root: str) -> None:
    rows = [{"name": name, "bytes": 1} if number % 2 else {"subdir": name} for number, name in enumerate(names)]
    found = ET.fromstring(listings.written(listings.XML, "container", root, "object", rows))
    assert [each.findtext("name") for each in found] == names
    assert json.loads(listings.written(listings.JSON, "container", root, "object", rows)) == rows
    assert listings.written(listings.TEXT, "container", root, "object", rows).decode() == "".join(f"{name}\n" for name in names)


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ({}, "", listings.TEXT), ({"format": "json"}, "text/plain", listings.JSON), ({}, "application/json", listings.JSON),
        ({}, "text/xml", listings.XML), ({}, "*/*", listings.TEXT), ({}, "image/png, application/xml;q=0.5", listings.XML),
    ],
)  # fmt: skip
def test_forms(query: dict[str, str], accept: str, kind: str) -> None:
    assert listings.form(query, accept) == kind
