"""Names of buckets and access points: what AWS's "General purpose bucket naming rules" and "Access points naming rules" allow.

A name is also a host name, so it is one in every letter: what is refused here never becomes a part of a URL.
"""

from __future__ import annotations

import re

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_EVER = re.compile(r"[A-Za-z0-9._-]{3,255}", re.ASCII)
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)
_ACCESS_POINT = re.compile(r"[a-z0-9][a-z0-9-]{1,48}[a-z0-9]", re.ASCII)
_REGIONAL = re.compile(r".+-(?P<account>\d{12})-(?P<region>[a-z0-9-]+)-an", re.ASCII)
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
ALIAS = "-s3alias"


def is_bucket(name: str) -> bool:
    """Whether a new bucket may be called so."""
    return (
        _BUCKET.fullmatch(name) is not None
        and ".." not in name
        and ".-" not in name
        and "-." not in name
        and not _ADDRESS.fullmatch(name)
        and not name.startswith(_PREFIXES)
        and not name.endswith(_SUFFIXES)
    )


def could_be(name: str) -> bool:
    """Whether a bucket may ever have been called so: the oldest of us-east-1's have longer names, with capitals and underscores."""
    return _EVER.fullmatch(name) is not None


def is_regional(name: str, account_id: str, region: str) -> bool:
    """Whether it is a name of the account's own namespace: ``<prefix>-<account>-<region>-an``."""
    parts = _regional(name)
    return parts is not None and parts["account"] == account_id and parts["region"] == region


def looks_regional(name: str) -> bool:
    """Whether the name is of the form that only accounts' own namespaces have."""
    return _regional(name) is not None


def _regional(name: str) -> re.Match[str] | None:
    return _REGIONAL.fullmatch(name) if len(name) <= 63 else None  # a path brings names of any length


def is_access_point(name: str) -> bool:
    return _ACCESS_POINT.fullmatch(name) is not None and not name.startswith("xn--") and not name.endswith(ALIAS)
