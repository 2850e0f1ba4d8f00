"""DescribeNetworkInterfaces, DescribeNetworkInterfaceAttribute, ModifyNetworkInterfaceAttribute,
ResetNetworkInterfaceAttribute."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mallee.ec2 import filters, paging, resources
from mallee.ec2.access import about_id, attribute_keys, checked
from mallee.ec2.listing import listed
from mallee.identity.access import Check, On
from mallee.identity.call import Call
from mallee.network import access, groups, interfaces, names, records
from mallee.network.records import Interface
from mallee.wire.errors import AwsError

TYPE = "network-interface"


def _nothing(item: Any) -> None:
    return None


def _false(item: Any) -> bool:
    return False


def _if_attached(name: str) -> Any:
    return lambda interface: getattr(interface, name) if interface.instance_id else None


def _status(interface: Interface) -> str:
    return "in-use" if interface.instance_id else "available"


def _ip_owner(interface: Interface) -> str | None:
    if not interface.public_ip:
        return None
    return interface.account_id if interface.allocation_id else "amazon"


_FILTERS = {
    "addresses.association.owner-id": _ip_owner,
    "addresses.association.public-ip": lambda interface: interface.public_ip,
    "addresses.primary": lambda interface: True,
    "addresses.private-ip-address": lambda interface: interface.private_ip,
    "association.allocation-id": lambda interface: interface.allocation_id,
    "association.association-id": lambda interface: interface.association_id,
    "association.ip-owner-id": _ip_owner,
    "association.public-ip": lambda interface: interface.public_ip,
    "attachment.attach-time": _if_attached("attached_at"),
    "attachment.attachment-id": _if_attached("attachment_id"),
    "attachment.delete-on-termination": _if_attached("delete_on_termination"),
    "attachment.device-index": _if_attached("device_index"),
    "attachment.instance-id": _if_attached("instance_id"),
    "attachment.instance-owner-id": _if_attached("account_id"),
    "attachment.status": lambda interface: "attached" if interface.instance_id else None,
    "availability-zone": lambda interface: interface.zone,
    "description": lambda interface: interface.description,
    "group-id": lambda interface: interface.group_ids,
    "interface-type": lambda interface: "interface",
    "ipv6-addresses.ipv6-address": _nothing,
    "mac-address": lambda interface: interface.mac,
    "network-interface-id": lambda interface: interface.id,
    "operator.managed": _false,
    "operator.principal": _nothing,
    "owner-id": lambda interface: interface.account_id,
    "private-ip-address": lambda interface: interface.private_ip,
    "requester-id": _nothing,
    "requester-managed": _false,
    "source-dest-check": lambda interface: interface.source_dest_check,
    "status": _status,
    "subnet-id": lambda interface: interface.subnet_id,
    "vpc-id": lambda interface: interface.vpc_id,
}


def describe_network_interfaces(call: Call) -> dict[str, Any]:
    paging.refuse_with_ids(call, "NetworkInterfaceIds", "networkInterfaceIds")
    portrait = _Portrait(call)
    found, tags, token = listed(call, TYPE, "NetworkInterfaceIds", _candidates(call), portrait.filters(), default=0)
    portrait.load(found)
    shown = [portrait.of(each) | {"TagSet": tags.get(each.id, [])} for each in found]
    return {"NetworkInterfaces": shown, "NextToken": token}


def _candidates(call: Call) -> list[Interface]:
    of_instances = filters.exact(call.input.get("Filters"), "attachment.instance-id")
    if of_instances is None or call.input.get("NetworkInterfaceIds"):
        return interfaces.everything(call.tx)
    return [each for held in interfaces.of_instances(call.tx, of_instances).values() for each in held]


class _Portrait:
    """Interfaces as DescribeNetworkInterfaces shows them, with the names of groups and hosts."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._groups: dict[str, str] = {}
        self._hostnames = {vpc.id: vpc.dns_hostnames for vpc in records.all_vpcs(call.tx)}

    def filters(self) -> filters.Table:
        return _FILTERS | {
            "association.public-dns-name": lambda each: self._public_hostname(each) or None,
            "availability-zone-id": lambda each: names.zone_id(self._call.region, each.zone),
            "group-name": lambda each: [self._group_name(id) for id in each.group_ids],
            "private-dns-name": lambda each: names.private_hostname(each.private_ip, self._call.region),
        }

    def load(self, shown: Sequence[Interface]) -> None:
        wanted = sorted({id for each in shown for id in each.group_ids})
        self._groups |= records.group_names(self._call.tx, wanted)

    def _group_name(self, id: str) -> str:
        if not self._groups:
            self._groups = records.group_names(self._call.tx)
        return self._groups.get(id, "")

    def _public_hostname(self, each: Interface) -> str:
        if not each.public_ip or not self._hostnames.get(each.vpc_id):
            return ""
        return names.public_hostname(each.public_ip, self._call.settings)

    def of(self, each: Interface) -> dict[str, Any]:
        region = self._call.region
        private_hostname = names.private_hostname(each.private_ip, region)
        association = None
        if each.public_ip:
            association = {
                "AllocationId": each.allocation_id,
                "AssociationId": each.association_id,
                "IpOwnerId": _ip_owner(each),
                "PublicDnsName": self._public_hostname(each),
                "PublicIp": each.public_ip,
            }
        return {
            "Association": association,
            "Attachment": _attachment(each),
            "AvailabilityZone": each.zone,
            "AvailabilityZoneId": names.zone_id(region, each.zone),
            "Description": each.description,
            "Groups": [{"GroupId": id, "GroupName": self._groups.get(id, "")} for id in each.group_ids],
            "InterfaceType": "interface",
            "Ipv6Addresses": [],
            "MacAddress": each.mac,
            "NetworkInterfaceId": each.id,
            "OwnerId": each.account_id,
            "PrivateDnsName": private_hostname,
            "PrivateIpAddress": each.private_ip,
            "PrivateIpAddresses": [
                {
                    "Association": association,
                    "Primary": True,
                    "PrivateDnsName": private_hostname,
                    "PrivateIpAddress": each.private_ip,
                }
            ],
            "RequesterManaged": False,
            "SourceDestCheck": each.source_dest_check,
            "Status": _status(each),
            "SubnetId": each.subnet_id,
            "VpcId": each.vpc_id,
        }


def _attachment(each: Interface) -> dict[str, Any] | None:
    if each.instance_id is None:
        return None
    return {
        "AttachTime": each.attached_at,
        "AttachmentId": each.attachment_id,
        "DeleteOnTermination": each.delete_on_termination,
        "DeviceIndex": each.device_index,
        "InstanceId": each.instance_id,
        "InstanceOwnerId": each.account_id,
        "NetworkCardIndex": 0,
        "Status": "attached",
    }


# -------------------------------------------------------------------------------------------------------------- attributes


def describe_network_interface_attribute(call: Call) -> dict[str, Any]:
    interface = _one(call)
    attribute = call.input.get("Attribute")
    if not attribute:
        raise AwsError("MissingParameter", "The request must contain the parameter attribute")
    shown: dict[str, Any] = {"NetworkInterfaceId": interface.id}
    if attribute == "description":
        shown["Description"] = {"Value": interface.description}
    elif attribute == "groupSet":
        named = records.group_names(call.tx, interface.group_ids)
        shown["Groups"] = [{"GroupId": id, "GroupName": named.get(id, "")} for id in interface.group_ids]
    elif attribute == "sourceDestCheck":
        shown["SourceDestCheck"] = {"Value": interface.source_dest_check}
    elif attribute == "attachment":
        shown["Attachment"] = _attachment(interface)
    elif attribute == "associatePublicIpAddress":
        shown["AssociatePublicIpAddress"] = interface.wants_public
    else:
        raise AwsError("InvalidParameterValue", f"Value ({attribute[:64]}) for parameter attribute is invalid.")
    return shown


_ATTRIBUTES = (
    "Attachment",
    "AssociatePublicIpAddress",
    "AssociatedSubnetIds",
    "ConnectionTrackingSpecification",
    "Description",
    "EnablePrimaryIpv6",
    "EnaSrdSpecification",
    "Groups",
    "SourceDestCheck",
)


def modify_network_interface_attribute(call: Call) -> dict[str, Any]:
    given = [name for name in _ATTRIBUTES if call.input.get(name) is not None]
    if not given:
        raise AwsError("MissingParameter", "The request must contain an attribute to modify")
    if len(given) > 1:
        raise AwsError("InvalidParameterCombination", "Fields for multiple attribute types specified")
    interface, name = _one(call), given[0]
    value = call.input[name]
    if name == "Description":
        description = value.get("Value") or ""
        if len(description) > 255:
            raise AwsError("InvalidParameterValue", "The description must be no longer than 255 characters")
        interfaces.change(call.tx, interface, description=description)
    elif name == "SourceDestCheck":
        interfaces.change(call.tx, interface, source_dest_check=bool(value.get("Value")))
    elif name == "Groups":
        wanted = groups.resolve(call.tx, interface.vpc_id, value)
        interfaces.set_groups(call.tx, interface, wanted)
    elif name == "Attachment":
        _modify_attachment(call, interface, value)
    else:
        raise AwsError("UnsupportedOperation", f"The attribute {name} cannot be modified in this region.")
    return {}


def _modify_attachment(call: Call, interface: Interface, value: dict[str, Any]) -> None:
    id, wanted = value.get("AttachmentId"), value.get("DeleteOnTermination")
    if not id:
        raise AwsError("MissingParameter", "The request must contain the parameter attachment.attachmentId")
    resources.check_id("interface-attachment", id)
    if id != interface.attachment_id:
        raise resources.not_found("interface-attachment", id)
    if wanted is None:
        raise AwsError("MissingParameter", "The request must contain the parameter attachment.deleteOnTermination")
    interfaces.change(call.tx, interface, delete_on_termination=wanted)


def reset_network_interface_attribute(call: Call) -> dict[str, Any]:
    interface = _one(call)
    if call.input.get("SourceDestCheck") is None:
        raise AwsError("MissingParameter", "The request must contain the parameter sourceDestCheck")
    interfaces.change(call.tx, interface, source_dest_check=True)
    return {}


def _one(call: Call) -> Interface:
    id = resources.check_id(TYPE, call.input["NetworkInterfaceId"])
    found = interfaces.one(call.tx, id)
    if found is None:
        raise resources.not_found(TYPE, id)
    return found


# --------------------------------------------------------------------------------------------------------------- access


def _holder(call: Call) -> Iterable[Check]:
    """Changing how an interface is attached concerns its instance too."""
    if call.input.get("Attachment") is not None:
        found = interfaces.one(call.tx, call.input["NetworkInterfaceId"])
        if found is not None and found.instance_id:
            yield about_id(call, found.instance_id)


def _attribute(call: Call) -> str | None:
    return next((name for name in _ATTRIBUTES if call.input.get(name) is not None), None)


_INTERFACE = On(access.NETWORK_INTERFACE, "NetworkInterfaceId")
ACCESS = {
    "describe_network_interfaces": checked(),
    "describe_network_interface_attribute": checked(),
    "modify_network_interface_attribute": checked(
        _INTERFACE,
        On(access.SECURITY_GROUP, "Groups"),
        keys=attribute_keys(_attribute, _ATTRIBUTES),
        find=_holder,
    ),
    "reset_network_interface_attribute": checked(_INTERFACE),
}
