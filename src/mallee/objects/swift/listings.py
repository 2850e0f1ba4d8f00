"""Listings of accounts and containers as Swift writes them: a name per line, JSON, or XML."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mallee.wire.errors import AwsError
from mallee.wire.xmlout import escaped

MOST: Final = 10_000
TEXT, JSON, XML = "text/plain", "application/json", "application/xml"
_BY_NAME: Final = {"json": JSON, "xml": XML, "plain": TEXT, "text": TEXT}


def form(query: Mapping[str, str], accept: str) -> str:
    """What is wanted: by ``format``, else by Accept. Raises AwsError (406)."""
    named = query.get("format")
    if named is not None:
        return _BY_NAME.get(named.lower(), TEXT)
    wanted = [each.partition(";")[0].strip().lower() for each in accept.split(",") if each.strip()]
    for each in wanted:
        if each in (TEXT, JSON, XML):
            return each
        if each == "text/xml":
            return XML
        if each in ("*/*", "text/*"):
            return TEXT
        if each == "application/*":
            return JSON
    if wanted:
        raise AwsError("NotAcceptable", "The listing is not available in that format.", status=406)
    return TEXT


def limit(text: str | None) -> int:
    if text is None or text == "":
        return MOST
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > MOST:
        raise AwsError("PreconditionFailed", f"Maximum limit is {MOST}", status=412)
    return int(text)


def moment(at: datetime.datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")


def written(kind: str, root: str, name: str, element: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """``rows``: what each line is, with its name first; one that has ``subdir`` is a common prefix. ``root`` and ``name``: what is listed."""
    if kind == JSON:
        return json.dumps([dict(row) for row in rows]).encode()
    if kind == TEXT:
        return "".join(f"{row.get('name', row.get('subdir'))}\n" for row in rows).encode()
    parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} name="{_attribute(name)}">']
    for row in rows:
        if "subdir" in row:
            parts.append(f'<subdir name="{_attribute(row["subdir"])}"><name>{_xml(row["subdir"])}</name></subdir>')
        else:
            inner = "".join(f"<{member}>{_xml(value)}</{member}>" for member, value in row.items())
            parts.append(f"<{element}>{inner}</{element}>")
    parts.append(f"</{root}>")
    return "".join(parts).encode()


def _xml(value: Any) -> str:
    return str(escaped(str(value)))


def _attribute(value: str) -> str:
    return _xml(value).replace('"', "&quot;").replace("\n", "&#10;")
