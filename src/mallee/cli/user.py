"""`mallee user`: users of an account, over IAM. Without ``--account`` they are the administrator's own."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from mallee.cli import calls, home
from mallee.cli.calls import AsJson, ask
from mallee.cli.home import Sorry
from mallee.settings import Settings

application = calls.group("Users of an account: make, list, delete; keys, passwords, policies.")

Name = Annotated[str, typer.Argument(metavar="USER", help="the user's name")]
Account = Annotated[str | None, typer.Option("--account", help="an account whose key is kept here, by id or alias")]
Policy = Annotated[str, typer.Argument(metavar="POLICY", help="a managed policy's ARN, or its name")]

ADMINISTRATOR = "AdministratorAccess"


def _iam(account: str | None) -> tuple[Settings, Any]:
    from mallee.cli.client import client

    chosen = home.settings()
    return chosen, client("iam", chosen, calls.keys_of(chosen, account))


@application.command()
def create(
    name: Name,
    path: Annotated[str | None, typer.Option(help="such as /team/")] = None,
    grant: Annotated[list[str] | None, typer.Option(help="a managed policy to attach, by ARN or name; may be repeated")] = None,
    key: Annotated[bool, typer.Option("--key", help="make an access key, too")] = False,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """Make a user."""
    _, iam = _iam(account)
    arns = [_policy(iam, each) for each in grant or ()]
    made = ask(iam.create_user, UserName=name, Path=path)["User"]
    for arn in arns:
        ask(iam.attach_user_policy, UserName=name, PolicyArn=arn)
    pair = ask(iam.create_access_key, UserName=name)["AccessKey"] if key else None
    if as_json:
        calls.print_json({"User": made} | ({"AccessKey": pair} if pair else {}))
        return
    print(made["Arn"])
    if pair:
        _tell(pair)


@application.command("list")
def list_(account: Account = None, as_json: AsJson = False) -> None:
    """All users."""
    _, iam = _iam(account)
    columns = {"user": "UserName", "path": "Path", "id": "UserId", "since": "CreateDate", "signed in": "PasswordLastUsed"}
    calls.show(list(calls.every(iam, "list_users", "Users")), columns, as_json)


@application.command()
def show(name: Name, account: Account = None, as_json: AsJson = False) -> None:
    """One user: keys, groups, policies."""
    _, iam = _iam(account)
    found = ask(iam.get_user, UserName=name)["User"]
    of = {"UserName": name}
    keys = list(calls.every(iam, "list_access_keys", "AccessKeyMetadata", **of))
    groups = list(calls.every(iam, "list_groups_for_user", "Groups", **of))
    attached = list(calls.every(iam, "list_attached_user_policies", "AttachedPolicies", **of))
    inline = list(calls.every(iam, "list_user_policies", "PolicyNames", **of))
    if as_json:
        calls.print_json(found | {"AccessKeys": keys, "Groups": groups, "AttachedPolicies": attached, "InlinePolicies": inline})
        return
    calls.show_one(
        {
            "user": found["Arn"],
            "id": found["UserId"],
            "since": found["CreateDate"],
            "keys": ", ".join(f"{each['AccessKeyId']} ({each['Status']})" for each in keys) or None,
            "groups": ", ".join(each["GroupName"] for each in groups) or None,
            "policies": ", ".join([*(each["PolicyName"] for each in attached), *(f"{each} (inline)" for each in inline)]) or None,
        },
        False,
    )


@application.command()
def delete(name: Name, account: Account = None) -> None:
    """Delete a user with everything that is only its own: keys, password, policies, memberships, devices."""
    _, iam = _iam(account)
    ask(iam.get_user, UserName=name)
    for method, given in _belongings(iam, name):
        ask(method, **given)
    ask(iam.delete_user, UserName=name)
    print(f"{name} is deleted")


def _belongings(iam: Any, name: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Every call that DeleteUser wants to have been made before it."""
    of = {"UserName": name}
    for member in list(calls.every(iam, "list_access_keys", "AccessKeyMetadata", **of)):
        yield iam.delete_access_key, of | {"AccessKeyId": member["AccessKeyId"]}
    for member in list(calls.every(iam, "list_groups_for_user", "Groups", **of)):
        yield iam.remove_user_from_group, of | {"GroupName": member["GroupName"]}
    for member in list(calls.every(iam, "list_attached_user_policies", "AttachedPolicies", **of)):
        yield iam.detach_user_policy, of | {"PolicyArn": member["PolicyArn"]}
    for policy in list(calls.every(iam, "list_user_policies", "PolicyNames", **of)):
        yield iam.delete_user_policy, of | {"PolicyName": policy}
    for member in list(calls.every(iam, "list_mfa_devices", "MFADevices", **of)):
        yield iam.deactivate_mfa_device, of | {"SerialNumber": member["SerialNumber"]}
    for member in list(calls.every(iam, "list_signing_certificates", "Certificates", **of)):
        yield iam.delete_signing_certificate, of | {"CertificateId": member["CertificateId"]}
    for member in list(calls.every(iam, "list_ssh_public_keys", "SSHPublicKeys", **of)):
        yield iam.delete_ssh_public_key, of | {"SSHPublicKeyId": member["SSHPublicKeyId"]}
    for member in ask(iam.list_service_specific_credentials, **of)["ServiceSpecificCredentials"]:
        yield iam.delete_service_specific_credential, of | {"ServiceSpecificCredentialId": member["ServiceSpecificCredentialId"]}
    if _has_password(iam, name):
        yield iam.delete_login_profile, of


@application.command()
def key(
    name: Name,
    delete: Annotated[str | None, typer.Option(metavar="ID", help="delete this key instead")] = None,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """Make an access key, shown this once; or delete one."""
    _, iam = _iam(account)
    if delete is not None:
        ask(iam.delete_access_key, UserName=name, AccessKeyId=delete)
        print(f"{delete} is deleted")
        return
    pair = ask(iam.create_access_key, UserName=name)["AccessKey"]
    if as_json:
        calls.print_json(pair)
    else:
        _tell(pair)


def _tell(pair: dict[str, Any]) -> None:
    from mallee.cli import environment

    print("\n".join(environment.lines(environment.credentials(pair))))


@application.command()
def password(
    name: Name,
    generate: Annotated[bool, typer.Option("--generate", help="make one up and print it")] = False,
    change: Annotated[bool, typer.Option(help="it must be changed when the user signs in")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="the user signs in no more")] = False,
    account: Account = None,
) -> None:
    """Give a user a password to sign in with (./mallee login)."""
    _, iam = _iam(account)
    if remove:
        ask(iam.delete_login_profile, UserName=name)
        print(f"{name} has no password now")
        return
    text = _made_up() if generate else str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    method = iam.update_login_profile if _has_password(iam, name) else iam.create_login_profile
    ask(method, UserName=name, Password=text, PasswordResetRequired=change)
    print(text if generate else f"{name} has a new password")


def _has_password(iam: Any, name: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        iam.get_login_profile(UserName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return False
        raise calls.refused(error) from error
    return True


def _made_up() -> str:
    """Twenty-four characters of every kind that a password policy may ask for."""
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!@#%^*()_+-=[]{}")
    chosen = [secrets.choice(kind) for kind in kinds] + [secrets.choice("".join(kinds)) for _ in range(20)]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


@application.command()
def grant(name: Name, policy: Policy = ADMINISTRATOR, account: Account = None) -> None:
    """Attach a managed policy to a user: AdministratorAccess, or the one that is named."""
    _, iam = _iam(account)
    arn = _policy(iam, policy)
    ask(iam.attach_user_policy, UserName=name, PolicyArn=arn)
    print(f"{name} has {arn}")


@application.command()
def revoke(name: Name, policy: Policy = ADMINISTRATOR, account: Account = None) -> None:
    """Detach a managed policy from a user."""
    _, iam = _iam(account)
    arn = _policy(iam, policy)
    ask(iam.detach_user_policy, UserName=name, PolicyArn=arn)
    print(f"{name} no longer has {arn}")


def _policy(iam: Any, named: str) -> str:
    """The ARN of a managed policy that is named by ARN or name; an own one comes before AWS's of the same name."""
    if named.startswith("arn:"):
        return named
    for scope in ("Local", "AWS"):
        for each in calls.every(iam, "list_policies", "Policies", Scope=scope):
            if each["PolicyName"] == named:
                return str(each["Arn"])
    raise Sorry(f"there is no managed policy {named}")
