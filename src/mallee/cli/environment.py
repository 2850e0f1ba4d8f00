"""`mallee env`: what a shell needs so that unmodified AWS tools speak to this cloud."""

from __future__ import annotations

import shlex

from mallee.cli import home
from mallee.settings import Settings


def exports(chosen: Settings, tls: bool) -> str:
    """Lines of shell; with ``tls`` the encrypted endpoint and the authority that vouches for it."""
    keys = home.credentials(chosen)
    values = {
        "AWS_ENDPOINT_URL": chosen.tls_endpoint if tls else chosen.endpoint,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_DEFAULT_REGION": chosen.region,
        "AWS_REGION": chosen.region,
        "MALLEE_HOME": str(chosen.home),
    }
    if tls:
        values["AWS_CA_BUNDLE"] = str(chosen.cloud / "tls" / "ca.pem")
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    lines.append("unset AWS_SESSION_TOKEN AWS_PROFILE" + ("" if tls else " AWS_CA_BUNDLE"))
    return "\n".join(lines)
