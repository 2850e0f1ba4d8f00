"""Security groups: finding the ones a caller names, and what changes when they change.

A group belongs to one VPC; the names of a VPC's groups are distinct regardless of case. Names alone stand for
groups of the default VPC. The default group of a VPC cannot go, nor can one that an interface bears or another
group's rule names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mallee.ec2 import resources, tags
from mallee.network import quotas, records
from mallee.network.permissions import Asked
from mallee.network.records import Group, Rule
from mallee.nodes import records as nodes
from mallee.store import Tx, ids
from mallee.wire.errors import AwsError

DEFAULT = "default"
MAXIMUM_NAME = 255
_TEXT = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]*")


def create_default(tx: Tx, account_id: str, vpc_id: str) -> str:
    """The group that every VPC has: members reach each other, and everything outwards."""
    group_id = _insert(tx, account_id, vpc_id, DEFAULT, "default VPC security group")
    tx.insert_many(
        records.security_group_rules,
        [
            _row(account_id, group_id, False, "-1", -1, -1, group_id, None),
            _row(account_id, group_id, True, "-1", -1, -1, "0.0.0.0/0", None),
        ],
    )
    return group_id


def create(tx: Tx, account_id: str, vpc_id: str, name: str, description: str) -> str:
    """A new group, which lets everything out and nothing in. Returns its id."""
    check_name(name)
    check_text("GroupDescription", description)
    if records.groups_named(tx, vpc_id, [name]):
        raise AwsError("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc_id}'")
    group_id = _insert(tx, account_id, vpc_id, name, description)
    tx.insert_many(records.security_group_rules, [_row(account_id, group_id, True, "-1", -1, -1, "0.0.0.0/0", None)])
    return group_id


def delete(tx: Tx, group: Group) -> None:
    if group.name == DEFAULT:
        raise AwsError("CannotDelete", f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user')
    records.lock_group(tx, group.id)
    if records.is_referred_to(tx, group.id):
        raise AwsError("DependencyViolation", f"resource {group.id} has a dependent object")
    remove_rules(tx, records.rules_of(tx, [group.id]).get(group.id, ()))
    tags.remove(tx, [group.id])
    tx.remove(records.security_groups, group.id)


def add_rules(tx: Tx, group: Group, egress: bool, asked: Iterable[Asked]) -> list[Rule]:
    rows = []
    for each in asked:
        p = each.permission
        row = _row(group.account_id, group.id, egress, p.protocol, p.from_port, p.to_port, p.peer, each.description or None)
        rows.append(row)
    if rows:
        tx.insert_many(records.security_group_rules, rows)
    names = Rule.__dataclass_fields__
    return [Rule(**{name: row[name] for name in names}) for row in rows]


def remove_rules(tx: Tx, given: Iterable[Rule]) -> None:
    gone = [rule.id for rule in given]
    tags.remove(tx, gone)
    for id in gone:
        tx.remove(records.security_group_rules, id)


def changed(tx: Tx, vpc_id: str) -> None:
    """Tells the hosts of a VPC that what its interfaces may do has changed."""
    nodes.touch(tx, vpc_id=vpc_id)


# ------------------------------------------------------------------------------------------------------ which group is meant


def one(tx: Tx, input: Mapping[str, Any]) -> Group:
    """The group that ``GroupId``, or ``GroupName`` in the default VPC, names."""
    id, name = input.get("GroupId"), input.get("GroupName")
    if id:
        resources.check_id("security-group", id)
        found = records.groups_by_id(tx, [id]).get(id)
        if found is None:
            raise resources.not_found("security-group", id)
        if name and name.casefold() != found.name.casefold():
            raise AwsError("InvalidParameterCombination", "The parameters groupName and groupId name two different groups")
        return found
    if name:
        return by_names(tx, [name])[0]
    raise AwsError("MissingParameter", "The request must contain the parameter groupName or groupId")


def by_names(tx: Tx, names: Sequence[str]) -> list[Group]:
    """Groups of the default VPC, in the order of their names."""
    vpc = records.default_vpc(tx)
    if vpc is None:
        raise AwsError("VPCIdNotSpecified", "No default VPC for this user")
    found = records.groups_named(tx, vpc.id, list(names))
    missing = [name for name in names if name not in found]
    if missing:
        raise AwsError("InvalidGroup.NotFound", f"The security group '{missing[0]}' does not exist in default VPC '{vpc.id}'")
    return [found[name] for name in names]


def resolve(
    tx: Tx, vpc_id: str, group_ids: Sequence[str] = (), group_names: Sequence[str] = (), subnet_id: str = ""
) -> list[str]:
    """The groups for an interface in a VPC, by ids and names; the VPC's default group when none is named.
    ``subnet_id`` is what the caller named besides, for the message of a mismatch."""
    wanted = resources.check_ids("security-group", group_ids)
    found = records.groups_by_id(tx, wanted)
    missing = [id for id in wanted if id not in found]
    if missing:
        raise resources.not_found("security-group", missing[0])
    for id in wanted:
        if found[id].vpc_id != vpc_id:
            place = f"subnet {subnet_id}" if subnet_id else f"network {vpc_id}"
            raise AwsError("InvalidParameter", f"Security group {id} and {place} belong to different networks.")
    if group_names:
        vpc = records.default_vpc(tx)
        if vpc is None or vpc.id != vpc_id:
            raise AwsError("InvalidParameterCombination", "The parameter groupName cannot be used with the parameter subnet")
        wanted += [group.id for group in by_names(tx, list(dict.fromkeys(group_names))) if group.id not in wanted]
    if not wanted:
        wanted = [records.groups_named(tx, vpc_id, [DEFAULT])[DEFAULT].id]
    if len(wanted) > 1 and len(wanted) > quotas.groups_per_interface(tx, tx.account_id or ""):
        raise AwsError(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.",
        )
    return wanted


# ------------------------------------------------------------------------------------------------------------------- checks


def check_name(name: str) -> None:
    check_text("GroupName", name)
    if not name.strip():
        raise AwsError("MissingParameter", "The request must contain the parameter groupName")
    if name.lower().startswith("sg-"):
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid value '{name}' for parameter groupName. Group names may not be in the format sg-*.",
        )
    if name.casefold() == DEFAULT:
        raise AwsError("InvalidParameterValue", f"Cannot use reserved security group name: {name}")


def check_text(parameter: str, given: str) -> None:
    if len(given) > MAXIMUM_NAME:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({given[:300]}) for parameter {parameter} is invalid. Length exceeds maximum of {MAXIMUM_NAME}",
        )
    if not given.isascii():
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({given}) for parameter {parameter} is invalid. Character sets beyond ASCII are not supported.",
        )
    if not _TEXT.fullmatch(given):
        raise AwsError(
            "InvalidParameterValue",
            f"Value ({given}) for parameter {parameter} is invalid. "
            "Valid characters are a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;{}!$*",
        )


def _insert(tx: Tx, account_id: str, vpc_id: str, name: str, description: str) -> str:
    group_id = ids.new("sg")
    tx.insert(
        records.security_groups,
        id=group_id,
        account_id=account_id,
        vpc_id=vpc_id,
        name=name,
        folded_name=name.casefold(),
        description=description,
        created_at=tx.now,
    )
    return group_id


def _row(
    account_id: str,
    group_id: str,
    egress: bool,
    protocol: str,
    from_port: int,
    to_port: int,
    peer: str,
    description: str | None,
) -> dict[str, Any]:
    return {
        "id": ids.new("sgr"),
        "account_id": account_id,
        "group_id": group_id,
        "egress": egress,
        "protocol": protocol,
        "from_port": from_port,
        "to_port": to_port,
        "peer": peer,
        "peer_group_id": peer if peer.startswith("sg-") else None,
        "description": description,
    }
