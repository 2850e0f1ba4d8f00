"""The disks of a store: folders, each normally the mount point of a file system of its own.

What always holds:

* Every disk bears a file, ``mallee-disk.json``, that says which disk of which store it is. A folder without one is taken as a new
  disk only when nothing says that a disk of the store should be there: neither the store's own memory in Mallee's home
  (``record``) nor the list of disks that every disk carries. So a disk that is not mounted is never mistaken for an empty one,
  and one of another store never written to.
* The folder is opened once. All that follows is relative to it, so that a mount under a running process changes nothing.
* A disk that fails to write is *failed*: it takes no writes until a probe has succeeded, at most one in ``RETRY`` seconds. A full
  disk has not failed; it is passed over, and if there are not enough others, the write is refused.

Which disks a content goes to is decided by rendezvous hashing of its id; where it *is*, is looked up on all of them, so a
content that went elsewhere because of a failure is found just as well.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..base import EngineError, NoRoom
from . import calls
from .calls import Handle

log = logging.getLogger("mallee.objects")

IDENTITY: Final = "mallee-disk.json"
NEW: Final = "new-disk"
FORGET: Final = "forget-"
FORMAT: Final = 1
RETRY: Final = 10.0
FOLDERS: Final = ("f", "p", "t", "state")
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_OURS: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_ALLOWED_IN_NEW: Final = {"lost+found", NEW}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that an operator has to do. ``name`` is stable, for those who count them."""

    name: str
    cause: str
    remedy: str


class Disk:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = ""
        self.root: Handle | None = None
        self.fault: Fault | None = None
        self._failed_at = 0.0
        self._promised = 0
        self._guard = threading.Lock()

    def __repr__(self) -> str:
        return f"<Disk {self.path}>"

    @property
    def healthy(self) -> bool:
        return self.fault is None and self.root is not None

    # -- files ------------------------------------------------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> Handle:
        root = self._root()
        return Handle(calls.open(path, flags, root.fd))

    def rename(self, source: str, target: str) -> None:
        root = self._root()
        calls.rename(source, target, root.fd)

    def unlink(self, path: str) -> bool:
        """Whether it was there."""
        root = self._root()
        try:
            calls.unlink(path, root.fd)
        except FileNotFoundError:
            return False
        return True

    def make_folder(self, path: str) -> None:
        """Durable when it returns."""
        root = self._root()
        try:
            calls.mkdir(path, root.fd)
        except FileExistsError:
            return
        self.sync_folder(os.path.dirname(path) or ".")

    def remove_folder(self, path: str) -> None:
        """If it is empty."""
        root = self._root()
        try:
            calls.rmdir(path, root.fd)
        except OSError:
            pass

    def sync_folder(self, path: str) -> None:
        folder = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        calls.fsync(folder.fd)

    def names(self, path: str) -> list[str]:
        """Sorted; none where there is no such folder."""
        try:
            folder = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return []
        return sorted(os.listdir(folder.fd))

    def read_file(self, path: str) -> bytes | None:
        try:
            file = self.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        return calls.read_all(file.fd, calls.fstat(file.fd).st_size, 0)

    def write_file(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Whole or not at all, whatever happens."""
        partial = f"{path}.{secrets.token_hex(4)}"
        file = self.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            calls.write_all(file.fd, data, 0)
            if durable:
                calls.fsync(file.fd)
            self.rename(partial, path)
        except OSError:
            self._forget(partial)
            raise
        if durable:
            self.sync_folder(os.path.dirname(path) or ".")

    def _forget(self, path: str) -> None:
        try:
            self.unlink(path)
        except OSError:
            pass

    def _root(self) -> Handle:
        root = self.root
        if root is None:
            raise OSError(errno.ENODEV, "this disk is not in use", str(self.path))
        return root

    # -- room -------------------------------------------------------------------------------------------------------------------

    def free(self) -> int:
        """Bytes that are neither used nor promised to what is being written."""
        seen = calls.fstatvfs(self._root().fd)
        return seen.f_bavail * seen.f_frsize - self._promised

    def promise(self, size: int) -> None:
        with self._guard:
            self._promised += size

    # -- failing and coming back ------------------------------------------------------------------------------------------------

    def blame(self, error: OSError, size: int) -> EngineError | None:
        """After a write of so many bytes that was not taken: how to refuse what was asked, if the disk is full or the fault is not a disk's.
        Otherwise the disk has failed, and it may go on without it."""
        if error.errno in FULL:
            return no_room(self, size)
        if error.errno in _OURS:
            return trouble(error)
        self.fail(error)
        return None

    def fail(self, error: OSError) -> None:
        """Nothing more goes there until it has proved itself."""
        with self._guard:
            self._failed_at = time.monotonic()
            if self.fault is None:
                self.fault = Fault(
                    "objects-disk-failed",
                    f"The disk {self.path} of the object store failed: {error.strerror or error}.",
                    "Look at the kernel's messages (dmesg). Once it works again it is used again by itself; if it is lost, put a "
                    f"new one in its place with an empty file named {NEW} on it, and restart.",
                )
                log.error("%s %s", self.fault.cause, self.fault.remedy)

    def refuse(self, cause: str, remedy: str) -> None:
        self.root = None
        self._failed_at = time.monotonic()
        if self.fault is None or self.fault.cause != cause:
            log.error("%s %s", cause, remedy)
        self.fault = Fault("objects-disk-refused", cause, remedy)

    def try_again(self, store: str) -> bool:
        """Whether it works (again). Asked often, does something at most every RETRY seconds."""
        if self.healthy:
            return True
        with self._guard:
            if time.monotonic() - self._failed_at < RETRY:
                return False
            self._failed_at = time.monotonic()
        try:
            root = Handle(os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            identity = read_identity(root)
            if identity is None or identity.get("store") != store or identity.get("disk") != self.id:
                return False
            probe = Handle(calls.open("probe", os.O_RDWR | os.O_CREAT, root.fd))
            calls.write_all(probe.fd, os.urandom(4096), 0)
            calls.fsync(probe.fd)
            calls.unlink("probe", root.fd)
        except (OSError, ValueError):
            return False
        self.root = root
        self.fault = None
        log.warning("The disk %s of the object store works again.", self.path)
        return True


def read_identity(root: Handle) -> dict[str, Any] | None:
    try:
        file = Handle(calls.open(IDENTITY, os.O_RDONLY, root.fd))
    except FileNotFoundError:
        return None
    found = json.loads(calls.read_all(file.fd, calls.fstat(file.fd).st_size, 0))
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"format {found.get('format') if isinstance(found, dict) else None!r} is not known to this version")
    return found


class Disks:
    """Those of one store, opened. EngineError if there is none to work with."""

    def __init__(self, folders: Sequence[Path], copies: int, record: Path | None = None, reserve: int = 0) -> None:
        if not folders:
            raise EngineError("The object store has no disk.", "Name at least one folder in objects_disks.")
        if not 1 <= copies <= len(folders):
            raise EngineError(
                f"{copies} copies on {len(folders)} disks cannot be.", "Set objects_copies to at most the number of objects_disks."
            )
        if len({path.absolute() for path in folders}) != len(folders):
            raise EngineError("The same folder is named twice in objects_disks.", "Name each disk once.")
        self.copies = copies
        self.reserve = reserve
        self.all = [Disk(path.absolute()) for path in folders]
        self.store = ""
        self.away: dict[str, str] = {}  # disks of the store that are not in the settings: id -> where it was
        self._mount(record)

    # -- which ------------------------------------------------------------------------------------------------------------------

    def ordered(self, id: str) -> list[Disk]:
        """All disks, those that a content of this id belongs on first, and those that have failed last."""
        if len(self.all) == 1:
            return self.all
        return sorted(
            self.all, key=lambda disk: (not disk.healthy, hashlib.blake2b(f"{id}/{disk.id}".encode(), digest_size=8).digest())
        )

    def place(self, id: str, size: int, *, reserve: int | None = None) -> list[Disk]:
        """As many disks as there shall be copies, or fewer where disks have failed. EngineError if that would be none, or if the room
        does not suffice."""
        chosen: list[Disk] = []
        full: list[Disk] = []
        keep = self.reserve if reserve is None else reserve
        for disk in self.ordered(id):
            if not disk.healthy and not disk.try_again(self.store):
                continue
            try:
                room = disk.free() - keep
            except OSError as error:
                disk.fail(error)
                continue
            if room < size:
                full.append(disk)
                continue
            chosen.append(disk)
            if len(chosen) == self.copies:
                return chosen
        if full:
            raise no_room(full[0], size)
        if not chosen:
            raise self.none_left()
        return chosen

    def healthy(self) -> list[Disk]:
        return [disk for disk in self.all if disk.healthy]

    def names(self, folder: str) -> list[str]:
        """What is in this folder on any disk that works, sorted."""
        found: set[str] = set()
        for disk in self.healthy():
            try:
                found.update(disk.names(folder))
            except OSError as error:
                if refusal := disk.blame(error, 0):
                    raise refusal from None
        return sorted(found)

    def complete(self) -> bool:
        """Whether what is on none of them is nowhere."""
        return not self.away and all(disk.healthy for disk in self.all)

    def none_left(self) -> EngineError:
        faults = [disk.fault for disk in self.all if disk.fault is not None]
        if not faults:
            return EngineError("No disk of the object store can be written to.", "Look at the disks in objects_disks.")
        return EngineError(" ".join(dict.fromkeys(fault.cause for fault in faults)), faults[0].remedy)

    def out_of_reach(self, location: str, error: OSError | None = None) -> EngineError:
        if error is not None and error.errno in _OURS:
            return trouble(error)
        where = [str(disk.path) for disk in self.all if not disk.healthy] + list(self.away.values())
        return EngineError(
            f"The content {location} is on none of the disks that can be read; {', '.join(where)} cannot.",
            "Bring the disk back, or say that it is lost (docs/objects-format.md, Disks).",
        )

    def faults(self) -> list[Fault]:
        found = [disk.fault for disk in self.all if disk.fault is not None]
        for id, path in self.away.items():
            found.append(
                Fault(
                    "objects-disk-left-out",
                    f"The disk {id} of the object store, last seen at {path}, is not among objects_disks.",
                    f"Name it there again; or, if it is lost, put an empty file named {FORGET}{id} on another disk and restart.",
                )
            )
        return found

    # -- opening ----------------------------------------------------------------------------------------------------------------

    def _mount(self, record: Path | None) -> None:
        known = _read_record(record)
        identities: dict[Disk, dict[str, Any]] = {}
        bare: list[Disk] = []
        for disk in self.all:
            self._open(disk, known)
            if disk.root is None:
                continue
            try:
                identity = read_identity(disk.root)
            except (OSError, ValueError) as error:
                disk.refuse(
                    f"{IDENTITY} on the disk {disk.path} cannot be read: {error}.", "Restore it from another disk's, or from a backup."
                )
                continue
            if identity is None:
                bare.append(disk)
            else:
                identities[disk] = identity
        self.store = self._agree(known, identities)
        members = self._members(known, identities)
        for disk, identity in identities.items():
            self._recognise(disk, identity)
        for disk in bare:
            self._adopt(disk, members)
        if not self.healthy():
            raise self.none_left()
        self._forget_lost(members)
        self._write_down(members, record)

    def _open(self, disk: Disk, known: dict[str, Any]) -> None:
        path = disk.path
        if not path.exists() and path.parent.is_dir() and str(path) not in known.get("disks", {}).values():
            path.mkdir(mode=0o700, exist_ok=True)
        try:
            disk.root = Handle(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError as error:
            disk.id = _id_at(known.get("disks", {}), path)
            disk.refuse(f"The folder {path} of the object store cannot be opened: {error.strerror}.", "Mount it, or correct objects_disks.")

    def _agree(self, known: dict[str, Any], identities: dict[Disk, dict[str, Any]]) -> str:
        stores = sorted({str(identity["store"]) for identity in identities.values()})
        if known:
            return str(known["store"])
        if len(stores) > 1:
            places = ", ".join(f"{disk.path} is of {identity['store']}" for disk, identity in identities.items())
            raise EngineError(f"The folders in objects_disks belong to different stores: {places}.", "Name disks of one store only.")
        return stores[0] if stores else secrets.token_hex(16)

    def _members(self, known: dict[str, Any], identities: dict[Disk, dict[str, Any]]) -> dict[str, str]:
        """Id to last known path of every disk that the store has had and was not told to forget."""
        members: dict[str, str] = {}
        for identity in identities.values():
            if identity["store"] == self.store:
                members.update(identity["disks"])
        if known:  # it is younger than what a disk says that was away
            members = {**known["disks"]}
        return members

    def _recognise(self, disk: Disk, identity: dict[str, Any]) -> None:
        if identity["store"] != self.store:
            disk.refuse(
                f"The folder {disk.path} holds a disk of another object store ({identity['store']}).",
                "Mount the right disk there, or correct objects_disks.",
            )
            return
        if any(other.id == identity["disk"] for other in self.all if other is not disk):
            disk.refuse(f"The folder {disk.path} holds a copy of a disk that is in use already.", "Remove one of the two.")
            return
        disk.id = str(identity["disk"])

    def _adopt(self, disk: Disk, members: dict[str, str]) -> None:
        """A folder without identity: a new disk, unless one of the store's should be there."""
        assert disk.root is not None
        names = set(os.listdir(disk.root.fd))
        present = {other.id for other in self.all if other.id}
        expected = _id_at(members, disk.path)
        missing = [id for id in members if id not in present]
        if NEW not in names:
            if expected or missing:
                disk.id = expected
                disk.refuse(
                    f"The folder {disk.path} is without {IDENTITY}, but a disk of the object store should be there: it is not mounted.",
                    f"Mount it. If the disk was replaced by an empty one, put an empty file named {NEW} on it, and restart.",
                )
                return
            if any(name not in _ALLOWED_IN_NEW and not name.startswith(f"{IDENTITY}.") for name in names):
                disk.refuse(
                    f"The folder {disk.path} has files that are not the object store's, and no {IDENTITY}.",
                    "Give the object store a folder of its own.",
                )
                return
        if expected:
            del members[expected]
        disk.id = secrets.token_hex(8)
        try:  # it names no other new disk: if this is as far as it gets, none is expected where none is yet
            self._write_identity(disk, {**members, disk.id: str(disk.path)})
        except OSError as error:
            disk.refuse(f"The folder {disk.path} cannot become a disk of the object store: {error.strerror}.", "Make it writable.")

    def _forget_lost(self, members: dict[str, str]) -> None:
        for disk in self.healthy():
            for name in disk.names("."):
                if name.startswith(FORGET):
                    members.pop(name.removeprefix(FORGET), None)
                    disk.unlink(name)

    def _write_down(self, members: dict[str, str], record: Path | None) -> None:
        present = {disk.id: str(disk.path) for disk in self.all if disk.id}
        self.away = {id: path for id, path in members.items() if id not in present}
        disks = {**self.away, **present}
        for disk in self.healthy():
            try:
                self._write_identity(disk, disks)
                disk.unlink(NEW)
            except OSError as error:
                if error.errno in FULL and disk.read_file(IDENTITY) is not None:
                    continue  # a full disk is read all the same
                disk.fail(error)
        if not self.healthy():
            raise self.none_left()
        _write_record(record, {"store": self.store, "disks": disks})

    def _write_identity(self, disk: Disk, disks: dict[str, str]) -> None:
        identity = {"format": FORMAT, "what": "a disk of Mallee's object store", "store": self.store, "disk": disk.id, "disks": disks}
        data = json.dumps(identity, indent=1).encode() + b"\n"
        if disk.read_file(IDENTITY) != data:
            disk.write_file(IDENTITY, data)
        for folder in FOLDERS:
            disk.make_folder(folder)


def no_room(disk: Disk, size: int) -> NoRoom:
    return NoRoom(
        f"The disk {disk.path} of the object store has no room for {size} bytes more.",
        "Delete objects, enlarge the file system, or name further disks in objects_disks.",
    )


def trouble(error: OSError) -> EngineError:
    if error.errno in _OURS:
        remedy = "Raise the limit of open files or of memory of Mallee's process (docs/limits.md)."
    else:
        remedy = "Look at the disks in objects_disks and at the kernel's messages (dmesg)."
    return EngineError(f"The object store cannot go on: {error.strerror or error}.", remedy)


def _id_at(members: dict[str, str], path: Path) -> str:
    return next((id for id, place in members.items() if place == str(path)), "")


def _read_record(record: Path | None) -> dict[str, Any]:
    if record is None:
        return {}
    try:
        found = json.loads(record.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineError(f"{record} cannot be read: {error}.", "Restore it, or remove it if all disks are mounted.") from None
    if not isinstance(found, dict) or not isinstance(found.get("disks"), dict) or not found.get("store"):
        raise EngineError(f"{record} is damaged.", "Restore it, or remove it if all disks are mounted.")
    return found


def _write_record(record: Path | None, content: dict[str, Any]) -> None:
    if record is None:
        return
    data = json.dumps(content, indent=1).encode() + b"\n"
    if record.exists() and record.read_bytes() == data:
        return
    partial = record.with_name(f"{record.name}.{secrets.token_hex(4)}")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(record)
    folder = os.open(record.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
