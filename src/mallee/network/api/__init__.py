"""EC2's operations on networks."""

from mallee.network.api import (
    addresses,
    interfaces,
    places,
    routing,
    security_group_rules,
    security_groups,
    subnets,
    vpcs,
)

OPERATIONS = {
    "ec2": (addresses, interfaces, places, routing, security_group_rules, security_groups, subnets, vpcs),
}

NOTES = {
    "ec2": {
        "allocate_address": "From the region's own pool; Domain vpc only.",
        "associate_address": "To the primary private address of an interface.",
        "authorize_security_group_egress": "IPv6 ranges are kept and shown; no interface has an IPv6 address yet.",
        "authorize_security_group_ingress": "IPv6 ranges are kept and shown; no interface has an IPv6 address yet.",
        "describe_addresses_attribute": "No address has a reverse name.",
        "modify_network_interface_attribute": "Attachment, Description, Groups, SourceDestCheck.",
        "modify_subnet_attribute": "MapPublicIpOnLaunch.",
    }
}
