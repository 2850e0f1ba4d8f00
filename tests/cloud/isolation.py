"""Calls of one account with another account's identifiers, made from the models: what tests/cloud/test_isolation.py asks.

For every operation that the registry has, and for every member of its input that names a resource, there are two calls: one with the
identifier of a resource that another account owns, one with an identifier of the same form that nobody owns. They differ in nothing
else, and so must the answers. Which members name resources is told by ``KINDS``, which are known not to by ``PLAIN``; a member whose
name looks like an identifier and stands in neither is an error, so that an operation added later takes part by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]

# kinds by the member's name; "service.Operation.Member" and "service.Member" come before "Member". Lists are named as their member.
KINDS: dict[str, str] = {
    "InstanceId": "instance",
    "InstanceIds": "instance",
    "ec2.ImageId": "image",
    "ImageIds": "image",
    "KernelId": "kernel",
    "RamdiskId": "ramdisk",
    "VpcId": "vpc",
    "VpcIds": "vpc",
    "SubnetId": "subnet",
    "SubnetIds": "subnet",
    "GroupId": "security-group",
    "GroupIds": "security-group",
    "SecurityGroupIds": "security-group",
    "ec2.Groups": "security-group",
    "ReferencedGroupId": "security-group",
    "ec2.GroupName": "security-group-name",
    "ec2.GroupNames": "security-group-name",
    "ec2.SecurityGroups": "security-group-name",
    "SourceSecurityGroupName": "security-group-name",
    "SourceSecurityGroupOwnerId": "account",
    "SecurityGroupRuleId": "security-group-rule",
    "SecurityGroupRuleIds": "security-group-rule",
    "NetworkInterfaceId": "network-interface",
    "NetworkInterfaceIds": "network-interface",
    "AttachmentId": "interface-attachment",
    "AllocationId": "elastic-ip",
    "AllocationIds": "elastic-ip",
    "ec2.AssociationId": "address-association",
    "PublicIp": "public-ip",
    "PublicIps": "public-ip",
    "KeyName": "key-name",
    "KeyNames": "key-name",
    "KeyPairId": "key-pair",
    "KeyPairIds": "key-pair",
    "DhcpOptionsIds": "dhcp-options",
    "InternetGatewayIds": "internet-gateway",
    "RouteTableIds": "route-table",
    "NetworkAclIds": "network-acl",
    "ec2.Resources": "instance",
    "ec2.AssociationIds": "profile-association",
    "ec2.AssociateIamInstanceProfile.Arn": "instance-profile-arn",
    "ec2.AssociateIamInstanceProfile.Name": "instance-profile",
    "ec2.RunInstances.Arn": "instance-profile-arn",
    "ec2.RunInstances.Name": "instance-profile",
    "ec2.ReplaceIamInstanceProfileAssociation.Arn": "instance-profile-arn",
    "ec2.ReplaceIamInstanceProfileAssociation.Name": "instance-profile",
    "ec2.ReplaceIamInstanceProfileAssociation.AssociationId": "profile-association",
    "ec2.DisassociateIamInstanceProfile.AssociationId": "profile-association",
    "UserName": "user",
    "NewUserName": "user",
    "iam.GroupName": "group",
    "NewGroupName": "group",
    "RoleName": "role",
    "InstanceProfileName": "instance-profile",
    "PolicyArn": "policy-arn",
    "PermissionsBoundary": "policy-arn",
    "PolicyName": "policy-name",
    "PolicySourceArn": "user-arn",
    "AccessKeyId": "access-key",
    "SerialNumber": "mfa-arn",
    "CertificateId": "signing-certificate",
    "ServerCertificateName": "server-certificate",
    "NewServerCertificateName": "server-certificate",
    "SSHPublicKeyId": "ssh-public-key",
    "OpenIDConnectProviderArn": "oidc-provider-arn",
    "SAMLProviderArn": "saml-provider-arn",
    "PrincipalArn": "saml-provider-arn",
    "RoleArn": "role-arn",
    "iam.JobId": "last-accessed-job",
    "DeletionTaskId": "deletion-task",
    "iam.Arn": "role-arn",
    "CallerArn": "user-arn",
    "sts.arn": "policy-arn",
    "VirtualMFADeviceName": "mfa-name",
    "AccountId": "account",
    "TargetId": "account",
    "service-quotas.RequestId": "quota-request",
    "mallee.RequestId": "quota-request",
    "mallee.PolicyId": "service-control-policy",
    "mallee.BucketName": "bucket",
    "ProviderArn": "oidc-provider-arn",
    "ResourceARN": "quota-arn",
    "s3.Bucket": "bucket",
    "s3.Key": "object-key",
    "s3.CreateBucket.Key": "",  # a tag's
    "s3.VersionId": "object-version",
    "s3.UploadId": "upload",
    "s3.CopySource": "copy-source",
    "s3.Id": "bucket-configuration",
    "s3control.Bucket": "bucket",
    "s3control.BucketAccountId": "account",
    "s3control.Name": "access-point",
    "s3control.ResourceArn": "bucket-arn",
}

PLAIN = frozenset({
    # free texts, names of things to be made that others may bear as well, tokens, words of AWS
    "ClientToken", "NextToken", "Marker", "Description", "Name", "Names", "Key", "Value", "Values", "Path", "NewPath", "PathPrefix",
    "Owners", "ExecutableUsers", "OwnerIds", "AWSServiceName", "ServiceName", "VersionId", "ExternalId", "RoleSessionName",
    "ActionNames", "ResourceArns",  # of a simulation: nothing is looked up
    # of things that this cloud does not have, and refuses
    "IpamPoolId", "AssociatedSubnetIds", "ServiceSpecificCredentialId", "ContextId", "ProviderId", "SSEKMSKeyId", "DataSourceId",
})  # fmt: skip

_LOOKS = re.compile(r"(Id|Ids|Arn|Arns|ARN|Name|Names|SerialNumber)$")


@dataclass(frozen=True, slots=True)
class Asked:
    """One call with an identifier in one place. ``path`` is where."""

    service: str
    operation: str
    kind: str
    path: Path
    input: dict[str, Any]


def kind_of(service: str, operation: str, member: str) -> str | None:
    for name in (f"{service}.{operation}.{member}", f"{service}.{member}", member):
        if name in KINDS:
            return KINDS[name] or None
    return None


def places(service: str, operation: Any) -> Iterator[tuple[Path, str]]:
    """Every place of the operation's input that names a resource, with the resource's kind."""
    if operation.input_shape is not None:
        yield from _places(service, operation.name, operation.input_shape, (), ())


def _places(service: str, operation: str, shape: Any, path: Path, seen: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    if shape.name in seen:
        return
    for name, member in shape.members.items():
        inner, here = member, (*path, name)
        while inner.type_name == "list":
            inner = inner.member
        if inner.type_name == "structure":
            yield from _places(service, operation, inner, here, (*seen, shape.name))
        elif inner.type_name == "string":
            kind = kind_of(service, operation, name)
            if kind is not None:
                yield here, kind


def unclassified(service: str, operation: Any, plain: frozenset[str]) -> Iterator[str]:
    """Top-level members that look like identifiers and about which nothing is said."""
    shape = operation.input_shape
    for name, member in (shape.members if shape is not None else {}).items():
        inner = member
        while inner.type_name == "list":
            inner = inner.member
        if inner.type_name != "string" or getattr(inner, "enum", None) or not _LOOKS.search(name):
            continue
        if kind_of(service, operation.name, name) is None and name not in PLAIN | plain:
            yield f"{service}.{operation.name}.{name}"


class Maker:
    """Inputs that are valid as far as the model says; ``usual`` has values for members by their name."""

    def __init__(self, usual: Mapping[str, Any]) -> None:
        self.usual = usual

    def required(self, service: str, operation: Any) -> dict[str, Any]:
        shape = operation.input_shape
        made = self._structure(service, operation.name, shape, 0) if shape is not None else {}
        return {**made, **self.usual.get(f"{service}.{operation.name}", {})}

    def with_identifier(self, service: str, operation: Any, path: Path, identifier: str) -> dict[str, Any]:
        made = self.required(service, operation)
        self._put(service, operation.name, made, operation.input_shape, path, identifier)
        return made

    def _put(self, service: str, operation: str, into: dict[str, Any], shape: Any, path: Path, identifier: str) -> None:
        name, *rest = path
        member = shape.members[name]
        depth = 0
        while member.type_name == "list":
            member, depth = member.member, depth + 1
        if rest:
            old = into.get(name)
            inner = old[0] if isinstance(old, list) and old else old if isinstance(old, dict) else None
            inner = dict(inner) if inner is not None else self._structure(service, operation, member, 1)
            self._put(service, operation, inner, member, tuple(rest), identifier)
            into[name] = [inner] if depth else inner
        else:
            into[name] = [identifier] if depth else identifier

    def _structure(self, service: str, operation: str, shape: Any, depth: int) -> dict[str, Any]:
        return {
            name: self._value(service, operation, name, shape.members[name], depth + 1) for name in shape.required_members
        }

    def _value(self, service: str, operation: str, name: str, shape: Any, depth: int) -> Any:
        for key in (f"{service}.{operation}.{name}", f"{service}.{name}", name):
            if key in self.usual:
                return self.usual[key]
        match shape.type_name:
            case "structure":
                return self._structure(service, operation, shape, depth) if depth < 6 else {}
            case "list":
                return [self._value(service, operation, name, shape.member, depth + 1)]
            case "string":
                if shape.enum:
                    return shape.enum[0]
                return "x" * max(int(shape.metadata.get("min", 1) or 1), 1)
            case "integer" | "long":
                return int(shape.metadata.get("min", 1) or 1)
            case "float" | "double":
                return 1.0
            case "boolean":
                return False
            case "blob":
                return b"x"
            case "timestamp":
                return "2024-01-01T00:00:00Z"
            case "map":
                return {}
        raise AssertionError(shape.type_name)


def missing(identifier: str) -> str:
    """An identifier of the same form and length that nobody has."""
    if re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", identifier):
        head, _, last = identifier.rpartition(".")
        return f"{head}.{(int(last) + 101) % 250 + 2}"
    for number in range(len(identifier) - 1, -1, -1):
        letter = identifier[number]
        if letter.isalnum():
            others = "01" if letter.isdigit() else "ab" if letter.islower() else "AB"
            changed = others[0] if letter != others[0] else others[1]
            return identifier[:number] + changed + identifier[number + 1 :]
    raise AssertionError(identifier)


_RANDOM = re.compile(
    r"\b(?:[a-z]+(?:-[a-z]+)*-[0-9a-f]{17}|A[A-Z]{3}[A-Z2-7]{16,17}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b"
)

_FRESH = re.compile(
    r'("(?:KeyMaterial|KeyFingerprint|Base32StringSeed|QRCodePNG|SecretAccessKey|SessionToken|CredentialReport)": )"(?:[^"\\]|\\.)*"'
)


def normal(text: str, identifier: str, kind: str) -> str:
    """An answer without what differs between any two calls: the identifier itself, fresh ids, request ids."""
    name = identifier.rpartition("/")[2]
    return _RANDOM.sub("<id>", _FRESH.sub(r'\1"<fresh>"', text.replace(identifier, f"<{kind}>").replace(name, "<name>")))
