"""Bad luck with names: damaged and missing images, full disks, guests that flood their console or don't obey."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from pathlib import Path

import pytest

from mallee.fabric.document import Boot
from tests.node.cloud import Cloud

pytestmark = pytest.mark.node


def test_a_damaged_copy_of_an_image_is_fetched_again(cloud: Cloud) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    cloud.ready(guest)
    cloud.want()
    cloud.gone()
    image = cloud.home / "node/images" / cloud.image.root.digest.removeprefix("sha256:")
    cloud.fetched.clear()
    again = cloud.guest(2)
    cloud.want(again)
    cloud.ready(again)
    assert cloud.fetched == []
    cloud.want()
    cloud.gone()
    with open(image, "r+b") as file:
        file.seek(5 << 20)
        file.write(b"not what it was")
    third = cloud.guest(3)
    cloud.want(third)
    cloud.ready(third)
    assert cloud.fetched == [cloud.image.root.digest]


def test_an_image_that_arrives_damaged_is_a_named_fault(cloud: Cloud) -> None:
    cloud.damaged[cloud.image.root.digest] = b"something else"
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    seen = cloud.wait_guest(guest, lambda seen: seen.state == "failed")
    assert seen.revision == 1
    fault = cloud.reports[-1].faults[0]
    assert (fault.code, fault.subject) == ("image-corrupt", guest.id)
    assert cloud.image.root.digest in fault.cause
    cloud.damaged.clear()
    better = cloud.change(guest)
    cloud.ready(better)
    assert cloud.reports[-1].faults == ()


def test_an_image_that_the_cloud_does_not_have(cloud: Cloud) -> None:
    del cloud.blobs[cloud.image.kernel.digest]
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    cloud.wait_guest(guest, lambda seen: seen.state == "failed")
    assert [fault.code for fault in cloud.reports[-1].faults] == ["image-fetch-failed"]
    cloud.want()
    cloud.gone()


def test_a_full_disk_is_a_named_fault_and_a_paused_guest_goes_on(cloud: Cloud, key: Path) -> None:
    node = cloud.home / "node"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=230m", "test", str(node)], check=True)
    try:
        (node / "id").write_text("node-1")
        filler = node / "filler"
        filler.write_bytes(bytes(150 << 20))
        cloud.start_node()
        guest = cloud.guest(1)
        cloud.want(guest)
        cloud.wait_guest(guest, lambda seen: seen.state == "failed")
        assert [fault.code for fault in cloud.reports[-1].faults] == ["disk-full"]
        filler.unlink()
        better = cloud.change(guest)
        cloud.ready(better)
        cloud.ssh(
            better, key, "setsid sh -c 'dd if=/dev/urandom of=big bs=1M count=250; sync; echo written > done' > /dev/null 2>&1 &"
        )
        cloud.wait(lambda report: [fault.code for fault in report.faults] == ["disk-full"])
        assert cloud.wait_guest(better, lambda seen: True).health == "impaired"
        subprocess.run(["mount", "-o", "remount,size=700m", str(node)], check=True)
        cloud.wait(lambda report: not report.faults)
        assert cloud.ssh(better, key, "while [ ! -e done ]; do sleep 1; done; stat -c %s big", 60).strip() == str(250 << 20)
        cloud.want()
        cloud.gone()
    finally:
        if cloud.node is not None:
            cloud.kill_node()
        from mallee.node.teardown import teardown

        teardown(cloud.home, files=False, patience=0)
        for place in ("consoles", "libvirt/run"):
            subprocess.run(["umount", str(node / place)], check=False)
        subprocess.run(["umount", str(node)], check=True)
        cloud.node = None


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_a_flood_on_the_console_is_bounded_and_blocks_nobody(cloud: Cloud, key: Path) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    cloud.ready(guest)
    console = cloud.home / "node/consoles" / guest.id
    cloud.ssh(guest, key, "sudo sh -c 'yes the quick brown fox jumps over the lazy dog > /dev/console' > /dev/null 2>&1 &")
    largest, limit = 0, time.monotonic() + 8
    while time.monotonic() < limit:
        largest = max(largest, allocated(console))
        time.sleep(0.1)
    assert console.stat().st_size > 300_000 > largest - 100_000
    assert cloud.ssh(guest, key, "echo alive").strip() == "alive"
    offset, text = cloud.consoles[guest.id]
    assert offset > 0 and len(text) == 64 * 1024 and b"quick brown fox" in text
    # with nobody there to cut it, the filesystem is the bound, and the guest goes on
    cloud.kill_node()
    directory = console.parent
    free = os.statvfs(directory)
    size = (free.f_blocks - free.f_bfree) * free.f_bsize + (1 << 20)
    subprocess.run(["mount", "-o", f"remount,size={size}", str(directory)], check=True)
    limit = time.monotonic() + 40
    while os.statvfs(directory).f_bavail > 8 and time.monotonic() < limit:
        time.sleep(0.1)
    assert os.statvfs(directory).f_bavail <= 8
    cloud.start_node()
    cloud.wait_guest(guest, lambda seen: seen.state == "running")
    assert cloud.ssh(guest, key, "sudo killall yes; echo alive").strip() == "alive"
    cloud.ssh(guest, key, "sudo sh -c 'echo; echo at last > /dev/console'")
    cloud.console_says(guest, b"at last")
    assert allocated(console) < 400_000


def test_a_guest_that_does_not_obey_is_ended(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.start_node()
    guest = cloud.guest(1)
    stubborn = dataclasses.replace(
        guest, boot=Boot(guest.boot.kernel, guest.boot.ramdisk, "console=ttyS0 rdinit=/bin/none panic=0")
    )
    cloud.want(stubborn)
    cloud.wait_guest(stubborn, lambda seen: seen.state == "running")
    off = cloud.change(stubborn, power="off", force_off=True)
    cloud.wait_guest(off, lambda seen: seen.state == "off" and seen.stopped_by == "cloud", 20)


def test_an_operators_stylesheet_changes_the_machine(cloud: Cloud) -> None:
    sheet = """<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
      <xsl:template match="@*|node()"><xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy></xsl:template>
      <xsl:template match="domain"><xsl:copy>
        <xsl:apply-templates select="@*"/><title>by the operator</title><xsl:apply-templates/></xsl:copy></xsl:template>
    </xsl:stylesheet>"""
    (cloud.home / "node/domain.xsl").write_text("<broken")
    cloud.start_node()
    guest = cloud.guest(1)
    cloud.want(guest)
    cloud.wait_guest(guest, lambda seen: seen.state == "failed", 30)
    assert "domain.xsl" in cloud.reports[-1].faults[0].cause
    (cloud.home / "node/domain.xsl").write_text(sheet)
    better = cloud.change(guest)
    cloud.ready(better)
    socket = cloud.home / "node/libvirt/run/libvirt-sock"
    shown = subprocess.run(
        ["virsh", "-c", f"qemu+unix:///system?socket={socket}", "desc", "--title", guest.id],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "by the operator"
