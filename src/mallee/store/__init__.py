"""The database: tables, transactions scoped by account, the journal, ids and time. SQLite and PostgreSQL from one code."""

from . import ids
from .clock import Clock, ManualClock
from .database import Database
from .errors import (
    Conflict,
    Constraint,
    Misuse,
    SchemaTooNew,
    ScopeViolation,
    StoreError,
    StoreUnavailable,
)
from .rows import read, read_all
from .tables import journal, metadata, plain_table, resource_table
from .transaction import Actor, Tx
from .types import Bytes, Flag, Float, Integer, Json, Text, Timestamp

__all__ = [
    "Actor",
    "Bytes",
    "Clock",
    "Conflict",
    "Constraint",
    "Database",
    "Flag",
    "Float",
    "Integer",
    "Json",
    "ManualClock",
    "Misuse",
    "SchemaTooNew",
    "ScopeViolation",
    "StoreError",
    "StoreUnavailable",
    "Text",
    "Timestamp",
    "Tx",
    "ids",
    "journal",
    "metadata",
    "plain_table",
    "read",
    "read_all",
    "resource_table",
]
