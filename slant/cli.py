"""The command line: ``python predict.py INPUT...``."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from slant import __version__, render
from slant.article import Article
from slant.checkpoint import CheckpointError
from slant.files import MOST_BYTES, STDIN, InputError, expand
from slant.reader import Reader, load
from slant.reading import Reading
from slant.sources import Columns, Document, Failure, documents

PLAIN_WIDTH = 120  # columns of the table when the output is no terminal
INTERRUPTED = 130

_HELP = """\
Read news or opinion articles sentence by sentence: frames, stance towards a target, voice.

Examples:

  python predict.py article.txt

  python predict.py article.txt --target "building a border wall"

  python predict.py articles/ --output readings.parquet

  python predict.py corpus.jsonl.gz --output scores/ --workers 8 --keep outlet,date

  cat article.txt | python predict.py - -o - --format jsonl

Inputs: text, HTML, JSONL, CSV, TSV, Parquet and WARC files, also in gzip or zstd, told by their content; folders and
patterns of such files; - for standard input. Prints a table an article, or writes one row a sentence to --output. With
a folder as --output a corpus is scored into it, by several workers; the same command goes on where it was stopped.
What cannot be read is named on standard error, the rest is still read, and the exit code is 2.
"""


class Backend(StrEnum):
    onnx = "onnx"
    torch = "torch"


class Format(StrEnum):
    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


class Engine(StrEnum):
    local = "local"
    ray = "ray"


class UsageError(ValueError):
    """Options that do not go together."""


@dataclass(frozen=True)
class Folder:
    """A folder that a corpus is scored into."""

    path: Path


def _version(asked: bool) -> None:
    if asked:
        print(f"slant {__version__}")
        raise typer.Exit


_CORPUS = "Scoring a corpus into a folder"


def predict(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, folders, patterns such as 'news/**/*.txt', or - for standard input.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write rows to PATH, by suffix .jsonl, .csv or .parquet (or .html, a page to look at); without a suffix, score a corpus into this folder; - is standard output.",
        ),
    ] = None,
    format: Annotated[
        Format | None, typer.Option("--format", help="The rows' format on standard output (jsonl, csv), or of a folder's shards.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="TEXT", help="The proposal that stance is read towards; default: the codebook's.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FOLDER", help="A checkpoint written by training.train; default: the one shipped.")
    ] = None,
    backend: Annotated[
        Backend, typer.Option("--backend", help="onnx: int8 and fast; torch: the float reference, needs the train extra.")
    ] = Backend.onnx,
    min_confidence: Annotated[
        float,
        typer.Option(
            "--min-confidence", metavar="P", help="Where frames, stance or voice are less sure than P, say uncertain; default: never."
        ),
    ] = 0.0,
    text_column: Annotated[
        str, typer.Option("--text-column", metavar="NAME", help="The column of JSONL, CSV and Parquet that holds the text.")
    ] = "text",
    id_column: Annotated[
        str | None, typer.Option("--id-column", metavar="NAME", help="Its id; default: id if there is one, else file and line.")
    ] = None,
    target_column: Annotated[
        str | None, typer.Option("--target-column", metavar="NAME", help="Its own target; where that is empty, --target holds.")
    ] = None,
    most_bytes: Annotated[
        int, typer.Option("--max-article-bytes", min=1, metavar="N", help="An article whose text is longer is a failure.")
    ] = MOST_BYTES,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="NAME,...",
            help="Other columns to carry along, such as outlet,date; may be repeated.",
            rich_help_panel=_CORPUS,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Default: one a core.", rich_help_panel=_CORPUS)
    ] = None,
    engine: Annotated[
        Engine | None, typer.Option("--engine", help="What runs the workers; default: local.", rich_help_panel=_CORPUS)
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", metavar="ADDRESS", help="An existing Ray cluster.", rich_help_panel=_CORPUS)
    ] = None,
    shard_articles: Annotated[
        int | None, typer.Option("--shard-articles", min=1, metavar="N", help="Articles a shard; default: 500.", rich_help_panel=_CORPUS)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary; errors only.", rich_help_panel=_CORPUS)] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")] = False,
) -> None:
    """Read articles; the function behind the command."""
    errors = Console(stderr=True, soft_wrap=True)
    failed = False

    def complain(error: object) -> None:
        nonlocal failed
        failed = True
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)

    kept = tuple(name for names in keep or [] for name in names.split(",") if name)
    columns = Columns(text_column, id_column, target_column, kept)
    corpus_options = {
        "--keep": keep,
        "--workers": workers,
        "--engine": engine,
        "--ray-address": ray_address,
        "--shard-articles": shard_articles,
    }
    try:
        write_to = _destination(output, format)
        if isinstance(write_to, Folder):
            given = {
                "workers": workers,
                "engine": engine.value if engine else None,
                "ray_address": ray_address,
                "shard_articles": shard_articles,
                "format": format.value if format else None,
            }
            code = _score(
                {
                    "inputs": tuple(inputs),
                    "output": write_to.path,
                    "columns": columns,
                    "target": target,
                    "model": model,
                    "backend": backend.value,
                    "most_bytes": most_bytes,
                    "min_confidence": min_confidence,
                    **{name: value for name, value in given.items() if value is not None},
                },
                errors,
                quiet=quiet,
            )
            raise typer.Exit(code)
        for option, value in corpus_options.items():
            if value:
                raise UsageError(f"{option} goes with a folder as --output")
        reader = load(model, backend=backend.value)
        reader.read("", target=target, min_confidence=min_confidence)  # says at once if they cannot be used
    except (CheckpointError, UsageError, ValueError) as error:
        complain(error)
        raise typer.Exit(2) from None

    def readings() -> Iterator[Reading]:
        names = _progress(list(expand(inputs)), shown=output not in (None, STDIN) and not quiet)
        for item in documents(names, columns, most_bytes=most_bytes):
            if isinstance(item, Failure):
                complain(item)
                continue
            label = "standard input" if item.source == STDIN else item.source
            place = f"{label}: {item.position}" if item.position else label
            for warning in item.warnings:
                errors.print(f"[yellow]warning:[/] {escape(f'{place}: {warning}')}", highlight=False)
            reading = _read(reader, item, target, min_confidence)
            if isinstance(reading, str):
                complain(Failure(item.source, item.position, reading))
                continue
            yield reading

    try:
        _render(readings(), output, write_to)
    except OSError as error:
        complain(f"{output}: cannot be written ({error.strerror})")
    if failed:
        raise typer.Exit(2)


def _read(reader: Reader, document: Document, target: str | None, min_confidence: float) -> Reading | str:
    """The reading, or why there is none."""
    try:
        reading = reader.read(Article(document.text, document.id), target=document.target or target, min_confidence=min_confidence)
    except ValueError as error:
        return str(error)
    return reading if reading.sentences else "no sentence in it"


def _score(options: dict[str, object], errors: Console, *, quiet: bool) -> int:
    """Score a corpus into a folder; returns the exit code."""
    from slant.progress import Shown  # this and the next load pyarrow, which one article does without
    from slant.scoring import Job, available_cores, score

    job = Job(**{"workers": available_cores(), **options})  # type: ignore[arg-type]
    shown = Shown(errors, quiet=quiet)
    try:
        summary = score(job, shown)
    except KeyboardInterrupt:
        shown.end()
        errors.print("stopped: the same command goes on from here", highlight=False)
        return INTERRUPTED
    finally:
        shown.end()
    shown.summary(summary, f"{job.output}/", min_confidence=job.min_confidence)
    if not summary.complete:
        return INTERRUPTED
    return 2 if summary.failures else 0


def _destination(output: str | None, format: Format | None) -> Path | Folder | Literal["jsonl", "csv"] | None:
    """Where the rows go: a file, a folder of shards, standard output in a format, or None for a table."""
    if output == STDIN:
        if format is None or format is Format.parquet:
            raise UsageError("-o - needs --format jsonl or --format csv")
        return "csv" if format is Format.csv else "jsonl"
    path = Path(output) if output is not None else None
    if path is not None and output is not None and (not path.suffix or path.is_dir() or output.endswith("/")):
        return Folder(path)
    if format is not None:
        raise UsageError("--format goes with -o - or with a folder; a file's format is told by its suffix")
    if path is None:
        return None
    if path.suffix not in render.SUFFIXES:
        raise UsageError(f"--output {output}: its suffix names no format; use {', '.join(render.SUFFIXES)}, or a folder without a suffix")
    if not path.parent.is_dir():
        raise UsageError(f"--output {output}: the folder {path.parent} does not exist; make it first")
    return path


def _render(readings: Iterator[Reading], output: str | None, write_to: Path | Folder | str | None) -> None:
    if isinstance(write_to, Path):
        render.write(readings, write_to)
    elif isinstance(write_to, str):
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        render.FORMATS[write_to](readings, sys.stdout)
    else:
        console = Console() if sys.stdout.isatty() else Console(width=PLAIN_WIDTH)
        for reading in readings:
            render.show(reading, console)


def _progress(names: list[str | InputError], *, shown: bool) -> Iterator[str | InputError]:
    if shown and len(names) > 1 and sys.stderr.isatty():
        yield from track(names, description="reading", console=Console(stderr=True), transient=True)
    else:
        yield from names


def main() -> None:
    """Run the command; exit code 0 when everything was read, 2 when something was not."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
    app.command(help=_HELP)(predict)
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


__all__ = ["Reader", "main", "predict"]
