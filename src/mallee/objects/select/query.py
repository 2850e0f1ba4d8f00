"""A query over one object: compiled from the request, then run once over the object's bytes.

``compile`` raises what is wrong with the request; ``run`` reads chunks and yields payloads of at most PAYLOAD bytes, as
the Records events carry them, and a Progress every PROGRESS bytes. Neither does any I/O. Memory is bounded by the longest
record, whatever the object's size: a batch of results goes out before the next block comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from mallee.objects.select import scopes, source
from mallee.objects.select.errors import fail
from mallee.objects.select.evaluate import Compiler, reads_rows
from mallee.objects.select.parser import parse
from mallee.objects.select.reading import CsvReader, json_document, json_lines
from mallee.objects.select.scopes import CsvScope, JsonScope, Scope
from mallee.objects.select.serialization import (
    CsvInput,
    CsvOutput,
    JsonInput,
    JsonOutput,
    ScanRange,
    read_input,
    read_output,
    read_scan_range,
)
from mallee.objects.select.syntax import Aggregate, AllOf, Item, Select, any_of
from mallee.objects.select.values import MISSING
from mallee.objects.select.writing import MAX_COLUMNS, CsvWriter, JsonWriter, encoded, text_json

PAYLOAD = 64 << 10
PROGRESS = 1 << 20


@dataclass(frozen=True)
class Progress:
    scanned: int
    processed: int
    returned: int


def compile(
    expression: str,
    input: Mapping[str, Any],
    output: Mapping[str, Any],
    scan_range: Mapping[str, Any] | None = None,
    size: int | None = None,
) -> Query:
    """The members of SelectObjectContentRequest; ``size`` is the object's, which a range of its last bytes needs."""
    format, compression = read_input(input)
    written = read_output(output)
    scan = read_scan_range(scan_range, size, format, compression)
    query = Query(parse(expression), format, compression, written, scan)
    query.check()
    return query


class Query:
    def __init__(
        self, select: Select, input: CsvInput | JsonInput, compression: str, output: CsvOutput | JsonOutput, scan: ScanRange | None
    ) -> None:
        self._select = select
        self._input = input
        self._compression = compression
        self._output = output
        self._scan = scan
        self._meter = source.Meter()
        self._started = False

    def check(self) -> None:
        """What can be wrong without a look at the object."""
        if isinstance(self._input, CsvInput) and self._select.source:
            fail("InvalidKeyPath", "Only JSON has paths in FROM.")
        _Plan(self._select, self._scope(None), self._input, self._output, None)

    @property
    def scanned(self) -> int:
        return self._meter.scanned

    @property
    def processed(self) -> int:
        return self._meter.processed

    @property
    def returned(self) -> int:
        return self._meter.returned

    @property
    def progress(self) -> Progress:
        return Progress(self.scanned, self.processed, self.returned)

    @property
    def first_byte(self) -> int:
        """Where the chunks must begin: before a range, as far as it takes to see that a record starts with it."""
        return 0 if self._scan is None else max(0, self._scan.start - len(self._delimiter))

    @property
    def needs_head(self) -> bool:
        """Whether ``run`` must also be given the object's beginning: the header of a file whose range starts later."""
        later = self._scan is not None and self._scan.start > 0
        return later and isinstance(self._input, CsvInput) and self._input.header != "NONE"

    @property
    def _delimiter(self) -> bytes:
        return self._input.record.encode() if isinstance(self._input, CsvInput) else b"\n"

    def _scope(self, header: list[str] | None) -> Scope:
        if isinstance(self._input, JsonInput):
            return JsonScope(self._select.alias)
        return CsvScope(self._select.alias, header, unread=self._input.header == "USE" and header is None)

    def run(
        self, chunks: Iterable[bytes], now: datetime | None = None, head: Iterable[bytes] | None = None
    ) -> Iterator[bytes | Progress]:
        """``chunks`` begin at ``first_byte``. ``head`` begins at 0 and is read to the end of the first record."""
        if self._started or (head is None and self.needs_head):
            raise ValueError("a query runs once, and with the head that it needs")
        self._started = True
        given = source.pieces(chunks, self._compression, self._meter)
        line: bytes | None = None
        if self._scan is not None:
            scan = self._scan
            if isinstance(self._input, CsvInput) and head is not None and self.needs_head:
                line, end = source.header(head, self._delimiter, self._input.comments.encode())
                scan = ScanRange(max(end, scan.start), scan.end)
            given = source.within(given, self.first_byte, scan, self._delimiter)
        batches = self._csv(given, now, line) if isinstance(self._input, CsvInput) else self._json(given, now)
        record = self._output.record
        # half a surrogate pair can come out of JSON; in JSON it goes back as it came
        errors = "backslashreplace" if isinstance(self._output, JsonOutput) else "replace"
        waiting = b""
        told = 0
        for batch in batches:
            if batch:
                waiting += (record.join(batch) + record).encode("utf-8", errors)
                whole = len(waiting) - len(waiting) % PAYLOAD
                for at in range(0, whole, PAYLOAD):
                    yield self._returning(waiting[at : at + PAYLOAD])
                waiting = waiting[whole:]
            if self._meter.processed - told >= PROGRESS:
                told = self._meter.processed
                if waiting:
                    yield self._returning(waiting)
                    waiting = b""
                yield self.progress
        if waiting:
            yield self._returning(waiting)

    def _returning(self, payload: bytes) -> bytes:
        self._meter.returned += len(payload)
        return payload

    def _csv(self, given: Iterable[bytes], now: datetime | None, header: bytes | None) -> Iterator[list[str]]:
        assert isinstance(self._input, CsvInput)
        reader = CsvReader(self._input)
        plan = None if self._input.header == "USE" else self._plan(None, now)
        if plan is None and header:
            plan = self._plan(reader.fields(source.text(header, self._meter).removeprefix("\ufeff")), now)
        skip = self._input.header != "NONE" and header is None
        for lines, plain in reader.lines(given, self._meter):
            if skip and lines:
                first = lines.pop(0)
                plan = plan or self._plan(reader.fields(first), now)
                skip = False
            if plan is not None:
                yield from plan.csv(lines, plain, reader)
                if plan.full:
                    return
        yield from (plan or self._plan(None, now)).end()

    def _json(self, given: Iterable[bytes], now: datetime | None) -> Iterator[list[str]]:
        assert isinstance(self._input, JsonInput)
        plan = self._plan(None, now)
        expand = scopes.rows(self._select.source)
        for values in (json_lines if self._input.lines else json_document)(given, self._meter):
            rows = values if expand is None else chain.from_iterable(map(expand, values))
            yield from plan.json(rows)
            if plan.full:
                return
        yield from plan.end()

    def _plan(self, header: list[str] | None, now: datetime | None) -> _Plan:
        return _Plan(self._select, self._scope(header), self._input, self._output, now)


class _Plan:
    """The compiled query of one run: rows go in, batches of result records come out."""

    def __init__(
        self, select: Select, scope: Scope, input: CsvInput | JsonInput, output: CsvOutput | JsonOutput, now: datetime | None
    ) -> None:
        self._scope = scope
        self._compiler = Compiler(scope, now)
        self._where = self._compiler.condition(select.where) if select.where is not None else None
        self._left = select.limit
        self._csv_input = input if isinstance(input, CsvInput) else None
        self._output = output
        self._star = select.items == (AllOf(),)
        self._aggregated = any(isinstance(item, Item) and any_of(item.node, Aggregate) for item in select.items)
        if self._aggregated and any(isinstance(item, AllOf) or reads_rows(item.node) for item in select.items):
            fail("UnsupportedSqlStructure", "Aggregate functions and columns cannot be mixed.")
        if len(select.items) > MAX_COLUMNS:
            fail("OverMaxColumn")
        self._row = self._writer(select)
        # a line without quotes then goes out as it came in
        self._as_is = (
            self._star and isinstance(input, CsvInput) and isinstance(output, CsvOutput) and not output.always
            and input.record == output.record == "\n" and input.field == output.field and input.quote == output.quote
        )  # fmt: skip

    @property
    def full(self) -> bool:
        return self._left == 0 and not self._aggregated

    # what a row becomes

    def _writer(self, select: Select) -> Callable[[Any], str]:
        getters = [self._getter(item) for item in select.items]
        single = all(isinstance(item, Item) for item in select.items)
        if isinstance(self._output, CsvOutput):
            csv = CsvWriter(self._output)
            if self._star and self._csv_input is not None:
                return csv.row
            if single:
                values = [get for _, get in getters]
                return lambda row: csv.row([get(row) for get in values])
            return lambda row: csv.row([value for name, get in getters for _, value in _pairs(name, get, row)])
        json = JsonWriter()
        if self._star and self._csv_input is None:
            return lambda row: json.checked(encoded(row if type(row) is dict else {} if row is MISSING else {"_1": row}))
        if single:
            named = [(f"{text_json(name or '')}:", get) for name, get in getters]
            return lambda row: json.row([(name, get(row)) for name, get in named])
        return lambda row: json.row(
            [(f"{text_json(key)}:", value) for name, get in getters for key, value in _pairs(name, get, row)]
        )

    def _getter(self, item: Item | AllOf) -> tuple[str | None, Callable[[Any], Any]]:
        """Of all of a path, no name and what makes pairs of names and values."""
        if isinstance(item, AllOf):
            return None, self._scope.members(item.path)
        return item.name, self._compiler.compile(item.node)

    # rows

    def csv(self, lines: list[str], plain: bool, reader: CsvReader) -> Iterator[list[str]]:
        assert self._csv_input is not None and isinstance(self._scope, CsvScope)
        field, where, used = self._csv_input.field, self._where, self._scope.used
        if plain and self._as_is and self._left is None and not self._scope.entire:
            if where is not None:
                lines = [line for line in lines if where(line.split(field, used))]
            if max(map(len, lines), default=0) >= MAX_COLUMNS and any(line.count(field) >= MAX_COLUMNS for line in lines):
                fail("OverMaxColumn")
            yield lines
            return
        most = -1 if self._scope.whole else used
        if plain:
            yield from self._rows(line.split(field, most) for line in lines)
        else:
            fields, marker = reader.fields, reader.marker
            yield from self._rows(fields(line) if marker in line else line.split(field, most) for line in lines)

    def json(self, rows: Iterable[Any]) -> Iterator[list[str]]:
        return self._rows(rows)

    def _rows(self, rows: Iterable[Any]) -> Iterator[list[str]]:
        where, write = self._where, self._row
        if self._aggregated:
            accumulate = self._compiler.accumulate
            for row in rows:
                if where is None or where(row):
                    accumulate(row)
            yield []
            return
        batch: list[str] = []
        size = 0
        if self._left == 0:
            return
        for row in rows:
            if where is not None and not where(row):
                continue
            line = write(row)
            batch.append(line)
            size += len(line)
            if self._left is not None:
                self._left -= 1
                if self._left == 0:
                    break
            if size > PAYLOAD:
                yield batch
                batch, size = [], 0
        yield batch

    def end(self) -> Iterator[list[str]]:
        if self._aggregated and self._left != 0:
            yield [self._row(None)]


def _pairs(name: str | None, get: Callable[[Any], Any], row: Any) -> list[tuple[str, Any]]:
    return list(get(row)) if name is None else [(name, get(row))]
