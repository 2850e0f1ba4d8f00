"""EC2's operations on instances, their types, images and key pairs."""

from mallee.compute import owned as owned
from mallee.compute.api import (
    attributes,
    console,
    images,
    instances,
    key_pairs,
    power,
    profile_associations,
    run,
    status,
    types,
)

OPERATIONS = {
    "ec2": (attributes, console, images, instances, key_pairs, power, profile_associations, run, status, types),
}

NOTES = {
    "ec2": {
        "describe_images": "`amazon` as an owner is the administrator of the cloud",
        "describe_instance_types": "t2, t3, t3a, m5, c5 and r5, with AWS's sizes",
        "get_console_output": "the last 64 KiB of the serial console, while the guest runs and for an hour after",
        "modify_instance_attribute": "a new type needs room on the instance's own node",
        "replace_iam_instance_profile_association": "for running instances",
        "run_instances": "one network interface and the root volume; what is not supported is refused by name",
        "terminate_instances": "all of the instances or none, whatever their zones",
    }
}
