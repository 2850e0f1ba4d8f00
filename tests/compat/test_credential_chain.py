"""Where clients get credentials from: profiles with roles, processes, token files, sessions, presigned addresses, and how the
CLI and boto3 use them, unmodified, over HTTP."""

from __future__ import annotations

import datetime
import json
import shlex
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.signers import RequestSigner

from tests.cloud import idp
from tests.clouds import Cloud
from tests.compat.conftest import Aws, Refused
from tests.compat.test_identity_cli import policy, trust

MAY = ("sts:AssumeRole", "sts:GetFederationToken", "sts:GetAccessKeyInfo")
DESCRIBES = policy("ec2:Describe*", "sts:GetCallerIdentity")


def session(up: Cloud, aws: Aws, monkeypatch: pytest.MonkeyPatch, **environment: str) -> boto3.Session:
    """A session of boto3 that finds its credentials by itself in the CLI's home and the environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(aws.home / ".aws" / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(aws.home / ".aws" / "credentials"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", up.endpoint)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return boto3.Session(region_name=up.environment["AWS_DEFAULT_REGION"])


@pytest.fixture(scope="module")
def key(live: Cloud) -> Iterator[dict[str, str]]:
    """A user who may do nothing of its own but take on roles."""
    iam = live.client("iam")
    iam.create_user(UserName="chain")
    iam.put_user_policy(UserName="chain", PolicyName="may", PolicyDocument=policy(*MAY))
    made = iam.create_access_key(UserName="chain")["AccessKey"]
    yield {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}


def in_environment(key: dict[str, str]) -> dict[str, str]:
    return {name.upper(): value for name, value in key.items()}


def role(up: Cloud, name: str, document: str, may: str = DESCRIBES, **more: Any) -> str:
    iam = up.client("iam")
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, **more)["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=may)
    return str(made["Arn"])


@pytest.fixture(scope="module")
def describer(live: Cloud, key: dict[str, str]) -> str:
    """A role that the account's users may take on when they say why."""
    account = live.client("sts").get_caller_identity()["Account"]
    statement = {
        "Effect": "Allow", "Principal": {"AWS": account}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "because"}},
    }  # fmt: skip
    return role(live, "chain-describer", json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


# ---------------------------------------------------------------------------------------------------------------- profiles


def test_a_profile_with_a_role(aws: Aws, live: Cloud, key: dict[str, str], describer: str, monkeypatch: Any) -> None:
    assumed = {"source_profile": "plain", "role_arn": describer, "role_session_name": "told", "duration_seconds": "900"}
    aws.configure(plain=key, told=assumed | {"external_id": "because"}, untold=assumed)
    who = aws("--profile", "told", "sts", "get-caller-identity")
    assert who["Arn"].endswith(":assumed-role/chain-describer/told") and who["UserId"].startswith("AROA")
    assert aws("--profile", "told", "ec2", "describe-vpcs", "--query", "length(Vpcs)") == 1
    with pytest.raises(Refused, match=r"\(UnauthorizedOperation\).*assumed-role/chain-describer/told is not authorized"):
        aws("--profile", "told", "ec2", "create-key-pair", "--key-name", "k")
    with pytest.raises(Refused, match=r"\(AccessDenied\).*not authorized to perform: sts:AssumeRole on resource"):
        aws("--profile", "untold", "ec2", "describe-vpcs")
    with pytest.raises(Refused, match=r"\(UnauthorizedOperation\).*user/chain is not authorized to perform: ec2:DescribeVpcs"):
        aws("--profile", "plain", "ec2", "describe-vpcs")
    boto = session(live, aws, monkeypatch, AWS_PROFILE="told")
    assert len(boto.client("ec2").describe_vpcs()["Vpcs"]) == 1
    found = boto.get_credentials()
    assert found is not None and found.method == "assume-role"
    ends = found._expiry_time  # type: ignore[attr-defined]
    assert 850 < (ends - datetime.datetime.now(datetime.UTC)).total_seconds() <= 900


def test_a_chain_of_roles(aws: Aws, live: Cloud, key: dict[str, str]) -> None:
    account = live.client("sts").get_caller_identity()["Account"]
    first = role(live, "chain-first", trust({"AWS": f"arn:aws:iam::{account}:user/chain"}), policy("sts:AssumeRole"))
    second = role(live, "chain-second", trust({"AWS": first}), MaxSessionDuration=7200)
    aws.configure(
        plain=key, one={"source_profile": "plain", "role_arn": first}, two={"source_profile": "one", "role_arn": second},
        long={"source_profile": "one", "role_arn": second, "duration_seconds": "7200"},
    )  # fmt: skip
    assert ":assumed-role/chain-second/" in aws("--profile", "two", "sts", "get-caller-identity")["Arn"]
    with pytest.raises(
        Refused, match=r"\(ValidationError\).*exceeds the 1 hour session limit for roles assumed by role chaining"
    ):
        aws("--profile", "long", "sts", "get-caller-identity")


def test_credentials_by_a_process(aws: Aws, live: Cloud, key: dict[str, str], monkeypatch: Any) -> None:
    told = live.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    answer = {"Version": 1, **{name: str(value) for name, value in told.items()}}
    answer["Expiration"] = told["Expiration"].isoformat()
    (aws.home / "answer").write_text(json.dumps(answer))
    aws.configure(process={"credential_process": f"cat {shlex.quote(str(aws.home / 'answer'))}"})
    assert aws("--profile", "process", "sts", "get-caller-identity")["Arn"].endswith(":root")
    assert aws("--profile", "process", "ec2", "describe-vpcs")["Vpcs"]
    with pytest.raises(Refused, match=r"\(InvalidClientTokenId\)"):  # as AWS: IAM is not for sessions without MFA
        aws("--profile", "process", "iam", "list-users")
    boto = session(live, aws, monkeypatch, AWS_PROFILE="process")
    assert boto.client("sts").get_caller_identity()["Arn"].endswith(":root")


def test_a_web_identity_token_file(aws: Aws, live: Cloud, tmp_path: Path, monkeypatch: Any) -> None:
    issuer = idp.Issuer(tmp_path)
    try:
        provider = live.client("iam").create_open_id_connect_provider(
            Url=issuer.url, ClientIDList=["client-1"], ThumbprintList=[idp.thumbprint(issuer.authority)]
        )["OpenIDConnectProviderArn"]
        document = trust({"Federated": provider}, "sts:AssumeRoleWithWebIdentity")
        arn = role(live, "chain-web", document)
        token = tmp_path / "token"
        token.write_text(issuer.token(datetime.datetime.now(datetime.UTC)))
        found = {"AWS_ROLE_ARN": arn, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_SESSION_NAME": "pod"}
        without = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        assert aws("sts", "get-caller-identity", **found, **without)["Arn"].endswith(":assumed-role/chain-web/pod")
        assert aws("ec2", "describe-vpcs", **found, **without)["Vpcs"]
        boto = session(live, aws, monkeypatch, **found)
        assert boto.client("sts").get_caller_identity()["Arn"].endswith(":assumed-role/chain-web/pod")
        whole = ("--role-arn", arn, "--role-session-name", "cli", "--web-identity-token", token.read_text())
        answer = aws("sts", "assume-role-with-web-identity", *whole)
        assert (answer["SubjectFromWebIdentityToken"], answer["Audience"]) == ("user-1", "client-1")
        token.write_text(token.read_text()[:-8] + "AAAAAAAA")
        with pytest.raises(Refused, match=r"\(InvalidIdentityToken\)"):
            aws("sts", "get-caller-identity", **found, **without)
    finally:
        issuer.close()


def test_a_session_is_renewed(aws: Aws, live: Cloud, key: dict[str, str], describer: str, monkeypatch: Any) -> None:
    """boto3 asks for new credentials when a quarter of an hour or less is left: a session of 900 seconds is so at once."""
    aws.configure(
        plain=key, told={"source_profile": "plain", "role_arn": describer, "external_id": "because", "duration_seconds": "900"}
    )
    boto = session(live, aws, monkeypatch, AWS_PROFILE="told")
    found: Any = boto.get_credentials()
    first = found.get_frozen_credentials()
    assert len(boto.client("ec2").describe_vpcs()["Vpcs"]) == 1
    found._expiry_time = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=30)
    assert len(boto.client("ec2").describe_vpcs()["Vpcs"]) == 1
    second = found.get_frozen_credentials()
    assert first.access_key != second.access_key and first.token != second.token


# ------------------------------------------------------------------------------------------------------------------- STS


def test_sts(aws: Aws, live: Cloud, key: dict[str, str], describer: str) -> None:
    mine, account = in_environment(key), live.client("sts").get_caller_identity()["Account"]
    assert aws("sts", "get-access-key-info", "--access-key-id", key["aws_access_key_id"], **mine)["Account"] == account
    given = ("--role-arn", describer, "--role-session-name", "cli", "--external-id", "because", "--duration-seconds", "900")
    narrowed = ("--policy", policy("ec2:DescribeRegions"), "--tags", "Key=a,Value=b")
    with pytest.raises(Refused, match=r"\(AccessDenied\).*sts:TagSession"):
        aws("sts", "assume-role", *given, *narrowed, **mine)
    assumed = aws("sts", "assume-role", *given, *narrowed[:2], **mine)
    assert assumed["AssumedRoleUser"]["Arn"].endswith(":assumed-role/chain-describer/cli") and assumed["PackedPolicySize"] >= 0
    theirs = in_environment(of(assumed))
    assert aws("ec2", "describe-regions", **theirs)["Regions"]
    with pytest.raises(Refused, match=r"\(UnauthorizedOperation\).*session policy"):
        aws("ec2", "describe-vpcs", **theirs)
    federated = aws("sts", "get-federation-token", "--name", "guest", "--policy", DESCRIBES, **mine)
    assert federated["FederatedUser"]["Arn"].endswith(":federated-user/guest")
    token = in_environment(of(aws("sts", "get-session-token", "--duration-seconds", "900", **mine)))
    assert aws("sts", "get-caller-identity", **token)["Arn"].endswith(":user/chain")
    with pytest.raises(Refused, match=r"\(AccessDenied\)"):
        aws("sts", "get-session-token", **token)


def of(answer: dict[str, Any]) -> dict[str, str]:
    told = answer["Credentials"]
    return {
        "aws_access_key_id": told["AccessKeyId"],
        "aws_secret_access_key": told["SecretAccessKey"],
        "aws_session_token": told["SessionToken"],
    }


def test_what_an_encoded_message_says(aws: Aws, live: Cloud, key: dict[str, str]) -> None:
    with pytest.raises(Refused) as told:
        aws("ec2", "create-key-pair", "--key-name", "k", **in_environment(key))
    encoded = str(told.value).split("Encoded authorization failure message: ")[1].split()[0]
    decoded = aws("sts", "decode-authorization-message", "--encoded-message", encoded)["DecodedMessage"]
    message = json.loads(decoded)
    assert (message["allowed"], message["explicitDeny"]) == (False, False)
    assert message["context"]["action"] == "ec2:CreateKeyPair" and message["context"]["principal"]["arn"].endswith("user/chain")


def test_a_presigned_caller_identity(live: Cloud, key: dict[str, str]) -> None:
    """What Vault's AWS logins and EKS's tokens are made of: whoever has the address can ask whose it is, and nothing else."""
    sts = boto3.client("sts", region_name="us-east-1", endpoint_url=live.endpoint, **key)  # type: ignore[call-overload]
    address = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    with urllib.request.urlopen(address, timeout=30) as answer:
        arn = ElementTree.fromstring(answer.read()).findtext(".//{*}Arn")
    assert arn is not None and arn.endswith(":user/chain")
    asked = urllib.request.Request(address, headers={"Accept": "application/json"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert json.load(answer)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Arn"] == arn
    other = address.replace("GetCallerIdentity", "GetSessionToken")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(other, timeout=30)
    assert refused.value.code == 403 and b"SignatureDoesNotMatch" in refused.value.read()


def test_an_address_with_a_signed_header(live: Cloud, key: dict[str, str]) -> None:
    """EKS's token signs the cluster's name in a header, which the server that checks it must send."""
    client = boto3.client("sts", region_name="us-east-1", endpoint_url=live.endpoint, **key)  # type: ignore[call-overload]
    signer = RequestSigner(
        client.meta.service_model.service_id, "us-east-1", "sts", "v4", client._request_signer._credentials, client.meta.events
    )
    request = {
        "method": "GET", "url": f"{live.endpoint}/?Action=GetCallerIdentity&Version=2011-06-15", "body": {}, "context": {},
        "headers": {"x-k8s-aws-id": "cluster"},
    }  # fmt: skip
    address = signer.generate_presigned_url(request, region_name="us-east-1", expires_in=60, operation_name="")

    def asked(**headers: str) -> int:
        try:
            sent = urllib.request.Request(address, headers={name.replace("_", "-"): value for name, value in headers.items()})
            return int(urllib.request.urlopen(sent, timeout=30).status)
        except urllib.error.HTTPError as refused:
            return refused.code

    assert asked(x_k8s_aws_id="cluster") == 200
    assert (asked(x_k8s_aws_id="another"), asked()) == (403, 403)


@pytest.mark.parametrize("service", ["iam", "sts"])
@pytest.mark.parametrize("region", ["us-east-1", "local"])
def test_names_of_regions(live: Cloud, service: str, region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients sign for IAM and the global STS with us-east-1, wherever they are."""
    name = live.environment["AWS_DEFAULT_REGION"] if region == "local" else region
    found = {"aws_access_key_id": live.environment["AWS_ACCESS_KEY_ID"]}
    found["aws_secret_access_key"] = live.environment["AWS_SECRET_ACCESS_KEY"]
    for endpoints in ("legacy", "regional"):
        monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", endpoints)
        client: Any = boto3.Session().client(service, region_name=name, endpoint_url=live.endpoint, **found)  # type: ignore[call-overload]
        arn = client.get_user()["User"]["Arn"] if service == "iam" else client.get_caller_identity()["Arn"]
        assert arn.endswith(":root")


def test_a_region_that_is_not_here(live: Cloud) -> None:
    found = {"aws_access_key_id": live.environment["AWS_ACCESS_KEY_ID"]}
    found["aws_secret_access_key"] = live.environment["AWS_SECRET_ACCESS_KEY"]
    client: Any = boto3.client("sts", region_name="eu-west-1", endpoint_url=live.endpoint, **found)  # type: ignore[call-overload]
    with pytest.raises(ClientError, match="Credential should be scoped to a valid region") as told:
        client.get_caller_identity()
    assert told.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


# --------------------------------------------------------------------------------------------------------------- formats


def test_forms_of_output(aws: Aws, live: Cloud) -> None:
    aws("iam", "create-group", "--group-name", "chain-shown")
    ask = ("iam", "get-group", "--group-name", "chain-shown")
    arn = aws(*ask)["Group"]["Arn"]
    (line,) = [each for each in aws.text("--output", "text", *ask).splitlines() if each.startswith("GROUP")]
    assert arn in line.split("\t")
    assert arn in [cell.strip() for cell in aws.text("--output", "table", *ask).split("|")]
    assert aws.text("--output", "text", *ask, "--query", "Group.GroupName") == "chain-shown\n"
    assert aws.text("--output", "text", "sts", "get-caller-identity", "--query", "Account").strip().isdigit()


def test_the_cli_s_own_script(aws: Aws) -> None:
    """Everything else here runs the CLI without its start; this is the command as it is installed."""
    done = aws.script("sts", "get-caller-identity", "--output", "text", "--query", "Arn")
    assert done.returncode == 0 and done.stdout.endswith(":root\n"), done.stderr


# ------------------------------------------------------------------------------------------------ services of the cloud's own


def test_other_services(aws: Aws, live: Cloud) -> None:
    account = aws("sts", "get-caller-identity")["Account"]
    assert account in [each["AccountId"] for each in aws("mallee", "list-accounts")["Accounts"]]
    assert (
        aws("service-quotas", "get-service-quota", "--service-code", "iam", "--quota-code", "L-F55AF5E4")["Quota"]["Value"]
        == 5000
    )
    listed = aws("service-quotas", "list-service-quotas", "--service-code", "iam", "--page-size", "5")["Quotas"]
    assert "Users per account" in [each["QuotaName"] for each in listed]
