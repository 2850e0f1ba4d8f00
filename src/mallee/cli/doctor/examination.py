"""Findings, hop by hop, and the sentence that they come to."""

from __future__ import annotations

from dataclasses import dataclass, field

from mallee.cli.progress import Progress


@dataclass(frozen=True, slots=True)
class Finding:
    """``ok`` None: worth knowing, neither good nor bad. ``wrong`` and ``remedy`` are sentences for a hop that is not well."""

    hop: str
    ok: bool | None
    text: str
    wrong: str = ""
    remedy: str = ""


@dataclass(slots=True)
class Report:
    findings: list[Finding] = field(default_factory=list)

    def well(self, hop: str, text: str) -> None:
        self._add(Finding(hop, True, text))

    def note(self, hop: str, text: str) -> None:
        self._add(Finding(hop, None, text))

    def bad(self, hop: str, text: str, wrong: str, remedy: str) -> None:
        self._add(Finding(hop, False, text, wrong, remedy))

    def check(self, hop: str, condition: bool, text: str, wrong: str, remedy: str) -> bool:
        if condition:
            self.well(hop, text)
        else:
            self.bad(hop, text, wrong, remedy)
        return condition

    def _add(self, finding: Finding) -> None:
        self.findings.append(finding)
        mark = {True: "[green]ok[/]  ", False: "[red]BAD[/] ", None: "    "}[finding.ok]
        Progress().console.print(f"{mark} {finding.hop:<14} {finding.text}", markup=True)

    def conclude(self, subject: str) -> int:
        """The first hop that is not well is the cause; what comes after it follows from it."""
        bad = [finding for finding in self.findings if finding.ok is False]
        console = Progress().console
        if not bad:
            console.print(f"\n{subject} is well: every hop is as it should be.")
            return 0
        console.print(f"\n{bad[0].wrong} {bad[0].remedy}")
        return 1
