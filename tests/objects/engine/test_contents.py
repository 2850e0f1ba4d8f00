"""What was written is read, whole and in ranges, before and after a restart, on one disk and on several."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mallee.objects.engine.base import ContentMissing, EngineError
from mallee.objects.engine.local import LocalEngine
from mallee.objects.engine.local.format import BLOCK
from tests.objects.engine.conftest import Make
from tests.objects.engine.rows import Rows, is_gone, label, read, some_bytes

SIZES = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 12345]
DISKS = [(1, 1), (2, 2), (3, 2)]


@pytest.mark.parametrize(("disks", "copies"), DISKS)
def test_files_and_packs(make: Make, disks: int, copies: int) -> None:
    engine = make(disks, copies)
    rows = Rows()
    rows.append(engine, {f"small-{size}": size for size in (0, 1, 7, 8, 9, 4096, 128 * 1024)})
    for size in SIZES:
        rows.write(engine, f"file-{size}", size)
    rows.check(engine)
    engine.close()
    rows.check(make(disks, copies))


def test_the_first_bytes_of_a_file_are_the_content(make: Make, tmp_path: Path) -> None:
    engine = make()
    rows = Rows()
    rows.write(engine, "a", 300_000)
    assert (tmp_path / "0" / rows.at["a"]).read_bytes()[:300_000] == rows.data["a"]


@pytest.mark.parametrize(("disks", "copies"), DISKS)
def test_as_many_copies_as_asked(make: Make, tmp_path: Path, disks: int, copies: int) -> None:
    engine = make(disks, copies)
    rows = Rows()
    used = set()
    for number in range(20):
        rows.write(engine, f"f-{number}", 10)
        holders = [path for path in tmp_path.iterdir() if (path / rows.at[f"f-{number}"]).exists()]
        assert len(holders) == copies
        used.update(holders)
    assert len(used) == disks, "all disks get their share"


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(SIZES),
    st.lists(st.tuples(st.integers(0, 4 * BLOCK), st.integers(0, 2 * BLOCK), st.booleans()), min_size=1, max_size=6),
    st.integers(1, 2 * BLOCK),
)
def test_ranges(make: Make, size: int, ranges: list[tuple[int, int, bool]], piece: int) -> None:
    engine = make()
    rows = Rows()
    rows.write(engine, "a", size, max(piece, 1000))
    content = engine.open(rows.at["a"])
    assert content.size == size
    for offset, length, by_span in ranges:
        expected = rows.data["a"][offset : offset + length]
        if by_span:
            span = content.span(offset, length)
            assert span is not None and os.pread(span.fd, span.length, span.offset) == expected
        else:
            assert content.read(offset, length) == expected
    content.close()


def test_ranges_of_small_contents(make: Make) -> None:
    engine = make()
    rows = Rows()
    rows.append(engine, {"a": 1000})
    content = engine.open(rows.at["a"])
    assert content.span(0, 10) is None
    for offset, length in ((0, 1000), (0, 2000), (10, 20), (999, 1), (1000, 1), (0, 0)):
        assert content.read(offset, length) == rows.data["a"][offset : offset + length]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_whatever_holds_bytes(make: Make, kind: type) -> None:
    engine = make()
    writer = engine.writer()
    data = some_bytes(600_000, "x")
    for at in range(0, len(data), 70_001):
        writer.write(kind(data[at : at + 70_001]))
    assert read(engine, writer.finish({})) == data


def test_aborted(make: Make, tmp_path: Path) -> None:
    engine = make(2, 2)
    writer = engine.writer(500_000)
    writer.write(some_bytes(300_000, 1))
    writer.abort()
    writer.abort()
    for disk in ("0", "1"):
        assert not [path for folder in ("t", "f") for path in (tmp_path / disk / folder).iterdir()]


def test_discarded(make: Make, tmp_path: Path) -> None:
    engine = make(2, 2)
    rows = Rows()
    rows.write(engine, "a", 300_000)
    rows.append(engine, {"b": 100})
    a, b = rows.at["a"], rows.at["b"]
    opened = engine.open(a), engine.open(b)
    rows.delete(engine, "a", "b")
    engine.discard([a, b, "f/2026010100/" + "0" * 32, "p/" + "0" * 16 + "/64/100", "nonsense"])
    assert is_gone(engine, a)
    for content, name in zip(opened, "ab", strict=True):
        assert content.read(0, content.size) == rows.data[name], "what was opened stays readable"
        content.close()


@pytest.mark.parametrize(
    "location",
    ["", "f", "f/../x", "f/2026010100/../../etc", "p/x/1/2", "f/2026010100/" + "0" * 32, "p/" + "0" * 16 + "/64/100",
     "p/" + "0" * 15 + "x/64/100", "f/٢٠٢٦/" + "0" * 32, "p//64/100", "x/y/z"],
)  # fmt: skip
def test_never_given_out(make: Make, location: str) -> None:
    with pytest.raises(ContentMissing):
        make().open(location)


def test_locations_fit(make: Make) -> None:
    engine = make()
    rows = Rows()
    rows.append(engine, {"a": 1})
    rows.write(engine, "b", 1)
    assert all(len(location) <= 200 and location.isascii() for location in rows.at.values())


def test_packs_roll(make: Make, tmp_path: Path) -> None:
    engine = make(pack_size=100_000)
    rows = Rows()
    for number in range(30):
        rows.append(engine, {f"{number}-{part}": 5000 for part in range(3)})
    assert len(list((tmp_path / "0" / "p").iterdir())) >= 4
    rows.append(engine, {"larger than a pack": 120_000})
    rows.check(engine)


def test_very_many_at_once(make: Make) -> None:
    engine = make()
    rows = Rows()
    rows.append(engine, {str(number): number % 50 for number in range(3000)})
    rows.check(engine)


def test_a_label_that_is_no_json(make: Make) -> None:
    engine = make()
    with pytest.raises(TypeError):
        engine.append([({"key": b"bytes"}, b"x")])
    writer = engine.writer()
    with pytest.raises(TypeError):
        writer.finish({"key": b"bytes"})
    rows = Rows()
    rows.append(engine, {"a": 10})
    rows.check(engine)


def test_more_packs_than_kept_open(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from mallee.objects.engine.local import packs

    monkeypatch.setattr(packs, "_MOST_OPEN", 3)
    engine = make(pack_size=2000)
    rows = Rows()
    for number in range(20):
        rows.append(engine, {str(number): 1500})
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        rows.check(engine)
    assert len(os.listdir("/proc/self/fd")) <= before + 3


def test_nothing_stays_open(make: Make) -> None:
    engine = make(2, 2)
    rows = Rows()
    rows.append(engine, {"s": 10})
    rows.check(engine)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(10):
        rows.write(engine, str(number), 300_000)
    rows.check(engine)
    engine.writer().abort()
    assert len(os.listdir("/proc/self/fd")) == before


def test_no_disks_and_too_many_copies(tmp_path: Path) -> None:
    for folders, copies in (([], 1), ([tmp_path / "a"], 2), ([tmp_path / "a", tmp_path / "a"], 1), ([tmp_path / "a"], 0)):
        with pytest.raises(EngineError):
            LocalEngine(folders, copies)


def test_the_label_is_kept(make: Make) -> None:
    engine = make()
    writer = engine.writer()
    location = writer.finish(label("k"))
    assert engine.open(location).label == label("k")  # type: ignore[attr-defined]
