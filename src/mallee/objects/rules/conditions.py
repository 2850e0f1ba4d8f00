"""Conditional requests: what If-Match and its siblings say about an object.

RFC 9110, 13.2.2 has the order; S3 follows it: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-reads.html
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from mallee.wire import times

HOLDS, FAILED, NOT_MODIFIED = "holds", "failed", "not modified"


def of_read(given: Mapping[str, Any], etag: str, modified: datetime.datetime, prefix: str = "") -> tuple[str, str]:
    """The verdict on a read, and the header that decided. ``given`` has IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince, each
    after ``prefix`` (CopySource)."""
    match, none_match = given.get(f"{prefix}IfMatch"), given.get(f"{prefix}IfNoneMatch")
    since, unmodified = given.get(f"{prefix}IfModifiedSince"), given.get(f"{prefix}IfUnmodifiedSince")
    at = modified.replace(microsecond=0)  # as Last-Modified tells it
    if match is not None:
        if not matches(match, etag):
            return FAILED, "If-Match"
    elif unmodified is not None and at > unmodified:
        return FAILED, "If-Unmodified-Since"
    if none_match is not None:
        if matches(none_match, etag):
            return NOT_MODIFIED, "If-None-Match"
    elif since is not None and at <= since:
        return NOT_MODIFIED, "If-Modified-Since"
    return HOLDS, ""


def of_range(header: bytes | None, etag: str, modified: datetime.datetime) -> bool:
    """Whether a Range counts: If-Range, where there is one, must be the object's ETag or its date, else all of it is sent (RFC 9110, 13.1.5)."""
    if header is None:
        return True
    text = header.decode("latin-1").strip()
    if text.startswith(('"', "W/")):
        return text == f'"{etag}"'
    try:
        return times.from_text(text, "rfc822") == modified.replace(microsecond=0)
    except ValueError:
        return text == etag


def matches(header: str, etag: str) -> bool:
    """Whether one of the header's tags is the object's, or it is a star."""
    for each in header.split(","):
        tag = each.strip()
        if tag == "*":
            return True
        if tag.startswith("W/"):
            tag = tag[2:]
        if tag.strip('"') == etag:
            return True
    return False
