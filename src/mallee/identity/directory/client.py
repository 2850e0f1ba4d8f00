"""Asking the directory: everything that a synchronisation needs in one snapshot, and whether a password is a user's.

The protocol is ldap3's. Every question is bounded (seconds, entries), results come in pages, referrals are not followed and an
empty password is never sent: to a directory it is a request to be nobody, which succeeds.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPBindError, LDAPException, LDAPInvalidDnError, LDAPInvalidFilterError
from ldap3.utils.dn import parse_dn

from mallee.identity.directory.configuration import Configuration, DirectoryError, Entries, Service
from mallee.identity.directory.plan import Person, Snapshot

CONNECT = 5  # seconds
ANSWER = 30
PAGE = 500
MOST = 100_000  # entries of one search
_MAX_INFO = 256


_REFUSALS = frozenset({"invalidCredentials", "inappropriateAuthentication", "invalidDNSyntax", "noSuchObject"})

Found = Mapping[str, Mapping[str, Any]]
"""distinguished name -> attributes"""


def snapshot(configuration: Configuration) -> Snapshot:
    """All accounts, groups and users that the configuration selects. Raises ``DirectoryError``; never a part of the whole."""
    with _bound(configuration.service) as connection:
        users = _by_name(_entries(connection, configuration.users, tuple(configuration.users.info)), configuration.users)
        groups = _by_name(_entries(connection, configuration.groups, ()), configuration.groups)
        if configuration.accounting is not None:
            accounts = _by_name(_entries(connection, configuration.accounting, ()), configuration.accounting)
            wanted = {
                name: [key for key in _members(entry, configuration.accounting) if key in groups]
                for name, entry in accounts.values()
            }
        else:
            wanted = _partitioned(configuration, groups)
    people = {name: _person(name, entry, configuration.users) for name, entry in users.values()}
    return Snapshot(
        {
            account: {
                groups[key][0]: frozenset(
                    users[member][0] for member in _members(groups[key][1], configuration.groups) if member in users
                )
                for key in keys
            }
            for account, keys in wanted.items()
        },
        people,
    )


def is_password(configuration: Configuration, dn: str, name: str, password: str) -> bool:
    """Whether the directory takes the password for the user's. Raises ``DirectoryError`` when it cannot be asked."""
    if not password:
        return False
    service = configuration.service
    who = name if service.user_method == "DIGEST-MD5" else dn
    try:
        with _connection(service, service.user_method, who, password):
            return True
    except LDAPBindError:
        return False
    except (LDAPException, OSError, ssl.SSLError) as problem:
        raise _failed(service, problem) from None


# ------------------------------------------------------------------------------------------------------------ connection


@contextmanager
def _bound(service: Service) -> Iterator[ldap3.Connection]:
    try:
        with _connection(service, service.method, service.principal, service.credentials) as connection:
            yield connection
    except LDAPBindError as problem:
        raise DirectoryError(f"{service.url} refuses the configured principal: {problem}.") from None
    except LDAPInvalidFilterError as problem:
        raise DirectoryError(f"A filter of the configuration is not valid: {problem}.") from None
    except (LDAPException, OSError, ssl.SSLError) as problem:
        raise _failed(service, problem) from None


def _failed(service: Service, problem: Exception) -> DirectoryError:
    return DirectoryError(f"{service.url} cannot be asked: {str(problem)[:300] or type(problem).__name__}.")


@contextmanager
def _connection(service: Service, method: str, who: str, password: str) -> Iterator[ldap3.Connection]:
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED if service.check_certificate else ssl.CERT_NONE, version=ssl.PROTOCOL_TLS_CLIENT)
    server = ldap3.Server(service.url, tls=tls, connect_timeout=CONNECT, get_info=ldap3.NONE)
    options: dict[str, Any] = {"raise_exceptions": False, "auto_referrals": False, "receive_timeout": ANSWER, "auto_range": True}
    if method == "DIGEST-MD5":
        options |= {
            "authentication": ldap3.SASL,
            "sasl_mechanism": ldap3.DIGEST_MD5,
            "sasl_credentials": (None, who, password, None, None),
        }
    elif who:
        options |= {"authentication": ldap3.SIMPLE, "user": who, "password": password}
    connection = ldap3.Connection(server, **options)
    try:
        connection.open()
        if service.start_tls and not connection.start_tls():
            raise LDAPException("it does not start TLS")
        if not connection.bind():
            why = str((connection.result or {}).get("description", "bind failed"))
            raise (LDAPBindError if why in _REFUSALS else LDAPException)(why)
        yield connection
    finally:
        with suppress(LDAPException, OSError):
            connection.unbind()


# --------------------------------------------------------------------------------------------------------------- reading


def _entries(connection: ldap3.Connection, kind: Entries, more: tuple[str, ...]) -> Found:
    """What the filter finds below the base and what is selected by name, less what is selected away."""
    attributes = [kind.id_attribute, kind.member_attribute, *more]
    found = dict(_search(connection, kind.base, kind.selection.filter, ldap3.SUBTREE, attributes))
    for dn in kind.selection.select:
        found.update(_search(connection, dn, "(objectClass=*)", ldap3.BASE, attributes))
    left = {_key(dn) for dn in kind.selection.not_select}
    return {dn: entry for dn, entry in found.items() if _key(dn) not in left}


def _search(
    connection: ldap3.Connection, base: str, text: str, scope: str, attributes: list[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    cookie: Any = None
    count = 0
    while True:
        connection.search(
            base, text, search_scope=scope, attributes=attributes, time_limit=ANSWER, paged_size=PAGE, paged_cookie=cookie
        )
        if connection.result["result"] != 0:
            raise LDAPException(f"the search below {base!r} ended with {connection.result['description']}")
        for entry in connection.response:
            if entry.get("type") == "searchResEntry":
                count += 1
                if count > MOST:
                    raise LDAPException(f"the search below {base!r} finds more than {MOST} entries")
                yield entry["dn"], entry["attributes"]
        controls = connection.result.get("controls") or {}
        cookie = controls.get("1.2.840.113556.1.4.319", {}).get("value", {}).get("cookie")
        if not cookie:
            return


def _by_name(found: Found, kind: Entries) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """By the comparable form of their distinguished name: their names and attributes. An entry without a name is none."""
    named: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for dn, entry in found.items():
        values = _texts(entry, kind.id_attribute)
        if values and values[0].strip():
            named[_key(dn)] = (values[0].strip(), {**entry, "dn": dn})
    return named


def _members(entry: Mapping[str, Any], kind: Entries) -> list[str]:
    return [_key(dn) for dn in _texts(entry, kind.member_attribute)]


def _texts(entry: Mapping[str, Any], name: str) -> list[str]:
    for attribute, value in entry.items():
        if attribute.lower() == name.lower():
            values = value if isinstance(value, list | tuple) else [value]
            return [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in values]
    return []


def _key(dn: str) -> str:
    """The form in which distinguished names are compared: without case and needless spaces."""
    try:
        return ",".join(f"{name.strip().lower()}={value.strip().lower()}{tie}" for name, value, tie in parse_dn(dn, strip=True))
    except LDAPInvalidDnError:
        return dn.strip().lower()


def _person(name: str, entry: Mapping[str, Any], kind: Entries) -> Person:
    info = []
    for attribute, title in sorted(kind.info.items()):
        values = _texts(entry, attribute)
        if values:
            info.append((title, values[0][:_MAX_INFO]))
    return Person(name, entry["dn"], tuple(info))


def _partitioned(configuration: Configuration, groups: Mapping[str, tuple[str, Any]]) -> dict[str, list[str]]:
    by_name = {name.lower(): key for key, (name, _) in groups.items()}
    assert configuration.partition is not None
    return {
        account: [by_name[name.lower()] for name in names if name.lower() in by_name]
        for account, names in configuration.partition.items()
    }
