"""The Debian packages that Mallee needs, and how to install them without starting anything.

Only programs are installed: no kernel, no boot entry. While apt works, a policy file keeps packages from starting a service on
the machine; a policy that is there already is left alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NODE = (
    "qemu-system-x86",
    "qemu-utils",
    "libvirt-daemon",
    "libvirt-daemon-driver-qemu",
    "libvirt-dev",
    "nftables",
    "dnsmasq-base",
    "iproute2",
    "openssh-client",
    "e2fsprogs",
    "cpio",
    "gcc",
    "libc6-dev",
    "pkg-config",
    "python3-dev",
)
CEPH = ("librados2",)  # where the bytes of objects are in a pool of Ceph
CEPH_TESTS = (*CEPH, "ceph-mon", "ceph-mgr", "ceph-osd", "ceph-common")
S3_CLIENTS = ("s3cmd", "rclone", "restic", "s3fs", "fuse", "nginx-light")
TESTS = (
    *NODE, "libvirt-clients", "postgresql-15", "slapd", "ldap-utils", "libsasl2-modules", "busybox-static", "iputils-ping", *CEPH_TESTS, *S3_CLIENTS,
)  # fmt: skip

POLICY = Path("/usr/sbin/policy-rc.d")


class PackagesMissing(Exception):
    """The packages cannot be installed here; the message says what to do."""


def missing(names: tuple[str, ...]) -> list[str]:
    """Which of the packages are not installed."""
    known = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *names], capture_output=True, text=True, check=False
    )
    installed = {line.split()[0] for line in known.stdout.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def for_objects(engine: str) -> list[str]:
    """What must still be installed for this ``objects_engine``."""
    return missing(CEPH) if engine == "rados" else []


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(names: list[str], log: Path | None = None) -> None:
    """Installs the packages; the error says what apt printed last."""
    if not can_install():
        raise PackagesMissing("these packages are missing: " + " ".join(names) + ". Install them with your package manager")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with _no_services():
        _apt(["apt-get", "-q", "update"], environment, log, fatal=False)
        _apt(["apt-get", "-q", "-y", "--no-install-recommends", "install", *names], environment, log)


def _apt(command: list[str], environment: dict[str, str], log: Path | None, fatal: bool = True) -> None:
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as out:
            out.write(done.stdout)
    if done.returncode and fatal:
        last = "\n".join(done.stdout.strip().splitlines()[-5:])
        raise PackagesMissing(f"{' '.join(command[:2])} failed:\n{last}")


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\n# made by mallee while it installs packages: nothing is started\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def main() -> None:
    """`python -m mallee.cli.packages --for tests|node`: used by ./test."""
    names = TESTS if sys.argv[1:] == ["--for", "tests"] else NODE
    wanted = missing(names)
    if not wanted:
        return
    print("mallee: installing packages: " + " ".join(wanted), file=sys.stderr)
    try:
        install(wanted)
    except PackagesMissing as error:
        sys.exit(f"mallee: {error}")


if __name__ == "__main__":
    main()
