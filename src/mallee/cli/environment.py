"""`mallee env`: what a shell needs so that unmodified AWS tools speak to this cloud."""

from __future__ import annotations

import shlex
from typing import Any

from mallee.admin import MODELS
from mallee.settings import Settings


def exports(chosen: Settings, tls: bool, keys: dict[str, Any]) -> str:
    """Lines of shell for one who has ``keys``; with ``tls`` the encrypted endpoint and the authority that vouches for it."""
    values = {
        "AWS_ENDPOINT_URL": chosen.tls_endpoint if tls else chosen.endpoint,
        **credentials(keys),
        "AWS_DATA_PATH": str(MODELS),  # Mallee's own service, for boto3 and the AWS CLI
        "AWS_DEFAULT_REGION": chosen.region,
        "AWS_REGION": chosen.region,
        "MALLEE_HOME": str(chosen.home),
    }
    if tls:
        values["AWS_CA_BUNDLE"] = str(chosen.cloud / "tls" / "ca.pem")
    return "\n".join([*lines(values), "unset AWS_SESSION_TOKEN AWS_PROFILE" + ("" if tls else " AWS_CA_BUNDLE")])


def credentials(keys: dict[str, Any]) -> dict[str, str]:
    """What clients read of a key, temporary or not."""
    found = {"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"]}
    return found | ({"AWS_SESSION_TOKEN": keys["SessionToken"]} if "SessionToken" in keys else {})


def lines(values: dict[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
