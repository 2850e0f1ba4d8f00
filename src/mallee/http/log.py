"""The cloud's log: one JSON object per line, in one file that is turned over before it grows too large.

Requests and messages share it, so that one request's id finds everything that was said about it. Requests are gathered
for a fraction of a second and written together; a message of a warning or worse is written at once, after what was
gathered. Writing the log never fails a request: a full disk loses lines and counts them.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import threading
import time
import traceback
from pathlib import Path
from typing import Any

_GATHERED = 64 * 1024
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


class LineLog:
    """``write`` may be called from any thread. The file is ``path``, its elders ``path.1`` … ``path.<files - 1>``."""

    def __init__(self, path: Path, size: int, files: int) -> None:
        self._path = path
        self._size = size
        self._files = files
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._waiting = 0
        self._written = 0
        self._file: int | None = None
        self.lost = 0

    def write(self, record: dict[str, Any], *, flush: bool = False) -> None:
        self.put(_encode(record), flush=flush)

    def put(self, line: str, *, flush: bool = False) -> None:
        """A line that is JSON already."""
        with self._lock:
            self._lines.append(line)
            self._waiting += len(line)
            if flush or self._waiting > _GATHERED:
                self._flush()

    def flush(self) -> None:
        with self._lock:
            self._flush()

    def close(self) -> None:
        with self._lock:
            self._flush()
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _flush(self) -> None:
        if not self._lines:
            return
        lines, self._lines, self._waiting = self._lines, [], 0
        data = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
        try:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                self._written = os.fstat(self._file).st_size
            if self._written and self._written + len(data) > self._size:
                self._turn_over()
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            self._written += len(data)
        except OSError:
            self.lost += len(lines)

    def _turn_over(self) -> None:
        assert self._file is not None
        os.close(self._file)
        self._file = None
        for number in range(self._files - 1, 0, -1):
            elder = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            try:
                os.replace(elder, self._path.with_name(f"{self._path.name}.{number}"))
            except FileNotFoundError:
                pass
        if self._files == 1:
            os.unlink(self._path)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._written = 0


def stamp(at: float | None = None) -> str:
    """2025-01-31T12:00:00.123Z"""
    at = time.time() if at is None else at
    whole = int(at)
    return f"{_second(whole)}.{int((at - whole) * 1000):03d}Z"


@functools.lru_cache(8)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


class LogHandler(logging.Handler):
    """Messages of the ``logging`` module, as lines of the log."""

    def __init__(self, lines: LineLog) -> None:
        super().__init__()
        self._lines_log = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line: dict[str, Any] = {
                "at": stamp(record.created),
                "level": record.levelname.lower(),
                "from": record.name,
                "message": record.getMessage(),
            }
            request_id = getattr(record, "request_id", None)
            if request_id is not None:
                line["request_id"] = request_id
            if record.exc_info:
                line["trace"] = "".join(traceback.format_exception(*record.exc_info))[-16384:]
            self._lines_log.write(line, flush=record.levelno >= logging.WARNING)
        except Exception:
            self.handleError(record)


def install(lines: LineLog, level: int = logging.INFO) -> None:
    """Make ``lines`` the place of everything that is logged in this process."""
    root = logging.getLogger()
    root.handlers[:] = [LogHandler(lines)]
    root.setLevel(level)
