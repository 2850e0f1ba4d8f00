"""How a process comes to its object store: by the settings, the index and the engine that they name, attached to the main database."""

from __future__ import annotations

from pathlib import Path

from mallee.identity.vault import Vault
from mallee.objects import store
from mallee.objects.engine.base import Engine
from mallee.objects.engine.local import LocalEngine
from mallee.objects.index import tables, tasks
from mallee.objects.index.index import Index
from mallee.objects.pins import Pins
from mallee.objects.store import Store
from mallee.settings import Settings
from mallee.store import Database

GRACE = 60.0
"""Seconds that other front ends have to finish reading what was removed."""


def prepare(settings: Settings) -> bool:
    """The index's tables as this release has them; whether anything was done."""
    database = Database(settings.objects_database_url)
    try:
        return bool(tables.upgrade(database))
    finally:
        database.close()


def wire(settings: Settings, database: Database, vault: Vault, index_database: Database | None = None) -> Store:
    """The store of this process, from now on found by ``store.at(database)``. Raises EngineError when its disks are not as they should
    be."""
    engine = make_engine(settings)
    own = index_database or tables.open_database(settings.objects_database_url, database.clock)
    pins = Pins()
    grace = GRACE if settings.objects_engine != "local" else 0.0
    made = Store(settings, database, Index(own, engine, pins, grace), engine, vault, pins)
    own.engine.memory[tasks.WAKE] = database.nudge  # a kind of tasks is the topic of whoever does them
    store.attach(made)
    return made


def make_engine(settings: Settings) -> Engine:
    if settings.objects_engine == "rados":
        from mallee.objects.engine.rados import RadosEngine  # only where it is asked for

        return RadosEngine.of(settings)
    folders = [Path(folder) for folder in settings.objects_disks]
    return LocalEngine(folders, settings.objects_copies, record=settings.cloud / "objects.disks")
