"""AllocateAddress, AssociateAddress, DisassociateAddress, ReleaseAddress, DescribeAddresses,
DescribeAddressesAttribute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mallee.ec2 import filters, paging, resources, tags
from mallee.ec2.access import about_id, checked
from mallee.ec2.listing import by_ids
from mallee.identity.access import Check, On
from mallee.identity.call import Call
from mallee.identity.quotas import require
from mallee.network import access, addresses, interfaces, quotas, records
from mallee.network.records import Address, Interface
from mallee.wire.errors import AwsError

TYPE = "elastic-ip"


def allocate_address(call: Call) -> dict[str, Any]:
    given = tags.from_specifications(call.input, TYPE)
    if call.input.get("Domain") not in (None, "vpc"):
        raise AwsError("UnsupportedOperation", "Addresses for EC2-Classic are not supported.")
    _check_pools(call)
    error = AwsError("AddressLimitExceeded", "The maximum number of addresses has been reached.")
    require(call, quotas.ELASTIC_ADDRESSES, error=error)
    address = addresses.allocate(call.tx, call.settings, call.account_id, call.input.get("Address"))
    tags.write(call.tx, address.id, TYPE, given)
    return {
        "AllocationId": address.id,
        "Domain": "vpc",
        "NetworkBorderGroup": call.region,
        "PublicIp": address.public_ip,
        "PublicIpv4Pool": "amazon",
    }


def _check_pools(call: Call) -> None:
    """There is one pool, the region's own; every other that a caller names does not exist."""
    pool = call.input.get("PublicIpv4Pool")
    if pool not in (None, "amazon"):
        raise AwsError("InvalidPublicIpv4PoolID.NotFound", f"The ipv4pool-ec2 ID '{pool[:64]}' does not exist")
    for member, code in (
        ("CustomerOwnedIpv4Pool", "InvalidCustomerOwnedIpv4PoolId.NotFound"),
        ("IpamPoolId", "InvalidIpamPoolId.NotFound"),
    ):
        named = call.input.get(member)
        if named:
            raise AwsError(code, f"The pool ID '{named[:64]}' does not exist")
    border = call.input.get("NetworkBorderGroup")
    if border not in (None, call.region):
        raise AwsError("InvalidParameterValue", f"Invalid value '{border[:64]}' for network border group.")


# ------------------------------------------------------------------------------------------------------------ associating


def associate_address(call: Call) -> dict[str, Any]:
    tx, input = call.tx, call.input
    address = _address(call)
    interface = _target(call)
    private_ip = input.get("PrivateIpAddress")
    if private_ip is not None and private_ip != interface.private_ip:
        raise AwsError("InvalidParameterValue", f"The private IP address {private_ip[:64]} is not assigned to {interface.id}")
    if not records.has_gateway(tx, interface.vpc_id):
        raise AwsError("Gateway.NotAttached", f"Network {interface.vpc_id} is not attached to any internet gateway")
    previous = interfaces.of_allocation(tx, address.id)
    may_move = input.get("AllowReassociation") is not False
    if previous is not None and previous.id != interface.id and not may_move:
        raise AwsError(
            "Resource.AlreadyAssociated",
            f"resource {address.id} is already associated with associate-id {previous.association_id}",
        )
    if interface.allocation_id not in (None, address.id):
        if input.get("NetworkInterfaceId") and not may_move:
            raise AwsError(
                "Resource.AlreadyAssociated",
                f"resource {interface.id} is already associated with associate-id {interface.association_id}",
            )
        addresses.clear(tx, interface)
    return {"AssociationId": addresses.associate(tx, address, interface, previous)}


def _address(call: Call) -> Address:
    """The address that ``AllocationId`` or ``PublicIp`` names."""
    id, ip = call.input.get("AllocationId"), call.input.get("PublicIp")
    if id and ip:
        raise AwsError("InvalidParameterCombination", "You may specify public IP or allocation id, but not both")
    if id:
        found = addresses.by_id(call.tx, resources.check_id(TYPE, id))
        if found is None:
            raise resources.not_found(TYPE, id)
        return found
    if ip:
        found = addresses.by_ip(call.tx, ip)
        if found is None:
            raise AwsError("InvalidAddress.NotFound", f"Address '{ip[:64]}' not found.")
        return found
    raise AwsError("MissingParameter", "Either public IP or allocation id must be specified")


def _target(call: Call) -> Interface:
    instance_id, interface_id = call.input.get("InstanceId"), call.input.get("NetworkInterfaceId")
    if instance_id and interface_id:
        raise AwsError("InvalidParameterCombination", "You may specify instance id or network interface id, but not both")
    if interface_id:
        found = interfaces.one(call.tx, resources.check_id("network-interface", interface_id))
        if found is None:
            raise resources.not_found("network-interface", interface_id)
        return found
    if not instance_id:
        raise AwsError("MissingParameter", "Either instance id or network interface id must be specified")
    resources.check_id("instance", instance_id)
    resources.require(call.tx, [instance_id])
    held = interfaces.of_instances(call.tx, [instance_id]).get(instance_id, [])
    if not held:
        raise AwsError("InvalidInstanceID", f"The instance '{instance_id}' is not in a valid state for this operation.")
    if len(held) > 1:
        raise AwsError(
            "InvalidInstanceID",
            f"There are multiple interfaces attached to instance '{instance_id}'. "
            "Please specify an interface ID for the operation instead.",
        )
    return held[0]


def disassociate_address(call: Call) -> dict[str, Any]:
    id, ip = call.input.get("AssociationId"), call.input.get("PublicIp")
    if id and ip:
        raise AwsError("InvalidParameterCombination", "You may specify public IP or association id, but not both")
    if id:
        interface = interfaces.of_association(call.tx, resources.check_id("address-association", id))
        if interface is None:
            raise resources.not_found("address-association", id)
    elif ip:
        interface = interfaces.of_allocation(call.tx, _address(call).id)
    else:
        raise AwsError("MissingParameter", "Either public IP or association id must be specified")
    if interface is not None:
        _disassociate(call, interface)
    return {}


def _disassociate(call: Call, interface: Interface) -> None:
    held: list[Interface] = []
    if interface.instance_id:
        held = interfaces.of_instances(call.tx, [interface.instance_id])[interface.instance_id]
    addresses.disassociate(call.tx, call.settings, interface, others=len(held) - 1)


def release_address(call: Call) -> dict[str, Any]:
    address = _address(call)
    border = call.input.get("NetworkBorderGroup")
    if border not in (None, call.region):
        raise AwsError("InvalidAddress.NotFound", f"Address '{address.public_ip}' not found.")
    interface = interfaces.of_allocation(call.tx, address.id)
    if interface is not None:
        vpc = records.vpc(call.tx, interface.vpc_id)
        if vpc is None or not vpc.is_default:
            raise AwsError("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
        _disassociate(call, interface)
    addresses.release(call.tx, address)
    return {}


# -------------------------------------------------------------------------------------------------------------- describing


@dataclass(frozen=True, slots=True)
class _Shown:
    address: Address
    interface: Interface | None

    @property
    def id(self) -> str:
        return self.address.id


def _of_interface(name: str) -> Any:
    return lambda shown: getattr(shown.interface, name) if shown.interface else None


_FILTERS = {
    "allocation-id": lambda shown: shown.address.id,
    "association-id": _of_interface("association_id"),
    "domain": lambda shown: "vpc",
    "instance-id": _of_interface("instance_id"),
    "network-interface-id": _of_interface("id"),
    "network-interface-owner-id": _of_interface("account_id"),
    "private-ip-address": _of_interface("private_ip"),
    "public-ip": lambda shown: shown.address.public_ip,
}


def describe_addresses(call: Call) -> dict[str, Any]:
    held = interfaces.by_allocation(call.tx)
    shown = [_Shown(address, held.get(address.id)) for address in addresses.everything(call.tx)]
    shown = _by_ips(call, by_ids(call, TYPE, "AllocationIds", shown))
    known = tags.tags_of(call.tx, [each.id for each in shown], TYPE)
    table = _FILTERS | {"network-border-group": lambda each: call.region}
    found = filters.apply(call.input.get("Filters"), table, shown, tags_of=lambda each: known.get(each.id, ()))
    return {"Addresses": [_address_shown(call, each) | {"Tags": known.get(each.id, [])} for each in found]}


def _by_ips(call: Call, shown: list[_Shown]) -> list[_Shown]:
    wanted = call.input.get("PublicIps")
    if not wanted:
        return shown
    present = {each.address.public_ip: each for each in shown}
    for ip in wanted:
        if ip not in present:
            raise AwsError("InvalidAddress.NotFound", f"Address '{ip[:64]}' not found.")
    return [present[ip] for ip in dict.fromkeys(wanted)]


def _address_shown(call: Call, shown: _Shown) -> dict[str, Any]:
    address, interface = shown.address, shown.interface
    found: dict[str, Any] = {
        "AllocationId": address.id,
        "Domain": "vpc",
        "NetworkBorderGroup": call.region,
        "PublicIp": address.public_ip,
        "PublicIpv4Pool": "amazon",
    }
    if interface is not None:
        found |= {
            "AssociationId": interface.association_id,
            "InstanceId": interface.instance_id,
            "NetworkInterfaceId": interface.id,
            "NetworkInterfaceOwnerId": interface.account_id,
            "PrivateIpAddress": interface.private_ip,
        }
    return found


def describe_addresses_attribute(call: Call) -> dict[str, Any]:
    """Reverse names are the only attribute, and no address of this cloud has one."""
    attribute = call.input.get("Attribute")
    if attribute not in (None, "domain-name"):
        raise AwsError("InvalidParameterValue", f"Value ({attribute[:64]}) for parameter attribute is invalid.")
    found = by_ids(call, TYPE, "AllocationIds", addresses.everything(call.tx))
    found, token = paging.page(call, found, key=lambda each: each.id, minimum=1)
    return {
        "Addresses": [{"AllocationId": each.id, "PublicIp": each.public_ip} for each in found],
        "NextToken": token,
    }


# --------------------------------------------------------------------------------------------------------------- access


def _instance(call: Call) -> Iterable[Check]:
    """The instance that the call names: another domain's resource."""
    id = call.input.get("InstanceId")
    return [about_id(call, id)] if id else []


ACCESS = {
    "allocate_address": checked(On(access.NEW_ELASTIC_IP)),
    "associate_address": checked(
        On(access.ELASTIC_IP, "AllocationId"),
        On(access.ELASTIC_IP_AT, "PublicIp"),
        On(access.NETWORK_INTERFACE, "NetworkInterfaceId"),
        find=_instance,
    ),
    "disassociate_address": checked(
        On(access.ELASTIC_IP_ASSOCIATED, "AssociationId"),
        On(access.INTERFACE_ASSOCIATED, "AssociationId"),
        On(access.ELASTIC_IP_AT, "PublicIp"),
        On(access.INTERFACE_AT, "PublicIp"),
    ),
    "release_address": checked(On(access.ELASTIC_IP, "AllocationId"), On(access.ELASTIC_IP_AT, "PublicIp")),
    "describe_addresses": checked(),
    "describe_addresses_attribute": checked(),
}
