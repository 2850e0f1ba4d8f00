"""Which cloud a command speaks of, and the files in its home that the command line owns.

``$MALLEE_HOME`` names the cloud. Without it: ``/var/lib/mallee`` for root, ``~/.local/share/mallee`` for anybody else.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mallee import settings as settings_module
from mallee.cli import processes
from mallee.settings import Settings

SOURCE = Path(__file__).resolve().parents[3]


class Sorry(Exception):
    """A command cannot go on; the text says why and what to do."""


def default() -> Path:
    named = os.environ.get("MALLEE_HOME")
    if named:
        return Path(named).absolute()
    return Path("/var/lib/mallee") if os.geteuid() == 0 else Path.home() / ".local/share/mallee"


def settings(home: Path | None = None) -> Settings:
    """The settings of a cloud that was set up; ``Sorry`` when there is none."""
    home = home or default()
    try:
        there = (home / settings_module.FILE).exists()
        found = settings_module.load(home) if there else None
    except PermissionError as error:
        raise Sorry(f"{home} belongs to another user: use sudo") from error
    except settings_module.SettingsError as error:
        raise Sorry(str(error)) from error
    if found is None:
        raise Sorry(f"there is no cloud in {home}: run ./mallee up (or set MALLEE_HOME)")
    return found


def running(chosen: Settings, name: str) -> int | None:
    """The pid of one of the cloud's processes (supervisor, cloud, node, simulator)."""
    return processes.read(chosen.run / f"{name}.pid")


def credentials(chosen: Settings) -> dict[str, Any]:
    """The administrator's keys: ``{"AccessKeyId", "SecretAccessKey", "AccountId"}``."""
    try:
        return dict(json.loads((chosen.secrets / "credentials.json").read_text()))
    except PermissionError as error:
        raise Sorry(f"{chosen.secrets} is readable by its owner only: use sudo") from error
    except FileNotFoundError as error:
        raise Sorry(f"{chosen.home} was not set up to its end: run ./mallee up") from error


def write_private(file: Path, data: bytes) -> None:
    """Writes the file whole or not at all, readable by its owner only."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    partial.replace(file)
