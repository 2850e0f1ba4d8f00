"""What holds for every engine holds for Ceph."""

from __future__ import annotations

from tests.objects.engine_suite import *  # noqa: F403
