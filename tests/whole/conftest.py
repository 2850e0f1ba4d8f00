"""One cloud with real guests for all tests of this folder, made and destroyed by the commands that a user types."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds import Cloud, cloud


@pytest.fixture(scope="session")
def real() -> Iterator[Cloud]:
    if os.geteuid() != 0:
        pytest.skip("real guests need root")
    base = Path(tempfile.mkdtemp(prefix="mallee-whole-"))
    base.chmod(0o755)
    try:
        with cloud(base / "home", "--egress", "none") as up:
            yield up
    finally:
        shutil.rmtree(base, ignore_errors=True)
