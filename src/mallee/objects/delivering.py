"""Objects that the cloud itself puts into a user's bucket, because the bucket's owner has asked for them: access logs, inventories.

The bucket must let the delivering service in, by its policy (or, for logs, its ACL). What is put is an object like any other: encrypted by
the bucket's default, in a version of its own, replicated where a rule says so.
"""

from __future__ import annotations

from typing import Any

from mallee.identity.rules.context import Context
from mallee.identity.rules.evaluate import Grants, Question, decide
from mallee.identity.rules.policy import Kind, compile_policy
from mallee.identity.rules.principals import Other
from mallee.objects import encryption, receiving, replicating, writing
from mallee.objects.index import versions
from mallee.objects.index.rows import New, Version
from mallee.objects.receiving import Intake
from mallee.objects.records import Bucket
from mallee.objects.store import Store
from mallee.store import StoreUnavailable, Tx


def lets_in(partition: str, service: Other, target: Bucket, key: str, source: Bucket) -> bool:
    """Whether the target's policy lets the service put there what it has to tell of the source."""
    if target.policy is None:
        return False
    context = Context(
        {"aws:SourceArn": f"arn:{partition}:s3:::{source.name}", "aws:SourceAccount": source.account_id, "aws:SecureTransport": True}
    )
    policy = compile_policy(target.policy, Kind.RESOURCE)
    resource = f"arn:{partition}:s3:::{target.name}/{key}"
    return decide(Question("s3:PutObject", resource, context, service, policy, target.account_id), Grants()).allowed


def put(
    objects: Store, target: Bucket, key: str, data: bytes, content_type: str, *, acl: list[Any] | None = None,
    plan: encryption.Plan | None = None,
) -> Version:  # fmt: skip
    """Durable when it returns. ``plan``: of its encryption, if not the bucket's default. Raises BucketClosed, EngineError, StoreUnavailable."""
    name = key.encode()
    made: dict[str, Any] = {"headers": {"ContentType": content_type}}
    if acl:
        made["acl"] = acl
    plan = plan or by_default(objects, target)
    if plan is not None:
        made["sse"] = plan.sse
    sealer = None if plan is None else plan.sealer()
    intake = Intake(objects.engine, receiving.Claims(len(data)), label=writing.label("object", target, name), encryption=sealer)
    try:
        view = memoryview(data)
        for at in range(0, len(data), receiving.BLOCK):
            for job in intake.jobs(view[at : at + receiving.BLOCK]):
                job()
        received = intake.finish()
    except BaseException:
        intake.abort()
        raise
    replicated = replicating.planned(target, name, len(data), made)

    def work(tx: Tx, locations: list[str] | tuple[str, ...] = ()) -> Version:
        content = tuple((location, len(data)) for location in locations) or received.pieces
        new = New(
            target.id, name, len(data), received.etag, target.account_id, content, checksum=received.described(), attributes=made
        )
        stored = versions.put(tx, target.versioning, new)
        replicating.note(tx, stored, replicated)
        return stored

    try:
        return objects.index.run(work, [(intake.label, received.data)] if received.data else ())
    except StoreUnavailable:  # whose commit may have happened: left to the sweep
        raise
    except BaseException:
        intake.give_up(received)
        raise


def by_default(objects: Store, target: Bucket) -> encryption.Plan | None:
    default = encryption.default_of(target)
    if default is None:
        return None
    form = default["SSEAlgorithm"]
    kms = (default.get("KMSMasterKeyID") or encryption.DEFAULT_KMS_KEY) if form == encryption.KMS else None
    return encryption.managed(objects.vault, form, kms)
