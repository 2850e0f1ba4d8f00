"""Requests as an attacker sends them: signed by botocore's own signers, then taken apart and put together differently."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys

from tests.cloud.harness import ENDPOINT, Account, TestCloud

FORM = "application/x-www-form-urlencoded; charset=utf-8"
JSON = "application/x-amz-json-1.1"
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15", "ec2": "2016-11-15"}
REGION = "local-1"


@dataclass(frozen=True)
class Sent:
    """One HTTP request as it goes over the wire."""

    method: str = "POST"
    path: str = "/"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def but(self, **changed: Any) -> Sent:
        return replace(self, **changed)

    def header(self, name: str, value: str | None, *, again: bool = False) -> Sent:
        """With a header in the place of those of its name, beside them (``again``), or without it (None)."""
        kept = [(key, old) for key, old in self.headers if again or key != name]
        return self.but(headers=(*kept, *([] if value is None else [(name, value)])))


@dataclass(frozen=True)
class Told:
    status: int
    code: str
    text: str
    headers: dict[str, str] = field(repr=False)

    @property
    def is_done(self) -> bool:
        return self.status == 200


def send(cloud: TestCloud, request: Sent) -> Told:
    given = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    status, headers, body = cloud.request(request.method, request.path, request.query, given, request.body)
    text = body.decode("utf-8", "replace")
    return Told(status, _code(text), text, headers)


def _code(text: str) -> str:
    if text.startswith("{"):
        found = json.loads(text)
        return str(found.get("__type") or found.get("code") or "").rpartition("#")[2]
    found = re.search(r"<Code>([^<]*)</Code>", text)
    return found[1] if found else ""


def form(service: str, action: str, **given: str) -> str:
    return urlencode({"Action": action, "Version": VERSIONS[service], **given}, quote_via=quote)


def unsigned(service: str, action: str, **given: str) -> Sent:
    headers = (("host", urlsplit(ENDPOINT).netloc), ("content-type", FORM))
    return Sent(headers=headers, body=form(service, action, **given).encode())


def signed(who: Account, service: str, body: str, region: str = REGION, **options: Any) -> Sent:
    """A form in the header's way of version 4."""
    headers = {"Content-Type": FORM, **options.pop("headers", {})}
    return _prepared(
        auth.SigV4Auth(keys(who), options.pop("scope", service), region), body=body.encode(), headers=headers, **options
    )


def signed_json(
    who: Account, service: str, target: str, given: dict[str, Any] | bytes, region: str = REGION, **options: Any
) -> Sent:
    body = given if isinstance(given, bytes) else json.dumps(given).encode()
    headers = {"Content-Type": JSON, "X-Amz-Target": target, **options.pop("headers", {})}
    return _prepared(auth.SigV4Auth(keys(who), service, region), body=body, headers=headers, **options)


def presigned(who: Account, service: str, query: str, method: str = "GET", expires: int = 900, region: str = REGION) -> Sent:
    return _prepared(auth.SigV4QueryAuth(keys(who), service, region, expires), method=method, path=f"/?{query}")


def version2(who: Account, body: str, method: str = "POST") -> Sent:
    """As tools of before 2013 sign: everything is a parameter."""
    pairs = dict(piece.split("=", 1) for piece in body.split("&"))
    asked = AWSRequest(method, ENDPOINT + "/", data=pairs if method == "POST" else {}, params=pairs if method == "GET" else {})
    auth.SigV2Auth(keys(who)).add_auth(asked)
    return _ready(asked, {"content-type": FORM} if method == "POST" else {})


def keys(who: Account) -> Keys:
    pair = who.credentials
    return Keys(pair.access_key_id, pair.secret_access_key, pair.session_token)


def _prepared(
    signer: Any, method: str = "POST", path: str = "/", body: bytes = b"", headers: dict[str, str] | None = None
) -> Sent:
    asked = AWSRequest(method, ENDPOINT + path, data=body, headers=headers or {})
    signer.add_auth(asked)
    return _ready(asked, {})


def _ready(asked: AWSRequest, more: dict[str, str]) -> Sent:
    ready = asked.prepare()
    headers = {name.lower(): value.decode() if isinstance(value, bytes) else str(value) for name, value in ready.headers.items()}
    headers = {"host": urlsplit(ENDPOINT).netloc, **headers, **more}
    target, body = urlsplit(ready.url), ready.body or b""
    raw = body if isinstance(body, bytes) else body.encode()
    return Sent(ready.method, target.path or "/", target.query, tuple(headers.items()), raw)
