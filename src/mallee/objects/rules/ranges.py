"""Ranges of bytes (RFC 9110, 14), as S3 reads them: one range, and what cannot be read counts as none."""

from __future__ import annotations

import re

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII)


class Unsatisfiable(Exception):
    """The range lies beyond the end."""


def parse(header: str | None, size: int) -> tuple[int, int] | None:
    """The first byte and the length; None for the whole. Raises Unsatisfiable."""
    match = _RANGE.fullmatch(header) if header is not None else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(_number(match[2]), size)
        if length == 0:
            raise Unsatisfiable
        return size - length, length
    first = _number(match[1])
    last = _number(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return first, min(last, size - 1) - first + 1


def _number(digits: str) -> int:
    """Beyond everything where it has more digits than any size."""
    plain = digits.lstrip("0")
    return int(plain or "0") if len(plain) < 20 else 10**19


_COPY = re.compile(r"bytes=(\d+)-(\d+)", re.ASCII)


def parse_copy(header: str, size: int) -> tuple[int, int] | None:
    """UploadPartCopy's range, which must be whole and within the source: None if it cannot be read. Raises Unsatisfiable."""
    match = _COPY.fullmatch(header)
    if match is None or _number(match[2]) < _number(match[1]):
        return None
    first, last = _number(match[1]), _number(match[2])
    if last >= size:
        raise Unsatisfiable
    return first, last - first + 1
