"""What every account has from its first moment: a default VPC that reaches the internet, with a subnet in each zone.

A zone that the region gets later gets its default subnets when the cloud starts with it. A zone beyond the sixteenth has
none: the default VPC holds no more blocks of the size that AWS gives them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mallee.network import groups, names, records, rules
from mallee.store import Tx, ids

if TYPE_CHECKING:
    from mallee.settings import Settings

MAXIMUM_VNI = (1 << 24) - 1
ANYWHERE = "0.0.0.0/0"
ACL_LAST = 32767  # the entry that AWS shows as *


def new_account(tx: Tx, account_id: str, settings: Settings) -> None:
    """Makes the account's default VPC. ``tx`` is of that account, or of none."""
    vpc_id = _vpc(tx, account_id, settings)
    subnet_ids = _subnets(tx, account_id, vpc_id, settings.zones, rules.default_subnets())
    _routes(tx, account_id, vpc_id)
    _acl(tx, account_id, vpc_id, subnet_ids)
    groups.create_default(tx, account_id, vpc_id)


def _vpc(tx: Tx, account_id: str, settings: Settings) -> str:
    dhcp_options_id, vpc_id = ids.new("dopt"), ids.new("vpc")
    tx.insert(
        records.dhcp_options,
        id=dhcp_options_id,
        account_id=account_id,
        configurations={
            "domain-name": [names.domain(settings.region)],
            "domain-name-servers": ["AmazonProvidedDNS"],
        },
        created_at=tx.now,
    )
    tx.insert(
        records.vpcs,
        id=vpc_id,
        account_id=account_id,
        cidr=rules.DEFAULT_VPC,
        vni=free_vni(tx),
        is_default=True,
        dhcp_options_id=dhcp_options_id,
        association_id=ids.new("vpc-cidr-assoc"),
        dns_support=True,
        dns_hostnames=True,
        created_at=tx.now,
    )
    return vpc_id


def free_vni(tx: Tx) -> int:
    """A number that no VPC of the region has; its unique column decides between two who draw the same."""
    while True:
        vni = 1 + secrets.randbelow(MAXIMUM_VNI)
        if not records.vni_taken(tx.everyone(), vni):
            return vni


def new_cloud(tx: Tx, settings: Settings) -> None:
    """Gives every default VPC a default subnet in each zone that has none yet."""
    for vpc in records.default_vpcs(tx):
        present = records.subnets_of(tx, [vpc.id])
        covered = {each.zone for each in present if each.default_for_zone}
        missing = [zone for zone in settings.zones if zone not in covered]
        taken = [rules.block(each.cidr) for each in present]
        free = [cidr for cidr in rules.default_subnets() if not any(rules.overlap(rules.block(cidr), one) for one in taken)]
        made = _subnets(tx, vpc.account_id, vpc.id, missing, free)
        acl_id = records.default_acl(tx, vpc.id)
        if made and acl_id is not None:
            _associate(tx, vpc.account_id, acl_id, made)


def _subnets(tx: Tx, account_id: str, vpc_id: str, zones: Sequence[str], blocks: Sequence[str]) -> list[str]:
    rows = [
        {
            "id": ids.new("subnet"),
            "account_id": account_id,
            "vpc_id": vpc_id,
            "cidr": cidr,
            "zone": zone,
            "default_for_zone": True,
            "map_public_ip": True,
            "created_at": tx.now,
        }
        for zone, cidr in zip(zones, blocks, strict=False)
    ]
    tx.insert_many(records.subnets, rows)
    return [str(row["id"]) for row in rows]


def _routes(tx: Tx, account_id: str, vpc_id: str) -> None:
    gateway_id, table_id = ids.new("igw"), ids.new("rtb")
    tx.insert(records.internet_gateways, id=gateway_id, account_id=account_id, vpc_id=vpc_id, created_at=tx.now)
    tx.insert(records.route_tables, id=table_id, account_id=account_id, vpc_id=vpc_id, created_at=tx.now)
    tx.insert(
        records.route_table_associations,
        id=ids.new("rtbassoc"),
        account_id=account_id,
        route_table_id=table_id,
        vpc_id=vpc_id,
        subnet_id=None,
    )
    for destination, target, origin in (
        (rules.DEFAULT_VPC, "local", "CreateRouteTable"),
        (ANYWHERE, gateway_id, "CreateRoute"),
    ):
        tx.insert(
            records.routes,
            route_table_id=table_id,
            destination=destination,
            account_id=account_id,
            target=target,
            origin=origin,
        )


def _acl(tx: Tx, account_id: str, vpc_id: str, subnet_ids: list[str]) -> None:
    acl_id = ids.new("acl")
    tx.insert(records.network_acls, id=acl_id, account_id=account_id, vpc_id=vpc_id, is_default=True, created_at=tx.now)
    tx.insert_many(
        records.network_acl_entries,
        [
            {
                "network_acl_id": acl_id,
                "account_id": account_id,
                "egress": egress,
                "number": number,
                "action": action,
                "protocol": "-1",
                "cidr": ANYWHERE,
                "from_port": None,
                "to_port": None,
            }
            for egress in (False, True)
            for number, action in ((100, "allow"), (ACL_LAST, "deny"))
        ],
    )
    _associate(tx, account_id, acl_id, subnet_ids)


def _associate(tx: Tx, account_id: str, acl_id: str, subnet_ids: Sequence[str]) -> None:
    tx.insert_many(
        records.network_acl_associations,
        [
            {"id": ids.new("aclassoc"), "account_id": account_id, "network_acl_id": acl_id, "subnet_id": subnet_id}
            for subnet_id in subnet_ids
        ],
    )
