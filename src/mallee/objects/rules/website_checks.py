"""Website configurations: which of them S3 takes ("PutBucketWebsite")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mallee.objects.rules.refusals import bad_request, invalid, malformed

MOST_RULES = 50
_PROTOCOL = "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically."


def check(given: Mapping[str, Any]) -> None:
    redirect = given.get("RedirectAllRequestsTo")
    if redirect is not None:
        if len(given) > 1:
            told = "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules."
            raise invalid(told, "RedirectAllRequestsTo", "not null")
        if not redirect.get("HostName"):
            raise bad_request('A host name must be provided to redirect all requests (e.g. "example.com").')
        _check_protocol(redirect)
        return
    index = given.get("IndexDocument")
    if index is None:
        told = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
        raise invalid(told, "IndexDocument", "null")
    suffix = index.get("Suffix", "")
    if not suffix or "/" in suffix:
        raise invalid("The IndexDocument Suffix is not well formed", "IndexDocument", suffix)
    if "ErrorDocument" in given and not given["ErrorDocument"].get("Key"):
        raise invalid("The ErrorDocument Key is not well formed", "ErrorDocument", "")
    rules = given.get("RoutingRules", ())
    if len(rules) > MOST_RULES:
        raise bad_request(f"The number of routing rules must not exceed {MOST_RULES}.")
    for rule in rules:
        _check_rule(rule)


def _check_rule(rule: Mapping[str, Any]) -> None:
    condition, redirect = rule.get("Condition"), rule.get("Redirect")
    if not redirect:
        raise malformed()
    if condition is not None:
        if not condition:
            told = "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be present."
            raise bad_request(told)
        _check_code(condition.get("HttpErrorCodeReturnedEquals"), "error", range(400, 600), "4XX or 5XX")
    if "ReplaceKeyWith" in redirect and "ReplaceKeyPrefixWith" in redirect:
        raise bad_request("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    _check_protocol(redirect)
    _check_code(redirect.get("HttpRedirectCode"), "redirect", range(301, 400), "3XX except 300")


def _check_code(text: str | None, kind: str, valid: range, told: str) -> None:
    if text is None:
        return
    if not text.isascii() or not text.isdigit():
        raise malformed()
    if int(text) not in valid:
        raise bad_request(f"The provided HTTP {kind} code ({text}) is not valid. Valid codes are {told}.")


def _check_protocol(redirect: Mapping[str, Any]) -> None:
    if redirect.get("Protocol", "http") not in ("http", "https"):
        raise bad_request(_PROTOCOL)
