"""The errors that the edge itself answers, as each family of services spells them.

Operations raise their own; these are for what happens around them: a body that is too large, a database that
does not answer, a fault of Mallee's own.
"""

from __future__ import annotations

from mallee.wire.errors import AwsError

_JSON = ("json", "rest-json", "smithy-rpc-v2-cbor")


def internal(service: str, protocol: str) -> AwsError:
    if service == "s3":
        return AwsError("InternalError", "We encountered an internal error. Please try again.", status=500)
    if service == "ec2":
        return AwsError("InternalError", "An internal error has occurred", status=500)
    text = "The request processing has failed because of an unknown error, exception or failure."
    return AwsError("InternalFailure", text, status=500)


def unavailable(service: str, protocol: str) -> AwsError:
    if service == "s3":
        return AwsError("ServiceUnavailable", "Service is unable to handle request.", status=503)
    if service == "ec2":
        return AwsError("Unavailable", "The service is temporarily unavailable. Please try again shortly.", status=503)
    code = "ServiceUnavailableException" if protocol in _JSON else "ServiceUnavailable"
    return AwsError(code, "The request has failed due to a temporary failure of the server.", status=503)


def no_room() -> AwsError:
    """Of S3, which never has that. 507, as others who speak S3 answer: a client that takes it for 503 would send the same object again and
    again, and its user would not be told why."""
    return AwsError("InsufficientStorage", "There is not enough room left for this. Reading and deleting go on.", status=507)


def dry_run() -> AwsError:
    return AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", status=412)


def too_large(service: str | None) -> AwsError:
    if service == "s3":
        text = "Your proposed upload exceeds the maximum allowed size"
        return AwsError("EntityTooLarge", text, status=400)
    return AwsError("RequestEntityTooLarge", "The request's body is too large.", status=413)


def incomplete_body(service: str | None) -> AwsError:
    if service == "s3":
        text = "You did not provide the number of bytes specified by the Content-Length HTTP header."
        return AwsError("IncompleteBody", text, status=400)
    return AwsError("IncompleteBody", "The request's body ended early.", status=400)
