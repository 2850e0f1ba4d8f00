"""What it costs to believe a request, as a ratio to the bare arithmetic in the same moments."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable

import pytest

from mallee.identity.signature.sigv4 import signing_key
from tests.identity import signing
from tests.identity.conftest import Identity


def least(work: Callable[[], object], rounds: int = 30, times: int = 100) -> float:
    """Processor seconds per call, in the quietest of the rounds."""
    found = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            work()
        found.append(time.process_time() - began)
    return min(found) / times


@pytest.mark.performance
def test_a_known_key_costs_little_more_than_the_hmacs(identity: Identity) -> None:
    request = signing.query(identity.root)
    secret, text = identity.root.secret_access_key, b"x" * 140

    def bare() -> bytes:
        return hmac.digest(signing_key(secret, "20250301", "local-1", "sts"), text, "sha256")

    def believe() -> object:
        return identity.authenticator.principal(request, "sts", ("sts",), "query")

    believe()
    assert least(believe) < 3 * least(bare)
