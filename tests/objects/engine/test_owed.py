"""Copies that cannot be mended or made at once: they are owed, told, remembered, and made when that is possible."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mallee.objects.engine.base import ContentDamaged, EngineError
from mallee.objects.engine.local import disks as disks_room
from mallee.objects.engine.local import files
from mallee.objects.engine.local.format import BLOCK
from tests.objects.engine.conftest import Make
from tests.objects.engine.rows import Rows, read
from tests.objects.engine.test_damage import first, pack_of, paths, turn
from tests.objects.engine.test_disks import Broken

SIZE = 3 * BLOCK


def test_a_disk_that_cannot_be_mended(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read is right all the same: whole, in ranges, for sendfile, and small."""
    monkeypatch.setattr(disks_room, "RETRY", 0.0)
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "f", SIZE)
    rows.append(engine, {"s": 1000, "t": 1000})
    bad = first(engine, rows.at["f"])
    turn(bad / rows.at["f"], BLOCK + 7)
    pack_disk = first(engine, rows.at["s"])
    turn(pack_disk / pack_of(rows.at["s"]), int(rows.at["s"].split("/")[2]) + 500)
    broken = Broken(monkeypatch, tmp_path)
    rows.check(engine)
    content = engine.open(rows.at["f"])
    span = content.span(5, SIZE)
    assert span is not None and os.pread(span.fd, span.length, span.offset) == rows.data["f"][5:]
    assert not os.readlink(f"/proc/self/fd/{span.fd}").startswith(str(bad))
    content.close()
    assert engine.usage().owed == 2 and engine.usage().mended == 0
    broken.on = False
    engine.close()
    engine = make(2, 2)
    found = engine.scrub(rows.is_live, 5)
    assert found.complete and found.mended == 2 and not engine.faults()
    for location in (rows.at["f"], pack_of(rows.at["s"])):
        assert len({path.read_bytes() for path in paths(tmp_path, location)}) == 1


def test_no_span_but_a_read(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy lacks another block, and none can be mended: no file has the whole range."""
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "f", SIZE)
    for number, path in enumerate(paths(tmp_path, rows.at["f"])):
        turn(path, number * BLOCK)
    Broken(monkeypatch, tmp_path)
    content = engine.open(rows.at["f"])
    assert content.span(0, SIZE) is None
    assert content.read(0, SIZE) == rows.data["f"]


def test_damaged_here_and_away_there(make: Make, tmp_path: Path) -> None:
    """The other copy may be good: this is not the last word on the content."""
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "f", SIZE)
    rows.write(engine, "footer", SIZE)
    rows.append(engine, {"s": 1000})
    engine.close()
    turn(tmp_path / "0" / rows.at["f"], 9)
    turn(tmp_path / "0" / rows.at["footer"], SIZE + 1)
    turn(tmp_path / "0" / pack_of(rows.at["s"]), int(rows.at["s"].split("/")[2]) + 500)
    (tmp_path / "1").rename(tmp_path / "away")
    engine = make(2, 2)
    for name in rows.at:
        with pytest.raises(EngineError):
            read(engine, rows.at[name])
    engine.close()
    (tmp_path / "away").rename(tmp_path / "1")
    rows.check(make(2, 2))


def test_no_room_for_a_copy(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "f", SIZE)
    rows.append(engine, {"s": 1000})
    engine.close()
    os.unlink(tmp_path / "1" / rows.at["f"])
    os.unlink(tmp_path / "1" / pack_of(rows.at["s"]))
    engine = make(2, 2, reserve=1 << 62)
    found = engine.scrub(rows.is_live, 5)
    assert found.missing == 2 and found.copied == 0 and engine.usage().owed == 2
    assert not any(fault.name == "objects-disk-failed" for fault in engine.faults())
    engine.close()
    engine = make(2, 2)
    assert engine.usage().owed == 2
    engine.scrub(rows.is_live, 5)
    assert engine.usage().owed == 0
    for location in (rows.at["f"], pack_of(rows.at["s"])):
        assert len(paths(tmp_path, location)) == 2


def test_owed_by_what_was_deleted_since(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "AT_ONCE", 0)
    rows = Rows()
    engine = make(2, 2, pack_size=2000)
    rows.write(engine, "f", SIZE)
    rows.append(engine, {"s": 1500})
    rows.append(engine, {"t": 1500})
    os.unlink(first(engine, rows.at["f"]) / rows.at["f"])
    os.unlink(first(engine, rows.at["s"]) / pack_of(rows.at["s"]))
    engine._packs._open.clear()
    rows.check(engine)
    assert engine.usage().owed == 2
    rows.delete(engine, "f", "s")
    engine.compact(rows.moved)
    (tmp_path / "0" / "state" / "owed").open("a").write("p/no number\nnonsense\np/1/2/3\n")
    engine.close()
    engine = make(2, 2, pack_size=2000)
    engine.scrub(rows.is_live, 5)
    assert engine.usage().owed == 0
    rows.check(engine)


def test_lost_and_owed(make: Make, tmp_path: Path) -> None:
    """A block that no copy has, and a copy that is missing: both stay told."""
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "f", SIZE)
    turn(tmp_path / "0" / rows.at["f"], 5)
    os.unlink(tmp_path / "1" / rows.at["f"])
    for _ in range(2):
        found = engine.scrub(rows.is_live, 5)
        assert [location for location, _ in found.damaged] == [rows.at["f"]] and engine.usage().owed == 1
    assert engine.open(rows.at["f"]).read(BLOCK, BLOCK) == rows.data["f"][BLOCK : 2 * BLOCK]
    with pytest.raises(ContentDamaged):
        read(engine, rows.at["f"])


def test_a_footer_that_cannot_be_read(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mallee.objects.engine.local import calls

    rows = Rows()
    for number, (disks, copies) in enumerate(((1, 1), (2, 2))):
        engine = make(disks, copies, record=tmp_path / f"record-{number}")
        name = str(number)
        rows.write(engine, name, SIZE)
        bad = str(first(engine, rows.at[name]) / rows.at[name])
        real = calls.pread

        def pread(fd: int, length: int, offset: int, bad: str = bad, real=real) -> bytes:  # type: ignore[no-untyped-def]
            if os.readlink(f"/proc/self/fd/{fd}") == bad:
                raise OSError(errno.EIO, "Input/output error")
            return real(fd, length, offset)

        with monkeypatch.context() as patch:
            patch.setattr(calls, "pread", pread)
            if copies == 1:
                with pytest.raises(ContentDamaged):
                    engine.open(rows.at[name])
            else:
                content = engine.open(rows.at[name])
                assert content.read(0, SIZE) == rows.data[name]
        engine.close()
