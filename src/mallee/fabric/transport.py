"""What a node, real or simulated, may say to its cloud, and how the cloud may refuse.

A node calls out; the cloud never calls in. Every call may be repeated: after any ``FabricError`` the node simply
calls again, and a call whose reply was lost changes nothing when it comes a second time. Losing the cloud changes
nothing on the node: guests and networks stay as they are until a new document says otherwise.

The first report of a run comes after its first document has been applied: until then a node that has just booted
can't know what its guests should be, and must not say that they are off.

Two implementations: ``fabric.client.SocketTransport`` over a socket, and ``nodes.session.DirectTransport`` inside one
process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from .document import VERSION, Credentials, Desired, Join, Report

LONGEST_POLL = 25.0  # seconds that the cloud holds a question for the desired document
CONSOLE_LIMIT = 64 * 1024  # bytes of a serial console that are kept, counted from its end
REPORT_LIMIT = 64 * 1024 * 1024  # bytes of one report: far above 100,000 guests

VERSION_HEADER = "X-Mallee-Fabric"
NODE_HEADER = "X-Mallee-Node"
GENERATION_HEADER = "X-Mallee-Generation"
OFFSET_HEADER = "X-Offset"

__all__ = [
    "CONSOLE_LIMIT",
    "GENERATION_HEADER",
    "LONGEST_POLL",
    "NODE_HEADER",
    "OFFSET_HEADER",
    "REPORT_LIMIT",
    "VERSION",
    "VERSION_HEADER",
    "BlobCorrupt",
    "BlobMissing",
    "CredentialsMissing",
    "FabricError",
    "JoinFirst",
    "Refused",
    "Transport",
    "Unreachable",
    "VersionRefused",
]


class FabricError(Exception):
    """A call that did not succeed. The message is a sentence for a person."""


class Unreachable(FabricError):
    """No answer: the cloud is down, restarting, or the reply was lost. Call again; the transport itself holds the
    pace.
    """


class JoinFirst(FabricError):
    """The cloud does not know this node, or knows another run of it: call ``join``, then send a complete report."""


class Refused(FabricError):
    """The cloud understood the call and will not do it; repeating it unchanged is of no use."""


class VersionRefused(Refused):
    """Node and cloud speak different versions of the fabric."""


class BlobMissing(Refused):
    """The cloud has no blob of that digest."""


class CredentialsMissing(Refused):
    """The guest has no role, or does not stand on the node that asks."""


class BlobCorrupt(FabricError):
    """What arrived does not have the digest it was asked by."""


class Transport(Protocol):
    def join(self, joining: Join) -> None:
        """Makes this run of the node the one whose reports count."""

    def desired(self, node_id: str, after: int, digest: str, timeout: float) -> Desired | None:
        """The node's document as soon as it differs from generation ``after`` with ``digest`` (``Desired.digest`` of
        the last one, ``0`` and ``""`` for none yet), or ``None`` when ``timeout`` seconds passed without a change.

        The generation differs but not the content: the answer bears the new generation, and its parts are those
        handed out before (``is``), so that a node can see at no cost that there is nothing to do but to report the
        generation.
        """

    def report(self, report: Report) -> None:
        """Hands over what the node observes. Returns when the cloud has committed it, or has dropped it as older than
        another.
        """

    def blob(self, digest: str, to: Path) -> None:
        """Puts the blob at ``to``, verified by its digest, atomically; what an interrupted call has fetched is gone
        on with. ``OSError`` (a full disk) comes through.
        """

    def console(self, instance_id: str, text: bytes, offset: int = 0) -> None:
        """Hands over the end of a guest's serial console (at most ``CONSOLE_LIMIT`` bytes are kept). ``offset``: how
        many bytes of the console came before ``text``.
        """

    def credentials(self, node_id: str, instance_id: str, delivery: str) -> Credentials:
        """Fresh credentials of the role of a guest that stands on the node. ``delivery``: the version of the metadata service
        that will hand them out, ``1.0`` or ``2.0``; it is written into them.
        """
