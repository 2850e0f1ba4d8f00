"""Users of a test cloud, with keys and policies, made beside the API so that tests of one part of IAM need no other."""

from __future__ import annotations

import json

from mallee.identity import grants, records, setup
from mallee.identity.records.policies import inline_policies
from tests.cloud.harness import Account, TestCloud


def user(
    cloud: TestCloud,
    name: str = "alice",
    *actions: str,
    on: str | list[str] = "*",
    deny: tuple[str, ...] = (),
    account: Account | None = None,
) -> Account:
    """A key of a new user of the account (else the administrator's), who may do ``actions`` on ``on`` and not ``deny``."""
    owner = account or cloud.admin
    with cloud.database.transaction() as tx:
        made = records.add_user(tx, owner.id, name)
        statements = [{"Effect": "Allow", "Action": list(actions), "Resource": on}] if actions else []
        if deny:
            statements.append({"Effect": "Deny", "Action": list(deny), "Resource": "*"})
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            tx.insert(inline_policies, account_id=owner.id, holder_id=made.id, name="may", document=document)
            grants.forget_after(tx, made.id)
        return Account(cloud, setup.create_access_key(tx, cloud.cloud.vault, owner.id, made.id))
