"""Objects that browsers upload: POST to a bucket with a form, ``multipart/form-data``.

A form is a PutObject in other clothes. Its fields are put into the headers that they stand for, and the operation does what it does for any
PUT: the same checks, the same questions to policies, the same commit. What is a form's own: whose it is says a signature over the policy
among its fields, which says in turn what the other fields and the file may be; the key may have the file's name in it; and the answer is the one
that its fields wish.

The file streams: of a form, its fields and a block of the file are in memory. A file whose end can be foreseen to be near is read before it is
admitted, so that it goes the way of small objects. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from mallee.http import multipart
from mallee.http.dispatch import Answer
from mallee.http.multipart import Form, Malformed, NoFile, TooLong
from mallee.http.streams import Begun, Gone, Incoming, Streams, content_length
from mallee.objects import checksums, receiving
from mallee.objects.engine.base import SMALL
from mallee.objects.receiving import Declared, Received
from mallee.objects.rules import post_policy, tags
from mallee.objects.rules.post_policy import PostPolicy
from mallee.objects.rules.refusals import invalid
from mallee.wire import AwsError, Headers, Request, route
from mallee.wire.xmlout import DECLARATION, escaped

MOST: Final = receiving.MOST + multipart.MOST_FIELDS
"""Bytes of a whole form."""

_HEADERS: Final = frozenset(
    (
        "cache-control", "content-type", "content-disposition", "content-encoding", "content-language", "content-md5", "expires",
        "if-match", "if-none-match",
    )
)  # fmt: skip
_RENAMED: Final = {"acl": "x-amz-acl"}
_NOT_HEADERS: Final = frozenset(
    (
        "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token", "x-amz-content-sha256",
        "x-amz-decoded-content-length", "x-amz-trailer", "x-amz-sdk-checksum-algorithm", "x-amz-checksum-algorithm", "x-amz-copy-source",
        "x-amz-write-offset-bytes",
    )
)  # fmt: skip
"""Fields that begin like headers of PutObject and are none, or would make another operation of it."""
_AS_THEY_ARE: Final = frozenset(("policy", "signature", "awsaccesskeyid", "x-amz-signature", "x-amz-credential", "x-amz-security-token"))
"""Fields in which ``${filename}`` is no variable."""
_OF_CLIENT: Final = (b"host", b"user-agent", b"referer", b"origin")
_HOST = re.compile(r"[A-Za-z0-9._\-\[\]:]{1,255}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SLACK: Final = 1024  # bytes that end a form whose file is small


class Upload(Begun):
    """A form on its way in."""

    __slots__ = ("bucket", "content", "form", "policy", "promised", "sent")

    bucket: str
    form: Form
    promised: int  # bytes of the whole body
    policy: PostPolicy | None
    content: bytes | None  # of a small file, once it is here
    sent: Request  # as it came: ``request`` is what it stands for


class File:
    """The file's content, out of the body: what ``chunks.Decoder`` is to a signed one."""

    trailers: dict[str, str] | None = None

    def __init__(self, form: Form, policy: PostPolicy | None) -> None:
        self._form = form
        self._policy = policy
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        found = self._form.content(data)
        self._size += len(found)
        policy = self._policy
        if policy is not None and policy.most is not None and self._size > policy.most:
            policy.check_length(self._size)
        return [found] if found else []

    def finish(self) -> None:
        if not self._form.ended:
            raise Malformed
        if self._policy is not None:
            self._policy.check_length(self._size)


def is_form(request: Request) -> bool:
    """Whether a request is a browser's form for a bucket: it bears no signature of its own and names no sub-resource."""
    if request.method != "POST" or request.raw_query or request.header(b"authorization") is not None:
        return False
    return (request.header(b"content-type") or b"")[:19].lower() == b"multipart/form-data"


class Forms(Streams):
    begun = Upload

    async def _perform(self, call: Begun, receive: Incoming) -> None:
        assert isinstance(call, Upload)
        call.answer.operation = "PostObject"
        try:
            await self._form(call, receive)
        except NoFile:
            told = "POST requires exactly one file upload per request."
            raise AwsError("IncorrectNumberOfFilesInPostRequest", told, status=400, ArgumentName="file", ArgumentValue="0") from None
        except Malformed:
            raise AwsError(
                "MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.", status=400
            ) from None
        except TooLong:
            raise AwsError(
                "MaxPostPreDataLengthExceededError", "Your POST request fields preceding the upload file were too large.", status=400
            ) from None

    async def _form(self, call: Upload, receive: Incoming) -> None:
        call.sent = call.request
        call.bucket = self._bucket(call.request)
        call.promised = _promised(call.request)
        boundary = multipart.boundary_of(call.request.header(b"content-type"))
        assert boundary is not None
        form = call.form = Form(boundary)
        taken = 0
        while not form.at_file:
            if receive.over:
                raise Malformed
            data = await _next(receive)
            taken += len(data)
            form.head(data)
        await self._do("PostObject", self._verify, call)
        call.content = None
        if call.promised - taken + form.held <= SMALL + _SLACK:
            call.content = await self._small(call, receive)
        await self._do("PostObject ", self._admit, call)
        if call.content is None:
            received = await self._take(call, receive)
        else:
            received = await self._do("PostObject  ", self._taken, call)
        output = await self._do("PostObject   ", self._act, call, received)
        self._respond(call, await self.done(call, output))

    async def _small(self, call: Upload, receive: Incoming) -> bytes:
        file = File(call.form, call.policy)
        parts = file.feed(b"")
        while not receive.over:
            parts += file.feed(await _next(receive))
        file.finish()
        return b"".join(parts)

    def _bucket(self, request: Request) -> str:
        """Raises AwsError where the form is for no bucket."""
        name, _, key = self._dispatcher.router.s3_path(request)[1:].partition("/")
        if not name or key:
            raise AwsError(
                "MethodNotAllowed", "The specified method is not allowed against this resource.", status=405, Method="POST",
                ResourceType="OBJECT" if key else "SERVICE",
            )  # fmt: skip
        return name

    def _verify(self, call: Upload) -> None:
        """Whose form it is, and whether its policy lets it be what it is."""
        form, answer = call.form, call.answer
        if form.twice:
            raise invalid(f"The form has more than one field named '{form.twice}'.", form.twice)
        fields = {
            name: value if name in _AS_THEY_ARE else value.replace("${filename}", form.filename) for name, value in form.fields.items()
        }
        if "key" not in fields:
            told = "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields."
            raise invalid(told, "key", "")
        if not fields["key"]:
            raise invalid("User key must have a length greater than 0.", "key", "")
        proof = call.proof = self._dispatcher.form_proof(form.fields)
        principal = answer.principal = proof.principal
        answer.account_id, answer.arn = principal.account_id, principal.arn
        call.policy = None
        if fields.get("policy"):
            call.policy = post_policy.read(fields["policy"])
            call.policy.check(fields, call.bucket, self._dispatcher.now())
        form.fields = fields
        call.request = _as_put(call.request, call.bucket, fields)
        found = call.found = self._dispatcher.router.route(call.request)
        call.handler = self._dispatcher.handler(found)
        if call.handler is None:
            raise found.unsupported()
        call.parsed = found.parse(call.request)

    def _admit(self, call: Upload) -> None:
        length = None if call.content is None else len(call.content)
        handler = call.handler
        assert handler is not None and handler.admit is not None
        admit = handler.admit
        given = _declared(call.request, length, call.form.fields)
        call.decoder = File(call.form, call.policy)  # type: ignore[assignment]
        call.intake = self._dispatcher.look(call.answer, lambda tx: admit(self._asked(call, tx, given)))

    def _taken(self, call: Upload) -> Received:
        """A small file."""
        intake, content = call.intake, call.content
        assert intake is not None and content is not None
        for at in range(0, len(content), receiving.BLOCK):
            for job in intake.jobs(content[at : at + receiving.BLOCK]):
                job()
        return intake.finish()

    def _respond(self, call: Begun, output: Any) -> None:
        assert isinstance(call, Upload)
        super()._respond(call, output)
        _wish(call.answer, call, str(output["ETag"]))


def _promised(request: Request) -> int:
    length = content_length(request)
    if length is None:
        raise AwsError("MissingContentLength", "You must provide the Content-Length HTTP header.", status=411)
    if length > MOST:
        raise receiving.too_large(length, MOST)
    return length


async def _next(receive: Incoming) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    data: bytes = message.get("body", b"")
    return data


def _as_put(request: Request, bucket: str, fields: dict[str, str]) -> Request:
    """The PutObject that a form stands for."""
    headers: Headers = [pair for pair in request.headers if pair[0] in _OF_CLIENT and pair[0] != b"host"]
    for name, value in fields.items():
        header = _RENAMED.get(name, name)
        if name == "tagging":
            header, value = "x-amz-tagging", urlencode(_tags(value))
        elif header not in _HEADERS and (not header.startswith("x-amz-") or header in _NOT_HEADERS):
            continue
        if _CONTROL.search(value) or not _TOKEN.fullmatch(header):
            raise invalid(f"The field {name} has characters that cannot stand in a header.", name)
        headers.append((header.encode(), value.strip().encode()))
    path = f"/{quote(bucket, safe='')}/{quote(fields['key'], safe='/')}"
    return Request("PUT", path.encode(), b"", headers)


def _tags(document: str) -> dict[str, str]:
    """The tags of the field ``tagging``, which is the document of PutObjectTagging. Raises AwsError."""
    request = Request("PUT", b"/bucket/key", b"tagging", [], document.encode())
    given = route(request).parse(request)
    return tags.from_set(given["Tagging"]["TagSet"])


def _declared(request: Request, length: int | None, fields: dict[str, str]) -> Declared:
    """What the form says of its file. A checksum's algorithm without a value is a wish that the object have such a one."""
    given = receiving.declared(request.header, [name for name, _ in request.headers], length)
    wanted = fields.get("x-amz-checksum-algorithm", "").upper()
    if not wanted:
        return given
    if wanted not in checksums.ALGORITHMS or any(name != wanted for name in given.algorithms):
        raise invalid("Value for x-amz-checksum-algorithm field is invalid.", "x-amz-checksum-algorithm", wanted)
    return replace(given, computed=wanted)


# -------------------------------------------------------------------------------------------------------------------- answers


def _wish(answer: Answer, call: Upload, etag: str) -> None:
    """The answer as the form wishes it to be."""
    fields = call.form.fields
    target = _redirect(fields.get("success_action_redirect") or fields.get("redirect"), call.bucket, fields["key"], etag)
    if target is not None:
        answer.status, answer.body = 303, b""
        answer.headers.append((b"location", target.encode()))
        return
    location = _location(call, fields["key"])
    answer.headers.append((b"location", location.encode()))
    status = fields.get("success_action_status")
    answer.status = int(status) if status in ("200", "201") else 204
    answer.body = b""
    if answer.status == 201:
        answer.headers.append((b"content-type", b"application/xml"))
        answer.body = (
            f"{DECLARATION}<PostResponse><Location>{escaped(location)}</Location><Bucket>{escaped(call.bucket)}</Bucket>"
            f"<Key>{escaped(fields['key'])}</Key><ETag>{escaped(etag)}</ETag></PostResponse>"
        ).encode()


def _redirect(wanted: str | None, bucket: str, key: str, etag: str) -> str | None:
    """Where the browser goes from here; None for what is no address, which counts as if it were not there."""
    if not wanted or _CONTROL.search(wanted):
        return None
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    told = urlencode({"bucket": bucket, "key": key, "etag": etag}, quote_via=quote)
    query = f"{parts.query}&{told}" if parts.query else told
    return quote(parts._replace(query=query).geturl(), safe=":/?#[]@!$&'()*+,;=%~")


def _location(call: Upload, key: str) -> str:
    """The new object's address, as the form's own was written."""
    request = call.sent
    host = (request.header(b"host") or b"").decode("latin-1")
    path = request.raw_path.decode("latin-1").strip("/")
    named = quote(key, safe="")
    told = f"/{path}/{named}" if path else f"/{named}"
    if not _HOST.fullmatch(host):
        return told
    return f"{'https' if call.source.secure else 'http'}://{host}{told}"
