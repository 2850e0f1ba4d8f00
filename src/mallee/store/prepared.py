"""Statements that are run again and again, put to SQLite without SQLAlchemy's bookkeeping.

What SQLAlchemy does for every execution of a statement that it has compiled before takes three times as long as a point read
itself. So a SELECT that is kept and used a second time is compiled into a :class:`Plan`, by the same dialect with the same
border between accounts: its text, where each parameter goes, how values are turned into the column's type and back. The rows
are SQLAlchemy's own, so that nobody sees the difference. What a transaction writes by itself, row by row, is compiled into a
:class:`Write` in the same way. What a plan can't be made for (``None``) takes the usual way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.engine import Row
from sqlalchemy.engine.result import SimpleResultMetaData

Convert = Callable[[Any], Any]

LONGEST = 16
"""Elements of an IN list for which a text is kept; each length has its own."""


class Plans:
    """The plans of one dialect, each for as long as its statement lives."""

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect
        self._plans: WeakKeyDictionary[Any, Plan | None] = WeakKeyDictionary()
        self._once: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        self._writes: WeakKeyDictionary[Any, dict[tuple[str, ...], Write | None]] = WeakKeyDictionary()

    def of(self, statement: Any) -> Plan | None:
        """None on the first use: most statements that are made for one call are never seen again."""
        try:
            return self._plans[statement]
        except KeyError:
            pass
        if statement not in self._once:
            self._once[statement] = True
            return None
        plan = self._plans[statement] = _plan(statement, self._dialect)
        return plan

    def write(self, statement: Any, names: tuple[str, ...]) -> Write | None:
        """For a statement that is kept: an INSERT, UPDATE or DELETE with parameters of these names."""
        forms = self._writes.get(statement)
        if forms is None:
            forms = self._writes[statement] = {}
        try:
            return forms[names]
        except KeyError:
            found = forms[names] = _write(statement, names, self._dialect)
            return found


class Plan:
    """One SELECT. ``texts`` are its texts by the lengths of its IN lists. It holds nothing that holds the statement, or neither
    would ever go."""

    __slots__ = ("_columns", "_dialect", "_lists", "_metadata", "_texts")

    def __init__(self, dialect: Any, compiled: Any, metadata: SimpleResultMetaData) -> None:
        self._dialect = dialect
        self._metadata = metadata
        self._columns = len(metadata._keys)
        self._lists = tuple(bind.key for bind in compiled.bind_names if bind.expanding)
        self._texts: dict[tuple[int, ...], tuple[str, list[Place]]] = {}

    def bound(self, statement: Any, params: dict[str, Any]) -> tuple[str, list[Any]] | None:
        """Text and values for the driver; None when the usual way has to be taken: a list too long, a parameter missing."""
        try:
            lengths = tuple([len(params[key]) for key in self._lists]) if self._lists else ()
        except (KeyError, TypeError):
            return None
        found = self._texts.get(lengths)
        if found is None:
            if any(length > LONGEST for length in lengths):
                return None
            found = self._texts[lengths] = _text(statement.compile(dialect=self._dialect), params)
        text, places = found
        try:
            return text, [place(params) for place in places]
        except KeyError:
            return None

    def rows(self, found: list[Any]) -> list[Row[Any]]:
        if found and len(found[0]) != self._columns:
            raise TypeError(f"{len(found[0])} columns instead of {self._columns}")
        metadata = self._metadata
        processors, indexes = metadata._processors, metadata._key_to_index
        return [Row(metadata, processors, indexes, each) for each in found]


class Write:
    """One INSERT, UPDATE or DELETE: its text, and how its values are taken from the parameters."""

    __slots__ = ("_places", "text")

    def __init__(self, text: str, places: list[Place]) -> None:
        self.text = text
        self._places = places

    def bound(self, params: dict[str, Any]) -> list[Any]:
        return [place(params) for place in self._places]


Place = Callable[[dict[str, Any]], Any]
"""Takes a parameter's value from those of the call."""


def _place(bind: Any, number: int | None, convert: Convert | None) -> Place:
    key, value = bind.key, bind.value
    if number is not None:
        if convert is None:
            return lambda params: params[key][number]
        return lambda params: convert(params[key][number])
    if not bind.required:
        fixed = value if convert is None else convert(value)
        if convert is None:
            return lambda params: params.get(key, fixed)
        return lambda params: convert(params[key]) if key in params else fixed
    if convert is None:
        return lambda params: params[key]
    return lambda params: convert(params[key])


def _text(compiled: Any, params: dict[str, Any]) -> tuple[str, list[Place]]:
    """The text for IN lists as long as those of ``params``, and where its values come from."""
    text, names = compiled.string, compiled.positiontup
    processors: dict[str, Convert] = dict(compiled._bind_processors)
    elements: dict[str, tuple[str, int]] = {}
    if compiled.post_compile_params:
        state = compiled._process_parameters_for_postcompile(compiled.construct_params(params, escape_names=False))
        text, names = state.statement, state.positiontup
        processors.update(state.processors)
        for name, expanded in state.parameter_expansion.items():
            elements.update({each: (name, number) for number, each in enumerate(expanded)})
    binds = {name: bind for bind, name in compiled.bind_names.items()}
    places = []
    for name in names:
        of, number = elements.get(name, (name, None))
        places.append(_place(binds[of], number, processors.get(name)))
    return text, places


def _plan(statement: Any, dialect: Any) -> Plan | None:
    if not statement.is_select or statement.is_text:
        return None
    compiled = statement.compile(dialect=dialect)
    keys = [entry.keyname for entry in compiled._result_columns]
    plain = compiled.positional and compiled._ordered_columns and not compiled._textual_ordered_columns
    if not plain or compiled.literal_execute_params or len(set(keys)) != len(keys):
        return None
    if any(bind.callable is not None or bind.type._is_tuple_type for bind in compiled.bind_names):
        return None
    converters = [entry.type._cached_result_processor(dialect, None) for entry in compiled._result_columns]
    processors = converters if any(converters) else None
    return Plan(dialect, compiled, SimpleResultMetaData(keys, [entry.objects for entry in compiled._result_columns], processors))


def _write(statement: Any, names: tuple[str, ...], dialect: Any) -> Write | None:
    compiled = statement.compile(dialect=dialect, column_keys=list(names) if statement.is_insert else None)
    made_up = compiled.insert_prefetch or compiled.update_prefetch  # defaults that SQLAlchemy would call for
    if made_up or compiled.effective_returning or not compiled.positional:
        return None
    if compiled.post_compile_params or compiled.literal_execute_params:
        return None
    if any(bind.callable is not None for bind in compiled.bind_names):
        return None
    return Write(*_text(compiled, {}))
