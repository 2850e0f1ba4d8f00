"""EC2's operations on instances, their types, images and key pairs."""

from mallee.compute import owned as owned
from mallee.compute.api import attributes, console, images, instances, key_pairs, power, run, status, types

OPERATIONS = {"ec2": (attributes, console, images, instances, key_pairs, power, run, status, types)}
