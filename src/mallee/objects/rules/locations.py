"""Location constraints: which of them a region takes for its own.

A region is called by its name and by those that clients sign for besides (``signing_regions``). No constraint is taken everywhere, as in
us-east-1, whose own name is no constraint at all.
"""

from __future__ import annotations

import re

from mallee.wire.errors import AwsError

CLASSIC = "us-east-1"
_AWS_REGION = re.compile(r"[a-z]{2}(?:-gov|-iso[a-z]*)?-(?:north|south|central|(?:north|south)?(?:east|west))-\d", re.ASCII)


def check(constraint: str | None, region: str, others: tuple[str, ...]) -> None:
    """Raises the error for a constraint that does not mean this region."""
    if not constraint:
        return
    meant = "eu-west-1" if constraint == "EU" else constraint
    if meant in (region, *others) and meant != CLASSIC:
        return
    if meant != CLASSIC and _AWS_REGION.fullmatch(meant):
        raise AwsError(
            "IllegalLocationConstraintException",
            f"The {constraint} location constraint is incompatible for the region specific endpoint this request was sent to.",
            status=400,
        )
    raise AwsError(
        "InvalidLocationConstraint", "The specified location-constraint is not valid", status=400, LocationConstraint=constraint
    )


def told(region: str) -> str | None:
    """What GetBucketLocation answers."""
    return None if region == CLASSIC else region
