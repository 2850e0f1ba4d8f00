"""One API call, from a whole request to a whole answer: route, believe, read, allow, do, write.

``Dispatcher.answer`` is synchronous and runs in a worker thread; it is the only place where an operation is called, and
every call is one transaction. Whatever happens, the client gets an error in its own protocol: an ``AwsError`` as it is,
a database that does not answer as 503, and anything else, which is a fault of Mallee's own, as the service's internal
error, logged with the request's id and counted. The text of an exception never leaves the process.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mallee.http import errors
from mallee.identity.authenticate import Authenticator, Proof, check_body
from mallee.identity.authorize import authorize
from mallee.identity.call import ANONYMOUS, Call, Kept, Outside, Principal
from mallee.identity.signature.refusals import Refused, family, to_error
from mallee.identity.tools import Tools
from mallee.identity.usage import Usage
from mallee.registry import Handler, Registry
from mallee.settings import Settings
from mallee.store import Actor, Database, StoreUnavailable, Tx
from mallee.wire import AwsError, Request, Route, Router, services

log = logging.getLogger("mallee.api")

_T = TypeVar("_T")
Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Answer:
    """What goes back, and what the log and the metrics want to know of it."""

    status: int
    headers: Headers
    body: Any
    service: str = ""
    operation: str = ""
    code: str = ""  # the error's, empty when it went well
    account_id: str = ""
    arn: str = ""
    principal: Principal = ANONYMOUS
    seconds: float = 0.0  # that it took, waiting for a thread not counted
    received: int = 0  # bytes of a body that streamed
    sent: int = 0  # bytes of a body that streamed
    wrote: bool = True  # whether it may have waited for the disk


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request came from. ``secure``: by TLS. ``vpc_id``: from within this VPC, in which ``address`` is; a node vouches
    for both."""

    address: str = ""
    secure: bool = False
    vpc_id: str = ""


NOWHERE = Source()


class Dispatcher:
    def __init__(
        self,
        registry: Registry,
        database: Database,
        authenticator: Authenticator,
        settings: Settings,
        tools: Tools,
        usage: Usage,
    ) -> None:
        self._registry = registry
        self._database = database
        self._authenticator = authenticator
        self._settings = settings
        self._tools = tools
        self._usage = usage
        self.router = Router(services, settings.s3_domains)
        self.faults = 0  # answers that were Mallee's own fault

    def answer(self, request: Request, request_id: str, source: Source = NOWHERE) -> Answer:
        """Never raises."""
        began = time.perf_counter()
        answer = self._answer(request, request_id, source)
        answer.seconds = time.perf_counter() - began
        return answer

    def _answer(self, request: Request, request_id: str, source: Source) -> Answer:
        found: Route | None = None
        answer = Answer(0, [], b"")
        try:
            found = self.router.route(request)
            answer.service, answer.operation = found.service.name, found.operation.name
            output = self._perform(found, request, request_id, source, answer)
            answer.status, answer.headers, answer.body = found.respond(output, request_id)
            return answer
        except AwsError as error:
            problem = error
        except StoreUnavailable as error:
            log.error("database unavailable: %s", error, extra={"request_id": request_id})
            problem = errors.unavailable(answer.service, _protocol(found))
        except Exception:
            self.faults += 1
            log.exception("%s:%s failed", answer.service, answer.operation, extra={"request_id": request_id})
            problem = errors.internal(answer.service, _protocol(found))
        return self.refusal(request, problem, request_id, found, answer)

    def refusal(
        self, request: Request, error: AwsError, request_id: str, found: Route | None = None, answer: Answer | None = None
    ) -> Answer:
        """An error in the protocol that the client reads."""
        answer = answer or Answer(0, [], b"")
        answer.code = error.code
        try:
            if found is not None:
                answer.status, answer.headers, answer.body = found.error(error, request_id)
            else:
                answer.status, answer.headers, answer.body = self.router.fallback_error(request, error, request_id)
        except Exception:
            self.faults += 1
            log.exception("the error %s could not be written", error.code, extra={"request_id": request_id})
            answer.status, answer.headers, answer.body = 500, [(b"content-length", b"0")], b""
            answer.code = "InternalFailure"
        return answer

    def _perform(
        self, found: Route, request: Request, request_id: str, source: Source, answer: Answer
    ) -> dict[str, Any] | None:
        service, protocol = found.service, found.protocol.name
        principal = self._authenticator.principal(
            request, service.name, service.entry.scopes, protocol, found.operation
        )
        answer.account_id, answer.arn, answer.principal = principal.account_id, principal.arn, principal
        handler = self.handler(found)
        if handler is None:
            raise found.unsupported()
        answer.wrote = handler.writes
        parsed = found.parse(request)

        def asked(tx: Tx, prepared: Any = None) -> Call:
            return self.asked(found, handler, parsed, principal, tx, request, request_id, source, prepared)

        return self.perform(handler, answer, request_id, asked, parsed)

    # what S3's streams do step by step

    def handler(self, found: Route) -> Handler | None:
        return self._registry.handler(found.service.name, found.operation.name)

    def proof(self, request: Request, found: Route) -> Proof:
        """Who asks, before the body has come."""
        service = found.service
        return self._authenticator.proof(request, service.name, service.entry.scopes, found.protocol.name)

    @property
    def settings(self) -> Settings:
        return self._settings

    def form_proof(self, fields: Mapping[str, str]) -> Proof:
        """Whose form a browser sent."""
        return self._authenticator.verify_post(fields)

    def holder(self, access_key_id: str, secret: str | None = None) -> Principal | None:
        """Who has an access key (``Authenticator.holder``)."""
        return self._authenticator.holder(access_key_id, secret)

    def now(self) -> datetime.datetime:
        """The time that signatures and their policies are compared with."""
        return self._authenticator.now()

    def check_body(self, proof: Proof, body: bytes) -> None:
        check_body(proof, body)

    def refused(self, refused: Refused) -> AwsError:
        """S3's error for a body that is not what was signed."""
        return to_error(refused, family("s3", "rest-xml"), self._authenticator.now())

    def made(
        self, found: Route, parsed: dict[str, Any], principal: Principal, tx: Tx, request: Request, request_id: str, source: Source,
        prepared: Any = None, proof: Proof | None = None,
    ) -> Call:  # fmt: skip
        return Call(
            found.service.name, found.operation.name, parsed, principal, tx, request_id, self._settings, source.address,
            found.version, found.protocol.name, source.secure, self._tools, request.header, prepared=prepared,
            source_vpc=source.vpc_id, proof=proof, headers=request.headers,
        )  # fmt: skip

    def asked(
        self, found: Route, handler: Handler, parsed: dict[str, Any], principal: Principal, tx: Tx, request: Request, request_id: str,
        source: Source, prepared: Any = None, proof: Proof | None = None,
    ) -> Call:  # fmt: skip
        """The call, which is allowed."""
        call = self.made(found, parsed, principal, tx, request, request_id, source, prepared, proof)
        self._usage.note(principal, handler.prefix, handler.operation, tx.now)
        authorize(call, handler.access)
        return call

    def perform(
        self, handler: Handler, answer: Answer, request_id: str, asked: Callable[..., Call], parsed: dict[str, Any]
    ) -> dict[str, Any] | None:
        principal = answer.principal
        prepared = None if handler.prepare is None else self._prepared(handler.prepare, principal, asked)

        def work(tx: Tx) -> dict[str, Any] | Kept | None:
            try:
                output = handler.function(asked(tx, prepared))
            except Kept as refusal:
                return refusal
            if handler.dry and parsed.get("DryRun"):
                raise errors.dry_run()
            return output

        output = self.transact(handler, answer, request_id, work)
        if isinstance(output, Kept):
            raise output
        return output

    def _prepared(self, prepare: Callable[[Call], Any], principal: Principal, asked: Callable[[Tx], Call]) -> Any:
        found = self._look(principal, lambda tx: prepare(asked(tx)))
        return found.work() if isinstance(found, Outside) else found

    def transact(self, handler: Handler, answer: Answer, request_id: str, work: Callable[[Tx], _T]) -> _T:
        """What ``work`` raises undoes everything that it wrote; what the database refuses for a conflict is done again. The
        account of an anonymous caller is nobody's: its operations look into the account that they find out (``tx.of``)."""
        principal = answer.principal
        if not handler.writes:
            return self._look(principal, work)
        account_id = principal.account_id
        actor = Actor(principal.arn or principal.user_id, account_id or None, request_id)
        return self._database.run(work, account_id, actor)

    def look(self, answer: Answer, work: Callable[[Tx], _T]) -> _T:
        return self._look(answer.principal, work)

    def _look(self, principal: Principal, work: Callable[[Tx], _T]) -> _T:
        def look() -> _T:
            with self._database.reading(principal.account_id) as tx:
                return work(tx)

        return self._database.retry(look)


def _protocol(found: Route | None) -> str:
    return found.protocol.name if found is not None else ""
