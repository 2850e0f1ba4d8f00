"""The tree of a SELECT, as the parser makes it and the evaluator compiles it.

Chains (``a AND b AND c``, ``1 + 2 - 3``, ``x || y || z``) are one flat node each: the depth of a tree is the depth of
the parentheses that were written, which the parser bounds, however long the expression is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Name:
    """One name of a path. Quoted names are case-sensitive."""

    text: str
    quoted: bool = False

    def matches(self, other: str) -> bool:
        return self.text == other if self.quoted else self.text.lower() == other.lower()


@dataclass(frozen=True)
class Index:
    at: int


@dataclass(frozen=True)
class EveryElement:
    """``[*]``"""


@dataclass(frozen=True)
class EveryMember:
    """``.*``"""


Step = Name | Index | EveryElement | EveryMember


@dataclass(frozen=True)
class Literal:
    value: Any


@dataclass(frozen=True)
class ListOf:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Path:
    """``a.b[0].c``: what ``a`` is, a table or a column, is for the scope to say."""

    root: Name
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Not:
    item: Node


@dataclass(frozen=True)
class And:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Compare:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Arithmetic:
    """``first`` and then, from left to right, each operator with its operand."""

    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Negate:
    item: Node


@dataclass(frozen=True)
class Concat:
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Between:
    item: Node
    low: Node
    high: Node


@dataclass(frozen=True)
class In:
    item: Node
    options: tuple[Node, ...]


@dataclass(frozen=True)
class Like:
    item: Node
    pattern: Node
    escape: Node | None


@dataclass(frozen=True)
class Is:
    """``item IS NULL`` or ``item IS MISSING``."""

    item: Node
    what: str


@dataclass(frozen=True)
class Case:
    """With an operand the WHENs are values, without one they are conditions."""

    operand: Node | None
    whens: tuple[tuple[Node, Node], ...]
    otherwise: Node | None


@dataclass(frozen=True)
class Cast:
    item: Node
    type: str


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Aggregate:
    """``item`` is None for COUNT(*)."""

    function: str
    item: Node | None


Node = (
    Literal | ListOf | Path | Not | And | Or | Compare | Arithmetic | Negate | Concat | Between | In | Like | Is | Case | Cast
    | Call | Aggregate
)  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One expression of the SELECT list, and its name in the result."""

    node: Node
    name: str


@dataclass(frozen=True)
class AllOf:
    """``*``, or ``path.*``"""

    path: Path | None = None


@dataclass(frozen=True)
class Select:
    items: tuple[Item | AllOf, ...]
    source: tuple[Step, ...]
    alias: Name | None
    where: Node | None
    limit: int | None


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Literal() | Path():
            return ()
        case ListOf(items) | And(items) | Or(items) | Concat(items):
            return items
        case Not(item) | Negate(item) | Is(item) | Cast(item):
            return (item,)
        case Compare(_, left, right):
            return (left, right)
        case Arithmetic(first, rest):
            return (first, *(operand for _, operand in rest))
        case Between(item, low, high):
            return (item, low, high)
        case In(item, options):
            return (item, *options)
        case Like(item, pattern, escape):
            return (item, pattern) if escape is None else (item, pattern, escape)
        case Case(operand, whens, otherwise):
            pairs = [part for when in whens for part in when]
            return tuple(part for part in (operand, *pairs, otherwise) if part is not None)
        case Call(_, arguments):
            return arguments
        case Aggregate(_, item):
            return () if item is None else (item,)


def any_of(node: Node, kind: type) -> bool:
    return isinstance(node, kind) or any(any_of(child, kind) for child in children(node))
