"""Swift's paths: ``/v1/AUTH_<account>/<container>/<object>``, where the account is an id or an alias.

A container is the bucket of the same name, but for one ending that no bucket can have and that clients use without being asked: what they name
``<container>_segments``, to put the segments of large objects in, is the bucket ``<container>-segments``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from mallee.wire.errors import AwsError

START: Final = "/v1/AUTH_"
_SEGMENTS: Final = "_segments"


@dataclass(frozen=True, slots=True)
class Path:
    """``container``: the bucket's name; ``named``: as the request has it."""

    account: str
    container: str = ""
    key: str = ""
    named: str = ""


def parse(raw_path: bytes) -> Path:
    """Raises AwsError for what is no path of Swift's."""
    account, _, rest = raw_path.decode("latin-1")[len(START) :].partition("/")
    container, _, key = rest.partition("/")
    return made(_decoded(account), _decoded(container), _decoded(key))


def of_object(text: str, account: str) -> Path:
    """``container/object``, encoded for URLs, with or without a slash before it: as headers and manifests name objects."""
    container, _, key = _decoded(text.lstrip("/")).partition("/")
    if not container or not key:
        raise AwsError("PreconditionFailed", "The path must be of the form <container name>/<object name>", status=412)
    return made(account, container, key)


def made(account: str, container: str, key: str) -> Path:
    if "/" in container:
        raise AwsError("InvalidURI", "A container's name has no slashes in it.", status=400)
    bucket = f"{container.removesuffix(_SEGMENTS)}-segments" if container.endswith(_SEGMENTS) else container
    return Path(account, bucket, key, container)


def _decoded(text: str) -> str:
    try:
        found = unquote_to_bytes(text.encode("latin-1")).decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise AwsError("InvalidURI", "Invalid UTF8 or contains NULL", status=412) from None
    if "\0" in found:
        raise AwsError("InvalidURI", "Invalid UTF8 or contains NULL", status=412)
    return found
