"""Where issuers may be, and what a fetch does to its own process."""

from __future__ import annotations

import ipaddress
import threading

import pytest

from mallee.identity.federation import fetching, jwks
from mallee.identity.federation.fetching import Policy, Unreachable, Unusable
from mallee.identity.federation.jwks import Issuer, Issuers

NEAR = [
    "127.0.0.1", "127.255.0.1", "0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255", "240.0.0.1",
    "::1", "::", "fe80::1", "fe80::1%eth0", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:0:1:1::8000:fffe",
]  # fmt: skip
FAR = [
    "192.0.2.1",
    "198.51.100.7",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "2001:db8::1",
    "fd00::1",
]


@pytest.mark.parametrize("address", NEAR)
def test_nothing_of_this_machine_is_asked(address: str) -> None:
    assert not Policy().allows(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", FAR)
def test_the_rest_of_the_network_may_be(address: str) -> None:
    assert Policy().allows(ipaddress.ip_address(address))


def test_what_the_settings_allow_besides() -> None:
    policy = Policy((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("fe80::/64")))
    assert policy.allows(ipaddress.ip_address("127.0.0.1")) and policy.allows(ipaddress.ip_address("fe80::1"))
    assert not policy.allows(ipaddress.ip_address("169.254.169.254")) and not policy.allows(ipaddress.ip_address("::1"))


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example.com/",
        "file:///etc/passwd",
        "https://",
        "https://u:p@host/",
        "https://host:99999/",
        "https://host/#x",
        "//host/",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(Unusable):
        fetching.get(url, Policy())


@pytest.mark.parametrize(
    "url", ["https://localhost/", "https://127.0.0.1/", "https://[::1]/", "https://0x7f.1/", "https://2130706433/"]
)
def test_names_of_this_machine(url: str) -> None:
    with pytest.raises((Unusable, Unreachable)):
        fetching.get(url, Policy())


def issuer(account_id: str = "1", url: str = "https://idp.example.com") -> Issuer:
    return Issuer(account_id, url, Policy())


def test_few_calls_wait_at_a_time() -> None:
    """One is waiting for a slow issuer: the next is told so at once, and is not one of them."""
    begun, go = threading.Event(), threading.Event()

    def get(url: str, _: Policy) -> bytes:
        begun.set()
        go.wait(5)
        return b'{"issuer": "https://idp.example.com", "jwks_uri": "https://idp.example.com/k", "keys": []}'

    issuers = Issuers(waiting=1, get=get)
    first = threading.Thread(target=issuers.keys, args=(issuer(), None))
    first.start()
    assert begun.wait(5)
    with pytest.raises(Unreachable, match="too many"):
        issuers.keys(issuer("2", "https://other.example.com"), None)
    go.set()
    first.join()
    assert issuers.keys(issuer(), None) == ()


def test_failures_make_an_account_wait_longer_and_longer() -> None:
    moment, asked = [0.0], []

    def get(url: str, _: Policy) -> bytes:
        asked.append(url)
        raise Unreachable("not there")

    issuers = Issuers(get=get, monotonic=lambda: moment[0])
    for _ in range(1200):
        with pytest.raises(Unreachable):
            issuers.keys(issuer(url=f"https://{len(asked)}.example.com"), None)
        moment[0] += 0.5
    assert 5 <= len(asked) <= 20  # in ten minutes
    with pytest.raises(Unreachable, match="not there"):
        issuers.keys(issuer("2"), None)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "MOST_ISSUERS", 3)

    def get(url: str, _: Policy) -> bytes:
        host = url.split("/")[2]
        return f'{{"issuer": "https://{host}", "jwks_uri": "https://{host}/k", "keys": []}}'.encode()

    issuers = Issuers(get=get)
    for number in range(10):
        issuers.keys(issuer(url=f"https://{number}.example.com"), None)
    assert len(issuers._known) == 3
