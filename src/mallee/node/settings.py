"""The agent's configuration, from the cloud's settings and the node's own directory."""

from __future__ import annotations

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
