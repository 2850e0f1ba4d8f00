"""Buckets as websites: for browsers, by names of their own, to read only, and for whoever the bucket's policy or its ACLs let in.

A page is a GetObject (HeadObject) that nobody has signed, so that its conditions, its range and its refusals are the API's; what is a website's
own (index documents, folders, redirects, error documents and pages in HTML) is decided in ``objects.rules.website``. Queries mean nothing
here, and neither does a signature.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from mallee.http.dispatch import Answer
from mallee.http.streams import Begun, Incoming, Streams, drain
from mallee.objects import kinds, lookup, store
from mallee.objects.index import versions
from mallee.objects.records import Bucket
from mallee.objects.rules import website
from mallee.objects.rules.website import Asked, Redirect, Website
from mallee.store import Tx
from mallee.wire import AwsError, Headers, Request
from mallee.wire.message import header_value, unquoted

_PASSED: Final = frozenset(
    (
        b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"user-agent", b"referer", b"origin",
    )
)  # fmt: skip
_METHODS: Final = ("GET", "HEAD")
_HTML: Final = (b"content-type", b"text/html; charset=utf-8")


def bucket_of(host: bytes | None, domains: tuple[bytes, ...]) -> str | None:
    """The bucket whose website a host names; None for other hosts. ``domains`` in small letters."""
    if not host:
        return None
    name = host.partition(b":")[0].rstrip(b".").lower()
    for domain in domains:
        if name.endswith(domain) and (name == domain or name[-len(domain) - 1 :].startswith(b".")):
            return (name[: -len(domain) - 1] or name).decode("latin-1")
    return None


class Visit(Begun):
    """A request to a website."""

    __slots__ = ("name", "sent")

    name: str  # of the bucket
    sent: Request  # as it came: ``request`` is what is asked of the API instead


class Websites(Streams):
    begun = Visit

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.domains = tuple(domain.encode() for domain in self._dispatcher.settings.website_domains)

    def is_named(self, request: Request) -> bool:
        return self.named(request) is not None

    def named(self, request: Request) -> str | None:
        """The bucket whose website the request is for."""
        return bucket_of(request.header(b"host"), self.domains)

    async def _perform(self, call: Begun, receive: Incoming) -> None:
        assert isinstance(call, Visit)
        call.sent = call.request
        call.name = bucket_of(call.request.header(b"host"), self.domains) or ""
        call.answer.operation = "WebsiteGet"
        whole = await drain(receive, call.sent)
        if call.sent.method == "OPTIONS":
            path = f"/{call.name}{call.sent.raw_path.decode('latin-1')}"
            call.answer = await self._workers.run(self._cors.preflight, call.sent, call.request_id, path)
        else:
            await self._do("website " + call.sent.method, self._visit, call)
        if not whole:
            call.answer.headers.append((b"connection", b"close"))

    def _let_in(self, request: Request) -> Headers:
        if request.method == "OPTIONS":
            return []
        return self._cors.told(request, f"/{bucket_of(request.header(b'host'), self.domains)}/")

    # ------------------------------------------------------------------------------------------------------------ the visit

    def _visit(self, call: Visit) -> None:
        request = call.sent
        if request.method not in _METHODS:
            allowed = ((b"allow", b"GET, HEAD"),)
            raise AwsError(
                "MethodNotAllowed", "The specified method is not allowed against this resource.", status=405, headers=allowed,
                Method=request.method, ResourceType="OBJECT",
            )  # fmt: skip
        bucket = self._dispatcher.look(call.answer, lambda tx: lookup.existing(tx, call.name))
        site = bucket.configuration(kinds.WEBSITE)
        if site is None:
            told = "The specified bucket does not have a website configuration"
            raise AwsError("NoSuchWebsiteConfiguration", told, status=404, BucketName=call.name)
        asked = _asked(call)
        target = website.redirect(site, asked)
        if target is not None:
            _redirect(call, target)
            return
        try:
            self._show(call, website.object_key(site, asked.key))
        except AwsError as error:
            self._instead(call, bucket, site, asked, error)

    def _show(self, call: Visit, key: str, *, plain: bool = False) -> None:
        """The object as the answer. ``plain``: all of it, whatever the request says of ranges and conditions. Raises AwsError."""
        passed: Headers = [pair for pair in call.sent.headers if pair[0] in _PASSED and not (plain and pair[0].startswith((b"if", b"range")))]
        path = f"/{quote(call.name, safe='')}/{quote(key, safe='/', errors='surrogatepass')}"
        call.request = Request(call.sent.method, path.encode(), b"", passed)
        call.found = self._dispatcher.router.route(call.request)
        output = self._whole(call, b"")
        sent_on = output.get("WebsiteRedirectLocation")
        if sent_on and not plain:
            close = getattr(output.get("Body"), "close", None)
            if close is not None:
                close()
            _redirect(call, Redirect(website.MOVED, sent_on))
            return
        self._respond(call, output)
        call.answer.headers = [pair for pair in call.answer.headers if pair[0] != b"x-amz-website-redirect-location"]

    def _instead(self, call: Visit, bucket: Bucket, site: Website, asked: Asked, error: AwsError) -> None:
        """What an object is replaced by that cannot be had."""
        status = _status(error)
        if status < 400:
            raise error
        folder = website.folder_key(site, asked.key)
        if folder is not None and status in (403, 404) and not self._is_there(call, bucket, asked.key) and self._may_show(call, folder):
            found = AwsError("Found", "Resource Found", status=302)
            _page(call, found)
            call.answer.headers.append((b"location", website.to_folder(asked).location.encode()))
            return
        target = website.redirect(site, asked, status)
        if target is not None:
            _redirect(call, target)
            return
        document = website.error_key(site, status)
        if document is None:
            _page(call, error)
            return
        try:
            self._show(call, document, plain=True)
        except AwsError as missing:
            _page(call, error, missing)
            return
        call.answer.status = status
        call.answer.code = error.code
        call.answer.headers += _named(error)

    def _is_there(self, call: Visit, bucket: Bucket, key: str) -> bool:
        """Whether there is such an object, to be seen or not."""
        name = key.encode("utf-8", "surrogatepass")

        def look(tx: Tx) -> bool:
            with store.at(tx).index.reading() as index:
                found = versions.current(index, bucket.id, name)
            return found is not None and not found.deleted

        return self._dispatcher.look(call.answer, look)

    def _may_show(self, call: Visit, key: str) -> bool:
        method, call.sent.method = call.sent.method, "HEAD"
        try:
            self._show(call, key, plain=True)
        except AwsError:
            return False
        finally:
            call.sent.method = method
        return True

    def _refuse(self, call: Begun, problem: Exception) -> None:
        """In HTML. A custom error document is for what a website was asked for, not for what is wrong with it."""
        assert isinstance(call, Visit)
        _page(call, self._error(call, problem))


def _asked(call: Visit) -> Asked:
    request = call.sent
    key = unquoted(request.raw_path.decode("latin-1")[1:])
    host = (request.header(b"host") or b"").decode("latin-1")
    return Asked(key, request.raw_query.decode("latin-1"), "https" if call.source.secure else "http", host)


def _status(error: AwsError) -> int:
    from mallee.wire.dialects import S3

    return error.status or S3.status(error.code) or 400


def _start(call: Visit, status: int) -> Answer:
    answer = call.answer
    identity = call.request_id.encode()
    answer.status, answer.body = status, b""
    answer.headers = [(b"x-amz-request-id", identity), (b"x-amz-id-2", identity)]
    return answer


def _redirect(call: Visit, target: Redirect) -> None:
    _start(call, target.status).headers.append((b"location", header_value(target.location)))


def _told(error: AwsError) -> dict[str, str]:
    return {"Code": error.code, "Message": error.message, **{name: str(value) for name, value in error.fields.items() if value is not None}}


def _named(error: AwsError) -> Headers:
    """What an error's answer says in its head, where scripts can read it."""
    found: Headers = [(b"x-amz-error-code", header_value(error.code)), (b"x-amz-error-message", header_value(error.message))]
    return found + [
        (header_value(f"x-amz-error-detail-{name}"), header_value(str(value))) for name, value in error.fields.items() if value is not None
    ]


def _page(call: Visit, error: AwsError, missing: AwsError | None = None) -> None:
    status = _status(error)
    answer = _start(call, status)
    answer.code = error.code if status >= 400 else ""
    answer.headers += [*error.headers]
    if status == 304:
        return
    answer.headers += [_HTML, *_named(error)]
    told = {**_told(error), "RequestId": call.request_id, "HostId": call.request_id}
    body = website.page(status, told, None if missing is None else _told(missing))
    if call.sent.method == "HEAD":
        answer.headers.append((b"content-length", b"%d" % len(body)))
    else:
        answer.body = body
