"""EC2's operations on instances, their types, images and key pairs."""

from mallee.compute.api import images, key_pairs, types

OPERATIONS = {"ec2": (images, key_pairs, types)}
