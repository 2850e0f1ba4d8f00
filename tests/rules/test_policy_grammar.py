"""What is a policy and what is not, in AWS's words; documents made to use up time or memory; places in the text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mallee.identity.rules import scanner
from mallee.identity.rules.evaluate import decide
from mallee.identity.rules.policy import Kind, Malformed, Policy, compile_policy, context_keys
from tests.rules.policy_making import HOME, allow, asking, compiled, deny, document, granting

SYNTAX = "Syntax errors in policy."
LEGACY = "The policy failed legacy parsing"


def sentence(policy, kind=Kind.IDENTITY):
    """What is said of a document that is refused."""
    with pytest.raises(Malformed) as refused:
        compiled(policy, kind)
    return refused.value.message


IAM = (
    'IAM resource path must either be "*", root, or start with user/, federated-user/, role/, group/, instance-profile/, mfa/, '
    "server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, access-report/."
)
VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("", SYNTAX),
        ("This is not a json document", SYNTAX),
        ("[]", SYNTAX),
        ("{}", SYNTAX),
        ("{" + json.dumps(document(allow()))[1:] + " x", SYNTAX),
        ({"Version": "2012-10-17"}, SYNTAX),
        ({"Version": "2012-10-17", "Statement": []}, SYNTAX),
        ({"Version": "2012-10-17", "Statement": [[]]}, SYNTAX),
        ({"Version": "2012-10-17", "Statement": [allow()], "Extra": 1}, SYNTAX),
        ({"version": "2012-10-17", "Statement": [allow()]}, SYNTAX),
        ({"Version": "2012-10-18", "Statement": [allow()]}, SYNTAX),
        ({"Version": 2012, "Statement": [allow()]}, SYNTAX),
        ({"Version": "2012-10-17", "Id": 1, "Statement": [allow()]}, SYNTAX),
        ({"Statement": [allow()]}, "Policy document must be version 2012-10-17 or greater."),
        (document(allow(), version="2008-10-17"), "Policy document must be version 2012-10-17 or greater."),
        (document(allow() | {"Efect": "Allow"}), SYNTAX),
        (document(allow() | {"sid": "x"}), SYNTAX),
        (document({"Action": "s3:*", "Resource": "*"}), SYNTAX),
        (document(allow() | {"Effect": "Permit"}), SYNTAX),
        (document(allow() | {"Effect": ["Allow"]}), SYNTAX),
        (document(allow() | {"Effect": "allow"}), LEGACY),
        (document(allow() | {"NotAction": "s3:*"}), SYNTAX),
        (document(allow() | {"NotResource": "*"}), SYNTAX),
        (document(allow(7)), SYNTAX),
        (document(allow(["s3:*", None])), SYNTAX),
        (document(allow({"a": "b"})), SYNTAX),
        (document(allow("s3:*", ["*", 1])), SYNTAX),
        (document(allow(Sid=1)), SYNTAX),
        (document(allow(Sid="A"), deny(Sid="A")), "Statement IDs (SID) in a single policy must be unique."),
        (
            document(allow(Sid="a b")),
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*",
        ),
        (document({"Effect": "Allow", "Resource": "*"}), "Policy statement must contain actions."),
        (document(allow([])), "Policy statement must contain actions."),
        (document({"Effect": "Allow", "Action": "s3:*"}), "Policy statement must contain resources."),
        (document(allow("s3:*", [])), "Policy statement must contain resources."),
        (document(allow("ListBucket")), VENDOR),
        (document(allow("**")), VENDOR),
        (document(allow("s3:Get:Object")), "Actions/Condition can contain only one colon."),
        (document(allow("s3/s3:Get")), "Vendor s3/s3 is not valid"),
        (document(allow("s*:Get")), "Vendor s* is not valid"),
        (document(allow(":Get")), "Vendor  is not valid"),
        (document(allow("s3:")), SYNTAX),
        (document(allow("s3:Get Object")), SYNTAX),
        (document({"Effect": "Allow", "NotAction": "ListBucket", "Resource": "*"}), VENDOR),
        (document(allow("s3:*", "bucket")), 'Resource bucket must be in ARN format or "*".'),
        (document(allow("s3:*", "")), 'Resource  must be in ARN format or "*".'),
        (document(allow("s3:*", "arn")), 'Resource arn must be in ARN format or "*".'),
        (document(allow("s3:*", "a:b:c:d:e:f")), 'Resource a:b:c:d:e:f must be in ARN format or "*".'),
        (document(allow("s3:*", "arn:s3:::b")), LEGACY),
        (
            document(allow("s3:*", "arn:error:s3:::b")),
            'Partition "error" is not valid for resource "arn:error:s3:::b".',
        ),
        (document(allow("s3:*", "arn:error")), 'Partition "error" is not valid for resource "arn:error:*:*:*:*".'),
        (document(allow("s3:*", "arn:aws")), "Resource vendor must be fully qualified and cannot contain regexes."),
        (document(allow("s3:*", "arn:aws:s*:::b")), "Resource vendor must be fully qualified and cannot contain regexes."),
        (document(allow("s3:*", "arn:aws::::b")), "Resource vendor must be fully qualified and cannot contain regexes."),
        (document(allow("s3:*", "arn:aws:s3::b")), LEGACY),
        (document(allow("s3:*", "arn:aws:iam::1:users/bob")), IAM),
        (document(allow("s3:*", "arn:aws:iam::1:role*")), IAM),
        (
            document(allow("s3:*", "arn:aws:iam:us-east-1:1:user/x")),
            "IAM resource arn:aws:iam:us-east-1:1:user/x cannot contain region information.",
        ),
        (document(allow("s3:*", "arn:aws:${aws:x}:::b")), SYNTAX),
        (document(allow("s3:*", "arn:aws:s3:::b/${aws:username")), SYNTAX),
        (document(allow("s3:*", "arn:aws:s3:::b/${}")), SYNTAX),
        (document(allow("s3:*", "arn:aws:s3:::b/${aws:username, bob}")), SYNTAX),
        (document(allow(Principal="*")), "Policy document should not specify a principal."),
        (document(allow(NotPrincipal="*")), "Policy document should not specify a principal."),
        (document(allow(Condition=[])), SYNTAX),
        (document(allow(Condition={"StringEquals": "x"})), SYNTAX),
        (document(allow(Condition={"StringEquals": {"aws:username": {"a": "b"}}})), SYNTAX),
        (document(allow(Condition={"StringEquals": {"aws:username": None}})), SYNTAX),
        (document(allow(Condition={"StringEquals": {"aws:username": [["a"]]}})), SYNTAX),
        (document(allow(Condition={"StringEquals": {"username": "x"}})), VENDOR),
        (document(allow(Condition={"StringMatches": {"aws:username": "x"}})), SYNTAX),
        (document(allow(Condition={"stringequals": {"aws:username": "x"}})), SYNTAX),
        (document(allow(Condition={"NullIfExists": {"aws:username": "true"}})), SYNTAX),
        (document(allow(Condition={"ForAnyValue:Null": {"aws:username": "true"}})), SYNTAX),
        (document(allow(Condition={"ForSomeValues:StringEquals": {"aws:username": "x"}})), SYNTAX),
        (document(allow(Condition={"IfExists": {"aws:username": "x"}})), SYNTAX),
        (document(allow(Condition={"DateLessThan": {"aws:CurrentTime": "tomorrow"}})), LEGACY),
        (document(allow(Condition={"DateLessThan": {"aws:CurrentTime": "2024-13-01"}})), LEGACY),
        (document(allow(Condition={"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "10.0.0.256"]}})), LEGACY),
        (document(allow(Condition={"NotIpAddressIfExists": {"aws:SourceIp": "10.0.0.0/33"}})), LEGACY),
    ],
)
def test_a_malformed_document_is_refused_in_awss_words(policy, said):
    assert sentence(policy) == said
    assert sentence(policy, Kind.BOUNDARY) == said


def test_the_first_check_that_fails_speaks_over_all_statements():
    assert sentence(document(allow("Bad", "bad"), allow([], Sid="A"), deny(Sid="A"))).startswith("Statement IDs")
    assert sentence(document(allow("Bad", "bad"), {"Effect": "allow"})) == LEGACY
    assert sentence({"Version": "2008-10-17", "Statement": [{"Effect": "Perhaps"}]}) == SYNTAX


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ({"Effect": "Allow", "Action": "sts:AssumeRole"}, "Missing required field Principal"),
        ({"Principal": "*", "Action": "sts:AssumeRole"}, "Missing required field Effect"),
        ({"Effect": "Grant", "Principal": "*", "Action": "sts:AssumeRole"}, "Invalid effect: Grant"),
        ({"Effect": "allow", "Principal": "*", "Action": "sts:AssumeRole"}, "Invalid effect: allow"),
        ({"Effect": "Allow", "Principal": "*"}, "Missing required field Action"),
        ({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Resource": "*"}, "Has prohibited field Resource"),
        (
            {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "NotResource": "*"},
            "AssumeRole policy must not contain resources.",
        ),
        ({"Effect": "Allow", "Principal": "*", "Action": "*"}, "AssumeRole policy may only specify STS AssumeRole actions."),
        (
            {"Effect": "Allow", "Principal": "*", "Action": ["sts:AssumeRole", "s3:Get*"]},
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            {"Effect": "Allow", "NotPrincipal": {"AWS": HOME}, "Action": "sts:AssumeRole"},
            "Allow with NotPrincipal is not allowed.",
        ),
        ({"Effect": "Allow", "Principal": "bob", "Action": "sts:AssumeRole"}, SYNTAX),
        ({"Effect": "Allow", "Principal": {}, "Action": "sts:AssumeRole"}, SYNTAX),
        ({"Effect": "Allow", "Principal": {"User": HOME}, "Action": "sts:AssumeRole"}, SYNTAX),
        (
            {"Effect": "Allow", "Principal": {"AWS": "bob"}, "Action": "sts:AssumeRole"},
            'Invalid principal in policy: "AWS":"bob"',
        ),
        (
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HOME}:user/*"}, "Action": "sts:AssumeRole"},
            f'Invalid principal in policy: "AWS":"arn:aws:iam::{HOME}:user/*"',
        ),
        (
            {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{HOME}:group/x"}, "Action": "sts:AssumeRole"},
            f'Invalid principal in policy: "AWS":"arn:aws:iam::{HOME}:group/x"',
        ),
        (
            {"Effect": "Allow", "Principal": {"Service": "*"}, "Action": "sts:AssumeRole"},
            'Invalid principal in policy: "SERVICE":"*"',
        ),
        (
            {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Condition": {"Like": {"a:b": "c"}}},
            "Invalid Condition type : Like",
        ),
    ],
)
def test_a_trust_policy_is_refused_in_its_own_words(statement, said):
    assert sentence({"Version": "2012-10-17", "Statement": statement}, Kind.TRUST) == said


@pytest.mark.parametrize(
    ("policy", "kind", "said"),
    [
        ("nothing", Kind.TRUST, "This policy contains invalid Json"),
        (
            {"Version": "2013-01-01", "Statement": [{"Effect": "Deny"}]},
            Kind.TRUST,
            "The policy must contain a valid version string",
        ),
        ({"Version": "2012-10-17", "Statement": []}, Kind.TRUST, "Could not parse the policy: Statement is empty!"),
        (document(allow()), Kind.RESOURCE, "Missing required field Principal"),
        (document({"Effect": "Allow", "Action": "s3:*", "Principal": "*"}), Kind.RESOURCE, "Missing required field Resource"),
        (
            document(allow(Principal="*", Sid="A"), allow(Principal="*", Sid="A")),
            Kind.RESOURCE,
            "The Statement Ids in the policy are not unique",
        ),
        (document(allow(Principal="*")), Kind.SESSION, "Policy document should not specify a principal."),
        (document(allow(Principal="*")), Kind.SCP, "Policy document should not specify a principal."),
    ],
)
def test_other_kinds_have_their_own_rules(policy, kind, said):
    assert sentence(policy, kind) == said


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        ({"Version": "2012-10-17", "Statement": allow()}, Kind.IDENTITY),
        (document(allow("*:*")), Kind.IDENTITY),
        (document(allow("s3:*", "arn:aws:s3:::b"), allow("ec2:*", "arn:aws-cn:ec2:*:*:instance/*")), Kind.IDENTITY),
        (document(allow("s3:*", ["arn:*:s3:::b", "arn:aws*:s3:::b", "arn:aws-us-gov:s3:::b"])), Kind.IDENTITY),
        (document(allow("iam:*", ["arn:aws:iam::aws:policy/*", "arn:aws:iam::1:*", "arn:aws:iam:::root"])), Kind.IDENTITY),
        (document(allow("iam:*", "arn:aws:iam::aws:role-template/x:1")), Kind.IDENTITY),
        (document(allow("sqs:*", "arn:aws:sqs")), Kind.IDENTITY),
        (document(allow(Condition={})), Kind.IDENTITY),
        (document(allow(Condition={"StringEquals": {}})), Kind.IDENTITY),
        (
            document(allow(Condition={"NumericEquals": {"s3:max-keys": [1, 2.5, "3"]}, "Bool": {"aws:SecureTransport": True}})),
            Kind.IDENTITY,
        ),
        (document(allow(Condition={"ForAllValues:StringLikeIfExists": {"aws:TagKeys": ["a*"]}})), Kind.IDENTITY),
        (
            document(
                allow(Condition={"DateLessThan": {"aws:CurrentTime": ["2024", "2024-02", "2024-02-29T23:59Z", 1700000000]}})
            ),
            Kind.IDENTITY,
        ),
        (document(allow(Condition={"IpAddress": {"aws:SourceIp": ["10.0.0.1", "10.0.0.1/8", "2001:DB8::/32"]}})), Kind.IDENTITY),
        (
            document(allow(Condition={"StringEquals": {"oidc.example.com/id/ABC:sub": "x", "localhost:8443/a:aud": "y"}})),
            Kind.IDENTITY,
        ),
        ({"Statement": [allow()]}, Kind.SESSION),
        (document(allow(), version="2008-10-17"), Kind.SCP),
        (
            {"Version": "2008-10-17", "Id": "any id, really", "Statement": [allow(Principal="*", Sid="with spaces")]},
            Kind.RESOURCE,
        ),
        ({"Version": "2008-10-17", "Statement": [allow(Principal={"CanonicalUser": "79a59df900b949e5"})]}, Kind.RESOURCE),
        (
            {
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"Service": ["ec2.amazonaws.com"]},
                    "Action": ["sts:AssumeRole", "sts:TagSession"],
                }
            },
            Kind.TRUST,
        ),
        (
            {"Version": "2008-10-17", "Statement": [{"Action": "*", "Effect": "Allow", "Resource": "*", "Principal": "*"}]},
            Kind.ENDPOINT,
        ),
    ],
)
def test_what_aws_takes_is_taken(policy, kind):
    assert compiled(policy, kind).kind is kind


# -- JSON --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
        '{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","\\u0045ffect":"Deny","Action":"s3:*","Resource":"*"}]}',
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},]}',
        "{'Version':'2012-10-17'}",
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*\ud800"}}',
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*\\ud800"}}',
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"NumericEquals":{"a:b":NaN}}}}',
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*\n"}}',
        '\ufeff{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}',
    ],
)
def test_sloppy_json_is_refused(text):
    with pytest.raises(Malformed):
        compile_policy(text, Kind.IDENTITY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=8).filter(lambda text: text.isprintable()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(json_values, st.sampled_from([None, 0, 1, 3]))
def test_the_scanner_reads_what_json_reads(value, indent):
    for text in (json.dumps(value, indent=indent), json.dumps(value, ensure_ascii=False)):
        try:
            assert scanner.Scanner(text).document() == value
        except scanner.NotJson:
            assert text.count("[") + text.count("{") > scanner.DEEPEST


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet='{}[]",:\\ntrue0.-1 ', max_size=30))
def test_the_scanner_refuses_what_json_refuses(text):
    try:
        json.loads(text)
    except ValueError:
        with pytest.raises(scanner.NotJson):
            scanner.Scanner(text).document()


@settings(max_examples=300, deadline=None)
@given(json_values, st.sampled_from(list(Kind)))
def test_nothing_but_malformed_ever_comes_of_any_document(value, kind):
    for policy in (
        value,
        {"Version": "2012-10-17", "Statement": value},
        document(allow(Condition=value, Principal=value, Sid=value)),
    ):
        try:
            compiled(policy, kind)
        except Malformed as refused:
            assert refused.message


# -- documents made to harm --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"Statement":' * 9_000,
        '{"Version":"2012-10-17","Statement":' + "[" * 50_000 + "]" * 50_000 + "}",
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":'
        + '{"a":' * 20_000
        + "1"
        + "}" * 20_000,
        " " * 1_000_000,
        '"' + "x" * 1_000_000 + '"',
        json.dumps(document(*[allow()] * 20_000)),
        "9" * 100_000,
        "1e" + "9" * 100_000,
        '{"' + "\\u0061" * 20_000,
        json.dumps(document(allow("s3:*", "arn:aws:s3:::${a" + " " * 100_000))),
        json.dumps(document(allow("s3:*", "arn:aws:s3:::${a, '" + " '" * 50_000 + "}"))),
        json.dumps(document(allow("s3:*", "arn:aws:s3:::" + "${" * 50_000 + "}"))),
        json.dumps(document(allow(Condition={"StringEquals": {" " * 100_000 + ":": "x"}}))),
    ],
    ids=range(14),
)
def test_a_bomb_is_refused(text):
    with pytest.raises(Malformed):
        Policy(text, Kind.IDENTITY)


def test_the_largest_document_that_is_read_is_read_and_asked_in_bounded_time():
    statement = allow("s3:Get*t*", "arn:aws:s3:::" + "*a?" * 60, Condition={"StringLike": {"s3:prefix": "*a" * 100 + "b"}})
    policy = document(*[statement] * 200)
    assert len(json.dumps(policy)) < scanner.LARGEST
    grants = granting(*policy["Statement"])
    hostile = {"s3:prefix": "a" * 2000}
    assert not decide(asking("s3:GetObject", "arn:aws:s3:::" + "a" * 1000, hostile), grants).allowed


# -- places in the text ------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 3), st.integers(1, 4), st.sampled_from(["\n", "\n\n  ", " ", ""]))
def test_each_statement_knows_its_place(indent, count, space):
    policy = document(*[allow("s3:*", "*", Sid=f"S{number}") for number in range(count)])
    text = space + json.dumps(policy, indent=indent or None) + space
    lines = text.split("\n")
    for number, statement in enumerate(compile_policy(text, Kind.IDENTITY).statements):
        assert json.loads(statement.text)["Sid"] == f"S{number}"
        (first, column), (last, end) = statement.start, statement.end
        assert lines[first - 1][column - 1] == "{"
        assert lines[last - 1][end - 2] == "}"


def test_the_same_text_is_compiled_once():
    text = json.dumps(document(allow("s3:GetObject")))
    assert compile_policy(text, Kind.IDENTITY) is compile_policy(text, Kind.IDENTITY)
    assert compile_policy(text, Kind.IDENTITY) is not compile_policy(text, Kind.SESSION)


def test_the_keys_that_a_policy_refers_to_are_told_as_it_spells_them():
    policy = compiled(
        document(
            allow(
                "s3:*",
                ["arn:aws:s3:::b/${aws:UserName}", "arn:aws:s3:::b/${*}/${aws:PrincipalTag/Team, 'none'}"],
                Condition={"StringLike": {"s3:prefix": "${aws:userid}/*"}, "Null": {"aws:TokenIssueTime": "true"}},
            )
        )
    )
    assert context_keys(policy) == {"aws:UserName", "aws:PrincipalTag/Team", "s3:prefix", "aws:userid", "aws:TokenIssueTime"}
    old = compiled({"Statement": [allow("s3:*", "arn:aws:s3:::b/${aws:username}")]}, Kind.SESSION)
    assert context_keys(old) == set()
