"""A tree into closures: what can be known before the first row is worked out once.

A scope says what a path means; a compiled expression is a function of one row. Logic has three values, unknown being None.
Nothing of the text of a query is ever run as Python.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mallee.objects.select import timestamps
from mallee.objects.select.aggregates import Accumulator
from mallee.objects.select.errors import fail
from mallee.objects.select.functions import CASTS, SCALAR, TAKES_UNKNOWN
from mallee.objects.select.like import matcher
from mallee.objects.select.scopes import Scope
from mallee.objects.select.syntax import (
    Aggregate,
    And,
    Arithmetic,
    Between,
    Call,
    Case,
    Cast,
    Compare,
    Concat,
    In,
    Is,
    Like,
    ListOf,
    Literal,
    Negate,
    Node,
    Not,
    Or,
    Path,
    children,
)
from mallee.objects.select.values import (
    MISSING,
    ORDERS,
    calculate,
    equal,
    joined,
    negated,
    ordered,
    truth,
    type_name,
    unknown,
)

Expression = Callable[[Any], Any]


class Compiler:
    """Compiles expressions for one run over one object."""

    def __init__(self, scope: Scope, now: datetime | None = None) -> None:
        self.scope = scope
        self._now = timestamps.at(now or datetime.now(UTC))
        self._aggregates: list[tuple[Accumulator, Expression | None]] = []

    def compile(self, node: Node) -> Expression:
        return _COMPILERS[type(node)](self, node)

    def condition(self, node: Node) -> Callable[[Any], bool]:
        """True only where the condition is true."""
        expression = self.compile(node)
        if isinstance(node, Compare | And | Or | Not | In | Like | Between | Is):
            return expression  # these answer with nothing but True, False and None
        return lambda row: truth(expression(row)) is True

    # aggregates

    def accumulate(self, row: Any) -> None:
        for accumulator, expression in self._aggregates:
            if expression is None:
                accumulator.count += 1
            else:
                value = expression(row)
                if value is not None and value is not MISSING:
                    accumulator.add(value)

    def _aggregate(self, node: Aggregate) -> Expression:
        accumulator = Accumulator(node.function)
        self._aggregates.append((accumulator, None if node.item is None else self.compile(node.item)))
        return lambda row: accumulator.result()

    # leaves

    def _literal(self, node: Literal) -> Expression:
        value = node.value
        return lambda row: value

    def _list(self, node: ListOf) -> Expression:
        items = [self.compile(item) for item in node.items]
        return lambda row: [item(row) for item in items]

    def _path(self, node: Path) -> Expression:
        return self.scope.path(node)

    # logic

    def _not(self, node: Not) -> Expression:
        item = self.compile(node.item)

        def inverted(row: Any) -> bool | None:
            value = truth(item(row))
            return None if value is None else not value

        return inverted

    def _and(self, node: And) -> Expression:
        items = [self.compile(item) for item in node.items]

        def every(row: Any) -> bool | None:
            result: bool | None = True
            for item in items:
                value = item(row)
                if value is False:
                    return False
                if value is not True:
                    result = truth(value)
            return result

        return every

    def _or(self, node: Or) -> Expression:
        items = [self.compile(item) for item in node.items]

        def some(row: Any) -> bool | None:
            result: bool | None = False
            for item in items:
                value = item(row)
                if value is True:
                    return True
                if value is not False:
                    result = truth(value)
            return result

        return some

    def _compare(self, node: Compare) -> Expression:
        left, right = self.compile(node.left), self.compile(node.right)
        if node.operator in ORDERS:
            test = ORDERS[node.operator]
            return lambda row: ordered(test, left(row), right(row))
        wanted = node.operator == "="
        if isinstance(node.right, Literal) and type(node.right.value) is str:
            return self._compare_text(node, left, node.right.value, wanted)

        def compared(row: Any) -> bool | None:
            same = equal(left(row), right(row))
            return None if same is None else same is wanted

        return compared

    def _compare_text(self, node: Compare, left: Expression, text: str, wanted: bool) -> Expression:
        """The most common condition, and the one that speed is measured by."""
        column = self.scope.column(node.left) if isinstance(node.left, Path) else None
        if column is not None:
            at = column

            def column_is(row: Any) -> bool | None:
                try:
                    return (row[at] == text) is wanted
                except IndexError:
                    return None

            return column_is

        def value_is(row: Any) -> bool | None:
            value = left(row)
            return None if value is None or value is MISSING else (value == text) is wanted

        return value_is

    def _between(self, node: Between) -> Expression:
        item, low, high = self.compile(node.item), self.compile(node.low), self.compile(node.high)
        test = ORDERS["<="]

        def within(row: Any) -> bool | None:
            value = item(row)
            above = ordered(test, low(row), value)
            below = ordered(test, value, high(row))
            return False if above is False or below is False else above and below

        return within

    def _in(self, node: In) -> Expression:
        item = self.compile(node.item)
        if all(isinstance(option, Literal) and type(option.value) is str for option in node.options):
            texts = frozenset(option.value for option in node.options if isinstance(option, Literal))

            def among(row: Any) -> bool | None:
                value = item(row)
                if type(value) is str:
                    return value in texts
                return None if unknown(value) else False

            return among
        options = [self.compile(option) for option in node.options]

        def found(row: Any) -> bool | None:
            value = item(row)
            result: bool | None = False
            for option in options:
                same = equal(value, option(row))
                if same:
                    return True
                if same is None:
                    result = None
            return result

        return found

    def _like(self, node: Like) -> Expression:
        item, pattern = self.compile(node.item), self.compile(node.pattern)
        escape = self.compile(node.escape) if node.escape is not None else None
        if isinstance(node.pattern, Literal) and (node.escape is None or isinstance(node.escape, Literal)):
            # a pattern that is wrong is wrong before the first row
            self._likeness("", node.pattern.value, node.escape.value if node.escape is not None else "!none")
        return lambda row: self._likeness(item(row), pattern(row), "!none" if escape is None else escape(row))

    @staticmethod
    def _likeness(value: Any, pattern: Any, escape: Any) -> bool | None:
        if unknown(pattern) or unknown(escape):
            return None
        if type(pattern) is not str or type(escape) is not str:
            fail("LikeInvalidInputs", f"The pattern is {type_name(pattern)}.")
        matches = matcher(pattern, None if escape == "!none" else escape)
        if unknown(value):
            return None
        if type(value) is not str:
            fail("LikeInvalidInputs", f"{type_name(value)} is not STRING.")
        return matches(value)

    def _is(self, node: Is) -> Expression:
        item = self.compile(node.item)
        if node.what == "missing":
            return lambda row: item(row) is MISSING
        return lambda row: unknown(item(row))

    # values

    def _arithmetic(self, node: Arithmetic) -> Expression:
        first = self.compile(node.first)
        rest = [(sign, self.compile(operand)) for sign, operand in node.rest]

        def calculated(row: Any) -> Any:
            value = first(row)
            for sign, operand in rest:
                value = calculate(sign, value, operand(row))
            return value

        return calculated

    def _negate(self, node: Negate) -> Expression:
        item = self.compile(node.item)
        return lambda row: negated(item(row))

    def _concat(self, node: Concat) -> Expression:
        first, *rest = [self.compile(item) for item in node.items]

        def concatenated(row: Any) -> Any:
            value = first(row)
            for item in rest:
                value = joined(value, item(row))
            return value

        return concatenated

    def _case(self, node: Case) -> Expression:
        whens = [(self.compile(test), self.compile(result)) for test, result in node.whens]
        otherwise = self.compile(node.otherwise) if node.otherwise is not None else lambda row: None
        operand = self.compile(node.operand) if node.operand is not None else None

        def chosen(row: Any) -> Any:
            value = operand(row) if operand is not None else None
            for test, result in whens:
                if (truth(test(row)) if operand is None else equal(value, test(row))) is True:
                    return result(row)
            return otherwise(row)

        return chosen

    def _cast(self, node: Cast) -> Expression:
        item, cast = self.compile(node.item), CASTS[node.type]

        def converted(row: Any) -> Any:
            value = item(row)
            return value if value is None or value is MISSING else cast(value)

        return converted

    def _call(self, node: Call) -> Expression:
        if node.function == "utcnow":
            now = self._now  # the same in every row
            return lambda row: now
        function = SCALAR[node.function]
        arguments = [self.compile(argument) for argument in node.arguments]
        if node.function in TAKES_UNKNOWN:
            return lambda row: function(*[argument(row) for argument in arguments])

        def called(row: Any) -> Any:
            values = [argument(row) for argument in arguments]
            for value in values:
                if value is None or value is MISSING:
                    return None
            return function(*values)

        return called


_COMPILERS: dict[type, Callable[[Compiler, Any], Expression]] = {
    Literal: Compiler._literal, ListOf: Compiler._list, Path: Compiler._path, Not: Compiler._not, And: Compiler._and,
    Or: Compiler._or, Compare: Compiler._compare, Between: Compiler._between, In: Compiler._in, Like: Compiler._like,
    Is: Compiler._is, Arithmetic: Compiler._arithmetic, Negate: Compiler._negate, Concat: Compiler._concat,
    Case: Compiler._case, Cast: Compiler._cast, Call: Compiler._call, Aggregate: Compiler._aggregate,
}  # fmt: skip


def reads_rows(node: Node) -> bool:
    """Whether a path stands outside every aggregate function."""
    return isinstance(node, Path) or (not isinstance(node, Aggregate) and any(reads_rows(child) for child in children(node)))
