"""`mallee bucket`: what buckets hold, and what the administrator sets up for them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mallee.cli import bucket_usage, calls, home
from mallee.cli.calls import AsJson, ask

application = calls.group("Buckets: what they hold, and what the administrator sets up for them.")
target = calls.group("Other S3 endpoints that buckets may replicate to.")
application.add_typer(target, name="target")
for command in (bucket_usage.usage, bucket_usage.quota, bucket_usage.records):
    application.command()(command)

Name = Annotated[str, typer.Argument(metavar="NAME", help="what rules call it: arn:aws:s3:NAME::BUCKET")]

COLUMNS = {
    "name": "Name",
    "endpoint": "Endpoint",
    "region": "Region",
    "key": "AccessKeyId",
    "account": "AccountId",
    "changed": "ChangedAt",
}


@target.command()
def add(
    name: Name,
    endpoint: Annotated[str, typer.Argument(help="its URL, such as https://s3.eu-central-1.amazonaws.com")],
    access_key: Annotated[str, typer.Option(help="the id of the key that writes there; its secret is read from standard input")],
    region: Annotated[str, typer.Option(help="the region that signatures name")] = "us-east-1",
    account: Annotated[str | None, typer.Option(help="whose buckets may replicate there, by id or alias; else the administrator's")] = None,
    authority: Annotated[str | None, typer.Option(help="a file with the certificate that the endpoint's own is verified by")] = None,
    as_json: AsJson = False,
) -> None:
    """Register an endpoint, or change one."""
    mallee = calls.administrator(home.settings())
    owner = None if account is None else calls.account_id(mallee, account)
    secret = typer.prompt("Secret access key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().strip()
    made = ask(
        mallee.put_replication_target, Name=name, Endpoint=endpoint, Region=region, AccessKeyId=access_key, SecretAccessKey=secret,
        AccountId=owner, CertificateAuthority=None if authority is None else calls.read_text(authority),
    )["ReplicationTarget"]  # fmt: skip
    calls.show([made], COLUMNS, as_json)


@target.command("list")
def list_(as_json: AsJson = False) -> None:
    """All endpoints."""
    mallee = calls.administrator(home.settings())
    calls.show(list(calls.every(mallee, "list_replication_targets", "ReplicationTargets")), COLUMNS, as_json)


@target.command()
def remove(name: Name) -> None:
    """Forget an endpoint; what rules still send there fails."""
    mallee = calls.administrator(home.settings())
    ask(mallee.delete_replication_target, Name=name)
    print(f"{name} is removed")
