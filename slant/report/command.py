"""The command line of reports: reads scores, works out the numbers, writes page, figures and bundle."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from slant.audit import Audit, Corpus, Kind, Method, Of, run
from slant.checkpoint import Checkpoint, CheckpointError
from slant.estimate import LEVEL, EstimateError
from slant.reader import shipped
from slant.report.methods import bundle, paragraph
from slant.report.numbers import EXAMPLES, numbers
from slant.scores import Scores

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def report(
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="The folder that scoring a corpus wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page, a .html; figures, tables and bundle go into a folder beside it.")],
    by: Annotated[list[str] | None, typer.Option("--by", metavar="COLUMN", help="A kept column to compare by, or year, month, week for the course; repeat.")] = None,
    coded: Annotated[Path | None, typer.Option("--coded", metavar="FILE", help="What training.coded wrote; without it shares are uncorrected.")] = None,
    population: Annotated[Of, typer.Option("--population", help="source: what the articles are a sample of; corpus: these very articles.")] = Of.source,
    method: Annotated[Method, typer.Option("--method", help="design-based leaves the model's probabilities out.")] = Method.prediction_powered,
    level: Annotated[float, typer.Option("--level", min=0.5, max=0.999, help="How often intervals are to hold the true value.")] = LEVEL,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only codes by such coders.")] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, max=20, help="Sentences shown for each label; 0 leaves all text out.")] = EXAMPLES,
    model: Annotated[Path | None, typer.Option("--model", metavar="FOLDER", help="The model that scored, for its metrics; default: the one shipped.")] = None,
) -> None:  # fmt: skip
    """Report on a scored corpus: shares with intervals by group and over time, sentences, and the paragraph for the paper."""
    if output.suffix != ".html":
        raise EstimateError(f"--output {output}: a report is written as .html")
    if not output.parent.is_dir():
        raise EstimateError(f"--output {output}: the folder {output.parent} does not exist; make it first")
    found = Scores.load(scores)
    if not len(found.sentences):
        raise EstimateError(f"{scores}: no sentence in it; there is nothing to report")
    audit = Audit.load(coded, found, kind=kind.value if kind else None) if coded else None
    corpus = Corpus(found, audit, population.value, level, 0.0 if method is Method.design_based else None)
    metrics = metrics_of(model or shipped(), found.model)
    try:
        from slant.report.figures import figures
        from slant.report.page import write
    except ImportError as error:
        raise EstimateError(f"a report needs {error.name}, which is not installed: pip install 'slant[report]'") from None
    worked_out = numbers(corpus, by or (), metrics=metrics, examples=examples)
    told = paragraph(worked_out, by or (), metrics)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (scores / "manifest.json", coded) if path}
    folder = write(worked_out, figures(worked_out), told, bundle(worked_out, by or (), metrics, digests), output)
    console = Console(soft_wrap=True, highlight=False)
    for warning in worked_out.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}")
    console.print(f"wrote {output}, {len(list(folder.iterdir()))} files in {folder}/", markup=False)


def metrics_of(folder: Path, digest: str) -> dict[str, Any] | None:
    """The metrics of the model that scored; None where it is not at hand, or the model there is another."""
    try:
        if Checkpoint.load(folder).digest != digest:
            return None
        found: dict[str, Any] = json.loads((folder / "metrics.json").read_bytes())
        return found
    except (CheckpointError, OSError, ValueError):
        return None


def main() -> None:
    """Run the command."""
    run(app)
