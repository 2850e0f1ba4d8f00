"""EC2's operations that concern every kind of resource."""

from mallee.ec2.api import tags

OPERATIONS = {"ec2": (tags,)}
