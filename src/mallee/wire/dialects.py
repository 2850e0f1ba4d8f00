"""How each family of services words its refusals: constraint violations, unreadable input, operations that are not
there.

AWS's services come from different houses. EC2 has codes and sentences of its own. Most query and JSON services share a
framework that answers ``1 validation error detected: Value 'x' at 'name' failed to satisfy constraint: Member must have
length greater than or equal to 3`` under a code that differs by service. S3 says MalformedXML or InvalidArgument. What
clients match on is the code; the sentences are AWS's as far as they are known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mallee.wire.checks import Rules, Step, Violation
from mallee.wire.errors import AwsError
from mallee.wire.model import Member
from mallee.wire.reading import Unreadable

_LONGEST_VALUE = 500


def lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]


def shown(value: Any) -> str:
    """A value as the framework prints it in messages."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(shown(item) for item in value[:20]) + "]"
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


class Dialect:
    """The framework's own words; ``code`` for violations, ``serialization`` for input that cannot be read,
    ``unknown`` for operations that do not exist. Subclasses replace what their services do differently."""

    rules = Rules()
    strict_xml = False

    def __init__(
        self,
        code: str,
        serialization: str,
        unknown: str = "InvalidAction",
        *,
        missing: str | None = None,
        unsupported: str | None = None,
        unknown_status: int = 400,
        statuses: Mapping[str, int] | None = None,
        query_codes: Mapping[str, str] | None = None,
    ) -> None:
        self.code = code
        self.serialization = serialization
        self.unknown_code = unknown
        self.missing = missing
        self.unsupported_code = unsupported or unknown
        self.unknown_status = unknown_status
        self.query_codes = query_codes or {}
        self._kinds = {code: kind for kind, code in self.query_codes.items()}
        self.statuses = {**COMMON_STATUSES, **(statuses or {})}

    def violations(self, found: Sequence[Violation]) -> AwsError:
        if self.missing is not None:
            for violation in found:
                if violation.rule == "required":
                    name = ".".join(self.path(violation.steps))
                    return AwsError(self.missing, self.missing_message(name), status=400)
        found = found[:10]
        told = "; ".join(self._sentence(violation) for violation in found)
        plural = "error" if len(found) == 1 else "errors"
        return AwsError(self.code, f"{len(found)} validation {plural} detected: {told}", status=400)

    def missing_message(self, name: str) -> str:
        return f"The request must contain the parameter {name}."

    def path(self, steps: Sequence[Step]) -> list[str]:
        named = []
        for step in steps:
            if isinstance(step, Member):
                named.append(lower_first(step.name))
            else:
                named += [str(step), "member"]
        return named

    def _sentence(self, violation: Violation) -> str:
        at = ".".join(self.path(violation.steps))
        if violation.rule == "required":
            return f"Value null at '{at}' failed to satisfy constraint: Member must not be null"
        value = "***" if violation.shape.traits.get("sensitive") else shown(violation.value)
        return f"Value '{value}' at '{at}' failed to satisfy constraint: {constraint(violation)}"

    def unreadable(self, error: Unreadable) -> AwsError:
        return AwsError(self.serialization, _serialization_message(error), status=400)

    def unknown(self, name: str, version: str) -> AwsError:
        if self.unknown_code == "InvalidAction":
            return AwsError("InvalidAction", f"Could not find operation {name} for version {version}", status=400)
        return AwsError(self.unknown_code, f"The operation {shown(name)} is not known.", status=self.unknown_status)

    def unsupported(self, name: str) -> AwsError:
        return AwsError(
            self.unsupported_code, f"Mallee does not have the operation {name}.", status=self.unknown_status
        )

    def status(self, code: str) -> int | None:
        return self.statuses.get(code)

    def kind_of(self, code: str) -> str:
        """The error shape's name for a code of the query protocol that the model does not tell."""
        return self._kinds.get(code, code)


def constraint(violation: Violation) -> str:
    limit = violation.limit
    kind = violation.shape.type
    if violation.rule == "pattern":
        return f"Member must satisfy regular expression pattern: {limit}"
    if violation.rule == "enum":
        return f"Member must satisfy enum value set: [{', '.join(limit)}]"
    what = "value" if kind in ("integer", "long", "float", "double") else "length"
    limit = int(limit) if float(limit).is_integer() else limit
    return f"Member must have {what} {'greater' if violation.rule == 'min' else 'less'} than or equal to {limit}"


_KINDS = {
    "number": "NUMBER_VALUE",
    "string": "STRING_VALUE",
    "boolean": "BOOLEAN_VALUE",
    "blob": "BLOB_VALUE",
}
_TYPES = {
    "integer": "an Integer",
    "long": "a Long",
    "float": "a Float",
    "double": "a Double",
    "boolean": "a Boolean",
    "string": "a String",
    "timestamp": "a Timestamp",
    "blob": "a Blob",
}


def _serialization_message(error: Unreadable) -> str:
    if error.kind == "found":
        if error.value == "list":
            return "Start of list found where not expected"
        if error.value == "structure":
            return "Start of structure or map found where not expected."
        if error.expected in ("list", "structure"):
            return "Unexpected field type"
        found = _KINDS.get(error.value, error.value)
        return f"{found} can not be converted to {_TYPES.get(error.expected, error.expected)}"
    if error.kind == "value":
        return f"{shown(error.value)} can not be converted to {_TYPES.get(error.expected, error.expected)}"
    if error.kind == "unknown":
        return f"Unexpected element: {shown('.'.join(error.steps))}"
    return error.value


class Ec2Dialect(Dialect):
    """EC2 names parameters as they were sent. Its enums are left to the operations: an instance type that this model
    does not list may exist."""

    rules = Rules(enums=False, patterns=False)

    def path(self, steps: Sequence[Step]) -> list[str]:
        return [self.parameter(step) if isinstance(step, Member) else str(step) for step in steps]

    @staticmethod
    def parameter(member: Member) -> str:
        traits = member.traits
        if "queryName" in traits:
            return str(traits["queryName"])
        name = member.wire_name
        return name[:1].upper() + name[1:]

    def violations(self, found: Sequence[Violation]) -> AwsError:
        first = found[0]
        name = ".".join(self.path(first.steps))
        if first.rule == "required":
            return AwsError("MissingParameter", f"The request must contain the parameter {name}")
        value, limit = shown(first.value), first.limit
        less = first.rule == "max"
        if first.shape.type in ("integer", "long", "float", "double"):
            told = (
                f"Expecting a value {'less' if less else 'greater'} than {limit}."
                if limit
                else "The value must not be negative."
            )
        elif first.shape.type in ("list", "map"):
            told = f"Expecting {'at most' if less else 'at least'} {limit} values."
        else:
            told = f"Expecting {'at most' if less else 'at least'} {limit} characters."
        return AwsError(
            "InvalidParameterValue", f"Value ( {value} ) for parameter {lower_first(name)} is invalid. {told}"
        )

    def unreadable(self, error: Unreadable) -> AwsError:
        name = shown(".".join(error.steps))
        if error.kind == "unknown" or (error.kind == "found" and error.value == "structure"):
            return AwsError("UnknownParameter", f"The parameter {name} is not recognized")
        if error.kind == "found":
            return AwsError("InvalidParameter", f"The parameter {name} is not a {error.expected}")
        if error.kind == "syntax":
            return AwsError("MalformedQueryString", error.value)
        return AwsError(
            "InvalidParameterValue",
            f"Invalid value '{shown(error.value)}' for {name}. Expecting {_EC2_TYPES[error.expected]}.",
        )

    def unknown(self, name: str, version: str) -> AwsError:
        return AwsError("InvalidAction", f"The action {shown(name)} is not valid for this web service.", status=400)


_EC2_TYPES = {
    "integer": "an integer",
    "long": "an integer",
    "float": "a number",
    "double": "a number",
    "boolean": "true or false",
    "string": "a string",
    "timestamp": "an ISO 8601 date and time",
    "blob": "base64",
}

# Codes that every service may answer, and whose status is not 400.
COMMON_STATUSES: dict[str, int] = {
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "InternalFailure": 500,
    "InternalError": 500,
    "InternalServerError": 500,
    "InternalServerException": 500,
    "InvalidClientTokenId": 403,
    "MissingAuthenticationToken": 403,
    "OptInRequired": 403,
    "RequestEntityTooLarge": 413,
    "RequestTimeout": 408,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
    "SignatureDoesNotMatch": 403,
}

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html: client errors are 400 unless listed here.
EC2_STATUSES: dict[str, int] = {
    "AuthFailure": 401,
    "Blocked": 403,
    "DryRunOperation": 412,
    "InsufficientAddressCapacity": 500,
    "InsufficientCapacity": 500,
    "InsufficientHostCapacity": 500,
    "InsufficientInstanceCapacity": 500,
    "InsufficientReservedInstanceCapacity": 500,
    "InsufficientVolumeCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "OptInRequired": 401,
    "PendingVerification": 403,
    "RequestLimitExceeded": 503,
    "ServerInternal": 500,
    "ServiceUnavailable": 503,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
}

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: as EC2's table, 400 is not listed.
S3_STATUSES: dict[str, int] = {
    "AccessControlListNotSupported": 400,
    "AccessDenied": 403,
    "AccountProblem": 403,
    "AllAccessDisabled": 403,
    "BucketAlreadyExists": 409,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "ConditionalRequestConflict": 409,
    "CrossLocationLoggingProhibited": 403,
    "ExpiredToken": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidBucketState": 409,
    "InvalidObjectState": 403,
    "InvalidPayer": 403,
    "InvalidRange": 416,
    "InvalidSecurity": 403,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "MissingSecurityHeader": 400,
    "NoSuchAccessPoint": 404,
    "NoSuchBucket": 404,
    "NoSuchBucketPolicy": 404,
    "NoSuchConfiguration": 404,
    "NoSuchCORSConfiguration": 404,
    "NoSuchKey": 404,
    "NoSuchLifecycleConfiguration": 404,
    "NoSuchObjectLockConfiguration": 404,
    "NoSuchPublicAccessBlockConfiguration": 404,
    "NoSuchTagSet": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NoSuchWebsiteConfiguration": 404,
    "NotImplemented": 501,
    "NotModified": 304,
    "NotSignedUp": 403,
    "ObjectLockConfigurationNotFoundError": 404,
    "OperationAborted": 409,
    "OwnershipControlsNotFoundError": 404,
    "PermanentRedirect": 301,
    "PreconditionFailed": 412,
    "ReplicationConfigurationNotFoundError": 404,
    "RequestTimeout": 400,
    "RequestTimeTooSkewed": 403,
    "RestoreAlreadyInProgress": 409,
    "ServerSideEncryptionConfigurationNotFoundError": 404,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "TemporaryRedirect": 307,
}


class S3Dialect(Dialect):
    """S3 holds bodies against its schema (MalformedXML) and answers everything else under a handful of codes."""

    strict_xml = True

    def violations(self, found: Sequence[Violation]) -> AwsError:
        first = found[0]
        top = first.steps[0]
        assert isinstance(top, Member)
        location = top.traits.get("location")
        if first.rule == "required":
            if location == "header":
                return AwsError("InvalidRequest", f"Missing required header for this request: {top.wire_name}")
            if location == "querystring":
                return AwsError(
                    "InvalidArgument",
                    f"This operation requires the parameter {top.wire_name}.",
                    ArgumentName=top.wire_name,
                )
            if location == "uri":
                return AwsError("InvalidURI", "Couldn't parse the specified URI.")
            if len(first.steps) == 1:
                return AwsError("MissingRequestBodyError", "Request Body is empty")
            return self._malformed()
        if location is None:
            return self._malformed()
        if top.wire_name.lower() == "x-amz-storage-class":
            return AwsError("InvalidStorageClass", "The storage class you specified is not valid")
        if top.wire_name == "x-amz-copy-source":
            told = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
            return self._argument(top.wire_name, shown(first.value), told)
        if top.wire_name == "encoding-type":
            return self._argument(top.wire_name, shown(first.value), "Invalid Encoding Method specified in Request")
        return self._argument(top.wire_name, shown(first.value), f"Invalid value for {top.wire_name}")

    def unreadable(self, error: Unreadable) -> AwsError:
        if error.location == "body":
            return self._malformed()
        name = ".".join(error.steps)
        if error.expected in ("integer", "long"):
            return self._argument(name, error.value, f"Provided {name} not an integer or within integer range")
        return self._argument(name, error.value, f"Invalid value for {name}")

    @staticmethod
    def _argument(name: str, value: str, message: str) -> AwsError:
        return AwsError("InvalidArgument", message, ArgumentName=name, ArgumentValue=shown(value))

    @staticmethod
    def _malformed() -> AwsError:
        message = "The XML you provided was not well-formed or did not validate against our published schema"
        return AwsError("MalformedXML", message)

    def unknown(self, name: str, version: str) -> AwsError:
        return AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.")

    def unsupported(self, name: str) -> AwsError:
        implied = "A header or query you provided implies functionality that is not implemented"
        return AwsError("NotImplemented", f"{implied}: Mallee does not have {name}.")


class SqsDialect(Dialect):
    """SQS leaves names of attributes to the operation, which knows which of them a queue can have."""

    rules = Rules(enums=False)

    def path(self, steps: Sequence[Step]) -> list[str]:
        return [step.name if isinstance(step, Member) else str(step) for step in steps]


class CloudWatchDialect(Dialect):
    def path(self, steps: Sequence[Step]) -> list[str]:
        named: list[str] = []
        for step in steps:
            named += [step.name] if isinstance(step, Member) else ["member", str(step)]
        return named

    def missing_message(self, name: str) -> str:
        return f"The parameter {name} is required."


class IamDialect(Dialect):
    """IAM has its own sentences for names and paths with characters that are not allowed, if that is all there is to say."""

    _RULES: ClassVar = {
        r"[\w+=,.@-]+": "It must contain only alphanumeric characters and/or the following: +=,.@_-",
        r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)": "It must begin and end with / and contain only alphanumeric "
        "characters and/or / characters.",
        r"\u002F[\u0021-\u007F]*": "It must begin with the / character and contain only alphanumeric characters "
        "and/or / characters.",
    }

    def violations(self, found: Sequence[Violation]) -> AwsError:
        if any(violation.rule != "pattern" or violation.limit not in self._RULES for violation in found):
            return super().violations(found)
        name = ".".join(self.path(found[0].steps))
        return AwsError(self.code, f"The specified value for {name} is invalid. {self._RULES[found[0].limit]}", status=400)


_SQS = "AWS.SimpleQueueService."
_SQS_CODES = {
    name: _SQS + name
    for name in (
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidBatchEntryId",
        "MessageNotInflight",
        "PurgeQueueInProgress",
        "QueueDeletedRecently",
        "TooManyEntriesInBatchRequest",
        "UnsupportedOperation",
    )
} | {
    "QueueDoesNotExist": _SQS + "NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "KmsAccessDenied": "KMS.AccessDeniedException",
    "KmsDisabled": "KMS.DisabledException",
    "KmsInvalidKeyUsage": "KMS.InvalidKeyUsageException",
    "KmsInvalidState": "KMS.InvalidStateException",
    "KmsNotFound": "KMS.NotFoundException",
    "KmsOptInRequired": "KMS.OptInRequired",
    "KmsThrottled": "KMS.ThrottlingException",
}

_UNKNOWN = "UnknownOperationException"
EC2 = Ec2Dialect(
    "InvalidParameterValue", "InvalidParameterValue", unsupported="UnsupportedOperation", statuses=EC2_STATUSES
)
QUERY = Dialect("ValidationError", "MalformedInput")
IAM = IamDialect("ValidationError", "MalformedInput")
JSON = Dialect("ValidationException", "SerializationException", _UNKNOWN)
QUOTAS = Dialect("IllegalArgumentException", "SerializationException", _UNKNOWN)
LOGS = Dialect("InvalidParameterException", "SerializationException", _UNKNOWN)
EBS = Dialect(
    "ValidationException",
    "SerializationException",
    _UNKNOWN,
    unknown_status=404,
    statuses={"InvalidSignatureException": 403, "UnrecognizedClientException": 403, "ExpiredTokenException": 403},
)
ROUTE53 = Dialect("InvalidInput", "InvalidInput")
S3 = S3Dialect("InvalidArgument", "MalformedXML", statuses=S3_STATUSES)
CLOUDWATCH = CloudWatchDialect("ValidationError", "MalformedInput", missing="MissingParameter")
SQS = SqsDialect(
    "InvalidParameterValue",
    "MalformedInput",
    missing="MissingParameter",
    unsupported=_SQS + "UnsupportedOperation",
    statuses={"OverLimit": 403, "PurgeQueueInProgress": 403, "ReceiptHandleIsInvalid": 404},
    query_codes=_SQS_CODES,
)
