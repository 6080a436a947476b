"""Draws a report as one self-contained page, and writes its figures and numbers beside it."""

import json
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

import slant
from slant.audit import drawn, left_open, write_csv
from slant.page import environment, template_file
from slant.reliability import LEGEND
from slant.report.figures import Figure
from slant.report.numbers import Example, Numbers

FIRST_FAILURES = 20


def page(numbers: Numbers, figures: Sequence[Figure], paragraph: str, *, beside: str = "") -> str:
    """Draw a report; everything that comes from the corpus is escaped, and no script runs in it."""
    facts = numbers.facts
    scores = numbers.corpus.scores
    shown = [
        ("articles", f"{facts['articles']:,}"),
        ("sentences", f"{facts['sentences']:,}"),
        ("copies, counted once", f"{facts['duplicates']:,}"),
        ("articles not read", f"{facts['failures']:,}"),
        *((f"coverage, {head}", f"{share:.1%}") for head, share in facts["coverage"].items() if facts["min_confidence"]),
        ("sentences cut", f"{facts['truncated']:.1%}"),
        ("mean confidence", f"{facts['confidence']:.2f}"),
    ]
    return (
        environment()
        .get_template("report.html")
        .render(
            title=f"Frame, stance and voice in {facts['articles']:,} articles",
            css=Markup(template_file("report.css")),
            version=slant.__version__,
            manifest={"target": "", "codebook": "", "model": "", **scores.manifest},
            numbers=numbers,
            audited=numbers.corpus.audit is not None,
            facts=shown,
            figures={f.name: {"svg": Markup(f.svg), "caption": f.caption, "words": f.words} for f in figures},
            drawn=drawn,
            legend=LEGEND if any(row.tier == "C" for row in numbers.shares) else "",
            left_open=left_open(scores),
            typical=_by_label(numbers.typical),
            uncertain=_by_label(numbers.uncertain),
            failures=[{"source": "", "position": "", "reason": "", **failure} for failure in scores.failures[:FIRST_FAILURES]],
            paragraph=paragraph,
            beside=beside,
        )
        .encode("utf-8", "replace")
        .decode("utf-8")
    )


def write(numbers: Numbers, figures: Sequence[Figure], paragraph: str, bundle: dict[str, Any], output: Path) -> Path:
    """Write the page and, in a folder beside it, each figure as SVG, each table as CSV, and the bundle.

    Returns:
        The folder.
    """
    folder = output.with_name(output.stem + "_files")
    folder.mkdir(exist_ok=True)
    for figure in figures:
        (folder / f"{figure.name}.svg").write_text(figure.svg, encoding="utf-8")
    for name, rows in numbers.tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            write_csv(rows, file)
    (folder / "bundle.json").write_text(json.dumps({**bundle, "methods": paragraph}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    partial = output.with_name(f".{output.name}.part")
    partial.write_text(page(numbers, figures, paragraph, beside=folder.name + "/"), encoding="utf-8")
    partial.replace(output)
    return folder


def _by_label(examples: Sequence[Example]) -> list[tuple[tuple[str, str], list[Example]]]:
    return [(key, list(found)) for key, found in groupby(examples, key=lambda example: (example.code, example.label))]
