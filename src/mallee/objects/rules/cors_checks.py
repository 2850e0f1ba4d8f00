"""CORS configurations: which of them S3 takes ("PutBucketCors")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mallee.objects.rules.refusals import bad_request, malformed

MOST_RULES = 100
METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")


def check(rules: Sequence[Mapping[str, Any]]) -> None:
    if not rules or len(rules) > MOST_RULES:
        raise malformed()
    for rule in rules:
        if len(rule.get("ID", "")) > 255 or not rule.get("AllowedMethods") or not rule.get("AllowedOrigins"):
            raise malformed()
        for method in rule["AllowedMethods"]:
            if method not in METHODS:
                raise bad_request(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
        for name, member in (("AllowedOrigin", "AllowedOrigins"), ("AllowedHeader", "AllowedHeaders")):
            for text in rule.get(member, ()):
                if text.count("*") > 1:
                    raise bad_request(f'{name} "{text}" can not have more than one wildcard.')
        for text in rule.get("ExposeHeaders", ()):
            if "*" in text:
                raise bad_request(
                    f'ExposeHeader "{text}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
                )
        if rule.get("MaxAgeSeconds", 0) < 0:
            raise malformed()
