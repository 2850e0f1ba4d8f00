"""The starter image: how it is built, and what a guest of it does."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mallee.fabric.document import MetadataOptions
from mallee.node import starter
from tests.node.cloud import Cloud
from tests.node.conftest import CACHE

pytestmark = pytest.mark.node


def test_the_same_packages_give_the_same_bytes(image: starter.StarterImage, tmp_path: Path) -> None:
    other = tmp_path / "cache"
    shutil.copytree(CACHE / "packages", other / "packages")
    said: list[str] = []
    again = starter.build(other, tmp_path / "out", said.append)
    assert [part.digest for part in (again.kernel, again.ramdisk, again.root)] == [
        part.digest for part in (image.kernel, image.ramdisk, image.root)
    ]
    assert again.versions == image.versions and said
    began = time.monotonic()
    assert starter.build(other, tmp_path / "out", said.append) == again
    assert time.monotonic() - began < 0.2


def test_a_file_that_was_changed_is_made_anew(image: starter.StarterImage, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = starter.build(CACHE, out)
    good = made.root.path.read_bytes()
    made.root.path.write_bytes(b"x" * len(good))
    made.ramdisk.path.unlink()
    assert starter.build(CACHE, out) == made
    assert made.root.path.read_bytes() == good and made.ramdisk.path.exists()
    for part in (made.kernel, made.ramdisk, made.root):
        assert part.path.name == part.digest.removeprefix("sha256:") and part.path.stat().st_size == part.size


def test_what_a_guest_does_at_boot(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1, user_data="#!/bin/sh\nsleep 1\necho run >> /var/lib/runs\necho user data of $(id -un)\n")
    metadata = dataclasses.replace(guest.metadata, options=MetadataOptions(tokens_required=True))
    guest = dataclasses.replace(guest, metadata=metadata, disks=(dataclasses.replace(guest.disks[0], size_gib=20),))
    cloud.want(guest)
    cloud.ready(guest)
    text = cloud.console_says(guest, b"ended with code 0").decode()
    assert "user data of root" in text
    assert re.search(
        r"^mallee-ready instance=i-0123456789abcd001 uptime=[\d.]+ userspace=[\d.]+ network=[\d.]+\r$", text, re.MULTILINE
    )
    told = re.search(
        r"-----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n256 (SHA256:\S+) \S+ \(ED25519\)\r\n-----END SSH HOST KEY FINGERPRINTS-----",
        text,
    )
    public = re.search(r"-----BEGIN SSH HOST KEY KEYS-----\r\n(ssh-ed25519 \S+)", text)
    assert told and public
    shown = subprocess.run(["ssh-keygen", "-lf", "-"], input=public[1], capture_output=True, text=True, check=True).stdout
    assert told[1] in shown
    proxy = f"{sys.executable} {Path(__file__).with_name('proxy.py')} {cloud.home}/run/node.sock {guest.id}"
    offered = subprocess.run(
        [
            "ssh",
            "-o",
            f"ProxyCommand={proxy}",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            f"UserKnownHostsFile={cloud.home}/known",
            "nobody@guest",
        ],
        capture_output=True,
        check=False,
    )
    assert offered.returncode == 255 and public[1] in (cloud.home / "known").read_text()
    size = int(cloud.ssh(guest, key, "df -m / | tail -1").split()[1])
    assert size > 19_000
    facts = cloud.ssh(
        guest,
        key,
        "id -un; hostname; sudo id -un; sudo sh -c 'exit 3'; echo $?; cat /var/lib/runs; cat /sys/class/dmi/id/sys_vendor",
    )
    assert facts.splitlines() == ["ec2-user", "ip-172-31-0-11", "root", "3", "run", "Amazon EC2"]
    # a second boot: the same keys, the user data not again
    rebooted = cloud.change(guest, reboots=1)
    cloud.wait_guest(rebooted, lambda seen: seen.reboots == 1 and seen.ready_at is None, 40)
    cloud.ready(rebooted)
    assert cloud.ssh(rebooted, key, "cat /var/lib/runs").splitlines() == ["run"]
    with cloud.changes:
        assert cloud.changes.wait_for(lambda: cloud.consoles[guest.id][1].decode().count(public[1]) == 2, 20)


def test_files_are_copied_by_sftp(cloud: Cloud, key: Path, tmp_path: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    cloud.ready(guest)
    (tmp_path / "file").write_bytes(b"\0\1\2" * 10_000)
    proxy = f"{sys.executable} {Path(__file__).with_name('proxy.py')} {cloud.home}/run/node.sock {guest.id}"
    options = (
        "-o",
        f"ProxyCommand={proxy}",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-i",
        str(key),
    )
    subprocess.run(["scp", *options, str(tmp_path / "file"), "ec2-user@guest:/tmp/file"], check=True, capture_output=True)
    subprocess.run(["scp", *options, "ec2-user@guest:/tmp/file", str(tmp_path / "back")], check=True, capture_output=True)
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


def test_a_guest_without_metadata_still_comes_up(cloud: Cloud) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    silent = dataclasses.replace(guest, metadata=dataclasses.replace(guest.metadata, options=MetadataOptions(endpoint=False)))
    cloud.want(silent)
    cloud.ready(silent)
