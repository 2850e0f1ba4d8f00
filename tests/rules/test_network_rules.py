"""Address arithmetic against the standard library, and choosing against counting."""

from __future__ import annotations

import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.network import names, rules

ADDRESS = st.integers(0, 2**32 - 1)
NETWORK = st.tuples(ADDRESS, st.integers(8, 32)).map(lambda pair: str(ipaddress.ip_network((pair[0], pair[1]), strict=False)))
SMALL_NETWORK = st.tuples(ADDRESS, st.integers(24, 32)).map(
    lambda pair: str(ipaddress.ip_network((pair[0], pair[1]), strict=False))
)


@given(ADDRESS)
def test_dotted_and_number_are_inverse(value: int) -> None:
    assert rules.dotted(value) == str(ipaddress.IPv4Address(value))
    assert rules.number(rules.dotted(value)) == value


@given(NETWORK, ADDRESS)
def test_a_block_holds_what_the_network_holds(cidr: str, value: int) -> None:
    network = ipaddress.IPv4Network(cidr)
    assert (value in rules.block(cidr)) is (ipaddress.IPv4Address(value) in network)
    assert rules.block(cidr).size == network.num_addresses


@given(SMALL_NETWORK)
def test_hosts_are_all_but_the_first_four_and_the_last(cidr: str) -> None:
    expected = [str(each) for each in ipaddress.IPv4Network(cidr)][4:-1]
    assert [rules.dotted(each) for each in rules.host_range(cidr)] == expected


@given(SMALL_NETWORK)
def test_a_pool_gives_its_hosts(cidr: str) -> None:
    network = ipaddress.IPv4Network(cidr)
    expected = list(network) if network.prefixlen >= 31 else list(network.hosts())
    assert [rules.dotted(each) for each in rules.pool_range(cidr)] == [str(each) for each in expected]


@given(NETWORK, NETWORK)
def test_overlap_is_that_of_the_networks(one: str, other: str) -> None:
    expected = ipaddress.IPv4Network(one).overlaps(ipaddress.IPv4Network(other))
    assert rules.overlap(rules.block(one), rules.block(other)) is expected


RANGES = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20)), max_size=4).map(
    lambda pairs: [range(1000 * place + start, 1000 * place + start + size) for place, (start, size) in enumerate(pairs)]
)


@given(RANGES, st.integers(0, 40), st.integers())
def test_proposals_are_distinct_and_from_the_ranges(ranges: list[range], count: int, seed: int) -> None:
    possible = [rules.dotted(each) for one in ranges for each in one]
    found = rules.proposals(ranges, random.Random(seed), count)
    assert len(found) == min(count, len(possible))
    assert len(set(found)) == len(found)
    assert set(found) <= set(possible)


@given(RANGES, st.data(), st.integers())
def test_free_gives_exactly_what_is_not_taken(ranges: list[range], data: st.DataObject, seed: int) -> None:
    possible = [rules.dotted(each) for one in ranges for each in one]
    taken = data.draw(st.sets(st.sampled_from(possible))) if possible else set()
    found = list(rules.free(ranges, taken, random.Random(seed)))
    assert sorted(found) == sorted(set(possible) - taken)


def test_every_address_is_proposed_sometime() -> None:
    chance, ranges = random.Random(7), [range(3), range(10, 12)]
    seen = {rules.proposals(ranges, chance, 1)[0] for _ in range(300)}
    assert seen == {"0.0.0.0", "0.0.0.1", "0.0.0.2", "0.0.0.10", "0.0.0.11"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("100.68.0.18/18", "100.68.0.0/18"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("1.2.3.4/32", "1.2.3.4/32"),
        ("2001:DB8::1/32", "2001:db8::/32"),
        ("::/0", "::/0"),
        ("1.2.3.4", None),
        ("1.2.3.4/33", None),
        ("1.2.3.4/-1", None),
        ("1.2.3.4/255.0.0.0", None),
        ("1.2.3/8", None),
        ("1.2.3.04/8", None),
        ("::/129", None),
        ("10.0.0.0/٨", None),
        ("", None),
        ("/", None),
    ],
)
def test_ranges_are_kept_in_one_spelling(given: str, expected: str | None) -> None:
    assert rules.canonical_cidr(given) == expected


@given(NETWORK, st.text(max_size=10))
def test_canonical_is_a_fixed_point(cidr: str, noise: str) -> None:
    assert rules.canonical_cidr(cidr) == cidr
    found = rules.canonical_cidr(noise)
    assert found is None or rules.canonical_cidr(found) == found


def test_default_subnets_divide_the_default_vpc() -> None:
    blocks = rules.default_subnets()
    assert blocks[:3] == ["172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20"]
    assert len(blocks) == 16
    assert rules.gateway("172.31.16.0/20") == "172.31.16.1"
    assert rules.resolver("172.31.0.0/16") == "172.31.0.2"


@pytest.mark.parametrize(
    ("region", "zone", "expected"),
    [
        ("us-east-1", "us-east-1a", "use1-az1"),
        ("ap-southeast-2", "ap-southeast-2c", "apse2-az3"),
        ("eu-central-1", "eu-central-1b", "euc1-az2"),
        ("local-1", "local-1a", "local1-az1"),
        ("home", "attic", "home-attic"),
    ],
)
def test_zone_ids_are_formed_as_in_aws(region: str, zone: str, expected: str) -> None:
    assert names.zone_id(region, zone) == expected


@given(st.text(max_size=30))
def test_hardware_addresses_are_local_and_unicast(id: str) -> None:
    octets = [int(part, 16) for part in names.hardware_address(id).split(":")]
    assert len(octets) == 6
    assert octets[0] & 0b11 == 0b10


def test_host_names() -> None:
    assert names.private_hostname("172.31.0.5", "local-1") == "ip-172-31-0-5.local-1.compute.internal"
    assert names.private_hostname("172.31.0.5", "us-east-1") == "ip-172-31-0-5.ec2.internal"
