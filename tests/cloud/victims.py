"""An account with one of everything, for those who must not see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mallee.compute.setup import register_image
from mallee.fabric.document import Blob
from tests.cloud.harness import Account, TestCloud

PLAIN: frozenset[str] = frozenset({"InstanceType", "ZoneNames", "ZoneIds", "RegionNames"})

# (service, operation, member) where AWS's own answer tells a foreign resource from a missing one
TOLD_BY_AWS: frozenset[tuple[str, str, str]] = frozenset()


@dataclass
class Victim:
    """``identifiers`` by kind (``isolation.KINDS``); ``usual`` are values for the other members of the calls."""

    account: Account
    identifiers: dict[str, str] = field(default_factory=dict)
    usual: dict[str, Any] = field(default_factory=dict)

    def everything(self) -> list[str]:
        return sorted({value for kind, value in self.identifiers.items() if kind != "public-ip" and len(value) > 6})


def make(cloud: TestCloud) -> Victim:
    victim = Victim(cloud.account("the-victim"))
    victim.identifiers["account"] = victim.account.id
    for furnish in FURNISHERS:
        furnish(cloud, victim)
    return victim


def _network(cloud: TestCloud, victim: Victim) -> None:
    ec2, found = victim.account.client("ec2"), victim.identifiers
    vpc = ec2.describe_vpcs()["Vpcs"][0]
    found["vpc"], found["dhcp-options"] = vpc["VpcId"], vpc["DhcpOptionsId"]
    found["subnet"] = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    found["internet-gateway"] = ec2.describe_internet_gateways()["InternetGateways"][0]["InternetGatewayId"]
    found["route-table"] = ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
    found["network-acl"] = ec2.describe_network_acls()["NetworkAcls"][0]["NetworkAclId"]
    group = ec2.create_security_group(GroupName="victims-own-group", Description="of the victim", VpcId=found["vpc"])
    found["security-group"], found["security-group-name"] = group["GroupId"], "victims-own-group"
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group["GroupId"]]}])
    found["security-group-rule"] = rules["SecurityGroupRules"][0]["SecurityGroupRuleId"]


def _instance(cloud: TestCloud, victim: Victim) -> None:
    ec2, found = victim.account.client("ec2"), victim.identifiers
    pair = ec2.create_key_pair(KeyName="victims-own-key")
    found["key-name"], found["key-pair"] = "victims-own-key", pair["KeyPairId"]
    launched = ec2.run_instances(
        ImageId=cloud.image_id, MinCount=1, MaxCount=1, KeyName="victims-own-key", SecurityGroupIds=[found["security-group"]]
    )["Instances"][0]
    cloud.run()
    found["instance"] = launched["InstanceId"]
    interface = launched["NetworkInterfaces"][0]
    found["network-interface"] = interface["NetworkInterfaceId"]
    found["interface-attachment"] = interface["Attachment"]["AttachmentId"]
    address = ec2.allocate_address(Domain="vpc")
    found["elastic-ip"], found["public-ip"] = address["AllocationId"], address["PublicIp"]
    linked = ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=found["instance"])
    found["address-association"] = linked["AssociationId"]
    with cloud.database.transaction() as tx:
        blobs = [Blob(digit * 64, 1024) for digit in "abc"]
        found["image"] = register_image(
            tx, owner=victim.account.id, name="private", root=blobs[0], root_gib=1, kernel=blobs[1], ramdisk=blobs[2], public=False
        )
    image = ec2.describe_images(ImageIds=[found["image"]])["Images"][0]
    found["kernel"], found["ramdisk"] = image["KernelId"], image["RamdiskId"]
    victim.usual |= {
        "ec2.ImageId": cloud.image_id, "MinCount": 1, "MaxCount": 1, "ec2.Resources": [found["instance"][:-1] + "0"],
        "ec2.Tags": [{"Key": "k", "Value": "v"}], "ec2.GroupName": "intruders", "ec2.Description": "d", "ec2.KeyName": "intruders",
        "PublicKeyMaterial": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq5j0XWcAiaJoyLyLLxGcqVyKMVpnlCUl7mQ1gkVuPl x",
        "ec2.Attribute": "description",
    }  # fmt: skip


FURNISHERS: list[Callable[[TestCloud, Victim], None]] = [_network, _instance]
