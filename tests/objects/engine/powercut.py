"""What a power cut leaves: a model of disks between ``calls`` and the file system.

While a ``Recorder`` is on, every call that changes a disk is logged, and done for real. Afterwards
``Recorder.cut(n, mood, folder)`` makes, in an empty folder, what could be there if the power had gone just before the n-th
call: bytes and names that were synced are there; of the others, by mood, none (``NOTHING``), all (``ALL``: that is a SIGKILL), or
any (``SOME``: of the bytes any pages, also torn ones; of the names in a folder the first so many).
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mallee.objects.engine.local import calls

NOTHING, ALL, SOME = "nothing", "all", "some"
PAGE = 512


@dataclass
class File:
    durable: bytes = b""
    pending: list[tuple[str, int, bytes]] = field(default_factory=list)  # ("write", offset, data) or ("cut", size, b"")

    def left(self, mood: str, chance: random.Random) -> bytes:
        data = bytearray(self.durable)
        for kind, at, written in self.pending if mood != NOTHING else []:
            if kind == "cut":
                if mood == ALL or chance.random() < 0.5:
                    _resize(data, at)
                continue
            for start in range(0, len(written), PAGE):
                part = written[start : start + PAGE]
                if mood == ALL or chance.random() < 0.5:
                    _put(data, at + start, part)
                elif chance.random() < 0.1:  # torn within
                    _put(data, at + start, part[: chance.randrange(len(part))])
        return bytes(data)

    def sync(self) -> None:
        self.durable = self.left(ALL, random.Random(0))
        self.pending = []


@dataclass
class Folder:
    durable: dict[str, int] = field(default_factory=dict)
    pending: list[tuple[str, int | None]] = field(default_factory=list)  # name -> number of what it names, or None

    def left(self, mood: str, chance: random.Random) -> dict[str, int]:
        names = dict(self.durable)
        count = {NOTHING: 0, ALL: len(self.pending), SOME: chance.randint(0, len(self.pending))}[mood]
        for name, number in self.pending[:count]:
            if number is None:
                names.pop(name, None)
            else:
                names[name] = number
        return names

    def sync(self) -> None:
        self.durable = self.left(ALL, random.Random(0))
        self.pending = []


Event = tuple[Any, ...]


class Recorder:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self._guard = threading.RLock()
        self._monkeypatch = monkeypatch
        self._known: dict[tuple[int, int], int] = {}  # (device, inode) of what is there -> our number
        self._next = 1

    def note(self, *what: Any) -> None:
        """Something of the test's own between the calls."""
        with self._guard:
            self.events.append(("note", *what))

    def start(self) -> None:
        """What is there now is durable."""
        self.events.append(("root", self._number(self.root)))
        self._take(self.root)
        patch = self._monkeypatch.setattr
        for name in ("open", "pwrite", "pwritev", "append", "fsync", "fdatasync", "ftruncate", "rename", "unlink", "mkdir", "rmdir"):
            patch(calls, name, self._wrap(getattr(calls, name), getattr(self, f"_{name}")))

    def _take(self, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            data = None if path.is_dir() else path.read_bytes()
            self.events.append(("there", self._number(folder), path.name, self._number(path), data))
            if data is None:
                self._take(path)

    # -- logging ----------------------------------------------------------------------------------------------------------------

    def _wrap(self, real: Callable[..., Any], log: Callable[..., Event | None]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            with self._guard:
                event = log(real, *args, **named)
                return event[-1] if event else None

        return call

    def _log(self, *event: Any) -> None:
        self.events.append(event)

    def _open(self, real: Any, path: str, flags: int, dir_fd: int | None = None) -> Event:
        new = bool(flags & os.O_CREAT) and not _exists(path, dir_fd)
        fd = real(path, flags, dir_fd)
        if new:
            self._log("new", self._parent(path, dir_fd), os.path.basename(path), self._fresh(os.fstat(fd)), False)
        return (fd,)

    def _pwrite(self, real: Any, fd: int, data: Any, offset: int) -> Event:
        self._log("write", self._of(fd), offset, bytes(data))
        return (real(fd, data, offset),)

    def _pwritev(self, real: Any, fd: int, buffers: Any, offset: int) -> Event:
        self._log("write", self._of(fd), offset, b"".join(buffers))
        return (real(fd, buffers, offset),)

    def _append(self, real: Any, fd: int, data: Any) -> Event:
        self._log("write", self._of(fd), os.fstat(fd).st_size, bytes(data))
        return (real(fd, data),)

    def _fsync(self, real: Any, fd: int) -> Event:
        real(fd)
        self._log("sync", self._of(fd))
        return (None,)

    _fdatasync = _fsync

    def _ftruncate(self, real: Any, fd: int, size: int) -> Event:
        self._log("cut", self._of(fd), size)
        return (real(fd, size),)

    def _rename(self, real: Any, source: str, target: str, dir_fd: int) -> Event:
        number = self._number_at(source, dir_fd)
        real(source, target, dir_fd)
        self._log("rename", self._parent(source, dir_fd), os.path.basename(source), self._parent(target, dir_fd), os.path.basename(target), number)
        return (None,)

    def _unlink(self, real: Any, path: str, dir_fd: int) -> Event:
        real(path, dir_fd)
        self._log("name", self._parent(path, dir_fd), os.path.basename(path), None)
        return (None,)

    _rmdir = _unlink

    def _mkdir(self, real: Any, path: str, dir_fd: int) -> Event:
        real(path, dir_fd)
        number = self._fresh(os.stat(path, dir_fd=dir_fd))
        self._log("new", self._parent(path, dir_fd), os.path.basename(path), number, True)
        return (None,)

    def _of(self, fd: int) -> int:
        seen = os.fstat(fd)
        return self._known[seen.st_dev, seen.st_ino]

    def _number(self, path: Path) -> int:
        seen = path.stat()
        return self._known.get((seen.st_dev, seen.st_ino)) or self._fresh(seen)

    def _number_at(self, path: str, dir_fd: int | None) -> int:
        seen = os.stat(path, dir_fd=dir_fd)
        return self._known[seen.st_dev, seen.st_ino]

    def _fresh(self, seen: os.stat_result) -> int:
        number = self._known[seen.st_dev, seen.st_ino] = self._next
        self._next += 1
        return number

    def _parent(self, path: str, dir_fd: int | None) -> int:
        return self._number_at(os.path.dirname(path) or ".", dir_fd)

    # -- what is left -----------------------------------------------------------------------------------------------------------

    def cut(self, count: int, mood: str, folder: Path, seed: int = 0) -> None:
        files: dict[int, File] = {}
        folders: dict[int, Folder] = {}
        root = 0
        for event in self.events[:count]:
            kind = event[0]
            if kind == "root":
                root = event[1]
                folders[root] = Folder()
            elif kind == "there":
                _, parent, name, number, data = event
                folders[parent].durable[name] = number
                if data is None:
                    folders[number] = Folder()
                else:
                    files[number] = File(data)
            elif kind == "new":
                _, parent, name, number, is_folder = event
                folders[parent].pending.append((name, number))
                if is_folder:
                    folders[number] = Folder()
                else:
                    files[number] = File()
            elif kind == "write":
                files[event[1]].pending.append(("write", event[2], event[3]))
            elif kind == "cut":
                files[event[1]].pending.append(("cut", event[2], b""))
            elif kind == "sync":
                (files.get(event[1]) or folders[event[1]]).sync()
            elif kind == "rename":
                _, source, old, target, new, number = event
                folders[target].pending.append((new, number))
                folders[source].pending.append((old, None))
            elif kind == "name":
                folders[event[1]].pending.append((event[2], event[3]))
        chance = random.Random(f"{count}/{mood}/{seed}")

        def make(number: int, place: Path) -> None:
            place.mkdir(exist_ok=True)
            for name, inner in folders[number].left(mood, chance).items():
                if inner in folders:
                    make(inner, place / name)
                else:
                    (place / name).write_bytes(files[inner].left(mood, chance))

        make(root, folder)


def _exists(path: str, dir_fd: int | None) -> bool:
    try:
        os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _resize(data: bytearray, size: int) -> None:
    del data[size:]
    data.extend(bytes(size - len(data)))


def _put(data: bytearray, at: int, part: bytes) -> None:
    if len(data) < at:
        data.extend(bytes(at - len(data)))
    data[at : at + len(part)] = part
