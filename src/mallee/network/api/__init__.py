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
