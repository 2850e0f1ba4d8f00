from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator

import pytest

from tests.node.network.lab import Box, Lab

TOOLS = ("ip", "nft", "dnsmasq")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    for item in items:
        if "node" in item.keywords and item.path.parent.name == "network":
            if os.getuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))
            elif missing:
                item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def host(stack) -> Box:
    """What stands for the host's own namespace."""
    return Box.make(stack, f"mlt-{secrets.token_hex(2)}-host")


@pytest.fixture
def lab(stack, host, tmp_path) -> Lab:
    return Lab.make(stack, tmp_path, host.namespace)
