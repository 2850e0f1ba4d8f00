"""The order of evaluation, against the oracle and by AWS's own examples."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mallee.identity.rules import evaluate
from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import Grants, Question, decide, explain
from mallee.identity.rules.policy import Kind
from tests.rules import policy_oracle as oracle
from tests.rules.policy_making import (
    ANONYMOUS,
    AWAY,
    CALLERS,
    FEDERATED,
    FEDERATED_ARN,
    HOME,
    ROLE_ARN,
    ROOT,
    SERVICE,
    SESSION,
    SESSION_ARN,
    USER,
    USER_ARN,
    actions,
    allow,
    asking,
    compiled,
    deny,
    document,
    granting,
    plain,
    policies,
    resources,
    source,
    values_of_keys,
)

BUCKET = "arn:aws:s3:::a"


@st.composite
def cases(draw):
    trust = draw(st.sampled_from([False, False, True]))
    with_resource = draw(st.booleans()) or trust
    resource_policy = draw(policies(principal=True, resource=not trust, trust=trust)) if with_resource else None
    some = st.lists(policies(), max_size=2)
    return {
        "request": {
            "action": "sts:AssumeRole" if trust else draw(actions),
            "resource": draw(resources),
            "context": draw(values_of_keys()),
            "caller": draw(st.sampled_from(CALLERS)),
            "owner": draw(st.sampled_from(["", HOME, AWAY])),
        },
        "identity": draw(some),
        "boundary": draw(st.one_of(st.none(), some)),
        "session": draw(st.one_of(st.none(), some)),
        "scps": draw(st.lists(some, max_size=2)),
        "resource_policy": resource_policy,
        "trust": trust,
        "endpoint": draw(st.one_of(st.none(), st.none(), policies(principal=True))),
    }


def engines(case):
    """The question and the grants of a case."""
    request = case["request"]
    kind = Kind.TRUST if case["trust"] else Kind.RESOURCE

    def sources(found):
        return None if found is None else tuple(source(each) for each in found)

    grants = Grants(
        sources(case["identity"]), sources(case["boundary"]), sources(case["session"]), tuple(map(sources, case["scps"]))
    )
    question = Question(
        request["action"],
        request["resource"],
        Context(request["context"]),
        request["caller"],
        resource_policy=compiled(case["resource_policy"], kind) if case["resource_policy"] else None,
        resource_owner=request["owner"],
        endpoint=compiled(case["endpoint"], Kind.ENDPOINT) if case["endpoint"] else None,
    )
    return question, grants


def told_by_the_oracle(case):
    request = case["request"] | {"who": plain(case["request"]["caller"])}
    return oracle.decide(request, **{name: value for name, value in case.items() if name != "request"})


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(cases())
def test_every_decision_is_the_oracles(case):
    question, grants = engines(case)
    allowed, explicit, layers = told_by_the_oracle(case)
    decision = decide(question, grants)
    assert (decision.allowed, decision.explicit) == (allowed, explicit)
    assert decision.layer in layers if layers else decision.layer == ""
    assert decide(question, grants) == decision, "an answer that is remembered is the same"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(cases())
def test_explaining_changes_no_answer(case):
    question, grants = engines(case)
    short, long = decide(question, grants), explain(question, grants)
    assert (short.allowed, short.explicit, short.layer) == (long.allowed, long.explicit, long.layer)
    assert set(short.matched) <= set(long.matched)
    assert long.explicit == ("explicitDeny" in long.layers.values())
    if long.explicit:
        assert all(match.statement.denies for match in long.matched)
    if not long.allowed and not long.explicit:
        assert long.layers.get(long.layer, "implicitDeny") == "implicitDeny"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(cases(), st.lists(st.tuples(resources, values_of_keys()), min_size=1, max_size=3))
def test_what_is_settled_holds_for_every_resource_and_context(case, questions):
    _, grants = engines(case)
    request = case["request"]
    told = evaluate.settled(request["action"], request["caller"], grants)
    for resource, context in questions if told else ():
        decision = decide(asking(request["action"], resource, context, request["caller"]), grants)
        assert (decision.allowed, decision.explicit, decision.layer) == (told.allowed, told.explicit, told.layer)


def test_what_depends_on_nothing_is_settled():
    assert evaluate.settled("s3:GetObject", USER, granting(allow())).allowed
    assert not evaluate.settled("s3:GetObject", USER, Grants()).allowed
    assert evaluate.settled("s3:GetObject", USER, granting(allow(), deny("ec2:*", BUCKET))).allowed
    assert evaluate.settled("s3:GetObject", USER, granting(allow(), deny("s3:*", BUCKET))) is None
    assert evaluate.settled("s3:GetObject", USER, granting(allow(Condition={"Null": {"aws:x": "true"}}))) is None
    assert evaluate.settled("s3:GetObject", ROOT, granting(allow())) is None
    assert evaluate.settled("s3:GetObject", ANONYMOUS, granting(allow())) is None


# -- one account -------------------------------------------------------------------------------------------------------


def test_nothing_is_allowed_by_default():
    decision = decide(asking("s3:GetObject"), Grants())
    assert not decision.allowed and not decision.explicit
    assert decision.sentence("s3:GetObject") == "because no identity-based policy allows the s3:GetObject action"


def test_a_deny_beats_every_allow():
    decision = decide(asking("s3:GetObject"), granting(allow(), deny("s3:*")))
    assert decision.explicit and decision.sentence("s3:GetObject") == "with an explicit deny in an identity-based policy"
    assert decide(asking("ec2:RunInstances"), granting(allow(), deny("s3:*"))).allowed


def test_a_root_needs_no_policy_but_obeys_service_control_policies():
    assert decide(asking("s3:GetObject", principal=ROOT), Grants()).allowed
    forbidding = Grants(scps=((source(document(allow(), deny("s3:*")), Kind.SCP),),))
    assert decide(asking("s3:GetObject", principal=ROOT), forbidding).layer == evaluate.SCP
    silent = Grants(scps=((source(document(allow("ec2:*")), Kind.SCP),),))
    decision = decide(asking("s3:GetObject", principal=ROOT), silent)
    assert decision.sentence("s3:GetObject") == "because no service control policy allows the s3:GetObject action"


def test_every_level_of_service_control_policies_must_allow():
    everything = source(document(allow()), Kind.SCP)
    ec2 = source(document(allow("ec2:*")), Kind.SCP)
    identity = (source(document(allow())),)
    assert decide(asking("s3:GetObject"), Grants(identity, scps=((everything,), (ec2, everything)))).allowed
    assert not decide(asking("s3:GetObject"), Grants(identity, scps=((everything,), (ec2,)))).allowed
    assert not decide(asking("s3:GetObject"), Grants(identity, scps=((everything,), ()))).allowed


def test_a_boundary_grants_nothing_and_limits_all():
    identity, boundary = (source(document(allow("s3:*"))),), (source(document(allow("ec2:*"))),)
    assert decide(asking("ec2:RunInstances"), Grants(identity, boundary)).layer == evaluate.IDENTITY
    refused = decide(asking("s3:GetObject"), Grants(identity, boundary))
    assert refused.sentence("s3:GetObject") == "because no permissions boundary allows the s3:GetObject action"
    assert decide(asking("s3:GetObject"), Grants(identity, ())).layer == evaluate.BOUNDARY, "a boundary that says nothing"
    assert decide(asking("s3:GetObject"), Grants(identity)).allowed


def test_a_session_has_what_its_holder_and_its_own_policies_both_allow():
    identity, session = (source(document(allow("s3:*"))),), (source(document(allow(["ec2:*", "s3:Get*"]))),)
    grants = Grants(identity, session=session)
    assert decide(asking("s3:GetObject", principal=SESSION), grants).allowed
    refused = decide(asking("s3:PutObject", principal=SESSION), grants)
    assert refused.sentence("s3:PutObject") == "because no session policy allows the s3:PutObject action"
    assert not decide(asking("ec2:RunInstances", principal=SESSION), grants).allowed
    assert not decide(asking("s3:GetObject", principal=FEDERATED), Grants(identity, session=())).allowed


@pytest.mark.parametrize(
    ("caller", "named", "boundary", "session", "allowed"),
    [
        (USER, USER_ARN, True, False, True),  # named itself: not limited by the boundary
        (USER, HOME, False, False, False),  # named by the account: the account's policies must allow
        (SESSION, ROLE_ARN, False, False, True),  # named by its role: needs no identity-based policy
        (SESSION, ROLE_ARN, True, False, False),  # but stays within the boundary
        (SESSION, ROLE_ARN, False, True, False),  # and the session's policies
        (SESSION, SESSION_ARN, True, True, True),
        (FEDERATED, FEDERATED_ARN, True, True, True),
        (FEDERATED, USER_ARN, False, True, False),
        (SESSION, "*", True, True, True),
        (SESSION, USER_ARN, False, False, False),
        (ROOT, HOME, False, False, True),
    ],
)
def test_how_a_resources_policy_names_the_caller_decides_what_else_must_allow(caller, named, boundary, session, allowed):
    """The table "Resource-based policies and implicit denies in other policy types" of the IAM User Guide."""
    bucket = compiled(document(allow("s3:*", BUCKET, Principal={"AWS": named})), Kind.RESOURCE)
    silent = (source(document(allow("ec2:*"))),)
    grants = Grants((), silent if boundary else None, silent if session else None)
    assert decide(asking("s3:ListBucket", BUCKET, principal=caller, resource_policy=bucket), grants).allowed is allowed


def test_an_account_that_is_named_gives_what_its_own_policies_allow():
    bucket = compiled(document(allow("s3:*", BUCKET, Principal={"AWS": HOME})), Kind.RESOURCE)
    assert decide(asking("s3:ListBucket", BUCKET, resource_policy=bucket), granting(allow("s3:*"))).allowed


def test_a_deny_in_a_boundary_session_or_bucket_denies_though_named_itself():
    bucket = compiled(document(allow("s3:*", BUCKET, Principal="*")), Kind.RESOURCE)
    no = (source(document(deny("s3:*"))),)
    for grants, layer in (
        (Grants(boundary=no), evaluate.BOUNDARY),
        (Grants(session=no), evaluate.SESSION),
        (Grants(identity=no), evaluate.IDENTITY),
    ):
        decision = decide(asking("s3:ListBucket", BUCKET, principal=SESSION, resource_policy=bucket), grants)
        assert decision.explicit and decision.layer == layer
    refusing = compiled(document(deny("s3:*", BUCKET, Principal="*")), Kind.RESOURCE)
    decision = decide(asking("s3:ListBucket", BUCKET, principal=ROOT, resource_policy=refusing), Grants())
    assert decision.sentence("s3:ListBucket") == "with an explicit deny in a resource-based policy"


# -- between accounts --------------------------------------------------------------------------------------------------


def test_another_accounts_resource_needs_both_sides():
    bucket = compiled(document(allow("s3:*", BUCKET, Principal={"AWS": USER_ARN})), Kind.RESOURCE)
    foreign = {"resource_policy": bucket, "resource_owner": AWAY}
    assert decide(asking("s3:ListBucket", BUCKET, **foreign), granting(allow("s3:*"))).allowed
    assert decide(asking("s3:ListBucket", BUCKET, **foreign), Grants()).layer == evaluate.IDENTITY
    decision = decide(asking("s3:ListBucket", BUCKET, resource_owner=AWAY), granting(allow("s3:*")))
    assert decision.sentence("s3:ListBucket") == "because no resource-based policy allows the s3:ListBucket action"
    assert not decide(asking("s3:ListBucket", BUCKET, principal=ROOT, resource_owner=AWAY), Grants()).allowed
    boundary = Grants((source(document(allow())),), (source(document(allow("ec2:*"))),))
    assert decide(asking("s3:ListBucket", BUCKET, **foreign), boundary).layer == evaluate.BOUNDARY


def test_a_role_is_assumed_only_by_whom_it_trusts():
    def asked(trust, grants, caller=USER, owner=HOME):
        policy = compiled({"Version": "2012-10-17", "Statement": trust}, Kind.TRUST)
        question = asking("sts:AssumeRole", ROLE_ARN, principal=caller, resource_policy=policy, resource_owner=owner)
        return decide(question, grants)

    def trusting(name):
        return {"Effect": "Allow", "Principal": name, "Action": "sts:AssumeRole"}

    permitted = granting(allow("sts:AssumeRole"))
    assert asked(trusting({"AWS": USER_ARN}), Grants()).allowed, "named itself, in its own account"
    assert not asked(trusting({"AWS": HOME}), Grants()).allowed
    assert asked(trusting({"AWS": HOME}), permitted).allowed
    decision = asked(trusting({"AWS": AWAY}), permitted)
    assert decision.sentence("sts:AssumeRole") == "because no role trust policy allows the sts:AssumeRole action"
    assert not asked(trusting({"AWS": USER_ARN}), Grants(), owner=AWAY).allowed, "from another account, both must allow"
    assert asked(trusting({"AWS": USER_ARN}), permitted, owner=AWAY).allowed
    assert asked(trusting({"Service": "ec2.amazonaws.com"}), Grants(), SERVICE).allowed
    assert not asked(trusting({"Service": "lambda.amazonaws.com"}), Grants(), SERVICE).allowed
    refused = asked([trusting("*"), trusting({"AWS": USER_ARN}) | {"Effect": "Deny"}], permitted)
    assert refused.sentence("sts:AssumeRole") == "with an explicit deny in the role trust policy"


def test_the_confused_deputy_is_stopped_by_the_external_id():
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": AWAY},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "Unique ID Assigned by Example Corp"}},
    }
    policy = compiled({"Version": "2012-10-17", "Statement": trust}, Kind.TRUST)
    deputy = type(USER)(AWAY, f"arn:aws:iam::{AWAY}:user/corp", "AIDACORPCORPCORPCORP", "user")

    def asked(context):
        question = asking("sts:AssumeRole", ROLE_ARN, context, deputy, resource_policy=policy, resource_owner=HOME)
        return decide(question, granting(allow("sts:AssumeRole"))).allowed

    assert asked({"sts:ExternalId": "Unique ID Assigned by Example Corp"})
    assert not asked({"sts:ExternalId": "another"}) and not asked({})


def test_anonymous_callers_get_what_is_given_to_everybody():
    public = compiled(document(allow("s3:GetObject", "arn:aws:s3:::a/*", Principal="*")), Kind.RESOURCE)
    assert decide(asking("s3:GetObject", "arn:aws:s3:::a/x", principal=ANONYMOUS, resource_policy=public), Grants()).allowed
    assert not decide(asking("s3:PutObject", "arn:aws:s3:::a/x", principal=ANONYMOUS, resource_policy=public), Grants()).allowed
    assert not decide(asking("s3:GetObject", "arn:aws:s3:::a/x", principal=ANONYMOUS), granting(allow())).allowed


def test_an_endpoints_policy_limits_all_who_come_by_it():
    endpoint = compiled(document(allow("s3:GetObject", Principal="*")), Kind.ENDPOINT)
    grants = granting(allow())
    assert decide(asking("s3:GetObject", BUCKET, endpoint=endpoint), grants).allowed
    decision = decide(asking("s3:PutObject", BUCKET, endpoint=endpoint), grants)
    assert decision.sentence("s3:PutObject") == "because no VPC endpoint policy allows the s3:PutObject action"
    assert not decide(asking("s3:PutObject", BUCKET, principal=ROOT, endpoint=endpoint), Grants()).allowed
    refusing = compiled(document(allow(Principal="*"), deny("s3:Put*", Principal="*")), Kind.ENDPOINT)
    decision = decide(asking("s3:PutObject", BUCKET, endpoint=refusing), grants)
    assert decision.sentence("s3:PutObject") == "with an explicit deny in a VPC endpoint policy"


# -- examples of the documentation -------------------------------------------------------------------------------------


def test_run_instances_is_checked_on_each_resource():
    """The pages on IfExists: a key that only instances have must not deny the image."""
    condition = {"ec2:InstanceType": ["t1.*", "t2.*", "m3.*"]}
    instance, image = "arn:aws:ec2:us-east-1:111122223333:instance/*", "arn:aws:ec2:us-east-1::image/ami-1"
    strict = granting(allow("ec2:RunInstances", Condition={"StringLike": condition}))
    lenient = granting(allow("ec2:RunInstances", Condition={"StringLikeIfExists": condition}))
    small, large = {"ec2:InstanceType": "t2.micro"}, {"ec2:InstanceType": "m5.large"}
    assert decide(asking("ec2:RunInstances", instance, small), strict).allowed
    assert not decide(asking("ec2:RunInstances", image), strict).allowed
    assert decide(asking("ec2:RunInstances", instance, small), lenient).allowed
    assert decide(asking("ec2:RunInstances", image), lenient).allowed
    assert not decide(asking("ec2:RunInstances", instance, large), lenient).allowed


def test_not_action_leaves_out_only_what_it_lists():
    """ "Deny everything but IAM self-service without MFA", as the IAM User Guide has it."""
    grants = granting(
        allow(),
        {
            "Effect": "Deny",
            "NotAction": ["iam:CreateVirtualMFADevice", "iam:EnableMFADevice", "sts:GetSessionToken"],
            "Resource": "*",
            "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}},
        },
    )
    assert decide(asking("iam:EnableMFADevice"), grants).allowed
    assert not decide(asking("s3:GetObject"), grants).allowed
    assert not decide(asking("s3:GetObject", context={"aws:MultiFactorAuthPresent": False}), grants).allowed
    assert decide(asking("s3:GetObject", context={"aws:MultiFactorAuthPresent": True}), grants).allowed


def test_a_home_directory_by_variable():
    grants = granting(
        allow(
            "s3:ListBucket", "arn:aws:s3:::b", Condition={"StringLike": {"s3:prefix": ["", "home/", "home/${aws:username}/*"]}}
        ),
        allow("s3:*", ["arn:aws:s3:::b/home/${aws:username}", "arn:aws:s3:::b/home/${aws:username}/*"]),
    )
    bob = {"aws:username": "bob"}
    assert decide(asking("s3:GetObject", "arn:aws:s3:::b/home/bob/x", bob), grants).allowed
    assert not decide(asking("s3:GetObject", "arn:aws:s3:::b/home/ann/x", bob), grants).allowed
    assert not decide(asking("s3:GetObject", "arn:aws:s3:::b/home//x", {}), grants).allowed
    assert decide(asking("s3:ListBucket", "arn:aws:s3:::b", bob | {"s3:prefix": "home/bob/x"}), grants).allowed
    assert not decide(asking("s3:ListBucket", "arn:aws:s3:::b", bob | {"s3:prefix": "home/ann/"}), grants).allowed


# -- what simulation shows ---------------------------------------------------------------------------------------------


def test_an_explanation_shows_statements_by_place_and_missing_keys():
    text = """{
  "Version": "2012-10-17",
  "Statement": [
    {"Sid": "Read", "Effect": "Allow", "Action": "s3:Get*", "Resource": "*"},
    {
      "Sid": "Near",
      "Effect": "Allow",
      "Action": "s3:*",
      "Resource": "*",
      "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "StringLike": {"s3:Prefix": "${aws:username}"}}
    }
  ]
}"""
    grants = Grants(identity=(source(text, name="PolicyInputList.1"),))
    decision = explain(asking("s3:GetObject", "arn:aws:s3:::a/b", {"aws:SourceIp": "10.1.2.3"}), grants)
    assert decision.allowed and decision.why == "allowed"
    (match,) = decision.matched
    assert (match.source.name, match.sid, match.index) == ("PolicyInputList.1", "Read", 0)
    assert match.start == (4, 5) and match.end == (4, 77)
    assert match.statement.text == '{"Sid": "Read", "Effect": "Allow", "Action": "s3:Get*", "Resource": "*"}'
    assert decision.missing == {"s3:Prefix", "aws:username"}
    whole = explain(asking("s3:GetObject", BUCKET, {"aws:SourceIp": "10.1.2.3", "s3:prefix": "x", "aws:username": "x"}), grants)
    assert [match.sid for match in whole.matched] == ["Read", "Near"] and not whole.missing
    assert whole.matched[1].start == (5, 5) and whole.matched[1].end == (11, 6)


def test_an_explanation_shows_what_each_type_of_policies_says():
    grants = Grants(
        (source(document(allow("s3:*"))),),
        boundary=(source(document(allow("ec2:*"))),),
        scps=((source(document(allow()), Kind.SCP),),),
    )
    bucket = compiled(document(allow("s3:*", BUCKET, Principal={"AWS": AWAY})), Kind.RESOURCE)
    decision = explain(asking("s3:ListBucket", BUCKET, resource_policy=bucket), grants)
    assert decision.layers == {
        evaluate.SCP: "allowed",
        evaluate.IDENTITY: "allowed",
        evaluate.BOUNDARY: "implicitDeny",
        evaluate.RESOURCE: "implicitDeny",
    }
    assert not decision.allowed and decision.matched == ()


def test_only_denying_statements_are_shown_of_a_denied_request():
    grants = granting(allow(), deny("s3:*", Sid="A"), deny("s3:Get*", Sid="B"))
    decision = explain(asking("s3:GetObject"), grants)
    assert [match.sid for match in decision.matched] == ["A", "B"]


def test_answers_are_kept_apart_by_caller_and_action_whatever_was_asked_before():
    grants = Grants()
    assert decide(asking("s3:GetObject", principal=ROOT), grants).allowed
    assert not decide(asking("s3:GetObject"), grants).allowed
    assert decide(asking("s3:GetObject", principal=ROOT), grants).allowed
    for number in range(3000):
        decide(asking(f"s3:Action{number}"), grants)
    assert len(grants._plans) <= 1024


def test_grants_are_equal_by_their_policies_not_by_what_they_remember():
    one, other = granting(allow()), granting(allow())
    decide(asking("s3:GetObject"), one)
    assert one == other and json.dumps(str(one))
