"""How fast S3 Select scans, against the bare loop of the csv or the json module over the same data in the same run.

``pytest tests/performance/test_select_speed.py -s`` prints the figures.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from mallee.objects.select import compile
from tests.rules.select_oracle import CSV, JSON, LINES

from .record import at_least

ROW = "id{:07},Alice Example,2024-05-06,12345.67,active,some remark of a few words,de-central-1,x\n"
TEXT = "".join(ROW.format(number) for number in range(100_000))
QUOTED = TEXT.replace("some remark of a few words", '"some, remark"')
OBJECTS = "".join(json.dumps({"id": number, "name": "Alice", "tags": ["a"]}) + "\n" for number in range(50_000))
QUOTES = {"CSV": {"AllowQuotedRecordDelimiter": True}}


def rate(size: int, work: Callable[[], object]) -> float:
    """MB/s, the best of three."""
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return size / best / 1e6


def selecting(sql: str, data: bytes, form: dict[str, Any], output: dict[str, Any]) -> Callable[[], object]:
    chunks = [data[at : at + (1 << 20)] for at in range(0, len(data), 1 << 20)]
    return lambda: list(compile(sql, form, output).run(chunks))


@pytest.mark.performance
@pytest.mark.parametrize(
    ("sql", "text", "form", "least"),
    [
        ("SELECT * FROM S3Object WHERE _1 = 'id0000777'", TEXT, CSV, 1.0),
        ("SELECT * FROM S3Object", TEXT, CSV, 1.0),
        ("SELECT COUNT(*) FROM S3Object s WHERE s._5 = 'active'", TEXT, CSV, 0.6),
        ("SELECT _1, _4 FROM S3Object WHERE _5 = 'active'", TEXT, CSV, 0.15),
        ("SELECT SUM(CAST(_4 AS DECIMAL)) FROM S3Object", TEXT, CSV, 0.1),
        ("SELECT * FROM S3Object WHERE _1 = 'id0000777'", QUOTED, CSV, 0.3),
        ("SELECT * FROM S3Object WHERE _1 = 'id0000777'", QUOTED, QUOTES, 0.1),
        ("SELECT s.name FROM S3Object s WHERE s.id = 5", OBJECTS, LINES, 0.12),
    ],
)
def test_speed(sql: str, text: str, form: dict[str, Any], least: float) -> None:
    data = text.encode()

    def loop() -> list[Any]:
        lines = data.decode().splitlines()
        if form is LINES:
            return [row for row in map(json.loads, lines) if row["id"] == 5]
        return [row for row in csv.reader(lines) if row[0] == "id0000777"]

    def measure() -> tuple[float, float]:
        return 1e6 * rate(len(data), selecting(sql, data, form, JSON if form is LINES else CSV)), 1e6 * rate(len(data), loop)

    at_least(f"S3 Select, bytes: {sql}", f"the {'json' if form is LINES else 'csv'} module alone", least, measure)
