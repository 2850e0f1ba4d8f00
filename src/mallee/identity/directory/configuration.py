"""The LDAP integration configuration: one JSON document in the form of Eucalyptus's LIC.

Sections: ``ldap-service``, ``sync``, exactly one of ``accounting-groups`` and ``groups-partition``, ``groups``, ``users``. Booleans and
numbers may be strings, as Eucalyptus wrote them. Source: Eucalyptus IAM Guide, "LDAP/AD Integration Configuration".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

MAX_BYTES = 256 * 1024
MIN_INTERVAL = 10.0
_METHODS = ("simple", "DIGEST-MD5")


class BadConfiguration(Exception):
    """What is wrong with the document, in a sentence for whoever wrote it."""


class DirectoryError(Exception):
    """The directory cannot be asked, or answers what cannot be used. The text is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Service:
    """``url``: ``ldap://host:port`` or ``ldaps://``; ``start_tls`` secures the former before anything is said. ``method``:
    how Mallee itself binds; ``user_method``: how a user who signs in does."""

    url: str
    method: str
    user_method: str
    principal: str
    credentials: str = field(repr=False)
    start_tls: bool = False
    check_certificate: bool = True


@dataclass(frozen=True, slots=True)
class Sync:
    """``interval`` in seconds. ``clean_deletion``: what is gone from the directory is removed here."""

    enabled: bool
    automatic: bool
    interval: float
    clean_deletion: bool


@dataclass(frozen=True, slots=True)
class Selection:
    filter: str
    select: tuple[str, ...] = ()
    not_select: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entries:
    """Where entries of a kind are, which attribute names them, which holds their members, which of them are meant."""

    base: str
    id_attribute: str
    selection: Selection
    member_attribute: str = "member"
    info: Mapping[str, str] = field(default_factory=dict)  # attribute -> what it is called here
    sasl_id_attribute: str = ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Exactly one of ``accounting`` (groups of groups, one per account) and ``partition`` (account -> names of groups)."""

    service: Service
    sync: Sync
    accounting: Entries | None
    partition: Mapping[str, tuple[str, ...]] | None
    groups: Entries
    users: Entries


def read(text: str) -> Configuration:
    """Raises ``BadConfiguration``."""
    if len(text.encode()) > MAX_BYTES:
        raise BadConfiguration(f"The configuration is larger than {MAX_BYTES // 1024} KiB.")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise BadConfiguration(f"The configuration is not JSON: {problem}.") from None
    if not isinstance(document, dict):
        raise BadConfiguration("The configuration must be a JSON object.")
    unknown = set(document) - _SECTIONS
    if unknown:
        raise BadConfiguration(f"The configuration has an unknown section: {sorted(unknown)[0]!r}.")
    if ("accounting-groups" in document) == ("groups-partition" in document):
        raise BadConfiguration("The configuration must have exactly one of 'accounting-groups' and 'groups-partition'.")
    accounting = _entries(document, "accounting-groups", "accounting-groups" in document)
    groups, users = _entries(document, "groups", True), _entries(document, "users", True)
    assert groups is not None and users is not None
    partition = _partition(document["groups-partition"]) if "groups-partition" in document else None
    return Configuration(_service(_section(document, "ldap-service")), _sync(document), accounting, partition, groups, users)


_SECTIONS = frozenset({"ldap-service", "sync", "accounting-groups", "groups-partition", "groups", "users"})


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    if not isinstance(found, dict):
        raise BadConfiguration(f"The section {name!r} is missing or not an object.")
    return found


def _text(section: Mapping[str, Any], where: str, key: str, default: str | None = None) -> str:
    found = section.get(key, default)
    if not isinstance(found, str) or (default is None and not found.strip()):
        raise BadConfiguration(f"{where}: {key!r} must be a text.")
    return found.strip()


def _flag(section: Mapping[str, Any], where: str, key: str, default: bool) -> bool:
    found = section.get(key, default)
    if isinstance(found, str) and found.lower() in ("true", "false"):
        return found.lower() == "true"
    if not isinstance(found, bool):
        raise BadConfiguration(f"{where}: {key!r} must be true or false.")
    return found


def _service(section: Mapping[str, Any]) -> Service:
    where = "ldap-service"
    url = _text(section, where, "server-url")
    parts = urlsplit(url)
    if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise BadConfiguration(f"{where}: 'server-url' must be ldap://host[:port] or ldaps://host[:port].")
    method = _text(section, where, "auth-method", "simple")
    user_method = _text(section, where, "user-auth-method", method)
    for name in (method, user_method):
        if name == "GSSAPI":
            raise BadConfiguration(f"{where}: the authentication method GSSAPI (Kerberos) is not supported; use simple or DIGEST-MD5.")
        if name not in _METHODS:
            raise BadConfiguration(f"{where}: the authentication method {name!r} is none of simple, DIGEST-MD5.")
    credentials = _text(section, where, "auth-credentials", "")
    if credentials.startswith("{RSA/"):
        raise BadConfiguration(f"{where}: 'auth-credentials' must be in the clear: it is sealed when it is stored.")
    tls = _flag(section, where, "use-ssl", False)
    return Service(
        url, method, user_method, _text(section, where, "auth-principal", ""), credentials,
        start_tls=tls and parts.scheme == "ldap",
        check_certificate=not _flag(section, where, "ignore-ssl-cert-validation", False),
    )  # fmt: skip


def _sync(document: Mapping[str, Any]) -> Sync:
    section = _section(document, "sync")
    found = section.get("interval", 900_000)
    try:
        interval = int(found) / 1000
    except (TypeError, ValueError):
        raise BadConfiguration("sync: 'interval' must be a number of milliseconds.") from None
    if interval < MIN_INTERVAL:
        raise BadConfiguration(f"sync: 'interval' must be at least {MIN_INTERVAL * 1000:.0f} milliseconds.")
    return Sync(
        _flag(section, "sync", "enable", False), _flag(section, "sync", "auto", False), interval,
        _flag(section, "sync", "clean-deletion", False),
    )  # fmt: skip


def _entries(document: Mapping[str, Any], where: str, wanted: bool) -> Entries | None:
    if not wanted:
        return None
    section = _section(document, where)
    selection = _section(section, "selection")
    text = _text(selection, f"{where}.selection", "filter")
    info = section.get("user-info-attributes", {})
    if not isinstance(info, dict) or not all(isinstance(value, str) for value in info.values()):
        raise BadConfiguration(f"{where}: 'user-info-attributes' must map attributes to names.")
    return Entries(
        _text(section, where, "base-dn"),
        _attribute(_text(section, where, "id-attribute"), where),
        Selection(
            text if text.startswith("(") else f"({text})",
            _names(selection, f"{where}.selection", "select"),
            _names(selection, f"{where}.selection", "not-select"),
        ),
        _attribute(_text(section, where, "member-attribute", "member"), where),
        {_attribute(key, where): value for key, value in info.items()},
        _text(section, where, "sasl-id-attribute", ""),
    )


def _attribute(name: str, where: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9;-]{0,127}", name):
        raise BadConfiguration(f"{where}: {name[:64]!r} is not the name of an attribute.")
    return name


def _names(section: Mapping[str, Any], where: str, key: str) -> tuple[str, ...]:
    found = section.get(key, [])
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise BadConfiguration(f"{where}: {key!r} must be a list of distinguished names.")
    return tuple(found)


def _partition(section: Any) -> dict[str, tuple[str, ...]]:
    where = "groups-partition"
    if not isinstance(section, dict) or not section:
        raise BadConfiguration(f"{where} must map names of accounts to lists of names of groups.")
    return {name: _names(section, where, name) for name in section}
