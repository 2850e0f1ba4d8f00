"""The cloud's end of the fabric: answers for the desired document, and takes what nodes say.

A document is built in one read snapshot together with its generation, so that "generation g" always means the same
content to both sides. It is kept, encoded, until the generation moves; and it is built anew now and then even so,
compared by digest: a change that forgot to raise the generation reaches the node late, but it does.

Building costs as much as a node has instances. A burst of changes is therefore gathered: the first is answered at
once, and then building takes a bounded share of the time (``fabric.pace``).

What nodes say is written without waiting for the disk: should a power cut take it back, then what the control plane
concluded from it is taken back as well, and the node's next report, which is complete, says it again.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from mallee.fabric.document import Credentials, Desired, Join, Report, to_json
from mallee.fabric.pace import Pace
from mallee.fabric.transport import LONGEST_POLL, CredentialsMissing, JoinFirst
from mallee.store import Database, Tx

from . import intake
from .blobs import Blob, Blobs
from .records import generation, placement_of
from .rules import Overcommit

DocumentBuilder = Callable[[Tx, str], Desired]
Issuer = Callable[[Tx, str, str], Credentials | None]  # of an instance's role: transaction, instance, delivery

_PIECE = 1024 * 1024
SHARE = 0.05  # of the time may go into building the documents of one node while many changes come


@dataclass(frozen=True, slots=True)
class Document:
    """A node's document as it is handed out. ``content`` is its JSON without generation and digest, which ``body``
    puts first.
    """

    desired: Desired
    content: bytes
    built_at: float

    @property
    def generation(self) -> int:
        return self.desired.generation

    @property
    def digest(self) -> str:
        return self.desired.digest

    def body(self) -> bytes:
        return b'{"generation":%d,"digest":"%s",' % (self.generation, self.digest.encode()) + self.content[1:]


@dataclass(slots=True)
class _Known:
    """What this process remembers of a node; nothing depends on it but speed."""

    lock: threading.Lock
    pace: Pace
    document: Document | None = None
    reported: Report | None = None  # as last written, its sequence zeroed
    written_at: datetime | None = None


class Session:
    """What the cloud does for its nodes, whatever carries the words. Safe to use from several threads and several
    processes.
    """

    def __init__(
        self,
        database: Database,
        document: DocumentBuilder,
        blobs: Path,
        overcommit: Overcommit | None = None,
        *,
        credentials: Issuer | None = None,
        recheck: float = 300.0,
        seen_every: float = 20.0,
    ) -> None:
        """``recheck``: seconds after which a document is built anew though its generation stands. ``seen_every``:
        seconds between two writes of "seen" for a node whose reports say nothing new.
        """
        self.database = database
        self._document = document
        self._blobs = Blobs(database, blobs)
        self._credentials = credentials
        self._overcommit = overcommit or Overcommit()
        self._recheck = recheck
        self._seen_every = timedelta(seconds=seen_every)
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    # ------------------------------------------------------------------------------------------------ documents

    def document(self, node_id: str) -> Document:
        """The node's present document; ``JoinFirst`` when there is no such node."""
        known = self._of(node_id)
        with known.lock:
            began = time.monotonic()
            held = known.document
            with self.database.reading() as tx:
                number = generation(tx, node_id)
                if number is None:
                    self._forget(node_id)
                    raise JoinFirst(f"The node {node_id} has not joined this cloud.")
                if held is not None and held.generation == number and began - held.built_at < self._recheck:
                    return held
                desired = self._document(tx, node_id)
            known.document = _document(replace(desired, generation=number), held)
            known.pace.worked(time.monotonic() - began)
            return known.document

    def pause(self, node_id: str) -> float:
        """Seconds to gather changes in before the document should be asked for again; 0 except in a burst."""
        return self._of(node_id).pace.wait()

    # -------------------------------------------------------------------------------------------- what nodes say

    def join(self, joining: Join) -> None:
        self._forget(joining.node_id)
        self.database.run(lambda tx: intake.join(tx, joining, self._overcommit))

    def report(self, report: Report) -> None:
        """Writes the report. One that says nothing new, from a node that was seen a moment ago, costs no transaction."""
        known = self._of(report.node_id)
        said = replace(report, sequence=0)
        now = self.database.clock.now()
        if known.reported == said and known.written_at and abs(now - known.written_at) < self._seen_every:
            return
        if self.database.run(lambda tx: intake.accept(tx, report), durable=False):
            known.reported, known.written_at = said, now

    def console(self, node_id: str | None, instance_id: str, text: bytes, offset: int) -> None:
        self.database.run(lambda tx: intake.keep_console(tx, node_id, instance_id, text, offset), durable=False)

    def blob(self, digest: str) -> Blob:
        """A blob, open for reading. Raises BlobMissing."""
        return self._blobs.open(digest)

    def credentials(self, node_id: str | None, instance_id: str, delivery: str) -> Credentials:
        """For a guest that stands on this node and on no other: a node can't ask in the name of another's guests."""
        with self.database.reading() as tx:
            standing = placement_of(tx, instance_id)
            if standing is not None and standing.node_id == node_id and self._credentials is not None:
                found = self._credentials(tx, instance_id, delivery)
                if found is not None:
                    return found
        raise CredentialsMissing(f"There are no credentials for {instance_id[:64]} on this node.")

    # ------------------------------------------------------------------------------------------------- machinery

    def _of(self, node_id: str) -> _Known:
        known = self._known.get(node_id)
        if known is None:
            with self._lock:
                known = self._known.setdefault(node_id, _Known(threading.Lock(), Pace(share=SHARE, longest=2.0)))
        return known

    def _forget(self, node_id: str) -> None:
        with self._lock:
            self._known.pop(node_id, None)


def _document(desired: Desired, held: Document | None) -> Document:
    data = to_json(replace(desired, digest=""))
    del data["generation"]
    content = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if held is not None and held.digest == digest:
        return Document(replace(held.desired, generation=desired.generation), held.content, time.monotonic())
    return Document(replace(desired, digest=digest), content, time.monotonic())


class DirectTransport:
    """``Transport`` without a socket, for a simulator in the cloud's own process."""

    def __init__(
        self,
        database: Database,
        document: DocumentBuilder,
        blobs: Path,
        overcommit: Overcommit | None = None,
        credentials: Issuer | None = None,
    ) -> None:
        self.session = Session(database, document, blobs, overcommit, credentials=credentials)
        self._node_id: str | None = None
        self._closed = False

    def join(self, joining: Join) -> None:
        self._node_id = joining.node_id
        self.session.join(joining)

    def desired(self, node_id: str, after: int, digest: str, timeout: float) -> Desired | None:
        deadline = time.monotonic() + min(timeout, LONGEST_POLL)
        database = self.session.database
        while True:
            mark = database.mark("desired")
            document = self.session.document(node_id)
            if document.generation != after or document.digest != digest:
                return document.desired
            remaining = deadline - time.monotonic()
            if remaining <= 0 or self._closed:
                return None
            database.wait("desired", min(remaining, 0.5), mark)
            time.sleep(min(self.session.pause(node_id), max(0.0, deadline - time.monotonic())))

    def report(self, report: Report) -> None:
        self.session.report(report)

    def console(self, instance_id: str, text: bytes, offset: int = 0) -> None:
        self.session.console(self._node_id, instance_id, text, offset)

    def credentials(self, node_id: str, instance_id: str, delivery: str) -> Credentials:
        return self.session.credentials(node_id, instance_id, delivery)

    def blob(self, digest: str, to: Path) -> None:
        part = to.with_name(to.name + ".part")
        blob = self.session.blob(digest)
        try:
            with part.open("wb") as out:
                while data := blob.read(out.tell(), _PIECE):
                    out.write(data)
        finally:
            blob.close()
        part.replace(to)

    def close(self) -> None:
        """Ends what waits for a document."""
        self._closed = True
