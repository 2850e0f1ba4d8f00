"""The credentials of an instance's role, as its node hands them out by the metadata service.

They are made when the node asks, from what is true at that moment: the instance's profile, the role that the profile holds
now, and whether that role trusts EC2. Nothing is written: what they may do is asked anew at each use.
"""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING

from mallee.compute import records, rules
from mallee.compute.records import Instance
from mallee.fabric.document import Credentials
from mallee.identity import instance_profiles, sessions
from mallee.identity.vault import Vault
from mallee.network import interfaces
from mallee.nodes.session import Issuer
from mallee.store import Tx

if TYPE_CHECKING:
    from mallee.settings import Settings

SUCCESS, UNTRUSTED, GONE = "Success", "AssumeRoleUnauthorizedAccess", "InstanceProfileNotFound"
_SEE = (
    "Please see documentation at "
    "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html#troubleshoot_iam-ec2_errors-info-doc."
)


def issuer(settings: Settings, vault: Vault) -> Issuer:
    return functools.partial(issue, settings=settings, vault=vault)


def issue(tx: Tx, instance_id: str, delivery: str, settings: Settings, vault: Vault) -> Credentials | None:
    """None for an instance that has no profile, or one without a role. ``tx`` is of no account."""
    instance = records.instance(tx, instance_id)
    if instance is None or instance.profile_id is None or instance.power == rules.GONE:
        return None
    profile = instance_profiles.profile(tx, settings.partition, instance.profile_id)
    if profile is None:
        return Credentials(GONE, "", _time(tx.now), f"Instance Profile {instance.profile_arn} cannot be found. {_SEE}")
    role = profile.role
    if role is None:
        return None
    if not instance_profiles.trusts_ec2(tx, role, settings.partition):
        return Credentials(UNTRUSTED, role.name, _time(tx.now), f"EC2 cannot assume the role {role.name}. {_SEE}")
    issued = sessions.for_instance(
        vault,
        role,
        tx.now,
        instance_id=instance.id,
        instance_arn=f"arn:{settings.partition}:ec2:{settings.region}:{instance.account_id}:instance/{instance.id}",
        vpc_id=instance.vpc_id,
        private_ip=_private_ip(tx, instance),
        delivery=delivery,
    )
    return Credentials(
        SUCCESS,
        role.name,
        _time(tx.now),
        access_key_id=issued.access_key_id,
        secret_access_key=issued.secret,
        token=issued.token,
        expires_at=_time(issued.expires_at),
    )


def _private_ip(tx: Tx, instance: Instance) -> str:
    held = interfaces.of_instances(tx, [instance.id]).get(instance.id)
    return held[0].private_ip if held else ""


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
