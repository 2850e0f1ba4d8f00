"""The connection to the cluster: made at the first use, shared by all threads, and made again when the cluster has thrown this client out.

While monitors or OSDs are away every operation fails after ``timeout`` seconds with an EngineError; librados finds them again by itself. A
connection that could not be made is not tried again for ``PAUSE`` seconds, so that a hundred waiting requests do not wait for the time-out one after
the other.

A pool belongs to one cloud: the first one that comes writes its owner into the object ``mallee``, and another is refused, since its sweep would take
everything of the first for left behind.
"""

from __future__ import annotations

import errno
import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mallee.objects.engine.base import EngineError
from mallee.objects.engine.rados import errors
from mallee.objects.engine.rados.librados import Cluster, LibraryMissing, Pending, Pool, RadosError, Read, Write

PAUSE = 2.0
OWNER = "mallee"

SHARDS = 16
SESSIONS, HOLDS, UPKEEP = "mallee.sessions", "mallee.holds", "mallee.upkeep"


def births(shard: int) -> str:
    return f"mallee.births.{shard:x}"


def trash(shard: int) -> str:
    return f"mallee.trash.{shard:x}"


def touched(shard: int) -> str:
    return f"mallee.touched.{shard:x}"


BOOKS = (SESSIONS, HOLDS, UPKEEP, *(table(number) for table in (births, trash, touched) for number in range(SHARDS)))
"""The objects whose omaps are the engine's books. They are made at the beginning: a full pool takes no new object, but does take rows in those that
are there, and so contents can still be discarded."""


class Link:
    def __init__(self, conf: str, pool: str, user: str, keyring: str = "", owner: str = "", timeout: float = 30.0) -> None:
        self.pool_name = pool
        self.user = user
        self.timeout = timeout
        self._conf = conf
        self._owner = owner
        seconds = str(math.ceil(timeout))
        self._options = dict.fromkeys(("rados_osd_op_timeout", "rados_mon_op_timeout", "client_mount_timeout"), seconds)
        # an operation that waits for so long makes librados ask for a new map; by default after 10 s, which one that ends sooner never comes to:
        # it would go on asking an OSD that has long been replaced
        self._options |= {"objecter_timeout": str(min(10.0, timeout / 3)), "objecter_tick_interval": str(min(5.0, timeout / 6))}
        if keyring:
            self._options["keyring"] = keyring
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._failed = (0.0, EngineError(""))
        self._closed = False

    def pool(self) -> Pool:
        """The connected pool. Raises EngineError."""
        found = self._pool
        if found is not None:
            return found
        with self._lock:
            if self._pool is None:
                if self._closed:
                    raise EngineError("The connection to Ceph was closed: this process is ending.")
                when, error = self._failed
                if when and time.monotonic() - when < PAUSE:
                    raise EngineError(error.cause, error.remedy)
                try:
                    self._pool = self._connect()
                except (RadosError, LibraryMissing) as reason:
                    self._failed = (time.monotonic(), errors.engine_error(reason, self.pool_name, self.user))
                    raise self._failed[1] from None
                except EngineError as error:
                    self._failed = (time.monotonic(), error)
                    raise
            return self._pool

    def _connect(self) -> Pool:
        cluster = Cluster(self._conf, self.user, self._options)
        try:
            pool = Pool(cluster, self.pool_name)
            try:
                self._own(pool)
            except BaseException:
                pool.close()
                raise
        except BaseException:
            cluster.shutdown()
            raise
        return pool

    def _own(self, pool: Pool) -> None:
        look = Read().attributes_too()
        if pool.submit(OWNER, look).missing():
            for made in [pool.submit(name, Write().create(exclusive=False)) for name in BOOKS]:
                made.wait()
            try:
                pool.submit(OWNER, Write().create().attribute("owner", self._owner.encode())).wait()
                return
            except RadosError as error:
                if error.number != errno.EEXIST:
                    raise
            look = Read().attributes_too()
            pool.submit(OWNER, look).wait()
        owner = look.attributes.get("owner", b"").decode("utf-8", "replace")
        if owner != self._owner:
            raise EngineError(
                f"The Ceph pool {self.pool_name} belongs to another cloud (its administrator's account is {owner!r}, here it is {self._owner!r}).",
                "Give each cloud a pool of its own: objects_rados_pool.",
            )

    @contextmanager
    def talking(self) -> Iterator[Pool]:
        """The pool; what librados cannot do becomes an EngineError."""
        pool = self.pool()
        try:
            yield pool
        except RadosError as reason:
            raise self.error(reason) from None

    def error(self, reason: RadosError) -> EngineError:
        if reason.number == errors.BLOCKLISTED:
            self._pool = None  # the old handle is lost on purpose: other threads may be in it
        return errors.engine_error(reason, self.pool_name, self.user)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.close()
                self._pool.cluster.shutdown()
                self._pool = None


# ------------------------------------------------------------------------------------------------------------- tables


def rows(pool: Pool, name: str, prefix: str = "", after: str = "") -> Iterator[tuple[str, bytes]]:
    """The keys and values of an object's omap, in the order of the keys; nothing where there is no such object."""
    while True:
        look = Read().keys_after(after, prefix)
        if pool.submit(name, look).missing():
            return
        yield from look.keys.items()
        if not look.more or not look.keys:
            return
        after = max(look.keys)


def put(pool: Pool, name: str, values: Mapping[str, bytes]) -> Pending:
    return pool.submit(name, Write().keys(values))


def drop(pool: Pool, name: str, keys: list[str]) -> Pending:
    return pool.submit(name, Write().remove_keys(keys))
