"""Security group rules: reading, equality, subtraction and grouping against oracles that work rule by rule."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.network import permissions
from mallee.network.permissions import Asked, Permission
from mallee.wire.errors import AwsError

PEERS = ["0.0.0.0/0", "10.0.0.0/8", "2001:db8::/32", "::/0", "sg-0123abcd", "sg-0123abce"]
PROTOCOLS = {"tcp": ["tcp", "6", "TCP"], "udp": ["udp", "17"], "icmp": ["icmp", "1"], "-1": ["-1", "all"], "50": ["50"]}


@st.composite
def one_permission(draw: st.DrawFn) -> Permission:
    protocol = draw(st.sampled_from(list(PROTOCOLS)))
    if protocol in ("tcp", "udp"):
        first = draw(st.integers(20, 23))
        ports = (first, draw(st.integers(first, 24)))
    elif protocol == "icmp":
        ports = draw(st.sampled_from([(-1, -1), (8, -1), (8, 0), (3, 4)]))
    else:
        ports = (-1, -1)
    return Permission(protocol, *ports, draw(st.sampled_from(PEERS)))


ASKED = st.builds(Asked, one_permission(), st.none() | st.just("for tests"))


def resolve(pair: Any) -> str:
    return pair["GroupId"]


def written(asked: list[Asked], data: st.DataObject) -> list[dict[str, Any]]:
    """Some IpPermissions that mean these rules: each in an entry of its own, spelled in one of the possible ways."""
    entries = []
    for each in asked:
        p = each.permission
        entry: dict[str, Any] = {"IpProtocol": data.draw(st.sampled_from(PROTOCOLS[p.protocol]))}
        if p.protocol in ("tcp", "udp", "icmp"):
            entry |= {"FromPort": p.from_port, "ToPort": p.to_port}
        else:
            entry |= data.draw(st.sampled_from([{}, {"FromPort": 5, "ToPort": 6}, {"FromPort": -1, "ToPort": -1}]))
        item = {"Description": each.description} if each.description else {}
        if p.is_group:
            entry["UserIdGroupPairs"] = [item | {"GroupId": p.peer}]
        elif p.is_ipv6:
            entry["Ipv6Ranges"] = [item | {"CidrIpv6": p.peer}]
        else:
            entry["IpRanges"] = [item | {"CidrIp": p.peer}]
        entries.append(entry)
    return entries


@given(st.lists(ASKED, max_size=8), st.data())
def test_reading_gives_back_what_was_written_in_any_spelling(asked: list[Asked], data: st.DataObject) -> None:
    assert permissions.read(written(asked, data), resolve) == asked


@given(st.lists(ASKED, max_size=12))
def test_grouping_loses_and_invents_nothing(asked: list[Asked]) -> None:
    shown = permissions.grouped(asked, lambda id: {"GroupId": id, "UserId": "1" * 12})
    keys = [(entry["IpProtocol"], entry.get("FromPort"), entry.get("ToPort")) for entry in shown]
    assert len(set(keys)) == len(keys)
    assert Counter(permissions.read(shown, resolve)) == Counter(asked)


@given(st.lists(ASKED, max_size=8))
def test_repetition_is_refused_whatever_the_description(asked: list[Asked]) -> None:
    distinct = len({each.permission for each in asked}) == len(asked)
    if distinct:
        permissions.refuse_repeated(asked)
    else:
        with pytest.raises(AwsError) as refused:
            permissions.refuse_repeated(asked)
        assert refused.value.code == "InvalidParameterValue"


@given(st.lists(ASKED, max_size=8), st.sets(one_permission(), max_size=8))
def test_splitting_is_subtraction(asked: list[Asked], present: set[Permission]) -> None:
    ids = {permission: f"sgr-{number}" for number, permission in enumerate(sorted(present, key=lambda p: p.sort_key))}
    known, unknown = permissions.split(asked, ids)
    assert set(known) == {ids[each.permission] for each in asked if each.permission in present}
    assert len(set(known)) == len(known)
    assert unknown == [each for each in asked if each.permission not in present]


@given(st.lists(one_permission(), max_size=20), st.integers(0, 10))
def test_limits_count_ipv4_and_ipv6_apart(given_permissions: list[Permission], maximum: int) -> None:
    ipv4 = [p for p in given_permissions if ":" not in p.peer]
    ipv6 = [p for p in given_permissions if ":" in p.peer or p.peer.startswith("sg-")]
    assert permissions.exceeds(given_permissions, maximum) is (max(len(ipv4), len(ipv6)) > maximum)


def ranged(**entry: Any) -> list[dict[str, Any]]:
    return [{"IpRanges": [{"CidrIp": "0.0.0.0/0"}], **entry}]


@pytest.mark.parametrize(
    ("given_permissions", "code", "message"),
    [
        (ranged(), "MissingParameter", "The request must contain the parameter ipProtocol"),
        (
            ranged(IpProtocol="tpc"),
            "InvalidParameterValue",
            "Invalid value 'tpc' for IP protocol. Unknown protocol.",
        ),
        (ranged(IpProtocol="256"), "InvalidParameterValue", None),
        (
            ranged(IpProtocol="tcp"),
            "InvalidParameterValue",
            "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange.",
        ),
        (ranged(IpProtocol="tcp", FromPort=1), "InvalidParameterValue", None),
        (
            ranged(IpProtocol="tcp", FromPort=443, ToPort=80),
            "InvalidParameterValue",
            "Invalid TCP port range (443:80)",
        ),
        (ranged(IpProtocol="tcp", FromPort=-1, ToPort=80), "InvalidParameterValue", None),
        (ranged(IpProtocol="udp", FromPort=1, ToPort=65536), "InvalidParameterValue", None),
        (ranged(IpProtocol="icmp"), "InvalidParameterValue", None),
        (ranged(IpProtocol="icmp", FromPort=-1, ToPort=0), "InvalidParameterValue", None),
        (ranged(IpProtocol="icmp", FromPort=256, ToPort=0), "InvalidParameterValue", None),
        ([{"IpProtocol": "-1"}], "MissingParameter", None),
        ([{"IpProtocol": "-1", "IpRanges": [{}]}], "MissingParameter", None),
        (
            [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/33"}]}],
            "InvalidParameterValue",
            "CIDR block 10.0.0.0/33 is malformed",
        ),
        ([{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "::/0"}]}], "InvalidParameterValue", None),
        ([{"IpProtocol": "-1", "Ipv6Ranges": [{"CidrIpv6": "10.0.0.0/8"}]}], "InvalidParameterValue", None),
        (
            [{"IpProtocol": "-1", "PrefixListIds": [{"PrefixListId": "pl-1"}]}],
            "InvalidPrefixListID.NotFound",
            "The prefix list ID 'pl-1' does not exist",
        ),
        (
            [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "\n"}]}],
            "InvalidParameterValue",
            None,
        ),
        (
            [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "x" * 256}]}],
            "InvalidParameterValue",
            None,
        ),
    ],
)
def test_what_aws_refuses(given_permissions: list[dict[str, Any]], code: str, message: str | None) -> None:
    with pytest.raises(AwsError) as refused:
        permissions.read(given_permissions, resolve)
    assert refused.value.code == code
    if message is not None:
        assert refused.value.message == message


def test_icmpv6_needs_no_type() -> None:
    asked = permissions.read([{"IpProtocol": "58", "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}], resolve)
    assert asked == [Asked(Permission("icmpv6", -1, -1, "::/0"))]


def test_flat_parameters_mean_one_permission() -> None:
    flat = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "1.2.3.4/32", "GroupId": "sg-0123abcd"}
    assert permissions.read(permissions.flattened(flat), resolve) == [Asked(Permission("tcp", 22, 22, "1.2.3.4/32"))]


def test_a_flat_source_group_opens_everything() -> None:
    found = permissions.read(
        permissions.flattened({"SourceSecurityGroupName": "web", "SourceSecurityGroupOwnerId": "1" * 12}),
        lambda pair: f"sg-{pair['GroupName']}-{pair['UserId'][0]}",
    )
    assert [(each.permission.protocol, each.permission.from_port, each.permission.to_port) for each in found] == [
        ("tcp", 0, 65535),
        ("udp", 0, 65535),
        ("icmp", -1, -1),
    ]
    assert {each.permission.peer for each in found} == {"sg-web-1"}


@pytest.mark.parametrize(
    "input",
    [
        {"SourceSecurityGroupName": "web", "CidrIp": "0.0.0.0/0"},
        {"SourceSecurityGroupName": "web", "IpProtocol": "tcp"},
        {"IpPermissions": [{"IpProtocol": "-1"}], "CidrIp": "0.0.0.0/0"},
    ],
)
def test_flat_parameters_that_exclude_each_other(input: dict[str, Any]) -> None:
    with pytest.raises(AwsError) as refused:
        permissions.flattened(input)
    assert refused.value.code == "InvalidParameterCombination"


@pytest.mark.parametrize(
    ("permission", "text"),
    [
        (Permission("tcp", 22, 22, "0.0.0.0/0"), "peer: 0.0.0.0/0, TCP, from port: 22, to port: 22, ALLOW"),
        (Permission("-1", -1, -1, "sg-0123abcd"), "peer: sg-0123abcd, ALL, ALLOW"),
        (Permission("icmp", 8, 0, "0.0.0.0/0"), "peer: 0.0.0.0/0, ICMP, type: 8, code: 0, ALLOW"),
        (Permission("50", -1, -1, "0.0.0.0/0"), "peer: 0.0.0.0/0, protocol: 50, ALLOW"),
    ],
)
def test_a_duplicate_is_named(permission: Permission, text: str) -> None:
    error = permissions.duplicate(permission)
    assert error.code == "InvalidPermission.Duplicate"
    assert error.message == f'the specified rule "{text}" already exists'
