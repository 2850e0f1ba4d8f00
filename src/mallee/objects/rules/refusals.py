"""The few errors that S3 answers to configurations that it will not take."""

from __future__ import annotations

from typing import Any

from mallee.wire.errors import AwsError

NOT_WELL_FORMED = "The XML you provided was not well-formed or did not validate against our published schema"


def malformed(message: str = NOT_WELL_FORMED) -> AwsError:
    return AwsError("MalformedXML", message, status=400)


def bad_request(message: str) -> AwsError:
    return AwsError("InvalidRequest", message, status=400)


def invalid(message: str, name: str = "", value: object = None) -> AwsError:
    """InvalidArgument, with the argument that it is about and what was given for it."""
    fields: dict[str, Any] = {"ArgumentName": name} if name else {}
    if name and value is not None:
        fields["ArgumentValue"] = str(value)
    return AwsError("InvalidArgument", message, status=400, **fields)


def denied() -> AwsError:
    return AwsError("AccessDenied", "Access Denied", status=403)
