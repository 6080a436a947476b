"""Carries tasks to annotators' tools and their codes back into the corpus, and settles what is coded into gold.

``python -m training.exchange export label-studio --output tasks/``, then ``import label-studio export.json --coder NAME``, then ``settle``.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from slant.reader import load
from training.annotations import Annotation, Annotations, CoderKind, Gold, append_rows, write_rows
from training.commands import ANNOTATIONS, FolderOption, TextsOption, TrainingError, console, run
from training.formats import FORMATS
from training.tasks import Answer, Outcome, reread, settle, take, tasks


class Tool(StrEnum):
    """A tool whose files are written and read."""

    csv = "csv"
    label_studio = "label-studio"
    doccano = "doccano"
    prodigy = "prodigy"
    potato = "potato"


class Kind(StrEnum):
    """What a coder is, as an option."""

    human = "human"
    machine = "machine"


ToolOption = Annotated[Tool, typer.Option("--tool", help="The format of these files.")]
CoderOption = Annotated[str | None, typer.Option("--coder", metavar="NAME", help="Who coded, where the file does not say.")]
KindOption = Annotated[Kind, typer.Option("--kind", help="What those who coded are.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Tasks to annotators' tools, and their codes back.")


@app.command("export")
def export_tasks(
    tool: Tool,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the tool's files are written.")],
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    article: Annotated[list[str] | None, typer.Option("--article", metavar="ID", help="Only this article; repeat for several.")] = None,
    target: Annotated[str | None, typer.Option("--target", metavar="TEXT", help="Only towards this target.")] = None,
    disputed: Annotated[
        bool, typer.Option("--disputed", help="Only what coders differ on and nobody has settled, for an adjudicator.")
    ] = False,
    suggest: Annotated[bool, typer.Option("--suggest", help="Add the model's readings as pre-annotations.")] = False,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FOLDER", help="The model that suggests; default: the one shipped.")
    ] = None,
) -> None:
    """Write tasks, one a sentence, in a tool's format."""
    annotations = Annotations.load(folder, texts)
    found = tasks(annotations, articles=article or (), target=target, disputed=disputed, reader=load(model) if suggest else None)
    if not found:
        raise TrainingError("nothing to export: no sentence fits these options" + ("; nothing is disputed" if disputed else ""))
    if output.exists() and any(output.iterdir()):
        raise TrainingError(f"{output}: not empty; give --output a new folder, so that no work is overwritten")
    output.mkdir(parents=True, exist_ok=True)
    written = FORMATS[tool.value].write(found, annotations.codebook, output)
    print(f"{len(found)} tasks of {len({task.article for task in found})} articles: {', '.join(map(str, written))}")


@app.command("import")
def import_codes(
    tool: Tool,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What the tool exported.")],
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    coder: CoderOption = None,
    kind: KindOption = Kind.human,
) -> None:
    """Add coders' answers to codes.jsonl; what cannot be taken is listed, what is there already stays."""
    annotations = Annotations.load(folder, texts)
    answers = read_answers(tool, files)
    outcome = take(annotations, answers, coder=coder, kind=coder_kind(kind))
    append_rows(folder / "codes.jsonl", [_row(row) for row in outcome.annotations])
    _tell(outcome, f"{len(outcome.annotations)} codes added, {outcome.unchanged} there already")


@app.command("settle")
def settle_gold(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE...]", help="An adjudicator's answers, with reasons.")] = None,
    tool: ToolOption = Tool.csv,
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    adjudicator: Annotated[str, typer.Option("--adjudicator", metavar="NAME")] = "adjudicator",
    kind: KindOption = Kind.human,
) -> None:
    """Make gold of articles whose every sentence the coders agree on or an adjudicator has settled."""
    annotations = Annotations.load(folder, texts)
    answers = read_answers(tool, files or ())
    outcome = settle(annotations, answers, adjudicator=adjudicator, kind=coder_kind(kind))
    append_rows(folder / "gold.jsonl", [_row(row) for row in outcome.gold])
    settled = len({(row.article, row.target) for row in outcome.gold})
    _tell(outcome, f"{len(outcome.gold)} gold sentences added, {settled} articles settled")


@app.command("reread")
def reread_gold(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Answers of somebody who has read gold sentences again, with reasons.")
    ],
    tool: ToolOption = Tool.csv,
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    adjudicator: Annotated[str, typer.Option("--adjudicator", metavar="NAME")] = "adjudicator",
    kind: KindOption = Kind.human,
) -> None:
    """Change gold sentences that were read again (see training.evaluate --doubts); each change keeps in its reason what it was."""
    annotations = Annotations.load(folder, texts)
    answers = read_answers(tool, files)
    outcome = reread(annotations, answers, adjudicator=adjudicator, kind=coder_kind(kind))
    changed = {row.key: row for row in outcome.gold}
    if changed:
        write_rows(folder / "gold.jsonl", [_row(changed.get(row.key, row)) for row in annotations.gold])
    _tell(outcome, f"{len(outcome.gold)} gold sentences changed, {outcome.unchanged} confirmed")


def read_answers(tool: Tool, files: Sequence[Path]) -> list[Answer]:
    """What files in a tool's format say, in order."""
    return [answer for file in files for answer in FORMATS[tool.value].read(file)]


def coder_kind(kind: Kind) -> CoderKind:
    """The option as the corpus writes it."""
    return "human" if kind is Kind.human else "machine"


def list_problems(problems: Sequence[str]) -> None:
    """Print a line on each answer that could not be taken, as it is written."""
    out = console()
    for problem in problems:
        out.print(problem, soft_wrap=True, highlight=False, markup=False)


def _row(row: Annotation | Gold) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(row, name) for name in row.__dataclass_fields__}
    if not found.get("attacked"):
        found.pop("attacked", None)
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in found.items()}


def _tell(outcome: Outcome, summary: str) -> None:
    list_problems(outcome.problems)
    print(f"{summary}, {len(outcome.problems)} problems")
    if outcome.problems:
        raise typer.Exit(2)


if __name__ == "__main__":
    run(app)
