"""The agent's configuration, from the cloud's settings and the node's own directory."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from mallee import settings
from mallee.node.config import NodeConfig
from mallee.node.libvirtd import write_whole


def config_of(home: Path) -> NodeConfig:
    """The node of the cloud in ``home``; its id is made once and kept."""
    chosen = settings.load(home)
    return NodeConfig(
        home=chosen.home / "node",
        tag=chosen.tag,
        node_id=_node_id(chosen.home / "node"),
        zone=chosen.zones[0],
        region=chosen.region,
        public_pool=chosen.public_pool,
        egress=chosen.egress,
        partition=chosen.partition,
        dns_suffix=chosen.dns_suffix,
    )


def _node_id(directory: Path) -> str:
    path = directory / "id"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)
        made = f"node-{secrets.token_hex(9)[:17]}"
        write_whole(path, made)
        return made


def only_one(home: Path) -> int | None:
    """The right to act for the node of the cloud in ``home``, as a descriptor to keep open; ``None``: another process has it.

    It ends with the process, however that ends.
    """
    path = home / "run/node.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
