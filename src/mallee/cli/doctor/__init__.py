"""`mallee doctor`: looks at every hop between a wish and its fulfilment, and ends with one sentence: what is wrong and what to do."""

from mallee.cli.doctor.examination import Finding, Report
from mallee.settings import Settings

__all__ = ["Finding", "Report", "examine"]


def examine(chosen: Settings, instance_id: str | None) -> int:
    """Prints the findings; 0 when all is well."""
    from mallee.cli.doctor import installation, instance

    report = Report()
    if instance_id is None:
        installation.examine(chosen, report)
    else:
        instance.examine(chosen, instance_id, report)
    return report.conclude(instance_id or "the installation")
