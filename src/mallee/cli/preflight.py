"""What `mallee up` checks of the machine before it changes anything. Every failed check says what to do about it."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``ok`` None means worth knowing, but no obstacle."""

    name: str
    ok: bool | None
    detail: str
    remedy: str = ""


def machine(home: Path, simulated: bool) -> list[Check]:
    """The checks that need nothing installed."""
    checks = [_system(), _privilege(simulated), _disk(home, 1 if simulated else 4)]
    if not simulated:
        checks += [_memory(), _tun(), _acceleration()]
    return checks


def _system() -> Check:
    system, kind = platform.system(), platform.machine()
    good = system == "Linux" and kind == "x86_64"
    return Check("system", good, f"{_distribution()} on {kind}, kernel {platform.release()}", "Mallee runs on x86-64 Linux")


def _distribution() -> str:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return platform.system()
    names = dict(line.split("=", 1) for line in lines if "=" in line)
    return names.get("PRETTY_NAME", platform.system()).strip('"')


def _privilege(simulated: bool) -> Check:
    if simulated or os.geteuid() == 0:
        return Check("privilege", True, "root" if os.geteuid() == 0 else "not needed: simulated nodes")
    return Check(
        "privilege",
        False,
        "not root: real guests and networks need it",
        "use `sudo ./mallee up`, or `./mallee up --simulated` for the API without guests",
    )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _disk(home: Path, gib: int) -> Check:
    free = shutil.disk_usage(_existing(home)).free
    detail = f"{free / GIB:.1f} GiB free for {home}"
    return Check("disk", free >= gib * GIB, detail, f"free {gib} GiB there, or set MALLEE_HOME to a larger file system")


def _memory() -> Check:
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    return Check("memory", free >= 1.2 * GIB, f"{free / GIB:.1f} GiB available", "free at least 1.2 GiB: a guest needs 0.5")


def _tun() -> Check:
    device = Path("/dev/net/tun")
    there = device.exists() and stat.S_ISCHR(device.stat().st_mode)
    return Check("tap devices", there, "/dev/net/tun" if there else "/dev/net/tun is missing", "run `modprobe tun`")


def _acceleration() -> Check:
    if not Path("/dev/kvm").exists():
        return Check("acceleration", None, "no /dev/kvm: guests run under emulation (TCG), slower but complete")
    return Check("acceleration", None, "/dev/kvm is there; the node proves it by booting and falls back to TCG")


def ports(host: str, numbers: dict[str, int]) -> list[Check]:
    """Whether the ports can be listened on; not asked while this cloud itself runs."""
    found = []
    for name, number in numbers.items():
        try:
            with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                trial.bind((host, number))
            found.append(Check(f"port {number}", True, f"free, for {name}"))
        except OSError as error:
            found.append(Check(f"port {number}", False, f"for {name}: {error.strerror}", "choose others with --port N"))
    return found


_PROBE = "mle-probe-"


def _sweep_probes() -> None:
    """Takes away the throw-away namespaces of those who were killed while they tried."""
    place = Path("/run/netns")
    for path in place.glob(f"{_PROBE}*") if place.is_dir() else ():
        pid = path.name.removeprefix(_PROBE)
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            subprocess.run(["ip", "netns", "del", path.name], capture_output=True, check=False)


def kernel() -> list[Check]:
    """Network features, each tried in a throw-away namespace; needs iproute2 and nftables."""
    _sweep_probes()
    name = f"{_PROBE}{os.getpid()}"
    rules = (
        "table inet t {\n"
        "chain a { type nat hook prerouting priority dstnat; }\n"
        "chain b { type filter hook forward priority 0; ct state established accept; counter drop; }\n"
        "}"
    )
    tries = {
        "network namespaces": ["ip", "netns", "add", name],
        "veth": ["ip", "-n", name, "link", "add", "probe0", "type", "veth", "peer", "name", "probe1"],
        "tap": ["ip", "-n", name, "tuntap", "add", "probe2", "mode", "tap"],
        "nftables": ["ip", "netns", "exec", name, "nft", rules],
        "policy routing": ["ip", "-n", name, "rule", "add", "pref", "100", "fwmark", "1", "lookup", "100"],
    }
    found = []
    try:
        for feature, command in tries.items():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1:] or ["failed"]
                found.append(Check(feature, False, reason[0], "the kernel lacks it, or its module is not loaded"))
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return found or [Check("kernel", True, ", ".join(tries))]


def reachable(source: Path, uid: int) -> bool:
    """Whether a process without privileges can walk to the source and read it."""
    for path in (source, *source.parents):
        mode = path.stat()
        if mode.st_uid != uid and not mode.st_mode & stat.S_IXOTH:
            return False
    return bool((source / "src/mallee/__init__.py").stat().st_mode & stat.S_IROTH)


def readable_by_others(source: Path) -> bool:
    """Whether the source's own files may be read by the unprivileged process, wherever the checkout lies."""
    package = source / "src/mallee"
    return all(path.stat().st_mode & stat.S_IROTH for path in (package / "__init__.py", package, source))
