"""Swift's requests as calls of S3's operations: who asks, what for, and how the operation is run.

A :class:`Visit` is a request of Swift's. What it wants is aimed at an operation: the request that S3 would have got is made and routed, or one of
Swift's own operations (``objects.swift.operations``) is given its input; either way the caller is the token's holder, and policies are asked as for
any call. Further calls that one request needs (a segment to read, an object of many to remove) are :class:`Begun` of their own, by the same caller.

An account is named in the path. Its containers are those buckets that belong to it: what another account has is not there for who asks by this
one's name, and whoever asks by another account's name is told of nothing that he may not see.
"""

from __future__ import annotations

import datetime
from typing import Any, Final
from urllib.parse import quote

from mallee.http.dispatch import Answer
from mallee.http.streams import Begun, Streams, _parsed
from mallee.http.swift_auth import Gate, account_of
from mallee.identity.authenticate import Proof
from mallee.identity.call import ANONYMOUS, Principal, is_writing
from mallee.objects import lookup, store
from mallee.objects.records import Bucket
from mallee.objects.swift import operations, paths, records, temp_urls
from mallee.objects.swift.operations import Seen
from mallee.objects.swift.paths import Path
from mallee.objects.swift.temp_urls import Signed
from mallee.registry import Handler
from mallee.store import Tx
from mallee.wire import AwsError, Headers, Request, Route

_OWN: Final = {
    "list_account": ("GET", "", "ListBuckets"),
    "post_account": ("GET", "", "PutPublicAccessBlock"),
    "list_container": ("GET", "bucket", "ListObjects"),
    "post_container": ("PUT", "bucket?tagging", "PutBucketTagging"),
    "look": ("GET", "key", "GetObject"),
    "post_object": ("PUT", "key", "PutObject"),
    "remove": ("DELETE", "key", "DeleteObject"),
    "mark_expiring": ("PUT", "key", "PutObject"),
}
"""By the name of an operation of Swift's own: the request of S3's that is nearest to it, by which name it counts as used."""
HANDLERS: Final = {
    name: Handler("s3", operation, function, is_writing(function), False, operations.ACCESS[name], "s3")
    for name, (_, _, operation) in _OWN.items()
    for function in [getattr(operations, name)]
}
_OF_CLIENT: Final = (b"user-agent", b"referer")


class Visit(Begun):
    """A request as it came (``sent``), and what its head says."""

    __slots__ = ("account_id", "now", "path", "query", "sent", "signed")

    sent: Request
    path: Path
    account_id: str | None  # None: there is no such account
    query: dict[str, str]
    now: datetime.datetime
    signed: Signed | None  # it comes by a temporary URL

    @property
    def is_head(self) -> bool:
        return self.sent.method == "HEAD"

    def header(self, name: bytes) -> str:
        return (self.sent.header(name) or b"").decode("utf-8", "replace").strip()


class SwiftCalls(Streams):
    begun = Visit

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.gate = Gate(self._dispatcher)

    # ------------------------------------------------------------------------------------------------------------ who, what

    def _identify(self, call: Visit) -> None:
        """Whose request it is and what it names. Raises AwsError."""
        sent, path = call.sent, call.path
        call.query = dict(sent.query)

        def find(tx: Tx) -> tuple[Any, datetime.datetime]:
            return account_of(tx, path.account), tx.now

        account, call.now = self._dispatcher.look(call.answer, find)
        call.account_id = None if account is None else account.id
        principal = self._principal(call)
        call.proof = Proof(principal, None)
        answer = call.answer
        answer.principal, answer.account_id, answer.arn = principal, principal.account_id, principal.arn
        if call.account_id is None or (not path.container and principal.account_id != call.account_id):
            raise denied()
        if path.container and not (sent.method == "PUT" and not path.key):
            self._bucket(call, path.container)

    def _principal(self, call: Visit) -> Principal:
        text = call.sent.header(b"x-auth-token") or call.sent.header(b"x-storage-token")
        call.signed = None
        if text is not None:
            found = self.gate.holder(call.answer, text)
            if found is None:
                raise AwsError("Unauthorized", "The token is not good, or not any more.", status=401)
            return found[0]
        call.signed = temp_urls.claimed(call.query)
        return ANONYMOUS if call.signed is None else self._of_url(call, call.signed)

    def _of_url(self, call: Visit, signed: Signed) -> Principal:
        """By whose rights a temporary URL is answered: of whoever set the key that signed it."""
        path, account_id = call.path, call.account_id
        if account_id is None or not path.key:
            raise temp_urls.invalid()

        def find(tx: Tx) -> list[tuple[bytes, str]]:
            vault, known = store.at(tx).vault, records.of_account(tx, account_id)
            found = records.keys(known, vault, account_id)
            bucket = lookup.named(tx, path.container)
            if bucket is not None and bucket.account_id == account_id:
                found += records.keys(records.of_bucket(bucket), vault, bucket.id)
            return found

        keys = self._dispatcher.look(call.answer, find)
        start = f"{paths.START}{path.account}/{path.named}"
        now = call.now
        held = temp_urls.holds(
            signed, [key for key, _ in keys], call.sent.method, start, f"{start}/{path.key}", call.source.address, now
        )
        for (_, access_key_id), good in zip(keys, held, strict=True):
            principal = self._dispatcher.holder(access_key_id) if good else None
            if principal is not None and principal.account_id == account_id:
                return principal
        raise temp_urls.invalid()

    def _bucket(self, call: Visit, container: str, account_id: str | None = None) -> Bucket:
        """The container, if it is the account's that is named. Raises AwsError."""
        owner = account_id or call.account_id
        found = self._dispatcher.look(call.answer, lambda tx: lookup.named(tx, container))
        if found is not None and found.account_id == owner and not found.internal and found.access_point is None:
            return found
        raise (no_such_container() if call.answer.principal.account_id == owner else denied())

    # ---------------------------------------------------------------------------------------------------------------- calls

    def _further(self, call: Visit) -> Begun:
        """One more call by the same caller."""
        made = Begun(call.sent, call.request_id, call.source, Answer(0, [], b"", service="swift"))
        made.proof = call.proof
        made.answer.principal = call.answer.principal
        return made

    def _aim(self, call: Begun, visit: Visit, method: str, path: str, headers: Headers) -> Begun:
        """At an operation of S3's. ``path``: the bucket, or the bucket and a key, encoded."""
        kept = [pair for pair in visit.sent.headers if pair[0] in _OF_CLIENT]
        raw, _, query = path.partition("?")
        call.request = Request(method, raw.encode(), query.encode(), [*kept, *headers])
        call.found = self._dispatcher.router.route(call.request)
        call.handler = None
        call.answer.operation = call.found.operation.name
        return call

    def _own(self, call: Begun, visit: Visit, name: str, given: dict[str, Any]) -> Begun:
        """At one of Swift's own."""
        method, kind, _ = _OWN[name]
        bucket, key = given.get("Bucket", ""), given.get("Key", "")
        raw = "/" if not kind else kind.replace("bucket", place(bucket)) if kind != "key" else place(bucket, key)
        self._aim(call, visit, method, raw, [])
        call.handler = HANDLERS[name]
        call.parsed = given
        return call

    def _known(self, call: Begun, found: Route) -> None:
        """The caller is known by a token, not by the request that was made."""
        call.handler = call.handler or self._dispatcher.handler(found)
        if call.handler is None:
            raise found.unsupported()
        call.answer.wrote = call.handler.writes

    def _go(self, call: Begun) -> Any:
        """In a worker's thread. The output of what the call is aimed at, which may be ``Later``."""
        found = call.found
        assert found is not None
        if call.handler not in _HANDLERS:
            return self._whole(call, b"")
        self._known(call, found)
        handler = call.handler
        assert handler is not None
        return self._dispatcher.perform(
            handler, call.answer, call.request_id, lambda tx, prepared=None: self._asked(call, tx, prepared), call.parsed
        )

    async def _run(self, call: Begun) -> Any:
        return await self.done(call, await self._do(f"swift {call.answer.operation}", self._go, call))

    def _see(
        self, call: Visit, container: str, key: str, headers: Headers, *, head: bool = False, whole: bool = False, account_id: str | None = None
    ) -> Seen:
        """An object, in a worker's thread: its bytes too unless ``head``; a manifest's own if ``whole``. Raises AwsError."""
        self._bucket(call, container, account_id)
        made = self._aim(self._further(call), call, "HEAD" if head else "GET", place(container, key), headers)
        assert made.found is not None
        made.parsed = {**_parsed(made.found, made.request), "Head": head, "Whole": whole}
        made.handler = HANDLERS["look"]
        seen: Seen = self._go(made)
        return seen


_HANDLERS: Final = tuple(HANDLERS.values())


def place(bucket: str, key: str | None = None) -> str:
    path = f"/{quote(bucket, safe='')}"
    return path if key is None else f"{path}/{quote(key, safe='/')}"


def denied() -> AwsError:
    return AwsError("AccessDenied", "Access Denied", status=403)


def no_such_container() -> AwsError:
    return AwsError("NoSuchBucket", "The specified bucket does not exist", status=404)
