"""What the rest of the house knows of the place where bytes are.

An engine keeps *contents*: bytes that are written once, never changed, and discarded as a whole. Where a content is, is told by
an opaque *location* (at most 200 characters of ASCII), which the index keeps; whoever has no location has no content. An engine knows neither
buckets nor keys: a *label*, a small dict, is stored beside each content only so that a person can recover objects by hand and a
sweep can ask whether anybody still refers to the content.

What holds for every engine:

* A location that was returned names bytes that survive a power cut.
* Bytes are verified on every read; what is damaged is read from another copy, which mends the damaged one, and if there is
  none ``ContentDamaged`` is raised: wrong bytes never leave.
* ``discard`` may be called again, and for what is not there.
* Everything here blocks and is called in threads; nothing here needs a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Label = dict[str, Any]
"""``{"kind": "object"|"part"|"internal", "bucket": bucket_id, "key": base64, "version": …, "size": …, "etag": …, …}``."""

SMALL = 128 * 1024
"""Contents up to so many bytes are given to ``append`` whole; larger ones are written piece by piece."""


class EngineError(Exception):
    """The engine cannot do it now: a disk is full or away. ``cause`` and ``remedy`` are sentences for the operator."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


class NoRoom(EngineError):
    """The disks are full. What is there can be read, and discarded."""


class ContentMissing(Exception):
    """There is no such content (any more)."""


class ContentDamaged(Exception):
    """No copy of it is as it was written."""


class Fault(Protocol):
    """A problem of the engine's. ``name`` is that of the catalogue of faults; ``cause`` and ``remedy`` are sentences."""

    @property
    def name(self) -> str: ...

    @property
    def cause(self) -> str: ...

    @property
    def remedy(self) -> str: ...


class Writer(Protocol):
    """One content that is being written, by one thread at a time. Exactly one of ``finish`` and ``abort`` ends it."""

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def finish(self, label: Label) -> str:
        """The location; all is durable when it returns."""
        ...

    def abort(self) -> None:
        """Nothing of it remains. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """A verified range of a file, for the kernel to send by itself: valid as long as the content is open."""

    fd: int
    offset: int
    length: int


class Content(Protocol):
    """One content, open for reading: what it was when it was opened stays readable until ``close``, whatever is discarded."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """These bytes, verified. Raises ContentDamaged."""
        ...

    def span(self, offset: int, length: int) -> Span | None:
        """The same range, verified, for sendfile; None where the engine has no file."""
        ...

    def close(self) -> None: ...


IsLive = Callable[[Sequence[tuple[str, Label]]], Sequence[bool]]
"""For (location, label) pairs: whether a row refers to that location."""
Moved = Callable[[Sequence[tuple[str, str, Label]]], Sequence[bool]]
"""For (old location, new location, label): rows that refer to the old one now refer to the new one; whether there was one."""


class Engine(Protocol):
    name: str

    def writer(self, expected: int | None = None) -> Writer:
        """``expected``: the bytes to come, if known: an engine without room for them says so at once."""
        ...

    def append(self, contents: Sequence[tuple[Label, bytes]]) -> list[str]:
        """Small contents, durable with one sync for all of them when it returns; called by one thread at a time."""
        ...

    def open(self, location: str) -> Content:
        """Raises ContentMissing."""
        ...

    def discard(self, locations: Iterable[str]) -> None: ...

    def sweep(self, is_live: IsLive) -> int:
        """Removes what crashes left behind (written, and never referred to); how many bytes that gave back. Never touches what
        is being written, or was finished so recently that its row may be on its way."""
        ...

    def compact(self, moved: Moved) -> int:
        """Gives back room of discarded small contents; how many bytes."""
        ...

    def scrub(self, is_live: IsLive, budget: float) -> Any:
        """Goes on verifying (and mending) everything for at most ``budget`` seconds, from where it left off, across restarts;
        what it found."""
        ...

    def faults(self) -> Sequence[Fault]:
        """What an operator has to do something about, now."""
        ...

    def close(self) -> None: ...
