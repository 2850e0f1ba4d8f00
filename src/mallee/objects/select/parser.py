"""From the text of a SELECT to its tree, by recursive descent, with S3's code for each way of not being one.

The order of the operators is that of the table "Operator precedence" (Amazon S3 Select SQL reference). Parentheses nest to
MAX_DEPTH; beyond that the answer is MaxOperatorsExceeded, and so it is for chains of comparisons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from mallee.objects.select import timestamps
from mallee.objects.select.errors import fail
from mallee.objects.select.lexer import END, ION, NAME, NUMBER, OPERATOR, STRING, WORD, Quoted, Token, tokens
from mallee.objects.select.syntax import (
    Aggregate,
    AllOf,
    And,
    Arithmetic,
    Between,
    Call,
    Case,
    Cast,
    Compare,
    Concat,
    EveryElement,
    EveryMember,
    In,
    Index,
    Is,
    Item,
    Like,
    ListOf,
    Literal,
    Name,
    Negate,
    Node,
    Not,
    Or,
    Path,
    Select,
    Step,
    any_of,
)
from mallee.objects.select.values import MISSING

MAX_DEPTH = 40
MAX_EXPRESSION = 256 << 10

AGGREGATES = frozenset({"avg", "count", "max", "min", "sum"})
FUNCTIONS = {
    "coalesce": (1, 1000), "nullif": (2, 2), "char_length": (1, 1), "character_length": (1, 1), "lower": (1, 1), "upper": (1, 1),
    "to_string": (2, 2), "to_timestamp": (1, 2), "utcnow": (0, 0),
}  # fmt: skip
TYPES = {
    "bool": "BOOL", "boolean": "BOOL", "int": "INT", "integer": "INT", "smallint": "INT", "string": "STRING", "char": "STRING",
    "character": "STRING", "varchar": "STRING", "clob": "STRING", "float": "FLOAT", "real": "FLOAT", "double": "FLOAT",
    "decimal": "DECIMAL", "dec": "DECIMAL", "numeric": "DECIMAL", "timestamp": "TIMESTAMP",
}  # fmt: skip
_STATEMENTS = {"insert", "update", "delete", "create", "drop", "alter", "grant", "revoke", "with", "exec", "execute", "values"}
_SET_OPERATIONS = {"union", "intersect", "except", "having", "order"}


def parse(text: str) -> Select:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_EXPRESSION:
        fail("ExpressionTooLong")
    try:
        return _Parser(tokens(text)).select()
    except RecursionError:
        # the caller's own stack was deep already
        fail("MaxOperatorsExceeded")


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    # words

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        if token.kind != END:
            self._at += 1
        return token

    def _is(self, kind: str, *values: str) -> bool:
        return self._next.kind == kind and self._next.value in values

    def _word(self, word: str) -> bool:
        """Takes the keyword if it comes next."""
        token = self._tokens[self._at]
        if token.kind != WORD or token.value != word:
            return False
        self._at += 1
        return True

    def _sign(self, *signs: str) -> str | None:
        token = self._tokens[self._at]
        if token.kind != OPERATOR or token.value not in signs:
            return None
        self._at += 1
        return str(token.value)

    def _need(self, sign: str, code: str = "ParseExpectedTokenType") -> None:
        if not self._sign(sign):
            fail(code, f"Expected {sign!r}, found {self._next}.")

    def _need_word(self, word: str) -> None:
        if not self._word(word):
            fail("ParseExpectedKeyword", f"Expected {word.upper()}, found {self._next}.")

    def _unexpected(self) -> NoReturn:
        token = self._next
        fail("ParseUnExpectedKeyword" if token.kind == WORD else "ParseUnexpectedToken", f"Found {token}.")

    def _ahead(self, sign: str) -> bool:
        token = self._tokens[min(self._at + 1, len(self._tokens) - 1)]
        return token.kind == OPERATOR and token.value == sign

    # the statement

    def select(self) -> Select:
        if not self._word("select"):
            if self._next.kind == WORD and self._next.value in _STATEMENTS:
                fail("UnsupportedSqlOperation", f"Found {self._next}.")
            fail("ParseExpectedKeyword", f"Expected SELECT, found {self._next}.")
        if self._is(WORD, "distinct", "all", "value"):
            fail("UnsupportedSqlStructure", f"Found {self._next}.")
        items = self._items()
        if not self._word("from"):
            fail("ParseSelectMissingFrom", f"Found {self._next}.")
        source, alias = self._source()
        where = self.expression() if self._word("where") else None
        limit = self._limit() if self._word("limit") else None
        self._sign(";")
        if self._next.kind != END:
            self._refuse_clause()
        if where is not None and any_of(where, Aggregate):
            fail("UnsupportedSqlStructure", "Aggregate functions are not allowed in WHERE.")
        return Select(items, source, alias, where, limit)

    def _refuse_clause(self) -> NoReturn:
        token = self._next
        if token.kind == WORD and token.value == "group":
            fail("ParseUnsupportedLiteralsGroupBy")
        if token.kind == WORD and token.value in _SET_OPERATIONS:
            fail("UnsupportedSqlStructure", f"{token.value.upper()} is not supported.")
        self._unexpected()

    def _items(self) -> tuple[Item | AllOf, ...]:
        if self._is(WORD, "from") or self._next.kind == END:
            fail("ParseEmptySelect")
        if self._sign("*"):
            if self._is(OPERATOR, ","):
                fail("ParseAsteriskIsNotAloneInSelectList")
            return (AllOf(),)
        found: list[Item | AllOf] = []
        while True:
            if self._is(OPERATOR, "*"):
                fail("ParseAsteriskIsNotAloneInSelectList")
            found.append(self._item(len(found) + 1))
            if not self._sign(","):
                return tuple(found)

    def _item(self, number: int) -> Item | AllOf:
        node = self.expression()
        if isinstance(node, Path) and node.steps and isinstance(node.steps[-1], EveryMember):
            if any(isinstance(step, Index) for step in node.steps):
                fail("ParseCannotMixSqbAndWildcardInSelectList")
            return AllOf(Path(node.root, node.steps[:-1]))
        name = self._alias()
        if name is None:
            name = _name_of(node) or Name(f"_{number}")
        return Item(node, name.text)

    def _alias(self) -> Name | None:
        if self._word("as"):
            if self._next.kind != NAME:
                fail("ParseExpectedIdentForAlias", f"Found {self._next}.")
            return _name(self._take())
        return _name(self._take()) if self._next.kind == NAME else None

    def _source(self) -> tuple[tuple[Step, ...], Name | None]:
        token = self._next
        if self._is(OPERATOR, "("):
            fail("ParseUnsupportedSelect", "FROM must name S3Object.")
        if token.kind != NAME:
            self._unexpected()
        self._take()
        if not Name("s3object").matches(token.value):
            fail("EvaluatorBindingDoesNotExist", f"FROM must name S3Object, found {token}.")
        steps: list[Step] = []
        while self._is(OPERATOR, ".", "["):
            steps.append(self._step())
        if steps and not isinstance(steps[0], EveryElement):
            fail("InvalidKeyPath", "A path in FROM begins with S3Object[*].")
        alias = self._alias()
        if self._word("at") or self._word("by"):
            fail("ParseUnsupportedSyntax", "AT and BY are not supported.")
        if self._is(OPERATOR, ","):
            fail("MultipleDataSourcesUnsupported")
        if self._is(WORD, "join", "inner", "left", "right", "full", "outer", "cross", "natural"):
            fail("ParseMalformedJoin")
        if alias is None and steps and isinstance(steps[-1], Name):
            alias = steps[-1]
        return tuple(steps[1:]), alias

    def _limit(self) -> int:
        negative = bool(self._sign("-"))
        if self._next.kind != NUMBER or not isinstance(self._next.value, int):
            fail("ParseExpectedNumber", f"Found {self._next}.")
        value = int(self._take().value)
        if negative and value:
            fail("EvaluatorNegativeLimit")
        return value

    # expressions, from the loosest to the tightest

    def expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            fail("MaxOperatorsExceeded")
        choices: list[Node] = []
        while True:
            terms = [self._negation()]
            while self._word("and"):
                terms.append(self._negation())
            choices.append(terms[0] if len(terms) == 1 else And(tuple(terms)))
            if not self._word("or"):
                break
        self._depth -= 1
        return choices[0] if len(choices) == 1 else Or(tuple(choices))

    def _negation(self) -> Node:
        turns = 0
        while self._word("not"):
            turns += 1
        node = self._equality()
        return node if turns == 0 else Not(node) if turns % 2 else Not(Not(node))

    def _chain(self, operand: Callable[[], Node], *signs: str) -> Node:
        node = operand()
        for _ in range(MAX_DEPTH):
            sign = self._sign(*signs)
            if sign is None:
                return node
            node = Compare(sign, node, operand())
        fail("MaxOperatorsExceeded")

    def _equality(self) -> Node:
        return self._chain(self._relation, "=", "<>")

    def _relation(self) -> Node:
        return self._chain(self._membership, "<", "<=", ">", ">=")

    def _membership(self) -> Node:
        node = self._concat()
        for _ in range(MAX_DEPTH):
            if self._word("is"):
                inverted = self._word("not")
                if not self._is(WORD, "null", "missing"):
                    fail("ParseUnsupportedSyntax", f"Expected NULL or MISSING after IS, found {self._next}.")
                found: Node = Is(node, self._take().value)
            else:
                inverted = self._word("not")
                if self._word("in"):
                    found = In(node, self._options())
                elif self._word("between"):
                    low = self._concat()
                    self._need_word("and")
                    found = Between(node, low, self._concat())
                elif self._word("like"):
                    pattern = self._concat()
                    found = Like(node, pattern, self._concat() if self._word("escape") else None)
                elif inverted:
                    fail("ParseExpectedKeyword", f"Expected IN, BETWEEN or LIKE after NOT, found {self._next}.")
                else:
                    return node
            node = Not(found) if inverted else found
        fail("MaxOperatorsExceeded")

    def _options(self) -> tuple[Node, ...]:
        if not self._is(OPERATOR, "(", "["):
            fail("ParseExpectedLeftParenValueConstructor", f"Found {self._next}.")
        close = ")" if self._take().value == "(" else "]"
        if self._is(WORD, "select"):
            fail("ParseUnsupportedSelect")
        found = [self.expression()]
        while self._sign(","):
            found.append(self.expression())
        self._need(close)
        return tuple(found)

    def _concat(self) -> Node:
        items = [self._sum()]
        while self._sign("||"):
            items.append(self._sum())
        return items[0] if len(items) == 1 else Concat(tuple(items))

    def _sum(self) -> Node:
        return self._arithmetic(self._product, "+", "-")

    def _product(self) -> Node:
        return self._arithmetic(self._signed, "*", "/", "%")

    def _arithmetic(self, operand: Callable[[], Node], *signs: str) -> Node:
        first = operand()
        rest: list[tuple[str, Node]] = []
        while sign := self._sign(*signs):
            rest.append((sign, operand()))
        return Arithmetic(first, tuple(rest)) if rest else first

    def _signed(self) -> Node:
        negations = signs = 0
        while sign := self._sign("-", "+"):
            signs += 1
            negations += sign == "-"
        node = self._primary()
        if negations % 2:
            return Negate(node)
        return Negate(Negate(node)) if signs else node

    def _primary(self) -> Node:
        token = self._next
        if token.kind in (STRING, NUMBER, ION):
            self._take()
            return Literal(token.value)
        if token.kind == WORD:
            return self._keyword(token)
        if token.kind == NAME:
            if self._ahead("(") and not isinstance(token.value, Quoted):
                return self._call(token.value.lower())
            return self._path()
        if token.kind == OPERATOR and token.value == "(":
            self._take()
            if self._is(WORD, "select"):
                fail("ParseUnsupportedSelect")
            node = self.expression()
            if self._is(OPERATOR, ","):
                fail("ParseUnsupportedSyntax", "A list is written in brackets.")
            self._need(")")
            return node
        if token.kind == OPERATOR and token.value == "[":
            self._take()
            return ListOf(self._listed("]"))
        if token.kind == END or token.value in (",", ")", "]", ";"):
            fail("ParseExpectedExpression", f"Found {token}.")
        self._unexpected()

    def _listed(self, close: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self._sign(close):
            if found:
                self._need(",", "ParseExpectedArgumentDelimiter")
            found.append(self.expression())
        return tuple(found)

    _CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None, "missing": MISSING}

    def _keyword(self, token: Token) -> Node:
        word = token.value
        if word in self._CONSTANTS:
            self._take()
            return Literal(self._CONSTANTS[word])
        if word == "case":
            self._take()
            return self._case()
        if word == "select":
            fail("ParseUnsupportedSelect")
        if self._ahead("(") or word in ("cast", *AGGREGATES, *FUNCTIONS, "substring", "trim", "extract"):
            return self._call(word)
        if word in ("from", "where", "limit", "then", "end"):
            fail("ParseExpectedExpression", f"Found {token}.")
        self._unexpected()

    def _path(self) -> Path:
        root = _name(self._take())
        steps: list[Step] = []
        while self._is(OPERATOR, ".", "["):
            steps.append(self._step())
        return Path(root, tuple(steps))

    def _step(self) -> Step:
        if self._sign("."):
            if self._sign("*"):
                return EveryMember()
            if self._next.kind != NAME:
                fail("ParseInvalidPathComponent", f"Found {self._next}.")
            return _name(self._take())
        self._take()
        token = self._take()
        if token.kind == OPERATOR and token.value == "*":
            step: Step = EveryElement()
        elif token.kind == NUMBER and isinstance(token.value, int):
            step = Index(token.value)
        elif token.kind == STRING:
            step = Name(token.value, quoted=True)
        else:
            fail("ParseInvalidPathComponent", f"Found {token}.")
        self._need("]")
        return step

    # functions

    def _case(self) -> Case:
        operand = None if self._is(WORD, "when") else self.expression()
        whens: list[tuple[Node, Node]] = []
        while self._word("when"):
            test = self.expression()
            self._need_word("then")
            whens.append((test, self.expression()))
        if not whens:
            fail("ParseExpectedWhenClause", f"Found {self._next}.")
        otherwise = self.expression() if self._word("else") else None
        self._need_word("end")
        return Case(operand, tuple(whens), otherwise)

    def _call(self, name: str) -> Node:
        self._take()
        code = "ParseExpectedLeftParenAfterCast" if name == "cast" else "ParseExpectedLeftParenBuiltinFunctionCall"
        self._need("(", code)
        special = getattr(self, f"_call_{name}", None) if name in self._SPECIAL else None
        if special is not None:
            node: Node = special()
            self._need(")", "ParseExpectedRightParenBuiltinFunctionCall")
            return node
        if name in AGGREGATES:
            return self._aggregate(name)
        if name not in FUNCTIONS:
            fail("UnsupportedFunction", f"{name.upper()}.")
        if self._is(OPERATOR, "*"):
            fail("ParseUnsupportedCallWithStar")
        arguments = self._listed(")")
        low, high = FUNCTIONS[name]
        if not low <= len(arguments) <= high:
            fail("EvaluatorInvalidArguments", f"{name.upper()} was given {len(arguments)}.")
        return Call("char_length" if name == "character_length" else name, arguments)

    _SPECIAL = frozenset({"cast", "extract", "date_add", "date_diff", "substring", "trim"})

    def _aggregate(self, name: str) -> Aggregate:
        if self._sign("*"):
            if name != "count":
                fail("ParseUnsupportedCallWithStar", f"Found {name.upper()}(*).")
            self._need(")", "ParseExpectedRightParenBuiltinFunctionCall")
            return Aggregate(name, None)
        if self._word("distinct"):
            fail("UnsupportedSqlStructure", "DISTINCT is not supported.")
        self._word("all")
        arguments = self._listed(")")
        if len(arguments) != 1:
            fail("ParseNonUnaryAgregateFunctionCall", f"{name.upper()} was given {len(arguments)}.")
        if any_of(arguments[0], Aggregate):
            fail("UnsupportedSqlStructure", "Aggregate functions cannot be nested.")
        return Aggregate(name, arguments[0])

    def _call_cast(self) -> Cast:
        if self._is(OPERATOR, ")"):
            fail("ParseCastArity")
        item = self.expression()
        if not self._word("as"):
            fail("ParseCastArity" if self._is(OPERATOR, ",", ")") else "ParseExpectedKeyword", f"Found {self._next}.")
        if self._next.kind != WORD or self._next.value not in TYPES:
            fail("ParseExpectedTypeName", f"Found {self._next}.")
        word = self._take().value
        if word == "double":
            self._word("precision")
        elif word in ("char", "character"):
            self._word("varying")
        if self._sign("("):
            # length, precision and scale are read and left: "Amazon S3 Select ignores scale and precision"
            while True:
                if self._next.kind != NUMBER or not isinstance(self._take().value, int):
                    fail("ParseInvalidTypeParam", f"Found {self._next}.")
                if not self._sign(","):
                    break
            self._need(")")
        return Cast(item, TYPES[word])

    def _part(self, allowed: frozenset[str]) -> Literal:
        token = self._next
        if token.kind not in (WORD, NAME) or str(token.value).lower() not in allowed:
            fail("ParseExpectedDatePart", f"Found {token}.")
        return Literal(str(self._take().value).lower())

    def _comma(self) -> None:
        self._need(",", "ParseExpectedArgumentDelimiter")

    def _call_extract(self) -> Call:
        part = self._part(timestamps.PARTS | {"timezone_hour", "timezone_minute"})
        self._need_word("from")
        return Call("extract", (part, self.expression()))

    def _dated(self, name: str) -> Call:
        part = self._part(timestamps.PARTS)
        self._comma()
        first = self.expression()
        self._comma()
        return Call(name, (part, first, self.expression()))

    def _call_date_add(self) -> Call:
        return self._dated("date_add")

    def _call_date_diff(self) -> Call:
        return self._dated("date_diff")

    def _call_substring(self) -> Call:
        found = [self.expression()]
        if self._word("from"):
            found.append(self.expression())
            if self._word("for"):
                found.append(self.expression())
        else:
            while len(found) < 3 and self._sign(","):
                found.append(self.expression())
        if len(found) == 1:
            fail("EvaluatorInvalidArguments", "SUBSTRING needs a start.")
        return Call("substring", tuple(found))

    def _call_trim(self) -> Call:
        where = self._take().value if self._is(WORD, "leading", "trailing", "both") else None
        if self._word("from"):
            return Call("trim", (Literal(where or "both"), Literal(" "), self.expression()))
        first = self.expression()
        if self._word("from"):
            return Call("trim", (Literal(where or "both"), first, self.expression()))
        if where is not None:
            fail("ParseExpectedKeyword", f"Expected FROM, found {self._next}.")
        return Call("trim", (Literal("both"), Literal(" "), first))


def _name(token: Token) -> Name:
    return Name(str(token.value), isinstance(token.value, Quoted))


def _name_of(node: Node) -> Name | None:
    """A path is named after its end, if that is a name."""
    if not isinstance(node, Path):
        return None
    last = node.steps[-1] if node.steps else node.root
    return last if isinstance(last, Name) else None

