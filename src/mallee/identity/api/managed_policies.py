"""Managed policies, their versions and their tags. AWS's own can be read like the account's, and changed by nobody."""

from __future__ import annotations

from typing import Any

from mallee.identity import grants, iam, managed, named_policies, quotas
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.named_policies import Policy
from mallee.identity.records import policies
from mallee.identity.records.policies import PolicyVersion
from mallee.identity.resources import NEW_POLICY, POLICY
from mallee.wire.errors import AwsError

MOST_VERSIONS = 5

_NAMED = On(POLICY, "PolicyArn")

ACCESS = {
    "create_policy": Access(On(NEW_POLICY)),
    "get_policy": Access(_NAMED),
    "list_policies": Access(),
    "delete_policy": Access(_NAMED),
    "create_policy_version": Access(_NAMED),
    "get_policy_version": Access(_NAMED),
    "list_policy_versions": Access(_NAMED),
    "delete_policy_version": Access(_NAMED),
    "set_default_policy_version": Access(_NAMED),
    "tag_policy": Access(_NAMED),
    "untag_policy": Access(_NAMED),
    "list_policy_tags": Access(_NAMED),
}


def create_policy(call: Call) -> dict[str, Any]:
    name, document = call.input["PolicyName"], call.input["PolicyDocument"]
    wanted = iam.read_tags(call.input.get("Tags"))
    _check_document(document)
    quotas.require(call, quotas.POLICIES, error=lambda limit: iam.limit("PoliciesPerAccount", limit))
    with iam.creating("policy", name):
        row = policies.add_policy(
            call.tx,
            call.account_id,
            name,
            document,
            path=call.input.get("Path", "/"),
            description=call.input.get("Description") or None,
        )
    iam.tag(call, row.id, "Policy", wanted)
    made = named_policies.of_row(row, call.settings.partition)
    return {"Policy": named_policies.listed(made, {}, {}) | {"Tags": iam.tags_or_none(call, row.id)}}


def get_policy(call: Call) -> dict[str, Any]:
    found = named_policies.the_policy(call, call.input["PolicyArn"])
    attached = {found.arn: len(policies.holders_of(call.tx, call.account_id, found.arn))}
    bounding = {found.arn: len(policies.bounded_by(call.tx, call.account_id, found.arn))}
    shown = named_policies.listed(found, attached, bounding)
    tags = iam.tags_or_none(call, found.id) if found.own is not None else None
    return {"Policy": shown | {"Description": found.description, "Tags": tags or []}}


def list_policies(call: Call) -> dict[str, Any]:
    """Of the account (Local), of AWS, or both (All); by name. Where all are asked for, no more are read than are shown."""
    given, partition, asked = call.input, call.settings.partition, iam.window(call)
    prefix, scope = given.get("PathPrefix", "/"), given.get("Scope", "All")
    attached = policies.attachment_counts(call.tx, call.account_id)
    bounding = policies.boundary_counts(call.tx, call.account_id)
    usage, only_attached = given.get("PolicyUsageFilter"), given.get("OnlyAttached", False)
    after, filtered = asked.after or ("", False), usage is not None or only_attached
    found: list[Policy] = []
    if scope != "AWS":
        rows = policies.policies_in(call.tx, call.account_id, prefix, after[0], 1_000_000 if filtered else asked.reach)
        found += [named_policies.of_row(row, partition) for row in rows]
    if scope != "Local":
        found += [named_policies.of_aws(each, partition) for each in managed.all() if each.path.startswith(prefix)]
    if usage == "PermissionsPolicy":
        found = [each for each in found if each.arn in attached]
    elif usage == "PermissionsBoundary":
        found = [each for each in found if each.arn in bounding]
    elif only_attached:
        found = [each for each in found if each.arn in attached or each.arn in bounding]
    return iam.page(call, found, _place, "Policies", lambda each: named_policies.listed(each, attached, bounding))


def delete_policy(call: Call) -> None:
    tx, arn = call.tx, call.input["PolicyArn"]
    policy = named_policies.the_own_policy(call, arn)
    if policies.holders_of(tx, call.account_id, arn) or policies.bounded_by(tx, call.account_id, arn):
        raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.", status=409)
    if len(policies.versions_of(tx, policy.id)) > 1:
        told = "This policy has more than one version. Before you delete a policy, you must delete the policy's versions."
        raise AwsError("DeleteConflict", f"{told} The default version is deleted with the policy.", status=409)
    policies.remove_policy(tx, policy)
    grants.forget_after(tx)


# --------------------------------------------------------------------------------------------------------------- versions


def create_policy_version(call: Call) -> dict[str, Any]:
    """To make the new version the one in force is part of this operation, not of SetDefaultPolicyVersion: whoever may call it
    may give everybody who has the policy whatever it says."""
    tx, document = call.tx, call.input["PolicyDocument"]
    policy = named_policies.the_own_policy(call, call.input["PolicyArn"])
    _check_document(document)
    if len(policies.versions_of(tx, policy.id)) >= MOST_VERSIONS:
        told = f"A managed policy can have up to {MOST_VERSIONS} versions. Before you create a new version, you must delete"
        raise AwsError("LimitExceeded", f"{told} an existing version.", status=409)
    default = bool(call.input.get("SetAsDefault", False))
    version = policies.add_version(tx, policy, document, default=default)
    if default:
        grants.forget_after(tx)
    return {"PolicyVersion": _listed_version(version, version.number if default else policy.default_version)}


def get_policy_version(call: Call) -> dict[str, Any]:
    policy = named_policies.the_policy(call, call.input["PolicyArn"])
    version = named_policies.the_version(call, policy, call.input["VersionId"])
    shown = _listed_version(version, policy.default_version)
    return {"PolicyVersion": shown | {"Document": iam.encoded(version.document)}}


def list_policy_versions(call: Call) -> dict[str, Any]:
    """The newest first."""
    policy = named_policies.the_policy(call, call.input["PolicyArn"])
    found = named_policies.versions(call, policy)
    return iam.page(
        call, found, lambda each: -each.number, "Versions", lambda each: _listed_version(each, policy.default_version)
    )


def delete_policy_version(call: Call) -> None:
    policy = named_policies.the_own_policy(call, call.input["PolicyArn"])
    version = _own_version(call, policy)
    if version.number == policy.default_version:
        raise AwsError("DeleteConflict", "Cannot delete the default version of a policy.", status=409)
    policies.remove_version(call.tx, policy, version.number)


def set_default_policy_version(call: Call) -> None:
    policy = named_policies.the_own_policy(call, call.input["PolicyArn"])
    policies.set_default_version(call.tx, policy, _own_version(call, policy).number)
    grants.forget_after(call.tx)


def _own_version(call: Call, policy: policies.ManagedPolicy) -> PolicyVersion:
    return named_policies.the_version(call, named_policies.of_row(policy, call.settings.partition), call.input["VersionId"])


# ------------------------------------------------------------------------------------------------------------------- tags


def tag_policy(call: Call) -> None:
    policy = named_policies.the_own_policy(call, call.input["PolicyArn"])
    iam.tag(call, policy.id, "Policy", iam.read_tags(call.input["Tags"]))


def untag_policy(call: Call) -> None:
    policy = named_policies.the_own_policy(call, call.input["PolicyArn"])
    iam.untag(call, policy.id, call.input["TagKeys"])


def list_policy_tags(call: Call) -> dict[str, Any]:
    return iam.list_tags(call, named_policies.the_policy(call, call.input["PolicyArn"]).id)


# ---------------------------------------------------------------------------------------------------------------- helpers


def _check_document(document: str) -> None:
    named_policies.check_document(document)
    if named_policies.size(document) > named_policies.LARGEST_MANAGED:
        raise iam.limit("PolicySize", named_policies.LARGEST_MANAGED)


def _place(policy: Policy) -> tuple[str, bool]:
    """Its place in lists: by name, the account's own before AWS's of the same name."""
    return policy.name.lower(), policy.own is None


def _listed_version(version: PolicyVersion, default: int) -> dict[str, Any]:
    return {
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.number == default,
        "CreateDate": version.created_at,
    }
