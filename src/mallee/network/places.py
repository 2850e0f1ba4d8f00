"""Where something may be: regions, zones, and the subnet that a request means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mallee.ec2 import resources
from mallee.network import names, records
from mallee.network.records import Subnet
from mallee.store import Tx
from mallee.wire.errors import AwsError

if TYPE_CHECKING:
    from mallee.settings import Settings


def check_zone(settings: Settings, zone: str) -> str:
    """A zone of the region, by its name or id."""
    for name in settings.zones:
        if zone in (name, names.zone_id(settings.region, name)):
            return name
    raise AwsError("InvalidParameterValue", f"Invalid availability zone: [{zone[:64]}]")


def subnet(tx: Tx, id: str) -> Subnet:
    """A subnet by its id, or AWS's error."""
    resources.check_id("subnet", id)
    found = records.subnet(tx, id)
    if found is None:
        raise resources.not_found("subnet", id)
    return found


def subnet_for(tx: Tx, settings: Settings, subnet_id: str | None = None, zone: str | None = None) -> Subnet:
    """The subnet for a new interface: the one named, which must lie in ``zone`` if that is given too; else the default
    subnet of the zone, or of the first zone that has one."""
    if zone is not None:
        zone = check_zone(settings, zone)
    if subnet_id:
        found = subnet(tx, subnet_id)
        if zone is not None and found.zone != zone:
            raise AwsError("InvalidParameterValue", f"The subnet '{found.id}' is not in the Availability Zone '{zone}'.")
        return found
    defaults = records.default_subnets(tx)
    for each in defaults:
        if zone in (None, each.zone):
            return each
    vpc = records.default_vpc(tx)
    if vpc is None:
        raise AwsError("VPCIdNotSpecified", "No default VPC for this user. GroupName is only supported for default VPC.")
    if zone is not None:
        raise AwsError("MissingInput", f"No default subnet for availability zone: '{zone}'.")
    raise AwsError("MissingInput", f"No subnets found for the default VPC '{vpc.id}'. Please specify a subnet.")
