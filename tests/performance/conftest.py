"""One cloud with real guests and bare guests of the same kind beside it, for all tests of this folder that need them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mallee.node import starter
from tests.clouds import Cloud, cloud
from tests.node.conftest import CACHE, unable

from .bare import Bare, bare
from .launching import MEMORY_MIB, Launcher
from .load import median

MOST = 10  # guests at once


@dataclass
class Real:
    """``set_up``: seconds of `mallee up` until its first instance answered ssh."""

    cloud: Cloud
    bare: Bare
    set_up: float
    booted: float  # seconds of a bare boot, before and after it
    launcher: Launcher


@pytest.fixture(scope="session")
def starter_image() -> starter.StarterImage:
    why = unable()
    if why:
        pytest.skip(why)
    return starter.build(CACHE, CACHE / "out")


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty directory that the cloud's unprivileged process can reach."""
    with made_folder() as made:
        yield made


@contextmanager
def made_folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="mallee-speed-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def real(starter_image: starter.StarterImage) -> Iterator[Real]:
    with ExitStack() as stack:
        base = stack.enter_context(made_folder())
        reference = stack.enter_context(bare(base / "bare", starter_image, MEMORY_MIB, MOST))
        boots = [reference.boot() for _ in range(3)][1:]
        up, seconds = stack.enter_context(fresh_cloud(base / "home"))
        boots += [reference.boot() for _ in range(2)]
        yield Real(up, reference, seconds, median(boots), Launcher(up))


@contextmanager
def fresh_cloud(home: Path) -> Iterator[tuple[Cloud, float]]:
    """`mallee up` in a home that has nothing but the starter image's packages, and the seconds that it took."""
    shutil.copytree(CACHE / "packages", home / "starter/packages")
    started = time.perf_counter()
    with cloud(home, "--egress", "none") as made:
        yield made, time.perf_counter() - started
