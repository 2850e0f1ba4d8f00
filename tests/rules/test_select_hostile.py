"""Requests and objects that mean harm: bounded in depth, memory and time, and refused by an AwsError whatever they are."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.objects.select import compile
from mallee.objects.select.like import matcher
from mallee.wire.errors import AwsError
from tests.rules.select_oracle import CSV, DOCUMENT, JSON, LINES, select, value

MIB = 1 << 20


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 5000 + "1" + ")" * 5000, "[" * 5000 + "]" * 5000, "CASE WHEN TRUE THEN " * 5000, "LOWER(" * 5000, "1 IN (" * 5000,
        "1 = " * 5000 + "1", "1 < " * 5000 + "1", "1" + " IS NULL" * 5000, "1 BETWEEN (" * 5000, "NULLIF(1, " * 5000,
    ],
)  # fmt: skip
def test_deep_expressions(expression: str) -> None:
    with pytest.raises(AwsError, match="MaxOperatorsExceeded"):
        value(expression)


def test_long_expressions_are_not_deep() -> None:
    assert value(" OR ".join(["1 = 2"] * 5_000)) == "false"
    assert value(" AND ".join(["1 = 1"] * 5_000)) == "true"
    assert value("+".join(["1"] * 25_000)) == "25000"
    assert value("||".join(["'a'"] * 10_000)) == '"' + "a" * 10_000 + '"'
    assert value("NOT " * 10_001 + "TRUE") == "false"
    assert value("- " * 10_001 + "1") == "-1"
    assert value("1 IN (" + ",".join(["2"] * 10_000) + ")") == "false"
    assert value("CASE " + "WHEN FALSE THEN 1 " * 5_000 + "ELSE 2 END") == "2"
    assert value("a" + ".b" * 10_000) == ""


def test_depth_that_is_allowed_works() -> None:
    assert value("(" * 39 + "1" + ")" * 39) == "1"
    assert value("COALESCE(" * 39 + "1" + ")" * 39) == "1"


def test_the_result_of_an_expression_is_bounded() -> None:
    line = json.dumps({"a": "x" * 500_000})
    assert len(select("SELECT a || a AS b FROM S3Object", line, LINES, JSON)) == 1_000_000 + len('{"b":""}\n')
    with pytest.raises(AwsError, match="ColumnTooLong"):
        select("SELECT " + "||".join(["a"] * 1000) + " FROM S3Object", line, LINES, JSON)
    with pytest.raises(AwsError, match="OverMaxRecordSize"):
        select("SELECT a, a, a FROM S3Object", line, LINES, JSON)
    with pytest.raises(AwsError, match="OverMaxRecordSize"):
        select("SELECT a, a, a FROM S3Object", line, LINES, CSV)


def test_deep_json() -> None:
    for data in ("[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "[" * 100_000):
        for form in (LINES, DOCUMENT):
            with pytest.raises(AwsError, match="JSONParsingError"):
                select("SELECT * FROM S3Object", data, form, JSON)
    deep = "[" * 200 + "1.5" + "]" * 200
    assert select("SELECT * FROM S3Object", deep, LINES, JSON) == f'{{"_1":{deep}}}\n'


def test_numbers_of_json() -> None:
    for number in ("1" * 5000, "-" + "1" * 100_000):
        with pytest.raises(AwsError, match="JSONParsingError"):
            select("SELECT * FROM S3Object", number, LINES, JSON)
    with pytest.raises(AwsError, match="NumberFormatError"):
        select("SELECT * FROM S3Object", "1e99999999999", LINES, JSON)
    assert select("SELECT a + 0 AS b FROM S3Object", '{"a":1e999999999}', LINES, JSON) == '{"b":1E+999999999}\n'.replace(
        "1E+999999999", "1.0000000000000000000000000000000000000E+999999999"
    )
    assert select("SELECT a > 5, CAST(a AS STRING) FROM S3Object", '{"a":1e999999999}', LINES, CSV) == "true,1E+999999999\n"
    assert select("SELECT a = 0 AS b FROM S3Object", '{"a":' + "0." + "0" * 100_000 + "1}", LINES, JSON) == '{"b":false}\n'
    for expression in ("CAST(a AS INT)", "CAST(a AS FLOAT)", "a % 7"):
        with pytest.raises(AwsError):
            select(f"SELECT {expression} FROM S3Object", '{"a":1e999999999}', LINES, JSON)


def test_records_are_bounded() -> None:
    fits = "x" * MIB
    for form in (CSV, {"CSV": {"AllowQuotedRecordDelimiter": True}}):
        assert select("SELECT COUNT(*) FROM S3Object", fits + "\ny\n", form) == "2\n"
        for data in (fits + "x", fits + "x\n", "a\n" + fits + "x\nb\n", '"' + "\n" * MIB * 2):
            with pytest.raises(AwsError) as caught:
                select("SELECT COUNT(*) FROM S3Object", data, form)
            assert caught.value.code in ("OverMaxRecordSize", "CSVEscapingRecordDelimiter")
    for form in (LINES, DOCUMENT):
        assert select("SELECT COUNT(*) FROM S3Object", f'"{fits[2:]}"\n1', form) == "2\n"
        with pytest.raises(AwsError, match="OverMaxRecordSize"):
            select("SELECT COUNT(*) FROM S3Object", f'"{fits}"\n', form)


def test_columns_of_the_result_are_bounded() -> None:
    assert select("SELECT * FROM S3Object", "," * 16_383 + "\n") == "," * 16_383 + "\n"
    for output in (CSV, JSON):
        with pytest.raises(AwsError, match="OverMaxColumn"):
            select("SELECT * FROM S3Object", "," * 16_384 + "\n", CSV, output)
    with pytest.raises(AwsError, match="OverMaxColumn"):
        compile("SELECT " + "1," * 16_384 + "1 FROM S3Object", CSV, CSV)


def zeros(size: int, line: bytes) -> Iterator[bytes]:
    """A bomb, made as it is read."""
    pack = zlib.compressobj(9, wbits=31)
    block = (line * (MIB // len(line) + 1))[:MIB]
    for _ in range(size // MIB):
        if data := pack.compress(block):
            yield data
    yield pack.flush()


def peak(work: Any) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_of_one_record() -> None:
    bomb = b"".join(zeros(200 * MIB, b"\0"))
    assert len(bomb) < MIB

    def run() -> None:
        query = compile("SELECT * FROM S3Object", CSV | {"CompressionType": "GZIP"}, CSV)
        with pytest.raises(AwsError, match="OverMaxRecordSize"):
            list(query.run([bomb]))
        assert query.processed < 4 * MIB

    assert peak(run) < 16 * MIB


def test_memory_does_not_grow_with_the_object() -> None:
    def run(size: int, sql: str) -> int:
        def work() -> None:
            query = compile(sql, CSV | {"CompressionType": "GZIP"}, JSON)
            for _ in query.run(zeros(size, b"0123456789," * 100 + b"\n")):
                pass

        return peak(work)

    for sql in ("SELECT COUNT(*) FROM S3Object", "SELECT * FROM S3Object"):
        small, large = run(4 * MIB, sql), run(16 * MIB, sql)
        assert large < small * 1.5 + MIB, sql


def test_results_that_are_larger_than_the_object_stream() -> None:
    text = "y" * 100_000

    def work() -> None:
        query = compile(f"SELECT '{text}' FROM S3Object", CSV, CSV)
        total = sum(len(piece) for piece in query.run([b"a\n" * 1000]) if isinstance(piece, bytes))
        assert total == 1000 * 100_001

    assert peak(work) < 16 * MIB


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%a" * 500 + "%b", "a" * 100_000), ("%" * 1000, "a" * 100_000), ("%_" * 500 + "%b", "a" * 100_000),
        ("%" + "a" * 500 + "b%", "a" * 200_000), ("%a_a_a_a_b%", "a" * 20_000),
    ],
)  # fmt: skip
def test_like_does_not_backtrack(pattern: str, text: str) -> None:
    started = time.perf_counter()
    matcher(pattern, None)(text)
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    "data",
    ['"' + '""' * 400_000, '"a",' * 250_000 + '"b', "a," * 500_000 + '"', '"' + "a\n" * 400_000, '"\\' * 300_000],
)  # fmt: skip
def test_quotes_without_end(data: str) -> None:
    for escape in '"\\':
        form = {"CSV": {"AllowQuotedRecordDelimiter": True, "QuoteEscapeCharacter": escape}}
        started = time.perf_counter()
        with pytest.raises(AwsError):
            select("SELECT _1 FROM S3Object", data, form)
        assert time.perf_counter() - started < 5


def test_nothing_is_run_as_python() -> None:
    name = "__import__('os').system('true')"
    assert select(f'SELECT "{name}" FROM S3Object', json.dumps({name: 1}), LINES, JSON) == f'{{"{name}":1}}\n'
    assert value("s.__class__") == ""
    with pytest.raises(AwsError, match="UnsupportedFunction"):
        value("__import__('os')")
    with pytest.raises(AwsError, match="UnsupportedFunction"):
        value("_call_cast(1)")


WORDS = (
    "SELECT FROM WHERE S3Object s _1 * , ( ) [ ] . 'x' \"y\" 5 1.5 `2010T` = < AND OR NOT IN LIKE BETWEEN IS NULL MISSING CASE WHEN "
    "THEN ELSE END CAST AS INT SUM COUNT TRIM BOTH SUBSTRING FOR EXTRACT year DATE_ADD LIMIT - + || ESCAPE COALESCE UTCNOW"
)
word = st.sampled_from(WORDS.split())


@settings(max_examples=1000, deadline=None)
@given(st.lists(word, max_size=15).map(" ".join) | st.text(max_size=30), st.sampled_from([CSV, LINES]))
def test_any_words(sql: str, form: dict[str, Any]) -> None:
    for text in (sql, "SELECT " + sql + " FROM S3Object s", "SELECT * FROM S3Object s WHERE " + sql):
        try:
            select(text, '{"s":1}\n', form, JSON)
        except AwsError as error:
            assert error.status == 400


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([CSV, LINES, DOCUMENT, {"CSV": {"AllowQuotedRecordDelimiter": True, "FileHeaderInfo": "USE"}}]))
def test_any_bytes(data: bytes, form: dict[str, Any]) -> None:
    for compression in ("NONE", "GZIP", "BZIP2"):
        for sql in ("SELECT * FROM S3Object", "SELECT COUNT(*) FROM S3Object s WHERE s._1 LIKE '%a%' OR s._2 IS NULL"):
            try:
                select(sql, data, form | {"CompressionType": compression}, JSON)
            except AwsError as error:
                assert error.status == 400


def test_gzip_in_the_middle_of_plain_text() -> None:
    with pytest.raises(AwsError, match="InvalidTextEncoding"):
        select("SELECT * FROM S3Object", b"a\n" * 10 + gzip.compress(b"b"))
