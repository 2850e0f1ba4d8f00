"""User names and passwords for single services. The services that take them (CodeCommit, Cassandra, …) are not in this cloud, so
that no user ever has any, and to ask for one is refused."""

from __future__ import annotations

from typing import Any

from mallee.identity import iam
from mallee.identity.access import Access, On
from mallee.identity.call import Call
from mallee.identity.resources import USER
from mallee.wire.errors import AwsError

_OWNER = On(USER, "UserName", default=iam.own_name)

ACCESS = {
    "create_service_specific_credential": Access(_OWNER),
    "list_service_specific_credentials": Access(_OWNER),
    "update_service_specific_credential": Access(_OWNER),
    "reset_service_specific_credential": Access(_OWNER),
    "delete_service_specific_credential": Access(_OWNER),
}


def create_service_specific_credential(call: Call) -> dict[str, Any]:
    iam.the_user(call, call.input["UserName"])
    raise _not_supported(call.input["ServiceName"])


def list_service_specific_credentials(call: Call) -> dict[str, Any]:
    everyone, name = call.input.get("AllUsers"), call.input.get("UserName")
    if everyone and name is not None:
        raise iam.invalid("AllUsers cannot be specified together with UserName.")
    if not everyone:
        iam.the_user(call, name)
    if (service := call.input.get("ServiceName")) is not None:
        raise _not_supported(service)
    return {"ServiceSpecificCredentials": [], "IsTruncated": False}


def update_service_specific_credential(call: Call) -> None:
    raise _no_such(call)


def reset_service_specific_credential(call: Call) -> dict[str, Any]:
    raise _no_such(call)


def delete_service_specific_credential(call: Call) -> None:
    raise _no_such(call)


def _no_such(call: Call) -> AwsError:
    iam.the_user(call, call.input.get("UserName"))
    wanted = call.input["ServiceSpecificCredentialId"]
    return AwsError("NoSuchEntity", f"No such credential {wanted} exists", status=404)


def _not_supported(service: str) -> AwsError:
    told = f"No such service {service[:128]} is supported for Service Specific Credentials"
    return AwsError("NotSupportedService", told, status=404)
