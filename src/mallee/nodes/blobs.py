"""Blobs: the files that nodes fetch, each named by the SHA-256 of its content.

They are objects in an internal bucket (``objects.internal``). What set-up or an import puts into the cloud's staging folder, a file named by its
digest, is moved there: by the reconciler, or at once when a node asks for it first. A staged file that is not what its name says stays where it is
and is never handed out.
"""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path
from typing import Final, Protocol

from mallee.fabric.transport import BlobMissing
from mallee.objects import internal, store
from mallee.objects.store import Store
from mallee.store import Database

log = logging.getLogger(__name__)

_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_CHUNK: Final = 1024 * 1024


class Blob(Protocol):
    size: int

    def read(self, offset: int, length: int) -> bytes: ...

    def close(self) -> None: ...


class Blobs:
    def __init__(self, database: Database, staged: Path) -> None:
        self._database = database
        self._staged = staged

    def open(self, digest: str) -> Blob:
        """Raises BlobMissing. What a node asks for is a digest and can't be another path."""
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise BlobMissing("A blob is named by the SHA-256 of its content: sha256: and 64 hexadecimal digits.")
        name = match[1]
        objects = self._objects()
        found = internal.opened(objects, internal.IMAGES, name)
        if found is None and self.take_in(name):
            found = internal.opened(objects, internal.IMAGES, name)
        if found is None:
            raise BlobMissing(f"This cloud has no blob sha256:{name}.")
        return found

    def take_in(self, name: str) -> bool:
        """Makes an object of a staged file; whether there is one now."""
        file = self._staged / name
        if not file.is_file():
            return False
        objects = self._objects()
        there = internal.find(objects, internal.IMAGES, name)
        if there is None or there.size != file.stat().st_size:
            if _digest(file) != name:
                log.error("%s is not what its name says, and is left alone", file)
                return False
            internal.put_file(objects, internal.IMAGES, name, file)
        file.unlink(missing_ok=True)
        return True

    def take_in_all(self) -> None:
        for file in sorted(self._staged.iterdir()) if self._staged.is_dir() else ():
            if _DIGEST.fullmatch(file.name):
                self.take_in(file.name)

    def _objects(self) -> Store:
        return store.at(self._database)


def _digest(file: Path) -> str:
    state = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(_CHUNK):
            state.update(block)
    return state.hexdigest()
