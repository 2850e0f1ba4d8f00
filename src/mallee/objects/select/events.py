"""A query's run as the events of SelectObjectContentEventStream, made one at a time as they are asked for.

Records as they come; Progress, when asked for, at most every second and once at the end; Cont when nothing else went out
for a while, so that a client that waits for a rare record keeps its connection; Stats and End. An error of the query is
raised where it happens: before the first event it is an ordinary error of the call (``started``), later the wire makes an
error message of it ("Appendix: SelectObjectContent Response", Amazon S3 API reference).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from mallee.objects.select.query import Progress, Query

Event = dict[str, dict[str, Any]]

PROGRESS_SECONDS = 1.0
QUIET_SECONDS = 5.0


def events(
    query: Query,
    chunks: Iterable[bytes],
    progress: bool = False,
    head: Iterable[bytes] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Event]:
    """``progress`` is RequestProgress's Enabled; ``chunks`` and ``head`` as ``Query.run`` takes them."""
    last = told = clock()
    for piece in query.run(chunks, head=head):
        now = clock()
        if isinstance(piece, bytes):
            yield {"Records": {"Payload": piece}}
        elif progress and now - told >= PROGRESS_SECONDS:
            told = now
            yield {"Progress": {"Details": details(piece)}}
        elif now - last >= QUIET_SECONDS:
            yield {"Cont": {}}
        else:
            continue
        last = now
    if progress:
        yield {"Progress": {"Details": details(query.progress)}}
    yield {"Stats": {"Details": details(query.progress)}}
    yield {"End": {}}


def details(of: Progress) -> dict[str, int]:
    return {"BytesScanned": of.scanned, "BytesProcessed": of.processed, "BytesReturned": of.returned}


def started(stream: Iterator[Event]) -> Iterator[Event]:
    """The same events, the first already made: what fails before it is raised here, while the status can still tell."""
    first = next(stream)
    return chain([first], stream)
