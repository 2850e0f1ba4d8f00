"""A second policy engine, slow and plain, written from AWS's documentation alone; it shares nothing with the real one.

It takes policies as Python values (what ``json.loads`` gives) and evaluates them by the letter of the pages "Policy evaluation
logic", "Condition operators", "Creating a condition with multiple keys or values", "Variables and tags", "Principal" and
"NotPrincipal" of the IAM User Guide. No validation: the policies are taken to be well-formed.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import re
from fractions import Fraction

# -- wildcards and variables -------------------------------------------------------------------------------------------


def glob(pattern, text):
    """``pattern``: a list of ('char', c), ('star',) and ('one',). Dynamic programming over both lengths."""
    reachable = {0}
    for token in pattern:
        following = set()
        for at in reachable:
            if token[0] == "star":
                following.update(range(at, len(text) + 1))
            elif at < len(text) and (token[0] == "one" or token[1] == text[at]):
                following.add(at + 1)
        reachable = following
    return len(text) in reachable


def pattern_of(text, context, variables, wildcards):
    """The pattern of a policy's text, or None when one of its variables has no value."""
    pattern = []
    while text:
        if variables and text.startswith("${"):
            inside, _, text = text[2:].partition("}")
            if inside in ("*", "?", "$"):
                value = inside
            else:
                key, comma, default = inside.partition(",")
                values = lookup(context, key.strip())
                if isinstance(values, str):
                    value = values
                elif comma:
                    value = default.strip()[1:-1]
                else:
                    return None
            pattern += [("char", c) for c in value]
            continue
        if wildcards and text[0] == "*":
            pattern.append(("star",))
        elif wildcards and text[0] == "?":
            pattern.append(("one",))
        else:
            pattern.append(("char", text[0]))
        text = text[1:]
    return pattern


def lookup(context, key):
    """A context maps keys to a string (single-valued) or a list (multivalued). Key names are not case-sensitive."""
    for name, value in context.items():
        if name.lower() == key.lower():
            return value
    return None


# -- conditions --------------------------------------------------------------------------------------------------------


def matches(operator, value, wanted, context, variables):
    """Whether one value of the request matches one value of the policy, for the positive form of the operator."""
    if operator in ("StringEquals", "StringEqualsIgnoreCase", "StringLike"):
        pattern = pattern_of(wanted, context, variables, operator == "StringLike")
        if pattern is None:
            return False
        if operator == "StringEqualsIgnoreCase":
            pattern = [(kind, *(c.lower() for c in rest)) for kind, *rest in pattern]
            value = value.lower()
        return glob(pattern, value)
    if operator in ("ArnEquals", "ArnLike"):
        pattern = pattern_of(wanted, context, variables, True)
        if pattern is None:
            return False
        parts = value.split(":", 5)
        if len(parts) != 6:
            return False
        if pattern and all(token == ("star",) for token in pattern):
            return parts[0] == "arn"
        fields = [[]]
        for token in pattern:
            if token == ("char", ":") and len(fields) < 6:
                fields.append([])
            else:
                fields[-1].append(token)
        return len(fields) == 6 and all(glob(field, part) for field, part in zip(fields, parts, strict=True))
    if operator == "Bool":
        pattern = pattern_of(wanted, context, variables, False)
        text = None if pattern is None else "".join(c for _, c in pattern)
        return text is not None and value.lower() in ("true", "false") and value.lower() == text.lower()
    if operator == "BinaryEquals":
        try:
            return base64.b64decode(value, validate=True) == base64.b64decode(wanted, validate=True)
        except ValueError:
            return False
    if operator == "IpAddress":
        try:
            return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
        except ValueError:
            return False
    convert = number if operator.startswith("Numeric") else moment
    left, right = convert(value), convert(wanted)
    if left is None or right is None:
        return False
    relation = operator.removeprefix("Numeric").removeprefix("Date")
    return {
        "Equals": left == right,
        "LessThan": left < right,
        "LessThanEquals": left <= right,
        "GreaterThan": left > right,
        "GreaterThanEquals": left >= right,
    }[relation]


def number(text):
    return Fraction(text) if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text) else None


def moment(text):
    if re.fullmatch(r"-?[0-9]+", text) and not re.fullmatch("[0-9]{4}", text):
        return Fraction(text)
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d", "%Y-%m", "%Y"):
        try:
            found = datetime.datetime.strptime(text, form)
        except ValueError:
            continue
        if found.tzinfo is None:
            found = found.replace(tzinfo=datetime.UTC)
        return Fraction(int(found.timestamp()))
    return None


POSITIVE = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def condition_holds(operator, key, wanted, context, variables):
    wanted = wanted if isinstance(wanted, list) else [wanted]
    wanted = [str(each).lower() if isinstance(each, bool) else str(each) for each in wanted]
    present = lookup(context, key)
    if operator == "Null":
        return ("true" if present is None else "false") in [each.lower() for each in wanted]
    quantifier = ""
    if ":" in operator:
        quantifier, operator = operator.split(":")
    if_exists = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    negated = operator in POSITIVE
    operator = POSITIVE.get(operator, operator)
    if present is None:
        if quantifier == "ForAllValues":
            return True
        if quantifier == "ForAnyValue":
            return if_exists
        return if_exists or negated
    values = [present] if isinstance(present, str) else present
    one = [any(matches(operator, value, each, context, variables) for each in wanted) for value in values]
    if quantifier:
        if values == [""]:
            return quantifier == "ForAllValues"
        passed = [not each for each in one] if negated else one
        return all(passed) if quantifier == "ForAllValues" else any(passed)
    return not any(one) if negated else any(one)


# -- statements --------------------------------------------------------------------------------------------------------


def listed(value):
    return value if isinstance(value, list) else [value]


def action_matches(statement, action):
    def one(pattern):
        tokens = pattern_of(pattern.lower(), {}, False, True)
        return pattern == "*" or glob(tokens, action.lower())

    if "Action" in statement:
        return any(one(each) for each in listed(statement["Action"]))
    return not any(one(each) for each in listed(statement["NotAction"]))


def resource_matches(statement, resource, context, variables):
    def one(text):
        while text.startswith("arn:") and text.count(":") < 5:
            text += ":*"
        pattern = pattern_of(text, context, variables, True)
        return pattern is not None and glob(pattern, resource)

    if "Resource" in statement:
        return any(one(each) for each in listed(statement["Resource"]))
    if "NotResource" in statement:
        return not any(one(each) for each in listed(statement["NotResource"]))
    return True


def conditions_hold(statement, context, variables):
    return all(
        condition_holds(operator, key, wanted, context, variables)
        for operator, block in statement.get("Condition", {}).items()
        for key, wanted in block.items()
    )


def account_of(principal):
    if re.fullmatch("[0-9]{12}", principal):
        return principal
    found = re.fullmatch("arn:aws:iam::([0-9]{12}):root", principal)
    return found.group(1) if found else None


def principal_match(statement, who):
    """'no', 'account', 'issuer' (the role or user behind the session) or 'self'. ``who``: kind, arn, account, issuer."""
    if "Principal" not in statement and "NotPrincipal" not in statement:
        return "self"
    element = statement.get("Principal", statement.get("NotPrincipal"))
    names = {"AWS": ["*"]} if element == "*" else {kind: listed(value) for kind, value in element.items()}
    aws = names.get("AWS", [])
    layers = []
    if who["kind"] == "service":
        layers = [("self", who["arn"] in names.get("Service", []))]
    elif who["kind"] == "federated":
        layers = [("self", who["arn"] in names.get("Federated", []))]
    elif who["kind"] != "anonymous":
        in_account = any(account_of(each) == who["account"] for each in aws)
        layers = [("self" if who["kind"] == "root" else "account", in_account)]
        if who["kind"] in ("assumed-role", "federated-user"):
            layers.append(("issuer", who["issuer"] in aws))
        if who["kind"] != "root":
            layers.append(("self", who["arn"] in aws))
    if "NotPrincipal" in statement:
        needed = [found for name, found in layers if not (name == "issuer" and who["kind"] == "federated-user")]
        spared = "*" in aws or (bool(needed) and all(needed))
        return "no" if spared else "self"
    if "*" in aws:
        return "self"
    best = "no"
    for name, found in layers:
        if found:
            best = name
    return best


def applies(policy, statement, request):
    variables = policy.get("Version") == "2012-10-17"
    return (
        action_matches(statement, request["action"])
        and resource_matches(statement, request["resource"], request["context"], variables)
        and conditions_hold(statement, request["context"], variables)
    )


def verdict(policies, request, effect):
    """How the policies say Allow or Deny: the best principal match of any statement that applies."""
    found = "no"
    for policy in policies:
        for statement in listed(policy["Statement"]):
            if statement["Effect"] == effect and applies(policy, statement, request):
                match = principal_match(statement, request["who"])
                found = max(found, match, key=["no", "account", "issuer", "self"].index)
    return found


# -- the whole ---------------------------------------------------------------------------------------------------------


def decide(request, identity=(), boundary=None, session=None, scps=(), resource_policy=None, trust=False, endpoint=None):
    """(allowed, explicit, the type of policies that denied). ``request``: action, resource, context, who, owner."""
    who = request["who"]
    own = who["kind"] not in ("anonymous", "service", "federated")
    resource_name = "role trust policy" if trust else "resource-based policy"
    resource = [resource_policy] if resource_policy else []
    everything = {
        "service control policy": [each for level in scps for each in level] if own else [],
        "identity-based policy": identity if own else [],
        "permissions boundary": (boundary or []) if own else [],
        "session policy": (session or []) if own else [],
        resource_name: resource,
        "VPC endpoint policy": [endpoint] if endpoint else [],
    }
    denying = [name for name, policies in everything.items() if verdict(policies, request, "Deny") != "no"]
    if denying:
        return False, True, denying

    def says_no(policies):
        return verdict(policies, request, "Allow") == "no"

    through_endpoint = not (endpoint and says_no([endpoint]))
    granted = verdict(resource, request, "Allow")
    if not own:
        if granted == "no":
            return False, False, [resource_name]
        return (True, False, []) if through_endpoint else (False, False, ["VPC endpoint policy"])
    if any(says_no(level) for level in scps):
        return False, False, ["service control policy"]
    foreign = request.get("owner") not in (None, "", who["account"])
    if (foreign or trust) and granted == "no":
        return False, False, [resource_name]
    identity_ok = who["kind"] == "root" or not says_no(identity)
    boundary_ok = boundary is None or not says_no(boundary)
    session_ok = session is None or not says_no(session)
    if not foreign and granted == "self":
        identity_ok = boundary_ok = session_ok = True
    if not foreign and granted == "issuer":
        identity_ok = True
    for good, name in (
        (identity_ok, "identity-based policy"),
        (boundary_ok, "permissions boundary"),
        (session_ok, "session policy"),
        (through_endpoint, "VPC endpoint policy"),
    ):
        if not good:
            return False, False, [name]
    return True, False, []
