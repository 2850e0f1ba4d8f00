"""The guests' serial consoles: files that QEMU appends to, kept small, watched, and handed to the cloud.

A console must not block its guest, must outlive agent and libvirtd, and must not fill the disk however much a guest
writes. So it is a plain file, opened by QEMU for appending, on a memory filesystem of bounded size of its own
(libvirtd.py mounts it). While the agent runs, a file's old part is cut out of it (a hole: positions stay what they
are, nothing is copied, nothing is lost in between). While no agent runs, the filesystem's size is the bound, and QEMU
drops what does not fit.

The files are watched by inotify: a guest that says nothing costs nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mallee.fabric.transport import CONSOLE_LIMIT, FabricError, Refused, Transport

log = logging.getLogger(__name__)

READY = b"mallee-ready"
SLACK = 192 * 1024  # a file may hold this much more than what is kept before it is cut
GATHER = 0.03  # seconds: what a guest writes letter by letter is looked at together
PUSH_EVERY = 1.0  # seconds between two pushes of one console, but for the first lines and the ready line
EAGER = 4096  # bytes of a boot that go to the cloud without that pause
_IN_MODIFY, _IN_CLOEXEC = 0x2, 0o2000000
_PUNCH = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


@dataclass(slots=True)
class _Console:
    seen: int = 0  # bytes looked at
    cut: int = 0  # where the part that is kept begins
    begun: int = 0  # where the present boot began
    awaiting: bool = False  # its ready line
    pushed: int = -1  # size at the last push
    due: float | None = None  # when to push next
    last: float = 0.0


class Consoles:
    """``ready(guest_id)`` is called once per boot, from the watching thread."""

    def __init__(self, directory: Path, uid: int, transport: Transport, ready: Callable[[str], None]) -> None:
        self.directory = directory
        self._uid = uid
        self._transport = transport
        self._ready = ready
        self._changes = threading.Condition()
        self._consoles: dict[str, _Console] = {}
        self._stopped = threading.Event()
        self._inotify = -1
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for work, name in ((self._watch, "consoles"), (self._push, "console-push"))
        ]

    def start(self) -> None:
        self._inotify = _libc.inotify_init1(_IN_CLOEXEC)
        if self._inotify < 0 or _libc.inotify_add_watch(self._inotify, os.fsencode(self.directory), _IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), f"inotify: {os.strerror(ctypes.get_errno())}")
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        with self._changes:
            self._changes.notify_all()

    def path(self, guest_id: str) -> Path:
        return self.directory / guest_id

    # ------------------------------------------------------------------------------------------------------- a guest's life

    def begin(self, guest_id: str) -> Path:
        """An empty console for a new run of the guest."""
        path = self.path(guest_id)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.fchown(descriptor, self._uid, self._uid)
        finally:
            os.close(descriptor)
        with self._changes:
            self._consoles[guest_id] = _Console(awaiting=True)
        return path

    def follow(self, guest_id: str, begun: int, awaiting: bool) -> None:
        """A guest that runs already, when the agent comes to know it: what its present boot has said so far is read again."""
        size = self._size(guest_id)
        if size < begun:
            begun = 0
        with self._changes:
            if guest_id in self._consoles:
                return
            kept = max(begun, size - CONSOLE_LIMIT, 0)
            self._consoles[guest_id] = _Console(seen=kept, begun=begun, awaiting=awaiting)
        self._look(guest_id)

    def rebooted(self, guest_id: str) -> int:
        """The guest boots anew within its run: returns where its console stands."""
        size = self._size(guest_id)
        with self._changes:
            console = self._consoles.setdefault(guest_id, _Console())
            console.begun = console.seen = size
            console.awaiting = True
        return size

    def ended(self, guest_id: str) -> None:
        """The guest is off: its last words go to the cloud, and stay here until it starts again or is removed."""
        self._look(guest_id, last=True)

    def forget(self, guest_id: str) -> None:
        with self._changes:
            self._consoles.pop(guest_id, None)
        self.path(guest_id).unlink(missing_ok=True)

    def tail(self, guest_id: str, limit: int = CONSOLE_LIMIT) -> bytes:
        return self._read(guest_id)[0][-limit:]

    # ------------------------------------------------------------------------------------------------------------ watching

    def _size(self, guest_id: str) -> int:
        try:
            return self.path(guest_id).stat().st_size
        except FileNotFoundError:
            return 0

    def _watch(self) -> None:
        while not self._stopped.is_set():
            try:
                events = os.read(self._inotify, 65536)
                self._stopped.wait(GATHER)
                names = _names(events)
                if names is None:
                    with self._changes:
                        names = set(self._consoles)
                for name in names:
                    self._look(name)
            except OSError as error:
                log.warning("consoles: %s", error)
                self._stopped.wait(1.0)

    def _look(self, guest_id: str, last: bool = False) -> None:
        with self._changes:
            console = self._consoles.get(guest_id)
            if console is None:
                return
            try:
                with open(self.path(guest_id), "r+b", buffering=0) as file:
                    size = os.fstat(file.fileno()).st_size
                    found = console.awaiting and self._finds_ready(file.fileno(), console, size)
                    console.seen = max(console.seen, size)
                    self._bound(file.fileno(), console, size)
            except FileNotFoundError:
                return
            if found:
                console.awaiting = False
            if size != console.pushed:
                eager = found or last or size - console.begun <= EAGER
                due = time.monotonic() + (0 if eager else max(0.0, console.last + PUSH_EVERY - time.monotonic()))
                console.due = due if console.due is None else min(console.due, due)
                self._changes.notify_all()
        if found:
            self._ready(guest_id)

    @staticmethod
    def _finds_ready(file: int, console: _Console, size: int) -> bool:
        """The line may have come in pieces: what was seen of an unfinished line is looked at again."""
        start = max(console.begun, console.seen - 2 * len(READY), size - CONSOLE_LIMIT)
        text = os.pread(file, max(0, size - start), start)
        return (start == console.begun and text.startswith(READY)) or b"\n" + READY in text

    @staticmethod
    def _bound(file: int, console: _Console, size: int) -> None:
        if size - console.cut <= CONSOLE_LIMIT + SLACK:
            return
        cut = (size - CONSOLE_LIMIT) // 4096 * 4096
        if _libc.fallocate(file, _PUNCH, 0, cut):
            log.warning("a console could not be cut: %s", os.strerror(ctypes.get_errno()))
            return
        console.cut = cut

    def _read(self, guest_id: str) -> tuple[bytes, int]:
        """The end of the console and where it begins."""
        try:
            with open(self.path(guest_id), "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                start = max(0, size - CONSOLE_LIMIT)
                return os.pread(file.fileno(), size - start, start), start
        except FileNotFoundError:
            return b"", 0

    # ------------------------------------------------------------------------------------------------------------- pushing

    def _push(self) -> None:
        while not self._stopped.is_set():
            with self._changes:
                now = time.monotonic()
                waiting = {name: console.due for name, console in self._consoles.items() if console.due is not None}
                ready = [name for name, due in waiting.items() if due <= now]
                if not ready:
                    self._changes.wait(min(waiting.values()) - now if waiting else None)
                    continue
                for name in ready:
                    self._consoles[name].due = None
                    self._consoles[name].last = now
            for name in ready:
                self._hand_over(name)

    def _hand_over(self, guest_id: str) -> None:
        text, start = self._read(guest_id)
        if not text:
            return
        try:
            self._transport.console(guest_id, text, start)
        except Refused:
            return  # it does not know the guest (any more)
        except FabricError as error:
            log.debug("the console of %s was not handed over: %s", guest_id, error)
            with self._changes:
                console = self._consoles.get(guest_id)
                if console is not None:
                    console.due = time.monotonic() + 2.0
            return
        with self._changes:
            console = self._consoles.get(guest_id)
            if console is not None:
                console.pushed = start + len(text)


def _names(events: bytes) -> set[str] | None:
    """The files that inotify speaks of; ``None`` when it lost count."""
    names: set[str] = set()
    at = 0
    while at + 16 <= len(events):
        _, mask, _, length = struct.unpack_from("iIII", events, at)
        if mask & 0x4000:  # IN_Q_OVERFLOW
            return None
        with contextlib.suppress(UnicodeDecodeError):
            names.add(events[at + 16 : at + 16 + length].rstrip(b"\0").decode())
        at += 16 + length
    return names
