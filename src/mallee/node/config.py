"""What the node agent knows before it has heard from the cloud: one frozen value, made once at start.

Everything host-wide that the agent creates (namespaces, links, firewall tables, processes) bears ``tag``, so that
several clouds live side by side on one machine and each finds, and removes, only its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class NodeConfig:
    home: Path  # the node's own directory: $MALLEE_HOME/node
    tag: str  # four hexadecimal digits of sha1($MALLEE_HOME)
    node_id: str
    zone: str
    region: str
    public_pool: tuple[str, ...] = ("198.51.100.0/24",)
    egress: str = "nat"  # nat: guests with a public address reach what the machine reaches | none: only the machine
    qemu_uid: int = 64055
    mtu: int = 1500  # of every link between guests and machine, and what DHCP tells the guests
    partition: str = "aws"
    dns_suffix: str = "amazonaws.com"  # what the metadata service names as services/domain

    @property
    def run(self) -> Path:
        """Where the cloud's sockets are."""
        return self.home.parent / "run"
