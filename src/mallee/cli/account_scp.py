"""`mallee account scp`: service control policies."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mallee.cli import calls, home
from mallee.cli.calls import AsJson, ask
from mallee.cli.home import Sorry

application = calls.group("Service control policies: the most that accounts may do.")

Policy = Annotated[str, typer.Argument(metavar="POLICY", help="a policy's id or name")]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="an account's id or alias, or root for every account")]
File = Annotated[str, typer.Argument(help="the policy's file, or -")]

COLUMNS = {"policy": "PolicyId", "name": "Name", "description": "Description", "changed": "UpdatedAt"}


@application.command()
def create(
    name: Annotated[str, typer.Argument()],
    file: File,
    description: Annotated[str | None, typer.Option()] = None,
    as_json: AsJson = False,
) -> None:
    """Make a policy. It has no effect until it is attached."""
    mallee = calls.administrator(home.settings())
    text = calls.read_text(file)
    made = ask(mallee.create_service_control_policy, Name=name, Description=description, Document=text)["Policy"]
    calls.show([made], COLUMNS, as_json)


@application.command("list")
def list_(
    target: Annotated[str | None, typer.Option(help="only those attached to this account, or to root")] = None,
    as_json: AsJson = False,
) -> None:
    """All policies."""
    mallee = calls.administrator(home.settings())
    wanted = None if target is None else _target(mallee, target)
    calls.show(list(calls.every(mallee, "list_service_control_policies", "Policies", TargetId=wanted)), COLUMNS, as_json)


@application.command()
def show(policy: Policy) -> None:
    """A policy's document."""
    mallee = calls.administrator(home.settings())
    print(ask(mallee.get_service_control_policy, PolicyId=_id(mallee, policy))["Policy"]["Document"])


@application.command()
def update(policy: Policy, file: File) -> None:
    """Give a policy another document."""
    mallee = calls.administrator(home.settings())
    text = calls.read_text(file)
    changed = ask(mallee.update_service_control_policy, PolicyId=_id(mallee, policy), Document=text)["Policy"]
    calls.show([changed], COLUMNS, False)


@application.command()
def delete(policy: Policy) -> None:
    """Delete a policy that is attached to nothing."""
    mallee = calls.administrator(home.settings())
    ask(mallee.delete_service_control_policy, PolicyId=_id(mallee, policy))
    print(f"{policy} is deleted")


@application.command()
def attach(policy: Policy, target: Target) -> None:
    """Attach a policy to an account, or to all of them."""
    mallee = calls.administrator(home.settings())
    ask(mallee.attach_service_control_policy, PolicyId=_id(mallee, policy), TargetId=_target(mallee, target))
    print(f"{policy} is attached to {target}")


@application.command()
def detach(policy: Policy, target: Target) -> None:
    """Detach a policy."""
    mallee = calls.administrator(home.settings())
    ask(mallee.detach_service_control_policy, PolicyId=_id(mallee, policy), TargetId=_target(mallee, target))
    print(f"{policy} is no longer attached to {target}")


@application.command()
def targets(policy: Policy, as_json: AsJson = False) -> None:
    """What a policy is attached to."""
    mallee = calls.administrator(home.settings())
    found = list(calls.every(mallee, "list_service_control_policy_targets", "Targets", PolicyId=_id(mallee, policy)))
    calls.show(found, {"target": "TargetId", "name": "Name"}, as_json)


def _id(mallee: Any, named: str) -> str:
    for each in calls.every(mallee, "list_service_control_policies", "Policies"):
        if named in (each["PolicyId"], each["Name"]):
            return str(each["PolicyId"])
    raise Sorry(f"there is no service control policy {named}")


def _target(mallee: Any, named: str) -> str:
    return named if named == "root" else calls.account_id(mallee, named)
