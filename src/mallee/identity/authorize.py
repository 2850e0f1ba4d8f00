"""May the caller do this? The one function that every call passes after its signature and before its handler.

An operation's ``Access`` says what policies are asked; here they are asked, one question after another, and the first that is
denied ends the call with the service's error. What is certain without looking at anything (a root's own account without
service control policies, statements that have neither conditions nor resources) is answered so, and a resource is loaded
only for a statement that wants to know something about it.

Accounts are kept apart below, by the store: no principal sees another account's rows, whatever is allowed here. What a
caller's account does not have is asked about like everything else, with an ARN and no tags or keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mallee.identity import context, denials, grants
from mallee.identity.access import TAGGING, Access, Check, Values, check_on, identifiers, prefix
from mallee.identity.call import Call
from mallee.identity.rules.evaluate import Decision, Grants, Question, decide, settled
from mallee.identity.rules.policy import Kind, Policy
from mallee.wire.errors import AwsError

Keys = dict[str, Values | Callable[[], Values]]

_NO_POLICIES = frozenset({"root", "anonymous"})
_REMEMBERED = 1024


def authorize(call: Call, access: Access) -> None:
    """Returns when the call is allowed; raises the service's own error when it is not."""
    if access.open:
        return
    principal = call.principal
    held = grants.of(call.tx, principal)
    if access.actions is not None:
        _of_anybody(call, held, access, access.actions)
        return
    if principal.kind == "root" and not access.shared and not held.scps:
        return
    own = access.action or f"{prefix(call.service)}:{call.operation}"
    if access.shared or not _is_certain(call, held, own) or not _are_certain(call, held, access.also):
        _ask(call, held, access, own)
    if _brings_tags(call):
        for asked in _tagging(call, access):
            _check(call, held, asked)


def check(call: Call, asked: Check) -> None:
    """For handlers too, of what only they can find out: raises the service's error unless it is allowed."""
    _check(call, grants.of(call.tx, call.principal), asked)


def certain(call: Call, action: str) -> bool:
    """Whether the caller may do that to whatever its account has that has no policy of its own, however it is."""
    held = grants.of(call.tx, call.principal)
    return (call.principal.kind == "root" and not held.scps) or _is_certain(call, held, action)


def allowed(call: Call, asked: Check) -> Decision:
    """The same for handlers that do something else when it is denied."""
    return decide(_question(call, asked), grants.of(call.tx, call.principal))


def denied(call: Call, asked: Check, question: Question, decision: Decision) -> AwsError:
    encoded = ""
    if call.service == "ec2" and not call.operation.startswith("Describe") and call.principal.account_id:
        encoded = denials.encode(call.vault, call.principal, question, decision)
    shown = asked.shown or asked.resource
    foreign = bool(asked.owner) and asked.owner != call.principal.account_id
    return denials.error(call.service, call.protocol, call.principal, asked.action, shown, decision, encoded, foreign=foreign)


# -------------------------------------------------------------------------------------------------------------- questions


def _of_anybody(call: Call, held: Grants, access: Access, actions: Callable[[Call], tuple[str, ...]]) -> None:
    """Of resources that any account may have, and that may have policies of their own."""
    assert access.plain is not None and access.find is not None
    if access.plain(call):
        if call.principal.kind == "root" and not held.scps:
            return
        for action in actions(call):
            if not _is_certain(call, held, action):
                break
        else:
            return
    for asked in access.find(call):
        _check(call, held, asked)


def _ask(call: Call, held: Grants, access: Access, own: str) -> None:
    was_asked = False
    if access.on or access.find is not None:
        for asked in _checks(call, access, own):
            if asked.action == own:
                was_asked = True
            elif access.also is not None and asked.action not in access.also:
                raise LookupError(f"{own} is asked about {asked.action}, which its declaration does not say")
            _check(call, held, asked)
    if not was_asked:
        _check(call, held, Check(own, "*", _keys(call, access)))


def _check(call: Call, held: Grants, asked: Check) -> None:
    if asked.policy is None and not asked.owner and _is_certain(call, held, asked.action):
        return
    question = _question(call, asked)
    decision = decide(question, held)
    if not decision.allowed:
        raise denied(call, asked, question, decision)


def _is_certain(call: Call, held: Grants, action: str) -> bool:
    """Whether this call may do that to whatever its account has, however it is. Most calls end here: what a plan of the grants
    depends on is read from the call, and has been seen before."""
    plan = held.plan(action)
    if plan.asked is None or not plan.everywhere or call.principal.kind in _NO_POLICIES:
        return False
    if plan.by_call is None:
        plan.by_call = tuple(context.reader(key) for key in plan.asked), {}
    readers, known = plan.by_call
    values = tuple([read(call) for read in readers])
    found: bool | None = known.get(values)
    if found is None:
        decision = settled(action, call.principal, held, context.of(call))
        if len(known) >= _REMEMBERED:
            known.clear()
        found = known[values] = decision is not None and decision.allowed
    return found


def _are_certain(call: Call, held: Grants, actions: tuple[str, ...] | None) -> bool:
    return actions is not None and all(_is_certain(call, held, action) for action in actions)


def _question(call: Call, asked: Check) -> Question:
    policy = asked.policy
    if isinstance(policy, str):
        policy = grants.compiled(policy, Kind.RESOURCE, asked.resource)
    assert policy is None or isinstance(policy, Policy)
    return Question(
        asked.action, asked.resource, context.QuestionContext(call, asked), call.principal, policy, asked.owner,
        canonical_id=asked.canonical_id, granted=asked.granted, speaks=asked.speaks,
    )  # fmt: skip


def _checks(call: Call, access: Access, action: str) -> Iterator[Check]:
    for on in access.on:
        for identifier in identifiers(call, on):
            yield check_on(call, action, on.type, identifier, _keys(call, access))
    if access.find is not None:
        yield from access.find(call)


def _keys(call: Call, access: Access) -> Keys:
    def reader(read: Callable[[Call], Values]) -> Callable[[], Values]:
        return lambda: read(call)

    return {name: reader(read) for name, read in access.keys.items()}


# ----------------------------------------------------------------------------------------------------- tags of what is made


def _brings_tags(call: Call) -> bool:
    given = call.input
    return bool(given.get("TagSpecifications") if call.service == "ec2" else given.get("Tags"))


def _tagging(call: Call, access: Access) -> Iterator[Check]:
    """Tags for what a request makes need the permission to tag, too."""
    if call.service == "ec2":
        types = [each.get("ResourceType") for each in call.input["TagSpecifications"] if each.get("Tags")]
        for type in dict.fromkeys(each for each in types if each):
            arn = call.arn(f"{type}/*")
            yield Check("ec2:CreateTags", arn, {"ec2:CreateAction": call.operation, "ec2:Region": call.region})
        return
    actions = TAGGING.get(call.service, {})
    for on in access.on:
        if on.member is None and on.type.name in actions:
            yield check_on(call, actions[on.type.name], on.type, "*")
