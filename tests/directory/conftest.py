"""The real directory that these tests ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mallee.identity.directory.configuration import Configuration, read
from tests import slapd


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[slapd.Slapd]:
    if not slapd.is_there():
        pytest.skip("slapd is not installed (./test installs it when root)")
    with slapd.running(tmp_path / "slapd") as made:
        yield made


def document(url: str, **changes: Any) -> dict[str, Any]:
    """A configuration of accounting groups, as an administrator would write it."""
    base: dict[str, Any] = {
        "ldap-service": {
            "server-url": url,
            "auth-method": "simple",
            "auth-principal": slapd.ADMIN,
            "auth-credentials": slapd.PASSWORD,
            "use-ssl": "false",
        },
        "sync": {"enable": "true", "auto": "true", "interval": "900000", "clean-deletion": "false"},
        "accounting-groups": {
            "base-dn": f"ou=accounts,{slapd.SUFFIX}",
            "id-attribute": "cn",
            "member-attribute": "member",
            "selection": {"filter": "objectClass=groupOfNames"},
        },
        "groups": {
            "base-dn": f"ou=groups,{slapd.SUFFIX}",
            "id-attribute": "cn",
            "member-attribute": "member",
            "selection": {"filter": "objectClass=groupOfNames"},
        },
        "users": {
            "base-dn": f"ou=people,{slapd.SUFFIX}",
            "id-attribute": "uid",
            "user-info-attributes": {"mail": "Email"},
            "selection": {"filter": "objectClass=inetOrgPerson"},
        },
    }
    for section, values in changes.items():
        name = section.replace("_", "-")
        if values is None:
            base.pop(name, None)
        else:
            base[name] = {**base.get(name, {}), **values}
    return base


def configured(url: str, **changes: Any) -> Configuration:
    return read(json.dumps(document(url, **changes)))
