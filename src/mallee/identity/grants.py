"""What speaks for and against a principal: its policies, its groups', its boundary, its session's, and those above its account.

They are read from the tables and remembered for a few seconds per holder, beside the database that they came from. What this
process changes is forgotten at the commit (``forget_after``); what another process changes is seen after ``SECONDS`` at
the latest. Nothing is remembered that was read before the last change was committed, or by a transaction that had
itself changed something.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Final

from mallee.identity import managed
from mallee.identity.call import Principal
from mallee.identity.records import control, policies, roles, users
from mallee.identity.rules.evaluate import Grants, Source
from mallee.identity.rules.policy import Kind, Malformed, Policy, compile_policy
from mallee.store import Tx

log = logging.getLogger("mallee.identity")

SECONDS: Final = 5.0
SIZE: Final = 4_000

Sources = tuple[Source, ...]

NOTHING = Grants()
_ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
_DENY_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'


@dataclass(slots=True)
class Entry:
    """``sessions``: the same cut down by policies that the holder's sessions bring, by their access keys."""

    until: float
    grants: Grants
    sessions: dict[str, Grants] = field(default_factory=dict)


class Memory:
    """The grants that this process remembers of one database, by holder; of an account's root by the account."""

    def __init__(self, seconds: float = SECONDS, size: int = SIZE) -> None:
        self.known: dict[str, Entry] = {}
        self.seconds = seconds
        self._size = size
        self._changed = 0.0
        self._lock = threading.Lock()

    @property
    def changed(self) -> float:
        """When something of what it remembers was last changed by this process, by the monotonic clock."""
        return self._changed

    def keep(self, tx: Tx, key: str, entry: Entry) -> None:
        with self._lock:
            if tx.changed or tx.began <= self._changed:
                return
            if len(self.known) >= self._size:
                now = time.monotonic()
                self.known = {each: found for each, found in self.known.items() if found.until > now}
            if len(self.known) >= self._size:
                self.known.clear()
            self.known[key] = entry

    def forget(self, holder_id: str | None) -> None:
        with self._lock:
            self._changed = time.monotonic()
            if holder_id is not None and holder_id.startswith(("AIDA", "AROA")):
                self.known.pop(holder_id, None)
            else:  # a group or a managed policy: whoever has it, and that is not known here
                self.known.clear()


def memory(tx: Tx) -> Memory:
    found: Memory | None = tx.memory.get(Memory)
    return found or tx.memory.setdefault(Memory, Memory())


def forget_after(tx: Tx, holder_id: str | None = None) -> None:
    """Once ``tx`` has committed, what this process remembers of the holder (of all, if None) is read anew. To be called by
    whatever changes policies, attachments, memberships or boundaries, or removes a holder."""
    remembered = memory(tx)
    tx.after_commit(lambda: remembered.forget(holder_id))


def of(tx: Tx, principal: Principal) -> Grants:
    """Everything that counts for the principal. ``tx`` may be bound to any account."""
    remembered = memory(tx)
    key = principal.holder_id or principal.account_id
    entry = remembered.known.get(key)
    if entry is None or entry.until <= time.monotonic():
        entry = Entry(time.monotonic() + remembered.seconds, _of_holder(tx.everyone(), principal))
        remembered.keep(tx, key, entry)
    session = principal.session
    if session is None or not (session.kind == "federated-user" or session.policies or session.policy_arns):
        return entry.grants
    grants = entry.sessions.get(principal.access_key_id)
    if grants is None:
        grants = entry.sessions[principal.access_key_id] = _narrowed(tx.everyone(), principal, entry.grants)
    return grants


def of_group(tx: Tx, group: users.Group, partition: str) -> Grants:
    """A group's own, as its users have it. A group calls nothing, but what it would be allowed can be asked."""
    return Grants(_held(tx, "group", group.id, group.name, group.account_id, partition), None, None, _scps(tx, group.account_id))


def _of_holder(tx: Tx, principal: Principal) -> Grants:
    """Without what a session brings."""
    holder_id = principal.holder_id
    partition = principal.arn.split(":", 2)[1] if principal.arn else ""
    if holder_id.startswith("AIDA"):
        user = users.user(tx, holder_id)
        if user is None:
            return NOTHING
        held = _held(tx, "user", user.id, user.name, user.account_id, partition)
        for group in users.groups_of(tx, user.id):
            held += _held(tx, "group", group.id, group.name, user.account_id, partition)
        boundary = _boundary(tx, user.boundary_arn, user.account_id, partition)
        return Grants(held, boundary, None, _scps(tx, user.account_id))
    if holder_id.startswith("AROA"):
        role = roles.role(tx, holder_id)
        if role is None:
            return NOTHING
        held = _held(tx, "role", role.id, role.name, role.account_id, partition)
        boundary = _boundary(tx, role.boundary_arn, role.account_id, partition)
        above = () if role.linked_service else _scps(tx, role.account_id)
        return Grants(held, boundary, None, above)
    if principal.account_id:  # a root, or what its root federated
        everything = Source(compile_policy(_ALLOW_ALL, Kind.IDENTITY), "root", "none")
        return Grants((everything,), None, None, _scps(tx, principal.account_id))
    return NOTHING


def _narrowed(tx: Tx, principal: Principal, grants: Grants) -> Grants:
    """A session's own policies; a federated user that brings none is allowed nothing by its issuer's."""
    session = principal.session
    assert session is not None
    inline = tuple(
        Source(compiled(text, Kind.SESSION, "session"), f"SessionPolicy.{number}", "none")
        for number, text in enumerate(session.policies, 1)
    )
    partition = principal.arn.split(":", 2)[1]
    return replace(grants, session=inline + managed_sources(tx, session.policy_arns, session.account_id, partition))


def _held(tx: Tx, kind: str, holder_id: str, name: str, account_id: str, partition: str) -> Sources:
    """A holder's own inline and attached policies."""
    inline = tuple(
        Source(compiled(each.document, Kind.IDENTITY, f"{name}/{each.name}"), f"{kind}_{name}_{each.name}", kind)
        for each in policies.inline_of(tx, holder_id)
    )
    arns = tuple(each.policy_arn for each in policies.attached_to(tx, holder_id))
    return inline + managed_sources(tx, arns, account_id, partition)


def managed_sources(tx: Tx, arns: tuple[str, ...], account_id: str, partition: str, kind: Kind = Kind.IDENTITY) -> Sources:
    """The default versions of managed policies, the account's own and AWS's, in that order; what does not exist is left out."""
    own = policies.documents_in_force(tx, account_id, [arn for arn in arns if not _is_aws(arn)], partition)
    found = []
    for arn in arns:
        aws = _is_aws(arn)
        text = managed.document(arn) if aws else own.get(arn)
        if text is not None:
            name = arn.rpartition("/")[2]
            found.append(Source(compiled(text, kind, arn), name, "aws-managed" if aws else "user-managed"))
    return tuple(found)


def _is_aws(arn: str) -> bool:
    return arn.split(":", 5)[4:5] == [managed.OWNER]  # a path may hold anything, colons too


def _boundary(tx: Tx, arn: str | None, account_id: str, partition: str) -> Sources | None:
    """A boundary that is not there any more allows nothing."""
    return None if arn is None else managed_sources(tx, (arn,), account_id, partition, Kind.BOUNDARY)


def _scps(tx: Tx, account_id: str) -> tuple[Sources, ...]:
    return tuple(
        tuple(Source(compiled(each.document, Kind.SCP, each.name), each.name, "none") for each in level)
        for level in control.scps_for(tx, account_id)
    )


def compiled(text: str, kind: Kind, name: str) -> Policy:
    """A stored policy was valid when it was stored. One that an older release took and this one does not can't be left out,
    for it may deny: then nothing is allowed until it is mended."""
    try:
        return compile_policy(text, kind)
    except Malformed as problem:
        log.error("the stored policy %s is not valid, and whoever has it may do nothing: %s", name, problem.message)
        return compile_policy(_DENY_ALL, kind)
