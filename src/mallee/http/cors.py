"""What browsers are told about other origins: answers to their preflights, and headers on every answer whose request names an origin.

A preflight is nobody's: it bears no signature and asks no policy, and what it learns is in the bucket's CORS configuration alone. An actual
request is answered whatever its origin; where a rule lets the origin in, the answer says so, and an error's does, too.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mallee.http.dispatch import Answer, Dispatcher
from mallee.objects import kinds, lookup
from mallee.objects.records import Bucket
from mallee.objects.rules import cors
from mallee.objects.rules.cors import Rule
from mallee.wire import AwsError, Headers, Request

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_ENABLED = "CORSResponse: CORS is not enabled for this bucket."
_NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / "
    "Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
)


class Cors:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def preflight(self, request: Request, request_id: str, path: str | None = None) -> Answer:
        """The answer to OPTIONS. ``path``: with the bucket in front, where the host names it in another way than S3's own. Never raises
        AwsError."""
        answer = Answer(0, [], b"", service="s3", operation="Preflight", wrote=False)
        try:
            told = self._preflight(request, self._dispatcher.router.s3_path(request) if path is None else path)
        except AwsError as refused:
            return self._dispatcher.refusal(request, refused, request_id, answer=answer)
        answer.status = 200
        answer.headers = [(b"x-amz-request-id", request_id.encode()), (b"x-amz-id-2", request_id.encode()), *told]
        return answer

    def _preflight(self, request: Request, path: str) -> Headers:
        origin = _text(request, b"origin")
        if not origin:
            raise AwsError("BadRequest", "Insufficient information. Origin request header needed.", status=400)
        method = _text(request, b"access-control-request-method")
        if method not in cors.METHODS:
            raise AwsError("BadRequest", f"Invalid Access-Control-Request-Method: {method or 'null'}", status=400)
        name, _, key = path[1:].partition("/")
        kind = "OBJECT" if key else "BUCKET" if name else "SERVICE"
        found = self._bucket(name)
        if found is None and name:
            raise _forbidden("CORSResponse: Bucket not found", method, kind)
        rules = None if found is None else rules_of(found)
        if not rules:
            raise _forbidden(_NOT_ENABLED, method, kind)
        asked = cors.requested(_text(request, b"access-control-request-headers"))
        rule = cors.rule_for(rules, origin, method, asked)
        if rule is None:
            raise _forbidden(_NOT_ALLOWED, method, kind)
        return _encoded(cors.told(rule, origin, asked))

    def told(self, request: Request, path: str | None = None) -> Headers:
        """What an actual request's answer has besides, if its request names an origin. Never raises AwsError."""
        origin = _text(request, b"origin")
        if not origin:
            return []
        try:
            found = self._bucket((self._dispatcher.router.s3_path(request) if path is None else path)[1:].partition("/")[0])
        except AwsError:
            return []
        rules = None if found is None else rules_of(found)
        if not rules:
            return []
        rule = cors.rule_for(rules, origin, request.method)
        return _encoded([("vary", cors.VARY)] if rule is None else cors.told(rule, origin))

    def _bucket(self, name: str) -> Bucket | None:
        return None if not name else self._dispatcher.look(Answer(0, [], b""), lambda tx: lookup.named(tx, name))


def rules_of(bucket: Bucket) -> Sequence[Rule]:
    return (bucket.configuration(kinds.CORS) or {}).get("CORSRules") or ()


def _forbidden(message: str, method: str, kind: str) -> AwsError:
    return AwsError("AccessForbidden", message, status=403, Method=method, ResourceType=kind)


def _text(request: Request, name: bytes) -> str:
    """A header, as it is sent back; what could not have come as one counts as absent."""
    text = (request.header(name) or b"").decode("latin-1")
    return text if text.isprintable() else ""


def _encoded(told: list[tuple[str, str]]) -> Headers:
    """A configuration is a document, whose texts may have line breaks: they end no header."""
    return [(name.encode(), _CONTROL.sub(" ", value).encode("latin-1", "replace")) for name, value in told]
