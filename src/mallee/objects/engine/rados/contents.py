"""Contents over many RADOS objects: written stripe by stripe, read with a look ahead.

A writer keeps one stripe in memory and at most ``WRITES`` more on their way. The first stripe gets its label last, when all others are durable; one
that has none is not a content. A sweep that takes an upload for abandoned removes the first stripe before anything else, so that ``finish``
then fails instead of naming bytes that are half gone.

A reader asks for at most ``PIECE`` bytes at once, ``READS`` pieces ahead once it is read in sequence. Each piece is verified against the check of
its stripe before any of it is given out.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable

from mallee.objects.engine.base import ContentDamaged, ContentMissing, EngineError, Label, Span
from mallee.objects.engine.rados import layout
from mallee.objects.engine.rados.births import Births, Claim
from mallee.objects.engine.rados.errors import Lapsed
from mallee.objects.engine.rados.layout import BLOCK, STRIPE, Check, Striped
from mallee.objects.engine.rados.librados import Pending, Pool, RadosError, Read, Write
from mallee.objects.engine.rados.link import Link

WRITES = 2
PIECE = 1024 * 1024
READS = 4
REMOVALS = 16


class StripedWriter:
    def __init__(self, link: Link, births: Births) -> None:
        """Raises EngineError."""
        self._link = link
        self._births = births
        self._claim: Claim | None = births.take()
        self._identity = self._claim.identity
        self._buffer = bytearray(STRIPE)
        self._filled = 0
        self._sent = 0  # stripes
        self._flying: deque[Pending] = deque()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._running()
        view = memoryview(data).cast("B")
        while len(view):
            if self._filled == STRIPE:
                self._send()
            part = view[: STRIPE - self._filled]
            with memoryview(self._buffer) as buffer:
                buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            view = view[len(part) :]

    def finish(self, label: Label) -> str:
        claim = self._running()
        size = self._sent * STRIPE + self._filled
        packed = layout.pack_label(label, size)
        try:
            with self._link.talking() as pool:
                if not self._sent:
                    self._send(packed)
                    self._await(0)
                else:
                    if self._filled:
                        self._send()
                    self._await(0)
                    self._births.check(claim)
                    head = pool.submit(self._identity, Write().exists().attribute(layout.LABEL, packed))
                    if head.missing():
                        raise Lapsed("What was being written was taken for abandoned and removed.", "It must be sent again.")
        except BaseException:
            self.abort()
            raise
        self._births.ended(claim)
        self._claim = None
        return str(Striped(self._identity, size))

    def abort(self) -> None:
        """What cannot be removed now, since the cluster is away, the sweep removes."""
        claim, self._claim = self._claim, None
        if claim is None:
            return
        self._buffer = bytearray()
        try:
            for each in self._flying:
                each.drop()
            self._flying.clear()
            if self._sent:
                remove_stripes(self._link.pool(), self._identity, self._sent)
        except (RadosError, EngineError):
            pass
        self._births.ended(claim)

    def _running(self) -> Claim:
        if self._claim is None:
            raise EngineError("This content has ended already.")
        return self._claim

    def _send(self, label: bytes | None = None) -> None:
        """The buffer, as the next stripe."""
        self._births.check(self._running())
        name = layout.stripe_name(self._identity, self._sent)
        with memoryview(self._buffer)[: self._filled] as view:
            crcs = tuple(layout.crc(view[place : place + BLOCK]) for place in range(0, len(view), BLOCK))
            op = Write().create().write_full(view).attribute(layout.CHECK, Check(len(view), crcs).pack(name))
        if label is not None:
            op.attribute(layout.LABEL, label)
        with self._link.talking() as pool:
            self._flying.append(pool.submit(name, op))
        self._sent += 1
        self._filled = 0
        self._await(WRITES)

    def _await(self, left: int) -> None:
        with self._link.talking():
            while len(self._flying) > left:
                self._flying.popleft().wait()


def remove_stripes(pool: Pool, identity: str, count: int) -> None:
    """The first one first: without it there is no content. Raises RadosError."""
    pool.submit(identity, Write().remove()).missing()
    flying: deque[Pending] = deque()
    for number in range(1, count):
        flying.append(pool.submit(layout.stripe_name(identity, number), Write().remove()))
        if len(flying) > REMOVALS:
            flying.popleft().missing()
    for each in flying:
        each.missing()


class Piece:
    """A part of one stripe, on its way or here."""

    __slots__ = ("_buffer", "_content", "_look", "_pending", "end", "start")

    def __init__(self, content: StripedContent, pool: Pool, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self._content = content
        self._buffer = content.buffers.pop() if content.buffers else bytearray(PIECE)
        self._look = Read().into(self._buffer, start % STRIPE, end - start)
        number = start // STRIPE
        if number not in content.checks:
            self._look.attributes_too()
        self._pending: Pending | None = pool.submit(layout.stripe_name(content.identity, number), self._look)

    def bytes(self) -> memoryview:
        """Verified. Raises ContentDamaged, RadosError."""
        if self._pending is not None:
            number = self.start // STRIPE
            name = self._pending.name
            try:
                self._pending.wait()
            except RadosError as error:
                if error.number in (errno.ENOENT, errno.EIO):
                    raise ContentDamaged(f"{name} cannot be read: {error}") from None
                raise
            self._pending = None
            if number not in self._content.checks:
                self._content.learn(number, self._look.attributes.get(layout.CHECK, b""))
            check = self._content.checks[number]
            whole = self._look.filled == self.end - self.start
            if not whole or not check.verify(memoryview(self._buffer)[: self._look.filled], self.start % STRIPE):
                raise ContentDamaged(
                    f"{name} is not as it was written, between {self.start % STRIPE} and {self.end - 1} of its bytes"
                )
        return memoryview(self._buffer)

    def drop(self) -> None:
        """Its memory is for the next one; nothing that ``bytes`` gave may be used any more."""
        if self._pending is not None:
            self._pending.drop()
            self._pending = None
        self._content.buffers.append(self._buffer)


class StripedContent:
    """Opened with one look at the first stripe's attributes. For one thread at a time."""

    def __init__(
        self, link: Link, place: Striped, opened: Callable[[StripedContent], None], closed: Callable[[StripedContent], None]
    ) -> None:
        """Raises ContentMissing, ContentDamaged, EngineError."""
        self.identity = place.identity
        self.size = place.size
        self.checks: dict[int, Check] = {}
        self.buffers: list[bytearray] = []
        self._link = link
        self._pieces: deque[Piece] = deque()
        self._asked = 0  # up to where pieces were asked for
        self._position = -1  # where the last read ended
        self._closed = closed
        with link.talking() as pool:
            look = Read().attributes_too()
            try:
                missing = pool.submit(self.identity, look).missing()
            except RadosError as error:
                if error.number != errno.EIO:
                    raise
                raise ContentDamaged(f"{self.identity} cannot be read: {error}") from None
        if missing or layout.GONE in look.attributes:
            raise ContentMissing(str(place))
        self.learn(0, look.attributes.get(layout.CHECK, b""))
        opened(self)

    def learn(self, number: int, packed: bytes) -> None:
        check = layout.unpack_check(packed, layout.stripe_name(self.identity, number))
        if check.length != min(STRIPE, self.size - number * STRIPE):
            raise ContentDamaged(f"stripe {number} of {self.identity} has not the length that it should have")
        self.checks[number] = check

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        if offset < 0 or offset >= end:
            return b""
        ahead = offset == self._position
        if not (self._pieces and self._pieces[0].start <= offset <= self._asked):
            self._forget()
            self._asked = offset - offset % BLOCK
        horizon = end + -end % PIECE + PIECE * (READS - 1) if ahead else end + -end % BLOCK
        parts: list[bytes] = []
        place = offset
        try:
            with self._link.talking() as pool:
                while place < end:
                    self._ask(pool, min(horizon, self.size))
                    piece = self._pieces[0]
                    if place < piece.end:
                        data = piece.bytes()
                        parts.append(bytes(data[place - piece.start : min(end, piece.end) - piece.start]))
                        place = min(end, piece.end)
                    if place >= piece.end:
                        self._pieces.popleft().drop()
                if ahead:
                    self._ask(pool, min(horizon, self.size))
        except BaseException:
            self._forget()
            raise
        self._position = end
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _ask(self, pool: Pool, horizon: int) -> None:
        while len(self._pieces) < READS and self._asked < horizon:
            start = self._asked
            end = min(start - start % PIECE + PIECE, horizon)
            self._pieces.append(Piece(self, pool, start, end))
            self._asked = end

    def _forget(self) -> None:
        while self._pieces:
            self._pieces.popleft().drop()
        self._position = -1

    def span(self, offset: int, length: int) -> Span | None:
        return None

    def close(self) -> None:
        self._forget()
        self.buffers.clear()
        self._closed(self)
