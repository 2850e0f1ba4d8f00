"""The kinds of resources that EC2's ids name: their prefixes, their error codes, and who can say whether one exists.

The table below is the vocabulary of the whole API, kinds included that this cloud doesn't have yet. A domain that
owns a kind calls ``own`` when it is imported; what nobody owns, doesn't exist. An id that another account owns is
indistinguishable from one that never was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mallee.wire.errors import AwsError

if TYPE_CHECKING:
    from mallee.store import Tx


@dataclass(frozen=True, slots=True)
class Kind:
    """``type`` is the resource type of tags and ARNs, ``prefix`` that of its ids. ``absent`` has ``{}`` for one or
    more ids."""

    type: str
    prefix: str
    not_found: str
    malformed: str
    absent: str


def _kind(type: str, prefix: str, code: str, noun: str, malformed: str | None = None) -> Kind:
    return Kind(type, prefix, f"{code}.NotFound", f"{malformed or code}.Malformed", f"The {noun} does not exist")


KINDS = (
    _kind("instance", "i", "InvalidInstanceID", "instance ID '{}'"),
    _kind("image", "ami", "InvalidAMIID", "image id '[{}]'"),
    _kind("image", "aki", "InvalidAMIID", "image id '[{}]'"),
    _kind("image", "ari", "InvalidAMIID", "image id '[{}]'"),
    _kind("volume", "vol", "InvalidVolume", "volume '{}'", "InvalidVolumeID"),
    _kind("snapshot", "snap", "InvalidSnapshot", "snapshot '{}'", "InvalidSnapshotID"),
    _kind("key-pair", "key", "InvalidKeyPair", "key pair '{}'", "InvalidKeyPairId"),
    _kind("launch-template", "lt", "InvalidLaunchTemplateId", "specified launch template, with template ID {},"),
    _kind("reservation", "r", "InvalidReservationID", "reservation ID '{}'"),
    _kind("vpc", "vpc", "InvalidVpcID", "vpc ID '{}'"),
    _kind("subnet", "subnet", "InvalidSubnetID", "subnet ID '{}'"),
    _kind("route-table", "rtb", "InvalidRouteTableID", "routeTable ID '{}'", "InvalidRouteTableId"),
    _kind("internet-gateway", "igw", "InvalidInternetGatewayID", "internetGateway ID '{}'", "InvalidInternetGatewayId"),
    _kind("network-acl", "acl", "InvalidNetworkAclID", "networkAcl ID '{}'"),
    _kind("dhcp-options", "dopt", "InvalidDhcpOptionsID", "dhcpOption ID '{}'", "InvalidDhcpOptionsId"),
    _kind("security-group", "sg", "InvalidGroup", "security group '{}'", "InvalidGroupId"),
    _kind("security-group-rule", "sgr", "InvalidSecurityGroupRuleId", "security group rule ID '{}'"),
    _kind("network-interface", "eni", "InvalidNetworkInterfaceID", "networkInterface ID '{}'", "InvalidNetworkInterfaceId"),
    _kind("elastic-ip", "eipalloc", "InvalidAllocationID", "allocation ID '{}'"),
    _kind("address-association", "eipassoc", "InvalidAssociationID", "association ID '{}'"),
    Kind(
        "iam-instance-profile-association",
        "iip-assoc",
        "InvalidAssociationID.NotFound",
        "InvalidAssociationID.Malformed",
        "An invalid association-id of '{}' was given",
    ),
    _kind("interface-attachment", "eni-attach", "InvalidAttachmentID", "attachment ID '{}'"),
    _kind("placement-group", "pg", "InvalidPlacementGroupId", "placement group '{}'"),
    _kind("natgateway", "nat", "InvalidNatGatewayID", "nat gateway ID '{}'"),
    _kind("vpc-peering-connection", "pcx", "InvalidVpcPeeringConnectionID", "vpcPeeringConnection ID '{}'"),
    _kind("prefix-list", "pl", "InvalidPrefixListID", "prefix list ID '{}'", "InvalidPrefixListId"),
)

_BY_PREFIX = {kind.prefix: kind for kind in KINDS}
_BY_TYPE = {kind.type: kind for kind in reversed(KINDS)}
_ID = re.compile(r"(?P<prefix>[a-z]+(?:-[a-z]+)*)-(?:[0-9a-f]{8}|[0-9a-f]{17})")

Existing = Callable[["Tx", Sequence[str]], Iterable[str]]
Retagged = Callable[["Tx", Sequence[str]], None]
_existing: dict[str, Existing] = {}
_retagged: dict[str, Retagged] = {}


def own(prefix: str, existing: Existing, retagged: Retagged | None = None) -> None:
    """``existing(tx, ids)`` answers which of the ids the transaction's account owns; ``retagged(tx, ids)`` is called in
    the transaction that changes their tags by CreateTags or DeleteTags."""
    _existing[prefix] = existing
    if retagged is not None:
        _retagged[prefix] = retagged


def kind(type_or_prefix: str) -> Kind:
    """By resource type (``network-interface``) or prefix (``eni``)."""
    return _BY_TYPE.get(type_or_prefix) or _BY_PREFIX[type_or_prefix]


def kind_of(id: str) -> Kind | None:
    """The kind that an id names by its form, None when it has no such form."""
    found = _ID.fullmatch(id)
    return _BY_PREFIX.get(found["prefix"]) if found else None


def check_id(kind: Kind | str, id: str) -> str:
    """The id, if it is well-formed; else the kind's own Malformed error."""
    expected = _kind_named(kind)
    found = _ID.fullmatch(id)
    if found is None or found["prefix"] != expected.prefix:
        hint = "" if expected.prefix == "i" else f' (expecting "{expected.prefix}-...")'
        raise AwsError(expected.malformed, f'Invalid id: "{id[:256]}"{hint}')
    return id


def check_ids(kind: Kind | str, ids: Sequence[str]) -> list[str]:
    """Distinct well-formed ids in their order."""
    expected = _kind_named(kind)
    return [check_id(expected, id) for id in dict.fromkeys(ids)]


def not_found(kind: Kind | str, ids: str | Sequence[str]) -> AwsError:
    expected = _kind_named(kind)
    if isinstance(ids, str):
        ids = [ids]
    message = expected.absent.format(", ".join(ids))
    if len(ids) > 1:
        message = message.replace(" ID ", " IDs ").replace(" does not exist", " do not exist")
    return AwsError(expected.not_found, message)


def existing(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Which of the ids exist for the transaction's account, of whatever kinds."""
    found: set[str] = set()
    for prefix, group in _by_prefix(ids).items():
        ask = _existing.get(prefix)
        if ask is not None:
            found.update(ask(tx, group))
    return found


def require(tx: Tx, ids: Sequence[str]) -> None:
    """Raises the kind's own NotFound error when an id of any kind doesn't exist, ``InvalidID`` when it is no id at
    all."""
    groups = _by_prefix(ids)
    for prefix, group in groups.items():
        ask = _existing.get(prefix)
        found = set(ask(tx, group)) if ask is not None else set()
        missing = [id for id in group if id not in found]
        if missing:
            raise not_found(_BY_PREFIX[prefix], missing)


def retagged(tx: Tx, ids: Sequence[str]) -> None:
    for prefix, group in _by_prefix(ids).items():
        tell = _retagged.get(prefix)
        if tell is not None:
            tell(tx, group)


def _kind_named(named: Kind | str) -> Kind:
    return named if isinstance(named, Kind) else kind(named)


def _by_prefix(ids: Sequence[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for id in dict.fromkeys(ids):
        found = kind_of(id)
        if found is None:
            raise AwsError("InvalidID", f"The ID '{id[:256]}' is not valid")
        groups.setdefault(found.prefix, []).append(id)
    return groups
