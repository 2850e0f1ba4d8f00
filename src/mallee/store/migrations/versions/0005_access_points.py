"""access points"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mallee.store import types

revision = '0005'
down_revision = '0004'


def upgrade() -> None:
    op.create_table('bucket_access_points',
    sa.Column('alias', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('bucket', sa.Text(), nullable=False),
    sa.Column('bucket_id', sa.Text(), nullable=False),
    sa.Column('bucket_account_id', sa.Text(), nullable=False),
    sa.Column('created_at', types.Timestamp(), nullable=False),
    sa.Column('vpc_id', sa.Text(), nullable=True),
    sa.Column('blocks', types.Json(), nullable=False),
    sa.Column('policy', sa.Text(), nullable=True),
    sa.Column('account_id', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('alias', name=op.f('pk_bucket_access_points')),
    sa.UniqueConstraint('account_id', 'name', name=op.f('uq_bucket_access_points_account_id_name')),
    info={'owned': True, 'journal': True},
    sqlite_strict=True
    )
    op.create_index(op.f('ix_bucket_access_points_account_id'), 'bucket_access_points', ['account_id'], unique=False)
    op.create_index(op.f('ix_bucket_access_points_bucket_id'), 'bucket_access_points', ['bucket_id'], unique=False)
