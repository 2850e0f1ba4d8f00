"""Our declarations against AWS's Service Authorization Reference."""

from __future__ import annotations

import pytest

from mallee.identity.access import PREFIXES, TAGGING
from mallee.registry import Handler, Registry
from tests import reference

HANDLERS = [each for each in Registry().handlers() if each.prefix != "mallee"]


# Actions on what one ARN names, of whichever of AWS's types it is.
BY_ARN = {"iam:GenerateServiceLastAccessedDetails", "iam:ListPoliciesGrantingServiceAccess"}


def names(handlers: list[Handler]) -> list[str]:
    return [each.action for each in handlers]


@pytest.mark.parametrize("handler", HANDLERS, ids=names(HANDLERS))
def test_the_declaration_is_aws_s(handler: Handler) -> None:
    access, action = handler.access, handler.action
    assert reference.action(action) is not None, "no such action"
    types = reference.types(action)
    declared = {on.type.name for on in access.on}
    assert declared <= types.keys(), f"AWS checks it against {sorted(types)}"
    if access.find is None and not access.open and action not in BY_ARN:
        missing = {type for type, required in types.items() if required} - declared
        assert not missing, "AWS checks it against these, too"
    for key in access.keys:
        assert reference.has(reference.keys(action), key), f"AWS has no {key} for it"
    for on in access.on:
        for key in on.type.keys:
            assert reference.has(reference.keys(action, on.type.name), key), f"AWS has no {key} for {on.type.name}"


def test_every_service_has_its_prefix() -> None:
    for service in {each.service for each in Registry().handlers()}:
        prefix = PREFIXES.get(service, service)
        assert prefix == "mallee" or prefix in reference.reference(), service


def test_the_tagging_actions_are_aws_s() -> None:
    for service, actions in TAGGING.items():
        for type, action in actions.items():
            assert type in reference.types(action) and action.startswith(f"{service}:")


def test_aws_s_names_are_not_ours() -> None:
    """Mallee's own service takes no prefix that AWS has given to another."""
    assert "mallee" not in reference.reference()
