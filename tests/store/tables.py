"""Tables for the store's own tests. Their names begin with ``sample_``, by which the tests of the real schema leave them out."""

from __future__ import annotations

from sqlalchemy import Column, UniqueConstraint

from mallee.store import Bytes, Flag, Float, Integer, Json, Text, Timestamp, plain_table, resource_table

THINGS = resource_table(
    "sample_things",
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, default="nameless"),
    Column("size", Integer),
    Column("weight", Float),
    Column("open", Flag, nullable=False, default=False),
    Column("tags", Json, default=dict),
    Column("made_at", Timestamp),
    Column("raw", Bytes),
    Column("password", Text, info={"secret": True}),
    UniqueConstraint("account_id", "name"),
)

PARTS = resource_table(
    "sample_parts",
    Column("thing_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("size", Integer),
)

PLACES = plain_table("sample_places", Column("id", Text, primary_key=True), Column("size", Integer))

NOTES = resource_table("sample_notes", Column("id", Text, primary_key=True), Column("size", Integer), journal=False)

ALICE, BOB = "111111111111", "222222222222"
