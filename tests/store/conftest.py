from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mallee.store import Database, schema


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """A database that syncs, as in earnest."""
    made = Database(f"sqlite:///{tmp_path}/cloud.db")
    schema.create(made)
    yield made
    made.close()
