"""IAM's and STS's operations."""

from mallee.identity.api import iam, sts

OPERATIONS = {"iam": (iam,), "sts": (sts,)}
