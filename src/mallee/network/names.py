"""Names that follow from other facts: host names of addresses, ids of zones, hardware addresses of interfaces."""

from __future__ import annotations

import functools
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mallee.settings import Settings

_COMPASS = {
    "north": "n", "south": "s", "east": "e", "west": "w", "central": "c",
    "northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw",
}  # fmt: skip


def domain(region: str) -> str:
    """The domain of private host names, which AWS's first region spells in its own way."""
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def private_hostname(address: str, region: str) -> str:
    return f"ip-{address.replace('.', '-')}.{domain(region)}"


def public_hostname(address: str, settings: Settings) -> str:
    zone = "compute-1" if settings.region == "us-east-1" else f"{settings.region}.compute"
    return f"ec2-{address.replace('.', '-')}.{zone}.{settings.dns_suffix}"


@functools.cache
def zone_id(region: str, zone: str) -> str:
    """``use1-az1`` for ``us-east-1a``: the region shortened, and the place of the zone's letter in the alphabet."""
    letter = zone.removeprefix(region)
    if zone != region + letter or not re.fullmatch(r"[a-z]", letter):
        return f"{short_region(region)}-{zone}"
    return f"{short_region(region)}-az{ord(letter) - ord('a') + 1}"


@functools.cache
def short_region(region: str) -> str:
    """``apse2`` for ``ap-southeast-2``."""
    return "".join(_COMPASS.get(part, part) for part in region.split("-"))


def hardware_address(interface_id: str) -> str:
    """A locally administered unicast MAC derived from an interface's id; 46 bits of it are the id's digest."""
    digest = bytearray(hashlib.sha256(interface_id.encode()).digest()[:6])
    digest[0] = digest[0] & 0b11111100 | 0b00000010
    return ":".join(f"{byte:02x}" for byte in digest)
