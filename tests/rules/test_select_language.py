"""The SELECT of S3 Select by the examples of its documentation, and every way of not being one by its code."""

from __future__ import annotations

from typing import Any

import pytest

from mallee.objects.select import compile
from mallee.objects.select.errors import MESSAGES
from mallee.wire.errors import AwsError
from tests.rules.select_oracle import CSV, DOCUMENT, JSON, LINES, select, value

RULES = (
    '{ "Rules": [ {"id": "1"}, {"expr": "y > x"}, {"id": "2", "expr": "z = DEBUG"} ]}\n'
    '{ "created": "June 27", "modified": "July 6" }\n'
)
DIRECTORIES = (
    '{ "created": "936864000", "dir_name": "important_docs", "files": [ { "name": "." }, { "name": "downloads" } ],'
    ' "owner": "AWS S3" }\n'
    '{ "created": "936864000", "dir_name": "other_docs", "files": [ { "name": "." }, { "name": "my stuff" } ],'
    ' "owner": "User" }\n'
)
SUSAN = (
    '{"name": "Susan Smith",\n"org": "engineering",\n"projects":\n [\n {"project_name":"project1", "completed":false},\n'
    ' {"project_name":"project2", "completed":true}\n ]\n}\n'
)


@pytest.mark.parametrize(
    ("sql", "data", "expected"),
    [
        ("SELECT id FROM S3Object[*].Rules[*].id", RULES, '{"id":"1"}\n{}\n{"id":"2"}\n{}\n'),
        ("SELECT id FROM S3Object[*].Rules[*].id WHERE id IS NOT MISSING", RULES, '{"id":"1"}\n{"id":"2"}\n'),
        (
            "SELECT d.dir_name, d.files FROM S3Object[*] d",
            DIRECTORIES,
            '{"dir_name":"important_docs","files":[{"name":"."},{"name":"downloads"}]}\n'
            '{"dir_name":"other_docs","files":[{"name":"."},{"name":"my stuff"}]}\n',
        ),
        (
            "SELECT _1.dir_name, _1.owner FROM S3Object[*]",
            DIRECTORIES,
            '{"dir_name":"important_docs","owner":"AWS S3"}\n{"dir_name":"other_docs","owner":"User"}\n',
        ),
        ("Select s.name from S3Object s", SUSAN, '{"name":"Susan Smith"}\n'),
        ("Select s.projects[0].project_name from S3Object s", SUSAN, '{"project_name":"project1"}\n'),
        ("SELECT completed FROM S3Object[*].projects[*].completed", SUSAN, '{"completed":false}\n{"completed":true}\n'),
        ("SELECT _1.completed FROM S3Object[*].projects[*]", SUSAN, '{"completed":false}\n{"completed":true}\n'),
        ("SELECT p FROM S3Object[*].projects[1]['project_name'] p", SUSAN, '{"p":"project2"}\n'),
        ("SELECT * FROM S3Object[*].projects[1].*", SUSAN, '{"_1":"project2"}\n{"_1":true}\n'),
        ("SELECT s.projects[9] AS p, s.org[0] AS o, s.none.none AS n FROM S3Object s", SUSAN, "{}\n"),
        ("SELECT COUNT(*) AS n FROM S3Object[*].projects[*] p WHERE p.completed", SUSAN, '{"n":1}\n'),
    ],
)
def test_json_paths(sql: str, data: str, expected: str) -> None:
    assert select(sql, data, DOCUMENT, JSON) == expected


def test_a_wildcard_makes_at_least_one_row() -> None:
    data = '{"a":[]}\n{"a":5}\n{}\n{"a":[[1,2],[]]}\n'
    assert select("SELECT _1 FROM S3Object[*].a[*][*]", data, LINES, JSON) == "{}\n{}\n{}\n" + '{"_1":1}\n{"_1":2}\n{}\n'
    assert select("SELECT COUNT(_1) AS n FROM S3Object[*].a[*][*]", data, LINES, JSON) == '{"n":2}\n'
    assert select("SELECT _1 FROM S3Object[*].a[*][*]", data, LINES, CSV) == "\n\n\n1\n2\n\n"


def test_names_and_case() -> None:
    upper: dict[str, Any] = {"CSV": {"FileHeaderInfo": "USE"}}
    assert select("SELECT s.name FROM S3Object s", "NAME,age\nA,1\n", upper) == "A\n"
    assert select('SELECT s."NAME", age FROM S3Object s', "NAME,name,age\nA,B,1\n", upper) == "A,1\n"
    assert select('SELECT s."CAST" FROM S3Object s', '{"CAST":1}', LINES, JSON) == '{"CAST":1}\n'
    assert select("SELECT S3OBJECT.a, b FROM s3object x WHERE X.a = 1", '{"a":1,"B":2}', LINES, JSON) == '{"a":1,"b":2}\n'
    for sql, data, given, code in [
        ('SELECT s."name" FROM S3Object s', "NAME\nA\n", upper, "MissingHeaders"),
        ("SELECT s.name FROM S3Object s", "NAME,name\nA,B\n", upper, "AmbiguousFieldName"),
        ("SELECT s.name FROM S3Object s", '{"NAME":1,"name":2}', LINES, "AmbiguousFieldName"),
        ("SELECT s.name FROM S3Object s", "NAME\nA\n", CSV, "MissingHeaders"),
    ]:
        with pytest.raises(AwsError) as caught:
            select(sql, data, given)
        assert caught.value.code == code, sql


def test_names_of_the_result() -> None:
    data = '{"a":{"b":[7]},"c":"x"}'
    sql = "SELECT s.a.b, s.a.b[0], s.c || 'y', s.c AS \"C d\", s.a.* FROM S3Object s"
    assert select(sql, data, LINES, JSON) == '{"b":[7],"_2":7,"_3":"xy","C d":"x","b":[7]}\n'
    assert select("SELECT _2, s._1 one FROM S3Object s", "p,q\n", CSV, JSON) == '{"_2":"q","one":"p"}\n'
    assert select("SELECT * FROM S3Object", "p,q\n", CSV, JSON) == '{"_1":"p","_2":"q"}\n'
    assert select("SELECT s.*, s._1 AS z FROM S3Object s", "p,q\n") == "p,q,p\n"
    assert select("SELECT * FROM S3Object", "h\n1,2\n", {"CSV": {"FileHeaderInfo": "USE"}}, JSON) == '{"h":"1","_2":"2"}\n'


def test_columns_that_are_not_there_are_missing() -> None:
    assert select("SELECT _1, _100 FROM S3Object", "a,b\n") == "a,\n"
    assert select("SELECT _1, _3 FROM S3Object", "a,b\n", CSV, JSON) == '{"_1":"a"}\n'
    assert select("SELECT _1 FROM S3Object WHERE _3 IS MISSING AND _2 IS NOT MISSING", "a,b\na\na,b,c\n") == "a\n"


def test_limit() -> None:
    data = "1\n2\n3\n"
    assert select("SELECT * FROM S3Object LIMIT 2", data) == "1\n2\n"
    assert select("SELECT * FROM S3Object WHERE _1 <> '1' LIMIT 1", data) == "2\n"
    assert select("SELECT * FROM S3Object LIMIT 0", data) == ""
    assert select("SELECT COUNT(*) FROM S3Object LIMIT 1", data) == "3\n"


def test_aggregates() -> None:
    data = '{"i":1,"d":1.5}\n{"i":2}\n{"i":null,"d":2.5}\n{"i":6,"d":"x"}\n'
    for sql, expected in {
        "COUNT(*)": "4", "COUNT(i)": "3", "COUNT(1)": "4", "SUM(i)": "9", "AVG(i)": "3", "MIN(i)": "1", "MAX(i)": "6",
        "MAX(i) - MIN(i) + COUNT(*)": "9", "AVG(CAST(i AS FLOAT))": "3.0", "SUM(none)": "null", "AVG(none)": "null",
        "COUNT(none)": "0", "MAX(none)": "null",
    }.items():  # fmt: skip
        assert select(f"SELECT {sql} AS v FROM S3Object", data, LINES, JSON) == f'{{"v":{expected}}}\n', sql
    assert select("SELECT SUM(d) FROM S3Object WHERE i IS NULL OR i < 3", data, LINES) == "4.0\n"
    assert select("SELECT COUNT(*) FROM S3Object", "") == "0\n"
    assert select("SELECT AVG(CAST(_1 AS INT)) FROM S3Object", "9223372036854775807\n9223372036854775807\n") == "9223372036854775807\n"
    with pytest.raises(AwsError, match="IncorrectSqlFunctionArgumentType"):
        select("SELECT SUM(d) FROM S3Object", data, LINES)
    with pytest.raises(AwsError, match="IncorrectSqlFunctionArgumentType"):
        select("SELECT MAX(_1) FROM S3Object", "1\n")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", "7"), ("(1 + 2) * 3", "9"), ("7 / 2", "3"), ("-7 / 2", "-3"), ("-7 % 3", "-1"), ("7.0 / 2", "3.5"),
        ("10 - 4 - 3", "3"), ("2 - -2", "4"), ("- - 3", "3"), ("1e2", "100"), ("1e99", "1E+99"),
        ("CAST(1 AS FLOAT) / 4", "0.25"), ("0.1 + 0.2", "0.3"),
        ("-9223372036854775807 - 1", "-9223372036854775808"), ("NULL + 1", "null"), ("MISSING", ""), ("'a' || 'b' || 'c'", '"abc"'),
        ("'it''s'", '"it\'s"'), ("'a' || NULL", "null"), ("TRUE AND NULL", "null"), ("FALSE AND NULL", "false"),
        ("TRUE OR NULL", "true"), ("NOT NULL", "null"), ("NULL = NULL", "null"), ("1 = 1.0", "true"), ("1 = '1'", "false"),
        ("1 <> '1'", "true"), ("1 != 2", "true"), ("NOT 1 = 2 AND 2 = 2", "true"), ("1 < 2 = TRUE", "true"),
        ("2 BETWEEN 1 AND 3", "true"), ("2 NOT BETWEEN 3 AND 4", "true"), ("2 BETWEEN 3 AND NULL", "false"),
        ("2 BETWEEN 1 AND NULL", "null"), ("1 IN (2, NULL)", "null"), ("1 IN (2, NULL, 1)", "true"), ("1 NOT IN (2, 3)", "true"),
        ("'a' IN ('a', 'b', 'c')", "true"), ("1 IN ('1')", "false"), ("NULL IN ('1')", "null"), ("1 + 1 IN (2)", "true"),
        ("NULL IS NULL", "true"), ("MISSING IS NULL", "true"), ("MISSING IS MISSING", "true"), ("NULL IS MISSING", "false"),
        ("1 IS NOT NULL", "true"), ("'abc' LIKE 'a%'", "true"), ("'abc' LIKE '_b_'", "true"), ("'abc' NOT LIKE '%b'", "true"),
        ("'50%' LIKE '50!%' ESCAPE '!'", "true"), ("'50x' LIKE '50!%' ESCAPE '!'", "false"), ("NULL LIKE 'a'", "null"),
        ("'abc' LIKE 'a' || '%'", "true"), ("CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'many' END", '"two"'),
        ("CASE WHEN 1 > 2 THEN 'x' END", "null"), ("CASE WHEN NULL THEN 1 ELSE 2 END", "2"), ("`2010T` < `2011-01-01T`", "true"),
        ("`5`", "5"), ("`null`", "null"), ("[1, 'a', [2.50]]", '[1,"a",[2.50]]'), ("/* one */ 1 -- two", "1"),
    ],
)  # fmt: skip
def test_expressions(expression: str, expected: str) -> None:
    if "--" in expression:
        expression += "\n"
    assert value(expression) == expected


def test_a_condition_in_where_must_be_true() -> None:
    assert select("SELECT _1 FROM S3Object WHERE NOT (_2 = 'x')", "a,x\nb,y\nc\n") == "b\n"
    assert select("SELECT _1 FROM S3Object WHERE _2 = 'x' OR _1 = 'c'", "a,x\nb,y\nc\n") == "a\nc\n"


def test_strings_are_cast_not_guessed() -> None:
    data = "a,9\nb,10\n"
    assert select("SELECT _1 FROM S3Object WHERE CAST(_2 AS INT) > 9", data) == "b\n"
    assert select("SELECT _1 FROM S3Object WHERE _2 > '9'", data) == ""
    assert select("SELECT _1 FROM S3Object WHERE _2 = 9", data) == ""
    with pytest.raises(AwsError, match="InvalidDataType"):
        select("SELECT _1 FROM S3Object WHERE _2 > 9", data)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("", "ParseExpectedKeyword"), ("DELETE FROM S3Object", "UnsupportedSqlOperation"), ("SELECT FROM S3Object", "ParseEmptySelect"),
        ("SELECT 1", "ParseSelectMissingFrom"), ("SELECT *, _1 FROM S3Object", "ParseAsteriskIsNotAloneInSelectList"),
        ("SELECT _1, * FROM S3Object", "ParseAsteriskIsNotAloneInSelectList"), ("SELECT DISTINCT _1 FROM S3Object", "UnsupportedSqlStructure"),
        ("SELECT _1 FROM S3Object GROUP BY _1", "ParseUnsupportedLiteralsGroupBy"),
        ("SELECT _1 FROM S3Object ORDER BY _1", "UnsupportedSqlStructure"), ("SELECT 1 FROM S3Object UNION SELECT 1", "UnsupportedSqlStructure"),
        ("SELECT _1 FROM S3Object JOIN x", "ParseMalformedJoin"), ("SELECT _1 FROM S3Object, S3Object", "MultipleDataSourcesUnsupported"),
        ("SELECT _1 FROM (SELECT 1)", "ParseUnsupportedSelect"), ("SELECT (SELECT 1) FROM S3Object", "ParseUnsupportedSelect"),
        ("SELECT _1 FROM venue", "EvaluatorBindingDoesNotExist"), ("SELECT x.y FROM S3Object s", "EvaluatorBindingDoesNotExist"),
        ("SELECT _1 FROM S3Object LIMIT -1", "EvaluatorNegativeLimit"), ("SELECT _1 FROM S3Object LIMIT 'x'", "ParseExpectedNumber"),
        ("SELECT _1 FROM S3Object LIMIT 1.5", "ParseExpectedNumber"), ("SELECT _1 FROM S3Object LIMIT 5, 10", "ParseUnexpectedToken"),
        ("SELECT _0 FROM S3Object", "InvalidColumnIndex"), ("SELECT _9999999 FROM S3Object", "InvalidColumnIndex"),
        ("SELECT s.CAST FROM S3Object s", "ParseInvalidPathComponent"), ("SELECT date FROM S3Object", "ParseUnExpectedKeyword"),
        ("SELECT _1 AS date FROM S3Object", "ParseExpectedIdentForAlias"), ("SELECT _1 FROM S3Object WHERE", "ParseExpectedExpression"),
        ("SELECT _1 FROM S3Object WHERE _1 = ", "ParseExpectedExpression"), ("SELECT _1 FROM S3Object WHERE (_1 = 'a'", "ParseExpectedTokenType"),
        ("SELECT _1 FROM S3Object WHERE _1 IS 5", "ParseUnsupportedSyntax"), ("SELECT _1 FROM S3Object WHERE _1 NOT 5", "ParseExpectedKeyword"),
        ("SELECT _1 FROM S3Object WHERE _1 BETWEEN 1 OR 2", "ParseExpectedKeyword"),
        ("SELECT _1 FROM S3Object WHERE _1 IN 'x'", "ParseExpectedLeftParenValueConstructor"),
        ("SELECT _1 # FROM S3Object", "LexerInvalidChar"), ("SELECT 'abc FROM S3Object", "LexerInvalidLiteral"),
        ("SELECT 1abc FROM S3Object", "LexerInvalidLiteral"), ("SELECT `{a:1}` FROM S3Object", "LexerInvalidIONLiteral"),
        ("SELECT `1969-07-20T20:18+08:00Z` FROM S3Object", "LexerInvalidIONLiteral"), ("SELECT 1e99999999999 FROM S3Object", "NumberFormatError"),
        ("SELECT CAST(_1) FROM S3Object", "ParseCastArity"), ("SELECT CAST(_1 AS nothing) FROM S3Object", "ParseExpectedTypeName"),
        ("SELECT CAST _1 FROM S3Object", "ParseExpectedLeftParenAfterCast"),
        ("SELECT LOWER FROM S3Object", "ParseExpectedLeftParenBuiltinFunctionCall"),
        ("SELECT CAST(_1 AS CHAR(x)) FROM S3Object", "ParseInvalidTypeParam"), ("SELECT SQRT(_1) FROM S3Object", "UnsupportedFunction"),
        ("SELECT LOWER(_1, _2) FROM S3Object", "EvaluatorInvalidArguments"), ("SELECT SUM(*) FROM S3Object", "ParseUnsupportedCallWithStar"),
        ("SELECT SUM(_1, _2) FROM S3Object", "ParseNonUnaryAgregateFunctionCall"), ("SELECT SUM(SUM(_1)) FROM S3Object", "UnsupportedSqlStructure"),
        ("SELECT SUM(_1), _2 FROM S3Object", "UnsupportedSqlStructure"), ("SELECT _1 FROM S3Object WHERE SUM(_1) = 1", "UnsupportedSqlStructure"),
        ("SELECT CASE _1 ELSE 5 END FROM S3Object", "ParseExpectedWhenClause"), ("SELECT CASE WHEN 1 FROM S3Object", "ParseExpectedKeyword"),
        ("SELECT EXTRACT(week FROM UTCNOW()) FROM S3Object", "ParseExpectedDatePart"),
        ("SELECT DATE_ADD(year 1) FROM S3Object", "ParseExpectedArgumentDelimiter"),
        ("SELECT _1 FROM S3Object[*].a", "InvalidKeyPath"), ("SELECT _1 FROM S3Object.a", "InvalidKeyPath"),
        ("SELECT s._1.b FROM S3Object s", "InvalidKeyPath"), ("SELECT s.a[*] FROM S3Object s", "ParseInvalidContextForWildcardInSelectList"),
        ("SELECT s.a[0].* FROM S3Object s", "ParseCannotMixSqbAndWildcardInSelectList"), ("SELECT s[x] FROM S3Object s", "ParseInvalidPathComponent"),
        ("SELECT _1 FROM S3Object WHERE _1 LIKE 'x!' ESCAPE '!'", "EvaluatorLikePatternInvalidEscapeSequence"),
        ("SELECT _1 FROM S3Object WHERE _1 LIKE 'x' ESCAPE 'ab'", "EvaluatorLikePatternInvalidEscapeSequence"),
        ("SELECT _1 FROM S3Object WHERE _1 LIKE 5", "LikeInvalidInputs"), ("SELECT name FROM S3Object", "MissingHeaders"),
    ],
)  # fmt: skip
def test_refused_before_the_object_is_read(sql: str, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        compile(sql, CSV, CSV)
    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("9223372036854775807 + 1", "IntegerOverflow"), ("1 / 0", "ExternalEvalException"), ("1.5 % 0", "ExternalEvalException"),
        ("CAST(1 AS FLOAT) / 0", "ExternalEvalException"), ("1 + 'a'", "InvalidDataType"), ("'a' || 1", "InvalidDataType"),
        ("-'a'", "InvalidDataType"), ("1 < 'a'", "InvalidDataType"), ("NOT 5", "InvalidDataType"), ("1 AND TRUE", "InvalidDataType"),
        ("[1] < [2]", "InvalidDataType"), ("1e2000000000 * 1e2000000000", "NumberFormatError"), ("LOWER(1)", "IncorrectSqlFunctionArgumentType"),
        ("CAST(1e308 AS FLOAT) * 10", "NumberFormatError"), ("1 LIKE 'a'", "LikeInvalidInputs"),
    ],
)  # fmt: skip
def test_refused_when_a_row_shows_it(expression: str, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        value(expression)
    assert caught.value.code == code


def test_a_where_that_is_no_condition() -> None:
    with pytest.raises(AwsError, match="InvalidDataType"):
        select("SELECT _1 FROM S3Object WHERE _1", "a\n")


def test_expressions_have_a_length() -> None:
    fits = "SELECT '" + "x" * ((256 << 10) - len("SELECT '' FROM S3Object")) + "' FROM S3Object"
    assert len(fits) == 256 << 10
    compile(fits, CSV, CSV)
    with pytest.raises(AwsError, match="ExpressionTooLong"):
        compile(fits + " ", CSV, CSV)


def test_every_message_is_a_sentence() -> None:
    assert all(message.endswith(".") for message in MESSAGES.values())
