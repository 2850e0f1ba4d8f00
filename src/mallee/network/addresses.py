"""Public addresses: the pool, the elastic ones that accounts keep, and what they are associated with.

Every public address in use is one row of ``public_leases``, whoever holds it: an allocation for as long as it
lasts, or an interface for as long as its instance is powered. An interface has at most one. Associating an elastic
address gives a lent one back; taking the elastic one away lends again where the interface asks for it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select

from mallee.ec2 import tags
from mallee.network import records, rules
from mallee.network.records import Address, Interface
from mallee.nodes import records as nodes
from mallee.store import Tx, ids, read, read_all
from mallee.wire.errors import AwsError

if TYPE_CHECKING:
    from mallee.settings import Settings

_chance = random.SystemRandom()
_PROPOSALS = 16
_SMALL = 8192  # addresses of a pool that is looked at whole

_ADDRESSES = select(records.addresses.c.id, records.addresses.c.account_id, records.addresses.c.public_ip).order_by(
    records.addresses.c.id
)
_BY_ID = _ADDRESSES.where(records.addresses.c.id == bindparam("id"))
_BY_IP = _ADDRESSES.where(records.addresses.c.public_ip == bindparam("ip"))
_TAKEN = select(records.public_leases.c.ip)
_TAKEN_OF = _TAKEN.where(records.public_leases.c.ip.in_(bindparam("ips", expanding=True)))


def everything(tx: Tx) -> list[Address]:
    return read_all(Address, tx.all(_ADDRESSES))


def by_id(tx: Tx, id: str) -> Address | None:
    row = tx.first(_BY_ID, id=id)
    return read(Address, row) if row is not None else None


def by_ip(tx: Tx, ip: str) -> Address | None:
    row = tx.first(_BY_IP, ip=ip)
    return read(Address, row) if row is not None else None


# --------------------------------------------------------------------------------------------------------------- the pool


def lease(tx: Tx, settings: Settings, holders: Sequence[str]) -> list[str]:
    """An address of the pool for each holder; fewer than asked when the pool runs out."""
    ranges = [rules.pool_range(cidr) for cidr in settings.public_pool]
    found: list[str] = []
    if sum(map(len, ranges)) > _SMALL:
        drawn = rules.proposals(ranges, _chance, len(holders) + _PROPOSALS)
        taken = {row.ip for start in range(0, len(drawn), 500) for row in tx.all(_TAKEN_OF, ips=drawn[start : start + 500])}
        found = _take(tx, holders, [ip for ip in drawn if ip not in taken])
    if len(found) < len(holders):
        occupied = {row.ip for row in tx.all(_TAKEN)}
        pool = (ip for ip in rules.free(ranges, occupied, _chance))
        found += _take(tx, holders[len(found) :], pool)
    return found


def lease_this(tx: Tx, settings: Settings, ip: str, holder: str) -> bool:
    """Takes one certain address of the pool; False when it is not in the pool or not free."""
    if not any(rules.number(ip) in rules.pool_range(cidr) for cidr in settings.public_pool):
        return False
    return tx.insert_if_free(records.public_leases, ip=ip, holder=holder, since=tx.now)


def give_back(tx: Tx, ip: str) -> None:
    tx.remove(records.public_leases, ip)


def _take(tx: Tx, holders: Sequence[str], candidates: object) -> list[str]:
    found: list[str] = []
    left = iter(candidates)  # type: ignore[call-overload]
    for holder in holders:
        for ip in left:
            if tx.insert_if_free(records.public_leases, ip=ip, holder=holder, since=tx.now):
                found.append(ip)
                break
        else:
            break
    return found


# ------------------------------------------------------------------------------------------------------- elastic addresses


def allocate(tx: Tx, settings: Settings, account_id: str, wanted: str | None = None) -> Address:
    allocation_id = ids.new("eipalloc")
    if wanted is None:
        found = lease(tx, settings, [allocation_id])
        if not found:
            raise AwsError(
                "InsufficientAddressCapacity", "There are not enough free addresses in the pool to satisfy the request."
            )
        ip = found[0]
    else:
        if not rules.is_address(wanted) or not lease_this(tx, settings, wanted, allocation_id):
            raise AwsError("InvalidAddress.NotFound", f"Address '{wanted[:64]}' not found.")
        ip = wanted
    tx.insert(records.addresses, id=allocation_id, account_id=account_id, public_ip=ip, created_at=tx.now)
    return Address(allocation_id, account_id, ip)


def release(tx: Tx, address: Address) -> None:
    """Gives an unassociated elastic address back to the pool."""
    tags.remove(tx, [address.id])
    tx.remove(records.addresses, address.id)
    give_back(tx, address.public_ip)


def associate(tx: Tx, address: Address, interface: Interface, previous: Interface | None) -> str:
    """Moves an elastic address from ``previous`` (what it is associated with, if anything) to an interface; returns the
    association's id. Doing it again changes nothing."""
    if previous is not None:
        if previous.id == interface.id and previous.association_id:
            return previous.association_id
        clear(tx, previous)
    if interface.public_ip and not interface.allocation_id:
        give_back(tx, interface.public_ip)
    association_id = ids.new("eipassoc")
    tx.change(
        records.interfaces,
        interface.id,
        public_ip=address.public_ip,
        allocation_id=address.id,
        association_id=association_id,
    )
    nodes.touch(tx, vpc_id=interface.vpc_id)
    return association_id


def clear(tx: Tx, interface: Interface) -> None:
    """Takes whatever public address an interface has; a lent one returns to the pool."""
    if interface.public_ip is None:
        return
    if interface.allocation_id is None:
        give_back(tx, interface.public_ip)
    tx.change(records.interfaces, interface.id, public_ip=None, allocation_id=None, association_id=None)
    nodes.touch(tx, vpc_id=interface.vpc_id)


def disassociate(tx: Tx, settings: Settings, interface: Interface, others: int) -> None:
    """Takes the elastic address from an interface. Its powered instance gets a lent one again if it was to have one
    and this is its only interface (``others`` are the further ones)."""
    clear(tx, interface)
    if interface.wants_public and interface.online and interface.instance_id and not others:
        lent = lease(tx, settings, [interface.id])
        if lent:
            tx.change(records.interfaces, interface.id, public_ip=lent[0])
