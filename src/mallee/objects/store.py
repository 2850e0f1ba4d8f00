"""The object store of a process: its index, its engine, and what seals its keys, beside the main database.

There is one for each main database of a process: ``attach`` puts it there when the process is wired, ``at`` finds it from a transaction or a
database. Handlers get it by ``store.of(call)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mallee.identity.call import Call
from mallee.identity.vault import Vault
from mallee.objects.pins import Pins
from mallee.settings import Settings
from mallee.store import Database, Tx

if TYPE_CHECKING:
    from mallee.objects.engine.base import Engine
    from mallee.objects.index.index import Index


@dataclass(frozen=True, slots=True)
class Store:
    settings: Settings
    database: Database  # the main one
    index: Index
    engine: Engine
    vault: Vault
    pins: Pins = field(default_factory=Pins)

    def close(self) -> None:
        """After all that was submitted is answered."""
        self.index.close()
        self.index.database.close()
        self.engine.close()


def attach(store: Store) -> None:
    store.database.engine.memory[Store] = store


def at(place: Tx | Database) -> Store:
    """Raises LookupError where no store was attached: a fault of whoever wired the process."""
    memory = place.memory if isinstance(place, Tx) else place.engine.memory
    found: Store | None = memory.get(Store)
    if found is None:
        raise LookupError("this process has no object store")
    return found


def of(call: Call) -> Store:
    return at(call.tx)
