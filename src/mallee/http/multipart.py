"""A browser's form, ``multipart/form-data``, taken apart as it arrives (RFC 7578, RFC 2046).

What stands before the file is kept, within limits; the file's content is handed on as soon as it is certain that it is content, so that no more
than a delimiter's length of it is ever held; what follows the file is thrown away.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

MOST_HEADER: Final = 8 * 1024  # bytes of one part's headers
MOST_FIELD: Final = 20 * 1024  # of one field's value
MOST_FIELDS: Final = 1024 * 1024  # of everything before the file

_BOUNDARY = re.compile(r";\s*boundary=(?:\"((?:[^\"\\]|\\.){1,200})\"|([^\s;,\"]{1,200}))", re.IGNORECASE)
_END = rb"(?=\s*(?:;|$))"
_PARAMETER = re.compile(
    rb";\s*([A-Za-z*]+)\s*=\s*(?:"
    rb"\"((?:[^\"\\]|\\.)*)\"" + _END + rb"|"  # as it should be
    rb"\"((?:[^\"\\]|\\[^\"]|\\\"(?!\s*(?:;|$)))*\\?)\"" + _END + rb"|"  # a path of Windows, whose last backslash escapes nothing
    rb"([^\s;\"]*))"
)
"""Each character can be taken in one way only: nobody has been asked who he is, and whoever waits here holds up everybody."""
_PADDING = b" \t"

_PREAMBLE, _HEADERS, _FIELD, _FILE, _AFTER = range(5)


class Malformed(Exception):
    """It is no form."""


class NoFile(Malformed):
    """It is whole, and has no file."""


class TooLong(Exception):
    """What stands before the file is longer than it may be."""


def boundary_of(content_type: bytes | None) -> bytes | None:
    """None if that is no form's type. Raises Malformed for one without a boundary."""
    text = (content_type or b"").decode("latin-1")
    if text.partition(";")[0].strip().lower() != "multipart/form-data":
        return None
    match = _BOUNDARY.search(text)
    if match is None:
        raise Malformed
    return re.sub(r"\\(.)", r"\1", match[1]).encode("latin-1") if match[1] is not None else match[2].encode("latin-1")


class Form:
    """``fields`` by their names in small letters, in the order in which they came; of a name that comes twice the first is kept, and
    ``twice`` says so. ``filename``: of the file; empty if it has none."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.twice = ""
        self.filename = ""
        self._delimiter = b"\r\n--" + boundary
        self._buffer = bytearray(b"\r\n")  # the first delimiter stands at the beginning of a line, too
        self._state = _PREAMBLE
        self._name = ""
        self._size = 0

    @property
    def at_file(self) -> bool:
        return self._state in (_FILE, _AFTER)

    @property
    def ended(self) -> bool:
        """Whether all of the file has come."""
        return self._state == _AFTER

    @property
    def held(self) -> int:
        """Bytes of the file, or what may be, that ``content`` will hand out."""
        return len(self._buffer) if self._state == _FILE else 0

    def head(self, data: bytes) -> bool:
        """The next bytes; True once the file's content begins. Raises Malformed, TooLong."""
        self._size += len(data)
        self._buffer += data
        while self._state < _FILE and self._step():
            pass
        if self._size - self.held > MOST_FIELDS:
            raise TooLong
        return self.at_file

    def _step(self) -> bool:
        """One part, or what of it has come; False when more is needed."""
        buffer = self._buffer
        if self._state == _PREAMBLE:
            at = buffer.find(self._delimiter)
            if at < 0:
                if len(buffer) > MOST_FIELD:
                    raise Malformed
                return False
            return self._after_delimiter(at)
        if self._state == _HEADERS:
            at = 0 if buffer.startswith(b"\r\n") else buffer.find(b"\r\n\r\n")
            if at < 0:
                if len(buffer) > MOST_HEADER:
                    raise TooLong
                return False
            if at > MOST_HEADER:
                raise TooLong
            self._begin(bytes(buffer[:at]))
            del buffer[: at + (4 if at else 2)]
            return True
        at = buffer.find(self._delimiter)
        if at > MOST_FIELD or (at < 0 and len(buffer) > MOST_FIELD + len(self._delimiter)):
            raise TooLong
        if at < 0:
            return False
        value = bytes(buffer[:at])
        if self._after_delimiter(at):
            self._keep(value)
            return True
        return False

    def _after_delimiter(self, at: int) -> bool:
        """Past the delimiter at that place of the buffer, if its whole line has come."""
        buffer = self._buffer
        begin = at + len(self._delimiter)
        if buffer.startswith(b"--", begin):
            raise NoFile
        end = buffer.find(b"\r\n", begin)
        if end < 0:
            if len(buffer) - begin > 64:
                raise Malformed
            return False
        if bytes(buffer[begin:end]).strip(_PADDING):
            raise Malformed
        del buffer[: end + 2]
        self._state = _HEADERS
        return True

    def _begin(self, head: bytes) -> None:
        disposition = None
        for line in head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not colon:
                raise Malformed
            if name.strip().lower() == b"content-disposition":
                disposition = value.strip()
        if disposition is None or disposition.partition(b";")[0].strip().lower() != b"form-data":
            raise Malformed
        given = _parameters(disposition)
        if "name" not in given:
            raise Malformed
        self._name = given["name"].lower()
        self._state = _FIELD
        if self._name == "file":
            self._state = _FILE
            self.filename = re.split(r"[/\\]", given.get("filename*", given.get("filename", "")))[-1]

    def _keep(self, value: bytes) -> None:
        if self._name in self.fields:
            self.twice = self.twice or self._name
            return
        self.fields[self._name] = _text(value)

    def content(self, data: bytes = b"") -> bytes:
        """The next bytes of the body, and those of the file that are certain now."""
        if self._state == _AFTER:
            return b""
        buffer = self._buffer
        buffer += data
        at = buffer.find(self._delimiter)
        if at >= 0:
            found = bytes(buffer[:at])
            buffer.clear()
            self._state = _AFTER
            return found
        keep = len(self._delimiter) - 1
        if len(buffer) <= keep:
            return b""
        found = bytes(memoryview(buffer)[:-keep])
        del buffer[:-keep]
        return found


def _parameters(disposition: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(disposition):
        name = match[1].decode("ascii").lower()
        quoted = match[2] if match[2] is not None else match[3]
        value = quoted.replace(b'\\"', b'"') if quoted is not None else match[4]
        if name == "filename*":
            charset, _, rest = value.partition(b"'")
            if charset.lower() != b"utf-8":
                continue
            value = unquote_to_bytes(rest.partition(b"'")[2])
        found.setdefault(name, _text(value))
    return found


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed from None
