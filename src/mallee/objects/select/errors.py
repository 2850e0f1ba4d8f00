"""What S3 Select refuses, in S3's own codes.

Every code is one of the table "List of SELECT Object Content Error Codes" (Amazon S3 API reference, Error responses),
or ``MissingHeaders``, which S3 answers though the table leaves it out. All of them are the client's, status 400.
"""

from __future__ import annotations

from typing import NoReturn

from mallee.wire.errors import AwsError

MESSAGES = {
    "AmbiguousFieldName": "The field name matches more than one field of the file.",
    "CastFailed": "A value could not be converted by CAST.",
    "ColumnTooLong": "A column of the result is longer than 1 MB.",
    "CSVEscapingRecordDelimiter": "A quoted record delimiter was found. To allow them, set AllowQuotedRecordDelimiter to TRUE.",
    "CSVParsingError": "The CSV file could not be parsed.",
    "CSVUnescapedQuote": "An unescaped quote was found in the CSV file.",
    "EvaluatorBindingDoesNotExist": "A column name or a path in the SQL expression does not exist.",
    "EvaluatorInvalidArguments": "A function of the SQL expression has the wrong number of arguments.",
    "EvaluatorInvalidTimestampFormatPattern": "The timestamp format is not valid.",
    "EvaluatorInvalidTimestampFormatPatternSymbol": "The timestamp format contains a symbol that is not valid.",
    "EvaluatorInvalidTimestampFormatPatternSymbolForParsing": "The timestamp format contains a symbol that cannot be parsed.",
    "EvaluatorInvalidTimestampFormatPatternToken": "The timestamp format contains a token that is not valid.",
    "EvaluatorLikePatternInvalidEscapeSequence": "The escape of a LIKE is not valid.",
    "EvaluatorNegativeLimit": "LIMIT must not be negative.",
    "EvaluatorTimestampFormatPatternDuplicateFields": "The timestamp format names a field twice.",
    "EvaluatorTimestampFormatPatternHourClockAmPmMismatch":
        "A timestamp format has a 12-hour clock and AM/PM together, or neither.",
    "EvaluatorUnterminatedTimestampFormatPatternToken": "The timestamp format contains an unterminated token.",
    "ExpressionTooLong": "The SQL expression is too long. At most 256 KB are allowed.",
    "ExternalEvalException": "The query cannot be evaluated.",
    "IllegalSqlFunctionArgument": "An argument of a function is not allowed.",
    "IncorrectSqlFunctionArgumentType": "An argument of a function has the wrong type.",
    "IntegerOverflow": "An integer overflowed or underflowed.",
    "InvalidCast": "CAST does not convert between these types.",
    "InvalidColumnIndex": "The column index in the SQL expression is not valid.",
    "InvalidCompressionFormat": "The file is not in a supported compression format. Only GZIP and BZIP2 are supported.",
    "InvalidDataSource": "The data source type is not valid. Only CSV and JSON are supported.",
    "InvalidDataType": "The SQL expression uses a data type that is not valid here.",
    "InvalidFileHeaderInfo": "FileHeaderInfo must be NONE, USE or IGNORE.",
    "InvalidJsonType": "The JSON type must be DOCUMENT or LINES.",
    "InvalidKeyPath": "The key path in the SQL expression is not valid.",
    "InvalidQuoteFields": "QuoteFields must be ALWAYS or ASNEEDED.",
    "InvalidRequestParameter": "The value of a parameter is not valid.",
    "InvalidScanRange": "The scan range is not valid.",
    "InvalidTableAlias": "The SQL expression contains a table alias that is not valid.",
    "InvalidTextEncoding": "UTF-8 encoding is required.",
    "JSONParsingError": "The JSON file could not be parsed.",
    "LexerInvalidChar": "The SQL expression contains a character that is not valid.",
    "LexerInvalidIONLiteral": "The SQL expression contains an Ion literal that is not valid.",
    "LexerInvalidLiteral": "The SQL expression contains a literal that is not valid.",
    "LikeInvalidInputs": "LIKE needs strings.",
    "MaxOperatorsExceeded": "The SQL expression is nested too deeply.",
    "MissingHeaders": "Some headers in the query are missing from the file.",
    "MissingRequiredParameter": "A required parameter is missing.",
    "MultipleDataSourcesUnsupported": "Multiple data sources are not supported.",
    "NumberFormatError": "A number could not be read or is out of range.",
    "ObjectSerializationConflict": "Exactly one format may be given for the input, and one for the output.",
    "OverMaxColumn": "The result has too many columns.",
    "OverMaxRecordSize": "A record of the input or of the result is longer than 1 MB.",
    "ParseAsteriskIsNotAloneInSelectList": "* must stand alone in the SELECT list.",
    "ParseCannotMixSqbAndWildcardInSelectList": "[] and * cannot be mixed in one expression of the SELECT list.",
    "ParseCastArity": "CAST takes one expression and one type.",
    "ParseEmptySelect": "The SELECT list is empty.",
    "ParseExpected2TokenTypes": "An expected token was not found.",
    "ParseExpectedArgumentDelimiter": "An expected argument delimiter was not found.",
    "ParseExpectedDatePart": "An expected date part was not found.",
    "ParseExpectedExpression": "An expected expression was not found.",
    "ParseExpectedIdentForAlias": "An expected identifier for an alias was not found.",
    "ParseExpectedKeyword": "An expected keyword was not found.",
    "ParseExpectedLeftParenAfterCast": "An expected left parenthesis after CAST was not found.",
    "ParseExpectedLeftParenBuiltinFunctionCall": "An expected left parenthesis was not found.",
    "ParseExpectedLeftParenValueConstructor": "An expected left parenthesis was not found.",
    "ParseExpectedNumber": "An expected number was not found.",
    "ParseExpectedRightParenBuiltinFunctionCall": "An expected right parenthesis was not found.",
    "ParseExpectedTokenType": "An expected token was not found.",
    "ParseExpectedTypeName": "An expected type name was not found.",
    "ParseExpectedWhenClause": "An expected WHEN clause was not found.",
    "ParseInvalidContextForWildcardInSelectList": "A wildcard is not allowed here.",
    "ParseInvalidPathComponent": "The SQL expression contains a path component that is not valid.",
    "ParseInvalidTypeParam": "The SQL expression contains a type parameter that is not valid.",
    "ParseMalformedJoin": "JOIN is not supported.",
    "ParseNonUnaryAgregateFunctionCall": "An aggregate function takes one argument.",
    "ParseSelectMissingFrom": "FROM is missing after the SELECT list.",
    "ParseUnExpectedKeyword": "The SQL expression contains an unexpected keyword.",
    "ParseUnexpectedToken": "The SQL expression contains an unexpected token.",
    "ParseUnsupportedCallWithStar": "Only COUNT may be called with *.",
    "ParseUnsupportedLiteralsGroupBy": "GROUP BY is not supported.",
    "ParseUnsupportedSelect": "Subqueries are not supported.",
    "ParseUnsupportedSyntax": "The SQL expression contains unsupported syntax.",
    "ParseUnsupportedToken": "The SQL expression contains an unsupported token.",
    "TruncatedInput": "Decompression failed. Check that the object is compressed in the format given.",
    "UnsupportedFunction": "The SQL function is not supported.",
    "UnsupportedScanRangeInput": "Scan ranges are not supported on this type of object.",
    "UnsupportedSqlOperation": "Only SELECT is supported.",
    "UnsupportedSqlStructure": "The SQL structure is not supported.",
    "ValueParseFailure": "A timestamp could not be parsed.",
}


def error(code: str, detail: str = "") -> AwsError:
    message = MESSAGES[code]
    return AwsError(code, f"{message} {detail}" if detail else message, status=400)


def fail(code: str, detail: str = "") -> NoReturn:
    raise error(code, detail)
