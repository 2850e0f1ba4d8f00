"""The registry: every domain takes part, what does not fit is refused, and docs/coverage.md says what there is."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from mallee import registry
from mallee.identity.access import Access
from mallee.identity.call import Call, is_writing, reads, writes
from mallee.registry import COVERED, DOMAINS, Registry, RegistryError

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_fresh() -> None:
    stale = "docs/coverage.md is stale: run python -m mallee.registry --coverage"
    assert (DOCS / "coverage.md").read_text() == registry.coverage(), stale


def test_one_row_per_operation_of_each_service() -> None:
    from mallee.wire import services

    rows = [line.split("|") for line in registry.coverage().splitlines() if line.startswith("| ")]
    listed = [(row[1].strip(), row[2].strip(), row[3].strip()) for row in rows if row[3].strip() in ("yes", "no")]
    assert [each[:2] for each in listed] == [(name, each) for name in COVERED for each in sorted(services.get(name).operations)]
    assert ("ec2", "RunInstances", "yes") in listed and ("sts", "GetCallerIdentity", "yes") in listed
    assert ("iam", "CreateUser", "yes") in listed and ("iam", "AcceptDelegationRequest", "no") in listed


def test_every_domain_takes_part() -> None:
    """A domain that brings nothing at all was forgotten, or lies elsewhere."""
    for domain in DOMAINS:
        alone = Registry((domain,))
        brought = [alone.handlers(), alone.machines(), alone.reconcilers(), alone.account_hooks(), alone.cloud_hooks()]
        assert any(brought), domain
    with pytest.raises(ModuleNotFoundError):
        Registry(("mallee.nothing",))


def test_what_reads_and_what_writes() -> None:
    whole = Registry()
    names = {(handler.service, handler.operation): handler for handler in whole.handlers()}
    assert names["ec2", "RunInstances"].writes and names["ec2", "RunInstances"].dry
    assert not names["ec2", "DescribeInstances"].writes and not names["sts", "GetCallerIdentity"].dry

    def describe_x(call: Call) -> dict[str, Any]:
        return {}

    assert not is_writing(describe_x) and is_writing(writes(describe_x)) and not is_writing(reads(describe_x))


def domain(monkeypatch: pytest.MonkeyPatch, **members: Any) -> str:
    """A package whose api module has these members."""
    for name, found in (("made_up", {"__path__": []}), ("made_up.api", members)):
        module = types.ModuleType(name)
        module.__dict__.update(found)
        module.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, name, module)
    return "made_up"


def api(*functions: Any) -> types.ModuleType:
    module = types.ModuleType("made_up.api.things")
    for function in functions:
        function.__module__ = module.__name__
        setattr(module, function.__name__, function)
    module.ACCESS = {function.__name__: Access() for function in functions}  # type: ignore[attr-defined]
    return module


def test_a_function_that_is_no_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    def helper(call: Call) -> dict[str, Any]:
        return {}

    with pytest.raises(RegistryError, match=r"made_up\.api\.things\.helper is no operation of sts"):
        Registry((domain(monkeypatch, OPERATIONS={"sts": (api(helper),)}),))


def test_two_handlers_of_one_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_caller_identity(call: Call) -> dict[str, Any]:
        return {}

    name = domain(monkeypatch, OPERATIONS={"sts": (api(get_caller_identity),)}, NOTES={"sts": {}})
    with pytest.raises(RegistryError, match="sts:GetCallerIdentity has two handlers"):
        Registry(("mallee.identity", name))


def test_an_operation_that_nobody_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_caller_identity(call: Call) -> dict[str, Any]:
        return {}

    unguarded = api(get_caller_identity)
    unguarded.ACCESS = {}  # type: ignore[attr-defined]
    with pytest.raises(RegistryError, match="does not say what get_caller_identity is checked against"):
        Registry((domain(monkeypatch, OPERATIONS={"sts": (unguarded,)}),))


def test_names_are_unique() -> None:
    with pytest.raises(RegistryError, match="two machines called instance"):
        registry._unique(["instance", "volume", "instance"], "machine")
