"""What a holder's grants remember of earlier answers changes no later one."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import Grants, decide
from tests.rules.policy_making import AWAY, CALLERS, HOME, allow, asking, deny, granting, resources, values_of_keys
from tests.rules.test_policy_evaluation import cases, engines

others = st.tuples(resources, values_of_keys(), st.sampled_from(CALLERS), st.sampled_from(["", HOME, AWAY]), st.booleans())


def fresh(grants: Grants) -> Grants:
    return replace(grants)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(cases(), st.lists(others, min_size=1, max_size=6))
def test_each_answer_is_that_of_fresh_grants(case, questions) -> None:
    question, grants = engines(case)
    for resource, context, caller, owner, by_itself in questions:
        asked = replace(question, resource=resource, context=Context(context), principal=caller, resource_owner=owner)
        if by_itself:
            asked = replace(asked, resource_policy=None, endpoint=None)
        told, wanted = decide(asked, grants), decide(replace(asked, context=Context(context)), fresh(grants))
        assert told == wanted


def test_answers_are_kept_by_the_values_of_their_keys() -> None:
    within = granting(allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), deny("*", "arn:aws:s3:::a"))
    for _ in range(2):
        for ip, allowed in (("10.1.2.3", True), ("192.0.2.1", False)):
            decision = decide(asking("s3:GetObject", "arn:aws:s3:::b", {"aws:SourceIp": ip}), within)
            assert decision.allowed is allowed
            assert not decide(asking("s3:GetObject", "arn:aws:s3:::a", {"aws:SourceIp": ip}), within).allowed
        assert not decide(asking("s3:GetObject", "arn:aws:s3:::b"), within).allowed


def test_several_values_are_not_one() -> None:
    """A key of many values is no policy variable."""
    mine = granting(allow(resource="arn:aws:s3:::${aws:username}"))
    assert decide(asking("s3:GetObject", "arn:aws:s3:::bob", {"aws:username": "bob"}), mine).allowed
    assert not decide(asking("s3:GetObject", "arn:aws:s3:::bob", {"aws:username": ["bob"]}), mine).allowed


def test_what_must_be_loaded_is_asked_only_when_needed() -> None:
    """A tag is looked up when a statement about the resource wants it, not to find out whether an answer is remembered."""
    tagged = granting(
        allow(Condition={"StringEquals": {"aws:SourceIp": "10.0.0.1"}}),
        allow(resource="arn:aws:s3:::a", Condition={"StringEquals": {"aws:ResourceTag/team": "red"}}),
    )
    looked: list[str] = []

    def tags() -> dict[str, str]:
        looked.append("tags")
        return {"team": "red"}

    given = {"aws:SourceIp": "10.0.0.2", "aws:ResourceTag/": tags}
    for _ in range(2):
        assert not decide(asking("s3:GetObject", "arn:aws:s3:::b", dict(given)), tagged).allowed
    assert looked == []
    for _ in range(2):
        assert decide(asking("s3:GetObject", "arn:aws:s3:::a", dict(given)), tagged).allowed
    assert looked == ["tags", "tags"]


def test_what_is_remembered_is_bounded() -> None:
    within = granting(allow(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    for number in range(5000):
        decide(asking("s3:GetObject", "*", {"aws:SourceIp": f"10.0.{number // 256}.{number % 256}"}), within)
    assert len(within.plan("s3:GetObject").answers) <= 1024
