"""Which rule of a bucket's CORS configuration lets a browser's request in, and what the answer says then.

The first rule that fits decides. It fits when the origin matches one of its patterns (at most one ``*`` each, case-sensitive), the method is one
of its methods, and every header that a preflight asks for matches one of its header patterns (in small letters). An actual request asks for no
headers. https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManageCorsUsing.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

METHODS: Final = ("GET", "PUT", "POST", "DELETE", "HEAD")
"""That a rule can name, and a preflight ask for."""
VARY: Final = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

Rule = Mapping[str, Any]


def fits(pattern: str, text: str) -> bool:
    """Whether the pattern, which has at most one star, is the text."""
    before, star, after = pattern.partition("*")
    if not star:
        return text == pattern
    return len(text) >= len(before) + len(after) and text.startswith(before) and text.endswith(after)


def requested(header: str) -> list[str]:
    """The names in ``Access-Control-Request-Headers``."""
    return [name for each in header.lower().split(",") if (name := each.strip())]


def rule_for(rules: Sequence[Rule], origin: str, method: str, headers: Iterable[str] = ()) -> Rule | None:
    """``headers`` in small letters."""
    wanted = tuple(headers)
    for rule in rules:
        if method not in rule.get("AllowedMethods", ()) or not any(fits(each, origin) for each in rule.get("AllowedOrigins", ())):
            continue
        allowed = [each.lower() for each in rule.get("AllowedHeaders", ())]
        if all(any(fits(each, name) for each in allowed) for name in wanted):
            return rule
    return None


def told(rule: Rule, origin: str, headers: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """The headers of the answer. ``headers``: those that a preflight asked for. An origin that only the pattern ``*`` let in may not bring its
    credentials; which pattern fits first decides."""
    anybody = next((each for each in rule["AllowedOrigins"] if fits(each, origin)), "") == "*"
    found = [("access-control-allow-origin", "*" if anybody else origin)]
    found.append(("access-control-allow-methods", ", ".join(rule["AllowedMethods"])))
    asked = list(headers or ())
    if asked:
        found.append(("access-control-allow-headers", ", ".join(asked)))
    if rule.get("ExposeHeaders"):
        found.append(("access-control-expose-headers", ", ".join(rule["ExposeHeaders"])))
    if rule.get("MaxAgeSeconds") is not None:
        found.append(("access-control-max-age", str(rule["MaxAgeSeconds"])))
    if not anybody:
        found.append(("access-control-allow-credentials", "true"))
    found.append(("vary", VARY))
    return found
