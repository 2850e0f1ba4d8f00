"""`mallee logs`: the processes' logs, merged by time or one of them, followed if wished."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from mallee.settings import Settings

NAMES = ("cloud", "node", "simulator", "supervisor", "libvirtd")


def files(chosen: Settings, name: str | None) -> list[Path]:
    wanted = [name] if name else list(NAMES)
    return [file for each in wanted for kind in ("log", "out") if (file := chosen.log / f"{each}.{kind}").exists()]


def show(chosen: Settings, name: str | None, count: int, follow: bool) -> None:
    sources = files(chosen, name)
    lines = [(line, file) for file in sources for line in _last(file, count)]
    lines.sort(key=lambda pair: _when(pair[0]))
    for line, file in lines[-count:]:
        print(_readable(line, file, bool(name)))
    if follow:
        _follow(sources, bool(name))


def _last(file: Path, count: int) -> list[str]:
    with file.open("rb") as source:
        source.seek(max(0, file.stat().st_size - 300 * count))
        return source.read().decode(errors="replace").splitlines()[-count:]


def _when(line: str) -> str:
    if line.startswith("{"):
        try:
            fields = json.loads(line)
            return str(fields.get("at") or fields.get("time") or "")
        except ValueError:
            return ""
    return line[:24] if line[:4].isdigit() else ""


def _readable(line: str, file: Path, single: bool) -> str:
    name = "" if single else f"{file.stem:<10} "
    if not line.startswith("{"):
        return name + line
    try:
        fields = json.loads(line)
    except ValueError:
        return name + line
    when = fields.pop("at", None) or fields.pop("time", "")
    return f"{name}{when} " + " ".join(f"{key}={value}" for key, value in fields.items() if value not in (None, ""))


def _follow(sources: list[Path], single: bool) -> None:
    places = {file: file.stat().st_size for file in sources}
    while True:
        for file, place in places.items():
            size = file.stat().st_size
            if size < place:
                place = 0
            if size > place:
                with file.open("rb") as source:
                    source.seek(place)
                    for line in source.read(size - place).decode(errors="replace").splitlines():
                        print(_readable(line, file, single))
                places[file] = size
        sys.stdout.flush()
        time.sleep(0.3)
