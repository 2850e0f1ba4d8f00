"""The operations of ``mallee`` and of ``service-quotas``."""

from types import ModuleType

OPERATIONS: dict[str, tuple[ModuleType, ...]] = {"mallee": (), "service-quotas": ()}
