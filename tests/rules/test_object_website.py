"""Redirects of websites against an oracle, and what paths mean."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from mallee.objects.rules import website
from mallee.objects.rules.website import Asked, Redirect

_KEYS = st.text(alphabet="ab/ ä%+", max_size=6)
_QUERIES = st.sampled_from(["", "a=1", "p=%20&x"])
_PREFIXES = st.text(alphabet="ab/", max_size=3)


@st.composite
def _rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    made = []
    for _ in range(draw(st.integers(0, 4))):
        condition: dict[str, str] = {}
        if draw(st.booleans()):
            condition["KeyPrefixEquals"] = draw(_PREFIXES)
        if draw(st.booleans()):
            condition["HttpErrorCodeReturnedEquals"] = draw(st.sampled_from(["403", "404"]))
        redirect: dict[str, str] = {}
        if draw(st.booleans()):
            redirect[draw(st.sampled_from(["ReplaceKeyWith", "ReplaceKeyPrefixWith"]))] = draw(st.sampled_from(["", "new/", "#!/", "b.html"]))
        if draw(st.booleans()):
            redirect["HostName"] = "other.example"
        if draw(st.booleans()):
            redirect["Protocol"] = "https"
        redirect["HttpRedirectCode"] = draw(st.sampled_from(["301", "302", "307"]))
        made.append({**({"Condition": condition} if condition else {}), "Redirect": redirect})
    return made


@given(_rules(), _KEYS, _QUERIES, st.sampled_from([None, 403, 404, 412]))
def test_the_first_rule_that_fits(rules: list[dict[str, Any]], key: str, query: str, status: int | None) -> None:
    asked = Asked(key, query, "http", "site.example:8773")
    found = website.redirect({"IndexDocument": {"Suffix": "i"}, "RoutingRules": rules}, asked, status)
    text = key + ("?" + query if query else "")
    for rule in rules:
        condition = rule.get("Condition", {})
        prefix = condition.get("KeyPrefixEquals", "")
        if condition.get("HttpErrorCodeReturnedEquals") != (None if status is None else str(status)) or not text.startswith(prefix):
            continue
        assert found is not None
        redirect = rule["Redirect"]
        path = redirect.get("ReplaceKeyWith")
        if path is None:
            path = redirect["ReplaceKeyPrefixWith"] + text[len(prefix) :] if "ReplaceKeyPrefixWith" in redirect else text
        expected = f"{redirect.get('Protocol', 'http')}://{redirect.get('HostName', 'site.example:8773')}/{path}"
        assert found.status == int(redirect["HttpRedirectCode"])
        assert unquote(found.location) == unquote(expected) or "%" in key
        assert found.location.isascii() and " " not in found.location
        return
    assert found is None


@given(_KEYS, _QUERIES)
def test_everything_is_sent_on(key: str, query: str) -> None:
    found = website.redirect({"RedirectAllRequestsTo": {"HostName": "x.example", "Protocol": "https"}}, Asked(key, query, "http", "here"))
    assert found is not None and found.status == 301
    parts = urlsplit(found.location)
    assert (parts.scheme, parts.netloc, unquote(parts.path), parts.query) == ("https", "x.example", "/" + key, query)


def test_keys() -> None:
    site = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "error.html"}}
    assert website.object_key(site, "") == "index.html"
    assert website.object_key(site, "a/") == "a/index.html"
    assert website.object_key(site, "a") == "a"
    assert website.folder_key(site, "a") == "a/index.html"
    assert website.folder_key(site, "a/") is None and website.folder_key(site, "") is None
    assert website.error_key(site, 404) == "error.html"
    assert website.error_key(site, 500) is None and website.error_key({}, 404) is None
    assert website.to_folder(Asked("a b", "q=1")) == Redirect(302, "/a%20b/?q=1")


@given(st.text(), st.text())
def test_pages_say_nothing_that_is_markup(name: str, value: str) -> None:
    page = website.page(404, {name: value}, {"Key": value}).decode()
    assert page.startswith("<html>\n<head><title>404 Not Found</title></head>\n<body>\n<h1>404 Not Found</h1>\n<ul>")
    assert page.count("<") == page.count(">") and page.count("<li>") == 2
