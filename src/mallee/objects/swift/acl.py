"""Swift's access control lists as statements of a bucket's policy, and back.

``X-Container-Read`` and ``X-Container-Write`` are lists of elements. Those that mean something here become statements whose ids begin with ``Swift``,
beside whatever else the policy has; what a container tells of its lists is read from these statements, so that there is one truth. What a policy of
ours could not say as Swift means it is refused. https://docs.openstack.org/swift/latest/overview_acl.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from mallee.wire.errors import AwsError

READ, WRITE = "Read", "Write"
SID: Final = "Swift"
MOST: Final = 100
_USER = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_ARN = re.compile(r"arn:[^:]*:iam::(\d{12}):(root|user/(?:.*/)?([^/]+))")
_OBJECTS: Final = {READ: ["s3:GetObject"], WRITE: ["s3:PutObject", "s3:DeleteObject"]}

Document = dict[str, Any]


def statements(
    kind: str, text: str, bucket: str, partition: str, account: Callable[[str], str | None], user: Callable[[str, str], str | None]
) -> list[Document]:
    """``account(name)``: the id of an account by id or alias; ``user(account_id, name)``: a user's ARN. Raises AwsError."""
    elements = [part.strip() for part in text.split(",") if part.strip()]
    if len(elements) > MOST:
        raise _refused(kind, f"it has more than {MOST} elements")
    everybody = listings = False
    arns: list[str] = []
    for element in elements:
        folded = element.lower().replace(" ", "")
        if folded in (".r:*", ".ref:*", ".referer:*", ".referrer:*"):
            if kind != READ:
                raise _refused(kind, f"{element}: whoever may write is named")
            everybody = True
        elif folded == ".rlistings":
            listings = True
        elif folded.startswith("."):
            raise _refused(kind, f"{element}: of referrers there is but .r:*")
        else:
            arns.append(_arn(kind, element, partition, account, user))
    if listings and not everybody:
        raise _refused(kind, ".rlistings needs .r:* beside it")
    whole, within = f"arn:{partition}:s3:::{bucket}", f"arn:{partition}:s3:::{bucket}/*"
    made: list[Document] = []
    if everybody:
        made.append(_statement(f"{kind}All", "*", ["s3:GetObject"], within))
    if listings:
        made.append(_statement(f"{kind}Listings", "*", ["s3:ListBucket"], whole))
    if arns:
        who = {"AWS": sorted(set(arns))}
        made.append(_statement(f"{kind}Objects", who, _OBJECTS[kind], within))
        if kind == READ:
            made.append(_statement(f"{kind}Container", who, ["s3:ListBucket"], whole))
    return made


def _arn(
    kind: str, element: str, partition: str, account: Callable[[str], str | None], user: Callable[[str, str], str | None]
) -> str:
    name, _, user_name = element.partition(":")
    name = name.removeprefix("AUTH_")
    if name == "*":
        raise _refused(kind, f"{element}: an account must be named")
    account_id = account(name)
    if account_id is not None and user_name in ("", "*"):
        return f"arn:{partition}:iam::{account_id}:root"
    arn = user(account_id, user_name) if account_id is not None and _USER.fullmatch(user_name) else None
    if arn is None:
        raise _refused(kind, f"{element} is nobody who is known here")
    return arn


def _statement(sid: str, principal: Any, actions: list[str], resource: str) -> Document:
    return {"Sid": SID + sid, "Effect": "Allow", "Principal": principal, "Action": actions, "Resource": resource}


def merged(policy: str | None, kind: str, made: list[Document]) -> str | None:
    """The policy with these statements in the place of the list's earlier ones; None if nothing is left of it."""
    document: Document = json.loads(policy) if policy else {"Version": "2012-10-17", "Statement": []}
    given = document.get("Statement")
    kept = [each for each in (given if isinstance(given, list) else [given]) if not _is_of(each, kind)]
    if not kept and not made:
        return None
    return json.dumps({**document, "Statement": [*kept, *made]})


def _is_of(statement: Any, kind: str) -> bool:
    return isinstance(statement, dict) and str(statement.get("Sid", "")).startswith(SID + kind)


def told(policy: str | None, kind: str) -> str:
    """The list as it stands in the policy."""
    if not policy:
        return ""
    given = json.loads(policy).get("Statement")
    found: list[str] = []
    for each in given if isinstance(given, list) else [given]:
        if not _is_of(each, kind):
            continue
        sid = each["Sid"][len(SID + kind) :]
        if sid == "All":
            found.append(".r:*")
        elif sid == "Listings":
            found.append(".rlistings")
        elif sid == "Objects":
            named = each.get("Principal", {})
            arns = named.get("AWS", []) if isinstance(named, dict) else []
            found += [_named(arn) for arn in ([arns] if isinstance(arns, str) else arns)]
    return ",".join(found)


def _named(arn: str) -> str:
    match = _ARN.fullmatch(arn)
    if match is None:
        return arn
    return f"{match[1]}:{match[3] or '*'}"


def _refused(kind: str, why: str) -> AwsError:
    return AwsError("InvalidArgument", f"X-Container-{kind} cannot be kept: {why}.", status=400)
