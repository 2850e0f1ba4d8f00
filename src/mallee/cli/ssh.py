"""`mallee ssh`: plain OpenSSH with a ProxyCommand through the node, the key pair's private key if Mallee keeps it, and host
keys remembered by instance id (addresses are used again by other instances, ids never)."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mallee.cli import home
from mallee.settings import Settings

USER = "ec2-user"


def keys(chosen: Settings) -> Path:
    return chosen.home / "keys"


def command(
    chosen: Settings,
    instance_id: str,
    key_name: str | None,
    *,
    user: str = USER,
    identity: Path | None = None,
    options: Sequence[str] = (),
    remote: Sequence[str] = (),
) -> list[str]:
    """The ssh command line, its words ready for exec. ``identity`` wins over the kept key of ``key_name``."""
    if chosen.simulated:
        raise home.Sorry("simulated instances have no system to log in to; a cloud with real guests needs root: sudo ./mallee up")
    proxy = [sys.executable, "-m", "mallee.cli.proxy", "--home", str(chosen.home), instance_id, "%p"]
    words = ["ssh", "-o", "ProxyCommand=" + " ".join(shlex.quote(word) if word != "%p" else word for word in proxy)]
    words += ["-o", f"UserKnownHostsFile={chosen.home / 'known_hosts'}", "-o", f"HostKeyAlias={instance_id}"]
    words += ["-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR", "-o", "ServerAliveInterval=15"]
    identity = identity or (keys(chosen) / f"{key_name}.pem" if key_name else None)
    if identity is not None and identity.exists():
        words += ["-i", str(identity), "-o", "IdentitiesOnly=yes"]
    return [*words, *options, "-l", user, instance_id, *remote]
