"""The pure parts of the node: what to do next, turns, documents, archives, kernels. No root, no engines."""

from __future__ import annotations

import lzma
import struct
import threading
import time
import zlib
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.fabric.document import Boot, Disk, Guest, Metadata
from mallee.node import domain, record
from mallee.node.hypervisor import State
from mallee.node.record import Record
from mallee.node.starter import kernel, ramdisk
from mallee.node.turns import Turns

METADATA = Metadata("123456789012", "ami-1", "t3.nano", "r-1", 0, "h", "local-1", "local-1a", "z1", "2026-01-01T00:00:00Z")


def guest(**changes: object) -> Guest:
    plain: dict[str, object] = {"revision": 1, "power": "on", "reboots": 0, "vcpus": 2, "memory_mib": 512}
    plain |= {"disks": (Disk("vol-0123456789abcdef0", "/dev/xvda", 8),), "boot": Boot(), "metadata": METADATA}
    return Guest(id="i-0123456789abcdef0", **(plain | changes))  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------------- decide


@pytest.mark.parametrize(
    ("wanted", "known", "is_", "step"),
    [
        (None, Record("i"), None, record.REMOVE),
        (None, Record("i", 1, state="running"), State(True), record.REMOVE),
        (guest(), Record("i"), None, record.START),
        (guest(), Record("i"), State(False, paused=True), record.RESUME),
        (guest(), Record("i"), State(True), record.ADOPT),
        (guest(), Record("i", 1, state="running", boot="now"), State(True), record.NOTHING),
        (guest(revision=2), Record("i", 1, state="running", boot="now"), State(True), record.SETTLE),
        (guest(reboots=1), Record("i", 1, state="running", boot="now"), State(True), record.REBOOT),
        (guest(reboots=1), Record("i", 1, state="running", boot="now"), State(False, stuck=True), record.NOTHING),
        (guest(), Record("i", 1, state="running", boot="now"), None, record.ENDED),
        (guest(), Record("i", 1, state="running", boot="before"), None, record.START),
        (guest(), Record("i", 1, state="off", boot="before", stopped_by="guest"), None, record.NOTHING),
        (guest(), Record("i", 1, state="crashed"), None, record.NOTHING),
        (guest(revision=2), Record("i", 1, state="crashed"), None, record.START),
        (guest(), Record("i", 1, state="failed"), None, record.NOTHING),
        (guest(revision=2), Record("i", 1, state="failed"), None, record.START),
        (guest(power="off", revision=2), Record("i", 1, state="running", boot="now"), State(True), record.STOP),
        (guest(power="off", revision=2), Record("i", 1, state="running", boot="now"), None, record.ENDED),
        (guest(power="off", revision=2), Record("i", 1, state="off"), None, record.SETTLE),
        (guest(power="off"), Record("i"), None, record.PREPARE),
        (guest(power="off"), Record("i", 1, state="off"), None, record.NOTHING),
    ],
)
def test_the_next_step(wanted: Guest | None, known: Record, is_: State | None, step: str) -> None:
    assert record.decide(wanted, known, is_, "now") == step


STATES = ("new", "running", "off", "crashed", "failed")


@given(
    wanted=st.one_of(
        st.none(), st.builds(guest, revision=st.integers(1, 3), power=st.sampled_from(["on", "off"]), reboots=st.integers(0, 2))
    ),
    known=st.builds(
        Record,
        id=st.just("i"),
        revision=st.integers(-1, 3),
        reboots=st.integers(0, 2),
        state=st.sampled_from(STATES),
        boot=st.sampled_from(["", "now", "before"]),
    ),
    is_=st.sampled_from([None, State(True), State(False, paused=True), State(False, stuck=True)]),
)
def test_from_every_state_the_steps_come_to_an_end(wanted: Guest | None, known: Record, is_: State | None) -> None:
    """A model of what the steps do: whatever was found, a few of them lead to what is wanted, and then to nothing."""
    present: State | None = is_
    for _ in range(8):
        step = record.decide(wanted, known, present, "now")
        if step in (record.NOTHING, record.REMOVE):
            break
        assert wanted is not None
        if step == record.START:
            present = State(False, paused=True)
        elif step in (record.RESUME, record.ADOPT):
            present = State(True) if step == record.RESUME else present
            known.state, known.boot, known.revision, known.reboots = "running", "now", wanted.revision, wanted.reboots
        elif step == record.STOP:
            present = None
        elif step == record.ENDED:
            known.state = "off"
            known.revision = wanted.revision if wanted.power == "off" else known.revision
        elif step == record.PREPARE:
            known.state, known.revision = "off", wanted.revision
        elif step == record.REBOOT:
            known.reboots = wanted.reboots
        elif step == record.SETTLE:
            known.revision = wanted.revision
    assert step == (record.REMOVE if wanted is None else record.NOTHING)
    if wanted is not None and wanted.power == "off":
        assert present is None
    if wanted is not None and present is None and wanted.power == "on":
        assert known.state in ("off", "crashed", "failed") and known.revision >= wanted.revision


def test_a_record_survives_and_a_broken_one_is_new(tmp_path: Path) -> None:
    directory = tmp_path / "i-0123456789abcdef0"
    directory.mkdir()
    kept = Record(directory.name, 3, 1, "off", stopped_by="guest", images=["sha256:00"])
    record.save(directory, kept)
    assert record.load(directory) == kept
    for broken in ("", "{", "[]", '"text"', '{"unknown": 1}'):
        (directory / record.FILE).write_text(broken)
        assert record.load(directory) == Record(directory.name)


def test_reports_of_each_state() -> None:
    assert record.report(Record("i"), "initializing", "fetching the image").state == "preparing"
    running = record.report(Record("i", 2, state="running", started_at="t", ready_at="r"), "ok", "stopping")
    assert (running.state, running.started_at, running.ready_at, running.health) == ("running", "t", "r", "ok")
    off = record.report(Record("i", 2, state="off", stopped_by="guest"), "ok", "")
    assert (off.state, off.stopped_by, off.health) == ("off", "guest", "initializing")
    assert record.report(Record("i", 2, state="off", stopped_by="guest"), "ok", "starting").state == "preparing"
    assert record.report(Record("i", 2, state="crashed"), "ok", "").health == "impaired"


# ----------------------------------------------------------------------------------------------------------------- turns


def test_a_key_never_has_two_turns_and_loses_no_wake() -> None:
    running: set[str] = set()
    counts = {"a": 0, "b": 0, "c": 0}
    wrong: list[str] = []

    def work(key: str) -> None:
        if key in running:
            wrong.append(key)
        running.add(key)
        seen = wanted[key]
        time.sleep(0.002)
        done[key] = seen
        counts[key] += 1
        running.discard(key)

    wanted = dict.fromkeys(counts, 0)
    done = dict.fromkeys(counts, 0)
    turns = Turns(work, 4, "test")
    turns.start()
    for number in range(1, 60):
        for key in counts:
            wanted[key] = number
            turns.wake(key)
        time.sleep(0.0005)
    limit = time.monotonic() + 5
    while not turns.idle() and time.monotonic() < limit:
        time.sleep(0.005)
    turns.stop()
    assert done == wanted and not wrong
    assert all(count <= 60 for count in counts.values())


def test_later_wakes_once_at_the_soonest_time() -> None:
    happened: list[float] = []
    turned = threading.Event()
    turns = Turns(lambda key: (happened.append(time.monotonic()), turned.set()), 2, "test")  # type: ignore[func-returns-value]
    turns.start()
    began = time.monotonic()
    for seconds in (5.0, 0.1, 0.2, 3.0):
        turns.later("a", seconds)
    assert turned.wait(2)
    time.sleep(0.2)
    turns.stop()
    assert len(happened) == 1 and 0.09 < happened[0] - began < 1


# ---------------------------------------------------------------------------------------------------------------- domain


def test_the_document_says_what_the_guest_is() -> None:
    files = domain.Files((Path("/d/<&>.qcow2"),), Path("/c/i"), Path("/k"), Path("/r"))
    wanted = guest(boot=Boot(command_line='console=ttyS0 a="b" <x>'))
    nics = [domain.Nic("eni-0123456789abcdef0", "0a:00:00:00:00:01", 1450)]
    text = domain.document(wanted, files, nics, "tcg")
    assert text == domain.document(wanted, files, nics, "tcg")
    tree = ElementTree.fromstring(text)
    assert tree.get("type") == "qemu" and tree.findtext("name") == wanted.id
    assert tree.findtext("os/cmdline") == wanted.boot.command_line
    assert tree.findtext("devices/disk/serial") == "vol0123456789abcdef0"
    assert tree.find("devices/disk/source").get("file") == "/d/<&>.qcow2"  # type: ignore[union-attr]
    assert tree.find("devices/interface/target").attrib == {"dev": "p-56789abcdef0", "managed": "yes"}  # type: ignore[union-attr]
    assert tree.find("devices/interface/mtu").get("size") == "1450"  # type: ignore[union-attr]
    assert tree.find("devices/serial/source").get("append") == "on"  # type: ignore[union-attr]
    assert tree.findtext("uuid", "").startswith("ec2") and tree.findtext("features/tcg/tb-cache") == "32"
    kvm = ElementTree.fromstring(domain.document(wanted, files, nics, "kvm"))
    assert kvm.get("type") == "kvm" and kvm.find("features/tcg") is None


def test_a_guest_without_kernel_boots_its_disk() -> None:
    tree = ElementTree.fromstring(domain.document(guest(), domain.Files((Path("/d"),), Path("/c")), [], "kvm"))
    assert tree.find("os/kernel") is None and tree.find("os/boot").get("dev") == "hd"  # type: ignore[union-attr]


def test_disks_are_named_as_the_kernel_names_them() -> None:
    names = [domain._letters(number) for number in (0, 1, 25, 26, 27, 51, 52, 701, 702)]
    assert names == ["a", "b", "z", "aa", "ab", "az", "ba", "zz", "aaa"]


# --------------------------------------------------------------------------------------------------------- starter image


def test_a_ramdisk_is_a_cpio_archive(tmp_path: Path) -> None:
    made = ramdisk.archive([ramdisk.Entry("bin", ramdisk.DIRECTORY), ramdisk.Entry("bin/x", ramdisk.FILE | 0o755, b"12345")])
    at, found = 0, []
    while True:
        fields = [int(made[at + 6 + 8 * index : at + 14 + 8 * index], 16) for index in range(13)]
        assert made[at : at + 6] == b"070701"
        name = made[at + 110 : at + 110 + fields[11] - 1].decode()
        start = (at + 110 + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        found.append((name, fields[1], made[start : start + fields[6]]))
        at = (start + fields[6] + 3) // 4 * 4
    assert found == [("bin", 0o040755, b""), ("bin/x", 0o100755, b"12345")]


def elf(note: bool) -> bytes:
    """A 64-bit ELF file of nothing but a note segment, with or without the PVH entry."""
    body = struct.pack("<III", 4, 4, 18 if note else 6) + b"Xen\0" + struct.pack("<I", 0x1000000)
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(body), len(body), 4) + body


def bzimage(packed: bytes) -> bytes:
    head = bytearray(1024)
    head[0x1F1], head[0x202:0x206] = 1, b"HdrS"
    struct.pack_into("<II", head, 0x248, 16, len(packed))
    return bytes(head) + bytes(16) + packed


def test_kernels_are_taken_out_of_their_shell() -> None:
    inner = elf(note=True)
    gzip = zlib.compressobj(wbits=31)
    packings = [gzip.compress(inner) + gzip.flush(), lzma.compress(inner), b"\x02\x21\x4c\x18" + inner + b"size"]
    for packed in packings:
        assert kernel.bare(bzimage(packed), lambda data: data[4:]) == inner
    for whole in (bzimage(lzma.compress(elf(note=False))), bzimage(b"unknown"), bzimage(b"\x1f\x8b broken"), inner, b"short"):
        assert kernel.bare(whole, lambda data: data) == whole
