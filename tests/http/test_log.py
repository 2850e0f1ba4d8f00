"""The log's file: whole lines, bounded, and never in the way."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from mallee.http.log import LineLog, LogHandler


def test_the_file_is_turned_over(tmp_path: Path) -> None:
    lines = LineLog(tmp_path / "cloud.log", 1000, 3)
    for number in range(200):
        lines.write({"number": number}, flush=True)
    lines.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["cloud.log", "cloud.log.1", "cloud.log.2"]
    assert all(file.stat().st_size <= 1000 for file in files)
    kept = [json.loads(line)["number"] for file in reversed(files) for line in file.read_text().splitlines()]
    assert kept == list(range(kept[0], 200))


def test_one_file_only(tmp_path: Path) -> None:
    lines = LineLog(tmp_path / "cloud.log", 100, 1)
    for number in range(50):
        lines.write({"number": number}, flush=True)
    lines.close()
    assert [file.name for file in tmp_path.iterdir()] == ["cloud.log"] and (tmp_path / "cloud.log").stat().st_size <= 100


def test_lines_are_gathered_until_something_matters(tmp_path: Path) -> None:
    path = tmp_path / "cloud.log"
    lines = LineLog(path, 10**6, 2)
    lines.write({"a": 1})
    assert not path.exists()
    logger = logging.Logger("test")
    logger.addHandler(LogHandler(lines))
    logger.info("still %s", "gathered")
    assert not path.exists()
    try:
        raise ValueError("nothing\nto see")
    except ValueError:
        logger.error("now", exc_info=sys.exc_info(), extra={"request_id": "r-1"})
    first, second, third = [json.loads(line) for line in path.read_text().splitlines()]
    assert first == {"a": 1} and second["message"] == "still gathered" and second["level"] == "info"
    assert third["request_id"] == "r-1" and "ValueError: nothing\nto see" in third["trace"]
    logger.info("broken %d", "text")  # type: ignore[arg-type]
    lines.write({"odd": "\ud800"}, flush=True)
    assert lines.lost == 0
    lines.close()


def test_a_log_that_cannot_be_written_is_counted(tmp_path: Path) -> None:
    lines = LineLog(tmp_path / "missing" / "cloud.log", 10**6, 2)
    lines.write({"a": 1}, flush=True)
    lines.write({"a": 2}, flush=True)
    assert lines.lost == 2
    (tmp_path / "missing").mkdir()
    lines.write({"a": 3}, flush=True)
    assert lines.lost == 2
    lines.close()
