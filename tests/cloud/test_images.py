"""Images through boto3."""

from __future__ import annotations

import pytest

from mallee.compute import setup
from mallee.compute.records import IMAGE_PERMISSIONS
from mallee.fabric.document import Blob
from tests.cloud.harness import ADMIN, refused


def _register(cloud, owner, name, **more):
    with cloud.database.transaction() as tx:
        return setup.register_image(tx, owner=owner, name=name, root=Blob(f"sha256:{name}", "qcow2", 7), root_gib=3, **more)


def test_the_starter_image_is_there_with_its_parts(cloud):
    ec2 = cloud.client("ec2")
    image, *parts = ec2.describe_images(Owners=["self"])["Images"]
    assert image["Name"] == setup.STARTER and image["ImageType"] == "machine" and image["OwnerId"] == ADMIN
    assert image["State"] == "available" and image["Public"] is True and image["Architecture"] == "x86_64"
    assert {part["ImageId"] for part in parts} == {image["KernelId"], image["RamdiskId"]}
    assert {part["ImageType"] for part in parts} == {"kernel", "ramdisk"}
    assert image["BlockDeviceMappings"][0]["DeviceName"] == image["RootDeviceName"]


def test_registering_again_changes_nothing_and_other_contents_make_another_image(cloud):
    first = _register(cloud, ADMIN, "one")
    assert _register(cloud, ADMIN, "one") == first
    assert _register(cloud, ADMIN, "one", kernel=Blob("sha256:k")) != first
    with cloud.database.transaction() as tx:
        setup.new_cloud(tx, cloud.settings)
    assert len(cloud.client("ec2").describe_images(Filters=[{"Name": "name", "Values": [setup.STARTER]}])["Images"]) == 1


def test_a_manifest_in_the_cloud_is_registered_at_its_start(cloud):
    import json

    directory = setup.manifests(cloud.settings)
    directory.mkdir(parents=True)
    blob = {"digest": "sha256:ab", "format": "qcow2", "size": 5}
    (directory / "other.json").write_text(json.dumps({"name": "other", "root": blob, "root_gib": 2, "description": "d"}))
    with cloud.database.transaction() as tx:
        setup.new_cloud(tx, cloud.settings)
        setup.new_cloud(tx, cloud.settings)
    (image,) = cloud.client("ec2").describe_images(Filters=[{"Name": "name", "Values": ["other"]}])["Images"]
    assert image["Description"] == "d" and "KernelId" not in image
    assert image["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 2


def test_owners(sqlite_cloud):
    cloud = sqlite_cloud
    account = cloud.account()
    ec2 = account.client("ec2")
    own = _register(cloud, account.id, "own", public=False)

    def ids(**asked):
        return {image["ImageId"] for image in ec2.describe_images(**asked)["Images"]}

    starter = cloud.image_id
    assert own in ids() and starter in ids()
    assert ids(Owners=["self"]) == {own} and starter in ids(Owners=["amazon"]) and own not in ids(Owners=["amazon"])
    assert ids(Owners=[account.id]) == {own} and ids(Owners=[ADMIN]) == ids(Owners=["amazon"]) == ids(Owners=["mallee"])
    assert ids(Owners=["aws-marketplace"]) == set()
    assert own not in {image["ImageId"] for image in cloud.client("ec2").describe_images()["Images"]}
    with refused("InvalidUserID.Malformed"):
        ec2.describe_images(Owners=["somebody"])


def test_sharing_makes_an_image_visible(sqlite_cloud):
    cloud = sqlite_cloud
    friend, stranger = cloud.account(), cloud.account()
    image = _register(cloud, ADMIN, "shared", public=False)
    with cloud.database.transaction() as tx:
        tx.insert(IMAGE_PERMISSIONS, image_id=image, user_id=friend.id, account_id=ADMIN)
    theirs = friend.client("ec2")
    assert [each["ImageId"] for each in theirs.describe_images(ExecutableUsers=["self"])["Images"]] == [image]
    assert image not in [each["ImageId"] for each in theirs.describe_images(ExecutableUsers=["all"])["Images"]]
    owner = cloud.client("ec2")
    assert [each["ImageId"] for each in owner.describe_images(ExecutableUsers=[friend.id])["Images"]] == [image]
    permissions = owner.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
    assert permissions == [{"UserId": friend.id}]
    with refused("InvalidAMIID.NotFound") as message:
        stranger.client("ec2").describe_images(ImageIds=[image])
    assert message() == f"The image id '[{image}]' does not exist"
    with refused("InvalidAMIID.NotFound"):
        stranger.client("ec2").run_instances(ImageId=image, MinCount=1, MaxCount=1)
    with refused("AuthFailure"):
        theirs.describe_image_attribute(ImageId=image, Attribute="launchPermission")


@pytest.mark.parametrize(
    ("name", "value", "matches"),
    [
        ("architecture", "x86_64", True),
        ("block-device-mapping.volume-size", "1", True),
        ("block-device-mapping.delete-on-termination", "true", True),
        ("creation-date", "20*", True),
        ("image-type", "machine", True),
        ("image-type", "kernel", False),
        ("is-public", "true", True),
        ("is-public", "false", False),
        ("name", "mallee-*", True),
        ("owner-alias", "amazon", True),
        ("owner-id", ADMIN, True),
        ("root-device-type", "ebs", True),
        ("state", "available", True),
        ("virtualization-type", "hvm", True),
        ("platform", "windows", False),
        ("source-instance-id", "i-*", False),
    ],
)
def test_filters(sqlite_cloud, name, value, matches):
    ec2 = sqlite_cloud.client("ec2")
    found = ec2.describe_images(Filters=[{"Name": name, "Values": [value]}])["Images"]
    assert any(image["Name"] == setup.STARTER for image in found) is matches


def test_attributes(sqlite_cloud):
    ec2 = sqlite_cloud.client("ec2")
    image = ec2.describe_images(ImageIds=[sqlite_cloud.image_id])["Images"][0]

    def attribute(name):
        return ec2.describe_image_attribute(ImageId=image["ImageId"], Attribute=name)

    assert attribute("description")["Description"]["Value"] == image["Description"]
    assert attribute("kernel")["KernelId"]["Value"] == image["KernelId"]
    assert attribute("ramdisk")["RamdiskId"]["Value"] == image["RamdiskId"]
    assert attribute("launchPermission")["LaunchPermissions"] == [{"Group": "all"}]
    assert attribute("blockDeviceMapping")["BlockDeviceMappings"] == image["BlockDeviceMappings"]
    assert attribute("bootMode")["BootMode"]["Value"] == "legacy-bios"
    assert "Value" not in attribute("lastLaunchedTime")["LastLaunchedTime"]
    ec2.run_instances(ImageId=image["ImageId"], MinCount=1, MaxCount=1)
    assert attribute("lastLaunchedTime")["LastLaunchedTime"]["Value"].endswith("Z")


def test_what_is_wrong_is_said(sqlite_cloud):
    ec2 = sqlite_cloud.client("ec2")
    with refused("InvalidAMIID.Malformed"):
        ec2.describe_images(ImageIds=["i-0123456789abcdef0"])
    with refused("InvalidAMIID.NotFound"):
        ec2.describe_images(ImageIds=["ami-0123456789abcdef0"])
    with refused("InvalidParameterValue"):
        ec2.describe_images(Filters=[{"Name": "colour", "Values": ["red"]}])
    with refused("InvalidParameterValue"):
        ec2.describe_image_attribute(ImageId=sqlite_cloud.image_id, Attribute="colour")


def test_pages(sqlite_cloud):
    cloud = sqlite_cloud
    for number in range(7):
        _register(cloud, ADMIN, f"image-{number}")
    ec2 = cloud.client("ec2")
    pages = list(ec2.get_paginator("describe_images").paginate(Owners=["self"], PaginationConfig={"PageSize": 4}))
    found = [image["ImageId"] for page in pages for image in page["Images"]]
    assert len(pages) == 3 and len(found) == len(set(found)) == 10
