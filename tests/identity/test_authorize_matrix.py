"""docs/access-matrix.md is what the declarations, the policies and the engine make of each other."""

from __future__ import annotations

from pathlib import Path

from mallee import registry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "access-matrix.md"


def test_the_page_is_fresh() -> None:
    stale = "docs/access-matrix.md is stale: run python -m mallee.registry --access, and look at what has changed"
    assert PAGE.read_text() == registry.access_matrix(), stale


def rows() -> dict[str, dict[str, str]]:
    """By service and operation: the cells by their column."""
    found: dict[str, dict[str, str]] = {}
    service, names = "", []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("## "):
            service = line[3:]
        elif line.startswith("| operation"):
            names = cells
        elif service and line.startswith("| "):
            found[f"{service}:{cells[0]}"] = dict(zip(names, cells, strict=True))
    return found


def test_what_everybody_expects() -> None:
    found = rows()
    assert len(found) == len(registry.Registry().handlers())
    for name, cells in found.items():
        if cells["checked against"] != "open":
            assert (cells["root"], cells["nobody"], cells["Admin"]) == ("yes", "·", "yes"), name
    for name, column, cell in (
        ("ec2:RunInstances", "Power", "yes"),
        ("ec2:RunInstances", "Read", "·"),
        ("ec2:DescribeInstances", "EC2 read", "yes"),
        ("ec2:TerminateInstances", "EC2", "yes"),
        ("iam:CreateUser", "Power", "·"),
        ("iam:CreateUser", "IAM", "yes"),
        ("iam:ListUsers", "IAM read", "yes"),
        ("iam:CreateServiceLinkedRole", "EC2", "some"),
    ):
        assert found[name][column] == cell, (name, column)


def test_reading_is_all_that_readers_may() -> None:
    """Beyond what AWS's own policies grant them."""
    for name, cells in rows().items():
        operation = name.partition(":")[2]
        if cells["checked against"] != "open" and operation.startswith(
            ("Create", "Delete", "Update", "Put", "Attach", "Run", "Modify")
        ):
            assert {cells[column] for column in ("Read", "View", "Audit", "EC2 read", "VPC read", "IAM read")} == {"·"}, name
