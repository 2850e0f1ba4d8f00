"""Where a connection comes from, as nodes tell it: nothing but what a node says is believed."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mallee.fabric import origin
from mallee.fabric.origin import BadOrigin, Origin

ORIGIN = Origin("vpc-0123456789abcdef0", "172.31.0.5", 40000)


@given(
    st.from_regex(r"\Avpc-[0-9a-f]{17}\Z"),
    st.ip_addresses(v=4).map(str),
    st.integers(0, 65535),
)
def test_what_is_told_is_understood(vpc: str, address: str, port: int) -> None:
    told = Origin(vpc, address, port)
    data = origin.encode(told, "169.254.169.252", 80)
    head, body = data[: origin.HEAD], data[origin.HEAD :]
    assert origin.remaining(head) == len(body) and origin.decode(body) == told


def test_it_is_the_proxy_protocol() -> None:
    data = origin.encode(ORIGIN, "169.254.169.252", 443)
    assert data[:12] == b"\r\n\r\n\x00\r\nQUIT\n" and data[12:14] == b"\x21\x11"
    assert (
        str(ipaddress.IPv4Address(data[16:20])) == "172.31.0.5" and str(ipaddress.IPv4Address(data[20:24])) == "169.254.169.252"
    )


@given(st.binary(max_size=64))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(BadOrigin):
        origin.remaining(data[: origin.HEAD])
    if len(data) >= 12:
        try:
            told = origin.decode(data)
        except BadOrigin:
            return
        assert told.vpc_id.startswith("vpc-")


@pytest.mark.parametrize(
    ("at", "value"), [(12, 0x20), (13, 0x21), (13, 0x12), (14, 0xFF), (15, 0)], ids=["local", "tcp6", "udp", "long", "short"]
)
def test_headers_of_other_kinds_are_refused(at: int, value: int) -> None:
    data = bytearray(origin.encode(ORIGIN, "169.254.169.252", 80))
    data[at] = value
    with pytest.raises(BadOrigin):
        origin.remaining(bytes(data[: origin.HEAD]))


def test_what_is_no_vpc_is_refused() -> None:
    for vpc in ("vpc-", "vpc-0123456789abcdef0/../x", "subnet-0123456789abcdef0", ""):
        body = origin.encode(Origin(vpc, "10.0.0.1", 1), "169.254.169.252", 80)[origin.HEAD :]
        with pytest.raises(BadOrigin):
            origin.decode(body)
