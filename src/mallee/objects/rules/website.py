"""What a bucket's website answers: which object a path means, where a request is sent on to, and what stands in for an error.

A rule whose condition names an error counts when the object could not be had, any other before it is looked for; the first that fits decides.
Keys are compared and replaced as text with the query behind them, so that a redirect keeps the query unless it replaces the whole key.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html, "how-to-page-redirect"
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

Website = Mapping[str, Any]
"""``WebsiteConfiguration``."""

MOVED: Final = 301
_IN_KEY: Final = "/!$&'()*+,;=:@~"
_IN_ADDRESS: Final = _IN_KEY + "%?#[]"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as redirects see it: ``key`` decoded, without its leading slash; ``query`` as it came; ``host`` with its port."""

    key: str
    query: str = ""
    scheme: str = "http"
    host: str = ""

    @property
    def text(self) -> str:
        return f"{self.key}?{self.query}" if self.query else self.key


@dataclass(frozen=True, slots=True)
class Redirect:
    status: int
    location: str


def object_key(site: Website, key: str) -> str:
    """The key of what is shown at a path."""
    return key + suffix(site) if not key or key.endswith("/") else key


def folder_key(site: Website, key: str) -> str | None:
    """The key that tells that an absent one is a folder; None where it can be none."""
    return None if not key or key.endswith("/") else f"{key}/{suffix(site)}"


def suffix(site: Website) -> str:
    return str((site.get("IndexDocument") or {}).get("Suffix") or "")


def error_key(site: Website, status: int) -> str | None:
    """The key of the document that is shown for a client's error."""
    key = (site.get("ErrorDocument") or {}).get("Key")
    return key if key and 400 <= status < 500 else None


def redirect(site: Website, asked: Asked, status: int | None = None) -> Redirect | None:
    """Where a request is sent on to: before the object is looked for, or because of the error ``status``."""
    everything = site.get("RedirectAllRequestsTo")
    if everything is not None:
        return _sent(everything, asked, "")
    for rule in site.get("RoutingRules") or ():
        condition = rule.get("Condition") or {}
        error, prefix = condition.get("HttpErrorCodeReturnedEquals"), condition.get("KeyPrefixEquals") or ""
        if (None if error is None else int(error)) == status and asked.text.startswith(prefix):
            return _sent(rule["Redirect"], asked, prefix)
    return None


def _sent(target: Mapping[str, Any], asked: Asked, prefix: str) -> Redirect:
    scheme = target.get("Protocol") or asked.scheme
    host = target.get("HostName") or asked.host
    if target.get("ReplaceKeyWith") is not None:
        path = quote(target["ReplaceKeyWith"], safe=_IN_ADDRESS)
    else:
        replaced = target.get("ReplaceKeyPrefixWith")
        if replaced is None:
            path = _quoted(asked, asked.text)
        else:
            path = quote(replaced, safe=_IN_ADDRESS) + _quoted(asked, asked.text[len(prefix) :])
    return Redirect(int(target.get("HttpRedirectCode") or MOVED), f"{scheme}://{quote(host, safe=_IN_ADDRESS)}/{path}")


def _quoted(asked: Asked, rest: str) -> str:
    """The end of ``asked.text``, its query as it came."""
    in_query = len(asked.query) + 1 if asked.query else 0
    if len(rest) <= in_query:
        return quote(rest, safe=_IN_ADDRESS)
    cut = len(rest) - in_query
    return quote(rest[:cut], safe=_IN_KEY) + quote(rest[cut:], safe=_IN_ADDRESS)


def to_folder(asked: Asked) -> Redirect:
    """To the same path with a slash behind it."""
    query = f"?{quote(asked.query, safe=_IN_ADDRESS)}" if asked.query else ""
    path = f"/{quote(asked.key, safe=_IN_KEY)}/{query}"
    start = f"{asked.scheme}://{quote(asked.host, safe=_IN_ADDRESS)}" if path.startswith("//") else ""  # or it would name another host
    return Redirect(302, start + path)


# ---------------------------------------------------------------------------------------------------------------------- pages


def page(status: int, told: Mapping[str, str], missing: Mapping[str, str] | None = None) -> bytes:
    """The page for an error, with what is told of it (Code, Message, …). ``missing``: the same of a custom error document that could not be
    had."""
    title = f"{status} {PHRASES.get(status) or HTTPStatus(status).phrase}"
    lines = ["<html>", f"<head><title>{title}</title></head>", "<body>", f"<h1>{title}</h1>", *_listed(told)]
    if missing is not None:
        lines += ["<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>", *_listed(missing)]
    return "\n".join([*lines, "<hr/>", "</body>", "</html>", ""]).encode("utf-8", "replace")


def _listed(told: Mapping[str, str]) -> list[str]:
    return ["<ul>", *(f"<li>{html.escape(name)}: {html.escape(value)}</li>" for name, value in told.items()), "</ul>"]


PHRASES: Final = {302: "Moved Temporarily", 416: "Requested Range Not Satisfiable"}
