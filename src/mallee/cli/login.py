"""`mallee login`: temporary credentials for a name and a password, as shell exports.

It needs no home of a cloud, only its endpoint: it is for everybody who has a password, here or in the directory.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from mallee.admin import MODELS
from mallee.cli import calls, environment, home
from mallee.cli.home import Sorry

_WANTED = {
    "MfaRequiredException": ("MfaCode", "MFA code"),
    "PasswordChangeRequiredException": ("NewPassword", "New password"),
    "PasswordExpiredException": ("NewPassword", "New password"),
}


def login(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="the account's alias or id")],
    user: Annotated[str, typer.Argument(metavar="USER", help="the user's name")],
    mfa: Annotated[str | None, typer.Option(help="what the user's MFA device shows; asked for when it is needed")] = None,
    hours: Annotated[float, typer.Option(min=0.25, max=12, help="how long the credentials are good for")] = 12,
    stdin: Annotated[bool, typer.Option("--password-stdin", help="read the password from standard input")] = False,
    endpoint: Annotated[str | None, typer.Option(envvar="AWS_ENDPOINT_URL", help="the cloud's endpoint")] = None,
    region: Annotated[str | None, typer.Option(envvar="AWS_REGION", help="the cloud's region")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON as a credential_process of the AWS CLI gives it")] = False,
) -> None:
    """Sign in: eval "$(./mallee login ACCOUNT USER)"."""
    where, named = _cloud(endpoint, region)
    password = sys.stdin.readline().rstrip("\n") if stdin else _prompt("Password")
    answer = _sign_in(
        where,
        named,
        {"Account": account, "UserName": user, "MfaCode": mfa, "DurationSeconds": int(hours * 3600)},
        password,
        not stdin,
    )
    found = answer["Credentials"]
    if json:
        calls.print_json({"Version": 1, **found})
        return
    values = {
        "AWS_ENDPOINT_URL": where,
        **environment.credentials(found),
        "AWS_DATA_PATH": str(MODELS),
        "AWS_DEFAULT_REGION": named,
        "AWS_REGION": named,
    }
    print("\n".join([*environment.lines(values), "unset AWS_PROFILE"]))


def _cloud(endpoint: str | None, region: str | None) -> tuple[str, str]:
    """The endpoint and the region: as given, else of the cloud on this machine."""
    if endpoint and region:
        return endpoint, region
    try:
        chosen = home.settings()
    except Sorry:
        raise Sorry("say which cloud: --endpoint URL and --region NAME, or AWS_ENDPOINT_URL and AWS_REGION") from None
    return endpoint or chosen.endpoint, region or chosen.region


def _prompt(what: str) -> str:
    return str(typer.prompt(what, hide_input=True, err=True))  # standard output is for eval


def _sign_in(endpoint: str, region: str, given: dict[str, Any], password: str, may_ask: bool) -> dict[str, Any]:
    """Signs in, asking for what the cloud wants besides where a person is there to answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = _client(endpoint, region)
    given = {name: value for name, value in given.items() if value is not None} | {"Password": password}
    while True:
        try:
            return dict(client.sign_in(**given))
        except ClientError as error:
            member, what = _WANTED.get(error.response["Error"]["Code"], ("", ""))
            if not member or member in given or not may_ask:
                raise calls.refused(error) from error
            given[member] = _prompt(what)
        except BotoCoreError as error:
            raise calls.unanswered(error) from error


def _client(endpoint: str, region: str) -> Any:
    import botocore.config
    import botocore.session
    from botocore import UNSIGNED

    session = botocore.session.Session()
    session.set_config_variable("data_path", str(MODELS))
    session.set_config_variable("ca_bundle", os.environ.get("AWS_CA_BUNDLE"))
    config = botocore.config.Config(
        signature_version=UNSIGNED, connect_timeout=3, read_timeout=60, retries={"max_attempts": 1}, proxies={}
    )
    return session.create_client("mallee", region_name=region, endpoint_url=endpoint, config=config)
