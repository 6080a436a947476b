"""What the training commands' command lines share: folders, options and how errors end them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from slant.checkpoint import CheckpointError
from slant.codebook import AnnotationError

ROOT = Path(__file__).parent.parent
ANNOTATIONS = ROOT / "data" / "annotations"
MODEL = ROOT / "model"
RUNS = ROOT / "runs"  # checkpoints of work under way; never committed

WIDTH = 160  # columns

FolderOption = Annotated[Path, typer.Option("--annotations", metavar="FOLDER", help="The annotated corpus.")]
TextsOption = Annotated[
    Path | None, typer.Option("--texts", metavar="FOLDER", help="Where the third-party texts are; without it their articles are skipped.")
]
CorporaOption = Annotated[
    Path | None,
    typer.Option("--corpora", metavar="FOLDER", help="Where stance-pairs.jsonl and opinion-pages.jsonl are, if the recipe trains on them."),
]


class TrainingError(ValueError):
    """Training cannot go on: says what is wrong and the way out."""


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a JSONL file, each with its place (file and line).

    Raises:
        AnnotationError: for a file that cannot be read or a line that is no JSON object.
    """
    number = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise AnnotationError(f"{path} line {number}: '{line[:40].strip()}' is no object; each line is one object")
                yield f"{path} line {number}", row
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path}: cannot be read ({error})") from None
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path} line {number}: not JSON ({error}); each line is one object") from None


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for every table where there is none."""
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


def run(app: typer.Typer) -> None:
    """Run a command; an error of ours is one line on standard error and exit code 2."""
    try:
        app()
    except (AnnotationError, CheckpointError, TrainingError) as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)
