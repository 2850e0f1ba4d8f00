"""Block Public Access of a whole account: it counts for each of its buckets, together with the bucket's own."""

from __future__ import annotations

from typing import Any

from mallee.identity.call import Call
from mallee.objects import public_access
from mallee.objects.control import on_account, own_account
from mallee.wire.errors import AwsError

ACCESS = {
    "get_public_access_block": on_account("s3:GetAccountPublicAccessBlock"),
    "put_public_access_block": on_account("s3:PutAccountPublicAccessBlock"),
    "delete_public_access_block": on_account("s3:PutAccountPublicAccessBlock"),
}


def get_public_access_block(call: Call) -> dict[str, Any]:
    document = public_access.account_document(call.tx, own_account(call))
    if document is None:
        told = "The public access block configuration was not found"
        raise AwsError("NoSuchPublicAccessBlockConfiguration", told, status=404, AccountId=call.account_id)
    return {"PublicAccessBlockConfiguration": document}


def put_public_access_block(call: Call) -> None:
    """What is not given is off."""
    given = call.input["PublicAccessBlockConfiguration"]
    wanted = {name: bool(given.get(name)) for name in public_access.SETTINGS}
    public_access.set_account_document(call.tx, own_account(call), wanted)


def delete_public_access_block(call: Call) -> None:
    public_access.set_account_document(call.tx, own_account(call), None)
