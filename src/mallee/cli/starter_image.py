"""The starter image in a cloud's store of blobs, with the manifest from which the cloud registers it at its next start."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from mallee.cli.home import Sorry
from mallee.settings import Settings


def ensure(chosen: Settings, say: Callable[[str], None]) -> bool:
    """Builds what is missing; says whether anything changed."""
    from mallee.node import starter

    chosen.blobs.mkdir(parents=True, exist_ok=True)
    try:
        image = starter.build(chosen.home / "starter", chosen.blobs, say)
    except starter.BuildError as error:
        raise Sorry(str(error)) from error
    parts = {"kernel": image.kernel, "ramdisk": image.ramdisk, "root": image.root}
    versions = ", ".join(f"{name} {version}" for name, version in sorted(image.versions.items()))
    manifest = {
        "name": "mallee-starter",
        "description": f"Mallee's starter image: {versions}",
        "root_gib": 1,
        **{name: {"digest": part.digest, "format": part.format, "size": part.size} for name, part in parts.items()},
        "command_line": image.command_line,
    }
    images = chosen.cloud / "images"
    images.mkdir(exist_ok=True)
    _give(chosen, [chosen.cloud, chosen.blobs, images, *(part.path for part in parts.values())])
    return _write(chosen, images / "mallee-starter.json", json.dumps(manifest, indent=1, sort_keys=True))


def _write(chosen: Settings, file: Path, text: str) -> bool:
    try:
        if file.read_text() == text:
            return False
    except OSError:
        pass
    partial = file.with_name(".mallee-starter.new")
    partial.write_text(text)
    _give(chosen, [partial])
    partial.replace(file)
    return True


def _give(chosen: Settings, paths: list[Path]) -> None:
    """To the user that the cloud's process will be."""
    if os.geteuid() == 0:
        for path in paths:
            os.chown(path, chosen.uid, chosen.uid)
