"""A pace that follows cost: the first of a burst goes at once, the rest are gathered so that the work takes a bounded
share of time.

Documents and reports are complete, so sending one costs as much as a node has guests. Sent at every change, a burst
of n changes on n guests would cost n²; paced, the burst costs a share of the time it lasts, and what is sent last
always says everything.
"""

from __future__ import annotations

import time


class Pace:
    """After work that took ``t`` seconds the next may begin ``t * (1 / share - 1)`` seconds later, but at most
    ``longest`` later.
    """

    __slots__ = ("_factor", "_longest", "_next")

    def __init__(self, share: float = 0.25, longest: float = 2.0) -> None:
        self._factor = 1 / share - 1
        self._longest = longest
        self._next = 0.0

    def wait(self) -> float:
        """Seconds until the next piece of work may begin; 0 when it may now."""
        return max(0.0, self._next - time.monotonic())

    def worked(self, seconds: float) -> None:
        """Says that a piece of work has just ended and how long it took."""
        self._next = time.monotonic() + min(self._longest, seconds * self._factor)
