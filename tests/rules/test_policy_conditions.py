"""Condition operators: AWS's truth tables, its examples, and every operator against the oracle."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given, settings

from mallee.identity.rules.conditions import OPERATORS, compile_condition, exists, split
from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import decide
from tests.rules import policy_oracle as oracle
from tests.rules.policy_making import allow, asking, conditions, granting, values_of_keys


def holds(operator, wanted, present, key="aws:key", more=None):
    """Whether a condition holds for a request in which the key has ``present`` (None: is absent)."""
    values = [*wanted] if isinstance(wanted, list) else [wanted]
    condition, _ = compile_condition(operator, key, values, True)
    return condition(Context({key: present} | (more or {})))


@settings(max_examples=3000, deadline=None)
@given(conditions(), values_of_keys())
def test_every_condition_is_the_oracles(condition, context):
    operator, key, wanted = condition
    compiled, _ = compile_condition(operator, key, wanted if isinstance(wanted, list) else [wanted], True)
    assert compiled(Context(context)) is oracle.condition_holds(operator, key, wanted, context, True)


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_a_missing_key(operator):
    negated = OPERATORS[operator].negated
    assert negated == ("Not" in operator)
    value = {"I": "10.0.0.1", "N": "1", "D": "2024"}.get(operator.removeprefix("Not")[0], "x")
    value = "10.0.0.1" if "Ip" in operator else value
    assert holds(operator, value, None) is negated
    assert holds(operator + "IfExists", value, None) is True
    assert holds("ForAllValues:" + operator, value, None) is True
    assert holds("ForAnyValue:" + operator, value, None) is False
    assert holds("ForAnyValue:" + operator + "IfExists", value, None) is True
    assert holds("ForAllValues:" + operator, value, []) is True, "a key without values is absent"


@pytest.mark.parametrize(
    ("wanted", "present", "expected"),
    [
        ("true", None, True),
        ("true", "x", False),
        ("false", None, False),
        ("false", "x", True),
        (True, None, True),
        (False, ["x", "y"], True),
        ("TRUE", None, True),
        (["true", "false"], None, True),
        (["true", "false"], "x", True),
    ],
)
def test_null(wanted, present, expected):
    assert holds("Null", wanted, present) is expected


@pytest.mark.parametrize(
    ("operator", "wanted", "present", "expected"),
    [
        # the table of "Creating a condition with multiple keys or values"
        ("ForAllValues:StringLike", ["PostDateTime", "Message", "Tags"], ["PostDateTime", "UserName"], False),
        ("ForAllValues:StringLike", ["PostDateTime", "Message", "Tags"], ["PostDateTime", "Message"], True),
        ("ForAnyValue:StringLike", ["ID", "PostDateTime"], ["UserName", "Message", "PostDateTime"], True),
        ("ForAnyValue:StringLike", ["ID", "PostDateTime"], ["UserName"], False),
        ("ForAllValues:StringEquals", ["a"], "", True),
        ("ForAnyValue:StringEquals", ["a", ""], "", False),
        ("ForAllValues:StringNotEquals", ["a", "b"], ["c", "d"], True),
        ("ForAllValues:StringNotEquals", ["a", "b"], ["c", "a"], False),
        ("ForAnyValue:StringNotEquals", ["a", "b"], ["c", "a"], True),
        ("ForAnyValue:StringNotEquals", ["a", "b"], ["b", "a"], False),
        # several values of a policy: OR; of a negated operator: NOR
        ("StringEquals", ["a", "b"], "b", True),
        ("StringNotEquals", ["a", "b"], "b", False),
        ("StringNotEquals", ["a", "b"], "c", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", "a*", "a*", True),
        ("StringEqualsIgnoreCase", ["x", "JOHN"], "John", True),
        ("StringNotEqualsIgnoreCase", "JOHN", "John", False),
        ("StringLike", "t2.*", "t2.micro", True),
        ("StringLike", "t2.*", "T2.micro", False),
        ("StringLike", "?2.*o", "t2.micro", True),
        ("StringNotLike", "t2.*", "m5.large", True),
        ("StringEquals", [], "x", False),
        ("StringNotEquals", [], "x", True),
        ("NumericEquals", "10", "10.0", True),
        ("NumericEquals", 10, "1e1", True),
        ("NumericNotEquals", "10", "11", True),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericLessThan", ["5", "20"], "10", True),
        ("NumericGreaterThan", "9007199254740992", "9007199254740993", True),
        ("NumericGreaterThan", "-1", "-0.5", True),
        ("NumericEquals", "ten", "ten", False),
        ("NumericEquals", "1", "one", False),
        ("NumericNotEquals", "1", "one", True),
        ("NumericEquals", "١", "1", False),
        ("NumericLessThan", "1", "NaN", False),
        ("NumericLessThan", "Infinity", "1", False),
        ("DateGreaterThan", "2020-01-01T00:00:01Z", "2020-01-01T00:00:02Z", True),
        ("DateLessThan", "2020-04-01T00:00:00Z", "1585699199", True),
        ("DateEquals", "2020-04-01", "1585699200", True),
        ("DateEquals", "2020-04-01T02:00:00+02:00", "2020-04-01T00:00Z", True),
        ("DateEquals", "2020-03-31T22:00:00-0200", "2020-04-01", True),
        ("DateEquals", "2020-04-01T00:00:00.5Z", "1585699200.5", True),
        ("DateNotEquals", "2020", "2020-01-01", False),
        ("DateLessThan", "2020-02-30", "2019", False),
        ("Bool", "true", "TRUE", True),
        ("Bool", True, "true", True),
        ("Bool", "false", "true", False),
        ("Bool", "yes", "yes", False),
        ("BinaryEquals", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", "QmluYXJ5VmFsdWVJbkJhc2U2NA==", True),
        ("BinaryEquals", "QmluYXJ5", "qmluYXJ5", False),
        ("BinaryEquals", "not base64!", "not base64!", False),
        ("IpAddress", "203.0.113.0/24", "203.0.113.255", True),
        ("IpAddress", "203.0.113.0/24", "203.0.114.0", False),
        ("IpAddress", "203.0.113.7", "203.0.113.7", True),
        ("IpAddress", "203.0.113.7/24", "203.0.113.9", True),
        ("IpAddress", ["203.0.113.0/24", "2001:DB8:1234:5678::/64"], "2001:db8:1234:5678::9", True),
        ("IpAddress", "0.0.0.0/0", "2001:db8::1", False),
        ("IpAddress", "203.0.113.0/24", "::ffff:203.0.113.9", True),
        ("NotIpAddress", "203.0.113.0/24", "::ffff:203.0.113.9", False),
        ("IpAddress", "203.0.113.0/24", "AWS Internal", False),
        ("NotIpAddress", "203.0.113.0/24", "cloudformation.amazonaws.com", True),
        ("IpAddress", "10.0.0.0/8", "010.0.0.1", False),
        ("IpAddress", "10.0.0.0/8", "10.1", False),
        # the example of the page on ARN operators
        (
            "ArnLike",
            "arn:aws:someservice:*:111122223333:finance/*",
            "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt",
            False,
        ),
        (
            "StringLike",
            "arn:aws:someservice:*:111122223333:finance/*",
            "arn:aws:someservice:us-east-2:999999999999:store/abc:111122223333:finance/document.txt",
            True,
        ),
        ("ArnEquals", "arn:aws:sns:*:123456789012:t*", "arn:aws:sns:us-east-1:123456789012:topic", True),
        ("ArnEquals", "arn:aws:logs:*:*:log-group:*:x", "arn:aws:logs:r:1:log-group:a:x", True),
        ("ArnLike", "arn:aws:sns:*", "arn:aws:sns:us-east-1:123456789012:topic", False),
        ("ArnNotLike", "arn:aws:sns:*:*:x", "arn:aws:sns:us-east-1:1:topic", True),
        ("ArnLike", "*", "arn:aws:sns:us-east-1:1:topic", True),
        ("ArnLike", "*", "topic", False),
        ("ArnLike", "arn:aws:iam::*:role/a?c", "arn:aws:iam::1:role/abc", True),
        ("ArnLike", "ARN:aws:iam::*:role/abc", "arn:aws:iam::1:role/abc", False),
    ],
)
def test_one_condition(operator, wanted, present, expected):
    assert holds(operator, wanted, present) is expected


def test_several_keys_and_operators_must_all_hold():
    grants = granting(
        allow(
            Condition={
                "StringEquals": {"aws:username": ["bob", "ann"], "aws:PrincipalTag/team": "x"},
                "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
            }
        )
    )
    good = {"aws:username": "ann", "aws:PrincipalTag/team": "x", "aws:SourceIp": "10.1.1.1"}
    assert decide(asking("s3:GetObject", context=good), grants).allowed
    for name in good:
        assert not decide(asking("s3:GetObject", context={**good, name: "192.0.2.1"}), grants).allowed
        assert not decide(
            asking("s3:GetObject", context={key: value for key, value in good.items() if key != name}), grants
        ).allowed


def test_variables_only_where_aws_has_them():
    assert holds("StringEquals", "${aws:username}", "bob", more={"aws:username": "bob"})
    assert holds("ArnEquals", "arn:aws:iam::1:user/${aws:username}", "arn:aws:iam::1:user/bob", more={"aws:username": "bob"})
    assert holds(
        "ArnEquals", "${aws:PrincipalArn}", "arn:aws:iam::1:user/b*b", more={"aws:PrincipalArn": "arn:aws:iam::1:user/b*b"}
    )
    assert not holds(
        "ArnEquals", "${aws:PrincipalArn}", "arn:aws:iam::1:user/bob", more={"aws:PrincipalArn": "arn:aws:iam::1:user/b*b"}
    )
    assert holds("Bool", "${aws:SecureTransport}", "true", more={"aws:SecureTransport": True})
    assert not holds("NumericEquals", "${aws:number}", "5", more={"aws:number": "5"})
    assert not holds("BinaryEquals", "${aws:blob}", "YQ==", more={"aws:blob": "YQ=="})


def test_names_of_operators_are_read_whole():
    assert split("ForAllValues:StringLikeIfExists") == ("ForAllValues", "StringLike", True)
    assert exists("ForAnyValue:ArnNotLikeIfExists") and exists("Null") and exists("BinaryEqualsIfExists")
    for name in ("", "String", "stringEquals", "StringEqualsIfexists", "ForAnyValue:", "ForAnyValue:ForAllValues:Bool", ":Bool"):
        assert not exists(name)


# -- the context -------------------------------------------------------------------------------------------------------


def test_a_contexts_functions_are_called_once_and_only_when_asked():
    asked = []

    def tags():
        asked.append("tags")
        return {"Team": "x"}

    context = Context({"aws:ResourceTag/": tags, "ec2:InstanceType": lambda: asked.append("type") or "t2.micro"})
    assert asked == []
    assert context.get("aws:resourcetag/Team") == ("x",) and context.get("AWS:ResourceTag/team") == ("x",)
    assert context.get("ec2:instancetype") == ("t2.micro",) == context.get("ec2:InstanceType")
    assert context.get("aws:ResourceTag/other") is None and context.get("ec2:other") is None
    assert asked == ["tags", "type"]


def test_a_tags_own_spelling_is_preferred():
    context = Context({"aws:PrincipalTag/": {"Team": "one", "team": "two", "TEAM": "three"}})
    assert context.get("aws:principaltag/team") == ("two",)
    assert context.get("aws:principaltag/Team") == ("one",)
    assert context.get("aws:principaltag/tEAM") == ("three",)


def test_values_become_texts_as_aws_writes_them():
    time = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    context = Context({"a:b": True, "a:n": 7, "a:t": time, "a:bytes": b"ab", "a:list": ["x", 1], "a:none": None, "a:empty": ()})
    assert [context.get(f"a:{key}") for key in ("b", "n", "t", "bytes", "list", "none", "empty")] == [
        ("true",),
        ("7",),
        ("2024-01-02T01:04:05Z",),
        ("YWI=",),
        ("x", "1"),
        None,
        None,
    ]


def test_a_context_may_lie_on_another():
    called = []
    common = Context({"aws:username": "bob", "aws:time": lambda: called.append(1) or "now", "aws:PrincipalTag/": {"a": "1"}})
    first, second = Context({"ec2:x": "1"}, common), Context({"ec2:x": "2", "aws:username": "ann"}, common)
    assert first.get("aws:time") == second.get("aws:time") == ("now",) and called == [1]
    assert first.single("aws:username") == "bob" and second.single("aws:username") == "ann"
    assert first.single("ec2:x") == "1" and first.single("aws:PrincipalTag/a") == "1"
    assert second.names() == {"ec2:x", "aws:username", "aws:time", "aws:principaltag/a"}


def test_many_values_are_no_variable():
    context = Context({"aws:TagKeys": ["one"], "aws:username": "bob"})
    assert context.single("aws:TagKeys") is None and context.get("aws:TagKeys") == ("one",)
    assert json.dumps(context.single("aws:username")) == '"bob"'
