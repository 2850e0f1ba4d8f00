"""Wrong bytes never leave: each region of files and packs, with and without another copy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mallee.objects.engine.base import ContentDamaged, ContentMissing
from mallee.objects.engine.local import LocalEngine
from mallee.objects.engine.local.format import BLOCK, RECORD, TRAILER
from tests.objects.engine.conftest import Make
from tests.objects.engine.rows import Rows, read

SIZE = 2 * BLOCK + 1000


def turn(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def paths(tmp_path: Path, name: str) -> list[Path]:
    return sorted(path for path in (tmp_path / disk / name for disk in "0123") if path.exists())


def pack_of(location: str) -> str:
    return "/".join(location.split("/")[:2])


def first(engine: LocalEngine, location: str) -> Path:
    """The disk that is asked first."""
    id = location.split("/")[2 if location.startswith("f") else 1]
    return engine._disks.ordered(id)[0].path


FILE_REGIONS: dict[str, Callable[[int], int]] = {
    "first block": lambda size: 0,
    "second block": lambda size: BLOCK + 5,
    "last byte": lambda size: SIZE - 1,
    "table": lambda size: SIZE + 1,
    "label": lambda size: SIZE + 12 + 3,
    "magic": lambda size: size - TRAILER,
    "version": lambda size: size - TRAILER + 8,
    "size": lambda size: size - TRAILER + 16,
    "id": lambda size: size - TRAILER + 26,
    "made": lambda size: size - TRAILER + 41,
    "lengths": lambda size: size - TRAILER + 48,
    "unused": lambda size: size - TRAILER + 57,
    "sum": lambda size: size - 1,
}


@pytest.mark.parametrize("region", FILE_REGIONS)
def test_a_file(make: Make, tmp_path: Path, region: str) -> None:
    rows = Rows()
    engine = make()
    rows.write(engine, "a", SIZE)
    path = tmp_path / "0" / rows.at["a"]
    turn(path, FILE_REGIONS[region](path.stat().st_size))
    with pytest.raises(ContentDamaged):
        read(engine, rows.at["a"])


@pytest.mark.parametrize("region", FILE_REGIONS)
def test_a_mirrored_file_is_mended(make: Make, tmp_path: Path, region: str) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "a", SIZE)
    good = paths(tmp_path, rows.at["a"])[0].read_bytes()
    path = first(engine, rows.at["a"]) / rows.at["a"]
    turn(path, FILE_REGIONS[region](len(good)))
    rows.check(engine)
    assert [each.read_bytes() for each in paths(tmp_path, rows.at["a"])] == [good, good]
    assert engine.usage().mended == 1
    assert not engine.faults()


@pytest.mark.parametrize("disks", [2, 3])
def test_a_missing_copy_is_made_again(make: Make, tmp_path: Path, disks: int) -> None:
    rows = Rows()
    engine = make(disks, 2)
    rows.write(engine, "a", SIZE)
    os.unlink(first(engine, rows.at["a"]) / rows.at["a"])
    rows.check(engine)
    assert len({path.read_bytes() for path in paths(tmp_path, rows.at["a"])}) == 1
    assert len(paths(tmp_path, rows.at["a"])) == 2


def test_a_large_missing_copy_is_owed(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mallee.objects.engine.local import files

    monkeypatch.setattr(files, "AT_ONCE", 1000)
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "a", SIZE)
    os.unlink(first(engine, rows.at["a"]) / rows.at["a"])
    rows.check(engine)
    assert [fault.name for fault in engine.faults()] == ["objects-copies-owed"]
    engine.close()
    engine = make(2, 2)
    assert engine.usage().owed == 1, "it is remembered"
    engine.scrub(rows.is_live, 0.5)
    assert len(paths(tmp_path, rows.at["a"])) == 2 and not engine.faults()


def test_each_copy_damaged_elsewhere(make: Make, tmp_path: Path) -> None:
    """Put together block by block, by read and by span."""
    for number, by_span in enumerate((False, True)):
        rows = Rows()
        engine = make(2, 2)
        name = str(number)
        rows.write(engine, name, SIZE)
        good = paths(tmp_path, rows.at[name])[0].read_bytes()
        for at, path in zip((10, BLOCK + 10), paths(tmp_path, rows.at[name]), strict=True):
            turn(path, at)
        content = engine.open(rows.at[name])
        if by_span:
            span = content.span(0, SIZE)
            assert span is not None and os.pread(span.fd, SIZE, 0) == rows.data[name]
        else:
            assert content.read(0, SIZE) == rows.data[name]
        rows.check(engine)
        engine.scrub(rows.is_live, 1)
        assert {path.read_bytes() for path in paths(tmp_path, rows.at[name])} == {good}
        engine.close()


def test_what_is_not_damaged_is_read(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make()
    rows.write(engine, "a", SIZE)
    turn(tmp_path / "0" / rows.at["a"], BLOCK + 1)
    content = engine.open(rows.at["a"])
    assert content.read(0, BLOCK) == rows.data["a"][:BLOCK]
    assert content.span(2 * BLOCK, 1000) is not None
    for offset, length in ((BLOCK, 1), (BLOCK - 1, 2), (0, SIZE)):
        with pytest.raises(ContentDamaged):
            content.read(offset, length)
        with pytest.raises(ContentDamaged):
            content.span(offset, length)


@pytest.mark.parametrize("left", [0, 10, BLOCK, SIZE, SIZE + 20])
def test_a_file_that_was_cut(make: Make, tmp_path: Path, left: int) -> None:
    for number, (disks, copies) in enumerate(((1, 1), (2, 2))):
        rows = Rows()
        engine = make(disks, copies, record=tmp_path / f"record-{number}")
        rows.write(engine, "a", SIZE)
        os.truncate(first(engine, rows.at["a"]) / rows.at["a"], left)
        if copies == 1:
            with pytest.raises(ContentDamaged):
                read(engine, rows.at["a"])
        else:
            rows.check(engine)
            assert len({path.read_bytes() for path in paths(tmp_path, rows.at["a"])}) == 1
        engine.close()


def test_cut_while_it_is_open(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make()
    rows.write(engine, "a", SIZE)
    content = engine.open(rows.at["a"])
    assert content.read(0, SIZE) == rows.data["a"]
    os.truncate(tmp_path / "0" / rows.at["a"], BLOCK)
    with pytest.raises(ContentDamaged):
        content.read(0, SIZE)


def test_verified_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from mallee.objects.engine.local import files

    rows = Rows()
    engine = make()
    rows.write(engine, "a", SIZE)
    content = engine.open(rows.at["a"])
    summed: list[int] = []
    real = files.crc32c
    monkeypatch.setattr(files, "crc32c", lambda data: summed.append(len(data)) or real(data))
    content.read(BLOCK + 5, 10)
    assert summed == [BLOCK], "only the block that covers the range"
    content.span(0, BLOCK + 10)
    assert summed == [BLOCK, BLOCK]
    content.read(0, SIZE)
    content.span(0, SIZE)
    assert summed == [BLOCK, BLOCK, 1000]


def test_a_file_under_anothers_name(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make()
    rows.write(engine, "a", SIZE)
    rows.write(engine, "b", SIZE)
    (tmp_path / "0" / rows.at["a"]).write_bytes((tmp_path / "0" / rows.at["b"]).read_bytes())
    with pytest.raises(ContentDamaged):
        read(engine, rows.at["a"])


# -- packs ---------------------------------------------------------------------------------------------------------------------------

RECORD_REGIONS = {"magic": 0, "kind": 4, "lengths": 9, "pack": 17, "offset": 25, "sum": 33, "head's sum": 37, "label": RECORD + 2, "payload": -1}


@pytest.mark.parametrize("region", RECORD_REGIONS)
@pytest.mark.parametrize("copies", [1, 2])
def test_a_record(make: Make, tmp_path: Path, region: str, copies: int) -> None:
    rows = Rows()
    engine = make(copies, copies)
    rows.append(engine, {"a": 500, "b": 500, "c": 500})
    location = rows.at["b"]
    good = paths(tmp_path, pack_of(location))[0].read_bytes()
    offset, length = (int(part) for part in location.split("/")[2:])
    at = RECORD_REGIONS[region]
    with (first(engine, location) / pack_of(location)).open("r+b") as file:
        file.seek(offset + (at if at >= 0 else length + at))
        file.write(bytes([good[file.tell()] ^ 1]))
    if copies == 1:
        with pytest.raises(ContentDamaged):
            engine.open(location)
        for name in "ac":
            assert read(engine, rows.at[name]) == rows.data[name]
    else:
        rows.check(engine)
        assert [path.read_bytes() for path in paths(tmp_path, pack_of(location))] == [good, good]
        assert engine.usage().mended == 1


def test_another_records_location(make: Make) -> None:
    """A location leads to the record that it was given for, or to nothing."""
    rows = Rows()
    engine = make()
    rows.append(engine, {"a": 500, "b": 500})
    _, pack, offset, length = rows.at["a"].split("/")
    for wrong in (f"p/{pack}/{int(offset) + 8}/{length}", f"p/{pack}/{offset}/{int(length) - 8}", f"p/{pack}/{offset}/20", f"p/{pack}/99999999/500"):
        with pytest.raises((ContentDamaged, ContentMissing)):
            engine.open(wrong)


def test_a_pack_that_is_missing_on_one_disk(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.append(engine, {"a": 500, "b": 5000})
    engine.close()
    engine = make(2, 2)
    pack = pack_of(rows.at["a"])
    good = paths(tmp_path, pack)[0].read_bytes()
    os.unlink(first(engine, rows.at["a"]) / pack)
    rows.check(engine)
    assert engine.usage().owed == 1
    engine.scrub(rows.is_live, 1)
    assert [path.read_bytes() for path in paths(tmp_path, pack)] == [good, good]
    assert engine.usage().owed == 0


def test_damage_on_every_copy(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "f", SIZE)
    rows.append(engine, {"s": 500})
    for path in paths(tmp_path, rows.at["f"]):
        turn(path, 5)
    offset = int(rows.at["s"].split("/")[2])
    for path in paths(tmp_path, pack_of(rows.at["s"])):
        turn(path, offset + 400)
    for name in "fs":
        with pytest.raises(ContentDamaged):
            read(engine, rows.at[name])
