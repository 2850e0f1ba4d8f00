"""AuthorizeSecurityGroup*, RevokeSecurityGroup*, ModifySecurityGroupRules, UpdateSecurityGroupRuleDescriptions*,
DescribeSecurityGroupRules.

Rules are named by what they allow (``IpPermissions`` or the older flat parameters) or by their ids, never both. A
change is all or nothing, and reaches the hosts of the VPC by the generation that the same transaction raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mallee.ec2 import filters, resources, tags
from mallee.ec2.access import about, checked
from mallee.ec2.listing import listed
from mallee.identity.access import Check, On
from mallee.identity.call import Call
from mallee.network import access, groups, permissions, quotas, records
from mallee.network.permissions import Asked, Permission
from mallee.network.records import Group, Rule
from mallee.wire.errors import AwsError

TYPE = "security-group-rule"
_NOT_THERE = "The specified rule does not exist in this security group."


def authorize_security_group_ingress(call: Call) -> dict[str, Any]:
    return _authorize(call, egress=False)


def authorize_security_group_egress(call: Call) -> dict[str, Any]:
    return _authorize(call, egress=True)


def revoke_security_group_ingress(call: Call) -> dict[str, Any]:
    return _revoke(call, egress=False)


def revoke_security_group_egress(call: Call) -> dict[str, Any]:
    return _revoke(call, egress=True)


def update_security_group_rule_descriptions_ingress(call: Call) -> dict[str, Any]:
    return _describe_anew(call, egress=False)


def update_security_group_rule_descriptions_egress(call: Call) -> dict[str, Any]:
    return _describe_anew(call, egress=True)


# ------------------------------------------------------------------------------------------------------------- authorizing


def _authorize(call: Call, egress: bool) -> dict[str, Any]:
    given_tags = tags.from_specifications(call.input, TYPE)
    group = groups.one(call.tx, call.input)
    asked = _asked(call, group, egress)
    if not asked:
        raise AwsError("MissingParameter", "The request must contain the parameter ipPermissions")
    permissions.refuse_repeated(asked)
    records.lock_group(call.tx, group.id)
    present = _present(call, group, egress)
    for each in asked:
        if each.permission in present:
            raise permissions.duplicate(each.permission)
    _check_limit(call, [*present, *(each.permission for each in asked)])
    added = groups.add_rules(call.tx, group, egress, asked)
    tags.write_many(call.tx, [rule.id for rule in added], TYPE, given_tags)
    groups.changed(call.tx, group.vpc_id)
    return {"Return": True, "SecurityGroupRules": [_rule(call, rule, group, given_tags) for rule in added]}


def _asked(call: Call, group: Group, egress: bool) -> list[Asked]:
    """What the call asks, with groups resolved. Going outwards, only ``IpPermissions`` can say it."""
    if egress:
        for name in ("SourceSecurityGroupName", "SourceSecurityGroupOwnerId", "IpProtocol", "CidrIp"):
            if call.input.get(name) is not None:
                raise AwsError(
                    "InvalidParameterCombination",
                    f"The parameter {name} is not supported for egress rules. Use ipPermissions instead.",
                )
        given = list(call.input.get("IpPermissions") or ())
    else:
        given = permissions.flattened(call.input)
    return permissions.read(given, lambda pair: _peer(call, group, pair))


def _peer(call: Call, group: Group, pair: Mapping[str, Any]) -> str:
    """The id of the group that a UserIdGroupPair names; it must be in the same VPC."""
    id: str = pair.get("GroupId") or ""
    name, owner = pair.get("GroupName"), pair.get("UserId")
    if id:
        resources.check_id("security-group", id)
        if id == group.id and owner in (None, group.account_id):
            return id
        found = None if owner not in (None, group.account_id) else records.groups_by_id(call.tx, [id]).get(id)
        if found is None:
            raise resources.not_found("security-group", id)
        if found.vpc_id != group.vpc_id:
            raise AwsError("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
        return id
    if name:
        if owner not in (None, group.account_id):
            raise AwsError("InvalidGroup.NotFound", f"The security group '{name[:256]}' does not exist")
        found = groups.by_names(call.tx, [name])[0]
        if found.vpc_id != group.vpc_id:
            raise AwsError("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
        return found.id
    raise AwsError("MissingParameter", "The request must contain the parameter groupName or groupId")


def _present(call: Call, group: Group, egress: bool) -> dict[Permission, Rule]:
    found = records.rules_of(call.tx, [group.id]).get(group.id, ())
    return {rule.permission: rule for rule in found if rule.egress is egress}


def _check_limit(call: Call, wanted: list[Permission]) -> None:
    if permissions.exceeds(wanted, quotas.rules_per_group(call.tx, call.account_id)):
        raise AwsError("RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached.")


# ---------------------------------------------------------------------------------------------------------------- revoking


def _revoke(call: Call, egress: bool) -> dict[str, Any]:
    group = groups.one(call.tx, call.input)
    ids = call.input.get("SecurityGroupRuleIds")
    asked = [] if ids and not call.input.get("IpPermissions") else _asked(call, group, egress)
    if bool(ids) == bool(asked):
        if ids:
            raise AwsError(
                "InvalidParameterCombination",
                "The parameter securityGroupRuleIds may not be used in combination with ipPermissions",
            )
        raise AwsError("MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleIds' should be provided.")
    records.lock_group(call.tx, group.id)
    unknown: list[Asked] = []
    if ids:
        gone = _rules_named(call, group, ids, egress)
    else:
        present = _present(call, group, egress)
        known, unknown = permissions.split(asked, {permission: rule.id for permission, rule in present.items()})
        by_id = {rule.id: rule for rule in present.values()}
        gone = [by_id[id] for id in known]
    if unknown and not _is_in_default_vpc(call, group):
        raise AwsError("InvalidPermission.NotFound", _NOT_THERE)
    groups.remove_rules(call.tx, gone)
    if gone:
        groups.changed(call.tx, group.vpc_id)
    return {
        "Return": True,
        "RevokedSecurityGroupRules": [_revoked(rule) for rule in gone],
        "UnknownIpPermissions": permissions.grouped(unknown, lambda peer: {"GroupId": peer, "UserId": group.account_id}),
    }


def _is_in_default_vpc(call: Call, group: Group) -> bool:
    vpc = records.vpc(call.tx, group.vpc_id)
    return vpc is not None and vpc.is_default


def _rules_named(call: Call, group: Group, ids: list[str], egress: bool | None) -> list[Rule]:
    """The group's rules of these ids, all of the one direction if that matters."""
    wanted = resources.check_ids(TYPE, ids)
    found = records.rules_by_id(call.tx, wanted)
    for id in wanted:
        rule = found.get(id)
        if rule is None or rule.group_id != group.id or (egress is not None and rule.egress is not egress):
            raise resources.not_found(TYPE, id)
    return [found[id] for id in wanted]


# --------------------------------------------------------------------------------------------------------------- modifying


def modify_security_group_rules(call: Call) -> dict[str, Any]:
    group = groups.one(call.tx, call.input)
    updates = call.input["SecurityGroupRules"]
    ids = [update.get("SecurityGroupRuleId") or "" for update in updates]
    if not ids or len(set(ids)) < len(ids):
        raise AwsError("InvalidParameterValue", "Each security group rule must be given once")
    records.lock_group(call.tx, group.id)
    current = {rule.id: rule for rule in _rules_named(call, group, ids, None)}
    wanted = {id: _rule_asked(call, group, update) for id, update in zip(ids, updates, strict=True)}
    others = {rule.id: rule for rule in records.rules_of(call.tx, [group.id]).get(group.id, ())}
    after = {id: (rule.egress, wanted[id].permission if id in wanted else rule.permission) for id, rule in others.items()}
    seen: set[tuple[bool, Permission]] = set()
    for egress, permission in after.values():
        if (egress, permission) in seen:
            raise permissions.duplicate(permission)
        seen.add((egress, permission))
    for direction in (False, True):
        _check_limit(call, [permission for egress, permission in after.values() if egress is direction])
    _replace(call, current, wanted)
    groups.changed(call.tx, group.vpc_id)
    return {"Return": True}


def _rule_asked(call: Call, group: Group, update: Mapping[str, Any]) -> Asked:
    given = update.get("SecurityGroupRule") or {}
    peers = [name for name in ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId") if given.get(name)]
    if len(peers) != 1:
        raise AwsError(
            "InvalidParameterValue",
            "You must specify exactly one of: cidrIpv4, cidrIpv6, prefixListId, referencedGroupId",
        )
    protocol = permissions.read_protocol(given.get("IpProtocol"))
    first, last = permissions.read_ports(protocol, given.get("FromPort"), given.get("ToPort"))
    if peers[0] == "PrefixListId":
        raise resources.not_found("prefix-list", given["PrefixListId"])
    if peers[0] == "ReferencedGroupId":
        peer = _peer(call, group, {"GroupId": given["ReferencedGroupId"]})
    else:
        peer = permissions.read_peer({peers[0]: given[peers[0]]})
    return Asked(Permission(protocol, first, last, peer), permissions.read_description(given.get("Description")))


def _replace(call: Call, current: Mapping[str, Rule], wanted: Mapping[str, Asked]) -> None:
    """Gives rules their new content. Rules that trade places pass through a content that no rule can have."""
    taken = {(rule.egress, rule.permission) for rule in current.values()}
    for id, asked in wanted.items():
        if (current[id].egress, asked.permission) in taken and asked.permission != current[id].permission:
            call.tx.change(records.security_group_rules, id, protocol=f"moving {id}")
    for id, asked in wanted.items():
        p = asked.permission
        call.tx.change(
            records.security_group_rules,
            id,
            protocol=p.protocol,
            from_port=p.from_port,
            to_port=p.to_port,
            peer=p.peer,
            peer_group_id=p.peer if p.is_group else None,
            description=asked.description or None,
        )


def _describe_anew(call: Call, egress: bool) -> dict[str, Any]:
    group = groups.one(call.tx, call.input)
    by_id = call.input.get("SecurityGroupRuleDescriptions")
    by_content = call.input.get("IpPermissions")
    if bool(by_id) == bool(by_content):
        if by_id:
            raise AwsError(
                "InvalidParameterCombination",
                "The parameter securityGroupRuleDescriptions may not be used in combination with ipPermissions",
            )
        raise AwsError("MissingParameter", "Either 'ipPermissions' or 'securityGroupRuleDescriptions' should be provided.")
    wanted: dict[str, str | None] = {}
    if by_id:
        _rules_named(call, group, [each.get("SecurityGroupRuleId") or "" for each in by_id], egress)
        for each in by_id:
            wanted[each["SecurityGroupRuleId"]] = permissions.read_description(each.get("Description"))
    else:
        present = _present(call, group, egress)
        for asked in permissions.read(by_content or (), lambda pair: _peer(call, group, pair)):
            rule = present.get(asked.permission)
            if rule is None:
                raise AwsError("InvalidPermission.NotFound", _NOT_THERE)
            wanted[rule.id] = asked.description
    for id, description in wanted.items():
        call.tx.change(records.security_group_rules, id, description=description or None)
    return {"Return": True}


# -------------------------------------------------------------------------------------------------------------- describing

_FILTERS = {
    "group-id": lambda rule: rule.group_id,
    "security-group-rule-id": lambda rule: rule.id,
}


def describe_security_group_rules(call: Call) -> dict[str, Any]:
    rules = _candidates(call)
    found, known, token = listed(call, TYPE, "SecurityGroupRuleIds", rules, _FILTERS, default=0)
    owners = records.groups_by_id(call.tx, sorted({rule.group_id for rule in found}))
    return {
        "SecurityGroupRules": [_rule(call, rule, owners[rule.group_id], known.get(rule.id, [])) for rule in found],
        "NextToken": token,
    }


def _candidates(call: Call) -> list[Rule]:
    """The rules among which ids and filters choose, narrowed by whatever of them the query can use."""
    ids = call.input.get("SecurityGroupRuleIds")
    if ids:
        return list(records.rules_by_id(call.tx, resources.check_ids(TYPE, ids)).values())
    given = call.input.get("Filters")
    of_groups = filters.exact(given, "group-id")
    if of_groups is not None:
        found = records.rules_of(call.tx, of_groups)
        return [rule for group_id in of_groups for rule in found.get(group_id, ())]
    named = filters.exact(given, "security-group-rule-id")
    if named is not None:
        return list(records.rules_by_id(call.tx, named).values())
    return records.all_rules(call.tx)


def _rule(call: Call, rule: Rule, group: Group, its_tags: tags.TagList) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "SecurityGroupRuleId": rule.id,
        "SecurityGroupRuleArn": call.arn(f"security-group-rule/{rule.id}"),
        "GroupId": rule.group_id,
        "GroupOwnerId": rule.account_id,
        "IsEgress": rule.egress,
        "IpProtocol": rule.protocol,
        "FromPort": rule.from_port,
        "ToPort": rule.to_port,
        "Description": rule.description,
        "Tags": its_tags,
    }
    permission = rule.permission
    if permission.is_group:
        shown["ReferencedGroupInfo"] = {
            "GroupId": rule.peer,
            "UserId": rule.account_id,
            "VpcId": group.vpc_id,
        }
    else:
        shown["CidrIpv6" if permission.is_ipv6 else "CidrIpv4"] = rule.peer
    return shown


def _revoked(rule: Rule) -> dict[str, Any]:
    permission = rule.permission
    peer = "ReferencedGroupId" if permission.is_group else "CidrIpv6" if permission.is_ipv6 else "CidrIpv4"
    return {
        "SecurityGroupRuleId": rule.id,
        "GroupId": rule.group_id,
        "IsEgress": rule.egress,
        "IpProtocol": rule.protocol,
        "FromPort": rule.from_port,
        "ToPort": rule.to_port,
        "Description": rule.description,
        peer: rule.peer,
    }


# ------------------------------------------------------------------------------------------------------------------ access


def _tagged_rules(call: Call) -> Iterable[Check]:
    """Rules are resources of the request when it gives them tags."""
    if call.input.get("TagSpecifications"):
        yield about(call, access.NEW_SECURITY_GROUP_RULE)


_GROUP = (On(access.SECURITY_GROUP, "GroupId"), On(access.SECURITY_GROUP_NAMED, "GroupName"))
ACCESS = {
    "authorize_security_group_ingress": checked(*_GROUP, find=_tagged_rules),
    "authorize_security_group_egress": checked(*_GROUP, find=_tagged_rules),
    "revoke_security_group_ingress": checked(*_GROUP),
    "revoke_security_group_egress": checked(*_GROUP),
    "modify_security_group_rules": checked(*_GROUP, On(access.SECURITY_GROUP_RULE, "SecurityGroupRules[].SecurityGroupRuleId")),
    "update_security_group_rule_descriptions_ingress": checked(*_GROUP),
    "update_security_group_rule_descriptions_egress": checked(*_GROUP),
    "describe_security_group_rules": checked(),
}
