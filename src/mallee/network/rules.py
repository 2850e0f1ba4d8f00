"""Address arithmetic: which addresses a subnet or a pool can give, and in which order to try them.

An address is chosen at random, not as the lowest free one, so that one just given back is not soon given to somebody
else while caches, connection tables and ``known_hosts`` files still mean its previous holder. Choosing only proposes;
the unique row of a lease decides.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

HEAD = 4  # a subnet's network address, its router, its resolver, one kept for the future
TAIL = 1  # broadcast
DEFAULT_VPC = "172.31.0.0/16"
DEFAULT_SUBNET_BITS = 20


@dataclass(frozen=True, slots=True)
class Block:
    """An IPv4 network as two numbers; ``first`` is its base."""

    first: int
    size: int

    def __contains__(self, number: int) -> bool:
        return self.first <= number < self.first + self.size


def block(cidr: str) -> Block:
    base, _, bits = cidr.partition("/")
    return Block(number(base), 1 << (32 - int(bits)))


def number(address: str) -> int:
    """Of a dotted address known to be well-formed."""
    a, b, c, d = address.split(".")
    return int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)


def dotted(number: int) -> str:
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 address in the one spelling that AWS takes."""
    try:
        return str(ipaddress.IPv4Address(text)) == text
    except ValueError:
        return False


def host_range(cidr: str) -> range:
    """The numbers that interfaces of a subnet may have: all but the first four and the last."""
    whole = block(cidr)
    return range(whole.first + HEAD, max(whole.first + HEAD, whole.first + whole.size - TAIL))


def pool_range(cidr: str) -> range:
    """The numbers that a public pool can give: all but its network and broadcast addresses, unless it is too small."""
    whole = block(cidr)
    if whole.size <= 2:
        return range(whole.first, whole.first + whole.size)
    return range(whole.first + 1, whole.first + whole.size - 1)


def proposals(ranges: Sequence[range], chance: random.Random, count: int) -> list[str]:
    """Up to ``count`` distinct addresses, evenly drawn from the ranges."""
    total = sum(len(each) for each in ranges)
    return [dotted(_nth(ranges, index)) for index in chance.sample(range(total), min(count, total))]


def free(ranges: Sequence[range], taken: Collection[str], chance: random.Random) -> Iterator[str]:
    """Every address not taken, each once, in random order: for a range that is nearly full."""
    occupied = {number(each) for each in taken}
    left = [each for one in ranges for each in one if each not in occupied]
    chance.shuffle(left)
    return map(dotted, left)


def _nth(ranges: Sequence[range], index: int) -> int:
    for each in ranges:
        if index < len(each):
            return each[index]
        index -= len(each)
    raise IndexError(index)


def gateway(cidr: str) -> str:
    """The router of a subnet: the first address after its base."""
    return dotted(block(cidr).first + 1)


def resolver(cidr: str) -> str:
    """The name server of a VPC: base plus two."""
    return dotted(block(cidr).first + 2)


def default_subnets() -> list[str]:
    """The /20 blocks of the default VPC, of which each zone gets one."""
    blocks = ipaddress.IPv4Network(DEFAULT_VPC).subnets(new_prefix=DEFAULT_SUBNET_BITS)
    return [str(each) for each in blocks]


def overlap(one: Block, other: Block) -> bool:
    return one.first < other.first + other.size and other.first < one.first + one.size


def canonical_cidr(text: str) -> str | None:
    """An IPv4 or IPv6 range with its host bits cleared, as AWS keeps it; None when it is none. The length is required."""
    address, slash, bits = text.partition("/")
    if not slash or not bits.isascii() or not bits.isdigit() or len(bits) > 3:
        return None
    try:
        return str(ipaddress.ip_network(f"{address}/{int(bits)}", strict=False))
    except ValueError:
        return None
