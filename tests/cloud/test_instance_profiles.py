"""Instance profiles in EC2: launches, associations, who may pass a role, and the credentials that guests get."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import boto3
import pytest

from mallee.fabric.transport import CredentialsMissing
from tests.cloud.harness import ADMIN, Account, TestCloud, refused
from tests.cloud.iam import EC2, trusting
from tests.cloud.test_ec2_access import DENIED, allow, launch, person

ARN = f"arn:aws:iam::{ADMIN}:instance-profile"
REFUSED = "InvalidParameterValue"


def profile(
    cloud: TestCloud, name: str, role: str | None = None, trust: str = EC2, account: Account | None = None, path: str = "/"
) -> dict[str, Any]:
    """An instance profile that holds a role, unless ``role`` is empty."""
    iam = cloud.client("iam", account=account)
    made = iam.create_instance_profile(InstanceProfileName=name, Path=path)["InstanceProfile"]
    if role != "":
        iam.create_role(RoleName=role or f"{name}-role", AssumeRolePolicyDocument=trust)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role or f"{name}-role")
    return dict(made)


def described(ec2: Any, id: str) -> dict[str, Any]:
    return dict(ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0])


def associations(ec2: Any, **asked: Any) -> list[tuple[str, str, str]]:
    found = ec2.describe_iam_instance_profile_associations(**asked)["IamInstanceProfileAssociations"]
    return [(each["InstanceId"], each["IamInstanceProfile"]["Arn"].rpartition("/")[2], each["State"]) for each in found]


def node_of(cloud: TestCloud, id: str) -> Any:
    return next(each for each in cloud.simulators if id in each.guests())


def guests_client(cloud: TestCloud, id: str, service: str) -> Any:
    """A client with the credentials that the guest finds in its metadata."""
    found = node_of(cloud, id).credentials(id)
    assert found.code == "Success", found
    made = boto3.client(
        service,
        region_name="local-1",
        endpoint_url="http://mallee.test:8773",
        aws_access_key_id=found.access_key_id,
        aws_secret_access_key=found.secret_access_key,
        aws_session_token=found.token,
    )
    made.meta.events.register("before-send", cloud._answer)
    return made


# ------------------------------------------------------------------------------------------------------------------ launches


def test_a_launch_with_a_profile(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    made = profile(cloud, "web", path="/teams/red/")
    expected = {"Arn": f"{ARN}/teams/red/web", "Id": made["InstanceProfileId"]}
    by_name = ec2.run_instances(ImageId=cloud.image_id, MinCount=2, MaxCount=2, IamInstanceProfile={"Name": "web"})["Instances"]
    assert [each["IamInstanceProfile"] for each in by_name] == [expected] * 2
    by_arn = launch(ec2, cloud, IamInstanceProfile={"Arn": made["Arn"]})
    plain = launch(ec2, cloud)
    cloud.run()
    assert described(ec2, by_arn)["IamInstanceProfile"] == expected and "IamInstanceProfile" not in described(ec2, plain)
    for filters in (("iam-instance-profile.arn", made["Arn"]), ("iam-instance-profile.id", made["InstanceProfileId"])):
        found = ec2.describe_instances(Filters=[{"Name": filters[0], "Values": [filters[1]]}])["Reservations"]
        assert sum(len(each["Instances"]) for each in found) == 3
    assert associations(ec2, Filters=[{"Name": "instance-id", "Values": [by_arn]}]) == [(by_arn, "web", "associated")]
    assert len(associations(ec2)) == 3
    ec2.terminate_instances(InstanceIds=[by_arn])
    cloud.run()
    assert len(associations(ec2)) == 2


def test_what_is_no_profile_of_the_caller_is_refused(cloud: TestCloud) -> None:
    ec2, other = cloud.client("ec2"), cloud.account()
    foreign = profile(cloud, "theirs", account=other)
    mine = profile(cloud, "mine", path="/a/")
    profile(cloud, "empty", role="")
    for named, words in (
        (
            {"Name": "nothing"},
            "Value (nothing) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        ),
        (
            {"Name": "theirs"},
            "Value (theirs) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        ),
        (
            {"Arn": foreign["Arn"]},
            f"Value ({foreign['Arn']}) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN",
        ),
        ({"Arn": f"{ARN}/mine"}, "Invalid IAM Instance Profile ARN"),
        ({"Arn": mine["Arn"].replace("instance-profile", "role")}, "Invalid IAM Instance Profile ARN"),
        ({"Arn": "mine"}, "Invalid IAM Instance Profile ARN"),
        ({"Name": "empty"}, f'IAM Instance Profile "{ARN}/empty" has no associated IAM Roles'),
    ):
        with refused(REFUSED, 400) as said:
            launch(ec2, cloud, IamInstanceProfile=named)
        assert words in said()
    with refused("InvalidParameterCombination"):
        launch(ec2, cloud, IamInstanceProfile={"Name": "mine", "Arn": mine["Arn"]})
    assert ec2.describe_instances()["Reservations"] == []
    launch(ec2, cloud, IamInstanceProfile={"Name": "MINE"})  # names are compared without case


# -------------------------------------------------------------------------------------------------------------- associations


def test_a_profile_comes_changes_and_goes(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    first, second = profile(cloud, "first"), profile(cloud, "second")
    made = launch(ec2, cloud)
    cloud.run()
    with pytest.raises(KeyError):
        node_of(cloud, made).credentials(made)
    answer = ec2.associate_iam_instance_profile(InstanceId=made, IamInstanceProfile={"Arn": first["Arn"]})[
        "IamInstanceProfileAssociation"
    ]
    assert answer["State"] == "associating" and answer["InstanceId"] == made and answer["AssociationId"].startswith("iip-assoc-0")
    assert answer["IamInstanceProfile"] == {"Arn": first["Arn"], "Id": first["InstanceProfileId"]}
    cloud.run()
    assert node_of(cloud, made).credentials(made).role == "first-role"
    with refused("IncorrectState") as said:
        ec2.associate_iam_instance_profile(InstanceId=made, IamInstanceProfile={"Name": "second"})
    assert said() == f"There is an existing association for instance {made}"
    changed = ec2.replace_iam_instance_profile_association(
        AssociationId=answer["AssociationId"], IamInstanceProfile={"Name": "second"}
    )
    changed = changed["IamInstanceProfileAssociation"]
    assert changed["AssociationId"] != answer["AssociationId"] and changed["IamInstanceProfile"]["Arn"] == second["Arn"]
    cloud.run()
    assert node_of(cloud, made).credentials(made).role == "second-role"
    with refused("InvalidAssociationID.NotFound"):
        ec2.disassociate_iam_instance_profile(AssociationId=answer["AssociationId"])
    gone = ec2.disassociate_iam_instance_profile(AssociationId=changed["AssociationId"])["IamInstanceProfileAssociation"]
    assert gone["State"] == "disassociating" and gone["Timestamp"]
    assert associations(ec2) == [] and "IamInstanceProfile" not in described(ec2, made)
    cloud.run()
    with pytest.raises(KeyError):
        node_of(cloud, made).credentials(made)


def test_associations_of_stopped_and_ended_instances(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    profile(cloud, "web")
    profile(cloud, "other")
    made = launch(ec2, cloud)
    cloud.run()
    ec2.stop_instances(InstanceIds=[made])
    cloud.run()
    held = ec2.associate_iam_instance_profile(InstanceId=made, IamInstanceProfile={"Name": "web"})[
        "IamInstanceProfileAssociation"
    ]
    with refused("IncorrectState") as said:
        ec2.replace_iam_instance_profile_association(AssociationId=held["AssociationId"], IamInstanceProfile={"Name": "other"})
    assert said() == f"The association {held['AssociationId']} is not the active association"
    ec2.start_instances(InstanceIds=[made])
    cloud.run()
    assert node_of(cloud, made).credentials(made).role == "web-role"
    ec2.terminate_instances(InstanceIds=[made])
    cloud.run()
    with refused("IncorrectInstanceState"):
        ec2.associate_iam_instance_profile(InstanceId=made, IamInstanceProfile={"Name": "web"})
    with refused("InvalidAssociationID.NotFound"):
        ec2.disassociate_iam_instance_profile(AssociationId=held["AssociationId"])


def test_associations_are_described_in_pages(cloud: TestCloud) -> None:
    ec2 = cloud.client("ec2")
    profile(cloud, "web")
    launched = ec2.run_instances(ImageId=cloud.image_id, MinCount=7, MaxCount=7, IamInstanceProfile={"Name": "web"})["Instances"]
    first = ec2.describe_iam_instance_profile_associations(MaxResults=5)
    second = ec2.describe_iam_instance_profile_associations(MaxResults=5, NextToken=first["NextToken"])
    found = [each for page in (first, second) for each in page["IamInstanceProfileAssociations"]]
    assert sorted(each["InstanceId"] for each in found) == sorted(each["InstanceId"] for each in launched)
    one = found[3]["AssociationId"]
    assert associations(ec2, AssociationIds=[one]) == [(found[3]["InstanceId"], "web", "associated")]
    assert associations(ec2, Filters=[{"Name": "state", "Values": ["associating"]}]) == []
    with refused("InvalidAssociationID.NotFound"):
        associations(ec2, AssociationIds=["iip-assoc-0123456789abcdef0"])
    with refused("InvalidAssociationID.Malformed"):
        associations(ec2, AssociationIds=["eipassoc-0123456789abcdef0"])
    other = cloud.account().client("ec2")
    assert associations(other) == []
    with refused("InvalidAssociationID.NotFound"):
        other.disassociate_iam_instance_profile(AssociationId=one)


# --------------------------------------------------------------------------------------------------------------- passing roles


def test_giving_a_role_to_an_instance_needs_pass_role(cloud: TestCloud) -> None:
    """Else whoever may launch could use any role of the account."""
    profile(cloud, "admins")
    profile(cloud, "web")
    with_web = {"IamInstanceProfile": {"Name": "web"}}
    role = f"arn:aws:iam::{ADMIN}:role"
    free = person(cloud, allow("ec2:*"))
    with refused(DENIED) as said:
        launch(free, cloud, **with_web)
    assert "iam:PassRole" in said() and f"{role}/web-role" in said()
    launch(free, cloud)
    to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    web = person(cloud, allow("ec2:*"), allow("iam:PassRole", f"{role}/web-role", **to_ec2))
    made = launch(web, cloud, **with_web)
    with refused(DENIED):
        launch(web, cloud, IamInstanceProfile={"Name": "admins"})
    for condition in (
        {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        {"ArnLike": {"iam:AssociatedResourceArn": f"arn:aws:ec2:eu-west-1:{ADMIN}:instance/*"}},
    ):
        with refused(DENIED):
            launch(person(cloud, allow("ec2:*"), allow("iam:PassRole", "*", **condition)), cloud, **with_web)
    cloud.run()
    held = cloud.client("ec2").describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"][0]["AssociationId"]
    for ec2, answer in ((free, True), (web, False)):
        other = launch(cloud.client("ec2"), cloud)
        if answer:
            with refused(DENIED) as said:
                ec2.associate_iam_instance_profile(InstanceId=other, IamInstanceProfile={"Name": "web"})
            assert "iam:PassRole" in said()
            with refused(DENIED):
                ec2.replace_iam_instance_profile_association(AssociationId=held, IamInstanceProfile={"Name": "web"})
        else:
            ec2.associate_iam_instance_profile(InstanceId=other, IamInstanceProfile={"Name": "web"})
            with refused(DENIED):
                ec2.replace_iam_instance_profile_association(AssociationId=held, IamInstanceProfile={"Name": "admins"})
    this_one = {"ArnEquals": {"iam:AssociatedResourceArn": f"arn:aws:ec2:local-1:{ADMIN}:instance/{made}"}}
    held_by = person(cloud, allow("ec2:*"), allow("iam:PassRole", "*", **this_one))
    held_by.replace_iam_instance_profile_association(AssociationId=held, IamInstanceProfile={"Name": "admins"})


def test_associations_are_checked_on_their_instances(cloud: TestCloud) -> None:
    profile(cloud, "web")
    new = {"ArnEquals": {"ec2:NewInstanceProfile": f"{ARN}/web"}}
    ec2 = person(cloud, allow(["ec2:AssociateIamInstanceProfile", "iam:PassRole"], **new), allow("iam:PassRole"))
    made = launch(cloud.client("ec2"), cloud)
    held = ec2.associate_iam_instance_profile(InstanceId=made, IamInstanceProfile={"Name": "web"})[
        "IamInstanceProfileAssociation"
    ]
    with refused(DENIED):
        ec2.disassociate_iam_instance_profile(AssociationId=held["AssociationId"])
    other = person(cloud, allow("ec2:*", "arn:aws:ec2:*:*:instance/i-0123456789abcdef0"))
    with refused(DENIED):
        other.disassociate_iam_instance_profile(AssociationId=held["AssociationId"])
    by_profile = person(cloud, allow("ec2:*", ArnEquals={"ec2:InstanceProfile": f"{ARN}/web"}))
    by_profile.disassociate_iam_instance_profile(AssociationId=held["AssociationId"])
    with refused(DENIED):
        by_profile.reboot_instances(InstanceIds=[made])


# ---------------------------------------------------------------------------------------------------------------- credentials


def test_a_guest_calls_the_api_as_its_role(cloud: TestCloud) -> None:
    profile(cloud, "web")
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": [allow("ec2:Describe*", StringEquals={"ec2:Region": "local-1"})]}
    )
    cloud.client("iam").put_role_policy(RoleName="web-role", PolicyName="p", PolicyDocument=document)
    made = launch(cloud.client("ec2"), cloud, IamInstanceProfile={"Name": "web"})
    cloud.run()
    who = guests_client(cloud, made, "sts").get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::{ADMIN}:assumed-role/web-role/{made}" and who["UserId"].endswith(f":{made}")
    ec2 = guests_client(cloud, made, "ec2")
    assert described(ec2, made)["InstanceId"] == made
    with refused(DENIED) as said:
        ec2.terminate_instances(InstanceIds=[made])
    assert f"assumed-role/web-role/{made}" in said()


def test_credentials_say_where_they_come_from(cloud: TestCloud) -> None:
    profile(cloud, "web")
    made = launch(cloud.client("ec2"), cloud, IamInstanceProfile={"Name": "web"})
    cloud.run()
    place = described(cloud.client("ec2"), made)
    conditions = {
        "ArnEquals": {"ec2:SourceInstanceARN": f"arn:aws:ec2:local-1:{ADMIN}:instance/{made}"},
        "StringEquals": {
            "aws:Ec2InstanceSourceVpc": place["VpcId"],
            "aws:Ec2InstanceSourcePrivateIPv4": place["PrivateIpAddress"],
        },
        "NumericEquals": {"ec2:RoleDelivery": "2.0"},
    }
    iam = cloud.client("iam")
    for operator, keys in conditions.items():
        statement = allow("ec2:DescribeInstances", **{operator: keys})
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName="web-role", PolicyName="p", PolicyDocument=document)
        guests_client(cloud, made, "ec2").describe_instances()
    old = node_of(cloud, made).credentials(made, "1.0")
    assert old.access_key_id != node_of(cloud, made).credentials(made).access_key_id


def test_a_role_that_does_not_trust_ec2_gives_nothing(cloud: TestCloud) -> None:
    profile(cloud, "web", trust=trusting({"Service": "lambda.amazonaws.com"}))
    made = launch(cloud.client("ec2"), cloud, IamInstanceProfile={"Name": "web"})
    cloud.run()
    told = node_of(cloud, made).credentials(made)
    assert told.code == "AssumeRoleUnauthorizedAccess" and told.message.startswith("EC2 cannot assume the role web-role.")
    assert not (told.access_key_id or told.secret_access_key or told.token)
    cloud.client("iam").update_assume_role_policy(RoleName="web-role", PolicyDocument=EC2)
    assert node_of(cloud, made).credentials(made).code == "Success"


def test_the_role_of_the_profile_counts_and_not_its_name(cloud: TestCloud) -> None:
    iam = cloud.client("iam")
    profile(cloud, "web")
    made = launch(cloud.client("ec2"), cloud, IamInstanceProfile={"Name": "web"})
    cloud.run()
    old = guests_client(cloud, made, "sts")
    iam.create_role(RoleName="second", AssumeRolePolicyDocument=EC2)
    iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="web-role")
    cloud.run()
    with pytest.raises(KeyError):
        node_of(cloud, made).credentials(made)
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="second")
    cloud.run()
    assert node_of(cloud, made).credentials(made).role == "second"
    assert old.get_caller_identity()["Account"] == ADMIN  # until they end, or the role is gone
    iam.delete_role(RoleName="web-role")
    with refused("InvalidClientTokenId"):
        old.get_caller_identity()
    iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="second")
    iam.delete_instance_profile(InstanceProfileName="web")
    profile(cloud, "web", role="third")  # another one of the same name
    cloud.run()
    assert node_of(cloud, made).credentials(made).code == "InstanceProfileNotFound"


def test_credentials_are_for_the_node_of_the_guest_alone(cloud: TestCloud) -> None:
    profile(cloud, "web")
    made = launch(cloud.client("ec2"), cloud, IamInstanceProfile={"Name": "web"})
    cloud.run()
    here = node_of(cloud, made)
    session = here._transport.session
    assert session.credentials(here.node_id, made, "2.0").code == "Success"
    for node_id in [each.node_id for each in cloud.simulators if each is not here] + ["node-of-nobody", None]:
        with pytest.raises(CredentialsMissing):
            session.credentials(node_id, made, "2.0")
    with pytest.raises(CredentialsMissing):
        session.credentials(here.node_id, "i-0123456789abcdef0", "2.0")


def test_credentials_end(cloud: TestCloud) -> None:
    profile(cloud, "web")
    made = launch(cloud.client("ec2"), cloud, IamInstanceProfile={"Name": "web"})
    cloud.run()
    found = node_of(cloud, made).credentials(made)
    assert found.expires_at == f"{cloud.clock.now() + timedelta(hours=6):%Y-%m-%dT%H:%M:%SZ}"


def test_nothing_secret_is_in_documents_or_journal(sqlite_cloud: TestCloud) -> None:
    from sqlalchemy import select

    from mallee.store import journal

    cloud = sqlite_cloud
    profile(cloud, "web")
    made = launch(cloud.client("ec2"), cloud, IamInstanceProfile={"Name": "web"})
    cloud.run()
    node = node_of(cloud, made)
    found = node.credentials(made)
    document = node._transport.session.document(node.node_id).body()
    with cloud.database.reading() as tx:
        told = "".join(str(row) for row in tx.all(select(journal)))
    for secret in (found.secret_access_key, found.token, found.access_key_id):
        assert secret.encode() not in document and secret not in told
