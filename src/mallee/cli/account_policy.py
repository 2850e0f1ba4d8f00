"""`mallee account policy`: the policies that limit an account."""

from __future__ import annotations

from typing import Annotated

import typer

from mallee.cli import calls, home
from mallee.cli.calls import AccountName, AsJson, ask

application = calls.group("Policies that limit an account: statements with the Effect Limit.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="the policy's name")]


@application.command()
def put(account: AccountName, name: Name, file: Annotated[str, typer.Argument(help="the policy's file, or -")]) -> None:
    """Set a policy of an account."""
    mallee = calls.administrator(home.settings())
    owner = calls.account_id(mallee, account)
    ask(mallee.put_account_policy, AccountId=owner, PolicyName=name, PolicyDocument=calls.read_text(file))
    print(f"{name} limits {owner} now")


@application.command("list")
def list_(account: AccountName, as_json: AsJson = False) -> None:
    """The policies of an account."""
    mallee = calls.administrator(home.settings())
    found = list(calls.every(mallee, "list_account_policies", "Policies", AccountId=calls.account_id(mallee, account)))
    calls.show(found, {"policy": "PolicyName", "since": "CreatedAt", "changed": "UpdatedAt"}, as_json)


@application.command()
def show(account: AccountName, name: Name) -> None:
    """A policy's document."""
    mallee = calls.administrator(home.settings())
    owner = calls.account_id(mallee, account)
    print(ask(mallee.get_account_policy, AccountId=owner, PolicyName=name)["Policy"]["PolicyDocument"])


@application.command()
def delete(account: AccountName, name: Name) -> None:
    """Delete a policy of an account."""
    mallee = calls.administrator(home.settings())
    owner = calls.account_id(mallee, account)
    ask(mallee.delete_account_policy, AccountId=owner, PolicyName=name)
    print(f"{name} no longer limits {owner}")
