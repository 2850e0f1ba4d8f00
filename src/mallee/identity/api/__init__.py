"""IAM's and STS's operations."""

from mallee.identity.api import (
    sts,
    users,
)

OPERATIONS = {
    "iam": (
        users,
    ),
    "sts": (
        sts,
    ),
}  # fmt: skip
