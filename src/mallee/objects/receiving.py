"""A body on its way in: hashed, checked against what the client said of it, encrypted if it shall be, and written.

An ``Intake`` takes a body in blocks. What is to be done with a block is told as jobs (``jobs``) that do not depend on each other (hash it, write
it), so that whoever feeds it can have them done by several threads at once; the next block's may begin when all of this one's have ended. Memory
is two blocks, whatever the body's size. Small bodies stay in memory and go to the engine with the commit that makes them an object (group
commit); larger ones are in the engine, durable and referred to by nobody, when ``finish`` returns.

Nothing of a body is an object before its commit: whoever gives up calls ``abort``, and what a crash leaves behind is swept.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from mallee.objects import checksums
from mallee.objects.engine.base import SMALL, Engine, EngineError, Label, Writer
from mallee.wire.errors import AwsError

log = logging.getLogger("mallee.objects")

Piece = tuple[str, int]
Block = bytes | bytearray | memoryview
BLOCK: Final = 1024 * 1024
MOST: Final = 5 * 1024**3
"""Bytes of one PUT or one part. https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""


@dataclass(frozen=True, slots=True)
class Claims:
    """What the client says of the body, beyond its signature: ``length`` in bytes, None if it said nothing; ``md5`` by Content-MD5;
    ``algorithm`` and ``value`` of its checksum, the value None when it comes in a trailer (``trailer``) or is left to us."""

    length: int | None = None
    md5: bytes | None = None
    algorithm: str = checksums.DEFAULT
    value: bytes | None = None
    trailer: bool = False


class Encryption(Protocol):
    """How stored bytes are made of plain ones: ``objects.encryption.Sealing``."""

    def update(self, data: Block, /) -> bytes: ...

    def finish(self) -> bytes: ...


@dataclass(slots=True)
class Received:
    """A body that is as it should be. ``data``: the stored bytes of a small one; else ``pieces`` are in the engine already."""

    size: int
    md5: bytes
    algorithm: str
    checksum: bytes
    data: bytes | None = None
    pieces: tuple[Piece, ...] = ()
    writer: Writer | None = None

    @property
    def etag(self) -> str:
        return self.md5.hex()

    def described(self, kind: str = checksums.FULL_OBJECT) -> str:
        """As ``Version.checksum`` has it."""
        return f"{self.algorithm}:{kind}:{checksums.encoded(self.checksum)}"


class Intake:
    """Raises AwsError (BadDigest, EntityTooLarge, …) and EngineError."""

    def __init__(
        self,
        engine: Engine,
        claims: Claims,
        *,
        label: Label,
        sha256: str | None = None,
        encryption: Encryption | None = None,
        most: int = MOST,
    ) -> None:
        """``sha256``: what the signature says of the body, in hexadecimal; None if it says nothing. ``label`` is completed with size and
        ETag."""
        self.claims = claims
        self.made: dict[str, Any] = {}  # what else the operation decided before the body came
        self._engine = engine
        self._label = label
        self._sha256 = sha256
        self._encryption = encryption
        self._most = most
        if claims.length is not None and claims.length > most:
            raise too_large(claims.length, most)
        self.small = claims.length is not None and claims.length <= SMALL
        self._parts: list[bytes] = []
        self._writer: Writer | None = None
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sum: checksums.Sum = checksums.new(claims.algorithm) if claims.algorithm != "MD5" else self._md5
        self._sha: Any = None
        if sha256 is not None:
            self._sha = self._sum if claims.algorithm == "SHA256" else hashlib.sha256()

    def jobs(self, block: Block) -> list[Callable[[], None]]:
        """What is to be done with the next block of the body."""
        self._size += len(block)
        if self._size > self._most:
            raise too_large(self._size, self._most)
        if self.claims.length is not None and self._size > self.claims.length:
            raise incomplete()
        if self.small:
            self._parts.append(bytes(block))
            return []
        return [lambda: self._md5.update(block), lambda: self._store(block)]

    def _store(self, block: Block) -> None:
        """All but the MD5, which takes as long as the rest together."""
        if self._sum is not self._md5:
            self._sum.update(block)
        if self._sha is not None and self._sha is not self._sum:
            self._sha.update(block)
        if self._writer is None:
            self._writer = self._engine.writer(self.claims.length)
        self._writer.write(self._encryption.update(block) if self._encryption is not None else block)

    def finish(self, trailers: Mapping[str, str] | None = None) -> Received:
        """All of it has come. May wait for the disk unless it is small."""
        try:
            return self._finish(trailers or {})
        except BaseException:
            self.abort()
            raise

    def _finish(self, trailers: Mapping[str, str]) -> Received:
        claims = self.claims
        if claims.length is not None and self._size != claims.length:
            raise incomplete()
        data = b"".join(self._parts) if len(self._parts) != 1 else self._parts[0]
        if self.small:
            self._hash(data)
        if self._sha is not None and not hmac.compare_digest(self._sha.hexdigest(), (self._sha256 or "").lower()):
            raise AwsError(
                "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.",
                status=400, ClientComputedContentSHA256=self._sha256, S3ComputedContentSHA256=self._sha.hexdigest(),
            )  # fmt: skip
        md5 = self._md5.digest()
        if claims.md5 is not None and claims.md5 != md5:
            raise AwsError(
                "BadDigest", "The Content-MD5 you specified did not match what we received.", status=400,
                ExpectedDigest=checksums.encoded(claims.md5), CalculatedDigest=checksums.encoded(md5),
            )  # fmt: skip
        digest = self._sum.digest()
        self._compare(digest, trailers)
        received = Received(self._size, md5, claims.algorithm, digest)
        label = {**self._label, "size": self._size, "etag": received.etag}
        if self.small:
            sealed = self._encryption
            received.data = data if sealed is None else sealed.update(data) + sealed.finish()
        elif self._size or self._writer is not None:
            if self._writer is None:
                self._writer = self._engine.writer(0)
            if self._encryption is not None:
                self._writer.write(self._encryption.finish())
            writer, self._writer = self._writer, None
            received.pieces = ((writer.finish(label), self._size),)
        self._label = label
        return received

    def _hash(self, data: bytes) -> None:
        self._md5.update(data)
        if self._sum is not self._md5:
            self._sum.update(data)
        if self._sha is not None and self._sha is not self._sum:
            self._sha.update(data)

    def _compare(self, digest: bytes, trailers: Mapping[str, str]) -> None:
        claims = self.claims
        expected = claims.value
        if claims.trailer:
            name = checksums.PREFIX + claims.algorithm.lower()
            if name not in trailers:
                told = "The request contained trailing data that was not well-formed or did not conform to our published schema."
                raise AwsError("MalformedTrailerError", told, status=400)
            expected = checksums.decoded(claims.algorithm, trailers[name])
            if expected is None:
                raise AwsError("InvalidRequest", f"Value for {name} trailing header is invalid.", status=400)
        if expected is not None and expected != digest:
            raise mismatch(claims.algorithm)

    @property
    def label(self) -> Label:
        """Complete once ``finish`` has returned."""
        return self._label

    def abort(self) -> None:
        """Nothing of it remains. Never raises."""
        writer, self._writer = self._writer, None
        self._parts.clear()
        if writer is not None:
            writer.abort()

    def give_up(self, received: Received) -> None:
        """The body was received and became no object. Never raises."""
        if received.pieces:
            try:
                self._engine.discard([location for location, _ in received.pieces])
            except EngineError as problem:
                log.warning("an unused content is left to the sweep: %s", problem)


def mismatch(algorithm: str) -> AwsError:
    return AwsError("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.", status=400)


def incomplete() -> AwsError:
    return AwsError(
        "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header", status=400
    )


def too_large(size: int, most: int) -> AwsError:
    return AwsError(
        "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", status=400, ProposedSize=size, MaxSizeAllowed=most
    )


# ------------------------------------------------------------------------------------------------- what a request says of its body

Header = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Declared:
    """What the headers of a request say of its body. ``algorithms``: the checksums that come with it, by name; a value of None comes in
    a trailer."""

    length: int | None
    md5: bytes | None
    algorithms: Mapping[str, bytes | None] = field(default_factory=dict)
    wanted: str | None = None  # x-amz-sdk-checksum-algorithm
    sha256: str | None = None  # what the signature says of the body, in hexadecimal
    computed: str | None = None  # the algorithm of a checksum that the client leaves to us


def declared(header: Header, names: Iterable[bytes], length: int | None, sha256: str | None = None) -> Declared:
    """``names``: of all headers in small letters. Raises AwsError for what cannot be."""
    md5 = header(b"content-md5")
    digest = None if md5 is None else _md5(md5)
    found: dict[str, bytes | None] = {}
    for name in names:
        if name.startswith(b"x-amz-checksum-") and name not in (b"x-amz-checksum-algorithm", b"x-amz-checksum-type", b"x-amz-checksum-mode"):
            algorithm = name[15:].decode("latin-1").upper()
            if algorithm not in checksums.ALGORITHMS:
                raise AwsError("InvalidRequest", f"Mallee does not have the checksum algorithm of {name.decode('latin-1')}.", status=400)
            value = checksums.decoded(algorithm, (header(name) or b"").decode("latin-1"))
            if value is None:
                raise AwsError("InvalidRequest", f"Value for {name.decode('latin-1')} header is invalid.", status=400)
            found[algorithm] = value
    for each in (header(b"x-amz-trailer") or b"").decode("latin-1").lower().split(","):
        trailer = each.strip()
        if trailer.startswith(checksums.PREFIX):
            algorithm = trailer[len(checksums.PREFIX) :].upper()
            if algorithm not in checksums.ALGORITHMS:
                raise AwsError("InvalidRequest", "The value specified in the x-amz-trailer header is not supported", status=400)
            found[algorithm] = None
    if len(found) > 1:
        raise AwsError("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.", status=400)
    wanted = (header(b"x-amz-sdk-checksum-algorithm") or b"").decode("latin-1").upper() or None
    if wanted is not None and wanted not in checksums.ALGORITHMS:
        raise AwsError("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.", status=400)
    return Declared(length, digest, found, wanted, sha256)


def _md5(text: bytes) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        fields: dict[str, Any] = {"Content-MD5": text.decode("latin-1")}
        raise AwsError("InvalidDigest", "The Content-MD5 you specified was invalid", status=400, **fields)
    return digest


def claims(given: Declared, default: str = checksums.DEFAULT) -> Claims:
    """The claims of a body that becomes an object or a part. ``default``: the algorithm if the request has none."""
    for algorithm, value in given.algorithms.items():
        return Claims(given.length, given.md5, algorithm, value, value is None)
    return Claims(given.length, given.md5, given.computed or default)


def check(given: Declared, body: bytes) -> None:
    """The same for a body that is here, a document."""
    if given.md5 is not None and hashlib.md5(body, usedforsecurity=False).digest() != given.md5:
        raise AwsError("BadDigest", "The Content-MD5 you specified did not match what we received.", status=400)
    for algorithm, value in given.algorithms.items():
        if value is not None and checksums.of(algorithm, body) != value:
            raise mismatch(algorithm)
