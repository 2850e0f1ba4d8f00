"""Simulated nodes: the fabric's protocol with nothing behind it, for tests and for those who want the API only."""

from .guests import AT_ONCE, Times
from .simulator import LARGE, Simulator, SystemClock
from .troubles import NAMES as FAULTS

__all__ = ["AT_ONCE", "FAULTS", "LARGE", "Simulator", "SystemClock", "Times"]
