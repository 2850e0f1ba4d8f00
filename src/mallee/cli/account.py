"""`mallee account`: accounts and everything that stands above them, over the mallee service."""

from __future__ import annotations

import secrets
import string
from typing import Annotated, Any

import typer

from mallee.cli import account_policy, account_quota, account_scp, calls, home
from mallee.cli.calls import AccountName, AsJson, ask

application = calls.group("Accounts: make, list, close; who administers; quotas; policies above accounts.")
application.add_typer(account_quota.application, name="quota")
application.add_typer(account_policy.application, name="policy")
application.add_typer(account_scp.application, name="scp")

COLUMNS = {
    "account": "AccountId",
    "alias": "Alias",
    "name": "Name",
    "status": "Status",
    "administers": "IsAdministrator",
    "since": "CreatedAt",
}


@application.command()
def create(
    name: Annotated[str, typer.Argument(help="a name for people")],
    alias: Annotated[str | None, typer.Option(help="a short name, unique in the cloud")] = None,
    id: Annotated[str | None, typer.Option(help="the id to give it: twelve digits")] = None,
    key: Annotated[bool, typer.Option(help="make a key of its root, show it once and keep it for --account")] = True,
    as_json: AsJson = False,
) -> None:
    """Make an account and a key of its root."""
    chosen = home.settings()
    mallee = calls.administrator(chosen)
    answer = ask(mallee.create_account, Name=name, Alias=alias, AccountId=id, CreateAccessKey=key)
    made = answer.get("AccessKey")
    if made is not None:
        calls.keep(chosen, made)
    if as_json:
        calls.print_json({member: answer[member] for member in ("Account", "AccessKey") if member in answer})
        return
    calls.show([answer["Account"]], COLUMNS, False)
    if made is not None:
        _tell(made)


def _tell(key: dict[str, Any]) -> None:
    from mallee.cli import environment

    print("\nThe key of its root; its secret is shown this once:\n")
    print("\n".join(environment.lines(environment.credentials(key))))
    print(f'\neval "$(./mallee env --account {key["AccountId"]})" sets it with everything else that clients need.')


@application.command("list")
def list_(status: Annotated[str | None, typer.Option(help="ACTIVE or SUSPENDED only")] = None, as_json: AsJson = False) -> None:
    """All accounts."""
    mallee = calls.administrator(home.settings())
    calls.show(list(calls.every(mallee, "list_accounts", "Accounts", Status=status)), COLUMNS, as_json)


@application.command()
def show(account: AccountName, as_json: AsJson = False) -> None:
    """One account."""
    mallee = calls.administrator(home.settings())
    found = ask(mallee.describe_account, AccountId=calls.account_id(mallee, account))["Account"]
    calls.show_one(found, as_json)


@application.command()
def rename(
    account: AccountName,
    name: Annotated[str | None, typer.Option(help="the new name")] = None,
    alias: Annotated[str | None, typer.Option(help="the new alias; empty for none")] = None,
) -> None:
    """Change an account's name or alias."""
    mallee = calls.administrator(home.settings())
    changed = ask(mallee.update_account, AccountId=calls.account_id(mallee, account), Name=name, Alias=alias)["Account"]
    calls.show([changed], COLUMNS, False)


def _simply(name: str, method: str, help: str) -> None:
    """A command that asks one thing of an account and shows how it is then."""

    def command(account: AccountName) -> None:
        mallee = calls.administrator(home.settings())
        ask(getattr(mallee, method), AccountId=calls.account_id(mallee, account))
        calls.show([ask(mallee.describe_account, AccountId=calls.account_id(mallee, account))["Account"]], COLUMNS, False)

    application.command(name, help=help)(command)


_simply("close", "close_account", "Close an account: none of its credentials works any more. What it has stays as it is.")
_simply("reopen", "reopen_account", "Open a closed account again.")
_simply("grant", "grant_administration", "Let an account administer the cloud.")
_simply("revoke", "revoke_administration", "Take the administration of the cloud from an account.")
_simply("revoke-sessions", "revoke_sessions", "Make void all temporary credentials of an account that were issued so far.")


@application.command()
def administrators(as_json: AsJson = False) -> None:
    """The accounts that administer the cloud."""
    mallee = calls.administrator(home.settings())
    columns = {"account": "AccountId", "since": "GrantedAt", "granted by": "GrantedBy", "permanent": "Permanent"}
    calls.show(list(calls.every(mallee, "list_administrators", "Administrators")), columns, as_json)


@application.command()
def key(
    account: AccountName,
    user: Annotated[str | None, typer.Option(help="for this user instead of the root")] = None,
    id: Annotated[str | None, typer.Option(help="bring in a key that exists: its id; the secret is asked for")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key of an account's root, or bring in one that exists elsewhere."""
    chosen = home.settings()
    mallee = calls.administrator(chosen)
    owner = calls.account_id(mallee, account)
    if id is None:
        pair = (
            _random("AKIA", 16, string.ascii_uppercase + "234567"),
            _random("", 40, string.ascii_letters + string.digits + "+/"),
        )
    else:
        pair = id, str(typer.prompt("Secret access key", hide_input=True, err=True))
    answer = ask(mallee.import_access_key, AccountId=owner, UserName=user, AccessKeyId=pair[0], SecretAccessKey=pair[1])
    made = answer["AccessKey"] | {"SecretAccessKey": pair[1]}
    if user is None:
        calls.keep(chosen, made)
    if as_json:
        calls.print_json(answer["AccessKey"] if id is not None else made)
    elif id is not None:
        print(f"{id} is a key of {owner} now")
    else:
        from mallee.cli import environment

        print("\n".join(environment.lines(environment.credentials(made))))


def _random(prefix: str, length: int, letters: str) -> str:
    return prefix + "".join(secrets.choice(letters) for _ in range(length))
