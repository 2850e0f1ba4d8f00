"""Functions, CAST and timestamps by the examples of the Amazon S3 Select SQL reference, and by property."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.objects.select import compile, formats, timestamps
from mallee.wire.errors import AwsError
from tests.rules.select_oracle import CSV, JSON, LINES, value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # Conditional functions
        ("COALESCE(1)", "1"), ("COALESCE(null)", "null"), ("COALESCE(null, null)", "null"), ("COALESCE(missing)", "null"),
        ("COALESCE(missing, missing)", "null"), ("COALESCE(1, null)", "1"), ("COALESCE(null, null, 1)", "1"),
        ("COALESCE(null, 'string')", '"string"'), ("COALESCE(missing, 1)", "1"), ("NULLIF(1, 1)", "null"), ("NULLIF(1, 2)", "1"),
        ("NULLIF(1.0, 1)", "null"), ("NULLIF(1, '1')", "1"), ("NULLIF([1], [1])", "null"), ("NULLIF(1, NULL)", "1"),
        ("NULLIF(NULL, 1)", "null"), ("NULLIF(null, null)", "null"), ("NULLIF(missing, null)", "null"),
        ("NULLIF(missing, missing)", "null"),
        # String functions
        ("CHAR_LENGTH('')", "0"), ("CHAR_LENGTH('abcdefg')", "7"), ("CHARACTER_LENGTH('äö\U0001f600')", "3"),
        ("LOWER('AbCdEfG!@#$')", '"abcdefg!@#$"'), ("UPPER('AbCdEfG!@#$')", '"ABCDEFG!@#$"'),
        ("SUBSTRING('123456789', 0)", '"123456789"'), ("SUBSTRING('123456789', 1)", '"123456789"'),
        ("SUBSTRING('123456789', 2)", '"23456789"'), ("SUBSTRING('123456789', -4)", '"123456789"'),
        ("SUBSTRING('123456789', 0, 999)", '"123456789"'), ("SUBSTRING('123456789', 1, 5)", '"12345"'),
        ("SUBSTRING('123456789' FROM 3 FOR 2)", '"34"'), ("SUBSTRING('123456789' FROM -1 FOR 4)", '"12"'),
        ("SUBSTRING('123456789', -4, 2)", '""'), ("SUBSTRING('12', 9)", '""'), ("SUBSTRING(NULL, 1)", "null"),
        ("TRIM('       foobar         ')", '"foobar"'), ("TRIM(LEADING FROM '  foobar  ')", '"foobar  "'),
        ("TRIM(TRAILING FROM '  foobar  ')", '"  foobar"'), ("TRIM(BOTH FROM '  foobar  ')", '"foobar"'),
        ("TRIM(BOTH '12' FROM '1112211foobar22211122')", '"foobar"'), ("TRIM('\t x ')", '"\\t x"'),
        # Date functions
        ("DATE_ADD(year, 5, `2010-01-01T`)", '"2015-01-01"'), ("DATE_ADD(month, 1, `2010T`)", '"2010-02T"'),
        ("DATE_ADD(month, 13, `2010T`)", '"2011-02T"'), ("DATE_ADD(day, -1, `2017-01-10T`)", '"2017-01-09"'),
        ("DATE_ADD(hour, 1, `2017T`)", '"2017-01-01T01:00-00:00"'), ("DATE_ADD(hour, 1, `2017-01-02T03:04Z`)", '"2017-01-02T04:04Z"'),
        ("DATE_ADD(minute, 1, `2017-01-02T03:04:05.006Z`)", '"2017-01-02T03:05:05.006Z"'),
        ("DATE_ADD(second, 1, `2017-01-02T03:04:05.006Z`)", '"2017-01-02T03:04:06.006Z"'),
        ("DATE_ADD(month, 1, `2017-01-31T`)", '"2017-02-28"'), ("DATE_DIFF(year, `2010-01-01T`, `2011-01-01T`)", "1"),
        # the page says year, and 4; by its own sentence it means month
        ("DATE_DIFF(month, `2010T`, `2010-05T`)", "4"), ("DATE_DIFF(year, `2010T`, `2010-05T`)", "0"),
        ("DATE_DIFF(month, `2010T`, `2011T`)", "12"), ("DATE_DIFF(month, `2011T`, `2010T`)", "-12"),
        ("DATE_DIFF(day, `2010-01-01T23:00`, `2010-01-02T01:00`)", "0"), ("DATE_DIFF(day, `2010-01-02T`, `2010-01-01T`)", "-1"),
        ("DATE_DIFF(month, `2010-01-31T`, `2010-02-28T`)", "0"), ("DATE_DIFF(hour, `2010-01-01T00:00Z`, `2010-01-01T00:00-02:00`)", "2"),
        ("EXTRACT(YEAR FROM `2010-01-01T`)", "2010"), ("EXTRACT(MONTH FROM `2010T`)", "1"), ("EXTRACT(MONTH FROM `2010-10T`)", "10"),
        ("EXTRACT(HOUR FROM `2017-01-02T03:04:05+07:08`)", "3"), ("EXTRACT(MINUTE FROM `2017-01-02T03:04:05+07:08`)", "4"),
        ("EXTRACT(TIMEZONE_HOUR FROM `2017-01-02T03:04:05+07:08`)", "7"),
        ("EXTRACT(TIMEZONE_MINUTE FROM `2017-01-02T03:04:05+07:08`)", "8"),
        ("EXTRACT(TIMEZONE_MINUTE FROM `2017-01-02T03:04:05-07:08`)", "-8"), ("EXTRACT(second FROM `2017-01-02T03:04:05.25Z`)", "5.25"),
        ("TO_STRING(`1969-07-20T20:18Z`, 'MMMM d, y')", '"July 20, 1969"'), ("TO_STRING(`1969-07-20T20:18Z`, 'MMM d, yyyy')", '"Jul 20, 1969"'),
        ("TO_STRING(`1969-07-20T20:18Z`, 'M-d-yy')", '"7-20-69"'), ("TO_STRING(`1969-07-20T20:18Z`, 'MM-d-y')", '"07-20-1969"'),
        ("TO_STRING(`1969-07-20T20:18Z`, 'MMMM d, y h:m a')", '"July 20, 1969 8:18 PM"'),
        ("TO_STRING(`1969-07-20T20:18Z`, 'y-MM-dd''T''H:m:ssX')", '"1969-07-20T20:18:00Z"'),
        ("TO_STRING(`1969-07-20T20:18+08:00`, 'y-MM-dd''T''H:m:ssXXXX')", '"1969-07-20T20:18:00+0800"'),
        ("TO_STRING(`1969-07-20T20:18+08:00`, 'y-MM-dd''T''H:m:ssXXXXX')", '"1969-07-20T20:18:00+08:00"'),
        ("TO_STRING(`1969-07-20T20:18:01.25-03:30`, 'MMMMM hh HH SSS n X x xx')", '"J 08 20 250 250000000 -0330 -0330 -0330"'),
        ("TO_TIMESTAMP('2007T') = `2007T`", "true"), ("TO_TIMESTAMP('2007-02-23T12:14:33.079-08:00')", '"2007-02-23T12:14:33.079-08:00"'),
        ("TO_TIMESTAMP('July 20, 1969 8:18 PM', 'MMMM d, y h:m a')", '"1969-07-20T20:18-00:00"'),
        ("TO_TIMESTAMP('20/07/69 x', 'dd/MM/yy ''x''')", '"2069-07-20"'),
        # Conversion functions
        ("CAST('2007-04-05T14:30Z' AS TIMESTAMP)", '"2007-04-05T14:30Z"'), ("CAST(0.456 AS FLOAT)", "0.456"),
        ("CAST(' 12 ' AS INT)", "12"), ("CAST('-12' AS INTEGER)", "-12"), ("CAST(12.9 AS INT)", "12"), ("CAST(TRUE AS INT)", "1"),
        ("CAST('1.50' AS DECIMAL)", "1.50"), ("CAST('1.50' AS NUMERIC(5, 1))", "1.50"), ("CAST(1 AS STRING)", '"1"'),
        ("CAST('1e3' AS FLOAT)", "1000.0"), ("CAST('tRue' AS BOOL)", "true"), ("CAST(0 AS BOOLEAN)", "false"),
        ("CAST(`2007T` AS VARCHAR(5))", '"2007T"'), ("CAST(NULL AS INT)", "null"), ("CAST(1 AS DOUBLE PRECISION)", "1.0"),
        ("CAST(1e40 AS STRING)", '"10000000000000000000000000000000000000000"'), ("CAST(TRUE AS CHAR VARYING)", '"true"'),
    ],
)  # fmt: skip
def test_examples(expression: str, expected: str) -> None:
    assert value(expression) == expected


def test_now_is_one_moment() -> None:
    now = datetime(2017, 10, 13, 16, 2, 11, 123456, tzinfo=UTC)
    query = compile("SELECT UTCNOW() AS a, UTCNOW() = UTCNOW() AS b FROM S3Object", LINES, JSON)
    assert b"".join(piece for piece in query.run([b"{}\n"], now) if isinstance(piece, bytes)) == (
        b'{"a":"2017-10-13T16:02:11.123Z","b":true}\n'
    )


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("CAST('' AS INT)", "CastFailed"), ("CAST('1.5' AS INT)", "CastFailed"), ("CAST('x' AS DECIMAL)", "CastFailed"),
        ("CAST('nan' AS FLOAT)", "CastFailed"), ("CAST('Infinity' AS DECIMAL)", "CastFailed"), ("CAST('maybe' AS BOOL)", "CastFailed"),
        ("CAST('1_000' AS INT)", "CastFailed"), ("CAST('\u0661' AS INT)", "CastFailed"), ("CAST('2007' AS TIMESTAMP)", "CastFailed"),
        ("CAST('2007-02-30T' AS TIMESTAMP)", "CastFailed"), ("CAST(1 AS TIMESTAMP)", "InvalidCast"), ("CAST([1] AS INT)", "InvalidCast"),
        ("CAST('9223372036854775808' AS INT)", "IntegerOverflow"), ("CAST(1e999999999 AS INT)", "IntegerOverflow"),
        ("CAST('1e400' AS FLOAT)", "NumberFormatError"), ("CAST('1e9999999999' AS DECIMAL)", "CastFailed"),
        ("SUBSTRING('a', 1, -1)", "IllegalSqlFunctionArgument"), ("SUBSTRING(1, 1)", "IncorrectSqlFunctionArgumentType"),
        ("SUBSTRING('a', '1')", "IncorrectSqlFunctionArgumentType"), ("DATE_ADD(year, 1, '2007T')", "IncorrectSqlFunctionArgumentType"),
        ("DATE_ADD(year, 9000, `2007T`)", "IllegalSqlFunctionArgument"), ("DATE_ADD(day, -999999999, `2007T`)", "IllegalSqlFunctionArgument"),
        ("DATE_ADD(second, 9223372036854775807, `2007T`)", "IllegalSqlFunctionArgument"), ("TO_TIMESTAMP('x')", "ValueParseFailure"),
        ("TO_STRING(`2007T`, 'b')", "EvaluatorInvalidTimestampFormatPatternSymbol"),
        ("TO_STRING(`2007T`, 'yyy')", "EvaluatorInvalidTimestampFormatPatternToken"),
        ("TO_STRING(`2007T`, 'y ''x')", "EvaluatorUnterminatedTimestampFormatPatternToken"),
        ("TO_TIMESTAMP('J', 'MMMMM y')", "EvaluatorInvalidTimestampFormatPatternSymbolForParsing"),
        ("TO_TIMESTAMP('1', 'y y')", "EvaluatorTimestampFormatPatternDuplicateFields"),
        ("TO_TIMESTAMP('1', 'y M d h')", "EvaluatorTimestampFormatPatternHourClockAmPmMismatch"),
        ("TO_TIMESTAMP('1', 'd')", "EvaluatorInvalidTimestampFormatPattern"),
    ],
)  # fmt: skip
def test_refusals(expression: str, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        value(expression)
    assert caught.value.code == code


def test_functions_need_the_right_words() -> None:
    for expression in ("TRIM(LEADING 'x')", "EXTRACT(year, `2007T`)", "SUBSTRING('x')", "DATE_DIFF(century, 1, 2)"):
        with pytest.raises(AwsError) as caught:
            compile(f"SELECT {expression} FROM S3Object", CSV, CSV)
        assert caught.value.code.startswith(("Parse", "Evaluator"))


moments = st.datetimes(
    datetime(1600, 1, 1), datetime(2400, 1, 1), timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m)))
)


def stamp(at: datetime) -> timestamps.Timestamp:
    found = timestamps.parsed(at.isoformat())
    assert found is not None
    return found


@settings(deadline=None)
@given(moments, moments)
def test_timestamps_order_as_moments(a: datetime, b: datetime) -> None:
    assert (stamp(a) < stamp(b)) == (a < b)
    assert (stamp(a) == stamp(b)) == (a == b)
    assert hash(stamp(a)) == hash(stamp(a.astimezone(UTC)))


@settings(deadline=None)
@given(moments, st.sampled_from(["day", "hour", "minute", "second"]), st.integers(-(10**6), 10**6))
def test_adding_lengths(at: datetime, part: str, quantity: int) -> None:
    try:
        expected = at + timedelta(**{part + "s": quantity})
    except OverflowError:
        return
    found = timestamps.added(part, quantity, stamp(at))
    assert found == stamp(expected) and found.offset == stamp(at).offset
    assert timestamps.difference(part, stamp(at), found) == quantity


@settings(deadline=None)
@given(moments, moments, st.sampled_from(["day", "hour", "minute", "second"]))
def test_differences_are_whole_and_symmetric(a: datetime, b: datetime, part: str) -> None:
    found = timestamps.difference(part, stamp(a), stamp(b))
    length = timedelta(**{part + "s": 1})
    assert abs(found) == abs(b - a) // length
    assert found == -timestamps.difference(part, stamp(b), stamp(a))


@settings(deadline=None)
@given(moments, st.integers(-2000, 2000))
def test_adding_months_keeps_the_day_where_it_can(at: datetime, months: int) -> None:
    found = timestamps.added("month", months, stamp(at))
    assert (found.year * 12 + found.month) - (at.year * 12 + at.month) == months
    assert found.day == at.day or (found.day < at.day and timestamps.added("day", 1, found).day == 1)


@settings(deadline=None)
@given(moments)
def test_what_is_written_is_read(at: datetime) -> None:
    moment = stamp(at)
    assert timestamps.parsed(str(moment)) == moment
    for pattern in ("yyyy-MM-dd'T'HH:mm:ss.SSSSSSxxx", "MMMM d, y h:m:s a n xxxx", "d MMM y H:m:s.SSSSSS XXXXX"):
        assert formats.read(formats.written(moment, pattern), pattern) == moment, pattern
