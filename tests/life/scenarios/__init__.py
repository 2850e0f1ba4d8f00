"""One module per machine, each with ``SCENARIOS``: what the crash harness lives through."""

from __future__ import annotations

import importlib
import pkgutil

from tests.life.harness import Scenario


def collect() -> list[Scenario]:
    """The scenarios of all modules of this folder."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return [scenario for module in modules for scenario in module.SCENARIOS]
