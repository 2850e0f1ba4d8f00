"""The node's copies of images: fetched once, verified, shared by all guests that start from them.

What lies in ``images/`` under its digest has been verified and is read-only. A verification costs a read of the whole
file; so what the kernel says of the file (its inode, size and times) is noted with it, and as long as that is
unchanged, the content is. A copy that was written to since, by whatever hand, fails that comparison, is verified
anew, and replaced if it is not what it should be; guests that run from it keep the file they opened.

Fetching happens in threads of the cache's own. ``paths`` never waits: it answers with the files or says that they are
being fetched, and ``changed`` is called when that has come to an end.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mallee.fabric.document import Blob, Fault
from mallee.fabric.transport import BlobCorrupt, FabricError, Refused, Transport
from mallee.node.libvirtd import write_whole

log = logging.getLogger(__name__)

KEEP_SECONDS = 7 * 24 * 3600.0  # an image that no guest uses is kept that long
SPARE_BYTES = 64 << 20  # left free on the disk after a fetch
_ATTEMPTS = 3
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})\Z")


class ImageFault(Exception):
    """An image that can't be had; carries what to report, with the subject still to be named."""

    def __init__(self, code: str, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.code, self.cause, self.remedy = code, cause, remedy

    def about(self, subject: str) -> Fault:
        return Fault(self.code, subject, self.cause, self.remedy)


def disk_full(directory: Path, needed: int = 0) -> ImageFault:
    free = shutil.disk_usage(directory).free
    wants = f", {needed >> 20} MiB are needed" if needed else ""
    return ImageFault(
        "disk-full",
        f"The node's disk is full: {free >> 20} MiB are free in {directory}{wants}.",
        f"Free space on the disk that holds {directory}, or terminate instances of this node, then launch again.",
    )


class Images:
    def __init__(self, directory: Path, transport: Transport, group: int, changed: Callable[[], None]) -> None:
        self.directory = directory
        self._transport = transport
        self._group = group
        self._changed = changed
        self._lock = threading.Lock()
        self._fetching: set[str] = set()
        self._failed: dict[str, tuple[float, ImageFault]] = {}
        self._sound: set[str] = set()
        self._workers = ThreadPoolExecutor(3, "images")
        self._closed = False
        directory.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        self._closed = True
        self._workers.shutdown(wait=False, cancel_futures=True)

    # -------------------------------------------------------------------------------------------------------------- use

    def path(self, digest: str) -> Path:
        match = _DIGEST.match(digest)
        if match is None:  # it becomes a file name
            raise ImageFault(
                "image-corrupt", f"{digest[:80]!r} is not a digest of an image.", "Register the image again; then launch again."
            )
        return self.directory / match[1]

    def paths(self, blobs: Iterable[Blob]) -> dict[str, Path] | None:
        """Digest to file for all of them, or ``None`` while any is being fetched. Raises ``ImageFault``."""
        wanted = {blob.digest: blob for blob in blobs}
        found = {digest: self.path(digest) for digest in wanted}
        missing = [blob for digest, blob in wanted.items() if not self._is_sound(digest, found[digest])]
        with self._lock:
            for blob in missing:
                failed = self._failed.get(blob.digest)
                if failed is not None and blob.digest not in self._fetching:
                    raise failed[1]
                if blob.digest not in self._fetching and not self._closed:
                    self._fetching.add(blob.digest)
                    self._workers.submit(self._fetch, blob)
        return None if missing else found

    def forgive(self, blobs: Iterable[Blob]) -> None:
        """A new attempt of the cloud's: what failed before may be tried again."""
        with self._lock:
            for blob in blobs:
                self._failed.pop(blob.digest, None)

    # ----------------------------------------------------------------------------------------------------- verification

    @staticmethod
    def _note(path: Path) -> Path:
        return path.with_name(f".{path.name}.verified")

    @staticmethod
    def _seen(path: Path) -> list[int] | None:
        try:
            state = path.stat()
        except FileNotFoundError:
            return None
        return [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]

    def _is_sound(self, digest: str, path: Path) -> bool:
        seen = self._seen(path)
        if seen is None:
            return False
        try:
            note = self._note(path)
            if json.loads(note.read_text()) != seen:
                return False
            if digest not in self._sound:
                self._sound.add(digest)
                os.utime(note)  # when it was last used
            return True
        except (OSError, ValueError):
            return False

    def _fetch(self, blob: Blob) -> None:
        try:
            self._obtain(blob)
            with self._lock:
                self._failed.pop(blob.digest, None)
        except ImageFault as fault:
            log.warning("image %s: %s", blob.digest, fault)
            with self._lock:
                self._failed[blob.digest] = (time.monotonic(), fault)
        except Exception:
            log.exception("image %s", blob.digest)
            with self._lock:
                self._failed[blob.digest] = (
                    time.monotonic(),
                    ImageFault(
                        "image-fetch-failed", "The image could not be fetched.", "./mallee logs node has the whole of it."
                    ),
                )
        finally:
            with self._lock:
                self._fetching.discard(blob.digest)
            self._changed()

    def _obtain(self, blob: Blob) -> None:
        path = self.path(blob.digest)
        if path.exists():  # noted by nobody, or written to since
            if hash_of(path) == path.name:
                self._keep(path)
                return
            log.warning("the copy of image %s was not what it should be; fetching it again", blob.digest)
            self._note(path).unlink(missing_ok=True)
            path.unlink()
        arriving = path.with_name(f".{path.name}.arriving")
        self._receive(blob, arriving)
        arriving.replace(path)
        self._keep(path)

    def _receive(self, blob: Blob, arriving: Path) -> None:
        """Fetches until it is there; the transport verifies the digest and holds the pace while the cloud is away."""
        damaged = 0
        part = arriving.with_name(arriving.name + ".part")
        while damaged < _ATTEMPTS:
            needed = blob.size - (part.stat().st_size if part.exists() else 0)
            if shutil.disk_usage(self.directory).free < needed + SPARE_BYTES:
                raise disk_full(self.directory, needed)
            try:
                self._transport.blob(blob.digest, arriving)
                return
            except BlobCorrupt:
                damaged += 1
                log.warning("image %s arrived damaged", blob.digest)
            except Refused as error:
                remedy = "Register the image again (the starter image: run ./mallee up again); then launch again."
                raise ImageFault(
                    "image-fetch-failed", f"The cloud does not hand out the image's file: {error}", remedy
                ) from error
            except FabricError:
                if self._closed:
                    raise
                time.sleep(0.2)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                part.unlink(missing_ok=True)
                raise disk_full(self.directory, needed) from error
        raise ImageFault(
            "image-corrupt",
            f"The image's file does not have the digest it is registered with ({blob.digest}), in {_ATTEMPTS} attempts.",
            "Register the image again from a good copy (the starter image: run ./mallee up again); then launch again.",
        )

    def _keep(self, path: Path) -> None:
        path.chmod(0o440)
        os.chown(path, 0, self._group)
        write_whole(self._note(path), json.dumps(self._seen(path)), durable=False)

    # ---------------------------------------------------------------------------------------------------------- clearing

    def collect(self, used: set[str], age: float = KEEP_SECONDS) -> list[str]:
        """Removes images that none of the ``used`` digests names and that were not used for ``age`` seconds; says which."""
        removed = []
        now = time.time()
        for path in self.directory.iterdir():
            name = path.name.lstrip(".").partition(".")[0]
            digest = f"sha256:{name}"
            with self._lock:
                if digest in used or digest in self._fetching:
                    continue
            note = self._note(self.directory / name)
            last = max((each.stat().st_mtime for each in (path, note) if each.exists()), default=now)
            if now - last >= age:
                path.unlink(missing_ok=True)
                self._sound.discard(digest)
                removed.append(path.name)
        return removed

    def listing(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir() if not path.name.startswith("."))


def hash_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
