"""What librados' errors mean to an operator."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from mallee.objects.engine.base import EngineError, NoRoom
from mallee.objects.engine.rados.librados import LibraryMissing, RadosError

BLOCKLISTED = errno.ESHUTDOWN

FULL = "Add OSDs or delete objects; `ceph df` and `ceph health detail` show what is full. Deleting works meanwhile."


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that an operator has to do. ``name`` is stable, for those who count them."""

    name: str
    cause: str
    remedy: str


class Lapsed(EngineError):
    """This process was away from the cluster for so long that what it was writing may have been taken for abandoned."""


def engine_error(reason: RadosError | LibraryMissing, pool: str, user: str) -> EngineError:
    if isinstance(reason, LibraryMissing):
        return EngineError(f"librados cannot be loaded ({reason}).", "Install it: apt-get install librados2.")
    number = reason.number
    if number == errno.ETIMEDOUT:
        return EngineError(
            f"Ceph did not answer in time ({reason.doing}).",
            "See `ceph -s`: monitors and OSDs must be up and reachable from here. It goes on by itself when they are.",
        )
    if number in (errno.ENOSPC, errno.EDQUOT):
        which = "the pool's quota is used up" if number == errno.EDQUOT else "the cluster is full"
        return NoRoom(f"Ceph takes no more data in {pool}: {which}.", FULL)
    if number in (errno.EACCES, errno.EPERM):
        return EngineError(
            f"Ceph refuses {user} on the pool {pool} ({reason}).",
            f"Look at `ceph auth get {user}`: it needs mon 'allow r' and osd 'allow rwx pool={pool}', and the keyring must hold its key.",
        )
    if reason.doing.startswith("opening the pool"):
        return EngineError(f"Ceph has no pool {pool}.", f"Make it: `ceph osd pool create {pool}`, or correct objects_rados_pool.")
    if reason.doing.startswith("reading "):
        return EngineError(
            f"Ceph's configuration cannot be read ({reason}).",
            "Correct objects_rados_conf; this process must be allowed to read the file.",
        )
    if reason.doing == "connecting" and number == errno.ENOENT:
        return EngineError(
            f"Ceph has no key for {user}: the keyring is missing, cannot be read or does not hold one.",
            "Correct objects_rados_keyring; this process must be allowed to read the file.",
        )
    if number == BLOCKLISTED:
        return EngineError(
            "Ceph has shut this client out.",
            "It connects anew by itself; `ceph osd blocklist ls` shows whether it is still refused.",
        )
    return EngineError(f"Ceph could not do it ({reason}).", "See `ceph health detail` and the logs of the OSDs.")
