"""Disks that are not mounted, that are somebody else's, that fail, that come back, that are replaced."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import pytest

from mallee.objects.engine.base import ContentMissing, EngineError
from mallee.objects.engine.local import LocalEngine, calls
from mallee.objects.engine.local import disks as disks_room
from tests.objects.engine.conftest import Make
from tests.objects.engine.rows import Rows, read


class Broken:
    """Every write to the disk in that folder fails from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, code: int = errno.EIO) -> None:
        self.folder = str(folder)
        self.code = code
        self.on = True
        for name in ("pwrite", "pwritev", "append", "fsync", "fdatasync"):
            monkeypatch.setattr(calls, name, self._failing(getattr(calls, name)))

    def _failing(self, real):  # type: ignore[no-untyped-def]
        import os

        def call(fd: int, *rest: object) -> object:
            if self.on and os.readlink(f"/proc/self/fd/{fd}").startswith(self.folder):
                raise OSError(self.code, os.strerror(self.code))
            return real(fd, *rest)

        return call


def copies_of(tmp_path: Path, location: str) -> list[str]:
    name = location if location.startswith("f") else "/".join(location.split("/")[:2])
    return sorted(path.name for path in tmp_path.iterdir() if (path / name).exists())


# -- who is who ----------------------------------------------------------------------------------------------------------------------


def test_an_empty_folder_where_a_disk_should_be(make: Make, tmp_path: Path) -> None:
    """By the home's memory: the only disk is not mounted."""
    make().close()
    shutil.rmtree(tmp_path / "0")
    (tmp_path / "0").mkdir()
    with pytest.raises(EngineError) as refused:
        make()
    assert "not mounted" in refused.value.cause and refused.value.remedy
    assert not list((tmp_path / "0").iterdir()), "nothing was written to it"


def test_a_folder_that_is_gone(make: Make, tmp_path: Path) -> None:
    make().close()
    shutil.rmtree(tmp_path / "0")
    with pytest.raises(EngineError):
        make()
    assert not (tmp_path / "0").exists()


def test_one_of_two_is_not_mounted(make: Make, tmp_path: Path) -> None:
    """By what the other disk remembers alone. Service goes on with the mirror, the fault is told, and what is written is owed."""
    rows = Rows()
    engine = make(2, 2, record=None)
    rows.write(engine, "a", 300_000)
    engine.close()
    (tmp_path / "1").rename(tmp_path / "elsewhere")
    (tmp_path / "1").mkdir()
    engine = make(2, 2, record=None)
    assert [fault.name for fault in engine.faults()] == ["objects-disk-refused"]
    rows.check(engine)
    rows.write(engine, "b", 300_000)
    rows.append(engine, {"c": 100})
    assert not list((tmp_path / "1").iterdir())
    assert [fault.name for fault in engine.faults()] == ["objects-disk-refused", "objects-copies-owed"]
    engine.close()
    (tmp_path / "1").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "1")
    engine = make(2, 2, record=None)
    engine.scrub(rows.is_live, 1)
    assert not engine.faults()
    for location in rows.at.values():
        assert copies_of(tmp_path, location) == ["0", "1"]
    rows.check(engine)


def test_it_is_mounted_later(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks_room, "RETRY", 0.0)
    rows = Rows()
    make(2, 2).close()
    (tmp_path / "1").rename(tmp_path / "elsewhere")
    engine = make(2, 2)
    assert engine.faults()
    (tmp_path / "elsewhere").rename(tmp_path / "1")
    rows.write(engine, "a", 10)
    assert copies_of(tmp_path, rows.at["a"]) == ["0", "1"] and not engine.faults()


def test_disks_that_changed_places(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(2)
    for number in range(10):
        rows.write(engine, str(number), 100)
    engine.close()
    (tmp_path / "0").rename(tmp_path / "x")
    (tmp_path / "1").rename(tmp_path / "0")
    (tmp_path / "x").rename(tmp_path / "1")
    engine = make(2)
    assert not engine.faults()
    rows.check(engine)


def test_a_disk_of_another_store(make: Make, tmp_path: Path) -> None:
    make(1).close()
    LocalEngine([tmp_path / "other"], reserve=0).close()
    (tmp_path / "other").rename(tmp_path / "1")
    engine = make(2)
    assert [fault.name for fault in engine.faults()] == ["objects-disk-refused"]
    rows = Rows()
    for number in range(10):
        rows.write(engine, str(number), 100)
    assert not list((tmp_path / "1" / "f").iterdir())
    engine.close()
    with pytest.raises(EngineError) as refused:
        make(2, record=None)
    assert "different stores" in refused.value.cause


def test_a_copied_disk(make: Make, tmp_path: Path) -> None:
    make(1).close()
    shutil.copytree(tmp_path / "0", tmp_path / "1")
    assert [fault.name for fault in make(2).faults()] == ["objects-disk-refused"]


def test_a_folder_with_other_things(make: Make, tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "letters").write_text("dear")
    with pytest.raises(EngineError):
        make()
    assert [path.name for path in (tmp_path / "0").iterdir()] == ["letters"]


def test_a_fresh_file_system(make: Make, tmp_path: Path) -> None:
    (tmp_path / "0" / "lost+found").mkdir(parents=True)
    assert not make().faults()


def test_a_disk_more(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(1)
    rows.write(engine, "a", 100)
    engine.close()
    engine = make(2)
    assert not engine.faults()
    for number in range(20):
        rows.write(engine, str(number), 100)
    assert {copies_of(tmp_path, location)[0] for location in rows.at.values()} == {"0", "1"}
    rows.check(engine)
    engine.close()
    remembered = [json.loads((tmp_path / disk / "mallee-disk.json").read_text()) for disk in "01"]
    assert remembered[0]["disks"] == remembered[1]["disks"] and len(remembered[0]["disks"]) == 2


def test_a_disk_that_was_left_out(make: Make, tmp_path: Path) -> None:
    """What may be on it is not missing, but out of reach; until it is said that it is lost."""
    rows = Rows()
    engine = make(2)
    for number in range(20):
        rows.write(engine, str(number), 100)
    engine.close()
    lost = next(name for name, location in rows.at.items() if copies_of(tmp_path, location) == ["1"])
    engine = make(1)
    fault = engine.faults()[0]
    assert fault.name == "objects-disk-left-out"
    with pytest.raises(EngineError):
        engine.open(rows.at[lost])
    engine.close()
    marker = next(word for word in fault.remedy.split() if word.startswith("forget-"))
    (tmp_path / "0" / marker).touch()
    engine = make(1)
    assert not engine.faults()
    with pytest.raises(ContentMissing):
        engine.open(rows.at[lost])


def test_a_disk_that_was_replaced(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "a", 300_000)
    rows.append(engine, {"b": 100})
    engine.close()
    shutil.rmtree(tmp_path / "1")
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "new-disk").touch()
    engine = make(2, 2)
    assert not engine.faults()
    found = engine.scrub(rows.is_live, 1)
    assert found.complete and found.missing == 2 and found.copied == 2
    assert all(copies_of(tmp_path, location) == ["0", "1"] for location in rows.at.values())
    shutil.rmtree(tmp_path / "0" / "f")
    shutil.rmtree(tmp_path / "0" / "p")
    engine.close()
    rows.check(make(2, 2))


def test_identities_that_cannot_be_read(make: Make, tmp_path: Path) -> None:
    make(1).close()
    identity = tmp_path / "0" / "mallee-disk.json"
    for text in ("", "[]", "{", '{"format": 2}', "\x00" * 50):
        identity.write_text(text)
        with pytest.raises(EngineError):
            make(1)
    (tmp_path / "disks.json").write_text("{}")
    with pytest.raises(EngineError):
        make(1)


# -- failing -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["0", "1"])
def test_a_mirror_fails(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.append(engine, {"before": 100})
    broken = Broken(monkeypatch, tmp_path / which)
    rows.append(engine, {"s1": 100})
    rows.write(engine, "f1", 300_000)
    rows.append(engine, {"s2": 100})
    assert [fault.name for fault in engine.faults()] == ["objects-disk-failed", "objects-copies-owed"]
    rows.check(engine)
    broken.on = False
    monkeypatch.setattr(disks_room, "RETRY", 0.0)
    rows.append(engine, {"s3": 100})
    rows.write(engine, "f2", 300_000)
    assert [fault.name for fault in engine.faults()] == ["objects-copies-owed"]
    engine.close()
    engine = make(2, 2)
    engine.sweep(rows.is_live)  # closes the pack that the failure left open
    found = engine.scrub(rows.is_live, 2)
    assert found.complete and not found.lost and not engine.faults()
    shutil.rmtree(tmp_path / ("1" if which == "0" else "0"))
    engine.close()
    rows.check(make(2, 2))


def test_a_mirror_fails_in_the_middle_of_a_file(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make(2, 2)
    writer = engine.writer(1_000_000)
    writer.write(b"a" * 500_000)
    Broken(monkeypatch, tmp_path / "1")
    writer.write(b"b" * 500_000)
    location = writer.finish({})
    assert read(engine, location) == b"a" * 500_000 + b"b" * 500_000
    assert copies_of(tmp_path, location) == ["0"]
    assert not list((tmp_path / "1" / "t").iterdir())


def test_another_disk_takes_over(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a third disk nothing is owed, or only what was under way."""
    rows = Rows()
    engine = make(3, 2)
    Broken(monkeypatch, tmp_path / "1")
    for number in range(20):
        rows.write(engine, f"f-{number}", 100)
        rows.append(engine, {f"s-{number}": 100})
    assert engine.usage().owed <= 1
    late = [location for name, location in rows.at.items() if int(name.split("-")[1]) > 10]
    assert all(copies_of(tmp_path, location) == ["0", "2"] for location in late)
    rows.check(engine)


def test_without_degraded_writes(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    engine = make(2, 2, degraded=False)
    rows.append(engine, {"a": 100})
    broken = Broken(monkeypatch, tmp_path / "1")
    for _ in range(2):
        with pytest.raises(EngineError):
            rows.append(engine, {"b": 100})
        with pytest.raises(EngineError):
            rows.write(engine, "c", 300_000)
    rows.check(engine)
    broken.on = False
    monkeypatch.setattr(disks_room, "RETRY", 0.0)
    rows.append(engine, {"b": 100})
    rows.write(engine, "c", 300_000)
    rows.check(engine)


def test_the_only_disk_fails(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    engine = make()
    rows.append(engine, {"a": 100})
    rows.write(engine, "b", 300_000)
    broken = Broken(monkeypatch, tmp_path / "0")
    for _ in range(2):
        with pytest.raises(EngineError) as refused:
            rows.append(engine, {"c": 100})
        assert "Input/output error" in refused.value.cause and "dmesg" in refused.value.remedy
        with pytest.raises(EngineError):
            rows.write(engine, "d", 300_000)
    rows.check(engine)
    broken.on = False
    monkeypatch.setattr(disks_room, "RETRY", 0.0)
    rows.append(engine, {"c": 100})
    rows.write(engine, "d", 300_000)
    rows.check(engine)
    assert not engine.faults()


def test_too_many_open_files_is_not_the_disks_fault(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    engine = make()
    rows.append(engine, {"a": 100})
    rows.write(engine, "b", 300_000)
    engine.close()
    engine = make()
    real = calls.open

    def none_left(path: str, flags: int, dir_fd: int | None = None) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(calls, "open", none_left)
    for name in "ab":
        with pytest.raises(EngineError) as refused:
            engine.open(rows.at[name])
        assert "open files" in refused.value.cause
    with pytest.raises(EngineError):
        engine.append([({}, b"x")])
    with pytest.raises(EngineError):
        engine.writer()
    monkeypatch.setattr(calls, "open", real)
    assert not engine.faults()
    rows.check(engine)


def test_discarded_while_a_disk_was_away(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "a", 300_000)
    rows.append(engine, {"b": 1000, "c": 1000})
    engine.close()
    (tmp_path / "1").rename(tmp_path / "away")
    engine = make(2, 2)
    a = rows.at["a"]
    rows.delete(engine, "a", "b")
    engine.compact(rows.moved)
    assert copies_of(tmp_path, a) == ["away"]
    engine.close()
    (tmp_path / "away").rename(tmp_path / "1")
    engine = make(2, 2)
    found = engine.scrub(rows.is_live, 2)
    assert found.complete and found.orphaned >= 1
    assert copies_of(tmp_path, a) == []
    engine.compact(rows.moved)
    engine.compact(rows.moved)
    rows.check(engine)
