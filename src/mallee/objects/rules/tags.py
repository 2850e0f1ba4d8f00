"""Tags of objects and buckets: how many, how long, of which characters.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from mallee.wire.errors import AwsError

MOST_OF_OBJECT, MOST_OF_BUCKET = 10, 50
_ALLOWED = re.compile(r"[\w\s+\-=.:/@]*")


def from_set(tags: Iterable[Mapping[str, Any]], most: int = MOST_OF_OBJECT) -> dict[str, str]:
    """From the model's TagSet. Raises InvalidTag, BadRequest."""
    return _checked([(tag["Key"], tag["Value"]) for tag in tags], most)


def from_header(text: str) -> dict[str, str]:
    """From ``x-amz-tagging``: ``a=1&b=2``, URL-encoded."""
    pairs = []
    for part in text.split("&"):
        if not part:
            continue
        key, _, value = part.partition("=")
        try:
            pairs.append((unquote_plus(key, errors="strict"), unquote_plus(value, errors="strict")))
        except UnicodeDecodeError:
            told = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."
            raise AwsError("InvalidArgument", told, status=400, ArgumentName="x-amz-tagging", ArgumentValue=text) from None
    names = [key for key, _ in pairs]
    if len(set(names)) != len(names):
        told = "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."
        raise AwsError("InvalidArgument", told, status=400, ArgumentName="x-amz-tagging", ArgumentValue=text)
    return _checked(pairs, MOST_OF_OBJECT)


def to_set(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _checked(pairs: list[tuple[str, str]], most: int) -> dict[str, str]:
    if len(pairs) > most:
        what = "Object" if most == MOST_OF_OBJECT else "Bucket"
        raise AwsError("BadRequest", f"{what} tags cannot be greater than {most}", status=400)
    found: dict[str, str] = {}
    for key, value in pairs:
        if not 1 <= len(key) <= 128 or not _ALLOWED.fullmatch(key):
            raise AwsError("InvalidTag", "The TagKey you have provided is invalid", status=400, TagKey=key)
        if len(value) > 256 or not _ALLOWED.fullmatch(value):
            raise AwsError("InvalidTag", "The TagValue you have provided is invalid", status=400, TagKey=key, TagValue=value)
        if key.lower().startswith("aws:"):
            raise AwsError("InvalidTag", "System tags cannot be added/updated by requester", status=400, TagKey=key)
        if key in found:
            raise AwsError("InvalidTag", "Cannot provide multiple Tags with the same key", status=400, TagKey=key)
        found[key] = value
    return found
