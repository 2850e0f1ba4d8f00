"""The border between accounts, drawn by the SQL compiler.

In a transaction of an account, wherever a statement names an owned table in a FROM (joins, subqueries, CTEs, EXISTS, the arms
of a UNION, UPDATE ... FROM), the compiler writes the account's slice of it instead: ``(SELECT * FROM instances WHERE
account_id = :a) AS instances``. The targets of UPDATE and DELETE get the condition added. Both engines fold the slice back
into the plain query with its indexes. There is no second place: SQL that the compiler does not write itself (``text()``,
``literal_column`` with anything but a name or a string) is refused, so no statement gets around it.

Doing this in the compiler, not by rewriting statements, costs nothing per execution: SQLAlchemy caches what was compiled, and
the scoped dialect has its own cache. The account is a bound parameter.
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Delete, Insert, Update

from .errors import Misuse, ScopeViolation
from .tables import ACCOUNT, metadata

PARAMETER = "scope_account"
SHARE = "0.1"
"""What share of a table SQLite shall expect to be one account's. It has no statistics, and would rather walk all rows of the account
than those of the parent that a join asks for: it takes every equality for equally rare."""
_HARMLESS_LITERAL = re.compile(r"[\w.]*\*?|'[^']*'")


class Own:
    """Marks the statements that the transaction itself writes; only these may write to journaled tables."""


class OwnInsert(Own, Insert):
    inherit_cache = True


class OwnInsertSqlite(Own, sqlite.Insert):
    inherit_cache = True


class OwnInsertPostgresql(Own, postgresql.Insert):
    inherit_cache = True


class OwnUpdate(Own, Update):
    inherit_cache = True


class OwnDelete(Own, Delete):
    inherit_cache = True


class Guard:
    """Mixed into a dialect's statement compiler. ``scoped`` says whether the account's border is drawn."""

    scoped = False

    def visit_table(self, table: Any, asfrom: bool = False, iscrud: bool = False, **kw: Any) -> str:
        compiler: Any = super()
        text: str = compiler.visit_table(table, asfrom=asfrom, iscrud=iscrud, **kw)
        if not (self.scoped and asfrom and not iscrud and text and _owned(table)):
            return text
        itself: Any = self
        name = itself.preparer.quote(table.name)
        condition = f"{name}.{ACCOUNT} = {itself.process(_account_parameter())}"
        if itself.dialect.name == "sqlite":
            condition = f"likelihood({condition}, {SHARE})"
        text = f"(SELECT * FROM {name} WHERE {condition})"
        enclosing = kw.get("enclosing_alias")
        if enclosing is not None and enclosing.element is table:
            return text  # the alias writes its own name
        return f"{text} AS {name}"

    def visit_tableclause(self, table: Any, **kw: Any) -> str:
        # sa.table("instances") is not the declared Table, but names the same rows.
        return self.visit_table(table, **kw)

    def visit_insert(self, statement: Any, *args: Any, **kw: Any) -> str:
        self._check_target(statement)
        if self.scoped and _owned(statement.table) and not isinstance(statement, Own):
            raise ScopeViolation(f"insert into {statement.table.name} by tx.insert, which sets the account")
        compiler: Any = super()
        return str(compiler.visit_insert(statement, *args, **kw))

    def visit_update(self, statement: Any, *args: Any, **kw: Any) -> str:
        self._check_target(statement)
        if self.scoped and _owned(statement.table):
            if not isinstance(statement, Own) and ACCOUNT in _assigned(statement, self):
                raise ScopeViolation(f"{statement.table.name}: a row cannot be moved to another account")
            statement = statement.where(self._condition(statement))
        compiler: Any = super()
        return str(compiler.visit_update(statement, *args, **kw))

    def visit_delete(self, statement: Any, *args: Any, **kw: Any) -> str:
        self._check_target(statement)
        if self.scoped and _owned(statement.table):
            statement = statement.where(self._condition(statement))
        compiler: Any = super()
        return str(compiler.visit_delete(statement, *args, **kw))

    def visit_column(self, column: Any, *args: Any, **kw: Any) -> str:
        if column.is_literal and not _HARMLESS_LITERAL.fullmatch(column.name):
            raise Misuse(f"literal_column({column.name!r}) is raw SQL, which no transaction takes")
        compiler: Any = super()
        return str(compiler.visit_column(column, *args, **kw))

    def visit_textclause(self, clause: Any, *args: Any, **kw: Any) -> str:
        raise Misuse(f"text({clause.text!r}) is raw SQL, which no transaction takes")

    def visit_tstring(self, clause: Any, *args: Any, **kw: Any) -> str:
        raise Misuse("a tstring is raw SQL, which no transaction takes")

    def _condition(self, statement: Any) -> Any:
        itself: Any = self
        condition = statement.table.c[ACCOUNT] == _account_parameter()
        return sa.func.likelihood(condition, sa.literal_column(SHARE)) if itself.dialect.name == "sqlite" else condition

    def _check_target(self, statement: Any) -> None:
        table = statement.table
        if not isinstance(table, sa.Table):
            raise Misuse(f"the target of a statement that writes must be a declared table, not {type(table).__name__}")
        if (table.info.get("journal") or table.info.get("append_only")) and not isinstance(statement, Own):
            raise Misuse(f"{table.name} is journaled: write it by tx.insert, tx.change and tx.remove")


def _account_parameter() -> sa.BindParameter[str]:
    return sa.bindparam(PARAMETER, type_=sa.Text())


def _owned(table: Any) -> bool:
    declared = table if isinstance(table, sa.Table) else metadata.tables.get(table.name)
    return declared is not None and bool(declared.info.get("owned"))


def _assigned(statement: Any, compiler: Any) -> set[str]:
    """The names of the columns that an UPDATE sets, in its own values and in the parameters it is executed with."""
    names = {getattr(key, "name", key) for key in (statement._values or {})}
    names |= {key for key in (compiler.column_keys or ()) if key in statement.table.c}
    return names


def guard(dialect: Any, scoped: bool) -> None:
    """Gives this instance of a dialect the guarded compiler."""
    plain = dialect.statement_compiler
    dialect.statement_compiler = type(f"Guarded{plain.__name__}", (Guard, plain), {"scoped": scoped})
