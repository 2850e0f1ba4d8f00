"""An object store beside a test's database: local disks in a folder, the index in a file (or on the same PostgreSQL)."""

from __future__ import annotations

from pathlib import Path

from mallee.identity import vault
from mallee.objects import wiring
from mallee.objects.index import tables
from mallee.objects.store import Store
from mallee.settings import Settings
from mallee.store import Database

ADMIN = "123456789012"


def attach(database: Database, home: Path) -> Store:
    """To be closed by whoever asked for it."""
    (home / "cloud").mkdir(parents=True, exist_ok=True)
    settings = Settings(home=home, simulated=True, admin_account_id=ADMIN)
    url = settings.objects_database_url if database.kind == "sqlite" else database.url
    index = Database(url, database.clock, synchronous=False)
    tables.create_tables(index)
    return wiring.wire(settings, database, vault.at(settings.cloud, create=True), index)
