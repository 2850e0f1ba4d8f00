"""The page for operators says how to get objects back with nothing but ``rados``: it does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from mallee.objects.engine.rados import layout
from tests import ceph
from tests.objects.engine_suite import MIB, Rows, rows
from tests.objects.rados.conftest import House

__all__ = ["rows"]

PAGE = Path(__file__).parents[3] / "docs" / "objects-ceph.md"


def recipe(name: str) -> str:
    (found,) = re.findall(rf"```\w+\n# recover: {name}\n(.*?)```", PAGE.read_text(), re.S)
    return str(found)


def shell(house: House, name: str, **variables: object) -> str:
    environment = {**os.environ, "CEPH_CONF": str(house.cluster.conf), "POOL": ceph.POOL} | {
        key: str(value) for key, value in variables.items()
    }
    return subprocess.run(["sh", "-c", recipe(name)], env=environment, check=True, capture_output=True, text=True).stdout


def test_contents_come_back_by_hand(house: House, rows: Rows, tmp_path: Path) -> None:
    for name, size in (("one", 200_000), ("more", 9 * MIB), ("even", 8 * MIB)):
        rows.write(house.engine, name, size)
    found = {}
    for line in shell(house, "list").splitlines():
        identity, _, label = line.partition(" ")
        told = json.loads(label)
        shell(house, "one", ID=identity, FILE=tmp_path / identity)
        found[told["label"]["key"]] = (tmp_path / identity).read_bytes()
        assert len(found[told["label"]["key"]]) == told["size"]
    assert found == rows.data


def test_small_contents_come_back_by_hand(house: House, rows: Rows, tmp_path: Path) -> None:
    rows.append(house.engine, {f"{number}": size for number, size in enumerate([0, 1, 100, 5000, 100_000])})
    rows.remove(house.engine, "3")
    (pack,) = {layout.parse(location).identity for location in rows.at.values()}  # type: ignore[union-attr]
    house.cluster.rados("get", pack, tmp_path / "pack")
    (tmp_path / "out").mkdir()
    told = subprocess.run(
        [sys.executable, "-I", "-c", recipe("pack"), tmp_path / "pack", tmp_path / "out"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = {}
    for line in told.splitlines():
        place, _, label = line.partition(" ")
        found[json.loads(label)["key"]] = (tmp_path / "out" / place).read_bytes()
    assert found == {name: rows.data[name] for name in rows.at}
