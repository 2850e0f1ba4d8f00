"""Bytes on the disks of this machine: files, packs, mirrors. The format is told in ``docs/objects-format.md``."""

from .disks import Fault
from .engine import DiskUsage, LocalEngine, Usage
from .scrubbing import Findings

__all__ = ["DiskUsage", "Fault", "Findings", "LocalEngine", "Usage"]
