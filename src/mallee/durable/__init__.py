"""Durable machines and reconcilers: the two ways in which Mallee does anything that takes time. See docs/durable.md."""

from . import faults
from .jobs import job_of, signal, start, start_many, start_waiting, wake
from .machine import KINDS, Done, Fail, Go, Idle, Job, Machine, Outcome, Wait, act, record
from .reconcilers import Reconciler, Reconcilers, Reconciliation, reconciler, reconciliations
from .records import unfinished
from .runner import Runner

__all__ = [
    "KINDS",
    "Done",
    "Fail",
    "Go",
    "Idle",
    "Job",
    "Machine",
    "Outcome",
    "Reconciler",
    "Reconcilers",
    "Reconciliation",
    "Runner",
    "Wait",
    "act",
    "faults",
    "job_of",
    "reconciler",
    "reconciliations",
    "record",
    "signal",
    "start",
    "start_many",
    "start_waiting",
    "unfinished",
    "wake",
]
