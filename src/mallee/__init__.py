"""Mallee: a private cloud that speaks AWS."""

__version__ = "0.1.0"
