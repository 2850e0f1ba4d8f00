"""Bodies that come in signed chunks (``Content-Encoding: aws-chunked``), taken apart as they arrive.

Three forms: each chunk signed; each chunk and the trailing headers signed; only trailing headers, nothing signed (over
TLS). Every signature covers the one before it, the first covers the request's own, so that chunks cannot be dropped,
repeated or reordered.

``Decoder.feed`` hands on payload as it comes, before its chunk's signature could be checked: **nothing it gave out may
be used until ``finish`` has returned**. The caller writes to a file that it throws away when ``feed`` or ``finish``
raises. Memory is bounded: lines and trailers have limits, payload is never collected.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from mallee.identity.signature.refusals import INCOMPLETE, MISMATCH, Refused
from mallee.identity.signature.sigv4 import (
    ALGORITHM,
    EMPTY_DIGEST,
    STREAMING,
    STREAMING_TRAILER,
    STREAMING_UNSIGNED_TRAILER,
    Claim,
)

FORMS: Final = (STREAMING, STREAMING_TRAILER, STREAMING_UNSIGNED_TRAILER)
MAX_LINE: Final = 1024
MAX_TRAILERS: Final = 16 * 1024
MAX_CHUNK: Final = 5 * 1024**3

_SIGNED_HEAD = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-fA-F]{64})")
_PLAIN_HEAD = re.compile(rb"([0-9a-fA-F]{1,16})(?:;[!-~]{0,200})?")
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):[ \t]*([ -~\x80-\xff]*?)[ \t]*")
_SIGNATURE_TRAILER = b"x-amz-trailer-signature"


@dataclass(slots=True)
class Decoder:
    """One body. ``form`` is the request's x-amz-content-sha256, ``length`` its x-amz-decoded-content-length,
    ``announced`` the names of its x-amz-trailer header. ``trailers`` holds what came, by lower-case name, after
    ``finish``."""

    form: str
    claim: Claim | None  # None: nobody signed
    key: bytes
    length: int
    announced: tuple[str, ...] = ()
    trailers: dict[str, str] = field(default_factory=dict)

    _buffer: bytearray = field(default_factory=bytearray)
    _state: str = "head"  # head | data | after data | trailers | done
    _left: int = 0  # payload bytes still to come in this chunk
    _seen: int = 0  # payload bytes so far
    _previous: str = ""
    _expected: str = ""  # signature that the present chunk claims
    _digest: hashlib._Hash | None = None
    _trailer_bytes: int = 0
    _trailer_lines: list[tuple[bytes, bytes]] = field(default_factory=list)
    _checked: bool = False  # the trailer's signature has come and held

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise Refused(INCOMPLETE, f"x-amz-content-sha256 cannot be '{self.form}'")
        if self.claim is None and self.form != STREAMING_UNSIGNED_TRAILER:
            raise Refused(INCOMPLETE, "A body in signed chunks needs a signed request.")
        self._previous = self.claim.signature if self.claim is not None else ""

    def feed(self, data: bytes) -> list[bytes]:
        """The payload in ``data``, in pieces. Raises ``Refused`` as soon as the framing or a signature is wrong."""
        self._buffer += data
        pieces: list[bytes] = []
        while self._step(pieces):
            pass
        return pieces

    def finish(self) -> None:
        """To be called at the end of the body: it must have been whole, and as long as it said."""
        if self._state != "done":
            raise Refused(INCOMPLETE, "The request body terminated unexpectedly", incomplete=True)
        if self._seen != self.length:
            raise Refused(
                INCOMPLETE,
                "You did not provide the number of bytes specified by the Content-Length HTTP header.",
                incomplete=True,
            )

    # ------------------------------------------------------------------------------------------------------- the states

    def _step(self, pieces: list[bytes]) -> bool:
        if self._state == "data":
            return self._data(pieces)
        if self._state == "done":
            if self._buffer:
                raise Refused(INCOMPLETE, "There are bytes after the last chunk.", framing=True)
            return False
        line = self._line()
        if line is None:
            return False
        if self._state == "head":
            self._head(line)
        elif self._state == "after data":
            if line:
                raise Refused(INCOMPLETE, "A chunk is longer than it said.", framing=True)
            self._end_chunk()
            self._state = "head"
        else:
            self._trailer(line)
        return True

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > MAX_LINE:
                raise Refused(INCOMPLETE, "A line of the chunked body is too long.", framing=True)
            return None
        if end > MAX_LINE:
            raise Refused(INCOMPLETE, "A line of the chunked body is too long.", framing=True)
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def _head(self, line: bytes) -> None:
        signed = self.form != STREAMING_UNSIGNED_TRAILER
        found = (_SIGNED_HEAD if signed else _PLAIN_HEAD).fullmatch(line)
        if not found:
            raise Refused(INCOMPLETE, "A chunk's head cannot be read.", framing=True)
        self._left = int(found[1], 16)
        if self._left > MAX_CHUNK or self._seen + self._left > self.length:
            raise Refused(INCOMPLETE, "The chunks are longer than x-amz-decoded-content-length.", incomplete=True)
        if signed:
            self._expected = found[2].decode().lower()
            self._digest = hashlib.sha256()
        if self._left:
            self._state = "data"
            return
        self._end_chunk()
        self._state = "trailers"

    def _data(self, pieces: list[bytes]) -> bool:
        if not self._buffer:
            return False
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        if self._digest is not None:
            self._digest.update(piece)
        self._left -= len(piece)
        self._seen += len(piece)
        pieces.append(piece)
        if self._left == 0:
            self._state = "after data"
        return True

    def _end_chunk(self) -> None:
        if self._digest is None:
            return
        digest, self._digest = self._digest.hexdigest(), None
        self._verify(f"{ALGORITHM}-PAYLOAD", f"{EMPTY_DIGEST}\n{digest}", self._expected)

    def _verify(self, what: str, rest: str, claimed: str) -> None:
        assert self.claim is not None
        to_sign = f"{what}\n{self.claim.stamp}\n{self.claim.scope}\n{self._previous}\n{rest}".encode("latin-1", "replace")
        signature = hmac.digest(self.key, to_sign, "sha256").hex()
        if not hmac.compare_digest(signature.encode(), claimed.encode("utf-8", "replace")):
            raise Refused(MISMATCH, access_key_id=self.claim.access_key_id, string_to_sign=to_sign, provided=claimed)
        self._previous = signature

    def _trailer(self, line: bytes) -> None:
        """Lines of the trailer up to the empty one that ends it."""
        signed = self.form == STREAMING_TRAILER
        if not line:
            if signed and self.announced and not self._checked:
                return  # some writers put an empty line before the signature
            if not signed:
                self._keep()
            self._state = "done"
            return
        self._trailer_bytes += len(line)
        found = _TRAILER.fullmatch(line)
        if not found or self.form == STREAMING or self._checked or self._trailer_bytes > MAX_TRAILERS:
            raise Refused(INCOMPLETE, "The trailing headers cannot be read.", trailer=True)
        name, value = found[1].lower(), found[2]
        if name != _SIGNATURE_TRAILER:
            self._trailer_lines.append((name, value))
        elif signed:
            self._check_trailers(value.decode("latin-1"))
        else:
            raise Refused(INCOMPLETE, "The trailing headers cannot be read.", trailer=True)

    def _check_trailers(self, claimed: str) -> None:
        text = b"".join(name + b":" + value + b"\n" for name, value in self._trailer_lines)
        self._verify(f"{ALGORITHM}-TRAILER", hashlib.sha256(text).hexdigest(), claimed)
        self._keep()
        self._checked = True

    def _keep(self) -> None:
        lines = self._trailer_lines
        names = [name.decode() for name, _ in lines]
        if sorted(names) != sorted(self.announced):
            raise Refused(INCOMPLETE, "The trailing headers are not those that x-amz-trailer announced.", trailer=True)
        self.trailers = {name.decode(): value.decode("latin-1") for name, value in lines}
