"""GetConsoleOutput."""

from __future__ import annotations

import base64
from typing import Any

from mallee.compute import access, records
from mallee.ec2 import resources
from mallee.ec2.access import checked
from mallee.identity.access import On
from mallee.identity.call import Call
from mallee.nodes import records as nodes
from mallee.wire.errors import AwsError

LIMIT = 64 * 1024


def get_console_output(call: Call) -> dict[str, Any]:
    """The end of the serial console, as the node last handed it over; ``Latest`` makes no difference, for nodes hand it
    over while it grows. Without any output yet, or when it is long gone, only the time is answered."""
    id = call.input.get("InstanceId")
    if not id:
        raise AwsError("MissingParameter", "The request must contain the parameter InstanceId")
    resources.check_id("instance", id)
    if records.instance(call.tx, id) is None:
        raise resources.not_found("instance", id)
    console = nodes.console(call.tx.everyone(), id)
    if console is None:
        return {"InstanceId": id, "Timestamp": call.now}
    text = base64.b64encode(console.text[-LIMIT:]).decode("ascii")
    return {"InstanceId": id, "Timestamp": console.written_at, "Output": text}


ACCESS = {"get_console_output": checked(On(access.INSTANCE, "InstanceId"))}
