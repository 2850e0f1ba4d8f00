"""The firewall as a value: what rules become, and that differences lead where whole replacements do."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from mallee.fabric.document import Group, Rule
from mallee.node.network import NetworkError, firewall
from mallee.node.network.ruleset import Applied, Chain, Ruleset, Set, Table, difference, listing, whole
from tests.node.network.lab import OPEN, Box, identifier, network, port, rule

ONE, TWO = identifier("sg", 1), identifier("sg", 2)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (rule(1, "tcp", 22, 22, cidr="192.0.2.0/24"), "ip saddr 192.0.2.0/24 tcp dport 22"),
        (rule(1, "tcp", 22, 22, cidr="192.0.2.7/24"), "ip saddr 192.0.2.0/24 tcp dport 22"),
        (rule(1, "6", 80, 443, cidr="0.0.0.0/0"), "tcp dport 80-443"),
        (rule(1, "tcp", 0, 65535, cidr="0.0.0.0/0"), "meta l4proto tcp"),
        (rule(1, "tcp", cidr="0.0.0.0/0"), "meta l4proto tcp"),
        (rule(1, "udp", 53, 53, group=ONE), f"ip saddr @{ONE}-members udp dport 53"),
        (rule(1, "icmp", cidr="0.0.0.0/0"), "meta l4proto icmp"),
        (rule(1, "icmp", 3, 4, cidr="0.0.0.0/0"), "icmp type 3 icmp code 4"),
        (rule(1, "icmp", 8, -1, cidr="10.0.0.1/32"), "ip saddr 10.0.0.1/32 icmp type 8"),
        (rule(1, "50", cidr="0.0.0.0/0"), "meta l4proto 50"),
        (rule(1, "-1", cidr="0.0.0.0/0"), ""),
        (rule(1, "-1", cidr="10.0.0.0/8"), "ip saddr 10.0.0.0/8"),
    ],
)
def test_a_rule_says_what_it_means(given, said):
    assert firewall._rule(given, "saddr") == " ".join(filter(None, [said, f"counter name {given.id} accept"]))


@pytest.mark.parametrize("given", [rule(1, "tcp", 22, 22, cidr="::/0"), rule(1, "icmpv6", cidr="0.0.0.0/0"), Rule("sgr-00000001", "-1")])
def test_a_rule_that_no_packet_can_meet_lets_nothing_in(given):
    assert firewall._rule(given, "saddr") == ""


@pytest.mark.parametrize(
    "given",
    [
        rule(1, "tcp; drop", cidr="0.0.0.0/0"),
        rule(1, "tcp", 5, 4, cidr="0.0.0.0/0"),
        rule(1, "tcp", 1, 70000, cidr="0.0.0.0/0"),
        rule(1, "icmp", 256, 0, cidr="0.0.0.0/0"),
        rule(1, "256", cidr="0.0.0.0/0"),
        rule(1, cidr="0.0.0.0/0; drop"),
        rule(1, group="sg-1 accept"),
        Rule("sgr accept", "-1", cidr="0.0.0.0/0"),
    ],
)
def test_what_is_no_rule_is_refused(given):
    with pytest.raises((NetworkError, ValueError)):
        firewall.ruleset(network((port(10, "10.0.0.10", ONE),), (Group(ONE, (given,)),)))


def test_ports_with_the_same_groups_share_their_chains():
    ports = tuple(port(number, f"10.0.0.{number}", ONE, TWO) for number in range(10, 60))
    groups = (Group(ONE, (OPEN,)), Group(TWO, (rule(2, "tcp", 1, 1, group=ONE),)))
    few, many = (firewall.ruleset(network(some, groups)).tables[0] for some in (ports[:1], ports))
    assert few.chains.keys() == many.chains.keys()
    assert len(many.sets["groups_in"].elements) == 50
    assert difference(Ruleset([few]), Ruleset([few])) == ""


def test_a_group_that_nobody_described_lets_nothing_through():
    table = firewall.ruleset(network((port(10, "10.0.0.10", ONE),), (Group(ONE, (rule(1, group=TWO),)),))).tables[0]
    assert table.sets[f"{TWO}-members"].elements == {}
    table = firewall.ruleset(network((port(10, "10.0.0.10", ONE),), ())).tables[0]
    assert table.chains[f"{ONE}-in"].rules == []


def test_of_a_group_without_a_port_here_only_the_members_matter():
    far = Group(TWO, (rule(2, "tcp", 1, 1, cidr="0.0.0.0/0"),), members=("10.0.0.99",))
    table = firewall.ruleset(network((port(10, "10.0.0.10", ONE),), (Group(ONE, (rule(1, group=TWO),)), far))).tables[0]
    assert table.sets[f"{TWO}-members"].elements == {"10.0.0.99": ""}
    assert f"{TWO}-in" not in table.chains and identifier("sgr", 2) not in table.counters


def test_every_enforced_rule_has_a_counter_even_if_no_packet_can_meet_it():
    given = rule(1, "tcp", 22, 22, cidr="::/0")
    table = firewall.ruleset(network((port(10, "10.0.0.10", ONE),), (Group(ONE, (given,)),))).tables[0]
    assert given.id in table.counters and table.chains[f"{ONE}-in"].rules == []


def _random_ruleset(chance: random.Random) -> Ruleset:
    table = Table("inet", "fuzz")
    names = chance.sample(["alpha", "beta", "gamma", "delta"], chance.randint(1, 4))
    table.counters = dict.fromkeys(f"count-{name}" for name in names)
    for name in names:
        table.chains[name] = Chain([f"tcp dport {number} counter name count-{name} accept" for number in chance.sample(range(1, 5), 2)])
    table.chains["base"] = Chain([f"jump {chance.choice(names)}"], "type filter hook input priority 0; policy accept;")
    if chance.random() < 0.8:
        table.sets["who"] = Set("type ipv4_addr;", dict.fromkeys((f"10.0.0.{n}" for n in chance.sample(range(1, 9), 4)), ""))
    links = chance.sample(["a1", "b2", "c3"], 2)
    table.sets["where"] = Set("type ifname : verdict;", {f"p-{link}": f"jump {chance.choice(names)}" for link in links}, is_map=True)
    return Ruleset([table])


def _live(box: Box) -> list[str]:
    """The live ruleset as comparable text: no handles, no counts, no order among elements."""
    found = []
    for item in listing(box.namespace, "ruleset"):
        (kind, value), *_ = item.items()
        value = {key: part for key, part in value.items() if key not in ("handle", "packets", "bytes")}
        value["elem"] = sorted(json.dumps(element) for element in value.get("elem", []))
        if not str(value.get("name", "")).startswith("applied-"):
            found.append(json.dumps([kind, value], sort_keys=True))
    return sorted(found)


@pytest.mark.node
def test_every_difference_leads_where_the_whole_does(stack, host):
    chance = random.Random(7)
    other = Box.make(stack, f"{host.namespace.name}-b"[:40])
    step = Applied(host.namespace)
    for _ in range(25):
        wanted = _random_ruleset(chance)
        step.apply(wanted)
        other.namespace.run(["nft", "-f", "-"], whole(wanted))
        assert _live(host) == _live(other)
    assert step.wholes == 1
    assert step.differences >= 20


@pytest.mark.node
def test_counters_live_through_a_change_of_the_rules(stack, host):
    table = Table("inet", "t", counters={"kept": None}, chains={"c": Chain(["counter name kept"], "type filter hook input priority 0;")})
    applied = Applied(host.namespace)
    applied.apply(Ruleset([table]))
    assert host.ping("127.0.0.1")
    changed = replace(table, chains={"c": Chain(["tcp dport 1 drop", "counter name kept"], "type filter hook input priority 0;")})
    applied.apply(Ruleset([changed]))
    counted = [item["counter"]["packets"] for item in listing(host.namespace, "counters") if "counter" in item]
    assert counted[0] >= 2
    assert applied.differences == 1
