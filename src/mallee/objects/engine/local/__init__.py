"""Bytes on the disks of this machine: files, packs, mirrors. The format is told in ``docs/objects-format.md``."""

from .disks import Fault
from .engine import LocalEngine

__all__ = ["Fault", "LocalEngine"]
