"""Bytes in a pool of Ceph. How an operator sets it up and recovers objects by hand: ``docs/objects-ceph.md``."""

from mallee.objects.engine.rados.engine import RadosEngine
from mallee.objects.engine.rados.scrub import Findings

PACKAGES = ("librados2",)
"""Debian's packages that this engine needs where Mallee runs; the cluster itself may be anywhere."""

__all__ = ["PACKAGES", "Findings", "RadosEngine"]
