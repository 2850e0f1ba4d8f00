"""Sweep and scrub: what they remove, what they never touch, and that they go on where they were."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mallee.objects.engine.local import scrubbing
from mallee.objects.engine.local.format import BLOCK, hour_of
from tests.objects.engine.conftest import Make
from tests.objects.engine.rows import Rows, is_gone, label, some_bytes
from tests.objects.engine.test_damage import paths, turn

NOW = 1_700_000_000.0


def orphan(engine: Any, size: int = 1000) -> str:
    writer = engine.writer()
    writer.write(bytes(size))
    return str(writer.finish(label("nobody's")))


# -- sweep ---------------------------------------------------------------------------------------------------------------------------


def test_contents_that_no_row_came_to_refer_to(make: Make) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "a", 1000)
    rows.append(engine, {"b": 1000})
    files = [orphan(engine) for _ in range(3)]
    records = engine.append([(label("nobody's"), bytes(1000))] * 3)
    engine.close()
    engine = make(2, 2)
    given = engine.sweep(rows.is_live)
    assert given >= 3 * 2 * 1000 + 3 * 1000
    assert all(is_gone(engine, location) for location in files)
    assert engine.usage().dead >= 3 * 1000
    engine.compact(rows.moved)
    assert all(is_gone(engine, location) for location in records)
    rows.check(engine)
    assert engine.sweep(rows.is_live) == 0


def test_what_is_young_is_left_alone(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(age=3600.0, settle=60.0)
    file = orphan(engine)
    engine.append([({}, b"x")])
    writer = engine.writer()
    writer.write(bytes(10_000_000))
    left = tmp_path / "0" / "t" / "0123"
    left.write_bytes(b"left behind a moment ago")
    assert engine.sweep(rows.is_live) == 0
    assert not is_gone(engine, file) and left.exists()
    writer.finish({})


def test_what_is_being_written_is_left_alone(make: Make, tmp_path: Path) -> None:
    """However long nothing has come: another process holds it, too."""
    rows = Rows()
    one, two = make(), make()
    writer = one.writer()
    writer.write(some_bytes(300_000, 1))
    location = two.append([(label("on its way"), b"data")])[0]
    for path in (tmp_path / "0").glob("[tp]/*"):
        os.utime(path, (0, 0))
    assert one.sweep(rows.is_live) == two.sweep(rows.is_live) == 0
    assert two.open(location).read(0, 4) == one.open(location).read(0, 4) == b"data"
    assert one.open(writer.finish({})).size == 300_000


def test_temporary_files(make: Make, tmp_path: Path) -> None:
    engine = make()
    for name in ("t/0123", "state/scrub.json.0123abcd", "mallee-disk.json.0123abcd"):
        (tmp_path / "0" / name).write_bytes(b"12345")
    (tmp_path / "0" / "state" / "scrub.json").write_bytes(b"{}")
    assert engine.sweep(Rows().is_live) == 15
    assert (tmp_path / "0" / "mallee-disk.json").exists() and (tmp_path / "0" / "state" / "scrub.json").exists()


def test_only_recent_hours(make: Make) -> None:
    """A start costs what has come since the last sweep, not what is there."""
    now = NOW
    rows = Rows()
    engine = make(clock=lambda: now)
    asked: list[str] = []

    def is_live(pairs: Any) -> list[bool]:
        asked.extend(location for location, _ in pairs)
        return rows.is_live(pairs)

    for number in range(10):
        rows.write(engine, f"{number}", 100)
        now += 3600
    engine.sweep(is_live)
    assert len(asked) == 10
    asked.clear()
    rows.write(engine, "late", 100)
    now += 3600
    engine.close()
    engine = make(clock=lambda: now)
    engine.sweep(is_live)
    assert asked == [rows.at["late"]]


def test_empty_folders_of_past_hours(make: Make, tmp_path: Path) -> None:
    now = NOW
    rows = Rows()
    engine = make(clock=lambda: now)
    rows.write(engine, "a", 100)
    rows.delete(engine, "a")
    now += 4 * 3600
    engine.sweep(rows.is_live)
    assert not list((tmp_path / "0" / "f").iterdir())
    now = NOW  # a clock that was set back: the folder is made again
    rows.write(engine, "b", 100)
    assert [path.name for path in (tmp_path / "0" / "f").iterdir()] == [hour_of(NOW)]
    rows.check(engine)


def test_a_torn_tail(make: Make, tmp_path: Path) -> None:
    """A batch that was never acknowledged, as a power cut may leave it; and one record behind it that happens to be whole."""
    rows = Rows()
    engine = make()
    rows.append(engine, {"a": 700})
    engine.append([(label("nobody's"), bytes(700))] * 3)
    engine._packs._growing = None  # it dies here
    pack = next((tmp_path / "0" / "p").iterdir())
    whole = pack.read_bytes()
    end = pack.stat().st_size // 4 + 100
    for torn in (whole[: end + 300], whole[:end] + bytes(len(whole) // 2 - end) + whole[len(whole) // 2 :], whole + b"MRec" + bytes(50)):
        pack.write_bytes(torn)
        for path in (tmp_path / "0" / "p").glob("*.dead"):
            path.unlink()
        engine = make()
        engine.sweep(rows.is_live)
        found = engine.scrub(rows.is_live, 5)
        assert found.complete and not found.lost and not found.gaps
        rows.check(engine)
        engine.close()


def test_damage_before_the_end_is_no_torn_tail(make: Make, tmp_path: Path) -> None:
    """A row refers to what lies behind it: so it was acknowledged."""
    rows = Rows()
    engine = make()
    rows.append(engine, {"a": 700, "b": 700, "c": 700})
    engine._packs._growing = None
    pack = next((tmp_path / "0" / "p").iterdir())
    turn(pack, int(rows.at["b"].split("/")[2]) + 300)
    size = pack.stat().st_size
    engine = make()
    assert engine.sweep(rows.is_live) == 0
    assert pack.stat().st_size >= size
    found = engine.scrub(rows.is_live, 5)
    assert [location for location, _ in found.damaged] == [rows.at["b"]]
    for name in "ac":
        assert engine.open(rows.at[name]).read(0, 700) == rows.data[name]


# -- scrub ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [1, 2])
def test_everything_is_verified(make: Make, tmp_path: Path, copies: int) -> None:
    rows = Rows()
    engine = make(copies, copies, pack_size=10_000)
    for number in range(5):
        rows.write(engine, f"f-{number}", 300_000)
        rows.append(engine, {f"s-{number}-{part}": 1500 for part in range(5)})
    engine.close()
    engine = make(copies, copies, pack_size=10_000)
    found = engine.scrub(rows.is_live, 10)
    assert found.complete and found.contents == 30 and not found.damaged
    assert found.verified >= copies * (5 * 300_000 + 25 * 1500)
    assert found.mended == found.missing == found.orphaned == 0
    assert engine.scrubbed() == (None, found)
    assert engine.scrub(rows.is_live, 10).number == 2


def test_damage_is_found_and_told(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make()
    rows.write(engine, "f", 300_000)
    rows.write(engine, "good", 300_000)
    rows.append(engine, {"s": 500, "t": 500})
    engine.close()
    turn(tmp_path / "0" / rows.at["f"], BLOCK + 1)
    pack, offset = rows.at["s"].split("/")[1:3]
    turn(tmp_path / "0" / "p" / pack, int(offset) + 300)
    found = make().scrub(rows.is_live, 10)
    assert sorted(location for location, _ in found.damaged) == sorted([rows.at["f"], rows.at["s"]])
    assert dict(found.damaged)[rows.at["f"]] == label("f"), "whose it is"


def test_damage_is_mended(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "f", 3 * BLOCK)
    rows.append(engine, {"s": 500, "t": 500})
    engine.close()
    pack = "/".join(rows.at["s"].split("/")[:2])
    offset = int(rows.at["s"].split("/")[2])
    good = [path.read_bytes() for name in (rows.at["f"], pack) for path in paths(tmp_path, name)]
    one, two = paths(tmp_path, rows.at["f"])
    turn(one, 5)
    turn(two, BLOCK + 5)
    turn(two, 3 * BLOCK + 2)
    one, two = paths(tmp_path, pack)
    turn(one, 3)
    turn(one, offset + 300)
    os.truncate(two, two.stat().st_size - 20)
    engine = make(2, 2)
    found = engine.scrub(rows.is_live, 10)
    assert found.complete and not found.lost
    assert [path.read_bytes() for name in (rows.at["f"], pack) for path in paths(tmp_path, name)] == good
    again = engine.scrub(rows.is_live, 10)
    assert again.mended == again.missing == again.copied == 0


def test_orphans_of_long_ago(make: Make) -> None:
    rows = Rows()
    engine = make(2, 2, clock=lambda: NOW - 10**6)
    file = orphan(engine)
    record = engine.append([(label("nobody's"), bytes(1000))])[0]
    rows.append(engine, {"a": 10})
    engine.close()
    engine = make(2, 2)
    found = engine.scrub(rows.is_live, 10)
    assert found.orphaned == 2 and found.orphaned_bytes >= 3000
    engine.compact(rows.moved)
    assert is_gone(engine, file) and is_gone(engine, record)
    rows.check(engine)


def test_it_goes_on_where_it_was(make: Make, tmp_path: Path) -> None:
    """In steps of one block or so, and with a new process each time: everything is verified once."""
    rows = Rows()
    engine = make(2, 2, pack_size=20_000)
    for number in range(4):
        rows.write(engine, f"f-{number}", 3 * BLOCK)
        rows.append(engine, {f"s-{number}-{part}": 2000 for part in range(6)})
    engine.close()
    turn(paths(tmp_path, rows.at["f-2"])[0], 2 * BLOCK + 1)
    steps = 0
    while True:
        engine = make(2, 2, pack_size=20_000)
        found = engine.scrub(rows.is_live, 0.0)
        engine.close()
        steps += 1
        assert steps < 100
        if found.complete:
            break
    assert steps >= 12
    assert found.contents == 4 + 24 and found.mended == 1 and not found.lost
    size = 2 * (4 * 3 * BLOCK + 24 * 2000) - BLOCK
    assert size <= found.verified <= size + 2 * BLOCK + 60_000
    assert len({path.read_bytes() for path in paths(tmp_path, rows.at["f-2"])}) == 1


def test_it_reads_the_media(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Past the page cache where that is possible; otherwise through it."""
    from mallee.objects.engine.local import calls

    rows = Rows()
    engine = make()
    rows.write(engine, "f", 300_000)
    engine.append([({}, b"")])
    opened: list[int] = []
    real = calls.open

    def noting(path: str, flags: int, dir_fd: int | None = None) -> int:
        if flags & os.O_DIRECT:
            opened.append(flags)
            if len(opened) > 1:
                raise OSError(22, "Invalid argument")
        return real(path, flags, dir_fd)

    monkeypatch.setattr(calls, "open", noting)
    for _ in range(2):
        found = engine.scrub(rows.is_live, 10)
        assert found.complete and found.verified >= 300_000 and not found.lost
    assert opened


def test_a_sector_that_cannot_be_read(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mallee.objects.engine.local import calls

    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "f", 6 * BLOCK)
    bad = paths(tmp_path, rows.at["f"])[0]
    seen = bad.stat()
    real_preadv, real_pwrite = calls.preadv, calls.pwrite
    broken = [True]

    def preadv(fd: int, buffers: Any, offset: int) -> int:
        now = os.fstat(fd)
        if broken[0] and (now.st_ino, now.st_dev) == (seen.st_ino, seen.st_dev) and offset <= 2 * BLOCK + 5000 < offset + len(buffers[0]):
            raise OSError(5, "Input/output error")
        return real_preadv(fd, buffers, offset)

    def pwrite(fd: int, data: Any, offset: int) -> int:
        broken[0] = False  # a disk puts a good sector in its place when it is written
        return real_pwrite(fd, data, offset)

    monkeypatch.setattr(calls, "preadv", preadv)
    monkeypatch.setattr(calls, "pwrite", pwrite)
    found = engine.scrub(rows.is_live, 10)
    assert found.complete and found.mended == 1 and not found.lost
    rows.check(engine)


def test_more_copies_than_asked(make: Make, tmp_path: Path) -> None:
    """After a failure that sent them elsewhere: the surplus one goes, once the others are known to be good."""
    import shutil

    rows = Rows()
    engine = make(3, 2)
    rows.write(engine, "f", 300_000)
    rows.append(engine, {"s": 1000})
    engine.close()
    names = [rows.at["f"], "/".join(rows.at["s"].split("/")[:2])]
    for name in names:
        for disk in "012":
            place = tmp_path / disk / name
            if not place.exists():
                place.parent.mkdir(exist_ok=True)
                shutil.copy(paths(tmp_path, name)[0], place)
    engine = make(3, 2)
    found = engine.scrub(rows.is_live, 10)
    assert found.complete and [len(paths(tmp_path, name)) for name in names] == [2, 2]
    rows.check(engine)


def test_findings_survive_a_later_version(make: Make) -> None:
    assert scrubbing.read_findings({"number": 3, "unheard of": 1, "damaged": [["f/1/2", {}]]}) is not None
    assert scrubbing.read_findings(None) is None


def test_usage(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.append(engine, {"a": 1000})
    usage = engine.usage()
    assert usage.packs == 1 and usage.pack_bytes > 1000 and usage.owed == usage.dead == usage.mended == 0
    assert [disk.path for disk in usage.disks] == [tmp_path / "0", tmp_path / "1"]
    assert all(disk.total > disk.free > 0 and disk.fault is None and disk.id for disk in usage.disks)
