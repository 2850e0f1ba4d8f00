"""A managed policy by its ARN, whosever it is: the account's own (rows) or AWS's (``identity.managed``), seen alike.

An ARN names a policy only exactly as it is written: path and name in their case. Another account's policy is not there.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mallee.identity import iam, managed
from mallee.identity.call import Call
from mallee.identity.records import policies
from mallee.identity.records.policies import ManagedPolicy, PolicyVersion
from mallee.identity.rules.policy import Kind, Malformed, compile_policy
from mallee.wire.errors import AwsError

LARGEST_MANAGED = 6144
"""Characters, without white space: of one version of a managed policy."""

_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):iam::(?P<owner>\d{12}|aws):policy(?P<path>/(?:[!-~]+/)?)(?P<name>[\w+=,.@-]+)", re.ASCII
)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Policy:
    """``own`` is the row of the account's own; None for AWS's, which nobody can change."""

    arn: str
    id: str
    name: str
    path: str
    description: str | None
    created_at: datetime.datetime
    updated_at: datetime.datetime
    default_version: int
    own: ManagedPolicy | None

    @property
    def attachable(self) -> bool:
        """By users of the API: policies of service-linked roles are given by their service alone."""
        return self.own is not None or self.path != managed.LINKED_PATH


def of_row(row: ManagedPolicy, partition: str) -> Policy:
    return Policy(
        row.arn(partition), row.id, row.name, row.path, row.description, row.created_at, row.updated_at, row.default_version, row
    )


def of_aws(found: managed.Managed, partition: str) -> Policy:
    return Policy(
        found.arn(partition), found.id, found.name, found.path, None, found.created_at, found.updated_at, found.version, None
    )


def find(call: Call, arn: str) -> Policy | None:
    """Raises for what is no policy's ARN in this cloud."""
    parts = _ARN.fullmatch(arn)
    if parts is None:
        raise iam.invalid_input(f"ARN {arn} is not valid.")
    partition = call.settings.partition
    if parts["partition"] != partition:
        raise iam.invalid("Invalid ARN partition")
    if parts["owner"] == managed.OWNER:
        aws = managed.describe(arn)
        return None if aws is None else of_aws(aws, partition)
    if parts["owner"] != call.account_id:
        return None
    row = policies.policy_by_name(call.tx, call.account_id, parts["name"])
    return of_row(row, partition) if row is not None and row.arn(partition) == arn else None


def the_policy(call: Call, arn: str) -> Policy:
    found = find(call, arn)
    if found is None:
        raise iam.no_such("policy", arn)
    return found


def the_own_policy(call: Call, arn: str) -> ManagedPolicy:
    """For what changes a policy."""
    found = the_policy(call, arn)
    if found.own is None:
        raise AwsError("AccessDenied", f"Policy {arn} is outside your own account.", status=403)
    return found.own


def versions(call: Call, policy: Policy) -> list[PolicyVersion]:
    """The newest first. Of AWS's policies there is the default alone."""
    if policy.own is not None:
        return policies.versions_of(call.tx, policy.id)
    text = managed.document(policy.arn)
    assert text is not None
    return [PolicyVersion(policy.id, policy.default_version, text, policy.updated_at)]


def the_version(call: Call, policy: Policy, version_id: str) -> PolicyVersion:
    """``version_id`` is ``v3``."""
    number = int(version_id[1:].partition(".")[0]) if len(version_id) < 12 else 0
    found = next((each for each in versions(call, policy) if each.number == number and version_id == f"v{number}"), None)
    if found is None:
        text = f"Policy {policy.arn} version {version_id} does not exist or is not attachable."
        raise AwsError("NoSuchEntity", text, status=404)
    return found


def check_document(document: str) -> None:
    """Raises MalformedPolicyDocument in AWS's words for what is no policy of an identity."""
    try:
        compile_policy(document, Kind.IDENTITY)
    except Malformed as problem:
        raise AwsError("MalformedPolicyDocument", problem.message, status=400) from None


def size(document: str) -> int:
    """What counts against a limit: white space does not."""
    return len(_SPACE.sub("", document))


def listed(policy: Policy, attached: Mapping[str, int], bounding: Mapping[str, int]) -> dict[str, Any]:
    """As lists of policies show one: ``attached`` and ``bounding`` say how often each is, by ARN."""
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default_version}",
        "AttachmentCount": attached.get(policy.arn, 0),
        "PermissionsBoundaryUsageCount": bounding.get(policy.arn, 0),
        "IsAttachable": True,
        "CreateDate": policy.created_at,
        "UpdateDate": policy.updated_at,
    }
