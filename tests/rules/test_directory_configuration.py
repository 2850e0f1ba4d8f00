"""The directory's configuration: what is read, and what is said of one that is wrong."""

from __future__ import annotations

import json

import pytest

from mallee.identity.directory.configuration import BadConfiguration, read
from tests.directory.conftest import configured, document


def test_read() -> None:
    found = configured("ldaps://directory.example.com", sync={"interval": 60_000, "clean-deletion": True})
    assert found.service.url == "ldaps://directory.example.com" and not found.service.start_tls
    assert found.service.check_certificate and found.sync.enabled and found.sync.clean_deletion
    assert found.sync.interval == 60.0 and found.partition is None and found.accounting is not None
    assert found.users.selection.filter == "(objectClass=inetOrgPerson)" and found.users.info == {"mail": "Email"}
    assert found.service.credentials not in repr(found)


def test_start_tls() -> None:
    assert configured("ldap://d", ldap_service={"use-ssl": "true"}).service.start_tls


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ldap_service": {"server-url": "http://x"}}, "ldap://host"),
        ({"ldap_service": {"auth-method": "GSSAPI"}}, "GSSAPI"),
        ({"ldap_service": {"auth-method": "magic"}}, "'magic' is none of"),
        ({"ldap_service": {"auth-credentials": "{RSA/ECB/PKCS1Padding}abc"}}, "in the clear"),
        ({"ldap_service": {"use-ssl": "perhaps"}}, "true or false"),
        ({"sync": {"interval": "often"}}, "milliseconds"),
        ({"sync": {"interval": 10}}, "at least 10000"),
        ({"accounting_groups": None}, "exactly one"),
        ({"groups_partition": {"a": ["b"]}}, "exactly one"),
        ({"accounting_groups": None, "groups_partition": {"a": "b"}}, "list of distinguished names"),
        ({"users": None}, "'users' is missing"),
        ({"users": {"base-dn": " "}}, "'base-dn' must be a text"),
        ({"users": {"id-attribute": "uid)(x=*"}}, "not the name of an attribute"),
        ({"users": {"selection": {}}}, "'filter' must be a text"),
        ({"users": {"user-info-attributes": {"a": 1}}}, "map attributes to names"),
        ({"more": {}}, "unknown section: 'more'"),
    ],
)
def test_what_is_wrong(changes: dict[str, object], told: str) -> None:
    with pytest.raises(BadConfiguration, match=told.replace("(", r"\(")):
        read(json.dumps(document("ldap://directory", **changes)))


@pytest.mark.parametrize("text", ["", "[]", "nope", "[" * 100_000, '{"a": "' + "x" * 300_000 + '"}'])
def test_what_is_no_configuration(text: str) -> None:
    with pytest.raises(BadConfiguration):
        read(text)
