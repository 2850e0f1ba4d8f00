"""docs/faults.md, made from the catalogue: ``python -m mallee.durable.page > docs/faults.md``."""

from __future__ import annotations

from .faults import CATALOGUE

HEAD = """# Faults

Made by `python -m mallee.durable.page`; do not edit. A fault is a problem that a person should know of. It stands until it is over;
`./mallee status` lists those that stand, with the names in braces filled in.

| code | what | cause | remedy |
|---|---|---|---|
"""


def page() -> str:
    rows = (f"| `{code}` | {entry.title} | {entry.cause} | {entry.remedy} |\n" for code, entry in sorted(CATALOGUE.items()))
    return HEAD + "".join(rows)


if __name__ == "__main__":
    print(page(), end="")
