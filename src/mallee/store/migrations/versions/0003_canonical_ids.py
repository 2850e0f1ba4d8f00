"""canonical ids"""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

from mallee.store import types

revision = '0003'
down_revision = '0002'


def upgrade() -> None:
    op.add_column('accounts', sa.Column('canonical_id', sa.Text(), nullable=True))
    op.create_index('accounts_by_canonical_id', 'accounts', ['canonical_id'], unique=True)
    accounts = sa.table(
        'accounts', sa.column('id', sa.Text()), sa.column('created_at', types.Timestamp()), sa.column('canonical_id', sa.Text())
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(accounts.c.id, accounts.c.created_at)).all():
        text = f"canonical user {row.id} {types.to_micros(row.created_at)}"
        connection.execute(
            accounts.update().where(accounts.c.id == row.id).values(canonical_id=hashlib.sha256(text.encode()).hexdigest())
        )
