"""What the commands of administration share: keys of accounts, calls with clear errors, tables and JSON.

The key of an account's root is kept beside the administrator's, in ``secrets/accounts``, readable by whoever set the cloud up:
that is how ``--account`` acts in another account. Whoever can read that folder could bring in such a key anyway.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mallee.cli import home
from mallee.cli.home import Sorry
from mallee.settings import Settings

_WIDE = 240

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table")]
AccountName = Annotated[str, typer.Argument(metavar="ACCOUNT", help="an account's id or alias")]


def group(help: str) -> typer.Typer:
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def ask(method: Callable[..., Any], **given: Any) -> dict[str, Any]:
    """One call, without what is None; ``Sorry`` says what the cloud refused, or that it does not answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return dict(method(**{name: value for name, value in given.items() if value is not None}))
    except ClientError as error:
        raise refused(error) from error
    except BotoCoreError as error:
        raise unanswered(error) from error


def refused(error: Any) -> Sorry:
    told = error.response["Error"]
    return Sorry(f"{told.get('Message') or 'refused'} ({told['Code']})")


def unanswered(error: Exception) -> Sorry:
    """What went wrong before the cloud could refuse."""
    from botocore.exceptions import ConnectionError, HTTPClientError

    if isinstance(error, (ConnectionError, HTTPClientError)):
        return Sorry("the cloud does not answer: ./mallee status says what runs")
    return Sorry(" ".join(str(error).split()))


def every(client: Any, operation: str, member: str, **given: Any) -> Iterator[dict[str, Any]]:
    """All items of a list, page by page."""
    pages = iter(client.get_paginator(operation).paginate(**{name: value for name, value in given.items() if value is not None}))

    def next_page() -> dict[str, Any]:
        return next(pages, {})

    while page := ask(next_page):
        yield from page[member]


def administrator(chosen: Settings) -> Any:
    """A client of the mallee service with the administrator's keys."""
    from mallee.cli.client import client

    return client("mallee", chosen)


def account_id(mallee: Any, named: str) -> str:
    """The id of an account that is named by its id or its alias."""
    if len(named) == 12 and named.isdigit():
        return named
    return str(ask(mallee.describe_account, Alias=named)["Account"]["AccountId"])


# --------------------------------------------------------------------------------------------------------------------- keys


def _file(chosen: Settings, id: str) -> Path:
    return chosen.secrets / "accounts" / f"{id}.json"


def keep(chosen: Settings, key: Mapping[str, Any]) -> None:
    """Keeps the key of an account's root."""
    kept = {name: key[name] for name in ("AccountId", "AccessKeyId", "SecretAccessKey")}
    home.write_private(_file(chosen, key["AccountId"]), json.dumps(kept).encode())


def keys_of(chosen: Settings, named: str | None) -> dict[str, Any]:
    """The keys of an account that were kept here; the administrator's when none is named."""
    own = home.credentials(chosen)
    if named is None or named == own["AccountId"]:
        return own
    id = account_id(administrator(chosen), named)
    if id == own["AccountId"]:
        return own
    try:
        return dict(json.loads(_file(chosen, id).read_text()))
    except FileNotFoundError as error:
        raise Sorry(f"no key of {named} is kept here: ./mallee account key {named} makes one") from error


# ------------------------------------------------------------------------------------------------------------------ output


def show(items: Sequence[Mapping[str, Any]], columns: Mapping[str, str], as_json: bool) -> None:
    """Items as a table, or as they are. ``columns``: members by their headings."""
    if as_json:
        print_json(list(items))
        return
    from rich.table import Table

    from mallee.cli.progress import Progress

    table = Table(box=None)
    for number, heading in enumerate(columns):
        table.add_column(heading, no_wrap=number == 0)
    for item in items:
        table.add_row(*(plain(item.get(member)) for member in columns.values()))
    console = Progress().console
    if not console.is_terminal:
        console.width = _WIDE  # for programs: one line per row
    console.print(table, markup=False) if items else print("none")


def show_one(item: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(item)
        return
    width = max((len(name) for name in item), default=0)
    for name, value in item.items():
        print(f"{name:<{width}}  {plain(value)}")


def plain(value: Any) -> str:
    import datetime

    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=lambda each: each.isoformat() if hasattr(each, "isoformat") else str(each)))


def read_text(file: str) -> str:
    """The text of a file, or of standard input for ``-``."""
    import sys

    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Sorry(f"{file} cannot be read: {error}") from error
