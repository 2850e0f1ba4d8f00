"""Requests signed by botocore's own signers, as the server receives them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys

from mallee.identity.setup import Credentials
from mallee.wire import Request

URL = "http://127.0.0.1:8773"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
NOW = datetime.datetime(2025, 3, 1, 12, 0, 0, tzinfo=datetime.UTC)


@contextmanager
def at(moment: datetime.datetime) -> Iterator[None]:
    """botocore signs as if it were ``moment``."""
    with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: moment.replace(tzinfo=None)):
        yield


def keys(credentials: Credentials, **changed: Any) -> Keys:
    return Keys(
        changed.get("access_key_id", credentials.access_key_id),
        changed.get("secret", credentials.secret_access_key),
        changed.get("token"),
    )


def prepared(
    signer: auth.BaseSigner,
    method: str = "POST",
    path: str = "/",
    *,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    params: dict[str, str] | None = None,
    data: Any = None,
    moment: datetime.datetime = NOW,
) -> Request:
    """What arrives when ``signer`` has signed: method, raw target, headers in lower case, body."""
    asked = AWSRequest(method, URL + path, data=body if data is None else data, headers=headers or {}, params=params or {})
    with at(moment):
        signer.add_auth(asked)
    ready = asked.prepare()
    sent = [(name.lower().encode(), _bytes(value)) for name, value in ready.headers.items()]
    if not any(name == b"host" for name, _ in sent):
        sent.append((b"host", urlsplit(URL).netloc.encode()))
    target = urlsplit(ready.url)
    raw = ready.body or b""
    return Request(
        method, target.path.encode() or b"/", target.query.encode(), sent, raw if isinstance(raw, bytes) else raw.encode()
    )


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8")


def query(credentials: Credentials, service: str = "sts", region: str = "local-1", **options: Any) -> Request:
    """A version 4 form request in the header form."""
    changed = {name: options.pop(name) for name in ("access_key_id", "secret", "token") if name in options}
    options.setdefault("body", b"Action=GetCallerIdentity&Version=2011-06-15")
    options.setdefault("headers", {"Content-Type": FORM})
    return prepared(auth.SigV4Auth(keys(credentials, **changed), service, region), **options)


def s3(credentials: Credentials, method: str = "GET", path: str = "/", region: str = "local-1", **options: Any) -> Request:
    changed = {name: options.pop(name) for name in ("access_key_id", "secret", "token") if name in options}
    return prepared(auth.S3SigV4Auth(keys(credentials, **changed), "s3", region), method, path, **options)


def presigned(
    credentials: Credentials, service: str = "sts", region: str = "local-1", expires: int = 900, **options: Any
) -> Request:
    options.setdefault("path", "/?Action=GetCallerIdentity&Version=2011-06-15")
    kind = auth.S3SigV4QueryAuth if service == "s3" else auth.SigV4QueryAuth
    return prepared(kind(keys(credentials), service, region, expires), options.pop("method", "GET"), **options)


def version2(credentials: Credentials, **options: Any) -> Request:
    """SigV2 puts its parameters where the request's are: here into the form."""
    changed = {name: options.pop(name) for name in ("access_key_id", "secret", "token") if name in options}
    given = options.pop("given", None) or {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    options.setdefault("headers", {"Content-Type": FORM})
    return prepared(auth.SigV2Auth(keys(credentials, **changed)), data=dict(given), **options)


def changed(request: Request, **values: Any) -> Request:
    """The same request with some of its parts replaced."""
    parts = {
        "method": request.method,
        "raw_path": request.raw_path,
        "raw_query": request.raw_query,
        "headers": list(request.headers),
        "body": request.body,
    }
    return Request(**(parts | values))


def with_header(request: Request, name: str, value: str | bytes | None, *, add: bool = False) -> Request:
    """One header replaced, added once more, or (None) left out."""
    key = name.lower().encode()
    kept = list(request.headers) if add else [pair for pair in request.headers if pair[0] != key]
    if value is not None:
        kept.append((key, value if isinstance(value, bytes) else value.encode()))
    return changed(request, headers=kept)


def header(request: Request, name: str) -> str:
    return next(value.decode("latin-1") for key, value in request.headers if key == name.lower().encode())
