"""Everything verified, on every disk, from where the last run left off: what is damaged is mended from another copy, what is missing is copied again,
what nobody refers to is removed.

It goes through the files, hour by hour, then through the packs that are closed, and reads what is on the media, past the page cache. Where it is, and
what it found in this pass and in the last whole one, is kept on the disks (``state/scrub.json``). Copies that are owed come first, in every run.
"""

from __future__ import annotations

import dataclasses
import errno
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from awscrt.checksums import crc32c

from ..base import ContentDamaged, EngineError, IsLive, Label
from . import calls, format
from .compaction import Compaction
from .disks import Disk
from .files import FileContent, FileCopy
from .format import InFile, InPack
from .packs import path_of
from .scanning import Gap, Reader, Record, walk
from .sealing import is_sealed, readers_of
from .sweeping import BATCH, Sweep

log = logging.getLogger("mallee.objects")

_LISTED: Final = 1000
_SAVE: Final = 20.0


@dataclass(slots=True)
class Findings:
    """Of one pass. ``damaged`` lists contents (location, label) of which no copy is whole, at most 1,000 of them; ``missing`` are copies that there
    should have been, ``copied`` those of them that were made again; ``gaps`` are places in closed packs where no record is."""

    number: int = 1
    began: float = 0.0
    ended: float = 0.0
    contents: int = 0
    verified: int = 0  # bytes, of all copies
    mended: int = 0
    missing: int = 0
    copied: int = 0
    orphaned: int = 0
    orphaned_bytes: int = 0
    lost: int = 0  # contents of which no copy is whole
    gaps: int = 0
    damaged: list[tuple[str, Label]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return bool(self.ended)

    def lose(self, location: str, label: Label) -> None:
        self.lost += 1
        if len(self.damaged) < _LISTED:
            self.damaged.append((location, label))
        log.error("%s is damaged on every disk that has it: %s", location, label)


def read_findings(saved: dict[str, Any] | None) -> Findings | None:
    if not saved:
        return None
    known = {each.name for each in dataclasses.fields(Findings)}
    found = Findings(**{name: value for name, value in saved.items() if name in known})
    found.damaged = [(location, label) for location, label in found.damaged]
    return found


class _Pause(Exception):
    """The budget is used up."""


@dataclass(slots=True)
class Scrub:
    sweep: Sweep
    compaction: Compaction
    clock: Callable[[], float]
    age: float
    _is_live: IsLive = field(init=False)
    _found: Findings = field(init=False)
    _at: list[Any] = field(init=False)  # ["f", hour, id, block] or ["p", pack, offset]
    _last: Findings | None = field(init=False)
    _until: float = field(init=False)
    _saved: float = field(init=False)

    def run(self, is_live: IsLive, budget: float) -> Findings:
        """What this pass has found so far; ``complete`` if this run ended it. At least one content is verified, however small the budget."""
        self._is_live = is_live
        self._until = time.monotonic() + budget
        self._load()
        self.compaction.stuck.clear()
        try:
            self._owed()
            self._files()
            self._packs()
        except _Pause:
            self._save()
            return self._found
        self._found.ended = self.clock()
        self._last, self._at = self._found, []
        self._save()
        return self._last

    def report(self) -> tuple[Findings | None, Findings | None]:
        """The pass that is under way, and the last whole one."""
        saved = self.sweep.state.read("scrub")
        return read_findings(saved.get("found")) if saved.get("at") else None, read_findings(saved.get("last"))

    # -- where it is ------------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        saved = self.sweep.state.read("scrub")
        self._last = read_findings(saved.get("last"))
        self._at = list(saved.get("at") or [])
        found = read_findings(saved.get("found")) if self._at else None
        self._found = found or Findings(number=self._last.number + 1 if self._last else 1, began=self.clock())
        self._at = self._at if found else ["f", "", "", 0]
        self._saved = time.monotonic()

    def _save(self) -> None:
        last = dataclasses.asdict(self._last) if self._last else None
        self.sweep.state.write("scrub", {"at": self._at, "found": dataclasses.asdict(self._found), "last": last})
        self._saved = time.monotonic()

    def _reached(self, *place: Any) -> None:
        """From here on nothing is done yet."""
        self._at = list(place)
        now = time.monotonic()
        if now >= self._until:
            raise _Pause
        if now - self._saved >= _SAVE:
            self._save()

    # -- what is owed -----------------------------------------------------------------------------------------------------------

    def _owed(self) -> None:
        state, disks = self.sweep.state, self.sweep.files.disks
        if sum(disk.try_again(disks.store) for disk in disks.all) < disks.copies:
            return
        paid = []
        for location in state.owed():
            if time.monotonic() >= self._until:
                break
            if self._pay(location):
                paid.append(location)
        if paid:
            state.paid(paid)

    def _pay(self, location: str) -> bool:
        """Whether nothing is owed there any more."""
        try:
            if location.startswith("p/"):
                pack = int(location.removeprefix("p/"), 16)
                if self.sweep.packs.held(pack) or not is_sealed(self.sweep.packs, pack):
                    return not self.sweep.packs.copies(pack) and self.sweep.files.disks.complete()
                return self._pack(pack, format.PACK_HEAD, step=False)
            place = format.parse_location(location)
        except ValueError:
            return True
        if not isinstance(place, InFile):
            return True
        content, damaged, away = self._content(location, place)
        if content is None:
            return not damaged and not away and self.sweep.files.disks.complete()
        _, mended = self._blocks(content, location, place, 0, step=False)
        return self._whole(content, location, damaged, step=False) and mended

    # -- files ------------------------------------------------------------------------------------------------------------------

    def _files(self) -> None:
        kind, *place = self._at
        if kind != "f":
            return
        hour_at, id_at, block_at = place
        for hour in self.sweep.hours():
            if hour < hour_at:
                continue
            ids = [id for id in self.sweep.ids(hour) if hour > hour_at or id >= id_at]
            for start in range(0, len(ids), BATCH):
                places = [InFile(hour, id) for id in ids[start : start + BATCH]]
                found = [self.sweep.label(each) for each in places]
                pairs = [(f"f/{hour}/{each.id}", label) for each, (label, _, _) in zip(places, found, strict=True)]
                answers = self._is_live(pairs)
                for each, (label, made, size), live in zip(places, found, answers, strict=True):
                    if live:
                        self._file(each, label, block_at if (hour, each.id) == (hour_at, id_at) else 0)
                    elif made <= self.clock() - self.age:
                        self.sweep.files.discard([each])
                        self._found.orphaned += 1
                        self._found.orphaned_bytes += size
                    self._reached("f", hour, each.id + "~", 0)
            if hour < format.hour_of(self.clock() - self.age - 7200):
                self.sweep.remove_empty(hour)
        self._at = ["p", "", 0]

    def _content(self, location: str, place: InFile) -> tuple[FileContent | None, list[Disk], list[Disk]]:
        good, damaged, away = self.sweep.files.copies(location, place)
        return (FileContent(self.sweep.files, location, place, good[0]) if good else None), damaged, away

    def _file(self, place: InFile, label: Label, block: int) -> None:
        location = f"f/{place.hour}/{place.id}"
        content, damaged, _ = self._content(location, place)
        if content is None:
            if damaged:
                self._found.lose(location, label)
            return  # otherwise it was discarded meanwhile, or its disk went away, which is a fault of its own
        if not block:
            self._found.contents += 1
        readable, mended = self._blocks(content, location, place, block)
        if not readable:
            self._found.lose(location, label)
        if not self._whole(content, location, damaged) or not mended:
            self.sweep.state.owe(location)

    def _blocks(self, content: FileContent, location: str, place: InFile, block: int, *, step: bool = True) -> tuple[bool, bool]:
        """Whether of each block a copy is good, from which the others are mended; and whether that worked."""
        copies, readers = self._readers(location, place)
        files = self.sweep.files
        bare = files.bare(location, files.copies(location, place)[1], content.footer)
        footer = content.footer
        readable = mended = True
        if not copies:  # discarded meanwhile
            return True, True
        for number in range(block, footer.blocks):
            start = number * footer.block
            length = min(footer.block, footer.size - start)
            good: bytes | None = None
            bad: list[FileCopy] = []
            for copy, reader in zip(copies, readers, strict=True):
                data = reader.get(start, length)
                self._found.verified += len(data)
                if crc32c(data) == footer.sums[number] and len(data) == length:
                    good = data
                else:
                    bad.append(copy)
            if bad and good is None:
                good = next((found for copy in bare if (found := copy.read_block(number)) is not None), None)
            for copy in bad:
                if good is not None and copy.mend(location, number, good):
                    self._found.mended += 1
                else:
                    mended = False
            readable = readable and good is not None
            if step and readable and mended and number + 1 < footer.blocks:
                self._reached("f", place.hour, place.id, number + 1)
        return readable, mended

    def _readers(self, location: str, place: InFile) -> tuple[list[FileCopy], list[Reader]]:
        copies, readers = [], []
        for copy in self.sweep.files.copies(location, place)[0]:
            try:
                readers.append(Reader(copy.disk, location, media=True))
                copies.append(copy)
            except OSError:
                continue
        return copies, readers

    def _whole(self, content: FileContent, location: str, damaged: list[Disk], *, step: bool = True) -> bool:
        """As many copies as there shall be, and no damaged ones beside them."""
        files = self.sweep.files
        copies, _, _ = files.copies(location, content.place)
        present = [copy.disk for copy in copies]
        if not present:  # discarded meanwhile
            return True
        if step:
            self._found.missing += max(0, files.disks.copies - len(present))
        others = [disk for disk in files.disks.ordered(content.place.id) if disk not in present and disk not in damaged]
        for disk in [*damaged, *others]:
            if len(present) >= files.disks.copies:
                break
            if not disk.healthy and not disk.try_again(files.disks.store):
                continue
            try:
                files.restore(content, location, [disk])
            except (OSError, ContentDamaged, EngineError) as error:
                log.warning("A copy of %s on %s could not be made: %s", location, disk.path, error)
                continue
            self._found.copied += 1
            present.append(disk)
        if len(present) < files.disks.copies:
            return False
        keep = sorted(present, key=files.disks.ordered(content.place.id).index)[: files.disks.copies]
        for disk in [*present, *damaged]:
            if disk not in keep and all(disk.healthy for disk in keep):
                self._unlink(disk, location)
        return True

    # -- packs ------------------------------------------------------------------------------------------------------------------

    def _packs(self) -> None:
        _, pack_at, offset_at = self._at
        packs = self.sweep.packs
        for pack in packs.all():
            name = f"{pack:016x}"
            if name < pack_at or packs.held(pack) or not is_sealed(packs, pack):
                continue
            if not self._pack(pack, offset_at if name == pack_at and offset_at else format.PACK_HEAD):
                packs.state.owe(path_of(pack))
            self._reached("p", name + "~", 0)

    def _pack(self, pack: int, offset: int, *, step: bool = True) -> bool:
        """Whether there are as many copies as there shall be, all of them verified from that offset on."""
        packs = self.sweep.packs
        readers = readers_of(packs, pack, media=True)
        dead = packs.dead(pack)
        batch: list[Record] = []
        whole, gap = True, False
        synced: set[Disk] = set()
        if offset == format.PACK_HEAD:
            self._mend_head(pack, readers)
        for found in walk(pack, readers, offset):
            if isinstance(found, Gap):
                gap = True
                self._found.gaps += 1
                log.error("Pack %016x has no record from %d to %d.", pack, found.offset, found.end)
                continue
            whole = self._mend(pack, found, synced) and whole
            self._found.verified += found.head.length * (len(readers) - len(found.damaged))
            if found.head.kind != format.CONTENT:
                continue
            if found.offset not in dead:
                batch.append(found)
            if len(batch) == BATCH:
                self._judge(pack, batch, step)
                batch = []
                if step:
                    self._sync(pack, synced)
                    self._reached("p", f"{pack:016x}", found.offset + found.head.step)
        self._judge(pack, batch, step)
        self._sync(pack, synced)
        if self.compaction.room(pack).live <= format.PACK_HEAD:  # nothing but its end: nobody needs another copy of that
            return True
        enough = self._copies(pack, readers, step)
        if whole and not gap and offset == format.PACK_HEAD:
            self._surplus(pack, [reader.disk for reader in readers])
        return enough and whole

    def _mend_head(self, pack: int, readers: Sequence[Reader]) -> None:
        """Nothing depends on it: it is for people, and all that is in it is known."""
        for reader in readers:
            if format.read_pack_head(reader.get(0, format.PACK_HEAD), pack) is None:
                try:
                    file = reader.disk.open(path_of(pack), os.O_WRONLY)
                    calls.write_all(file.fd, format.write_pack_head(pack, pack >> 32), 0)
                    self._found.mended += 1
                except OSError as error:
                    log.warning("The head of pack %016x on %s could not be mended: %s", pack, reader.disk.path, error)

    def _mend(self, pack: int, found: Record, synced: set[Disk]) -> bool:
        """Synced together, later: until then the record is only as damaged as it was."""
        if found.data is None:
            return True
        for reader in found.damaged:
            try:
                file = reader.disk.open(path_of(pack), os.O_WRONLY)
                calls.write_all(file.fd, found.data, found.offset)
            except OSError as error:
                log.warning("Pack %016x on %s could not be mended at %d: %s", pack, reader.disk.path, found.offset, error)
                return False
            synced.add(reader.disk)
            self._found.mended += 1
            log.warning("Pack %016x on %s was damaged at %d and is mended.", pack, reader.disk.path, found.offset)
        return True

    def _sync(self, pack: int, disks: set[Disk]) -> None:
        for disk in disks:
            try:
                file = disk.open(path_of(pack), os.O_RDWR)
                calls.fdatasync(file.fd)
            except OSError as error:
                disk.blame(error, 0)
        disks.clear()

    def _judge(self, pack: int, batch: Sequence[Record], step: bool) -> None:
        """Records that are not known to be dead: whom nobody refers to is noted as dead, and whoever is referred to must be whole."""
        if not batch:
            return
        packs = self.sweep.packs
        places = [InPack(pack, found.offset, found.head.length) for found in batch]
        locations = [format.pack_location(pack, place.offset, place.length) for place in places]
        answers = self._is_live([(location, found.label) for location, found in zip(locations, batch, strict=True)])
        old = (self.sweep.written(pack) or 0) <= self.clock() - self.age
        orphans = []
        for place, location, found, live in zip(places, locations, batch, answers, strict=True):
            if live:
                self._found.contents += step
                if step and found.data is None:
                    self._found.lose(location, found.label)
            elif old:
                orphans.append(place)
                self._found.orphaned += 1
                self._found.orphaned_bytes += place.length
        packs.discard(orphans)

    def _copies(self, pack: int, readers: Sequence[Reader], step: bool) -> bool:
        """A copy that is missing is made from the others."""
        packs = self.sweep.packs
        disks = packs.disks
        present = [reader.disk for reader in readers]
        if not present:
            return False
        if step:
            self._found.missing += max(0, disks.copies - len(present))
        for disk in disks.ordered(f"{pack:016x}"):
            if len(present) >= disks.copies:
                break
            if disk in present or (not disk.healthy and not disk.try_again(disks.store)):
                continue
            try:
                self._copy(pack, readers, disk)
            except OSError as error:
                log.warning("A copy of pack %016x on %s could not be made: %s", pack, disk.path, error)
                continue
            present.append(disk)
            self._found.copied += 1
        return len(present) >= disks.copies

    def _surplus(self, pack: int, verified: Sequence[Disk]) -> None:
        """More copies than there shall be, after a failure that sent some elsewhere, and all of them good."""
        disks = self.sweep.packs.disks
        keep = [disk for disk in disks.ordered(f"{pack:016x}") if disk in verified][: disks.copies]
        for disk in verified:
            if disk not in keep and all(each.healthy for each in keep):
                self._unlink(disk, path_of(pack))

    def _copy(self, pack: int, readers: Sequence[Reader], disk: Disk) -> None:
        """All records that are good on any copy, under a temporary name, then in its place."""
        size = max(reader.size for reader in readers)
        if disk.free() - self.sweep.packs.disks.reserve < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(disk.path))
        partial = f"t/{pack:016x}.{secrets.token_hex(4)}"
        file = disk.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        calls.lock(file.fd, wait=True)
        try:
            calls.write_all(file.fd, format.write_pack_head(pack, pack >> 32), 0)
            for found in walk(pack, readers):
                if isinstance(found, Record) and found.data is not None:
                    calls.write_all(file.fd, found.data, found.offset)
            calls.fsync(file.fd)
            disk.rename(partial, path_of(pack))
            disk.sync_folder("p")
        except BaseException:
            self._unlink(disk, partial)
            raise

    def _unlink(self, disk: Disk, path: str) -> None:
        try:
            disk.unlink(path)
        except OSError as error:
            log.warning("%s on %s could not be removed: %s", path, disk.path, error)
