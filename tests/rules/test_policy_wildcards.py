"""Wildcards and variables: what they match, against a slow matcher; values that try to be patterns; patterns made to harm."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.identity.rules import patterns, variables
from mallee.identity.rules.context import Context
from mallee.identity.rules.errors import Malformed
from mallee.identity.rules.evaluate import decide
from tests.rules import policy_oracle as oracle
from tests.rules.policy_making import allow, asking, granting

texts = st.text(alphabet="ab?*", max_size=12)


def matches(policy_text, text, context=None, with_variables=True):
    read = variables.tokens(policy_text, with_variables, wildcards=True)
    return variables.test(read)(text, Context(context or {}))


@settings(max_examples=2000, deadline=None)
@given(texts, texts)
def test_a_pattern_matches_what_the_oracle_says(pattern, text):
    expected = oracle.glob(oracle.pattern_of(pattern, {}, False, True), text)
    assert patterns.glob(pattern)(text) is expected
    assert matches(pattern, text) is expected
    assert fnmatch.fnmatchcase(text, pattern) is expected


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "*", "?", "${x:y}", "${x:z, 'a*'}", "${*}", "${?}", "${$}"]), max_size=6).map("".join),
    st.text(alphabet="ab*?$", max_size=8),
    st.dictionaries(st.sampled_from(["x:y", "x:z"]), st.text(alphabet="ab*?$", max_size=3)),
)
def test_variables_are_filled_in_as_the_oracle_says(pattern, text, context):
    filled = oracle.pattern_of(pattern, context, True, True)
    assert matches(pattern, text, context) is (filled is not None and oracle.glob(filled, text))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("*a" * 500 + "b", "a" * 2000),
        ("?*" * 500 + "b", "a" * 2000),
        ("*" + "a?" * 500 + "b*", "a" * 2000),
        ("*" + "?" * 1999 + "b", "a" * 2000),
        ("*" * 5000 + "b", "a" * 2000),
        ("*a?" * 300 + "c", "ab" * 1000),
        ("${x:y}*" * 300 + "c", "ab" * 1000),
    ],
    ids=range(7),
)
def test_no_pattern_takes_long(pattern, text):
    """A matcher that goes back would not return from these within the age of the universe."""
    assert not matches(pattern, text, {"x:y": "a"})


@pytest.mark.parametrize("value", ["*", "?ob", "b*", "${aws:userid}", "${*}"])
def test_a_value_is_never_a_pattern(value):
    assert not matches("arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/bob", {"aws:username": value})
    assert matches("arn:aws:s3:::b/${aws:username}", f"arn:aws:s3:::b/{value}", {"aws:username": value})
    read = variables.tokens("${aws:username}", True, wildcards=True)
    assert not variables.test(read)("bob", Context({"aws:username": value, "aws:userid": "bob"}))


def test_a_missing_variable_matches_nothing_not_even_by_stars():
    assert not matches("*${aws:username}*", "anything", {})
    assert not matches("${aws:username}", "${aws:username}", {})
    assert matches("*${aws:username, ''}*", "anything", {})
    assert matches("${aws:userid, 'anonymous'}", "anonymous", {})
    assert not matches("${aws:userid, 'anonymous'}", "anonymous", {"aws:userid": "AIDA"})


def test_many_values_are_no_variable():
    assert not matches("${aws:TagKeys}", "a", {"aws:TagKeys": ["a"]})
    assert matches("${aws:TagKeys, 'a'}", "a", {"aws:TagKeys": ["b"]})


def test_special_variables_stand_for_themselves():
    assert matches("a${*}b", "a*b") and not matches("a${*}b", "axb")
    assert matches("a${?}b", "a?b") and not matches("a${?}b", "axb")
    assert matches("${$}{aws:username}", "${aws:username}", {"aws:username": "bob"})


def test_an_old_version_knows_no_variables():
    assert matches("b/${aws:username}", "b/${aws:username}", {"aws:username": "bob"}, with_variables=False)
    assert not matches("b/${aws:username}", "b/bob", {"aws:username": "bob"}, with_variables=False)
    assert matches("b/${*}", "b/${anything}", with_variables=False)
    statement = allow("s3:*", "arn:aws:s3:::b/${aws:username}")
    new, old = granting(statement), granting(statement, version="2011-04-01")
    question = asking("s3:GetObject", "arn:aws:s3:::b/bob", {"aws:username": "bob"})
    assert decide(question, new).allowed and not decide(question, old).allowed


@pytest.mark.parametrize(
    "text", ["${", "${a", "${}", "${ }", "${a:b", "${a:b,c}", "${a:b, c'}", "${a:${b:c}}", "${a*}", "x${a:b}${"]
)
def test_a_broken_variable_is_refused(text):
    with pytest.raises(Malformed):
        variables.tokens(text, True, True)


@pytest.mark.parametrize(
    ("resource", "asked", "expected"),
    [
        ("*", "*", True),
        ("arn:aws:s3:::b/*", "*", False),
        ("arn:aws:s3:::b", "arn:aws:s3:::B", False),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/", True),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b", False),
        ("arn:aws:s3:::b/*/test/*", "arn:aws:s3:::b/1/2/test/3", True),
        ("arn:aws:some:*:1:finance/*", "arn:aws:some:r:9:store/abc:1:finance/x", True),  # a wildcard of Resource crosses segments
        ("arn:aws:ec2:*:*:instance/i-*", "arn:aws:ec2:r:1:instance/*", False),
        ("arn:aws:sqs", "arn:aws:sqs:r:1:queue", True),  # an incomplete ARN is completed with stars
        ("arn:aws:sqs:r", "arn:aws:sqs:r:1:queue", True),
        ("arn:aws:sqs:r", "arn:aws:sqs:q:1:queue", False),
        ("arn:aws:ec2:*:instance/*", "arn:aws:ec2:r:1:instance/i-1", False),
        ("arn:*:sqs:r:1:q", "arn:aws:sqs:r:1:q", True),
    ],
)
def test_resources(resource, asked, expected):
    assert decide(asking("sqs:Do", asked), granting(allow("*", resource))).allowed is expected
    negated = granting({"Effect": "Allow", "Action": "*", "NotResource": resource})
    assert decide(asking("sqs:Do", asked), negated).allowed is not expected


def test_a_negated_resource_with_a_missing_variable_leaves_nothing_out():
    negated = granting({"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::b/${aws:username}"})
    assert not decide(asking("s3:GetObject", "arn:aws:s3:::b/bob", {"aws:username": "bob"}), negated).allowed
    assert decide(asking("s3:GetObject", "arn:aws:s3:::b/bob"), negated).allowed


# -- case and look-alikes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["S3:GETOBJECT", "s3:getobject", "s3:GetObj*", "S3:*", "s3:get?bject"])
def test_actions_are_not_case_sensitive(action):
    assert decide(asking("s3:GetObject"), granting(allow(action))).allowed


@pytest.mark.parametrize(
    "action", ["iam:create\u212aey", "iam:Pa\u017f\u017fRole", "s3:Get\u00d6bject", "s3:Get\u200bObject", "\uff53\uff13:Get"]
)
def test_letters_that_fold_to_others_are_no_letters_of_actions(action):
    """The Kelvin sign is small k to ``str.lower``, the long s is S to ``str.upper``: a policy with such is refused."""
    with pytest.raises(Malformed):
        granting(allow(action))


def test_names_of_keys_fold_in_ascii_alone():
    context = Context({"aws:PrincipalTag/": {"\u212aey": "kelvin"}, "aws:\u212a": "x"})
    assert context.get("aws:PrincipalTag/key") is None and context.get("aws:k") is None
    assert context.get("aws:PrincipalTag/\u212aEY") == ("kelvin",) and context.get("AWS:\u212a") == ("x",)


def test_resources_are_compared_letter_by_letter():
    composed, decomposed = "arn:aws:s3:::b/\u00e9", "arn:aws:s3:::b/e\u0301"
    grants = granting(allow("*", composed))
    assert decide(asking("s3:GetObject", composed), grants).allowed
    assert not decide(asking("s3:GetObject", decomposed), grants).allowed
    one = granting(allow("*", "arn:aws:s3:::b/?"))
    assert decide(asking("s3:GetObject", "arn:aws:s3:::b/\U0001f600"), one).allowed
    assert decide(asking("s3:GetObject", "arn:aws:s3:::b/\n"), one).allowed, "a line's end is a character too"


def test_a_role_is_not_its_namesake_in_another_path():
    grants = granting(allow("iam:PassRole", "arn:aws:iam::1:role/ok/*"))
    assert decide(asking("iam:PassRole", "arn:aws:iam::1:role/ok/worker"), grants).allowed
    for resource in ("role/worker", "role/ok", "role/OK/worker", "role/okay/worker", "user/ok/worker"):
        assert not decide(asking("iam:PassRole", "arn:aws:iam::1:" + resource), grants).allowed
    assert re.fullmatch("role/.*", "role/ok/worker")
