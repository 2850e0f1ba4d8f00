"""An object store beside a test's database: local disks in a folder, the index in a file (or on the same PostgreSQL)."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
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
    return wiring.wire(settings, database, vault.at(settings.cloud, create=True), index(settings, database))


def index(settings: Settings, database: Database) -> Database:
    """The index's database, with its tables: a file beside the main one's, or the same PostgreSQL."""
    if database.kind != "sqlite":
        made = Database(database.url, database.clock, synchronous=False)
        tables.create_tables(made)
        return made
    path = settings.objects_database_url.removeprefix("sqlite:///")
    if not Path(path).exists():
        shutil.copy(_template(), path)
    return Database(settings.objects_database_url, database.clock, synchronous=False)


@functools.cache
def _template() -> Path:
    """A file with the tables and no rows: to copy it is faster than to make it."""
    folder = Path(tempfile.mkdtemp(prefix="mallee-index-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Database(f"sqlite:///{folder}/objects.db", synchronous=False)
    tables.create_tables(made)
    made.checkpoint()
    made.close()
    return folder / "objects.db"
