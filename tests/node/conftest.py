"""Real engines: a node agent in a home of its own, the starter image, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mallee import settings
from mallee.node import inventory, starter
from mallee.node.network.namespaces import tagged
from mallee.node.teardown import teardown
from tests.node.cloud import Cloud

CACHE = Path(os.environ.get("MALLEE_TEST_CACHE", "/var/tmp/mallee-test-starter"))


def unable() -> str | None:
    """Why guests can't be started here, if they can't."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("libvirtd", "qemu-system-x86_64", "qemu-img", "ip", "nft", "ssh") if shutil.which(name) is None]
    return f"needs {', '.join(missing)}" if missing else None


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> starter.StarterImage:
    why = unable()
    if why:
        pytest.skip(why)
    return starter.build(CACHE, CACHE / "out")


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@contextlib.contextmanager
def a_cloud(home: Path, image: starter.StarterImage, key: Path) -> Iterator[Cloud]:
    (home / "node").mkdir(parents=True)
    (home / "node/id").write_text("node-1")
    tag = settings.load(home).tag
    made = Cloud(home, image, key.with_suffix(".pub").read_text().strip(), tag)
    yield made
    if made.node is not None and made.node.poll() is None:
        made.kill_node()
    teardown(home, files=True)
    made.vanish()
    assert leftovers(home, tag) == []


@pytest.fixture
def cloud(tmp_path: Path, image: starter.StarterImage, key: Path) -> Iterator[Cloud]:
    with a_cloud(tmp_path / "home", image, key) as made:
        yield made


@pytest.fixture
def neighbour(tmp_path: Path, image: starter.StarterImage, key: Path) -> Iterator[Cloud]:
    """Another cloud on the same machine."""
    with a_cloud(tmp_path / "neighbour", image, key) as made:
        yield made


def leftovers(home: Path, tag: str) -> list[str]:
    """Whatever of a cloud is still on the host."""
    found = [f"namespace {name}" for name in tagged(tag)]
    found += [f"mount {line.split()[1]}" for line in Path("/proc/mounts").read_text().splitlines() if str(home) in line]
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    found += [f"link {line}" for line in links.splitlines() if f"mle-{tag}" in line]
    found += [f"group {path}" for path in Path("/sys/fs/cgroup").glob(f"*/mle-{tag}")]
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout
    found += [f"table {line}" for line in rules.splitlines() if tag in line]
    found += [f"process {each}" for each in inventory.processes_in(f"mle-{tag}-node")]
    return found + ([f"files {list((home / 'node').iterdir())}"] if (home / "node").exists() else [])
