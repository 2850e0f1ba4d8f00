"""Whether this machine's KVM works, found out by using it.

That /dev/kvm exists says little: on nested or restricted machines it opens, even runs real-mode code, and fails at
the first kernel. So QEMU is started with KVM, the processor that guests get, and a firmware of 256 bytes which does
what a kernel does first (page tables, long mode, memory through them) and then makes QEMU exit with a status that
only executed guest code can give. The answer holds for a kernel and a QEMU, and is kept for as long as both stay the
same.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import tempfile
from pathlib import Path

from mallee.node.domain import EMULATOR
from mallee.node.libvirtd import write_whole

log = logging.getLogger(__name__)

_DEVICE = Path("/dev/kvm")
_VALUE = 0x2A
_STATUS = _VALUE << 1 | 1  # what isa-debug-exit makes of the value
_SECONDS = 10

# The last 256 bytes of a 64 KiB firmware, which lies at 0xf0000; the processor starts at the last 16.
_ENTER_LONG_MODE = """
    fa fc                         cli; cld
    31 c0 8e c0 8e d0             xor ax, ax; mov es, ax; mov ss, ax
    bf 00 10 b9 00 0c 66 31 c0    mov di, 0x1000; mov cx, 0xc00; xor eax, eax
    f3 66 ab                      rep stosd                             three empty tables
    26 66 c7 06 00 10 03 20 00 00 mov dword es:[0x1000], 0x2003         each leads to the next,
    26 66 c7 06 00 20 03 30 00 00 mov dword es:[0x2000], 0x3003
    26 66 c7 06 00 30 83 00 00 00 mov dword es:[0x3000], 0x83           the last to 2 MiB at 0
    0f 20 e0 66 83 c8 20 0f 22 e0 mov eax, cr4; or eax, 0x20; mov cr4, eax
    66 b8 00 10 00 00 0f 22 d8    mov eax, 0x1000; mov cr3, eax
    66 b9 80 00 00 c0 0f 32       mov ecx, 0xc0000080; rdmsr
    66 0d 00 01 00 00 0f 30       or eax, 0x100; wrmsr                  long mode
    2e 66 0f 01 16 96 ff          lgdt cs:[0xff96]
    0f 20 c0 66 0d 01 00 00 80    mov eax, cr0; or eax, 0x80000001
    0f 22 c0                      mov cr0, eax                          protection and paging
    66 ea 70 ff 0f 00 08 00       jmp 8:0xfff70
    48 b8 88 77 66 55 44 33 22 11 mov rax, 0x1122334455667788
    48 89 04 25 00 50 00 00       mov [0x5000], rax
    48 8b 1c 25 00 50 00 00       mov rbx, [0x5000]
    48 39 c3 75 04                cmp rbx, rax; jne halt
    b0 2a e6 f4                   mov al, 0x2a; out 0xf4, al
    f4 eb fd                      halt: hlt; jmp halt
    0f 00 a0 ff 0f 00             gdtr
    8d b4 00 00                   padding
    00 00 00 00 00 00 00 00       gdt: none
    00 00 00 00 00 9a 20 00       64-bit code
"""
_START = bytes.fromhex("ea 00 ff 00 f0")  # jmp 0xf000:0xff00


def accelerator(cache: Path) -> str:
    """``kvm`` or ``tcg``."""
    state = _circumstances()
    try:
        known = json.loads(cache.read_text())
        if known["circumstances"] == state:
            return str(known["accelerator"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = "kvm" if _DEVICE.exists() and executes("kvm") else "tcg"
    log.info("the accelerator of this machine is %s", found)
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_whole(cache, json.dumps({"accelerator": found, "circumstances": state}))
    return found


def _circumstances() -> list[object]:
    try:
        device: object = _DEVICE.stat().st_rdev
    except OSError:
        device = None
    try:
        emulator = os.stat(EMULATOR)
        version: object = [emulator.st_size, emulator.st_mtime_ns]
    except OSError:
        version = None
    kernel = os.uname()
    return [kernel.release, kernel.version, kernel.machine, version, device]


def executes(name: str) -> bool:
    """Whether QEMU's accelerator of that name runs guest code up to long mode."""
    with tempfile.NamedTemporaryFile(prefix="mallee-probe-") as firmware:
        firmware.write(_firmware())
        firmware.flush()
        command = [
            EMULATOR,
            "-M",
            "pc",
            "-accel",
            name,
            "-cpu",
            "max",
            "-m",
            "16",
            "-nodefaults",
            "-display",
            "none",
            "-no-reboot",
            "-bios",
            firmware.name,
        ]
        command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x01"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            log.info("the accelerator %s does not work: %s", name, error)
            return False
    if done.returncode != _STATUS:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        log.info("the accelerator %s does not work: %s", name, words[-1] if words else f"status {done.returncode}")
    return done.returncode == _STATUS


def _firmware() -> bytes:
    listing = [line[4:34].strip() for line in _ENTER_LONG_MODE.strip("\n").splitlines()]
    code = bytes.fromhex(" ".join(listing))
    return bytes(0xFF00) + code + bytes(0xF0 - len(code)) + _START + bytes(16 - len(_START))
