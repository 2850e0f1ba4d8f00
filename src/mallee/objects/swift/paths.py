"""Swift's paths: ``/v1/AUTH_<account>/<container>/<object>``, where the account is an id or an alias."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from mallee.wire.errors import AwsError

START: Final = "/v1/AUTH_"


@dataclass(frozen=True, slots=True)
class Path:
    account: str
    container: str = ""
    key: str = ""


def parse(raw_path: bytes) -> Path:
    """Raises AwsError for what is no path of Swift's."""
    account, _, rest = raw_path.decode("latin-1")[len(START) :].partition("/")
    container, _, key = rest.partition("/")
    return Path(_decoded(account), checked(_decoded(container)), _decoded(key))


def of_object(text: str, account: str) -> Path:
    """``container/object``, encoded for URLs, with or without a slash before it: as headers and manifests name objects."""
    container, _, key = _decoded(text.lstrip("/")).partition("/")
    if not container or not key:
        raise AwsError("PreconditionFailed", "The path must be of the form <container name>/<object name>", status=412)
    return Path(account, container, key)


def checked(container: str) -> str:
    if "/" in container:
        raise AwsError("InvalidURI", "A container's name has no slashes in it.", status=400)
    return container


def _decoded(text: str) -> str:
    try:
        found = unquote_to_bytes(text.encode("latin-1")).decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise AwsError("InvalidURI", "Invalid UTF8 or contains NULL", status=412) from None
    if "\0" in found:
        raise AwsError("InvalidURI", "Invalid UTF8 or contains NULL", status=412)
    return found
