"""Access advisor: which services somebody's policies allow, and when it last used them."""

from __future__ import annotations

import datetime
import json
import re
import uuid
from typing import Any

from mallee import durable
from mallee.identity import iam, last_accessed, named_policies
from mallee.identity.access import Access, On, ResourceType
from mallee.identity.call import Call
from mallee.identity.last_accessed import Granted, Holder
from mallee.identity.records import reports
from mallee.identity.records.users import Group, User
from mallee.identity.resources import HOLDER, POLICY, holder_by_arn
from mallee.wire.errors import AwsError

_ARN = re.compile(
    r"arn:aws[a-z-]*:iam::(?:\d{12}|aws):(?P<kind>user|group|role|policy)/(?:[!-~]*/)?(?P<name>[\w+=,.@-]+)", re.ASCII
)


def _load(call: Call, arn: str) -> Any:
    kind = POLICY if ":policy/" in arn else HOLDER
    assert kind.load is not None
    return kind.load(call, arn)


def _tags(call: Call, thing: Any) -> Any:
    assert HOLDER.tags is not None
    return HOLDER.tags(call, thing)


# a user, group, role or policy that the request names by its ARN
_SUBJECT = ResourceType("user", lambda call, arn, thing: arn, _load, tags=_tags)

ACCESS = {
    "generate_service_last_accessed_details": Access(On(_SUBJECT, "Arn")),
    "get_service_last_accessed_details": Access(),
    "get_service_last_accessed_details_with_entities": Access(),
    "list_policies_granting_service_access": Access(On(HOLDER, "Arn")),
}


def generate_service_last_accessed_details(call: Call) -> dict[str, Any]:
    arn = call.input["Arn"]
    parts = _ARN.fullmatch(arn)
    if parts is None:
        raise iam.invalid_input(f"ARN {arn} is not valid.")
    if parts["kind"] == "policy":
        named_policies.the_policy(call, arn)
    elif holder_by_arn(call, arn) is None:
        raise iam.no_such(parts["kind"], parts["name"])
    job_id = str(uuid.uuid4())
    granularity = call.input.get("Granularity") or "SERVICE_LEVEL"
    reports.ask(call.tx, job_id, call.account_id, reports.LAST_ACCESSED, _maker(call), subject=arn, granularity=granularity)
    durable.start(call.tx, "iam-report", job_id, partition=call.settings.partition)
    return {"JobId": job_id}


def get_service_last_accessed_details(call: Call) -> dict[str, Any]:
    found, services = _report(call)
    page = iam.page(call, services, lambda each: each["ServiceNamespace"], "ServicesLastAccessed", _described)
    return _head(found) | {"JobType": found.granularity} | page


def get_service_last_accessed_details_with_entities(call: Call) -> dict[str, Any]:
    """The latest user first; those that never used the service last."""
    found, services = _report(call)
    wanted = call.input["ServiceNamespace"].lower()
    entities = [entity for each in services if each["ServiceNamespace"] == wanted for entity in each["Entities"]]
    entities.sort(key=lambda each: each["EntityInfo"]["Arn"])
    entities.sort(key=lambda each: each.get("LastAuthenticated", ""), reverse=True)
    places = range(len(entities))
    page = iam.page(call, places, lambda place: place, "EntityDetailsList", lambda place: _moments(entities[place]))
    return _head(found) | page


def list_policies_granting_service_access(call: Call) -> dict[str, Any]:
    """In the order of the names that were asked for. Boundaries grant nothing and are left out."""
    arn = call.input["Arn"]
    parts = _ARN.fullmatch(arn)
    if parts is None or parts["kind"] == "policy":
        raise iam.invalid_input(f"ARN {arn} is not valid.")
    holder = holder_by_arn(call, arn)
    if holder is None:
        raise iam.no_such(parts["kind"], parts["name"])
    granted = last_accessed.granted_to(call.tx, holder, call.settings.partition)
    names = list(dict.fromkeys(name.lower() for name in call.input["ServiceNamespaces"]))
    return iam.page(
        call,
        range(len(names)),
        lambda place: place,
        "PoliciesGrantingServiceAccess",
        lambda place: {"ServiceNamespace": names[place], "Policies": _granting(granted, names[place])},
    )


def _granting(granted: list[Granted], service: str) -> list[dict[str, Any]]:
    found = []
    for each in granted:
        if not last_accessed.allows_service(each.policy, service):
            continue
        shown = {"PolicyName": each.name, "PolicyType": "INLINE" if each.arn is None else "MANAGED"}
        if each.holder is not None:
            shown |= {"EntityType": _kind(each.holder), "EntityName": each.holder.name}
        found.append(shown | ({} if each.arn is None else {"PolicyArn": each.arn}))
    return found


def _kind(holder: Holder) -> str:
    return "USER" if isinstance(holder, User) else "GROUP" if isinstance(holder, Group) else "ROLE"


def _maker(call: Call) -> str:
    return call.principal.holder_id or call.account_id


def _report(call: Call) -> tuple[reports.Report, list[dict[str, Any]]]:
    """A report is for who asked for it, and nobody else."""
    job_id = call.input["JobId"]
    found = reports.report(call.tx, job_id)
    if found is None or found.kind != reports.LAST_ACCESSED or found.maker != _maker(call):
        raise AwsError("NoSuchEntity", f"The job {job_id} cannot be found.", status=404)
    return found, json.loads(found.content) if found.content is not None else []


def _head(found: reports.Report) -> dict[str, Any]:
    state = "IN_PROGRESS" if found.finished_at is None else "FAILED" if found.problem is not None else "COMPLETED"
    error = None if found.problem is None else {"Code": "NoSuchEntity", "Message": found.problem}
    return {
        "JobStatus": state,
        "JobCreationDate": found.requested_at,
        "JobCompletionDate": found.finished_at,
        "Error": error,
    }


def _described(service: dict[str, Any]) -> dict[str, Any]:
    shown = _moments({name: value for name, value in service.items() if name != "Entities"})
    if "TrackedActionsLastAccessed" in shown:
        shown["TrackedActionsLastAccessed"] = [_moments(each) for each in shown["TrackedActionsLastAccessed"]]
    return shown


def _moments(shown: dict[str, Any]) -> dict[str, Any]:
    """Times are texts in what is kept."""
    times = {
        name: datetime.datetime.fromisoformat(shown[name]) for name in ("LastAuthenticated", "LastAccessedTime") if name in shown
    }
    return shown | times
