"""What this cloud can do: every operation, machine, reconciler and account hook, collected from the domains.

A domain takes part by its shape alone. Of a package in ``DOMAINS``:

* ``api/__init__.py`` has ``OPERATIONS = {"ec2": (instances, images)}``: each public function that is defined in one of these
  modules is the operation whose boto3 name it bears. A function that is no operation of the service's model is an
  error, not a helper. ``NOTES = {"ec2": {"run_instances": "…"}}`` says in docs/coverage.md what a caller should know.
  Each such module has ``ACCESS = {"run_instances": Access(…)}`` (``identity.access``): what its operations are checked
  against, one entry per operation.
* ``life.py`` has machines (subclasses of ``Machine``), ``upkeep.py`` reconcilers.
* ``quotas.py`` has ``QUOTAS``: how much of each thing an account may have.
* ``setup.py`` may have ``new_account(tx, account_id, settings)``, called in the transaction that makes an account, and
  ``new_cloud(tx, settings)``, called at every start of the cloud and therefore idempotent.

``python -m mallee.registry --coverage`` writes docs/coverage.md, ``--access`` docs/access-matrix.md.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from mallee.identity.access import Access, prefix
from mallee.identity.call import Call, is_writing
from mallee.identity.quotas import Quota
from mallee.identity.setup import AccountHook
from mallee.settings import Settings
from mallee.store import Tx
from mallee.wire import services

DOMAINS = ("mallee.identity", "mallee.objects", "mallee.ec2", "mallee.nodes", "mallee.network", "mallee.compute", "mallee.admin")

# one row per operation of each of these stands in docs/coverage.md
COVERED = (
    "ec2", "iam", "sts", "s3", "s3control", "autoscaling", "cloudwatch", "elb", "elbv2", "sqs", "sns", "cloudformation", "route53", "logs",
    "kms", "ssm", "events", "ebs", "service-quotas", "mallee",
)  # fmt: skip

CloudHook = Callable[[Tx, Settings], None]


class RegistryError(Exception):
    """A domain that does not fit: a programming error, found at start."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One operation that works. ``writes``: it needs a transaction that writes. ``dry``: its input has a DryRun member.
    ``prefix`` is that of the service's actions, ``access`` what the operation is checked against, ``prepare`` what is done before
    its transaction (``prepared_by``), ``admit`` before its body has come (``receives``)."""

    service: str
    operation: str
    function: Callable[[Call], dict[str, Any] | None]
    writes: bool
    dry: bool
    access: Access
    prefix: str
    note: str = ""
    prepare: Callable[[Call], Any] | None = None
    admit: Callable[[Call], Any] | None = None

    @property
    def action(self) -> str:
        """The operation's own action, as policies name it."""
        return self.access.action or f"{self.prefix}:{self.operation}"


class Registry:
    """Everything that ``domains`` bring. Making one imports them all."""

    def __init__(self, domains: tuple[str, ...] = DOMAINS) -> None:
        self.domains = domains
        self._handlers: dict[tuple[str, str], Handler] = {}
        for domain in domains:
            importlib.import_module(domain)
            self._collect_operations(domain)

    def handler(self, service: str, operation: str) -> Handler | None:
        return self._handlers.get((service, operation))

    def handlers(self) -> list[Handler]:
        return sorted(self._handlers.values(), key=lambda handler: (handler.service, handler.operation))

    def machines(self) -> list[Any]:
        """One of each durable machine, by name."""
        from mallee.durable import Machine

        kinds = [kind for kind in _classes(self._modules("life")) if issubclass(kind, Machine) and kind is not Machine]
        made = sorted((kind() for kind in kinds if getattr(kind, "name", None)), key=lambda machine: machine.name)
        _unique([machine.name for machine in made], "machine")
        return made

    def reconcilers(self) -> list[Any]:
        from mallee.durable import Reconciler

        found = {
            id(value): value
            for module in self._modules("upkeep")
            for value in vars(module).values()
            if isinstance(value, Reconciler)
        }
        made = sorted(found.values(), key=lambda reconciler: reconciler.name)
        _unique([reconciler.name for reconciler in made], "reconciler")
        return made

    def account_hooks(self) -> list[AccountHook]:
        return [module.new_account for module in self._modules("setup") if hasattr(module, "new_account")]

    def cloud_hooks(self) -> list[CloudHook]:
        return [module.new_cloud for module in self._modules("setup") if hasattr(module, "new_cloud")]

    def quotas(self) -> tuple[Quota, ...]:
        """All quotas, by service and name."""
        found = [quota for module in self._modules("quotas") for quota in module.QUOTAS]
        _unique([str(quota) for quota in found], "quota")
        return tuple(sorted(found, key=lambda quota: (quota.service, quota.name)))

    # ------------------------------------------------------------------------------------------------------- collecting

    def _modules(self, name: str) -> Iterator[ModuleType]:
        for domain in self.domains:
            module = _optional(f"{domain}.{name}")
            if module is not None:
                yield module

    def _collect_operations(self, domain: str) -> None:
        api = _optional(f"{domain}.api")
        if api is None:
            return
        declared: Mapping[str, tuple[ModuleType, ...]] = api.OPERATIONS
        notes: Mapping[str, Mapping[str, str]] = getattr(api, "NOTES", {})
        for service_name, modules in declared.items():
            service = services.get(service_name)
            names = service.methods()
            for module in modules:
                declarations: dict[str, Access] = dict(getattr(module, "ACCESS", {}))
                for function in _public_functions(module):
                    operation = names.get(function.__name__)
                    if operation is None:
                        raise RegistryError(
                            f"{module.__name__}.{function.__name__} is no operation of {service_name}: "
                            "a helper's name begins with an underscore, or it lives in rules or records"
                        )
                    access = declarations.pop(function.__name__, None)
                    if access is None:
                        raise RegistryError(f"ACCESS of {module.__name__} does not say what {function.__name__} is checked against")
                    note = notes.get(service_name, {}).get(function.__name__, "")
                    self._add(service, operation, function, access, note)
                if declarations:
                    raise RegistryError(f"ACCESS of {module.__name__} has {sorted(declarations)[0]}, which is no operation of it")

    def _add(self, service: Any, operation: str, function: Callable[[Call], Any], access: Access, note: str) -> None:
        key = (service.name, operation)
        if key in self._handlers:
            raise RegistryError(f"{service.name}:{operation} has two handlers")
        shape = service.operation(operation).input
        dry = shape is not None and "DryRun" in shape.members
        self._handlers[key] = Handler(
            service.name, operation, function, is_writing(function), dry, access, prefix(service.name), note,
            getattr(function, "mallee_prepare", None), getattr(function, "mallee_admit", None),
        )  # fmt: skip


def _optional(name: str) -> ModuleType | None:
    """The module, or None if there is no such file. A module that is there and fails to import is an error."""
    return importlib.import_module(name) if importlib.util.find_spec(name) is not None else None


def _public_functions(module: ModuleType) -> list[Callable[..., Any]]:
    return [
        value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_") and value.__module__ == module.__name__
    ]


def _classes(modules: Iterator[ModuleType]) -> list[type]:
    return [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__
    ]


def _unique(names: list[str], what: str) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RegistryError(f"there are two {what}s called {sorted(twice)[0]}")


def machines() -> list[Any]:
    """All machines of all domains: what the crash harness runs."""
    return Registry().machines()


# --------------------------------------------------------------------------------------------------------------- coverage


def coverage() -> str:
    """docs/coverage.md: one row per operation of each covered service."""
    registry = Registry()
    counts, rows = [], []
    for name in COVERED:
        service = services.get(name)
        operations = sorted(service.operations)
        working = [operation for operation in operations if registry.handler(name, operation) is not None]
        counts.append(f"| {name} | {len(working)} | {len(operations)} |")
        for operation in operations:
            handler = registry.handler(name, operation)
            rows.append(f"| {name} | {operation} | {'yes' if handler else 'no'} | {handler.note if handler else ''} |")
    return "\n".join(
        [
            "# Coverage",
            "",
            "Generated from the registry by `python -m mallee.registry --coverage`; a test fails when it is stale. An operation",
            "without a handler answers its service's error for what is not supported, never an empty success.",
            "",
            "| service | operations here | operations in AWS's model |",
            "|---|---|---|",
            *counts,
            "",
            "| service | operation | yes or no | note |",
            "|---|---|---|---|",
            *(row.replace("|  |", "| |") for row in rows),
            "",
        ]
    )


def access_matrix() -> str:
    """docs/access-matrix.md: one row per operation that works, one column per usual policy."""
    from mallee.identity import matrix
    from mallee.identity.tools import Tools
    from mallee.identity.vault import Vault

    registry = Registry()
    return matrix.page(registry.handlers(), Tools(Vault(bytes(32)), quotas=registry.quotas()))


PAGES = {"coverage": coverage, "access": access_matrix}
FILES = {"coverage": "docs/coverage.md", "access": "docs/access-matrix.md"}


def main() -> None:
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(prog="python -m mallee.registry", description="Writes pages that follow from the registry.")
    for name, file in FILES.items():
        parser.add_argument(f"--{name}", nargs="?", const=file, metavar="FILE", help=file)
    given = vars(parser.parse_args())
    if not any(given.values()):
        parser.error(f"one of {', '.join(f'--{name}' for name in FILES)} is needed")
    for name, file in given.items():
        if file is not None:
            Path(file).write_text(PAGES[name](), encoding="utf-8")
            print(f"{file} written")


if __name__ == "__main__":
    main()
