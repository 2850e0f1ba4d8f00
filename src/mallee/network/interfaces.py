"""Network interfaces, as instances use them.

For the domain of instances. An interface belongs to one subnet and keeps its private address and hardware address
for life; it is attached to at most one instance, at one device index.

* ``create`` and ``create_many`` make interfaces, normally attached at once (one row each); addresses are drawn at random
  and decided by the unique row. ``attach``, ``detach`` and ``delete`` do what they say; ``release`` is the whole teardown
  for a terminated instance, and may be done twice.
* ``power_on`` and ``power_off`` lend and take back the short-lived public address of an instance that starts or stops.
* ``View`` reads all that DescribeInstances needs of any number of instances in three statements.

Subnets and groups are found by ``places.subnet_for`` and ``groups.resolve``, with AWS's errors. All of these tell
the hosts of the VPC themselves.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from mallee.ec2 import tags
from mallee.network import addresses, names, records, rules
from mallee.network.records import Interface, Subnet
from mallee.nodes import records as nodes
from mallee.store import Tx, ids, read, read_all
from mallee.wire import Constant
from mallee.wire.errors import AwsError

if TYPE_CHECKING:
    from mallee.settings import Settings

_chance = random.SystemRandom()
_PROPOSALS = 16
_MANY = 500

_TABLE = records.interfaces
_C = _TABLE.c
_ALL = select(*(_C[name] for name in Interface.__dataclass_fields__)).order_by(_C.id)
_ONE = _ALL.where(_C.id == bindparam("id"))
_ATTACHED = _ALL.where(_C.instance_id.is_not(None)).order_by(None).order_by(_C.instance_id, _C.device_index)
_OF_INSTANCES = _ATTACHED.where(_C.instance_id.in_(bindparam("ids", expanding=True)))
_BY_ASSOCIATION = _ALL.where(_C.association_id == bindparam("id"))
_BY_ALLOCATION = _ALL.where(_C.allocation_id == bindparam("id"))
_ASSOCIATED = _ALL.where(_C.allocation_id.is_not(None))
_IN_VPCS = _ALL.where(_C.vpc_id.in_(bindparam("vpc_ids", expanding=True)), _C.instance_id.is_not(None))
_IPS = select(_C.private_ip).where(_C.subnet_id == bindparam("subnet_id"))
_IPS_OF = _IPS.where(_C.private_ip.in_(bindparam("ips", expanding=True)))
_MACS = select(_C.mac).where(_C.mac.in_(bindparam("macs", expanding=True)))


@dataclass(frozen=True, slots=True)
class Plan:
    """What the interfaces of one request have in common. ``public`` None follows the subnet; True is refused when the
    pool is empty, while a subnet's wish for a public address then goes unmet."""

    subnet: Subnet
    group_ids: Sequence[str]
    description: str = ""
    device_index: int = 0
    delete_on_termination: bool = True
    source_dest_check: bool = True
    public: bool | None = None


# ----------------------------------------------------------------------------------------------------------------- making


def create(tx: Tx, settings: Settings, plan: Plan, instance_id: str | None = None, private_ip: str | None = None) -> Interface:
    """One interface, with a certain address if ``private_ip`` is given, attached if an instance is."""
    return create_many(tx, settings, plan, [instance_id], None if private_ip is None else [private_ip])[0]


def create_many(
    tx: Tx,
    settings: Settings,
    plan: Plan,
    instance_ids: Sequence[str | None],
    private_ips: Sequence[str] | None = None,
) -> list[Interface]:
    """One interface for each instance (None: left unattached)."""
    subnet = plan.subnet
    count = len(instance_ids)
    chosen = _draw(tx, subnet, count) if private_ips is None else _claim(tx, subnet, private_ips)
    wants = subnet.map_public_ip if plan.public is None else plan.public
    fresh = _identities(tx, count)
    made = [
        Interface(
            id=id,
            account_id=subnet.account_id,
            vpc_id=subnet.vpc_id,
            subnet_id=subnet.id,
            zone=subnet.zone,
            private_ip=ip,
            mac=mac,
            description=plan.description,
            source_dest_check=plan.source_dest_check,
            group_ids=list(plan.group_ids),
            instance_id=instance_id,
            attachment_id=ids.new("eni-attach") if instance_id else None,
            device_index=plan.device_index if instance_id else None,
            delete_on_termination=plan.delete_on_termination and instance_id is not None,
            attached_at=tx.now if instance_id else None,
            wants_public=wants and (plan.device_index == 0),
            online=instance_id is not None,
            public_ip=None,
            allocation_id=None,
            association_id=None,
        )
        for (id, mac), ip, instance_id in zip(fresh, chosen, instance_ids, strict=True)
    ]
    made = _lend(tx, settings, made, required=plan.public is True)
    tx.insert_many(_TABLE, [_row(each) | {"created_at": tx.now} for each in made])
    tx.insert_many(
        records.interface_groups,
        [{"interface_id": each.id, "group_id": group_id} for each in made for group_id in plan.group_ids],
    )
    nodes.touch(tx, vpc_id=subnet.vpc_id)
    return made


def _row(interface: Interface) -> dict[str, Any]:
    return {name: getattr(interface, name) for name in Interface.__dataclass_fields__}


def _identities(tx: Tx, count: int) -> list[tuple[str, str]]:
    """Ids and the hardware addresses derived from them, none of which the region has yet."""
    found: dict[str, str] = {}
    while len(found) < count:
        drawn = {names.hardware_address(id): id for id in (ids.new("eni") for _ in range(count - len(found)))}
        macs = list(drawn)
        for start in range(0, len(macs), _MANY):
            for row in tx.everyone().all(_MACS, macs=macs[start : start + _MANY]):
                drawn.pop(row.mac, None)
        found |= drawn
    return [(id, mac) for mac, id in found.items()]


def _draw(tx: Tx, subnet: Subnet, count: int) -> list[str]:
    """Free addresses of a subnet: a few drawn blindly, or all of them looked at when it is nearly full."""
    whole = [rules.host_range(subnet.cidr)]
    drawn = rules.proposals(whole, _chance, count + _PROPOSALS)
    taken: set[str] = set()
    for start in range(0, len(drawn), _MANY):
        taken |= {row.private_ip for row in tx.all(_IPS_OF, subnet_id=subnet.id, ips=drawn[start : start + _MANY])}
    found = [ip for ip in drawn if ip not in taken][:count]
    if len(found) == count:
        return found
    occupied = {row.private_ip for row in tx.all(_IPS, subnet_id=subnet.id)}
    found = [ip for ip, _ in zip(rules.free(whole, occupied, _chance), range(count), strict=False)]
    if len(found) < count:
        raise AwsError(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{subnet.id}' to satisfy the requested number of instances.",
        )
    return found


def _claim(tx: Tx, subnet: Subnet, wanted: Sequence[str]) -> list[str]:
    """Certain addresses of a subnet, refused as AWS refuses them."""
    whole, usable = rules.block(subnet.cidr), rules.host_range(subnet.cidr)
    for ip in wanted:
        if not rules.is_address(ip):
            raise AwsError("InvalidParameterValue", f"Invalid value '{ip[:64]}' for IP address.")
        number = rules.number(ip)
        if number not in whole:
            raise AwsError("InvalidParameterValue", f"Address {ip} does not fall within the subnet's address range")
        if number not in usable:
            raise AwsError("InvalidParameterValue", f"Address {ip} is in subnet's reserved address range")
    taken = {row.private_ip for row in tx.all(_IPS_OF, subnet_id=subnet.id, ips=list(wanted))}
    if taken or len(set(wanted)) < len(wanted):
        raise AwsError("InvalidIPAddress.InUse", f"Address {min(taken or set(wanted))} is in use.")
    return list(wanted)


def _lend(tx: Tx, settings: Settings, given: list[Interface], required: bool = False) -> list[Interface]:
    """The interfaces with public addresses where they want one, have none, and are powered."""
    wanting = [each.id for each in given if each.wants_public and each.online and each.public_ip is None]
    if not wanting:
        return given
    lent = dict(zip(wanting, addresses.lease(tx, settings, wanting), strict=False))
    if required and len(lent) < len(wanting):
        raise AwsError("InsufficientAddressCapacity", "There are not enough free public addresses to satisfy the request.")
    return [replace(each, public_ip=lent[each.id]) if each.id in lent else each for each in given]


# --------------------------------------------------------------------------------------------------------------- changing


def attach(tx: Tx, interface: Interface, instance_id: str, device_index: int, delete_on_termination: bool = False) -> Interface:
    """An existing interface at an instance's device index; both must be free."""
    if interface.instance_id is not None:
        raise AwsError("InvalidNetworkInterface.InUse", f"Interface: [{interface.id}] in use.")
    if any(each.device_index == device_index for each in of_instances(tx, [instance_id]).get(instance_id, ())):
        raise AwsError(
            "InvalidParameterValue",
            f"Instance '{instance_id}' already has an interface attached at device index '{device_index}'.",
        )
    return _changed(
        tx,
        interface,
        instance_id=instance_id,
        attachment_id=ids.new("eni-attach"),
        device_index=device_index,
        delete_on_termination=delete_on_termination,
        attached_at=tx.now,
        online=True,
    )


def detach(tx: Tx, interface: Interface) -> Interface:
    """Takes an interface from its instance; a lent public address goes back, an elastic one stays with the interface."""
    if interface.instance_id is None:
        return interface
    if interface.allocation_id is None:
        addresses.clear(tx, interface)
        interface = replace(interface, public_ip=None)
    return _changed(
        tx,
        interface,
        instance_id=None,
        attachment_id=None,
        device_index=None,
        delete_on_termination=False,
        attached_at=None,
        online=False,
    )


def delete(tx: Tx, given: Iterable[Interface]) -> None:
    """Removes interfaces with their tags; their elastic addresses stay allocated."""
    gone = list(given)
    if not gone:
        return
    for each in gone:
        if each.public_ip and each.allocation_id is None:
            addresses.give_back(tx, each.public_ip)
        tx.remove_all(records.interface_groups, records.interface_groups.c.interface_id == each.id)
    tags.remove(tx, [each.id for each in gone])
    for each in gone:
        tx.remove(_TABLE, each.id)
    for vpc_id in sorted({each.vpc_id for each in gone}):
        nodes.touch(tx, vpc_id=vpc_id)


def release(tx: Tx, instance_id: str) -> None:
    """What becomes of the interfaces of a terminated instance."""
    held = of_instances(tx, [instance_id]).get(instance_id, [])
    for each in held:
        if not each.delete_on_termination:
            detach(tx, each)
    delete(tx, [each for each in held if each.delete_on_termination])


def set_groups(tx: Tx, interface: Interface, group_ids: Sequence[str]) -> Interface:
    """Replaces an interface's groups by ones that ``groups.resolve`` has found."""
    for group_id in interface.group_ids:
        if group_id not in group_ids:
            tx.remove(records.interface_groups, {"interface_id": interface.id, "group_id": group_id})
    added = [group_id for group_id in group_ids if group_id not in interface.group_ids]
    tx.insert_many(records.interface_groups, [{"interface_id": interface.id, "group_id": group_id} for group_id in added])
    return _changed(tx, interface, group_ids=list(group_ids))


def change(tx: Tx, interface: Interface, **values: Any) -> Interface:
    """``description``, ``source_dest_check`` or ``delete_on_termination``."""
    return _changed(tx, interface, **values)


def power_on(tx: Tx, settings: Settings, instance_id: str) -> None:
    """The instance starts: its interface that wants a public address, and has none, gets a new one."""
    for each in of_instances(tx, [instance_id]).get(instance_id, ()):
        if not each.online:
            online = _lend(tx, settings, [replace(each, online=True)])[0]
            _changed(tx, each, online=True, public_ip=online.public_ip)


def power_off(tx: Tx, instance_id: str) -> None:
    """The instance has stopped: a lent public address goes back to the pool, an elastic one stays."""
    for each in of_instances(tx, [instance_id]).get(instance_id, ()):
        if each.online:
            if each.allocation_id is None:
                addresses.clear(tx, each)
            tx.change(_TABLE, each.id, online=False)


def _changed(tx: Tx, interface: Interface, **values: Any) -> Interface:
    tx.change(_TABLE, interface.id, **values)
    nodes.touch(tx, vpc_id=interface.vpc_id)
    return replace(interface, **values)


# ---------------------------------------------------------------------------------------------------------------- reading


def everything(tx: Tx) -> list[Interface]:
    return read_all(Interface, tx.all(_ALL))


def one(tx: Tx, id: str) -> Interface | None:
    return _first(tx, _ONE, id)


def of_association(tx: Tx, association_id: str) -> Interface | None:
    return _first(tx, _BY_ASSOCIATION, association_id)


def of_allocation(tx: Tx, allocation_id: str) -> Interface | None:
    """The interface that an elastic address is associated with."""
    return _first(tx, _BY_ALLOCATION, allocation_id)


def by_allocation(tx: Tx) -> dict[str, Interface]:
    """All interfaces that have an elastic address, by its allocation."""
    return {each.allocation_id or "": each for each in read_all(Interface, tx.all(_ASSOCIATED))}


def of_instances(tx: Tx, instance_ids: Sequence[str] | None = None) -> dict[str, list[Interface]]:
    """The interfaces of instances in the order of their device indexes, by instance; of all the account's instances
    when none are given, or very many."""
    found: dict[str, list[Interface]] = {}
    if instance_ids is None or len(instance_ids) > _MANY:
        rows = tx.all(_ATTACHED)
    else:
        rows = tx.all(_OF_INSTANCES, ids=list(instance_ids)) if instance_ids else []
    for each in read_all(Interface, rows):
        found.setdefault(each.instance_id or "", []).append(each)
    return found


def attached_in(tx: Tx, vpc_ids: Sequence[str]) -> list[Interface]:
    """All attached interfaces of some VPCs."""
    return read_all(Interface, tx.all(_IN_VPCS, vpc_ids=list(vpc_ids))) if vpc_ids else []


def _first(tx: Tx, statement: Any, id: str) -> Interface | None:
    row = tx.first(statement, id=id)
    return read(Interface, row) if row is not None else None


class View:
    """The interfaces of instances with all that describing them takes: one statement for the interfaces, one for the
    names of groups, one for the VPCs."""

    __slots__ = ("_by_instance", "_groups", "_hostnames", "_settings")

    def __init__(self, tx: Tx, settings: Settings, instance_ids: Sequence[str] | None = None) -> None:
        self._settings = settings
        self._by_instance = of_instances(tx, instance_ids)
        self._groups: dict[tuple[str, ...], list[Constant]] = {}
        held = [each for group in self._by_instance.values() for each in group]
        wanted = {group_id for each in held for group_id in each.group_ids}
        named = records.group_names(tx, sorted(wanted)) if wanted else {}
        for key in {tuple(each.group_ids) for each in held}:
            self._groups[key] = [Constant(GroupId=id, GroupName=named.get(id, "")) for id in key]
        vpcs = records.vpcs_by_id(tx, sorted({each.vpc_id for each in held}))
        self._hostnames = {id: vpc.dns_hostnames for id, vpc in vpcs.items()}

    def of(self, instance_id: str) -> list[Interface]:
        return self._by_instance.get(instance_id, [])

    def groups(self, interface: Interface) -> list[Constant]:
        """``[{"GroupId": …, "GroupName": …}]``"""
        return self._groups[tuple(interface.group_ids)]

    def private_hostname(self, interface: Interface) -> str:
        return names.private_hostname(interface.private_ip, self._settings.region)

    def public_hostname(self, interface: Interface) -> str:
        """Empty without a public address, or where the VPC gives no host names."""
        if not interface.public_ip or not self._hostnames.get(interface.vpc_id):
            return ""
        return names.public_hostname(interface.public_ip, self._settings)

    def association(self, interface: Interface) -> dict[str, Any] | None:
        if not interface.public_ip:
            return None
        owner = interface.account_id if interface.allocation_id else "amazon"
        return {
            "IpOwnerId": owner,
            "PublicDnsName": self.public_hostname(interface),
            "PublicIp": interface.public_ip,
        }

    def describe(self, interface: Interface) -> dict[str, Any]:
        """An ``InstanceNetworkInterface``."""
        association = self.association(interface)
        private_hostname = self.private_hostname(interface)
        return {
            "Association": association,
            "Attachment": {
                "AttachTime": interface.attached_at,
                "AttachmentId": interface.attachment_id,
                "DeleteOnTermination": interface.delete_on_termination,
                "DeviceIndex": interface.device_index,
                "NetworkCardIndex": 0,
                "Status": "attached",
            },
            "Description": interface.description,
            "Groups": self.groups(interface),
            "InterfaceType": "interface",
            "Ipv6Addresses": [],
            "MacAddress": interface.mac,
            "NetworkInterfaceId": interface.id,
            "OwnerId": interface.account_id,
            "PrivateDnsName": private_hostname,
            "PrivateIpAddress": interface.private_ip,
            "PrivateIpAddresses": [
                {
                    "Association": association,
                    "Primary": True,
                    "PrivateDnsName": private_hostname,
                    "PrivateIpAddress": interface.private_ip,
                }
            ],
            "SourceDestCheck": interface.source_dest_check,
            "Status": "in-use",
            "SubnetId": interface.subnet_id,
            "VpcId": interface.vpc_id,
        }
