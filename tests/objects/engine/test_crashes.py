"""A crash before each single call: what was acknowledged is there, what was not leaves nothing behind, and nothing is called damage."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mallee.objects.engine.local import LocalEngine, calls, scanning
from tests.objects.engine.powercut import ALL, NOTHING, SOME, Recorder
from tests.objects.engine.rows import Rows, is_gone, read, some_bytes

ROOT = Path(__file__).parents[3]
PATIENCE = {"age": 0.0, "settle": 0.0, "grace": 0.0, "reserve": 0}


def engine_at(root: Path, disks: int, copies: int, **more: object) -> LocalEngine:
    return LocalEngine([root / str(number) for number in range(disks)], copies, **{**PATIENCE, **more})  # type: ignore[arg-type]


def writing(engine: LocalEngine, rows: Rows) -> None:
    rows.append(engine, {"a": 700, "b": 3000})
    rows.write(engine, "f", 300_000)
    rows.append(engine, {"c": 10})
    writer = engine.writer(5000)
    writer.write(b"never finished" * 300)
    rows.append(engine, {"d": 1500, "e": 0, "g": 600})
    rows.write(engine, "h", 10)
    writer.abort()


def deleting(engine: LocalEngine, rows: Rows) -> None:
    rows.delete(engine, "a", "f")
    rows.append(engine, {"i": 2000})
    rows.delete(engine, "c", "d")
    rows.write(engine, "j", 1000)


def compacting(engine: LocalEngine, rows: Rows) -> None:
    rows.append(engine, {str(number): 900 for number in range(20)})
    rows.delete(engine, *(str(number) for number in range(0, 20, 2)), "a")
    engine.compact(rows.moved)
    rows.delete(engine, *(str(number) for number in range(1, 11, 2)))
    engine.compact(rows.moved)
    engine.compact(rows.moved)


def tending(engine: LocalEngine, rows: Rows) -> None:
    rows.append(engine, {"late": 100})
    engine.append([({"key": "orphan"}, b"x" * 500)])
    engine.sweep(rows.is_live)
    engine.scrub(rows.is_live, 1)
    engine.close()


SCENARIOS: dict[str, list[Callable[[LocalEngine, Rows], None]]] = {
    "writing": [writing],
    "deleting": [writing, deleting],
    "compacting": [writing, compacting],
    "tending": [writing, deleting, tending],
}


@pytest.mark.parametrize(("disks", "copies"), [(1, 1), (2, 2)])
@pytest.mark.parametrize("name", SCENARIOS)
def test_before_each_call(memory: Path, monkeypatch: pytest.MonkeyPatch, name: str, disks: int, copies: int) -> None:
    root = memory / "disks"
    root.mkdir()
    engine = engine_at(root, disks, copies, pack_size=6000)
    with monkeypatch.context() as patch:
        recorder = Recorder(patch, root)
        recorder.start()
        rows = Rows(recorder.note)
        for number, part in enumerate(SCENARIOS[name]):
            if number == len(SCENARIOS[name]) - 1:
                begin = len(recorder.events)
            part(engine, rows)
    engine.close()
    for sync in ("fsync", "fdatasync"):  # what follows need not outlive this test
        monkeypatch.setattr(calls, sync, lambda fd: None)
    monkeypatch.setattr(scanning, "_open_media", lambda disk, path: disk.open(path, os.O_RDONLY))
    assert len(recorder.events) - begin > 10
    for count in range(begin, len(recorder.events) + 1):
        for mood in (NOTHING, ALL, SOME):
            left = memory / "left"
            recorder.cut(count, mood, left, seed=disks)
            then = Rows(data=rows.data)
            for event in recorder.events[:count]:
                if event[0] == "note" and event[2] is None:
                    del then.at[event[1]]
                elif event[0] == "note":
                    then.at[event[1]] = event[2]
            look_after(left, then, disks, copies, f"{name}, {mood}, before call {count}: {recorder.events[count : count + 1]!r:.200}")
            shutil.rmtree(left)


@pytest.mark.parametrize(("disks", "copies"), [(1, 1), (2, 2), (3, 2)])
def test_during_the_first_start(memory: Path, monkeypatch: pytest.MonkeyPatch, disks: int, copies: int) -> None:
    root = memory / "disks"
    for number in range(disks):
        (root / str(number)).mkdir(parents=True)
    with monkeypatch.context() as patch:
        recorder = Recorder(patch, root)
        recorder.start()
        begin = len(recorder.events)
        engine_at(root, disks, copies).close()
    assert len(recorder.events) - begin > 10
    for count in range(begin, len(recorder.events) + 1):
        for mood in (NOTHING, ALL, SOME):
            left = memory / "left"
            recorder.cut(count, mood, left)
            look_after(left, Rows(), disks, copies, f"{mood}, before call {count}: {recorder.events[count : count + 1]!r:.200}")
            shutil.rmtree(left)


def look_after(root: Path, rows: Rows, disks: int, copies: int, when: str) -> None:
    """A new process on what is left."""
    engine = engine_at(root, disks, copies, pack_size=6000)
    try:
        rows.check(engine)
        engine.sweep(rows.is_live)
        rows.check(engine)
        held = {location for location in rows.at.values() if location.startswith("f/")}
        for disk in (root / str(number) for number in range(disks)):
            assert not list((disk / "t").iterdir()), when
            assert {f"f/{path.parent.name}/{path.name}" for path in (disk / "f").glob("*/*")} == held, when
        found = engine.scrub(rows.is_live, 10)
        assert found.complete and not found.lost and not found.gaps and not engine.faults(), (when, found)
        for _ in range(3):
            engine.compact(rows.moved)
        rows.check(engine)
        assert not engine._compaction.stuck, when
        rows.append(engine, {"after the crash": 100})
        rows.write(engine, "and a file", 1000)
        rows.check(engine)
        gone = rows.at["and a file"]
        rows.delete(engine, "and a file", "after the crash")
        assert is_gone(engine, gone)
        usage = engine.usage()
        alive = sum(len(rows.data[name]) + 200 for name, location in rows.at.items() if location.startswith("p/"))
        assert usage.pack_bytes - usage.dead <= alive + 200 * usage.packs + 2000, (when, usage)
    except AssertionError as error:
        raise AssertionError(f"{when}: {error}") from error
    finally:
        engine.close()


# -- the process dies, the machine stays ---------------------------------------------------------------------------------------------

CHILD = """
import json, random, sys
from pathlib import Path
from mallee.objects.engine.local import LocalEngine
from tests.objects.engine.rows import Rows
root, disks, copies, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
journal = open(root / "rows", "a")
def noted(name, location):
    journal.write(f"{name} {location}\\n")
    journal.flush()
rows = Rows(noted, at=json.loads((root / "held").read_text()))
chance = random.Random(seed)
engine = LocalEngine([root / str(n) for n in range(disks)], copies, age=0, settle=0, grace=0, reserve=0, pack_size=40_000)
print("ready", flush=True)
for number in range(10**9):
    what = chance.random()
    if what < 0.5:
        rows.append(engine, {f"{seed}-{number}-{part}": chance.randrange(3000) for part in range(chance.randrange(1, 6))})
    elif what < 0.7:
        rows.write(engine, f"{seed}-{number}-f", chance.randrange(600_000))
    elif what < 0.9:
        rows.delete(engine, *chance.sample(sorted(rows.at), len(rows.at) // 4))
    elif what < 0.95:
        engine.compact(rows.moved)
    else:
        engine.scrub(rows.is_live, 0.01)
"""


@pytest.mark.parametrize(("disks", "copies"), [(1, 1), (2, 2)])
def test_killed(memory: Path, disks: int, copies: int) -> None:
    """Many times over, one after the other, on the same disks."""
    chance = random.Random(disks)
    held: dict[str, str] = {}
    for seed in range(6):
        (memory / "held").write_text(json.dumps(held))
        command = [sys.executable, "-c", CHILD, str(memory), str(disks), str(copies), str(seed)]
        child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT}/src:{ROOT}"}, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        with child.stdout:
            select.select([child.stdout], [], [], 0.05 + chance.random() * 0.4)
        child.kill()
        assert child.wait() == -signal.SIGKILL
        rows = Rows()
        for line in (memory / "rows").read_text().splitlines():
            name, _, location = line.partition(" ")
            if location == "None":
                held.pop(name, None)
            else:
                held[name] = location
        (memory / "rows").unlink()
        engine = engine_at(memory, disks, copies)
        rows.at = dict(held)
        for name, location in held.items():
            data = read(engine, location)
            assert data == some_bytes(len(data), name)
            rows.data[name] = data
        engine.sweep(rows.is_live)
        found = engine.scrub(rows.is_live, 10)
        assert found.complete and not found.lost and not found.gaps and not engine.faults(), found
        rows.check(engine)
        engine.close()
    assert len(held) > 10
