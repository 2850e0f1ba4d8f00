"""The tables of networks, their rows as frozen values, and the queries of VPCs and what they are made of.

What must never be given twice is guarded by a unique row: an address within its subnet, a device index of an
instance, a hardware address, a VPC's number on the wire, and, in ``public_leases``, every public address whoever
holds it. A rule of a security group is unique by what it allows. What an interface is associated with stands in the
interface's own row.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, UniqueConstraint, bindparam, func, select, text

from mallee.ec2 import resources
from mallee.network.permissions import Asked, Permission
from mallee.store import Flag, Integer, Json, Text, Timestamp, Tx, plain_table, read, read_all, resource_table

# ------------------------------------------------------------------------------------------------------------- topology

vpcs = resource_table(
    "vpcs",
    Column("id", Text, primary_key=True),
    Column("cidr", Text, nullable=False),
    Column("vni", Integer, nullable=False, unique=True),  # its number on the wire, 1..16777215
    Column("is_default", Flag, nullable=False),
    Column("dhcp_options_id", Text, nullable=False),
    Column("association_id", Text, nullable=False),  # of its CIDR block
    Column("dns_support", Flag, nullable=False),
    Column("dns_hostnames", Flag, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)
Index(
    "one_default_vpc",
    vpcs.c.account_id,
    unique=True,
    sqlite_where=text("is_default"),
    postgresql_where=text("is_default"),
)

subnets = resource_table(
    "subnets",
    Column("id", Text, primary_key=True),
    Column("vpc_id", Text, ForeignKey("vpcs.id"), nullable=False),
    Column("cidr", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("default_for_zone", Flag, nullable=False),
    Column("map_public_ip", Flag, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("vpc_id", "cidr"),
)

route_tables = resource_table(
    "route_tables",
    Column("id", Text, primary_key=True),
    Column("vpc_id", Text, ForeignKey("vpcs.id"), nullable=False, index=True),
    Column("created_at", Timestamp, nullable=False),
)

routes = resource_table(
    "routes",
    Column("route_table_id", Text, ForeignKey("route_tables.id"), nullable=False),
    Column("destination", Text, nullable=False),
    Column("target", Text, nullable=False),  # local, igw-…
    Column("origin", Text, nullable=False),  # CreateRouteTable | CreateRoute
    PrimaryKeyConstraint("route_table_id", "destination"),
)

route_table_associations = resource_table(
    "route_table_associations",
    Column("id", Text, primary_key=True),
    Column("route_table_id", Text, ForeignKey("route_tables.id"), nullable=False, index=True),
    Column("vpc_id", Text, ForeignKey("vpcs.id"), nullable=False),
    Column("subnet_id", Text, ForeignKey("subnets.id"), nullable=True, unique=True),  # None: the VPC's main table
)
Index(
    "one_main_route_table",
    route_table_associations.c.vpc_id,
    unique=True,
    sqlite_where=route_table_associations.c.subnet_id.is_(None),
    postgresql_where=route_table_associations.c.subnet_id.is_(None),
)

internet_gateways = resource_table(
    "internet_gateways",
    Column("id", Text, primary_key=True),
    Column("vpc_id", Text, ForeignKey("vpcs.id"), nullable=True, unique=True),
    Column("created_at", Timestamp, nullable=False),
)

network_acls = resource_table(
    "network_acls",
    Column("id", Text, primary_key=True),
    Column("vpc_id", Text, ForeignKey("vpcs.id"), nullable=False, index=True),
    Column("is_default", Flag, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

network_acl_entries = resource_table(
    "network_acl_entries",
    Column("network_acl_id", Text, ForeignKey("network_acls.id"), nullable=False),
    Column("egress", Flag, nullable=False),
    Column("number", Integer, nullable=False),
    Column("action", Text, nullable=False),  # allow | deny
    Column("protocol", Text, nullable=False),  # a number, or -1
    Column("cidr", Text, nullable=False),
    Column("from_port", Integer, nullable=True),  # ICMP: the type
    Column("to_port", Integer, nullable=True),
    PrimaryKeyConstraint("network_acl_id", "egress", "number"),
)

network_acl_associations = resource_table(
    "network_acl_associations",
    Column("id", Text, primary_key=True),
    Column("network_acl_id", Text, ForeignKey("network_acls.id"), nullable=False, index=True),
    Column("subnet_id", Text, ForeignKey("subnets.id"), nullable=False, unique=True),
)

dhcp_options = resource_table(
    "dhcp_options",
    Column("id", Text, primary_key=True),
    Column("configurations", Json, nullable=False),  # {"domain-name": ["…"]}
    Column("created_at", Timestamp, nullable=False),
)

# ------------------------------------------------------------------------------------------------------ security groups

security_groups = resource_table(
    "security_groups",
    Column("id", Text, primary_key=True),
    Column("vpc_id", Text, ForeignKey("vpcs.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("folded_name", Text, nullable=False),  # names are one regardless of case
    Column("description", Text, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("vpc_id", "folded_name"),
)

security_group_rules = resource_table(
    "security_group_rules",
    Column("id", Text, primary_key=True),
    Column("group_id", Text, ForeignKey("security_groups.id"), nullable=False),
    Column("egress", Flag, nullable=False),
    Column("protocol", Text, nullable=False),  # tcp | udp | icmp | icmpv6 | -1 | a number
    Column("from_port", Integer, nullable=False),  # ICMP: the type; -1: all
    Column("to_port", Integer, nullable=False),
    Column("peer", Text, nullable=False),  # an IPv4 or IPv6 range, or a group's id
    Column("peer_group_id", Text, ForeignKey("security_groups.id"), nullable=True, index=True),  # peer, if a group
    Column("description", Text, nullable=True),
    UniqueConstraint("group_id", "egress", "protocol", "from_port", "to_port", "peer"),
)

# ------------------------------------------------------------------------------------------------ interfaces, addresses

addresses = resource_table(
    "addresses",
    Column("id", Text, primary_key=True),  # eipalloc-…
    Column("public_ip", Text, nullable=False, unique=True),
    Column("created_at", Timestamp, nullable=False),
)

interfaces = resource_table(
    "interfaces",
    Column("id", Text, primary_key=True),
    Column("vpc_id", Text, ForeignKey("vpcs.id"), nullable=False, index=True),
    Column("subnet_id", Text, ForeignKey("subnets.id"), nullable=False),
    Column("zone", Text, nullable=False),
    Column("private_ip", Text, nullable=False),
    Column("mac", Text, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("source_dest_check", Flag, nullable=False),
    Column("group_ids", Json, nullable=False),  # in the order given; interface_groups says the same by group
    Column("instance_id", Text, nullable=True),
    Column("attachment_id", Text, nullable=True, unique=True),
    Column("device_index", Integer, nullable=True),
    Column("delete_on_termination", Flag, nullable=False),
    Column("attached_at", Timestamp, nullable=True),
    Column("wants_public", Flag, nullable=False),  # shall have a public address whenever its instance is powered
    Column("online", Flag, nullable=False),  # its instance is powered
    Column("public_ip", Text, nullable=True, unique=True),
    Column("allocation_id", Text, ForeignKey("addresses.id"), nullable=True, unique=True),  # None: public_ip is lent
    Column("association_id", Text, nullable=True, unique=True),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("subnet_id", "private_ip"),
    UniqueConstraint("instance_id", "device_index"),
)

interface_groups = plain_table(
    "interface_groups",
    Column("interface_id", Text, ForeignKey("interfaces.id"), nullable=False),
    Column("group_id", Text, ForeignKey("security_groups.id"), nullable=False),
    PrimaryKeyConstraint("interface_id", "group_id"),
)
Index("interface_groups_by_group", interface_groups.c.group_id)

public_leases = plain_table(
    "public_leases",
    Column("ip", Text, primary_key=True),
    Column("holder", Text, nullable=False, index=True),  # eipalloc-… or eni-…
    Column("since", Timestamp, nullable=False),
)


# -------------------------------------------------------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class Vpc:
    id: str
    account_id: str
    cidr: str
    vni: int
    is_default: bool
    dhcp_options_id: str
    association_id: str
    dns_support: bool
    dns_hostnames: bool


@dataclass(frozen=True, slots=True)
class Subnet:
    id: str
    account_id: str
    vpc_id: str
    cidr: str
    zone: str
    default_for_zone: bool
    map_public_ip: bool


@dataclass(frozen=True, slots=True)
class Route:
    route_table_id: str
    destination: str
    target: str
    origin: str


@dataclass(frozen=True, slots=True)
class RouteAssociation:
    id: str
    route_table_id: str
    vpc_id: str
    subnet_id: str | None


@dataclass(frozen=True, slots=True)
class Gateway:
    id: str
    account_id: str
    vpc_id: str | None


@dataclass(frozen=True, slots=True)
class AclEntry:
    network_acl_id: str
    egress: bool
    number: int
    action: str
    protocol: str
    cidr: str
    from_port: int | None
    to_port: int | None


@dataclass(frozen=True, slots=True)
class Group:
    id: str
    account_id: str
    vpc_id: str
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    account_id: str
    group_id: str
    egress: bool
    protocol: str
    from_port: int
    to_port: int
    peer: str
    description: str | None

    @property
    def permission(self) -> Permission:
        return Permission(self.protocol, self.from_port, self.to_port, self.peer)

    @property
    def asked(self) -> Asked:
        return Asked(self.permission, self.description)


@dataclass(frozen=True, slots=True)
class Address:
    id: str
    account_id: str
    public_ip: str


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface with what it is associated with. ``public_ip`` is an elastic one when ``allocation_id`` is set, else
    lent for as long as the instance is powered."""

    id: str
    account_id: str
    vpc_id: str
    subnet_id: str
    zone: str
    private_ip: str
    mac: str
    description: str
    source_dest_check: bool
    group_ids: list[str]
    instance_id: str | None
    attachment_id: str | None
    device_index: int | None
    delete_on_termination: bool
    attached_at: datetime | None
    wants_public: bool
    online: bool
    public_ip: str | None
    allocation_id: str | None
    association_id: str | None


# -------------------------------------------------------------------------------------------------- queries of topology


def _columns(table: Any, kind: Any) -> list[Any]:
    return [table.c[field.name] for field in fields(kind)]


_VPCS = select(*_columns(vpcs, Vpc)).order_by(vpcs.c.id)
_VPCS_BY_ID = _VPCS.where(vpcs.c.id.in_(bindparam("ids", expanding=True)))
_DEFAULT_VPC = _VPCS.where(vpcs.c.is_default)
_SUBNETS = select(*_columns(subnets, Subnet)).order_by(subnets.c.id)
_SUBNET = _SUBNETS.where(subnets.c.id == bindparam("id"))
_DEFAULT_SUBNETS = _SUBNETS.where(subnets.c.default_for_zone).order_by(None).order_by(subnets.c.zone)
_SUBNETS_OF = _SUBNETS.where(subnets.c.vpc_id.in_(bindparam("vpc_ids", expanding=True)))
_TAKEN_COUNTS = select(interfaces.c.subnet_id, func.count().label("taken")).group_by(interfaces.c.subnet_id)
_ROUTE_TABLES = select(route_tables.c.id, route_tables.c.account_id, route_tables.c.vpc_id).order_by(route_tables.c.id)
_ROUTES = select(*_columns(routes, Route)).order_by(routes.c.route_table_id, routes.c.destination.desc())
_ROUTE_ASSOCIATIONS = select(*_columns(route_table_associations, RouteAssociation)).order_by(route_table_associations.c.id)
_GATEWAYS = select(*_columns(internet_gateways, Gateway)).order_by(internet_gateways.c.id)
_GATEWAY_OF = select(internet_gateways.c.id).where(internet_gateways.c.vpc_id == bindparam("vpc_id"))
_ACLS = select(network_acls.c.id, network_acls.c.account_id, network_acls.c.vpc_id, network_acls.c.is_default).order_by(
    network_acls.c.id
)
_DEFAULT_ACL = select(network_acls.c.id).where(network_acls.c.vpc_id == bindparam("vpc_id"), network_acls.c.is_default)
_ACL_ENTRIES = select(*_columns(network_acl_entries, AclEntry)).order_by(
    network_acl_entries.c.network_acl_id, network_acl_entries.c.egress, network_acl_entries.c.number
)
_ACL_ASSOCIATIONS = select(
    network_acl_associations.c.id, network_acl_associations.c.network_acl_id, network_acl_associations.c.subnet_id
).order_by(network_acl_associations.c.id)
_DHCP_OPTIONS = select(dhcp_options.c.id, dhcp_options.c.account_id, dhcp_options.c.configurations).order_by(dhcp_options.c.id)
_INTERNET_TABLES = (
    select(routes.c.route_table_id)
    .join(route_tables, route_tables.c.id == routes.c.route_table_id)
    .where(
        route_tables.c.vpc_id.in_(bindparam("vpc_ids", expanding=True)),
        routes.c.destination == "0.0.0.0/0",
        routes.c.target.like("igw-%"),
    )
)
_ASSOCIATIONS_OF = _ROUTE_ASSOCIATIONS.where(route_table_associations.c.vpc_id.in_(bindparam("vpc_ids", expanding=True)))
_VNI = select(vpcs.c.id).where(vpcs.c.vni == bindparam("vni"))

_IDS = {
    prefix: select(table.c.id).where(table.c.id.in_(bindparam("ids", expanding=True)))
    for prefix, table in {
        "vpc": vpcs,
        "subnet": subnets,
        "rtb": route_tables,
        "igw": internet_gateways,
        "acl": network_acls,
        "dopt": dhcp_options,
        "sg": security_groups,
        "sgr": security_group_rules,
        "eni": interfaces,
        "eipalloc": addresses,
    }.items()
}


_ROWS = {
    "rtb": select(route_tables.c.id, route_tables.c.vpc_id).where(route_tables.c.id == bindparam("id")),
    "igw": select(internet_gateways.c.id, internet_gateways.c.vpc_id).where(internet_gateways.c.id == bindparam("id")),
    "acl": select(network_acls.c.id, network_acls.c.vpc_id).where(network_acls.c.id == bindparam("id")),
    "dopt": select(dhcp_options.c.id).where(dhcp_options.c.id == bindparam("id")),
}


def row(tx: Tx, prefix: str, id: str) -> Any:
    """A route table, gateway, ACL or options set as far as its id and its VPC go, or None."""
    return tx.first(_ROWS[prefix], id=id)


def existing(tx: Tx, prefix: str, ids: list[str]) -> set[str]:
    """Which of the ids, all of one kind, exist for the transaction's account."""
    found: set[str] = set()
    for start in range(0, len(ids), 500):
        found.update(row.id for row in tx.all(_IDS[prefix], ids=ids[start : start + 500]))
    return found


def all_vpcs(tx: Tx) -> list[Vpc]:
    return read_all(Vpc, tx.all(_VPCS))


def vpcs_by_id(tx: Tx, ids: list[str]) -> dict[str, Vpc]:
    return {vpc.id: vpc for vpc in read_all(Vpc, tx.all(_VPCS_BY_ID, ids=ids))} if ids else {}


def vpc(tx: Tx, id: str) -> Vpc | None:
    return vpcs_by_id(tx, [id]).get(id)


def default_vpcs(tx: Tx) -> list[Vpc]:
    """Of all accounts that the transaction sees."""
    return read_all(Vpc, tx.all(_DEFAULT_VPC))


def default_vpc(tx: Tx) -> Vpc | None:
    """Of the transaction's account."""
    row = tx.first(_DEFAULT_VPC)
    return read(Vpc, row) if row is not None else None


def vni_taken(tx: Tx, vni: int) -> bool:
    return tx.first(_VNI, vni=vni) is not None


def all_subnets(tx: Tx) -> list[Subnet]:
    return read_all(Subnet, tx.all(_SUBNETS))


def subnet(tx: Tx, id: str) -> Subnet | None:
    row = tx.first(_SUBNET, id=id)
    return read(Subnet, row) if row is not None else None


def subnets_of(tx: Tx, vpc_ids: list[str]) -> list[Subnet]:
    return read_all(Subnet, tx.all(_SUBNETS_OF, vpc_ids=vpc_ids)) if vpc_ids else []


def default_subnets(tx: Tx) -> list[Subnet]:
    """The account's default subnets, by zone."""
    return read_all(Subnet, tx.all(_DEFAULT_SUBNETS))


def taken_counts(tx: Tx) -> dict[str, int]:
    """How many addresses of each subnet interfaces have."""
    return {row.subnet_id: row.taken for row in tx.all(_TAKEN_COUNTS)}


def all_route_tables(tx: Tx) -> tuple[list[Any], list[Route], list[RouteAssociation]]:
    return (
        tx.all(_ROUTE_TABLES),
        read_all(Route, tx.all(_ROUTES)),
        read_all(RouteAssociation, tx.all(_ROUTE_ASSOCIATIONS)),
    )


def all_gateways(tx: Tx) -> list[Gateway]:
    return read_all(Gateway, tx.all(_GATEWAYS))


def has_gateway(tx: Tx, vpc_id: str) -> bool:
    return tx.first(_GATEWAY_OF, vpc_id=vpc_id) is not None


def internet_subnets(tx: Tx, given: list[Subnet]) -> set[str]:
    """Which of the subnets' route tables, or else their VPC's main one, lead to an internet gateway."""
    vpc_ids = sorted({each.vpc_id for each in given})
    if not vpc_ids:
        return set()
    leading = {row.route_table_id for row in tx.all(_INTERNET_TABLES, vpc_ids=vpc_ids)}
    own: dict[str, str] = {}
    main: dict[str, str] = {}
    for row in tx.all(_ASSOCIATIONS_OF, vpc_ids=vpc_ids):
        if row.subnet_id is None:
            main[row.vpc_id] = row.route_table_id
        else:
            own[row.subnet_id] = row.route_table_id
    return {each.id for each in given if (own.get(each.id) or main.get(each.vpc_id)) in leading}


def all_acls(tx: Tx) -> tuple[list[Any], list[AclEntry], list[Any]]:
    return tx.all(_ACLS), read_all(AclEntry, tx.all(_ACL_ENTRIES)), tx.all(_ACL_ASSOCIATIONS)


def default_acl(tx: Tx, vpc_id: str) -> str | None:
    row = tx.first(_DEFAULT_ACL, vpc_id=vpc_id)
    return row.id if row is not None else None


def all_dhcp_options(tx: Tx) -> list[Any]:
    return tx.all(_DHCP_OPTIONS)


# ------------------------------------------------------------------------------------------------------ queries of groups

_MANY = 200  # ids, from which on all the account's rows are read instead
_GROUPS = select(*_columns(security_groups, Group)).order_by(security_groups.c.id)
_GROUPS_BY_ID = _GROUPS.where(security_groups.c.id.in_(bindparam("ids", expanding=True)))
_GROUPS_NAMED = _GROUPS.where(
    security_groups.c.vpc_id == bindparam("vpc_id"),
    security_groups.c.folded_name.in_(bindparam("names", expanding=True)),
)
_GROUP_NAMES = select(security_groups.c.id, security_groups.c.name)
_GROUP_NAMES_BY_ID = _GROUP_NAMES.where(security_groups.c.id.in_(bindparam("ids", expanding=True)))
_RULES = select(*_columns(security_group_rules, Rule)).order_by(security_group_rules.c.id)
_RULES_OF = _RULES.where(security_group_rules.c.group_id.in_(bindparam("ids", expanding=True)))
_RULES_BY_ID = _RULES.where(security_group_rules.c.id.in_(bindparam("ids", expanding=True)))
_REFERRING = select(security_group_rules.c.group_id).where(
    security_group_rules.c.peer_group_id == bindparam("group_id"),
    security_group_rules.c.group_id != bindparam("group_id"),
)
_MEMBER = select(interface_groups.c.interface_id).where(interface_groups.c.group_id == bindparam("group_id"))
_LOCK_GROUP = select(security_groups.c.id).where(security_groups.c.id == bindparam("id")).with_for_update()


def all_groups(tx: Tx) -> list[Group]:
    return read_all(Group, tx.all(_GROUPS))


def groups_by_id(tx: Tx, ids: list[str]) -> dict[str, Group]:
    return {group.id: group for group in read_all(Group, tx.all(_GROUPS_BY_ID, ids=ids))} if ids else {}


def groups_named(tx: Tx, vpc_id: str, names: list[str]) -> dict[str, Group]:
    """The VPC's groups of these names, by the names as asked."""
    if not names:
        return {}
    rows = tx.all(_GROUPS_NAMED, vpc_id=vpc_id, names=[name.casefold() for name in names])
    found = {group.name.casefold(): group for group in read_all(Group, rows)}
    return {name: found[name.casefold()] for name in names if name.casefold() in found}


def group_names(tx: Tx, ids: list[str] | None = None) -> dict[str, str]:
    """Names by id; of all groups when there are many ids, or none given."""
    if ids is None or len(ids) > _MANY:
        return {row.id: row.name for row in tx.all(_GROUP_NAMES)}
    return {row.id: row.name for row in tx.all(_GROUP_NAMES_BY_ID, ids=ids)} if ids else {}


def lock_group(tx: Tx, id: str) -> None:
    """Lets one transaction at a time change a group's rules, so that its limit holds."""
    tx.first(_LOCK_GROUP, id=id)


def rules_of(tx: Tx, group_ids: list[str]) -> dict[str, list[Rule]]:
    """The rules of groups, by group."""
    found: dict[str, list[Rule]] = {}
    if group_ids:
        rows = tx.all(_RULES) if len(group_ids) > _MANY else tx.all(_RULES_OF, ids=group_ids)
        for rule in read_all(Rule, rows):
            found.setdefault(rule.group_id, []).append(rule)
    return found


def all_rules(tx: Tx) -> list[Rule]:
    return read_all(Rule, tx.all(_RULES))


def rules_by_id(tx: Tx, ids: list[str]) -> dict[str, Rule]:
    return {rule.id: rule for rule in read_all(Rule, tx.all(_RULES_BY_ID, ids=ids))} if ids else {}


def is_referred_to(tx: Tx, group_id: str) -> bool:
    """Whether an interface bears the group or another group's rule names it."""
    return tx.first(_MEMBER, group_id=group_id) is not None or tx.first(_REFERRING, group_id=group_id) is not None


# ------------------------------------------------------------------------------------------------ what tags may be put on


def _own(prefix: str) -> None:
    resources.own(prefix, lambda tx, ids: existing(tx, prefix, list(ids)))


for _prefix in _IDS:
    _own(_prefix)
