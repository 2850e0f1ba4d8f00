"""Debian packages as material: downloaded and unpacked into a directory of ours, never installed.

``fetch`` leaves one ``.deb`` per package in the cache and one unpacked tree holding them all. apt's own signature
checks apply. The machine's package lists are used when they know the packages; where they don't (a fresh machine
whose lists were removed), lists are fetched into a private apt state below the cache, so that nothing of the machine
changes. Programs of the tree are run through the tree's own loader and libraries (``Tree.run``): the result is then
made by the same tools on every host, whatever the host has.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KERNEL = "linux-image-cloud-amd64"  # names the present kernel by its dependency
PACKAGES = (
    "busybox-static",
    "dropbear-bin",
    "libtomcrypt1",
    "libtommath1",
    "libgmp10",
    "zlib1g",
    "libcrypt1",
    "libc6",
    "libgcc-s1",
    "openssh-sftp-server",
    "e2fsprogs",
    "libext2fs2",
    "libcom-err2",
    "libblkid1",
    "libuuid1",
    "libss2",
    "lz4",
    "liblz4-1",
    "libxxhash0",
)
LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
LOADER = "lib64/ld-linux-x86-64.so.2"

Progress = Callable[[str], None]


class BuildError(Exception):
    """The starter image can't be built; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Unpacked packages below ``root`` and the version of each."""

    root: Path
    kernel_release: str
    versions: Mapping[str, str]

    def path(self, name: str) -> Path:
        found = self.root / name
        if not found.exists():
            raise BuildError(f"The packages hold no {name}; the distribution's packages are not those of Debian 12 or later.")
        return found

    def loader(self) -> list[str]:
        libraries = ":".join(str(self.root / directory) for directory in LIBRARIES)
        return [str(self.path("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")), "--library-path", libraries]

    def run(
        self, program: str, *arguments: str | Path, environment: Mapping[str, str] | None = None, given: bytes | None = None
    ) -> str:
        command = [*self.loader(), str(self.path(program)), *map(str, arguments)]
        return _run(command, environment=environment, given=given)

    def libraries_of(self, program: str) -> list[str]:
        """The libraries that ``program`` loads, as paths below the tree."""
        listed = _run([*self.loader(), "--list", str(self.path(program))])
        found = []
        for line in listed.splitlines():
            match = re.match(r"\s*(\S+) => (\S+)", line)
            if match is None or match[1] == f"/{LOADER}":
                continue
            if not match[2].startswith(str(self.root)):
                raise BuildError(f"{program} needs {match[1]}, which none of the packages {', '.join(PACKAGES)} holds.")
            found.append(os.path.relpath(match[2], self.root))
        return found


def fetch(cache: Path, progress: Progress) -> Tree:
    """Downloads what is missing and unpacks it into ``cache/tree``; the same packages again cost nothing."""
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise BuildError(
                f"{tool} is missing: the starter image is made of Debian packages and can only be built on Debian or its relatives."
            )
    cache.mkdir(parents=True, exist_ok=True)
    options = _lists(cache, progress)
    kernel = _kernel_package(options)
    archives = _download(cache / "packages", (kernel, *PACKAGES), options, progress)
    root, stamp = cache / "tree", "\n".join(sorted(path.name for path in archives.values()))
    mark = cache / "tree.stamp"
    if not root.is_dir() or not mark.is_file() or mark.read_text() != stamp:
        progress("unpacking the packages")
        mark.unlink(missing_ok=True)
        fresh = cache / "tree.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for archive in archives.values():
            _run(["dpkg-deb", "--extract", str(archive), str(fresh)])
        shutil.rmtree(root, ignore_errors=True)
        fresh.rename(root)
        mark.write_text(stamp)
    release = kernel.removeprefix("linux-image-")
    versions = {name: _version(path) for name, path in archives.items()}
    return Tree(root, release, versions)


def _lists(cache: Path, progress: Progress) -> list[str]:
    """apt options under which the packages are known."""
    private = cache / "apt"
    options = ["-o", f"Dir::State={private}/state", "-o", f"Dir::Cache={private}/cache", "-o", "APT::Sandbox::User=root"]
    try:
        if _kernel_package([]):
            return ["-o", "APT::Sandbox::User=root"]
    except BuildError:
        pass
    for directory in ("state/lists/partial", "cache/archives/partial"):
        (private / directory).mkdir(parents=True, exist_ok=True)
    try:
        if _kernel_package(options):
            return options
    except BuildError:
        progress("fetching the package lists")
        _run(["apt-get", "-q", *options, "update"])
    return options


def _kernel_package(options: Sequence[str]) -> str:
    shown = _run(["apt-cache", *options, "show", "--no-all-versions", KERNEL])
    match = re.search(r"^Depends:.*?(linux-image-[0-9][^ ,]*)", shown, re.MULTILINE)
    if match is None:
        raise BuildError(f"The package {KERNEL} names no kernel; check the machine's apt sources.")
    return match[1]


def _download(into: Path, names: Sequence[str], options: Sequence[str], progress: Progress) -> dict[str, Path]:
    """One archive per name: the version that apt would install now, if it is not there already."""
    partial = into / "partial"  # empty, because apt names no address for an archive that lies in the directory already
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    wanted: dict[str, str] = {}
    for line in _run(["apt-get", "-q", *options, "--print-uris", "download", *names], directory=partial).splitlines():
        match = re.match(r"'[^']+' (\S+)", line)
        if match:
            wanted[match[1].split("_", 1)[0]] = match[1]
    absent = [name for name in names if name not in wanted]
    if absent:
        raise BuildError(f"apt knows no package {', '.join(absent)}; run `apt-get update` and check the machine's apt sources.")
    missing = [name for name in names if not (into / wanted[name]).is_file()]
    if missing:
        progress(f"downloading {len(missing)} packages")
        _run(["apt-get", "-q", *options, "download", *missing], directory=partial)
        for name in missing:
            (partial / wanted[name]).rename(into / wanted[name])
    shutil.rmtree(partial)
    for stale in set(into.glob("*.deb")) - {into / wanted[name] for name in names}:
        stale.unlink()
    return {name: into / wanted[name] for name in names}


def _version(archive: Path) -> str:
    return archive.name.split("_")[1].replace("%3a", ":")


def _run(
    command: Sequence[str],
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: bytes | None = None,
) -> str:
    variables = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive", **(environment or {})}
    try:
        done = subprocess.run(command, cwd=directory, env=variables, input=given, capture_output=True, check=True, timeout=600)
    except FileNotFoundError as error:
        raise BuildError(f"{command[0]} is missing on this machine.") from error
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip().splitlines()
        raise BuildError(f"`{' '.join(command[:6])}` failed: {words[-1] if words else f'code {error.returncode}'}") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"`{' '.join(command[:6])}` took longer than 10 minutes; is the package mirror reachable?") from error
    return done.stdout.decode(errors="replace")
