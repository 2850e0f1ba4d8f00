"""Authorizing, revoking, modifying and describing the rules of security groups."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused

ANYWHERE = [{"CidrIp": "0.0.0.0/0"}]


def group(ec2: Any, name: str = "web") -> str:
    return ec2.create_security_group(GroupName=name, Description="for tests")["GroupId"]


def inward(ec2: Any, id: str) -> list[dict[str, Any]]:
    return ec2.describe_security_groups(GroupIds=[id])["SecurityGroups"][0]["IpPermissions"]


def outward(ec2: Any, id: str) -> list[dict[str, Any]]:
    return ec2.describe_security_groups(GroupIds=[id])["SecurityGroups"][0]["IpPermissionsEgress"]


def tcp(first: int, last: int | None = None, **more: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": first, "ToPort": first if last is None else last, **more}


def open_to(ec2: Any, id: str, *permissions: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return ec2.authorize_security_group_ingress(GroupId=id, IpPermissions=list(permissions), **more)["SecurityGroupRules"]


def test_a_permission_becomes_one_rule_per_peer(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id, other = group(ec2), group(ec2, "other")
    made = open_to(
        ec2,
        id,
        tcp(
            80,
            81,
            IpRanges=[{"CidrIp": "10.1.2.3/8", "Description": "inside"}, {"CidrIp": "192.0.2.0/24"}],
            Ipv6Ranges=[{"CidrIpv6": "2001:DB8::/32"}],
            UserIdGroupPairs=[{"GroupId": other, "Description": "friends"}, {"GroupName": "web"}],
        ),
    )
    assert len(made) == 5
    assert len({rule["SecurityGroupRuleId"] for rule in made}) == 5
    first = made[0]
    assert first["SecurityGroupRuleId"].startswith("sgr-")
    assert (first["CidrIpv4"], first["Description"], first["IsEgress"]) == ("10.0.0.0/8", "inside", False)
    assert (first["IpProtocol"], first["FromPort"], first["ToPort"]) == ("tcp", 80, 81)
    assert (first["GroupId"], first["GroupOwnerId"]) == (id, cloud.admin.id)
    assert made[2]["CidrIpv6"] == "2001:db8::/32"
    assert made[3]["ReferencedGroupInfo"]["GroupId"] == other
    assert made[4]["ReferencedGroupInfo"]["GroupId"] == id
    (entry,) = inward(ec2, id)
    assert (entry["IpProtocol"], entry["FromPort"], entry["ToPort"]) == ("tcp", 80, 81)
    assert entry["IpRanges"] == [{"CidrIp": "10.0.0.0/8", "Description": "inside"}, {"CidrIp": "192.0.2.0/24"}]
    assert entry["Ipv6Ranges"] == [{"CidrIpv6": "2001:db8::/32"}]
    pairs = {each["GroupId"]: each for each in entry["UserIdGroupPairs"]}
    assert pairs[other] == {"GroupId": other, "UserId": cloud.admin.id, "Description": "friends"}
    assert pairs[id] == {"GroupId": id, "UserId": cloud.admin.id}


def test_the_flat_parameters_of_old(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id = group(ec2)
    ec2.authorize_security_group_ingress(GroupName="web", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0")
    ec2.authorize_security_group_ingress(GroupId=id, IpProtocol="icmp", FromPort=-1, ToPort=-1, CidrIp="10.0.0.0/8")
    ec2.authorize_security_group_ingress(GroupId=id, SourceSecurityGroupName="default")
    found = [(entry["IpProtocol"], entry["FromPort"], entry["ToPort"]) for entry in inward(ec2, id)]
    assert found == [("icmp", -1, -1), ("tcp", 0, 65535), ("tcp", 22, 22), ("udp", 0, 65535)]
    ec2.revoke_security_group_ingress(GroupId=id, SourceSecurityGroupName="default")
    ec2.revoke_security_group_ingress(GroupId=id, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0")
    assert [entry["IpProtocol"] for entry in inward(ec2, id)] == ["icmp"]
    with refused("InvalidParameterCombination"):
        ec2.authorize_security_group_ingress(GroupId=id, SourceSecurityGroupName="default", CidrIp="0.0.0.0/0")


def test_the_same_rule_twice(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id = group(ec2)
    open_to(ec2, id, tcp(22, IpRanges=ANYWHERE))
    with refused("InvalidPermission.Duplicate", 400) as message:
        open_to(ec2, id, tcp(23, IpRanges=ANYWHERE), tcp(22, IpRanges=[{"CidrIp": "1.2.3.4/0", "Description": "x"}]))
    assert message() == ('the specified rule "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW" already exists')
    assert len(inward(ec2, id)) == 1
    with refused("InvalidParameterValue") as message:
        open_to(ec2, id, tcp(24, IpRanges=ANYWHERE), tcp(24, IpRanges=ANYWHERE))
    assert message() == "The same permission must not appear multiple times"
    ec2.authorize_security_group_egress(GroupId=id, IpPermissions=[tcp(22, IpRanges=ANYWHERE)])


def test_protocols_by_number_and_without_ports(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = group(ec2)
    made = open_to(
        ec2,
        id,
        {"IpProtocol": "6", "FromPort": 1, "ToPort": 2, "IpRanges": ANYWHERE},
        {"IpProtocol": "50", "IpRanges": ANYWHERE},
        {"IpProtocol": "-1", "FromPort": 5, "ToPort": 6, "IpRanges": ANYWHERE},
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": ANYWHERE},
    )
    assert [(each["IpProtocol"], each["FromPort"], each["ToPort"]) for each in made] == [
        ("tcp", 1, 2),
        ("50", -1, -1),
        ("-1", -1, -1),
        ("icmp", 8, -1),
    ]
    shown = {entry["IpProtocol"]: entry for entry in inward(ec2, id)}
    assert "FromPort" not in shown["-1"]
    assert "FromPort" not in shown["50"]
    assert (shown["icmp"]["FromPort"], shown["icmp"]["ToPort"]) == (8, -1)


@pytest.mark.parametrize(
    ("permission", "code"),
    [
        ({"IpProtocol": "tcp", "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        ({"IpProtocol": "nonsense", "IpRanges": ANYWHERE}, "InvalidParameterValue"),
        (tcp(443, 80, IpRanges=ANYWHERE), "InvalidParameterValue"),
        (tcp(0, 65536, IpRanges=ANYWHERE), "InvalidParameterValue"),
        (tcp(22, IpRanges=[{"CidrIp": "1.2.3.4"}]), "InvalidParameterValue"),
        (tcp(22, IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "<b>"}]), "InvalidParameterValue"),
        (tcp(22, Ipv6Ranges=[{"CidrIpv6": "0.0.0.0/0"}]), "InvalidParameterValue"),
        (tcp(22), "MissingParameter"),
        ({"IpRanges": ANYWHERE}, "MissingParameter"),
        (tcp(22, PrefixListIds=[{"PrefixListId": "pl-0123456789abcdef0"}]), "InvalidPrefixListID.NotFound"),
        (tcp(22, UserIdGroupPairs=[{"GroupId": "sg-0123456789abcdef0"}]), "InvalidGroup.NotFound"),
        (tcp(22, UserIdGroupPairs=[{"GroupId": "web"}]), "InvalidGroupId.Malformed"),
        (tcp(22, UserIdGroupPairs=[{"GroupName": "nobody"}]), "InvalidGroup.NotFound"),
        (tcp(22, UserIdGroupPairs=[{}]), "MissingParameter"),
        (tcp(22, UserIdGroupPairs=[{"GroupName": "default", "UserId": "210987654321"}]), "InvalidGroup.NotFound"),
    ],
)
def test_what_aws_refuses(sqlite_cloud: TestCloud, permission: dict[str, Any], code: str) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = group(ec2)
    with refused(code, 400):
        open_to(ec2, id, tcp(1, IpRanges=ANYWHERE), permission)
    with refused(code, 400):
        ec2.authorize_security_group_egress(GroupId=id, IpPermissions=[permission])
    assert inward(ec2, id) == []


def test_missing_and_foreign_groups(cloud: TestCloud) -> None:
    ec2, other = cloud.client("ec2"), cloud.account().client("ec2")
    mine, theirs = group(ec2), group(other)
    for call in (ec2.authorize_security_group_ingress, ec2.revoke_security_group_ingress):
        with refused("InvalidGroup.NotFound"):
            call(GroupId=theirs, IpPermissions=[tcp(22, IpRanges=ANYWHERE)])
        with refused("InvalidGroup.NotFound"):
            call(GroupName="nobody", IpPermissions=[tcp(22, IpRanges=ANYWHERE)])
        with refused("MissingParameter"):
            call(IpPermissions=[tcp(22, IpRanges=ANYWHERE)])
        with refused("MissingParameter"):
            call(GroupId=mine)
    with refused("InvalidGroup.NotFound"):
        open_to(ec2, mine, tcp(22, UserIdGroupPairs=[{"GroupId": theirs}]))
    with refused("InvalidParameterCombination"):
        ec2.authorize_security_group_egress(GroupId=mine, IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp="0.0.0.0/0")


def test_sixty_rules_in_each_direction(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = group(ec2)
    open_to(ec2, id, *[tcp(port, IpRanges=ANYWHERE) for port in range(59)])
    with refused("RulesPerSecurityGroupLimitExceeded") as message:
        open_to(ec2, id, *[tcp(port, IpRanges=ANYWHERE) for port in range(59, 61)])
    assert message() == "The maximum number of rules per security group has been reached."
    open_to(ec2, id, tcp(60, IpRanges=ANYWHERE))
    open_to(ec2, id, tcp(60, Ipv6Ranges=[{"CidrIpv6": "::/0"}]))
    with refused("RulesPerSecurityGroupLimitExceeded"):
        open_to(ec2, id, tcp(61, UserIdGroupPairs=[{"GroupId": id}]))
    assert len(inward(ec2, id)) == 60


# ---------------------------------------------------------------------------------------------------------------- revoking


def test_revoking_by_content_ignores_the_description(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id = group(ec2)
    (made,) = open_to(ec2, id, tcp(22, IpRanges=[{"CidrIp": "10.0.0.0/8", "Description": "inside"}]))
    gone = ec2.revoke_security_group_ingress(GroupId=id, IpPermissions=[tcp(22, IpRanges=[{"CidrIp": "10.9.9.9/8"}])])
    assert gone["Return"] is True
    (rule,) = gone["RevokedSecurityGroupRules"]
    assert rule["SecurityGroupRuleId"] == made["SecurityGroupRuleId"]
    assert (rule["CidrIpv4"], rule["Description"], rule["IsEgress"]) == ("10.0.0.0/8", "inside", False)
    assert inward(ec2, id) == []


def test_in_the_default_vpc_unknown_rules_are_returned(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id = group(ec2)
    open_to(ec2, id, tcp(22, IpRanges=ANYWHERE))
    gone = ec2.revoke_security_group_ingress(
        GroupId=id, IpPermissions=[tcp(22, IpRanges=[*ANYWHERE, {"CidrIp": "10.0.0.0/8"}]), tcp(23, IpRanges=ANYWHERE)]
    )
    assert len(gone["RevokedSecurityGroupRules"]) == 1
    unknown = {(entry["FromPort"], each["CidrIp"]) for entry in gone["UnknownIpPermissions"] for each in entry["IpRanges"]}
    assert unknown == {(22, "10.0.0.0/8"), (23, "0.0.0.0/0")}
    assert inward(ec2, id) == []


def test_elsewhere_an_unknown_rule_is_an_error_and_nothing_is_revoked(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = group(ec2)
    open_to(ec2, id, tcp(22, IpRanges=ANYWHERE))
    with sqlite_cloud.database.transaction(sqlite_cloud.admin.id) as tx:
        from mallee.network import records

        vpc = records.default_vpc(tx)
        assert vpc is not None
        tx.change(records.vpcs, vpc.id, is_default=False)
    with refused("InvalidPermission.NotFound", 400) as message:
        ec2.revoke_security_group_ingress(GroupId=id, IpPermissions=[tcp(22, IpRanges=ANYWHERE), tcp(23, IpRanges=ANYWHERE)])
    assert message() == "The specified rule does not exist in this security group."
    assert len(inward(ec2, id)) == 1
    with refused("VPCIdNotSpecified"):
        ec2.delete_security_group(GroupName="web")


def test_revoking_by_id(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id, other = group(ec2), group(ec2, "other")
    first, second = open_to(ec2, id, tcp(22, IpRanges=ANYWHERE), tcp(23, UserIdGroupPairs=[{"GroupId": other}]))
    first_id, second_id = first["SecurityGroupRuleId"], second["SecurityGroupRuleId"]
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        ec2.revoke_security_group_egress(GroupId=id, SecurityGroupRuleIds=[first_id])
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        ec2.revoke_security_group_ingress(GroupId=other, SecurityGroupRuleIds=[first_id])
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        ec2.revoke_security_group_ingress(GroupId=id, SecurityGroupRuleIds=[first_id, "sgr-0123456789abcdef0"])
    with refused("InvalidSecurityGroupRuleId.Malformed"):
        ec2.revoke_security_group_ingress(GroupId=id, SecurityGroupRuleIds=["sgr-x"])
    with refused("InvalidParameterCombination"):
        ec2.revoke_security_group_ingress(GroupId=id, SecurityGroupRuleIds=[first_id], IpPermissions=[tcp(22, IpRanges=ANYWHERE)])
    gone = ec2.revoke_security_group_ingress(GroupId=id, SecurityGroupRuleIds=[first_id, second_id])
    assert [each["SecurityGroupRuleId"] for each in gone["RevokedSecurityGroupRules"]] == [first_id, second_id]
    assert gone["RevokedSecurityGroupRules"][1]["ReferencedGroupId"] == other
    assert inward(ec2, id) == []


def test_the_way_out_can_be_closed_and_opened(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id = group(ec2)
    everything = {"IpProtocol": "-1", "IpRanges": ANYWHERE}
    ec2.revoke_security_group_egress(GroupId=id, IpPermissions=[everything])
    assert outward(ec2, id) == []
    (made,) = ec2.authorize_security_group_egress(GroupId=id, IpPermissions=[tcp(443, IpRanges=ANYWHERE)])["SecurityGroupRules"]
    assert made["IsEgress"] is True
    ec2.revoke_security_group_egress(GroupId=id, SecurityGroupRuleIds=[made["SecurityGroupRuleId"]])
    assert outward(ec2, id) == []


# --------------------------------------------------------------------------------------------------------------- modifying


def test_rules_are_modified_in_place(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id = group(ec2)
    first, second = (
        each["SecurityGroupRuleId"] for each in open_to(ec2, id, tcp(1, IpRanges=ANYWHERE), tcp(2, IpRanges=ANYWHERE))
    )

    def modify(*updates: tuple[str, dict[str, Any]]) -> Any:
        return ec2.modify_security_group_rules(
            GroupId=id,
            SecurityGroupRules=[{"SecurityGroupRuleId": each, "SecurityGroupRule": rule} for each, rule in updates],
        )

    def content(rule_id: str) -> tuple[Any, ...]:
        (rule,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule_id])["SecurityGroupRules"]
        return rule["IpProtocol"], rule["FromPort"], rule.get("CidrIpv4"), rule.get("Description")

    def port(number: int, **more: Any) -> dict[str, Any]:
        return {"IpProtocol": "tcp", "FromPort": number, "ToPort": number, "CidrIpv4": "0.0.0.0/0", **more}

    assert modify((first, port(3, Description="three")))["Return"] is True
    assert content(first) == ("tcp", 3, "0.0.0.0/0", "three")
    modify((first, port(2)), (second, port(3)))
    assert (content(first)[1], content(second)[1]) == (2, 3)
    modify((first, {"IpProtocol": "-1", "ReferencedGroupId": id}))
    assert content(first) == ("-1", -1, None, None)
    with refused("InvalidPermission.Duplicate"):
        modify((first, port(3)))
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        modify(("sgr-0123456789abcdef0", port(9)))
    with refused("InvalidParameterValue"):
        modify((first, port(9, CidrIpv6="::/0")))
    with refused("InvalidParameterValue"):
        modify((first, port(9)), (first, port(10)))
    with refused("InvalidGroup.NotFound"):
        modify((first, {"IpProtocol": "-1", "ReferencedGroupId": "sg-0123456789abcdef0"}))
    assert content(second)[1] == 3


def test_descriptions_are_updated_by_content_and_by_id(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    id = group(ec2)
    (rule,) = open_to(ec2, id, tcp(22, IpRanges=ANYWHERE))
    rule_id = rule["SecurityGroupRuleId"]

    def description() -> str | None:
        return inward(ec2, id)[0]["IpRanges"][0].get("Description")

    update = ec2.update_security_group_rule_descriptions_ingress
    update(GroupId=id, IpPermissions=[tcp(22, IpRanges=[{"CidrIp": "0.0.0.0/0", "Description": "all"}])])
    assert description() == "all"
    update(GroupName="web", SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": rule_id, "Description": "new"}])
    assert description() == "new"
    update(GroupId=id, IpPermissions=[tcp(22, IpRanges=ANYWHERE)])
    assert description() is None
    with refused("InvalidPermission.NotFound"):
        update(GroupId=id, IpPermissions=[tcp(23, IpRanges=ANYWHERE)])
    with refused("InvalidSecurityGroupRuleId.NotFound"):
        ec2.update_security_group_rule_descriptions_egress(
            GroupId=id, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": rule_id, "Description": "new"}]
        )
    with refused("MissingParameter"):
        update(GroupId=id)
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "out"}]}
    ec2.update_security_group_rule_descriptions_egress(GroupId=id, IpPermissions=[everything])
    assert outward(ec2, id)[0]["IpRanges"] == [{"CidrIp": "0.0.0.0/0", "Description": "out"}]


# -------------------------------------------------------------------------------------------------------------- describing


def test_rules_are_described_by_group_id_and_tag(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = group(ec2)
    made = open_to(
        ec2,
        id,
        *[tcp(port, IpRanges=ANYWHERE) for port in range(6)],
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": [{"Key": "a", "Value": "1"}]}],
    )

    def found(name: str, *values: str) -> int:
        asked = [{"Name": name, "Values": list(values)}]
        return len(ec2.describe_security_group_rules(Filters=asked)["SecurityGroupRules"])

    assert found("group-id", id) == 7
    assert found("group-id", "sg-*") == 9
    assert found("group-id", "sg-0123456789abcdef0") == 0
    assert found("security-group-rule-id", made[0]["SecurityGroupRuleId"]) == 1
    assert found("tag:a", "1") == 6
    (one,) = ec2.describe_security_group_rules(SecurityGroupRuleIds=[made[0]["SecurityGroupRuleId"]])["SecurityGroupRules"]
    assert one == made[0]
    pages = list(
        ec2.get_paginator("describe_security_group_rules").paginate(
            Filters=[{"Name": "group-id", "Values": [id]}], PaginationConfig={"PageSize": 5}
        )
    )
    assert [len(page["SecurityGroupRules"]) for page in pages] == [5, 2]


def test_a_dry_run_opens_nothing(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    id = group(ec2)
    with refused("DryRunOperation", 412):
        open_to(ec2, id, tcp(22, IpRanges=ANYWHERE), DryRun=True)
    assert inward(ec2, id) == []
