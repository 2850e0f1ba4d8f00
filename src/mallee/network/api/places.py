"""DescribeRegions, DescribeAvailabilityZones, DescribeAccountAttributes."""

from __future__ import annotations

from typing import Any

from mallee.ec2 import filters
from mallee.ec2.access import checked
from mallee.identity.call import Call
from mallee.identity.quotas import effective
from mallee.network import names, quotas, records
from mallee.wire.errors import AwsError

_OPTED = "opt-in-not-required"

_REGION_FILTERS = {
    "endpoint": lambda region: region["Endpoint"],
    "opt-in-status": lambda region: region["OptInStatus"],
    "region-name": lambda region: region["RegionName"],
}

_ZONE_FILTERS = {
    "group-long-name": lambda zone: zone["GroupLongName"],
    "group-name": lambda zone: zone["GroupName"],
    "message": lambda zone: [each["Message"] for each in zone["Messages"]],
    "opt-in-status": lambda zone: zone["OptInStatus"],
    "parent-zone-id": lambda zone: None,
    "parent-zone-name": lambda zone: None,
    "region-name": lambda zone: zone["RegionName"],
    "state": lambda zone: zone["State"],
    "zone-id": lambda zone: zone["ZoneId"],
    "zone-name": lambda zone: zone["ZoneName"],
    "zone-type": lambda zone: zone["ZoneType"],
}


def describe_regions(call: Call) -> dict[str, Any]:
    region = {
        "RegionName": call.region,
        "Endpoint": f"ec2.{call.region}.{call.settings.dns_suffix}",
        "OptInStatus": _OPTED,
    }
    asked = call.input.get("RegionNames") or ()
    for name in asked:
        if name != call.region:
            raise AwsError("InvalidParameterValue", f"Invalid region provided: [{name[:64]}]")
    return {"Regions": filters.apply(call.input.get("Filters"), _REGION_FILTERS, [region])}


def describe_availability_zones(call: Call) -> dict[str, Any]:
    zones = [_zone(call, name) for name in call.settings.zones]
    for member, key in (("ZoneNames", "ZoneName"), ("ZoneIds", "ZoneId")):
        asked = call.input.get(member) or ()
        present = {zone[key] for zone in zones}
        for name in asked:
            if name not in present:
                raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{name[:64]}]")
        if asked:
            zones = [zone for zone in zones if zone[key] in asked]
    return {"AvailabilityZones": filters.apply(call.input.get("Filters"), _ZONE_FILTERS, zones)}


def _zone(call: Call, name: str) -> dict[str, Any]:
    return {
        "State": "available",
        "OptInStatus": _OPTED,
        "Messages": [],
        "RegionName": call.region,
        "ZoneName": name,
        "ZoneId": names.zone_id(call.region, name),
        "GroupName": call.region,
        "GroupLongName": call.region,
        "NetworkBorderGroup": call.region,
        "ZoneType": "availability-zone",
    }


def describe_account_attributes(call: Call) -> dict[str, Any]:
    vpc = records.default_vpc(call.tx)
    addresses = str(int(effective(call.tx, call.account_id, quotas.ELASTIC_ADDRESSES)))
    known = {
        "supported-platforms": "VPC",
        "default-vpc": vpc.id if vpc is not None else "none",
        "max-instances": str(quotas.INSTANCES),
        "max-elastic-ips": addresses,
        "vpc-max-elastic-ips": str(quotas.ELASTIC_ADDRESSES),
        "vpc-max-security-groups-per-interface": str(quotas.groups_per_interface(call.tx, call.account_id)),
    }
    asked = call.input.get("AttributeNames") or list(known)
    for name in asked:
        if name not in known:
            raise AwsError("InvalidParameterValue", f"Value ({name[:64]}) for parameter attributeName is invalid.")
    return {
        "AccountAttributes": [
            {"AttributeName": name, "AttributeValues": [{"AttributeValue": known[name]}]} for name in dict.fromkeys(asked)
        ]
    }


ACCESS = {
    "describe_regions": checked(),
    "describe_availability_zones": checked(),
    "describe_account_attributes": checked(),
}
