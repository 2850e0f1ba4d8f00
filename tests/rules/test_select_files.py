"""What S3 Select reads and writes: CSV in all its options, JSON, compression, scan ranges, payloads."""

from __future__ import annotations

import bz2
import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.objects.select import Progress, compile
from mallee.wire.errors import AwsError
from tests.rules.select_oracle import CSV, DOCUMENT, JSON, LINES, csv_records, select

EVERYTHING = "SELECT * FROM S3Object"


def csv(**options: Any) -> dict[str, Any]:
    return {"CSV": options}


def rows(data: str | bytes, chunk: int = 0, **options: Any) -> list[list[str]]:
    found = select(EVERYTHING, data, csv(**options), JSON, chunk)
    return [list(json.loads(line).values()) for line in found.splitlines()]


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        ("a,b\n", {}, [["a", "b"]]), ("a,b", {}, [["a", "b"]]), ("a,b\r\nc\r\n", {}, [["a", "b"], ["c"]]), ("a\r", {}, [["a"]]),
        ("\ufeffa\n", {}, [["a"]]), ("a\n\n#no\nb\n", {}, [["a"], ["b"]]), ("#a\n;b\n", {"Comments": ";"}, [["#a"]]),
        ("#a\n", {"Comments": ""}, [["#a"]]), ('"a,b",c\n', {}, [["a,b", "c"]]), ('""" a , b """\n', {}, [['" a , b "']]),
        ('a"b,c\n', {}, [['a"b', "c"]]), ('"",""\n', {}, [["", ""]]), (",\n", {}, [["", ""]]), ('"a"\r\n', {}, [["a"]]),
        ("'a,b',\"c\"\n", {"QuoteCharacter": "'"}, [["a,b", '"c"']]), ('"a,b"\n', {"QuoteCharacter": ""}, [['"a', 'b"']]),
        ('"a\\"b\\\\c\\d",e\\f\n', {"QuoteEscapeCharacter": "\\"}, [['a"b\\c\\d', "e\\f"]]),
        ("a|b;c", {"FieldDelimiter": "|", "RecordDelimiter": ";"}, [["a", "b"], ["c"]]),
        ("a\nb;c", {"RecordDelimiter": ";"}, [["a\nb"], ["c"]]), ("a\rb\r\nc", {"RecordDelimiter": "\r\n"}, [["a\rb"], ["c"]]),
        ("a::b:c\n", {"FieldDelimiter": "::"}, [["a", "b:c"]]), ('"a::b"::c\n', {"FieldDelimiter": "::"}, [["a::b", "c"]]),
        ("a\tb c\n", {"FieldDelimiter": "\t"}, [["a", "b c"]]), ('"a b" c\n', {"FieldDelimiter": " "}, [["a b", "c"]]),
        ('"a\nb",c\n"d"\n', {"AllowQuotedRecordDelimiter": True}, [["a\nb", "c"], ["d"]]),
        ('#"\n"a\r\nb"\r\nx"y\n', {"AllowQuotedRecordDelimiter": True}, [["a\r\nb"], ['x"y']]),
        ('"a;b";c', {"AllowQuotedRecordDelimiter": True, "RecordDelimiter": ";"}, [["a;b"], ["c"]]),
        ("h\na\n", {"FileHeaderInfo": "IGNORE"}, [["a"]]), ("#x\n\nh,i\na,b\n", {"FileHeaderInfo": "USE"}, [["a", "b"]]),
        ("", {"FileHeaderInfo": "USE"}, []), ('"' + "x" * 200_000 + '",y\n', {}, [["x" * 200_000, "y"]]),
        ("a§b§c", {"RecordDelimiter": "§"}, [["a"], ["b"], ["c"]]),
    ],
)  # fmt: skip
def test_csv(data: str, options: dict[str, Any], expected: list[list[str]]) -> None:
    for chunk in (0, 1, 2, 3) if len(data) < 100 else (0, 70_000):
        assert rows(data, chunk, **options) == expected


@pytest.mark.parametrize(
    ("data", "options", "code"),
    [
        ('"a\nb"\n', {}, "CSVEscapingRecordDelimiter"), ('"a"b,c\n', {}, "CSVUnescapedQuote"), ('"a\n', {}, "CSVEscapingRecordDelimiter"),
        ('"a\n', {"AllowQuotedRecordDelimiter": True}, "CSVParsingError"), ('"a"b\n', {"AllowQuotedRecordDelimiter": True}, "CSVUnescapedQuote"),
        ("'a'b;", {"RecordDelimiter": ";", "QuoteCharacter": "'"}, "CSVUnescapedQuote"),
        ("'a;", {"RecordDelimiter": ";", "QuoteCharacter": "'"}, "CSVEscapingRecordDelimiter"),
        (b"a,\xff\n", {}, "InvalidTextEncoding"), (b'"a\xc3', {"AllowQuotedRecordDelimiter": True}, "InvalidTextEncoding"),
    ],
)  # fmt: skip
def test_csv_that_is_none(data: str | bytes, options: dict[str, Any], code: str) -> None:
    for chunk in (0, 1):
        with pytest.raises(AwsError) as caught:
            rows(data, chunk, **options)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 'a,"b,c","d""e",\n'), ({"QuoteFields": "ALWAYS"}, '"a","b,c","d""e",""\n'), ({"FieldDelimiter": ";"}, 'a;b,c;"d""e";\n'),
        ({"RecordDelimiter": "|"}, 'a,"b,c","d""e",|'), ({"QuoteCharacter": "'"}, "a,'b,c',d\"e,\n"),
        ({"QuoteEscapeCharacter": "\\"}, 'a,"b,c","d\\"e",\n'),
        ({"RecordDelimiter": "a"}, '"a","b,c","d""e",a'), ({"QuoteCharacter": ""}, 'a,b,c,d"e,\n'),
    ],
)  # fmt: skip
def test_csv_out(options: dict[str, Any], expected: str) -> None:
    data = 'a,"b,c","d""e",\n'
    assert select(EVERYTHING, data, CSV, csv(**options)) == expected
    assert select("SELECT _1, _2, _3, _4 FROM S3Object", data, CSV, csv(**options)) == expected


def test_a_line_goes_out_as_it_came_only_where_that_is_right() -> None:
    data = "a,b;c\nd,e\n"
    assert select(EVERYTHING, data) == data
    assert select(EVERYTHING, data, CSV, csv(FieldDelimiter=";")) == 'a;"b;c"\nd;e\n'
    assert select(EVERYTHING, data, CSV, csv(RecordDelimiter=";")) == 'a,"b;c";d,e;'
    assert select(EVERYTHING, data, CSV, csv(QuoteCharacter="e")) == "a,b;c\nd,eee" + "e\n"
    assert select(EVERYTHING + " WHERE _1 = 'd'", data, csv(RecordDelimiter=";")) == ""
    assert select("SELECT * FROM S3Object s WHERE _2 IS NULL", data, csv(RecordDelimiter=";"), CSV) == ""
    assert select(EVERYTHING, "a\nb;", csv(RecordDelimiter=";"), CSV) == '"a\nb"\n'


def test_types_on_the_way_out() -> None:
    data = '{"t":true,"n":null,"i":12345678901234567890123,"d":1.10,"e":1E400,"s":"\\"ä\\u0001","l":[1.5,{"a":null}]}\n'
    assert select(EVERYTHING, data, LINES, JSON) == (
        '{"t":true,"n":null,"i":12345678901234567890123,"d":1.10,"e":1E+400,"s":"\\"ä\\u0001","l":[1.5,{"a":null}]}\n'
    )
    assert select("SELECT t, n, none, d, s FROM S3Object", data, LINES, CSV) == 'true,,,1.10,"""ä\x01"\n'
    with pytest.raises(AwsError, match="InvalidDataType"):
        select("SELECT l FROM S3Object", data, LINES, CSV)


def test_json() -> None:
    assert select(EVERYTHING, '\ufeff{"a": 1}\r\n\n  {"a" :2}', LINES, JSON) == '{"a":1}\n{"a":2}\n'
    assert select(EVERYTHING, '{"a":\n1}{"a":2} 12\n"x" [1,2]', DOCUMENT, JSON) == (
        '{"a":1}\n{"a":2}\n{"_1":12}\n{"_1":"x"}\n{"_1":[1,2]}\n'
    )
    assert select(EVERYTHING, '{"a":1}', LINES, {"JSON": {"RecordDelimiter": "|"}}) == '{"a":1}|'
    assert select("SELECT v FROM S3Object[*][*] v", "[1,2]\n", DOCUMENT, CSV) == "1\n2\n"
    assert select(EVERYTHING, '{"a":"\\ud83d"}', LINES, JSON) == '{"a":"\\ud83d"}\n'
    assert select(EVERYTHING, '{"a":"\\ud83d"}', LINES, CSV) == "?\n"


@pytest.mark.parametrize(
    ("data", "given"),
    [('{"a":1', LINES), ('{"a":1\n}', LINES), ('{"a":1} {', LINES), ("{'a':1}", DOCUMENT), ('{"a":1', DOCUMENT), ("[1,]", DOCUMENT),
     ('{"a":NaN}', LINES), ("[Infinity]", DOCUMENT), ('["a', DOCUMENT), ("tru", DOCUMENT)],
)  # fmt: skip
def test_json_that_is_none(data: str, given: dict[str, Any]) -> None:
    with pytest.raises(AwsError, match="JSONParsingError"):
        select(EVERYTHING, data, given, JSON)


@given(st.lists(st.sampled_from([12, 1.5, -3, 2e10, "x", True, None, [1], {}]), max_size=5), st.integers(1, 4))
@settings(deadline=None)
def test_values_at_the_root_may_be_cut_anywhere(values: list[Any], chunk: int) -> None:
    data = " ".join(map(json.dumps, values))
    found = select("SELECT v FROM S3Object v", data, DOCUMENT, JSON, chunk)
    assert [json.loads(line)["v"] for line in found.splitlines()] == values


def test_a_fault_is_seen_long_before_the_end() -> None:
    def chunks() -> Any:
        yield b'{"a": nonsense}' + b" " * 100_000
        raise AssertionError("read on")

    with pytest.raises(AwsError, match="JSONParsingError"):
        list(compile(EVERYTHING, DOCUMENT, JSON).run(chunks()))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text() | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=6), values, min_size=1), max_size=6), st.integers(1, 9), st.booleans())
def test_json_goes_through_unchanged(documents: list[Any], chunk: int, lines: bool) -> None:
    data = "\n".join(json.dumps(document, ensure_ascii=chunk > 5) for document in documents)
    found = select(EVERYTHING, data, LINES if lines else DOCUMENT, JSON, chunk)
    assert [json.loads(line) for line in found.split("\n") if line] == documents


cell = st.text(alphabet=st.sampled_from('ab",\\#x \n\r;ä'), max_size=5)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(cell, min_size=1, max_size=4), max_size=6), st.integers(1, 7), st.sampled_from('"\\'))
def test_csv_is_read_as_the_oracle_reads_it(table: list[list[str]], chunk: int, escape: str) -> None:
    def written(text: str) -> str:
        if not text or set(text) & set('",\n\r#'):
            if escape != '"':
                text = text.replace(escape, escape * 2)
            return '"' + text.replace('"', escape + '"') + '"'
        return text

    data = "\n".join(",".join(map(written, row)) for row in table)
    expected = csv_records(data, escape=escape)
    assert expected == table
    assert rows(data, chunk, AllowQuotedRecordDelimiter=True, QuoteEscapeCharacter=escape) == table
    if not any("\n" in text for row in table for text in row):
        assert rows(data, chunk, QuoteEscapeCharacter=escape) == table


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(cell, min_size=1, max_size=4), max_size=6), st.sampled_from(";\t"), st.booleans())
def test_what_is_written_is_read_again(table: list[list[str]], field: str, always: bool) -> None:
    data = json.dumps([dict(zip("abcd", row, strict=False)) for row in table])
    output = csv(FieldDelimiter=field, QuoteFields="ALWAYS" if always else "ASNEEDED")
    found = select("SELECT s.* FROM S3Object[*][*] s", data, DOCUMENT, output)
    again = rows(found, AllowQuotedRecordDelimiter=True, FieldDelimiter=field, Comments="")
    # a blank line is no record
    assert again == [row for row in table if row != [""] or always]


@settings(deadline=None)
@given(st.text(alphabet='ab,"\n#', max_size=40), st.booleans())
def test_chunks_do_not_matter(data: str, allowed: bool) -> None:
    def outcome(chunk: int) -> Any:
        try:
            return rows(data, chunk, AllowQuotedRecordDelimiter=allowed)
        except AwsError as error:
            return error.code

    assert len({str(outcome(chunk)) for chunk in (0, 1, 2, 5)}) == 1


# compression


@pytest.mark.parametrize(("kind", "pack"), [("GZIP", gzip.compress), ("BZIP2", bz2.compress)])
def test_compression(kind: str, pack: Any) -> None:
    data = b"".join(b"%d,x\n" % number for number in range(50_000))
    given = CSV | {"CompressionType": kind}
    for chunk in (1 << 20, 1000):
        assert select("SELECT COUNT(*) FROM S3Object", pack(data), given, chunk=chunk) == "50000\n"
    both = pack(data) + pack(b"last,y\n") + b"\0" * 20
    assert select("SELECT _1 FROM S3Object WHERE _2 = 'y'", both, given) == "last\n"
    query = compile(EVERYTHING, given, CSV)
    sizes = [len(piece) for piece in query.run([pack(data)]) if isinstance(piece, bytes)]
    assert (query.scanned, query.processed, query.returned) == (len(pack(data)), len(data), len(data)) and sum(sizes) == len(data)
    for bad, code in [
        (pack(data)[:-9], "TruncatedInput"), (pack(data) + b"more", "TruncatedInput"), (data, "InvalidCompressionFormat"),
        (b"", "InvalidCompressionFormat"), (pack(data)[:1], "InvalidCompressionFormat"),
        (pack(data)[:60] + b"damage" * 5 + pack(data)[90:], "TruncatedInput"),
    ]:  # fmt: skip
        for chunk in (0, 7):
            with pytest.raises(AwsError) as caught:
                select("SELECT COUNT(*) FROM S3Object", bad, given, chunk=chunk)
            assert caught.value.code == code


# scan ranges

LETTERS = "A,B\nC,D\nD,E\nE,F\nG,H\nI,J\n"


def test_scan_range_of_the_documentation() -> None:
    assert select(EVERYTHING, LETTERS, scan_range={"Start": 1, "End": 4}) == "C,D\n"
    assert select(EVERYTHING, LETTERS, scan_range={"Start": 0, "End": 0}) == "A,B\n"
    assert select(EVERYTHING, LETTERS, scan_range={"Start": 16}) == "G,H\nI,J\n"
    assert select(EVERYTHING, LETTERS, scan_range={"End": 5}, size=len(LETTERS)) == "I,J\n"
    assert select(EVERYTHING, LETTERS, scan_range={"End": 500}, size=len(LETTERS)) == LETTERS


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text(alphabet="abäc", max_size=4), max_size=8), st.integers(0, 30), st.integers(0, 12), st.integers(1, 5),
    st.sampled_from(["\n", ";", "ab", "\r\n"]), st.booleans(), st.sampled_from(["NONE", "USE", "IGNORE"]),
)  # fmt: skip
def test_scan_ranges(
    lines: list[str], start: int, length: int, chunk: int, delimiter: str, ended: bool, header: str
) -> None:
    data = delimiter.join(lines) + (delimiter if ended else "")
    expected, at, first = [], 0, header != "NONE"
    for line in data.split(delimiter):
        if line and not first and start <= at <= start + length:
            expected.append([line])
        first = first and not line
        at += len(line.encode()) + len(delimiter)
    scan = {"Start": start, "End": start + length}
    form = csv(FileHeaderInfo=header, RecordDelimiter=delimiter)
    found = [list(json.loads(line).values()) for line in select(EVERYTHING, data, form, JSON, chunk, scan_range=scan).splitlines()]
    assert found == expected


def test_a_range_knows_the_header_of_its_file() -> None:
    data = "#c\n\nname,age\r\nA,1\nB,2\nC,3\n"
    sql = "SELECT age FROM S3Object"
    assert select(sql, data, csv(FileHeaderInfo="USE"), CSV, 2, scan_range={"Start": 18, "End": 18}) == "2\n"
    query = compile(sql, csv(FileHeaderInfo="USE"), CSV, {"Start": 15})
    assert query.needs_head and query.first_byte == 14
    head = iter([data.encode()[:15], b"never read"])
    assert b"".join(piece for piece in query.run([data.encode()[14:]], head=head) if isinstance(piece, bytes)) == b"2\n3\n"
    assert next(head) == b"never read"
    with pytest.raises(ValueError, match="head"):
        next(compile(sql, csv(FileHeaderInfo="USE"), CSV, {"Start": 15}).run([]))


def test_ranges_that_follow_each_other_cover_the_object() -> None:
    data = "".join(f'{{"n":{number}}}\n' for number in range(1000))
    found = "".join(select(EVERYTHING, data, LINES, JSON, scan_range={"Start": at, "End": at + 99}) for at in range(0, len(data), 100))
    assert found == data


def test_a_range_stops_reading() -> None:
    def chunks() -> Any:
        yield b"a\nb\nc\n" * 20_000
        raise AssertionError("read on")

    query = compile("SELECT COUNT(*) FROM S3Object", CSV, CSV, {"Start": 2, "End": 3})
    assert query.first_byte == 1
    assert list(query.run(chunks())) == [b"1\n"]


def test_a_limit_stops_reading() -> None:
    def chunks() -> Any:
        yield b"a\nb\nc\n" * 20_000
        raise AssertionError("read on")

    assert list(compile(EVERYTHING + " LIMIT 2", CSV, CSV).run(chunks())) == [b"a\nb\n"]


@pytest.mark.parametrize(
    ("scan", "given", "size", "code"),
    [
        ({}, CSV, 9, "InvalidScanRange"), ({"Start": 3, "End": 2}, CSV, 9, "InvalidScanRange"), ({"Start": -1}, CSV, 9, "InvalidScanRange"),
        ({"Start": 9}, CSV, 9, "InvalidScanRange"), ({"Start": 1}, CSV | {"CompressionType": "GZIP"}, 9, "UnsupportedScanRangeInput"),
        ({"Start": 1}, DOCUMENT, 9, "UnsupportedScanRangeInput"),
        ({"Start": 1}, csv(AllowQuotedRecordDelimiter=True), 9, "UnsupportedScanRangeInput"),
    ],
)  # fmt: skip
def test_scan_ranges_that_are_none(scan: Any, given: Any, size: int, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        compile("SELECT * FROM S3Object", given, JSON, scan, size)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("given", "output", "code"),
    [
        ({}, CSV, "InvalidDataSource"), ({"Parquet": {}}, CSV, "InvalidDataSource"), (CSV | LINES, CSV, "ObjectSerializationConflict"),
        (CSV, CSV | JSON, "ObjectSerializationConflict"), (CSV, {}, "MissingRequiredParameter"), ({"JSON": {}}, CSV, "InvalidJsonType"),
        (csv(FileHeaderInfo="YES"), CSV, "InvalidFileHeaderInfo"), (CSV, csv(QuoteFields="NEVER"), "InvalidQuoteFields"),
        (CSV | {"CompressionType": "ZSTD"}, CSV, "InvalidCompressionFormat"), (csv(FieldDelimiter=""), CSV, "InvalidRequestParameter"),
        (csv(QuoteCharacter="ab"), CSV, "InvalidRequestParameter"), (csv(FieldDelimiter="\n"), CSV, "InvalidRequestParameter"),
        (CSV, csv(FieldDelimiter='"'), "InvalidRequestParameter"), (CSV, csv(RecordDelimiter="x" * 17), "InvalidRequestParameter"),
    ],
)  # fmt: skip
def test_serializations_that_are_none(given: Any, output: Any, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        compile("SELECT * FROM S3Object", given, output)
    assert caught.value.code == code


# payloads


def test_payloads_are_bounded_and_progress_is_told() -> None:
    data = b"0123456789abcdef,x\n" * 200_000
    query = compile(EVERYTHING, CSV, CSV)
    found = list(query.run([data]))
    payloads = [piece for piece in found if isinstance(piece, bytes)]
    told = [piece for piece in found if isinstance(piece, Progress)]
    assert b"".join(payloads) == data and max(map(len, payloads)) <= 64 << 10
    assert len(told) >= 3 and told == sorted(told, key=lambda progress: progress.scanned)
    assert query.progress == Progress(len(data), len(data), len(data))
    with pytest.raises(ValueError, match="once"):
        next(query.run([data]))
