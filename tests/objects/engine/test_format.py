"""The format is what ``docs/objects-format.md`` says: its script, as it stands there, gets everything back from the disks alone."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from array import array
from pathlib import Path

import pytest
from awscrt.checksums import crc32c
from hypothesis import given
from hypothesis import strategies as st

from mallee.objects.engine.local import format
from tests.objects.engine.conftest import Make
from tests.objects.engine.rows import Rows, label
from tests.objects.engine.test_damage import paths, turn

PAGE = Path(__file__).parents[3] / "docs" / "objects-format.md"


def recovered(tmp_path: Path, disks: int) -> dict[str, bytes]:
    text = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert text is not None and "import mallee" not in text[1] and "zlib" not in text[1]
    script = tmp_path / "recover.py"
    script.write_text(text[1])
    target = tmp_path / "target"
    command = [sys.executable, "-I", str(script), str(target), *(str(tmp_path / str(number)) for number in range(disks))]
    subprocess.run(command, check=True, capture_output=True)
    found = {}
    for path in target.glob("*.json"):
        told = json.loads(path.read_text())
        assert told == label(told["key"])
        found[told["key"]] = path.with_suffix("").read_bytes()
    return found


@pytest.mark.parametrize(("disks", "copies"), [(1, 1), (3, 2)])
def test_by_hand(make: Make, tmp_path: Path, disks: int, copies: int) -> None:
    rows = Rows()
    engine = make(disks, copies, pack_size=20_000)
    for size in (0, 1, 300_000, 2 * format.BLOCK):
        rows.write(engine, f"file {size}", size)
    for number in range(10):
        rows.append(engine, {f"small {number} {part}": number * 100 + part for part in range(8)})
    rows.delete(engine, "file 1", "small 3 3", "small 9 7")
    rows.append(engine, {"at last": 10})
    expected = {name: rows.data[name] for name in rows.at}
    assert recovered(tmp_path, disks) == expected, "while it runs"
    engine.close()


def test_by_hand_what_is_left(make: Make, tmp_path: Path) -> None:
    """Of two damaged mirrors, and of a pack that is torn and damaged."""
    rows = Rows()
    engine = make(2, 2)
    rows.write(engine, "a", 300_000)
    rows.write(engine, "b", 300_000)
    rows.append(engine, {f"s{number}": 700 for number in range(6)})
    engine.close()
    turn(paths(tmp_path, rows.at["a"])[0], 100)
    turn(paths(tmp_path, rows.at["b"])[1], 299_999)
    pack = "/".join(rows.at["s0"].split("/")[:2])
    offsets = [int(rows.at[f"s{number}"].split("/")[2]) for number in range(6)]
    one, two = paths(tmp_path, pack)
    turn(one, offsets[1] + 5)
    os.truncate(two, offsets[4] + 20)
    turn(two, offsets[3] + 400)
    turn(one, offsets[5] + 400)
    assert recovered(tmp_path, 2) == {name: rows.data[name] for name in rows.at if name != "s5"}


def test_the_length_without_a_tool(make: Make, tmp_path: Path) -> None:
    rows = Rows()
    rows.write(make(), "a", 300_001)
    told = re.search(r"`(tail [^`]*)`", PAGE.read_text())
    assert told is not None
    command = told[1].replace("FILE", str(tmp_path / "0" / rows.at["a"]))
    assert int(subprocess.run(command, shell=True, check=True, capture_output=True).stdout) == 300_001


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1), st.integers(0, 1000).map(lambda n: n * 8), st.data())
def test_no_other_bytes_are_taken_for_a_record(payload: bytes, pack: int, offset: int, data: st.DataObject) -> None:
    head, length = format.write_record(pack, offset, {"key": "k"}, payload)
    whole = head + payload
    assert len(whole) == length and format.read_payload(whole, pack, offset) == payload
    assert format.read_payload(whole, pack, offset + 8) is None
    assert format.read_payload(whole, pack ^ 1, offset) is None
    assert format.read_payload(whole + b"\0", pack, offset) is None
    cut = data.draw(st.integers(0, length - 1))
    assert format.read_payload(whole[:cut], pack, offset) is None
    turned = bytearray(whole)
    turned[data.draw(st.integers(0, length - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert format.read_payload(bytes(turned), pack, offset) is None


@given(st.binary(max_size=300), st.integers(1, 2**40), st.data())
def test_footers(noise: bytes, made: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, 5 * format.BLOCK))
    sums = array("I", [crc32c(noise)] * -(-size // format.BLOCK))
    id = "0123456789abcdef" * 2
    footer = format.write_footer(size, id, made, sums, {"noise": noise.hex()})
    assert format.footer_length(footer[-64:], size + len(footer)) == len(footer)
    assert format.footer_length(footer[-64:], size + len(footer) + 1) is None
    found = format.read_footer(footer)
    assert found is not None
    assert (found.size, found.id, found.made, found.sums, found.label) == (size, id, made, sums, {"noise": noise.hex()})
    turned = bytearray(footer)
    turned[data.draw(st.integers(0, len(footer) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert format.read_footer(bytes(turned)) is None
    assert format.read_footer(noise) is None


@given(st.lists(st.tuples(st.integers(0, 2**29).map(lambda n: n * 8), st.integers(41, 200_000))), st.integers(0, 100), st.integers(0, 2**64 - 1))
def test_notes_of_the_dead(records: list[tuple[int, int]], cut: int, pack: int) -> None:
    notes = b"".join(format.write_dead(pack, offset, length) for offset, length in records)
    assert format.read_dead(notes, pack) == dict(records)
    left = max(0, len(notes) - cut)
    shorter = format.read_dead(notes[:left], pack)
    assert shorter == dict(records[: left // format.DEAD])
    assert format.read_dead(struct.pack("<IIII", 8, 100, pack & 0xFFFFFFFF, 0), pack) == {}


def test_locations_round_trip() -> None:
    for location in (format.file_location(1_795_893_319, "0a" * 16), format.pack_location(2**64 - 1, 64, 4200)):
        place = format.parse_location(location)
        if isinstance(place, format.InFile):
            assert location == f"f/{place.hour}/{place.id}"
        else:
            assert location == format.pack_location(place.pack, place.offset, place.length)
