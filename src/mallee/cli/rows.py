"""The database as `status`, `doctor` and `audit` read it: directly, so that they work when the cloud's process does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mallee.cli.home import Sorry
from mallee.settings import Settings
from mallee.store import Database, StoreUnavailable, Tx


@contextmanager
def reading(chosen: Settings) -> Iterator[Tx]:
    """A snapshot of all accounts' rows; ``Sorry`` when the database cannot be used."""
    try:
        database = Database(chosen.database_url)
        try:
            with database.reading() as tx:
                yield tx
        finally:
            database.close()
    except StoreUnavailable as trouble:
        raise Sorry(f"{trouble.cause} {trouble.remedy}") from trouble
    except PermissionError as error:
        raise Sorry("the database belongs to another user: use sudo") from error
