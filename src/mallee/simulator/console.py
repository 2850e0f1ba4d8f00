"""What a simulated guest prints on its serial console."""

from __future__ import annotations

from mallee.fabric.document import Guest
from mallee.fabric.transport import CONSOLE_LIMIT


def boot_text(guest: Guest, address: str) -> str:
    """A boot from power on to the login prompt, with the lines that people look for."""
    name = guest.metadata.hostname
    lines = [
        f"[    0.000000] Linux version 6.1.0-simulated ({guest.metadata.architecture}) (mallee simulator)",
        f"[    0.000000] Command line: {guest.boot.command_line or 'console=ttyS0'}",
        f"[    0.004000] smp: Bringing up secondary CPUs ... {guest.vcpus} in all",
        f"[    0.012000] Memory: {guest.memory_mib * 1024}K available",
        *(f"[    0.310000] virtio_blk: {disk.device_name} {disk.size_gib} GiB ({disk.volume_id})" for disk in guest.disks),
        f"[    0.420000] eth0: {address or 'no address'}",
        f"cloud-init: instance-id {guest.id}, instance-type {guest.metadata.instance_type}",
        f"cloud-init: key {guest.metadata.key_name or '(none)'} installed for ec2-user",
        f"mallee: {guest.id} is ready",
        "",
        f"{name} login: ",
    ]
    return "\r\n".join(lines)


class Console:
    """The end of one console and how much came before it."""

    __slots__ = ("_dropped", "_text")

    def __init__(self) -> None:
        self._text = b""
        self._dropped = 0

    def add(self, text: str) -> None:
        whole = self._text + text.encode()
        cut = max(0, len(whole) - CONSOLE_LIMIT)
        self._dropped += cut
        self._text = whole[cut:]

    def end(self) -> tuple[bytes, int]:
        """The text that is kept, and how many bytes came before it."""
        return self._text, self._dropped
