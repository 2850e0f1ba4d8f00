"""The command line as a client of its own cloud: botocore, with the administrator's keys, against the local endpoint."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from mallee.admin import MODELS
from mallee.cli import home
from mallee.settings import Settings


def client(service: str, chosen: Settings, keys: dict[str, Any] | None = None) -> Any:
    """A botocore client, with the administrator's keys unless others are given; a call that cannot connect fails at once
    instead of trying for minutes."""
    import botocore.config
    import botocore.session

    keys = keys or home.credentials(chosen)
    session = botocore.session.Session()
    session.set_config_variable("data_path", str(MODELS))
    config = botocore.config.Config(
        connect_timeout=3, read_timeout=30, retries={"max_attempts": 2}, ignore_configured_endpoint_urls=True, proxies={}
    )
    return session.create_client(
        service,
        region_name=chosen.region,
        endpoint_url=chosen.endpoint,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        config=config,
    )


def health(chosen: Settings, timeout: float = 3.0) -> dict[str, Any] | None:
    """What ``/health`` says; None when nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(chosen.endpoint + "/health", timeout=timeout) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        try:
            return dict(json.load(error))
        except ValueError:
            return None
    except (OSError, ValueError):
        return None
