"""IAM's types of resources, as policies name them.

An ARN bears path and name as they are kept, whatever case the request wrote; of a thing that is not there, or is yet to be
made, path and name are the request's. ``Call.input`` has passed the model's patterns by then, so that no name holds a
slash or a wildcard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mallee.identity.access import Check, ResourceType
from mallee.identity.call import Call
from mallee.identity.records import certificates, keys, mfa, policies, providers, roles, tags, users


def _arn(prefix: str) -> Callable[[Call, str, Any], str]:
    def arn(call: Call, identifier: str, thing: Any) -> str:
        if thing is not None:
            return str(thing.arn(call.settings.partition))
        return call.arn(f"{prefix}/{identifier}", "iam")

    return arn


def _new(prefix: str, member: str) -> Callable[[Call, str, Any], str]:
    """Of what the request is about to make, with the path that it is to have."""

    def arn(call: Call, identifier: str, thing: Any) -> str:
        return call.arn(f"{prefix}{call.input.get('Path') or '/'}{call.input.get(member, identifier)}", "iam")

    return arn


def _tags(call: Call, thing: Any) -> Mapping[str, str]:
    return tags.tags_of(call.tx, thing.id)


def _user(call: Call, name: str) -> users.User | None:
    return users.user_by_name(call.tx, call.account_id, name)


def _group(call: Call, name: str) -> users.Group | None:
    return users.group_by_name(call.tx, call.account_id, name)


def _role(call: Call, name: str) -> roles.Role | None:
    return roles.role_by_name(call.tx, call.account_id, name)


def _profile(call: Call, name: str) -> roles.InstanceProfile | None:
    return roles.instance_profile_by_name(call.tx, call.account_id, name)


_BOUNDARY: Mapping[str, Callable[[Call, Any], str | None]] = {
    "iam:PermissionsBoundary": lambda call, thing: thing.boundary_arn
}

USER = ResourceType("user", _arn("user"), _user, tags=_tags)
GROUP = ResourceType("group", _arn("group"), _group)
ROLE = ResourceType("role", _arn("role"), _role, tags=_tags)
INSTANCE_PROFILE = ResourceType("instance-profile", _arn("instance-profile"), _profile, tags=_tags)

# for the actions that AWS gives the key iam:PermissionsBoundary: the boundary that the user or role has
BOUNDED_USER = ResourceType("user", _arn("user"), _user, keys=_BOUNDARY, tags=_tags)
BOUNDED_ROLE = ResourceType("role", _arn("role"), _role, keys=_BOUNDARY, tags=_tags)

requested_boundary: Mapping[str, Callable[[Call], str | None]] = {
    "iam:PermissionsBoundary": lambda call: call.input.get("PermissionsBoundary")
}
"""The boundary that the request is about to give, for ``Access(keys=...)``."""

# what Create… is about to make
NEW_USER = ResourceType("user", _new("user", "UserName"))
NEW_GROUP = ResourceType("group", _new("group", "GroupName"))
NEW_ROLE = ResourceType("role", _new("role", "RoleName"))
NEW_INSTANCE_PROFILE = ResourceType("instance-profile", _new("instance-profile", "InstanceProfileName"))

# ------------------------------------------------------------------------------------------- credentials and who vouches


def _named_by_arn(prefix: str) -> Callable[[Call, str, Any], str]:
    """Of what requests name by its ARN; a serial number that is none is as good as a name."""

    def arn(call: Call, identifier: str, thing: Any) -> str:
        return identifier if identifier.startswith("arn:") else call.arn(f"{prefix}/{identifier}", "iam")

    return arn


def _arn_tags(call: Call, thing: Any) -> Mapping[str, str]:
    return tags.tags_of(call.tx, thing.arn)


def _mfa_device(call: Call, serial: str) -> mfa.MfaDevice | None:
    return mfa.mfa_device(call.tx, call.account_id, serial)


def _server_certificate(call: Call, name: str) -> certificates.ServerCertificate | None:
    return certificates.server_certificate_by_name(call.tx, call.account_id, name)


def _oidc_provider(call: Call, arn: str) -> providers.OidcProvider | None:
    return providers.oidc_provider(call.tx, call.account_id, arn)


def _saml_provider(call: Call, arn: str) -> providers.SamlProvider | None:
    return providers.saml_provider(call.tx, call.account_id, arn)


def _new_oidc_provider(call: Call, identifier: str, thing: Any) -> str:
    return call.arn(f"oidc-provider/{call.input.get('Url', identifier).removeprefix('https://')}", "iam")


def _new_saml_provider(call: Call, identifier: str, thing: Any) -> str:
    return call.arn(f"saml-provider/{call.input.get('Name', identifier)}", "iam")


def _key_owner(call: Call, access_key_id: str) -> users.User | None:
    found = keys.access_key(call.tx, access_key_id)
    return users.user(call.tx, found.user_id) if found is not None and found.user_id is not None else None


def _key_owner_arn(call: Call, access_key_id: str, owner: users.User | None) -> str:
    """A key that is not this account's, or the root's, has no user that a policy could name."""
    return call.arn("user/*", "iam") if owner is None else owner.arn(call.settings.partition)


MFA = ResourceType("mfa", _named_by_arn("mfa"), _mfa_device, tags=_tags)
SERVER_CERTIFICATE = ResourceType("server-certificate", _arn("server-certificate"), _server_certificate, tags=_tags)
OIDC_PROVIDER = ResourceType("oidc-provider", _named_by_arn("oidc-provider"), _oidc_provider, tags=_arn_tags)
SAML_PROVIDER = ResourceType("saml-provider", _named_by_arn("saml-provider"), _saml_provider, tags=_arn_tags)
KEY_OWNER = ResourceType("user", _key_owner_arn, _key_owner, tags=_tags)

NEW_MFA = ResourceType("mfa", _new("mfa", "VirtualMFADeviceName"))
NEW_SERVER_CERTIFICATE = ResourceType("server-certificate", _new("server-certificate", "ServerCertificateName"))
NEW_OIDC_PROVIDER = ResourceType("oidc-provider", _new_oidc_provider)
NEW_SAML_PROVIDER = ResourceType("saml-provider", _new_saml_provider)


def passing(call: Call, name: str, service: str, associated: str | None = None) -> Check:
    """Whether the caller may give the role to the service: ``iam:PassRole``, which is no operation but a question that
    others ask. ``associated`` is the ARN of what shall run with the role."""
    role = _role(call, name)
    return Check(
        "iam:PassRole",
        _arn("role")(call, name, role),
        keys={"iam:PassedToService": service, "iam:AssociatedResourceArn": associated},
        tags=None if role is None else lambda: tags.tags_of(call.tx, role.id),
    )

# ---------------------------------------------------------------------------------------------------------------- policies


def _policy(call: Call, arn: str) -> policies.ManagedPolicy | None:
    """The account's own; of AWS's there is nothing to load: they have no tags."""
    found = policies.policy_by_name(call.tx, call.account_id, arn.rpartition("/")[2])
    return found if found is not None and found.arn(call.settings.partition) == arn else None


def holder_by_arn(call: Call, arn: str) -> users.User | users.Group | roles.Role | None:
    """The user, group or role of the caller's account that an ARN names."""
    kind, _, path = arn.split(":", 5)[-1].partition("/")  # a path may have colons in it
    load: Callable[[Call, str], users.User | users.Group | roles.Role | None] | None
    load = {"user": _user, "group": _group, "role": _role}.get(kind)
    found = None if load is None else load(call, path.rpartition("/")[2])
    return found if found is not None and found.arn(call.settings.partition) == arn else None


def _holder_tags(call: Call, thing: Any) -> Mapping[str, str]:
    return {} if isinstance(thing, users.Group) else _tags(call, thing)


POLICY = ResourceType("policy", _named_by_arn("policy"), _policy, tags=_tags)
NEW_POLICY = ResourceType("policy", _new("policy", "PolicyName"))

# a user, group or role that the request names by its ARN
HOLDER = ResourceType("user", lambda call, arn, thing: arn, holder_by_arn, tags=_holder_tags)
