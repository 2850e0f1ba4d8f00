"""Documents of OpenID Connect issuers, fetched over HTTPS from wherever an account says that its issuer is.

Who may register a provider chooses the address, so that it is not trusted: never this machine or what only this machine can
reach by its link (unless ``federation_networks`` names the network), always the address that was looked at and no other that
the name has a moment later, no redirects, no proxy, a few kilobytes, a few seconds for all of it.

The server is known by an authority that this machine trusts or, as in IAM, by a certificate of its chain whose SHA-1 the
provider has as a thumbprint: that certificate is then the only anchor of an ordinary verification. A private cloud's own
authority needs no set-up so.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import logging
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

log = logging.getLogger("mallee.identity")

MOST_BYTES: Final = 256 * 1024
SECONDS: Final = 4.0
_MOST_CHAIN = 10
_MOST_ADDRESSES = 4

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Unreachable(Exception):
    """The server did not answer, or not in time, or is busy: worth another try."""


class Unusable(Exception):
    """What is there is not what an issuer has, or is not believed."""


@dataclass(frozen=True, slots=True)
class Policy:
    """``networks``: where issuers may be although their addresses are none that the world has."""

    networks: tuple[Network, ...] = ()
    thumbprints: tuple[str, ...] = ()

    def allows(self, address: Address) -> bool:
        if any(address.version == network.version and address in network for network in self.networks):
            return True
        return not _is_close(address)


def _is_close(address: Address) -> bool:
    """Of this machine, its links, or nobody's; IPv6 addresses that stand for such an IPv4 address too."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None and _is_close(inner):
            return True
        if address.is_site_local or address.scope_id:
            return True
    elif address in _THIS_NETWORK:
        return True
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


def get(url: str, policy: Policy) -> bytes:
    """The body of a GET that was answered with 200. Raises ``Unreachable`` or ``Unusable``."""
    target = urlsplit(url)
    if target.scheme != "https" or not target.hostname or "@" in target.netloc or target.fragment:
        raise Unusable("the address is not one of HTTPS")
    try:
        port = target.port or 443
    except ValueError:
        raise Unusable("the address has no such port") from None
    deadline = time.monotonic() + SECONDS
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    address = _address(target.hostname, port, policy)
    with _connected(target.hostname, address, port, policy, deadline) as connection:
        return _asked(connection, target.netloc, path, deadline)


def _address(host: str, port: int, policy: Policy) -> str:
    """The first address of the host that may be asked."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable("the name cannot be resolved") from None
    for *_, where in found[:_MOST_ADDRESSES]:
        if policy.allows(ipaddress.ip_address(where[0])):
            return str(where[0])
    raise Unusable("issuers are not looked for at this address")


@contextlib.contextmanager
def _connected(host: str, address: str, port: int, policy: Policy, deadline: float) -> Iterator[ssl.SSLSocket]:
    """A connection to a server that was verified."""
    try:
        connection = _handshake(_context(), host, address, port, deadline)
    except ssl.SSLCertVerificationError as problem:
        anchor = _anchor(host, address, port, policy, deadline)
        if anchor is None:
            raise Unusable(f"the certificate is not believed: {problem.verify_message}") from None
        try:
            connection = _handshake(_context(anchor), host, address, port, deadline)
        except ssl.SSLCertVerificationError as again:
            raise Unusable(f"the certificate is not believed: {again.verify_message}") from None
    with connection:
        yield connection


def _context(anchor: bytes | None = None) -> ssl.SSLContext:
    """With the machine's authorities, or with one certificate of a chain as the only anchor."""
    context = ssl.create_default_context() if anchor is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if anchor is not None:
        context.load_verify_locations(cadata=anchor)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _handshake(context: ssl.SSLContext, host: str, address: str, port: int, deadline: float) -> ssl.SSLSocket:
    try:
        plain = socket.create_connection((address, port), timeout=_left(deadline))
        try:
            plain.settimeout(_left(deadline))
            return context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
    except ssl.SSLCertVerificationError:
        raise
    except (OSError, ValueError) as problem:
        raise Unreachable(f"no connection: {type(problem).__name__}") from None


def _anchor(host: str, address: str, port: int, policy: Policy, deadline: float) -> bytes | None:
    """The certificate that the server shows and a thumbprint names. Nothing is believed by this: it is the anchor of the
    next handshake."""
    if not policy.thumbprints:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with _handshake(context, host, address, port, deadline) as connection:
        for certificate in _chain(connection)[:_MOST_CHAIN]:
            if hashlib.sha1(certificate, usedforsecurity=False).hexdigest() in policy.thumbprints:
                return certificate
    return None


def _chain(connection: ssl.SSLSocket) -> list[bytes]:
    """What the server has shown, in DER. A public method from Python 3.13 on; before, it is the same beneath."""
    shown: Any = getattr(connection, "get_unverified_chain", None)
    if shown is not None:
        return list(shown() or ())
    beneath: Any = connection._sslobj  # type: ignore[attr-defined]
    return [each.public_bytes(2) for each in beneath.get_unverified_chain() or ()]  # 2: DER


def _asked(connection: ssl.SSLSocket, host: str, path: str, deadline: float) -> bytes:
    client = http.client.HTTPConnection(host)
    client.sock = connection
    try:
        connection.settimeout(_left(deadline))
        client.request("GET", path, headers={"Host": host, "Accept": "application/json", "User-Agent": "mallee"})
        response = client.getresponse()
        if response.status >= 500 or response.status == 429:
            raise Unreachable(f"the server answered {response.status}")
        if response.status != 200:
            raise Unusable(f"the server answered {response.status}")
        body = bytearray()
        while True:
            connection.settimeout(_left(deadline))
            piece = response.read1(16 * 1024)
            body += piece
            if len(body) > MOST_BYTES:
                raise Unusable("the document is too long")
            if not piece:
                return bytes(body)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise Unreachable(f"no answer: {type(problem).__name__}") from None


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise Unreachable("it took too long")
    return left
