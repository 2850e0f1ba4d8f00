"""An account with one of everything, for those who must not see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mallee.compute.setup import register_image
from mallee.fabric.document import Blob
from tests.cloud.harness import Account, TestCloud
from tests.identity import certs

PLAIN: frozenset[str] = frozenset({"InstanceType", "ZoneNames", "ZoneIds", "RegionNames"})

# (service, operation, member) where AWS's own answer tells a foreign resource from a missing one
TOLD_BY_AWS: frozenset[tuple[str, str, str]] = frozenset({
    ("sts", "GetAccessKeyInfo", "AccessKeyId"),  # whose key it is, is what the operation is for
    ("s3", "CreateBucket", "Bucket"),  # names of buckets are the whole cloud's
    ("s3control", "CreateAccessPoint", "BucketAccountId"),  # whoever makes one on another's bucket must know whose it is
    ("s3control", "ListAccessPoints", "Bucket"),  # the caller's own on that bucket
})  # fmt: skip


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
        "ec2.ImageId": cloud.image_id, "MinCount": 1, "MaxCount": 1, "ec2.Resources": ["i-00000000000000000"],
        "ec2.Tags": [{"Key": "k", "Value": "v"}], "ec2.GroupName": "intruders", "ec2.Description": "d", "ec2.KeyName": "intruders",
        "PublicKeyMaterial": b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq5j0XWcAiaJoyLyLLxGcqVyKMVpnlCUl7mQ1gkVuPl x",
        "ec2.Attribute": "description",
    }  # fmt: skip


TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
})  # fmt: skip
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]})


def _principals(cloud: TestCloud, victim: Victim) -> None:
    iam, found = victim.account.client("iam"), victim.identifiers
    found["user"], found["group"], found["role"], found["instance-profile"] = "victim-uma", "victim-gus", "victim-rob", "victim-ira"
    found["user-arn"] = iam.create_user(UserName=found["user"])["User"]["Arn"]
    iam.create_group(GroupName=found["group"])
    iam.add_user_to_group(GroupName=found["group"], UserName=found["user"])
    found["role-arn"] = iam.create_role(RoleName=found["role"], AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    made = iam.create_instance_profile(InstanceProfileName=found["instance-profile"])["InstanceProfile"]
    found["instance-profile-arn"] = made["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName=found["instance-profile"], RoleName=found["role"])
    linked = victim.account.client("ec2").associate_iam_instance_profile(
        InstanceId=found["instance"], IamInstanceProfile={"Name": found["instance-profile"]}
    )
    found["profile-association"] = linked["IamInstanceProfileAssociation"]["AssociationId"]
    found["policy-arn"] = iam.create_policy(PolicyName="victim-managed", PolicyDocument=POLICY)["Policy"]["Arn"]
    found["policy-name"] = "victim-inline"
    iam.put_user_policy(UserName=found["user"], PolicyName="victim-inline", PolicyDocument=POLICY)
    iam.attach_user_policy(UserName=found["user"], PolicyArn=found["policy-arn"])
    iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    gone = iam.delete_service_linked_role(RoleName="AWSServiceRoleForAutoScaling")
    found["deletion-task"] = gone["DeletionTaskId"]
    found["last-accessed-job"] = iam.generate_service_last_accessed_details(Arn=found["user-arn"])["JobId"]
    victim.usual |= {
        "AssumeRolePolicyDocument": TRUST, "PolicyDocument": POLICY, "iam.Tags": [{"Key": "k", "Value": "v"}], "TagKeys": ["k"],
        "iam.UserName": "intruders-user", "iam.GroupName": "intruders-group", "iam.RoleName": "intruders-role",
        "iam.InstanceProfileName": "intruders-profile", "iam.PolicyName": "intruders-policy", "AWSServiceName": "ec2.amazonaws.com",
        "iam.PolicyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess", "PermissionsBoundary": "arn:aws:iam::aws:policy/ReadOnlyAccess",
        "VersionId": "v1", "Password": "Correct-horse-7", "NewPassword": "Correct-horse-8", "OldPassword": "Correct-horse-9",
        "ActionNames": ["ec2:RunInstances"], "PolicyInputList": [POLICY], "ServiceNamespaces": ["ec2"], "AccountAlias": "intruders",
        "iam.AuthenticationCode1": "123456", "iam.AuthenticationCode2": "654321", "Status": "Inactive", "iam.Encoding": "SSH",
        "iam.ServiceNamespace": "ec2",
    }  # fmt: skip


def _credentials(cloud: TestCloud, victim: Victim) -> None:
    iam, found = victim.account.client("iam"), victim.identifiers
    user = found["user"]
    found["access-key"] = iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    iam.create_login_profile(UserName=user, Password="Correct-horse-7")
    found["mfa-arn"] = iam.create_virtual_mfa_device(VirtualMFADeviceName="victims")["VirtualMFADevice"]["SerialNumber"]
    found["mfa-name"] = "victims"
    body, key = certs.certificate(certs.rsa_key()), certs.private(certs.rsa_key())
    ssh_key = certs.ssh_line(certs.rsa_key())
    found["signing-certificate"] = iam.upload_signing_certificate(UserName=user, CertificateBody=body)["Certificate"][
        "CertificateId"
    ]
    iam.upload_server_certificate(ServerCertificateName="victims-server", CertificateBody=body, PrivateKey=key)
    found["server-certificate"] = "victims-server"
    found["ssh-public-key"] = iam.upload_ssh_public_key(UserName=user, SSHPublicKeyBody=ssh_key)["SSHPublicKey"]["SSHPublicKeyId"]
    found["oidc-provider-arn"] = iam.create_open_id_connect_provider(
        Url="https://victim.example/issuer", ClientIDList=["client"], ThumbprintList=["0" * 40]
    )["OpenIDConnectProviderArn"]
    metadata = certs.metadata(body)
    found["saml-provider-arn"] = iam.create_saml_provider(Name="victims", SAMLMetadataDocument=metadata)["SAMLProviderArn"]
    victim.usual |= {
        "CertificateBody": body, "PrivateKey": key, "SSHPublicKeyBody": ssh_key, "SAMLMetadataDocument": metadata,
        "iam.Url": "https://intruder.example", "iam.ClientID": "client", "ThumbprintList": ["0" * 40], "SAMLAssertion": "PHg+PC94Pg==",
        "WebIdentityToken": "a.b.c.d", "sts.RoleSessionName": "intruder", "iam.SerialNumber": "arn:aws:iam::000000000000:mfa/none",
        "ServerCertificateName": "intruders-server", "iam.Name": "intruders",
    }  # fmt: skip


def _administration(cloud: TestCloud, victim: Victim) -> None:
    quotas, found = victim.account.client("service-quotas"), victim.identifiers
    asked = quotas.request_service_quota_increase(ServiceCode="ec2", QuotaCode="L-0263D0A3", DesiredValue=50.0)
    found["quota-request"] = asked["RequestedQuota"]["Id"]
    found["quota-arn"] = asked["RequestedQuota"]["QuotaArn"]
    made = cloud.client("mallee").create_service_control_policy(Name="everywhere", Description="d", Document=POLICY)
    found["service-control-policy"] = made["Policy"]["PolicyId"]
    victim.usual |= {
        "ServiceCode": "ec2", "QuotaCode": "L-0263D0A3", "DesiredValue": 60.0, "mallee.Configuration": "{}",
        "mallee.AccountId": "000000000000",
    }  # fmt: skip


def _objects(cloud: TestCloud, victim: Victim) -> None:
    """A bucket with everything that a name or id leads to. That a bucket is there, anybody may learn; nothing else of it."""
    s3, found = victim.account.client("s3"), victim.identifiers
    found["bucket"], found["object-key"], found["bucket-configuration"] = "the-victims-bucket", "the-victims-key", "the-victims-metrics"
    bucket, key = found["bucket"], found["object-key"]
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    found["object-version"] = s3.put_object(Bucket=bucket, Key=key, Body=b"the victim's")["VersionId"]
    found["upload"] = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    found["copy-source"] = f"{bucket}/{key}"
    name = found["bucket-configuration"]
    s3.put_bucket_metrics_configuration(Bucket=bucket, Id=name, MetricsConfiguration={"Id": name})
    control, found["access-point"] = victim.account.client("s3control", **CONTROL), "the-victims-point"
    control.create_access_point(AccountId=victim.account.id, Name=found["access-point"], Bucket=bucket)
    found["bucket-arn"] = f"arn:aws:s3:::{bucket}"
    victim.usual |= {
        "s3.Bucket": bucket, "s3.Key": key, "s3.CopySource": found["copy-source"], "s3.UploadId": found["upload"],
        "s3.PartNumber": 1, "s3.Id": name, "s3.Status": "Enabled", "s3.RenameSource": key, "s3.CreateBucket": {"Bucket": "the-intruders-bucket"},
        "s3.DeleteObjects": {"Delete": {"Objects": [{"Key": "x"}]}}, "s3.CopyObject": {"Key": "a-copy"}, "s3.UploadPartCopy": {"Key": "a-copy"},
        "s3control.Bucket": bucket, "s3control.Name": "the-intruders-point",
        "s3control.ResourceArn": found["bucket-arn"], "s3control.Policy": POLICY,
    }  # fmt: skip


CONTROL: dict[str, Any] = {"inject_host_prefix": False}
"""For clients of S3 Control, which otherwise put the account before the host's name."""

FURNISHERS: list[Callable[[TestCloud, Victim], None]] = [
    _network,
    _instance,
    _principals,
    _credentials,
    _administration,
    _objects,
]
