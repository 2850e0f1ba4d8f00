"""What S3's access logs want to know of a request, noted when it has been answered, if its bucket has such a log."""

from __future__ import annotations

import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

from mallee.http.dispatch import Answer
from mallee.objects.access_log import Watch
from mallee.objects.rules import names
from mallee.objects.rules.access_log import Entry
from mallee.objects.rules.copy_source import source
from mallee.wire import AwsError, Request

_SIZED: Final = frozenset(("GetObject", "HeadObject", "PutObject", "UploadPart", "WebsiteGet"))
_LONGEST: Final = 4096  # characters of a header or a target


def note(watch: Watch, path: str, website: bool, request: Request, answer: Answer, request_id: str, client: Any, seconds: float) -> None:
    """``path``: with the bucket in front. Never raises for what a request may hold."""
    name, _, rest = path[1:].partition("/")
    has_log = watch.has_log(name)
    copied = request.header(b"x-amz-copy-source") if request.method == "PUT" else None
    if (has_log or (has_log is None and names.could_be(name))) and answer.status:
        entry = _entry(watch.now(), rest, website, request, answer, request_id, client, seconds)
        watch.log.add(name, entry, known=bool(has_log))
    if copied is not None and answer.operation in ("CopyObject", "UploadPartCopy"):
        _note_copied(watch, copied, request, answer, request_id, client, seconds)


def _note_copied(watch: Watch, header: bytes, request: Request, answer: Answer, request_id: str, client: Any, seconds: float) -> None:
    try:
        found = source(header.decode("latin-1"))
    except (AwsError, ValueError):
        return
    has_log = watch.has_log(found.bucket)
    if has_log or (has_log is None and names.could_be(found.bucket)):
        entry = _entry(watch.now(), found.key, False, request, answer, request_id, client, seconds, found.version_id or "")
        watch.log.add(found.bucket, entry, known=bool(has_log), copied=True)


def _entry(
    now: datetime.datetime, rest: str, website: bool, request: Request, answer: Answer, request_id: str, client: Any, seconds: float,
    version_id: str | None = None,
) -> Entry:  # fmt: skip
    query = request.raw_query.decode("latin-1")
    target = request.raw_path.decode("latin-1") + (f"?{query}" if query else "")
    signature, authentication = _signed(request)
    sent = answer.sent or (len(answer.body) if isinstance(answer.body, bytes) else 0)
    if version_id is None:
        version_id = dict(parse_qsl(query)).get("versionId", "") if "versionId" in query else ""
        key = unquote_to_bytes(rest)
    else:
        key = rest.encode("utf-8", "surrogateescape")
    principal = answer.principal
    return Entry(
        now - datetime.timedelta(seconds=seconds), client[0] if client else "", answer.arn,
        principal.account_id if principal.kind == "root" else "", request_id, answer.operation if not website else "", request.method,
        website, key[:_LONGEST], target[:_LONGEST], answer.status, answer.code, sent, _size(request, answer), int(seconds * 1000),
        int(answer.seconds * 1000), _header(request, b"referer"), _header(request, b"user-agent"), version_id[:64], signature, authentication,
        _header(request, b"host"),
    )  # fmt: skip


def _size(request: Request, answer: Answer) -> int | None:
    """Of the object, as far as the answer tells."""
    if answer.code or answer.operation not in _SIZED:
        return None
    if answer.operation in ("PutObject", "UploadPart"):
        length = request.header(b"x-amz-decoded-content-length") or request.header(b"content-length") or b""
        return int(length) if length.isdigit() else None
    found = {name: value for name, value in answer.headers if name in (b"content-range", b"content-length")}
    text = found.get(b"content-range", b"").rpartition(b"/")[2] or found.get(b"content-length", b"")
    return int(text) if text.isdigit() else None


def _signed(request: Request) -> tuple[str, str]:
    authorization = request.header(b"authorization")
    if authorization is not None:
        return ("SigV4" if authorization.startswith(b"AWS4-") else "SigV2" if authorization.startswith(b"AWS ") else ""), "AuthHeader"
    if b"X-Amz-Signature=" in request.raw_query:
        return "SigV4", "QueryString"
    if b"Signature=" in request.raw_query and b"AWSAccessKeyId=" in request.raw_query:
        return "SigV2", "QueryString"
    return "", ""


def _header(request: Request, name: bytes) -> str:
    return (request.header(name) or b"")[:_LONGEST].decode("latin-1")
