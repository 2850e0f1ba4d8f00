"""What ``x-amz-copy-source`` and ``x-amz-rename-source`` name: a bucket, a key, a version.

The value is percent-encoded, with or without a slash before it, and its version stands behind it in the clear. A ``+`` is a space, as S3
takes it: whoever has a plus in a key encodes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_plus

from mallee.wire.errors import AwsError

_VERSION = "?versionId="


@dataclass(frozen=True, slots=True)
class Source:
    bucket: str
    key: str
    version_id: str | None = None


def source(text: str, name: str = "x-amz-copy-source") -> Source:
    """Raises InvalidArgument."""
    path, mark, version_id = text.rpartition(_VERSION)
    if not mark:
        path, version_id = text, ""
    elif not version_id:
        raise _invalid("Version id cannot be the empty string", name, version_id)
    try:
        plain = unquote_plus(path, errors="strict").removeprefix("/")
        version = unquote_plus(version_id, errors="strict")
    except UnicodeDecodeError:
        raise _invalid("Invalid copy source encoding.", name, text) from None
    bucket, slash, key = plain.partition("/")
    if "\0" in bucket or "\0" in version:
        raise _invalid("Invalid copy source encoding.", name, text)
    if not bucket or not slash or not key:
        raise _invalid("Invalid copy source object key" if slash else _FORM, name, text)
    return Source(bucket, key, version if mark else None)


def renamed(text: str, bucket: str) -> Source:
    """``x-amz-rename-source``: the bucket and the key, or the key alone, with a slash before it or without; clients do either. A key whose first part
    is the bucket's own name is named with the bucket before it."""
    bare = text.removeprefix("/")
    first, slash, _ = bare.partition("/")
    whole = slash and unquote_plus(first, errors="replace") == bucket
    return source(bare if whole else f"{bucket}/{bare}", "x-amz-rename-source")


_FORM = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"


def _invalid(message: str, name: str, value: str) -> AwsError:
    return AwsError("InvalidArgument", message, status=400, ArgumentName=name, ArgumentValue=value)
