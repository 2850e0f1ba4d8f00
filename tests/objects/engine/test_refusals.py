"""Disks that are full, and any single call that fails: what cannot be done is an EngineError, and nothing remains of it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mallee.objects.engine.base import EngineError
from mallee.objects.engine.local import LocalEngine, calls
from mallee.objects.engine.local import disks as disks_room
from tests.objects.engine.conftest import Make
from tests.objects.engine.rows import Rows

CHANGING = ("open", "pwrite", "pwritev", "append", "fsync", "fdatasync", "ftruncate", "rename", "unlink", "mkdir", "lock")
PATIENCE = {"age": 0.0, "settle": 0.0, "grace": 0.0, "reserve": 0}


class NthFails:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
        self.code = code
        self.left = -1
        for name in CHANGING:
            monkeypatch.setattr(calls, name, self._counting(getattr(calls, name)))

    def _counting(self, real: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise OSError(self.code, os.strerror(self.code))
            return real(*args, **named)

        return call


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EMFILE])
@pytest.mark.parametrize(("disks", "copies"), [(1, 1), (2, 2)])
def test_each_call_fails_once(memory: Path, monkeypatch: pytest.MonkeyPatch, code: int, disks: int, copies: int) -> None:
    monkeypatch.setattr(disks_room, "RETRY", 0.0)
    fails = NthFails(monkeypatch, code)
    refused = 0
    for count in range(1, 200):
        root = memory / str(count)
        root.mkdir()
        engine = LocalEngine([root / str(number) for number in range(disks)], copies, pack_size=4000, **PATIENCE)  # type: ignore[arg-type]
        rows = Rows()
        fails.left = count
        asked = [
            lambda: rows.append(engine, {"a": 1000, "b": 2000}),  # noqa: B023
            lambda: rows.write(engine, "f", 300_000),  # noqa: B023
            lambda: rows.append(engine, {"c": 2000}),  # noqa: B023
            lambda: rows.delete(engine, *[name for name in ("a", "f") if name in rows.at]),  # noqa: B023
            lambda: rows.append(engine, {"d": 0}),  # noqa: B023
            lambda: engine.sweep(rows.is_live),  # noqa: B023
        ]
        for ask in asked:
            try:
                ask()
            except EngineError as error:
                assert error.cause and error.remedy
                refused += 1
        reached = fails.left <= 0
        fails.left = -1
        rows.check(engine)
        rows.append(engine, {"e": 100})
        rows.write(engine, "g", 300_000)
        engine.close()
        engine = LocalEngine([root / str(number) for number in range(disks)], copies, pack_size=4000, **PATIENCE)  # type: ignore[arg-type]
        rows.check(engine)
        engine.sweep(rows.is_live)
        found = engine.scrub(rows.is_live, 10)
        assert found.complete and not found.lost and not engine.faults(), (count, found, engine.faults())
        for _ in range(2):
            engine.compact(rows.moved)
        rows.check(engine)
        held = {location for location in rows.at.values() if location.startswith("f/")}
        for disk in root.iterdir():
            assert not list((disk / "t").iterdir())
            assert {f"f/{path.parent.name}/{path.name}" for path in (disk / "f").glob("*/*")} == held, count
        engine.close()
        if not reached:
            break
    assert not reached and count > 20
    assert refused > 3 or (copies > 1 and code == errno.EIO)


def test_room_is_looked_at_before(make: Make, tmp_path: Path) -> None:
    engine = make(reserve=1 << 62)
    for ask in (lambda: engine.writer(10), lambda: engine.writer(), lambda: engine.append([({}, b"x")])):
        with pytest.raises(EngineError) as refused:
            ask()
        assert "no room" in refused.value.cause
    assert not list((tmp_path / "0" / "t").iterdir()) and not list((tmp_path / "0" / "p").iterdir())


def test_a_disk_that_cannot_be_asked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    engine = make()
    rows.append(engine, {"a": 10})

    def no_answer(fd: int) -> os.statvfs_result:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(calls, "fstatvfs", no_answer)
        for _ in range(2):
            with pytest.raises(EngineError):
                engine.append([({}, b"x")])
            with pytest.raises(EngineError):
                engine.writer(10)
    monkeypatch.setattr(disks_room, "RETRY", 0.0)
    rows.append(engine, {"b": 10})
    rows.check(engine)


def test_writers_do_not_promise_the_same_room_twice(make: Make, tmp_path: Path) -> None:
    engine = make()
    free = engine._disks.all[0].free()
    size = free * 2 // 3
    first = engine.writer(size)
    with pytest.raises(EngineError):
        engine.writer(size)
    first.abort()
    second = engine.writer(size)
    second.finish({})
    engine.writer(size).abort()


@pytest.fixture
def small_disks(tmp_path: Path) -> Iterator[list[Path]]:
    """Two file systems of 4 MiB."""
    folders = [tmp_path / "small-0", tmp_path / "small-1"]
    mounted = []
    for folder in folders:
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "mallee-tests", str(folder)], capture_output=True)
        if done.returncode:
            for other in mounted:
                subprocess.run(["umount", str(other)], check=True)
            pytest.skip("file systems cannot be mounted here")
        mounted.append(folder)
    yield folders
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def free(folder: Path) -> int:
    seen = os.statvfs(folder)
    return seen.f_bavail * seen.f_frsize


@pytest.mark.parametrize("copies", [1, 2])
def test_a_full_disk(small_disks: list[Path], copies: int) -> None:
    rows = Rows()
    engine = LocalEngine(small_disks[:copies], copies, **PATIENCE)  # type: ignore[arg-type]
    rows.write(engine, "first", 1_000_000)
    rows.append(engine, {"small": 1000})
    before = free(small_disks[0])
    with pytest.raises(EngineError):
        engine.writer(10_000_000)
    with pytest.raises(EngineError) as refused:  # nobody knew how large it would be
        writer = engine.writer()
        try:
            while True:
                writer.write(bytes(200_000))
        except BaseException:
            writer.abort()
            raise
    assert "no room" in refused.value.cause and "Delete" in refused.value.remedy
    assert free(small_disks[0]) == before
    count = 0
    with pytest.raises(EngineError):
        while True:
            rows.append(engine, {f"s-{count}-{part}": 60_000 for part in range(4)})
            count += 1
    assert count > 5 and not any(fault.name == "objects-disk-failed" for fault in engine.faults())
    rows.check(engine)
    rows.delete(engine, "first")
    rows.append(engine, {"again": 60_000})
    rows.check(engine)
    engine.close()
    rows.check(LocalEngine(small_disks[:copies], copies, **PATIENCE))  # type: ignore[arg-type]


def test_something_is_left_for_others(small_disks: list[Path]) -> None:
    """However much comes that nobody knew of."""
    engine = LocalEngine(small_disks[:1], 1, **{**PATIENCE, "reserve": 1 << 20})  # type: ignore[arg-type]
    for expected in (None, 100_000):
        writer = engine.writer(expected)
        with pytest.raises(EngineError):
            while True:
                writer.write(bytes(100_000))
        assert free(small_disks[0]) >= 0
        writer.abort()
    assert engine._disks.all[0]._promised == 0


def test_another_disk_has_room(small_disks: list[Path]) -> None:
    rows = Rows()
    engine = LocalEngine(small_disks, 1, **PATIENCE)  # type: ignore[arg-type]
    (small_disks[0] / "state" / "somebody else's").write_bytes(bytes(free(small_disks[0]) - 100_000))
    for number in range(10):
        rows.write(engine, str(number), 200_000)
    assert len(list((small_disks[1] / "f").glob("*/*"))) == 10
    rows.check(engine)
