"""Runs the examples of a page as they stand, top to bottom, in a folder that looks like a checkout."""

import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from slant.article import split
from training.commands import ROOT

OUTLETS = ("Harbour Gazette", "Llano Mail", "Port Herald")
ARTICLES, SENTENCES = 60, 8
INSTALLS = re.compile(r"^(?:python3 -m venv|\. \.venv|pip install|\.venv/bin/pip)")  # .ci/run does that, once
BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$|^<!-- (?P<hand>coded|settled): (?P<files>[^\n]+?) -->$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    """A block of a page: a file that it shows, commands, Python, or where people would fill in a table."""

    language: str
    text: str


def examples(page: str) -> list[Example]:
    """The blocks of a page that can be run, in order; data and output that it only shows are none."""
    found = []
    for block in BLOCK.finditer(page):
        if block["hand"]:
            found.append(Example(block["hand"], block["files"]))
        elif block["title"]:
            found.append(Example("file", f"{block['title']}\n{block['text']}"))
        elif block["language"] in ("sh", "python"):
            found.append(Example(block["language"], block["text"]))
    return found


def checkout(folder: Path) -> None:
    """Lay out a checkout with what the pages take for granted: an article, a folder of them, and a corpus of invented outlets."""
    for name in ("predict.py", "slant", "training", "model", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "data", folder / "data")
    texts = sorted((ROOT / "data" / "annotations" / "written").glob("*.txt"))[:ARTICLES]
    (folder / "articles").mkdir()
    lines = []
    for number, path in enumerate(texts):
        text = path.read_text(encoding="utf-8")
        text = text[: split(text)[SENTENCES - 1].end] + "\n"
        if number < 3:
            (folder / "articles" / path.name).write_text(text, encoding="utf-8")
        date = f"2024-{1 + number % 4:02}-{1 + number % 28:02}"
        lines.append(json.dumps({"id": path.stem, "text": text, "outlet": OUTLETS[number % len(OUTLETS)], "date": date}) + "\n")
    shutil.copy(folder / "articles" / texts[0].name, folder / "article.txt")
    (folder / "corpus.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))


def run(page: str, folder: Path) -> list[str]:
    """Run a page's examples in a folder; returns what each printed.

    Raises:
        AssertionError: with the example and the end of what it said, when one fails.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1", "HF_HOME": str(folder / "hub")}
    printed = []
    for example in examples(page):
        if example.language == "file":
            name, text = example.text.split("\n", 1)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        elif example.language in ("coded", "settled"):
            for number, name in enumerate(example.text.split()):
                fill_in(folder / name, slips=number, settle=example.language == "settled")
        else:
            lines = [line for line in example.text.splitlines() if not INSTALLS.match(line)]
            script = "\n".join(lines)
            command = ["bash", "-euo", "pipefail", "-c", script] if example.language == "sh" else [sys.executable, "-c", script]
            found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            assert found.returncode == 0, f"{script}\n{found.stdout[-1500:]}\n{found.stderr[-1500:]}"
            assert "Traceback" not in found.stderr
            printed.append(found.stdout)
    return printed


def fill_in(path: Path, *, slips: int, settle: bool) -> None:
    """Code a table of tasks by rote, as a person would by judgement; the second coder's first code is another one."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["frames"] = ""
        row["stance"] = "against" if slips and number == 0 else "neutral"
        row["voice"] = "quoted" if "said" in row["text"] else "author"
        if settle:
            row["reason"] = "no side is taken"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
