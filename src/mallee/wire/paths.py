"""Which REST operation a method, a path and a query string mean.

Operations that share a path are told apart by the fixed keys of their URIs (``?acl``, ``?list-type=2``), then by the
query and header members that they require (``?uploadId``, ``x-amz-copy-source``). Whichever matches most wins; a
deprecated operation yields to its successor. A request with a sub-resource that the service knows, but not for this
method, matches nothing: ``DELETE /bucket?acl`` must not delete the bucket.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from mallee.wire.errors import AwsError
from mallee.wire.message import Request
from mallee.wire.model import Model, Operation

_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")
_PORT = re.compile(r":\d*$")
_LABELS = re.compile(r"[a-z0-9._-]{1,255}")
_REMEMBERED = 1024
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Candidate:
    name: str
    fixed: tuple[tuple[str, str], ...]
    queries: tuple[str, ...]
    headers: tuple[bytes, ...]
    deprecated: bool


@dataclass(frozen=True, slots=True)
class Template:
    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    literals: int
    greedy: bool
    candidates: list[Candidate]
    known: dict[Any, Candidate | None] = field(default_factory=dict)
    """What was chosen before, by all that the choice depends on."""
    fixed: set[str] = field(default_factory=set)
    queries: set[str] = field(default_factory=set)
    headers: list[bytes] = field(default_factory=list)


class PathTable:
    """The operations of one service by method and path. ``subresources``: fixed keys without a value; ``known``: every
    query key that some operation has."""

    def __init__(self, model: Model) -> None:
        templates: dict[tuple[str, str], Template] = {}
        self.subresources: set[str] = set()
        self.known: set[str] = {"x-id"}
        self._dated = True
        for name in model.operations:
            operation = model.operation(name)
            path, _, query = operation.http["requestUri"].partition("?")
            path = path.rstrip("/") or "/"
            key = (operation.http["method"], path)
            if key not in templates:
                templates[key] = _template(path)
            candidate = _candidate(operation, query)
            templates[key].candidates.append(candidate)
            self.known.update(key for key, _ in candidate.fixed)
            if operation.input is not None:
                members = operation.input.members.values()
                self.known.update(m.wire_name for m in members if m.traits.get("location") == "querystring")
            self.subresources.update(key for key, value in candidate.fixed if not value)
            self._dated = self._dated and _DATE.match(path[1:]) is not None
        self._date = min(path[1:11] for _, path in templates) if self._dated else ""
        for template in templates.values():
            candidates = template.candidates
            template.fixed.update({"x-id"}, (key for each in candidates for key, _ in each.fixed))
            template.queries.update(key for each in candidates for key in each.queries)
            template.headers.extend(sorted({name for each in candidates for name in each.headers}))
        self._by_method: dict[str, list[Template]] = {}
        for (method, _), template in templates.items():
            self._by_method.setdefault(method, []).append(template)
        for found in self._by_method.values():
            found.sort(key=lambda template: (template.greedy, -template.literals))

    def find(self, request: Request, path: str, query: list[tuple[str, str]]) -> tuple[str, dict[str, str], str] | None:
        """The operation's name, the raw labels, and the API version that the path named (or an empty string)."""
        version = ""
        if self._dated and _DATE.match(path[1:]):
            version = path[1:11]
            path = f"/{self._date}{path[11:]}"
        given = dict(query)
        asked = {key for key in given if key in self.subresources}
        for template in self._by_method.get(request.method, ()):
            match = template.pattern.fullmatch(path)
            if match is None:
                continue
            chosen = self._chosen(template, request, given, asked)
            if chosen is not None:
                return chosen.name, dict(zip(template.labels, match.groups(), strict=True)), version
        return None


    def _chosen(self, template: Template, request: Request, given: dict[str, str], asked: set[str]) -> Candidate | None:
        """The choice depends on the fixed keys and their values, on which required keys and headers are there, and on nothing else."""
        key: Any = tuple([request.header(name) is not None for name in template.headers])
        if given:
            fixed, queries = template.fixed, template.queries
            key += tuple([(each, value if each in fixed else "") for each, value in given.items() if each in fixed or each in queries])
            key += tuple(asked)
        try:
            return template.known[key]
        except KeyError:
            if len(template.known) >= _REMEMBERED:
                template.known.clear()
            found = template.known[key] = _choose(template.candidates, request, given, asked)
            return found


def _template(path: str) -> Template:
    labels = _LABEL.findall(path)
    pattern = ""
    at = 0
    for match in _LABEL.finditer(path):
        pattern += re.escape(path[at : match.start()])
        pattern += "(.+)" if match.group(2) else "([^/]+)"
        at = match.end()
    pattern += re.escape(path[at:])
    greedy = any(plus for _, plus in labels)
    if path != "/" and not greedy:
        pattern += "/?"
    names = tuple(name for name, _ in labels)
    return Template(re.compile(pattern, re.DOTALL), names, path.count("/") - len(labels), greedy, [])


def _candidate(operation: Operation, query: str) -> Candidate:
    fixed = []
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key and key != "x-id":
            fixed.append((key, value))
    queries, headers = [], []
    shape = operation.input
    for name in shape.required if shape is not None else ():
        assert shape is not None
        member = shape.members[name]
        location = member.traits.get("location")
        if location == "querystring":
            queries.append(member.wire_name)
        elif location == "header":
            headers.append(member.wire_name.lower().encode())
    return Candidate(operation.name, tuple(fixed), tuple(queries), tuple(headers), operation.deprecated)


def _choose(candidates: list[Candidate], request: Request, given: dict[str, str], asked: set[str]) -> Candidate | None:
    """The best candidate whose fixed keys are all given, and which knows every sub-resource that was asked for."""
    best: Candidate | None = None
    best_rank: tuple[Any, ...] = ()
    hint = given.get("x-id")
    for candidate in candidates:
        if any(given.get(key) != value for key, value in candidate.fixed):
            continue
        known = {key for key, _ in candidate.fixed} | set(candidate.queries)
        if not asked <= known:
            continue
        required = len(candidate.queries) + len(candidate.headers)
        met = sum(key in given for key in candidate.queries) + sum(
            request.header(key) is not None for key in candidate.headers
        )
        rank = (met == required, candidate.name == hint, len(candidate.fixed), met, -required, not candidate.deprecated)
        if best is None or rank > best_rank:
            best, best_rank = candidate, rank
    return best


def virtual_bucket(host: bytes | None, domains: tuple[str, ...]) -> str | None:
    """The bucket that a virtual-host style request names: the labels before the longest of the domains, unless they
    are ``s3``. Raises AwsError for what can be no label, and would be a path."""
    if not host or not domains:
        return None
    name = _PORT.sub("", host.decode("latin-1")).lower().rstrip(".")
    for domain in sorted(domains, key=len, reverse=True):
        if name.endswith("." + domain):
            bucket = name[: -len(domain) - 1]
            if not _LABELS.fullmatch(bucket):
                raise AwsError("InvalidURI", "Couldn't parse the specified URI.", status=400)
            return bucket if bucket != "s3" else None
    return None
