"""Elastic addresses, and the short-lived public addresses of instances."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.harness import TestCloud, refused


def launch(cloud: TestCloud, count: int = 1, ec2: Any = None, **more: Any) -> list[str]:
    made = (ec2 or cloud.client("ec2")).run_instances(
        ImageId=cloud.image_id, InstanceType="t3.nano", MinCount=count, MaxCount=count, **more
    )
    cloud.run()
    return [instance["InstanceId"] for instance in made["Instances"]]


def instance(ec2: Any, id: str) -> dict[str, Any]:
    return ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]


def interface(ec2: Any, instance_id: str) -> dict[str, Any]:
    asked = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    (found,) = ec2.describe_network_interfaces(Filters=asked)["NetworkInterfaces"]
    return found


def address(ec2: Any, allocation_id: str) -> dict[str, Any]:
    return ec2.describe_addresses(AllocationIds=[allocation_id])["Addresses"][0]


def leased(cloud: TestCloud) -> set[str]:
    from sqlalchemy import select

    from mallee.network import records

    with cloud.database.reading() as tx:
        return {row.ip for row in tx.all(select(records.public_leases.c.ip))}


def test_an_address_is_allocated_described_and_released(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    tag = [{"Key": "a", "Value": "1"}]
    made = ec2.allocate_address(Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tag}])
    assert made["AllocationId"].startswith("eipalloc-")
    assert made["PublicIp"].startswith("198.51.100.")
    assert (made["Domain"], made["PublicIpv4Pool"], made["NetworkBorderGroup"]) == ("vpc", "amazon", "local-1")
    (found,) = ec2.describe_addresses()["Addresses"]
    assert found == {
        "AllocationId": made["AllocationId"],
        "Domain": "vpc",
        "NetworkBorderGroup": "local-1",
        "PublicIp": made["PublicIp"],
        "PublicIpv4Pool": "amazon",
        "Tags": tag,
    }
    assert ec2.describe_addresses(PublicIps=[made["PublicIp"]])["Addresses"] == [found]
    assert ec2.describe_addresses_attribute(Attribute="domain-name")["Addresses"] == [
        {"AllocationId": made["AllocationId"], "PublicIp": made["PublicIp"]}
    ]
    assert leased(cloud) == {made["PublicIp"]}
    ec2.release_address(AllocationId=made["AllocationId"])
    assert ec2.describe_addresses()["Addresses"] == []
    assert ec2.describe_tags()["Tags"] == []
    assert leased(cloud) == set()
    with refused("InvalidAllocationID.NotFound") as message:
        ec2.release_address(AllocationId=made["AllocationId"])
    assert message() == f"The allocation ID '{made['AllocationId']}' does not exist"


def test_a_certain_address_can_be_asked_for(cloud: TestCloud) -> None:
    ec2, other = cloud.client("ec2"), cloud.account().client("ec2")
    assert ec2.allocate_address(Address="198.51.100.77")["PublicIp"] == "198.51.100.77"
    for wanted in ("198.51.100.77", "192.0.2.1", "198.51.100.0", "198.51.100.255", "nonsense", "198.51.100.077"):
        with refused("InvalidAddress.NotFound"):
            other.allocate_address(Address=wanted)


def test_allocating_what_is_not_here(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    with refused("UnsupportedOperation"):
        ec2.allocate_address(Domain="standard")
    with refused("InvalidPublicIpv4PoolID.NotFound"):
        ec2.allocate_address(PublicIpv4Pool="ipv4pool-ec2-0123456789abcdef0")
    with refused("InvalidParameterValue"):
        ec2.allocate_address(NetworkBorderGroup="us-east-1")
    with refused("DryRunOperation", 412):
        ec2.allocate_address(DryRun=True)
    with refused("InvalidParameterValue"):
        ec2.allocate_address(TagSpecifications=[{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "1"}]}])
    assert leased(sqlite_cloud) == set()


def test_five_addresses_are_the_limit_of_an_account(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    found = {ec2.allocate_address()["PublicIp"] for _ in range(5)}
    assert len(found) == 5
    with refused("AddressLimitExceeded") as message:
        ec2.allocate_address()
    assert message() == "The maximum number of addresses has been reached."
    cloud.account().client("ec2").allocate_address()


def test_a_pool_gives_every_address_once_and_then_none(tmp_path: Any) -> None:
    from mallee.store import Database, ManualClock, schema

    clock = ManualClock()
    database = Database(f"sqlite:///{tmp_path}/small.db", clock, synchronous=False)
    schema.load()
    schema.create(database)
    small = TestCloud(tmp_path / "home", database, clock, public_pool=("192.0.2.0/30", "192.0.2.8/31"))
    try:
        ec2 = small.client("ec2")
        found = {ec2.allocate_address()["PublicIp"] for _ in range(4)}
        assert found == {"192.0.2.1", "192.0.2.2", "192.0.2.8", "192.0.2.9"}
        with refused("InsufficientAddressCapacity"):
            ec2.allocate_address()
        # a subnet's wish for a public address goes unmet; one that is asked for expressly is refused
        (id,) = launch(small)
        assert "PublicIpAddress" not in instance(ec2, id)
        asked = [{"DeviceIndex": 0, "AssociatePublicIpAddress": True}]
        with refused("InsufficientAddressCapacity"):
            launch(small, NetworkInterfaces=asked)
    finally:
        small.close()
        database.close()


def test_an_address_moves_between_instances(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    first, second = launch(cloud, 2)
    lent = instance(ec2, first)["PublicIpAddress"]
    allocation = ec2.allocate_address()
    id, ip = allocation["AllocationId"], allocation["PublicIp"]
    association = ec2.associate_address(AllocationId=id, InstanceId=first)["AssociationId"]
    assert association.startswith("eipassoc-")
    assert ec2.associate_address(AllocationId=id, InstanceId=first)["AssociationId"] == association

    shown = address(ec2, id)
    held = interface(ec2, first)
    assert shown["AssociationId"] == association
    assert (shown["InstanceId"], shown["NetworkInterfaceId"]) == (first, held["NetworkInterfaceId"])
    assert (shown["PrivateIpAddress"], shown["NetworkInterfaceOwnerId"]) == (held["PrivateIpAddress"], cloud.admin.id)
    assert held["Association"] == {
        "AllocationId": id,
        "AssociationId": association,
        "IpOwnerId": cloud.admin.id,
        "PublicDnsName": f"ec2-{ip.replace('.', '-')}.local-1.compute.mallee.internal",
        "PublicIp": ip,
    }
    assert instance(ec2, first)["PublicIpAddress"] == ip
    assert lent not in leased(cloud)

    with refused("Resource.AlreadyAssociated") as message:
        ec2.associate_address(AllocationId=id, InstanceId=second, AllowReassociation=False)
    assert message() == f"resource {id} is already associated with associate-id {association}"
    moved = ec2.associate_address(AllocationId=id, InstanceId=second)["AssociationId"]
    assert moved != association
    assert instance(ec2, second)["PublicIpAddress"] == ip
    assert instance(ec2, first).get("PublicIpAddress") != ip

    with refused("InvalidAssociationID.NotFound"):
        ec2.disassociate_address(AssociationId=association)
    ec2.disassociate_address(AssociationId=moved)
    again = instance(ec2, second)["PublicIpAddress"]
    assert again != ip and again in leased(cloud)
    assert "AssociationId" not in address(ec2, id)
    ec2.disassociate_address(PublicIp=ip)
    ec2.release_address(PublicIp=ip)
    assert ip not in leased(cloud)


def test_a_second_address_takes_the_place_of_the_first(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    (id,) = launch(cloud)
    eni = interface(ec2, id)["NetworkInterfaceId"]
    first, second = ec2.allocate_address(), ec2.allocate_address()
    ec2.associate_address(AllocationId=first["AllocationId"], NetworkInterfaceId=eni)
    with refused("Resource.AlreadyAssociated"):
        ec2.associate_address(AllocationId=second["AllocationId"], NetworkInterfaceId=eni, AllowReassociation=False)
    ec2.associate_address(AllocationId=second["AllocationId"], NetworkInterfaceId=eni)
    assert instance(ec2, id)["PublicIpAddress"] == second["PublicIp"]
    assert "AssociationId" not in address(ec2, first["AllocationId"])


def test_releasing_an_associated_address_in_the_default_vpc_disassociates_it(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    (id,) = launch(cloud)
    made = ec2.allocate_address()
    ec2.associate_address(PublicIp=made["PublicIp"], InstanceId=id)
    ec2.release_address(AllocationId=made["AllocationId"])
    assert instance(ec2, id)["PublicIpAddress"] != made["PublicIp"]


def test_what_aws_refuses(sqlite_cloud: TestCloud) -> None:
    ec2 = sqlite_cloud.client("ec2")
    made = ec2.allocate_address()
    id, ip = made["AllocationId"], made["PublicIp"]
    eni, gone = "eni-0123456789abcdef0", "i-0123456789abcdef0"
    for code, asked in [
        ("InvalidInstanceID.NotFound", {"AllocationId": id, "InstanceId": gone}),
        ("InvalidInstanceID.Malformed", {"AllocationId": id, "InstanceId": "i-x"}),
        ("InvalidNetworkInterfaceID.NotFound", {"AllocationId": id, "NetworkInterfaceId": eni}),
        ("InvalidAllocationID.NotFound", {"AllocationId": "eipalloc-0123456789abcdef0", "InstanceId": gone}),
        ("InvalidAddress.NotFound", {"PublicIp": "192.0.2.1", "InstanceId": gone}),
        ("MissingParameter", {"InstanceId": gone}),
        ("MissingParameter", {"AllocationId": id}),
        ("InvalidParameterCombination", {"AllocationId": id, "PublicIp": ip, "InstanceId": gone}),
        ("InvalidParameterCombination", {"AllocationId": id, "InstanceId": gone, "NetworkInterfaceId": eni}),
    ]:
        with refused(code, 400):
            ec2.associate_address(**asked)
    for code, asked in [
        ("InvalidAssociationID.NotFound", {"AssociationId": "eipassoc-0123456789abcdef0"}),
        ("InvalidAddress.NotFound", {"PublicIp": "192.0.2.1"}),
        ("MissingParameter", {}),
        ("InvalidParameterCombination", {"AssociationId": "eipassoc-0123456789abcdef0", "PublicIp": ip}),
    ]:
        with refused(code, 400):
            ec2.disassociate_address(**asked)
    with refused("InvalidAddress.NotFound"):
        ec2.release_address(AllocationId=id, NetworkBorderGroup="elsewhere")
    with refused("InvalidAddress.NotFound"):
        ec2.describe_addresses(PublicIps=["192.0.2.1"])
    (running,) = launch(sqlite_cloud)
    with refused("InvalidParameterValue"):
        ec2.associate_address(AllocationId=id, InstanceId=running, PrivateIpAddress="172.31.0.99")
    ec2.terminate_instances(InstanceIds=[running])
    sqlite_cloud.run(seconds=120)
    with refused("InvalidInstanceID"):
        ec2.associate_address(AllocationId=id, InstanceId=running)


def test_accounts_are_apart(cloud: TestCloud) -> None:
    ec2, account = cloud.client("ec2"), cloud.account()
    other = account.client("ec2")
    made = ec2.allocate_address()
    id, ip = made["AllocationId"], made["PublicIp"]
    (mine,) = launch(cloud)
    association = ec2.associate_address(AllocationId=id, InstanceId=mine)["AssociationId"]
    assert other.describe_addresses()["Addresses"] == []
    for call in (other.release_address, other.describe_addresses):
        asked = {"AllocationId": id} if call == other.release_address else {"AllocationIds": [id]}
        with refused("InvalidAllocationID.NotFound"):
            call(**asked)
    with refused("InvalidAddress.NotFound"):
        other.release_address(PublicIp=ip)
    with refused("InvalidAssociationID.NotFound"):
        other.disassociate_address(AssociationId=association)
    theirs = other.allocate_address()["AllocationId"]
    with refused("InvalidInstanceID.NotFound"):
        other.associate_address(AllocationId=theirs, InstanceId=mine)
    with refused("InvalidNetworkInterfaceID.NotFound"):
        other.associate_address(AllocationId=theirs, NetworkInterfaceId=interface(ec2, mine)["NetworkInterfaceId"])
    assert instance(ec2, mine)["PublicIpAddress"] == ip


def test_lent_addresses_come_and_go_with_power(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    (id,) = launch(cloud)
    first = instance(ec2, id)["PublicIpAddress"]
    assert interface(ec2, id)["Association"]["IpOwnerId"] == "amazon"
    assert first in leased(cloud)
    ec2.stop_instances(InstanceIds=[id])
    cloud.run(seconds=120)
    assert "PublicIpAddress" not in instance(ec2, id)
    assert leased(cloud) == set()
    ec2.start_instances(InstanceIds=[id])
    cloud.run(seconds=120)
    assert instance(ec2, id)["PublicIpAddress"] in leased(cloud)

    made = ec2.allocate_address()
    ec2.associate_address(AllocationId=made["AllocationId"], InstanceId=id)
    assert leased(cloud) == {made["PublicIp"]}
    ec2.stop_instances(InstanceIds=[id])
    cloud.run(seconds=120)
    assert instance(ec2, id)["PublicIpAddress"] == made["PublicIp"]
    ec2.terminate_instances(InstanceIds=[id])
    cloud.run(seconds=120)
    assert leased(cloud) == {made["PublicIp"]}
    assert "InstanceId" not in address(ec2, made["AllocationId"])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("allocation-id", "eipalloc-*", 2),
        ("association-id", "eipassoc-*", 1),
        ("domain", "vpc", 2),
        ("instance-id", "i-*", 1),
        ("network-border-group", "local-1", 2),
        ("network-interface-id", "eni-*", 1),
        ("network-interface-owner-id", "123456789012", 1),
        ("private-ip-address", "172.31.*", 1),
        ("public-ip", "198.51.100.7", 1),
        ("tag:a", "1", 1),
        ("tag-key", "b", 0),
    ],
)
def test_filters(sqlite_cloud: TestCloud, name: str, value: str, expected: int) -> None:
    ec2 = sqlite_cloud.client("ec2")
    tags = [{"ResourceType": "elastic-ip", "Tags": [{"Key": "a", "Value": "1"}]}]
    first = ec2.allocate_address(Address="198.51.100.7", TagSpecifications=tags)
    ec2.allocate_address(Address="198.51.100.8")
    (id,) = launch(sqlite_cloud)  # after them: it is lent any address that is free
    ec2.associate_address(AllocationId=first["AllocationId"], InstanceId=id)
    assert len(ec2.describe_addresses(Filters=[{"Name": name, "Values": [value]}])["Addresses"]) == expected


def test_many_at_once_never_get_the_same_address(cloud: TestCloud) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from mallee.network import addresses

    def take(worker: int) -> list[str]:
        holders = [f"eni-{worker}-{number}" for number in range(3)]
        return [ip for _ in range(5) for ip in cloud.database.run(lambda tx: addresses.lease(tx, cloud.settings, holders))]

    with ThreadPoolExecutor(4) as pool:
        found = [ip for ips in pool.map(take, range(4)) for ip in ips]
    assert len(found) == len(set(found)) == 60
    assert leased(cloud) == set(found)
