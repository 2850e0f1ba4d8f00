"""`mallee account quota`: how much accounts may have, and what they ask for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mallee.cli import calls, home
from mallee.cli.calls import AccountName, AsJson, ask
from mallee.cli.home import Sorry

application = calls.group("Quotas of accounts, and their requests for larger ones.")

Named = Annotated[str, typer.Argument(metavar="SERVICE/CODE", help="a quota, as in `quota list`: ec2/L-0263D0A3")]
Request = Annotated[str, typer.Argument(metavar="REQUEST", help="a request's id, as in `quota requests`")]
Reason = Annotated[str | None, typer.Option(help="what to say to the account")]

COLUMNS = {
    "quota": "Quota",
    "name": "QuotaName",
    "used": "Used",
    "value": "Value",
    "default": "DefaultValue",
    "limit": "PolicyLimit",
}


@application.command("list")
def list_(
    account: AccountName,
    service: Annotated[str | None, typer.Option(help="only those of ec2, vpc, iam, …")] = None,
    as_json: AsJson = False,
) -> None:
    """All quotas as they hold for an account, with what it uses."""
    mallee = calls.administrator(home.settings())
    owner = calls.account_id(mallee, account)
    found = list(calls.every(mallee, "list_account_quotas", "Quotas", AccountId=owner, ServiceCode=service))
    calls.show(found if as_json else [_named(each) for each in found], COLUMNS, as_json)


@application.command("set")
def set_(account: AccountName, quota: Named, value: Annotated[float, typer.Argument(min=0)], as_json: AsJson = False) -> None:
    """Give an account a value of its own."""
    mallee = calls.administrator(home.settings())
    owner = calls.account_id(mallee, account)
    found = ask(mallee.put_account_quota, AccountId=owner, Value=value, **_parts(quota))["Quota"]
    calls.show([found if as_json else _named(found)], COLUMNS, as_json)


@application.command()
def reset(account: AccountName, quota: Named) -> None:
    """Take an account's own value: the default holds again."""
    mallee = calls.administrator(home.settings())
    owner = calls.account_id(mallee, account)
    ask(mallee.delete_account_quota, AccountId=owner, **_parts(quota))
    calls.show([_named(ask(mallee.get_account_quota, AccountId=owner, **_parts(quota))["Quota"])], COLUMNS, False)


@application.command()
def requests(
    status: Annotated[str | None, typer.Option(help="PENDING, APPROVED or DENIED; all with an empty one")] = "PENDING",
    as_json: AsJson = False,
) -> None:
    """What accounts asked for."""
    mallee = calls.administrator(home.settings())
    found = list(calls.every(mallee, "list_quota_requests", "Requests", Status=status or None))
    columns = {
        "request": "RequestId",
        "account": "AccountId",
        "quota": "Quota",
        "wanted": "DesiredValue",
        "now": "CurrentValue",
        "status": "Status",
    }
    calls.show(found if as_json else [_named(each) for each in found], columns, as_json)


@application.command()
def approve(
    request: Request,
    value: Annotated[float | None, typer.Option(min=0, help="another value than the wanted one")] = None,
    reason: Reason = None,
) -> None:
    """Give an account what it asked for."""
    mallee = calls.administrator(home.settings())
    decided = ask(mallee.approve_quota_request, RequestId=request, Value=value, Reason=reason)["Request"]
    print(f"{decided['AccountId']} has {calls.plain(decided['CurrentValue'])} of {decided['QuotaName']} now")


@application.command()
def deny(request: Request, reason: Reason = None) -> None:
    """Deny a request."""
    mallee = calls.administrator(home.settings())
    decided = ask(mallee.deny_quota_request, RequestId=request, Reason=reason)["Request"]
    print(f"denied; {decided['AccountId']} has {calls.plain(decided['CurrentValue'])} of {decided['QuotaName']}")


def _named(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"Quota": f"{item['ServiceCode']}/{item['QuotaCode']}"}


def _parts(named: str) -> dict[str, str]:
    service, slash, code = named.partition("/")
    if not slash:
        raise Sorry(f"{named} is no quota: write SERVICE/CODE, such as ec2/L-0263D0A3")
    return {"ServiceCode": service, "QuotaCode": code}
