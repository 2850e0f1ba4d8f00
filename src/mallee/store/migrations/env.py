"""Alembic's way in: runs the migrations on the connection that ``mallee.store.migrate`` gives."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from mallee.store import types


def render_item(kind: str, item: Any, autogen_context: Any) -> str | Literal[False]:
    """Columns of the store's own types are written by their names."""
    if kind == "type" and type(item).__module__ == types.__name__:
        return f"types.{type(item).__name__}()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    version_table=context.config.attributes["version_table"],
    render_item=render_item,
    render_as_batch=False,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
