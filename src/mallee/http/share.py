"""What all bodies of one direction hold of memory, whatever their number: the more of them there are, the smaller the pieces in which
those that begin now come and go.

A client that is slow, or does not read, keeps some pieces of its own waiting; ten thousand of them would keep ten thousand times as much.
So the first are given large pieces, which are quick, and the nth at most the nth part of the whole, down to ``LEAST``.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final

MOST: Final = 1024 * 1024
LEAST: Final = 64 * 1024
WHOLE: Final = 64 * MOST


class Share:
    """For one event loop. ``with share as size`` for as long as the body is under way."""

    __slots__ = ("under_way",)

    def __init__(self) -> None:
        self.under_way = 0

    def __enter__(self) -> int:
        self.under_way += 1
        size = WHOLE // self.under_way
        return max(LEAST, min(MOST, size - size % LEAST))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.under_way -= 1
