"""How clients of Swift sign in: TempAuth's ``/auth/v1.0``, and as much of Keystone's API (``/v2.0/tokens``, ``/v3``) as they need to get a token.

What stands in the place of a password is always the secret of an access key: of the key that is named itself, or of any that the named user has.
Nothing is kept; the token is sealed (``objects.swift.tokens``).
"""

from __future__ import annotations

import datetime
import json
import re
from typing import Any, Final

from mallee.http.dispatch import Answer, Dispatcher, Source
from mallee.identity.call import Principal
from mallee.identity.records import accounts, keys, users
from mallee.identity.records.accounts import Account
from mallee.objects import store
from mallee.objects.swift import tokens
from mallee.objects.swift.tokens import Token
from mallee.store import Tx
from mallee.wire import AwsError, Headers, Request
from mallee.wire.message import header_value

_V1: Final = (b"/auth/v1.0", b"/auth/v1.0/", b"/auth/v1", b"/auth/v1/")
_HOST = re.compile(r"[A-Za-z0-9._\-\[\]:]{1,255}")
_ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}")
_DEPTH: Final = 64
Told = tuple[int, Headers, bytes]


def is_path(request: Request) -> bool:
    """Whether a request without a signature wants to sign in. ``auth``, ``v2.0`` and ``info`` could be buckets; ``v3`` could not."""
    path = request.raw_path
    if path in _V1:
        return request.header(b"x-auth-user") is not None or request.header(b"x-storage-user") is not None
    if path == b"/v3" or path.startswith(b"/v3/"):
        return True
    return path in (b"/v2.0/tokens", b"/v2.0/tokens/") and request.method == "POST" and not request.raw_query


def account_of(tx: Tx, name: str) -> Account | None:
    """By its id or alias, with or without ``AUTH_`` before it; none that was closed."""
    name = name.removeprefix("AUTH_")
    if not name or "\0" in name:
        return None
    found = accounts.account(tx.everyone(), name) or accounts.account_by_alias(tx.everyone(), name)
    return found if found is not None and found.status == accounts.OPEN else None


class Gate:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def answer(self, call: Any, request: Request, source: Source, body: bytes) -> Told:
        """Raises AwsError. ``call.answer`` is told who it was."""
        if request.raw_path in _V1:
            return self._v1(call.answer, request, source)
        path = request.raw_path.decode("latin-1").rstrip("/")
        if path == "/v3" and request.method in ("GET", "HEAD"):
            return _json(200, {"version": _version(_base(request, source))})
        if path == "/v2.0/tokens":
            return self._v2(call.answer, request, source, body)
        if path != "/v3/auth/tokens":
            raise AwsError("NoSuchKey", "Of Keystone's API Mallee has /v3/auth/tokens.", status=404)
        if request.method == "POST":
            return self._v3(call.answer, request, source, body)
        if request.method in ("GET", "HEAD"):
            return self._validated(call.answer, request, source)
        told = "A token cannot be revoked by itself: it ends with its time, and with the access key that it was got by."
        raise AwsError("NotImplemented", told, status=501)

    # ------------------------------------------------------------------------------------------------------------- tokens

    def holder(self, answer: Answer, text: bytes) -> tuple[Principal, Token] | None:
        """Whose token that is; None for one that opens nothing."""
        vault, now = self._dispatcher.look(answer, lambda tx: (store.at(tx).vault, tx.now))
        token = tokens.opened(vault, text.decode("latin-1"), now)
        principal = None if token is None else self._dispatcher.holder(token.access_key_id)
        return None if token is None or principal is None else (principal, token)

    def _issued(self, answer: Answer, principal: Principal, until: Token | None = None) -> tuple[str, Token, datetime.datetime]:
        answer.account_id, answer.arn, answer.principal = principal.account_id, principal.arn, principal
        vault, now = self._dispatcher.look(answer, lambda tx: (store.at(tx).vault, tx.now))
        token = until or tokens.new(principal.access_key_id, now)
        return tokens.sealed(vault, token), token, now

    def _known(self, answer: Answer, account: str | None, user: str, secret: str) -> Principal:
        """Who names himself so and has the secret. Raises AwsError."""
        if "\0" in user or "\0" in (account or ""):
            raise unauthorized()

        def candidates(tx: Tx) -> tuple[str | None, list[str]]:
            found = None if not account else account_of(tx, account)
            named: list[str] = []
            if found is not None and user == "root":
                named = [each.id for each in keys.access_keys_of(tx.everyone(), found.id, None)]
            elif found is not None and (person := users.user_by_name(tx.everyone(), found.id, user)) is not None:
                named = [each.id for each in keys.access_keys_of(tx.everyone(), found.id, person.id)]
            return None if found is None else found.id, named

        account_id, named = self._dispatcher.look(answer, candidates)
        if _ACCESS_KEY.fullmatch(user) or not named:
            named.append(user)
        for each in named:
            principal = self._dispatcher.holder(each, secret)
            if principal is not None and (not account or principal.account_id == account_id):
                return principal
        raise unauthorized()

    # ----------------------------------------------------------------------------------------------------------------- v1

    def _v1(self, answer: Answer, request: Request, source: Source) -> Told:
        if request.method not in ("GET", "HEAD"):
            raise AwsError("MethodNotAllowed", "The method is not allowed for this resource.", status=405)
        user = _text(request.header(b"x-auth-user") or request.header(b"x-storage-user"))
        secret = _text(request.header(b"x-auth-key") or request.header(b"x-storage-pass"))
        account, colon, name = user.partition(":")
        principal = self._known(answer, account if colon else None, name if colon else user, secret)
        text, token, now = self._issued(answer, principal)
        url = _storage(_base(request, source), principal.account_id)
        return 200, [
            (b"x-storage-url", header_value(url)), (b"x-auth-token", text.encode()), (b"x-storage-token", text.encode()),
            (b"x-auth-token-expires", b"%d" % (token.expires_at - int(now.timestamp()))), (b"content-type", b"text/plain; charset=UTF-8"),
        ], b""  # fmt: skip

    # ----------------------------------------------------------------------------------------------------------- Keystone

    def _v2(self, answer: Answer, request: Request, source: Source, body: bytes) -> Told:
        given = _member(_document(body), "auth")
        tenant = given.get("tenantName") or given.get("tenantId") or None
        until = None
        if "token" in given:
            principal, until = self._again(answer, _member(given, "token").get("id"))
        elif "apiAccessKeyCredentials" in given:
            pair = _member(given, "apiAccessKeyCredentials")
            principal = self._named(answer, tenant, pair.get("accessKey"), pair.get("secretKey"))
        else:
            pair = _member(given, "passwordCredentials")
            principal = self._named(answer, tenant, pair.get("username"), pair.get("password"))
        self._check_scope(answer, tenant, principal)
        text, token, now = self._issued(answer, principal, until)
        base = _base(request, source)
        url = _storage(base, principal.account_id)
        endpoint = {"publicURL": url, "internalURL": url, "adminURL": url, "region": self._dispatcher.settings.region, "id": "swift"}
        told = {
            "token": {
                "id": text, "expires": _moment(token.expires), "issued_at": _moment(now),
                "tenant": {"id": principal.account_id, "name": self._account_name(answer, principal), "enabled": True},
            },
            "serviceCatalog": [{"type": "object-store", "name": "swift", "endpoints": [endpoint], "endpoints_links": []}],
            "user": {"id": principal.user_id, "name": _name(principal), "username": _name(principal), "roles": [{"name": "member"}]},
        }  # fmt: skip
        return _json(200, {"access": told})

    def _v3(self, answer: Answer, request: Request, source: Source, body: bytes) -> Told:
        given = _member(_document(body), "auth")
        identity = _member(given, "identity")
        methods = identity.get("methods")
        project = self._project(given)
        until = None
        if methods == ["password"]:
            user = _member(_member(identity, "password"), "user")
            given_domain = user.get("domain")
            domain: dict[str, Any] = given_domain if isinstance(given_domain, dict) else {}
            account = project or next((each for each in (domain.get("name"), domain.get("id")) if each and each not in _DEFAULTS), None)
            principal = self._named(answer, account, user.get("name") or user.get("id"), user.get("password"))
        elif methods == ["application_credential"]:
            pair = _member(identity, "application_credential")
            principal = self._named(answer, project, pair.get("id") or pair.get("name"), pair.get("secret"))
        elif methods == ["token"]:
            principal, until = self._again(answer, _member(identity, "token").get("id"))
        else:
            raise AwsError("InvalidRequest", "Mallee knows the methods password, application_credential and token, one at a time.", status=400)
        self._check_scope(answer, project, principal)
        text, token, now = self._issued(answer, principal, until)
        told = self._described(answer, principal, token, now, methods, _base(request, source))
        status, headers, content = _json(201, told)
        return status, [*headers, (b"x-subject-token", text.encode())], content

    def _validated(self, answer: Answer, request: Request, source: Source) -> Told:
        """Whoever has a token may look at those of its own account."""
        asking = self.holder(answer, request.header(b"x-auth-token") or b"")
        if asking is None:
            raise unauthorized()
        answer.account_id, answer.arn, answer.principal = asking[0].account_id, asking[0].arn, asking[0]
        text = request.header(b"x-subject-token") or b""
        subject = self.holder(answer, text)
        if subject is None or subject[0].account_id != asking[0].account_id:
            raise AwsError("NoSuchKey", "Could not find token.", status=404)
        issued = subject[1].expires - datetime.timedelta(seconds=tokens.SECONDS)
        status, headers, content = _json(200, self._described(answer, *subject, issued, ["password"], _base(request, source)))
        return status, [*headers, (b"x-subject-token", text)], b"" if request.method == "HEAD" else content

    def _named(self, answer: Answer, account: Any, user: Any, secret: Any) -> Principal:
        name = _string(user)
        if not account and ":" in name:
            account, _, name = name.partition(":")
        return self._known(answer, _string(account) if account else None, name, _string(secret))

    def _again(self, answer: Answer, token: Any) -> tuple[Principal, Token]:
        """A token for a token: it ends when that one does."""
        found = self.holder(answer, _string(token).encode("utf-8", "replace"))
        if found is None:
            raise unauthorized()
        return found

    def _project(self, given: dict[str, Any]) -> str | None:
        scope = given.get("scope")
        if scope is None or scope == "unscoped" or not isinstance(scope, dict):
            return None
        if "project" not in scope:
            raise AwsError("InvalidRequest", "A scope is a project, which is an account: its id or alias.", status=400)
        project = _member(scope, "project")
        return _string(project.get("id") or project.get("name"))

    def _check_scope(self, answer: Answer, project: Any, principal: Principal) -> None:
        if not project:
            return
        found = self._dispatcher.look(answer, lambda tx: account_of(tx, _string(project)))
        if found is None or found.id != principal.account_id:
            raise unauthorized()

    def _account_name(self, answer: Answer, principal: Principal) -> str:
        found = self._dispatcher.look(answer, lambda tx: accounts.account(tx.everyone(), principal.account_id))
        return (found.alias if found is not None else None) or principal.account_id

    def _described(
        self, answer: Answer, principal: Principal, token: Token, now: datetime.datetime, methods: list[str], base: str
    ) -> dict[str, Any]:
        region = self._dispatcher.settings.region
        name, domain = self._account_name(answer, principal), {"id": "default", "name": "Default"}

        def service(kind: str, called: str, url: str) -> dict[str, Any]:
            endpoints = [
                {"id": f"{called}-{each}", "interface": each, "region": region, "region_id": region, "url": url}
                for each in ("public", "internal", "admin")
            ]
            return {"type": kind, "name": called, "id": called, "endpoints": endpoints}

        return {
            "token": {
                "methods": methods,
                "user": {"id": principal.user_id, "name": _name(principal), "domain": domain, "password_expires_at": None},
                "project": {"id": principal.account_id, "name": name, "domain": domain},
                "is_domain": False, "roles": [{"id": "member", "name": "member"}], "audit_ids": [],
                "expires_at": _moment(token.expires), "issued_at": _moment(now),
                "catalog": [
                    service("object-store", "swift", _storage(base, principal.account_id)),
                    service("identity", "keystone", f"{base}/v3"),
                ],
            }
        }  # fmt: skip


_DEFAULTS: Final = ("Default", "default")


def failed(request: Request, status: int, reason: str, message: str) -> tuple[Headers, bytes] | None:
    """Keystone's errors are JSON; None where the request is not Keystone's."""
    if not request.raw_path.startswith((b"/v3", b"/v2.0")):
        return None
    _, headers, body = _json(status, {"error": {"code": status, "title": reason, "message": message}})
    return headers, body


def unauthorized() -> AwsError:
    return AwsError("Unauthorized", "The request you have made requires authentication.", status=401)


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AwsError("MalformedJSON", "The body must be a JSON object.", status=400)
    return found


def _member(given: dict[str, Any], name: str) -> dict[str, Any]:
    found = given.get(name)
    if not isinstance(found, dict):
        raise AwsError("InvalidRequest", f"{name} must be there, and an object.", status=400)
    return found


def _string(value: Any) -> str:
    """As it can be asked for: half of a surrogate pair, which JSON can bring, is nobody's name."""
    if not isinstance(value, str) or len(value) > 1024:
        raise unauthorized()
    return value.encode("utf-8", "replace").decode()


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _name(principal: Principal) -> str:
    return principal.user_name or "root"


def _moment(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _base(request: Request, source: Source) -> str:
    host = (request.header(b"host") or b"").decode("latin-1")
    if not _HOST.fullmatch(host):
        raise AwsError("InvalidRequest", "The request has no host that an address could be made with.", status=400)
    return f"{'https' if source.secure else 'http'}://{host}"


def _storage(base: str, account_id: str) -> str:
    return f"{base}/v1/AUTH_{account_id}"


def _version(base: str) -> dict[str, Any]:
    return {
        "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": [{"rel": "self", "href": f"{base}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }  # fmt: skip


def _json(status: int, document: dict[str, Any]) -> Told:
    return status, [(b"content-type", b"application/json"), (b"vary", b"X-Auth-Token")], json.dumps(document).encode()
