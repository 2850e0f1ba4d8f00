"""S3 Select the slow and obvious way: characters one by one, trees walked for each row, LIKE by trying everything.

Shares nothing with mallee.objects.select but the name MISSING.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from unittest import mock

from mallee.objects.select import compile, source
from mallee.objects.select.values import MISSING

LINES = {"JSON": {"Type": "LINES"}}
DOCUMENT = {"JSON": {"Type": "DOCUMENT"}}
CSV: dict[str, Any] = {"CSV": {}}
JSON: dict[str, Any] = {"JSON": {}}


def select(sql: str, data: bytes | str, input: Any = CSV, output: Any = CSV, chunk: int = 0, **more: Any) -> str:
    """Runs the real thing: all payloads together. With ``chunk`` the object comes in such pieces, and none are gathered."""
    raw = data.encode() if isinstance(data, str) else data
    query = compile(sql, input, output, **more)
    step = chunk or max(1, len(raw))

    def chunks(start: int) -> list[bytes]:
        return [raw[at : at + step] for at in range(start, len(raw), step)]

    with mock.patch.object(source, "SMALL", 1 if chunk else source.SMALL):
        found = query.run(chunks(query.first_byte), head=chunks(0) if query.needs_head else None)
        return b"".join(piece for piece in found if isinstance(piece, bytes)).decode()


def value(expression: str, **more: Any) -> str:
    """Of one expression without a row, as JSON writes it; empty when MISSING."""
    written = select(f"SELECT {expression} AS v FROM S3Object", "{}\n", LINES, JSON, **more)
    return written.removeprefix("{").removesuffix("}\n").removeprefix('"v":')


def csv_records(text: str, quote: str = '"', escape: str = '"', field: str = ",", record: str = "\n") -> list[list[str]]:
    """Records with quoted delimiters allowed; blank ones and comments are left out."""
    rows: list[list[str]] = []
    row: list[str] = []
    at, start = 0, True
    blank = True
    while at < len(text):
        if start and text[at] == "#":
            while at < len(text) and text[at] != record:
                at += 1
            at += 1
            continue
        start = blank = False
        value = ""
        if text[at] == quote:
            at += 1
            while True:
                if escape == quote and text[at : at + 2] == quote * 2:
                    value += quote
                    at += 2
                elif escape != quote and text[at] == escape:
                    value += text[at + 1] if text[at + 1] in (quote, escape) else text[at : at + 2]
                    at += 2
                elif text[at] == quote:
                    at += 1
                    break
                else:
                    value += text[at]
                    at += 1
        else:
            blank = not row and text[at] == record
            while at < len(text) and text[at] not in (field, record):
                value += text[at]
                at += 1
        row.append(value)
        if at >= len(text) or text[at] == record:
            if not blank:
                rows.append(row)
            row, start = [], True
            at += 1
        else:
            at += 1
            if at == len(text):
                row.append("")
    if row:
        rows.append(row)
    return rows


def like(text: str, pattern: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(like(text[at:], pattern[1:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and like(text[1:], pattern[1:])


def known(value: Any) -> bool:
    return value is not None and value is not MISSING


def evaluated(tree: Any, row: dict[str, Any]) -> Any:
    """Of a tree of tuples over a row of integers, decimals, strings, booleans, NULLs and members that are not there."""
    kind, *parts = tree
    if kind == "literal":
        return parts[0]
    if kind == "member":
        return row.get(parts[0], MISSING)
    if kind == "and":
        values = [evaluated(part, row) for part in parts]
        return False if False in values else all(values) if all(map(known, values)) else None
    if kind == "or":
        values = [evaluated(part, row) for part in parts]
        return True if True in values else any(values) if all(map(known, values)) else None
    values = [evaluated(part, row) for part in parts]
    if kind == "not":
        return not values[0] if known(values[0]) else None
    if kind == "is null":
        return not known(values[0])
    if kind == "is missing":
        return values[0] is MISSING
    if kind == "between":
        item, low, high = (("literal", value) for value in values)
        return evaluated(("and", (">=", item, low), (">=", high, item)), row)
    if kind == "in":
        same = [evaluated(("=", ("literal", values[0]), ("literal", option)), row) for option in values[1:]]
        return True if True in same else None if None in same else False
    if kind == "coalesce":
        return next((value for value in values if known(value)), None)
    if kind == "case":
        return values[1] if values[0] is True else values[2]
    if not all(map(known, values)):
        return None
    left, right = values[0], values[1]
    if kind == "=":
        return sort_of(left) == sort_of(right) and left == right
    if kind == "<>":
        return not (sort_of(left) == sort_of(right) and left == right)
    if kind == "<":
        return left < right
    if kind == ">=":
        return left >= right
    if kind == "like":
        return like(left, right)
    if kind == "||":
        return left + right
    if kind in "+-*":
        return {"+": left + right, "-": left - right, "*": left * right}[kind]
    raise AssertionError(kind)


def sort_of(value: Any) -> str:
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, int | Decimal) else type(value).__name__


def written(tree: Any) -> str:
    """The tree as SQL, every part in parentheses."""
    kind, *parts = tree
    if kind == "literal":
        value = parts[0]
        if isinstance(value, str):
            return "'" + value.replace("'", "''") + "'"
        return {"None": "NULL", "True": "TRUE", "False": "FALSE"}.get(str(value), str(value))
    if kind == "member":
        return f's."{parts[0]}"'
    texts = [f"({written(part)})" for part in parts]
    if kind in ("and", "or"):
        return f" {kind} ".join(texts)
    if kind == "not":
        return f"NOT {texts[0]}"
    if kind.startswith("is "):
        return f"{texts[0]} {kind}"
    if kind == "in":
        return f"{texts[0]} IN ({', '.join(texts[1:])})"
    if kind == "coalesce":
        return f"COALESCE({', '.join(texts)})"
    if kind == "case":
        return f"CASE WHEN {texts[0]} THEN {texts[1]} ELSE {texts[2]} END"
    if kind == "between":
        return f"{texts[0]} BETWEEN {texts[1]} AND {texts[2]}"
    return f"{texts[0]} {kind} {texts[1]}"
