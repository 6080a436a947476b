"""The command line: ``python predict.py FILE...``."""

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from slant import __version__, render
from slant.checkpoint import CheckpointError
from slant.files import STDIN, InputError, expand, read_article
from slant.reader import Reader, load
from slant.reading import Reading

PLAIN_WIDTH = 120  # columns of the table when the output is no terminal

_HELP = """\
Read news or opinion articles sentence by sentence: frames, stance towards a target, voice.

Examples:

  python predict.py article.txt

  python predict.py article.txt --target "building a border wall"

  python predict.py articles/ --output readings.parquet

  cat article.txt | python predict.py - -o - --format jsonl

Prints a table an article, or writes one row a sentence to --output. A file that cannot be read is
named on standard error, the others are still read, and the exit code is 2.
"""


class Backend(StrEnum):
    onnx = "onnx"
    torch = "torch"


class Format(StrEnum):
    jsonl = "jsonl"
    csv = "csv"


class UsageError(ValueError):
    """Options that do not go together."""


def _version(asked: bool) -> None:
    if asked:
        print(f"slant {__version__}")
        raise typer.Exit


def predict(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Text files, folders of .txt files, or - for standard input.")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Write rows to PATH, by suffix .jsonl, .csv or .parquet (or .html, a page to look at); - is standard output.",
        ),
    ] = None,
    format: Annotated[Format | None, typer.Option("--format", help="The rows' format on standard output, with -o -.")] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="TEXT", help="The proposal that stance is read towards; default: the codebook's.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="FOLDER", help="A checkpoint written by training.train; default: the one shipped.")
    ] = None,
    backend: Annotated[
        Backend, typer.Option("--backend", help="onnx: int8 and fast; torch: the float reference, needs the train extra.")
    ] = Backend.onnx,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")] = False,
) -> None:
    """Read articles; the function behind the command."""
    errors = Console(stderr=True, soft_wrap=True)
    failed = False

    def complain(error: Exception) -> None:
        nonlocal failed
        failed = True
        errors.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)

    try:
        write_to = _destination(output, format)
        reader = load(model, backend=backend.value)
        if target is not None:
            reader.read("", target=target)  # says at once if the target cannot be used
    except (CheckpointError, UsageError, ValueError) as error:
        complain(error)
        raise typer.Exit(2) from None

    def readings() -> Iterator[Reading]:
        for name in _progress(list(expand(files)), shown=output not in (None, STDIN)):
            try:
                if isinstance(name, InputError):
                    raise name
                article, warnings = read_article(name)
            except InputError as error:
                complain(error)
                continue
            for warning in warnings:
                errors.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False)
            reading = reader.read(article, target=target)
            if not reading.sentences:
                complain(InputError(f"{name}: no sentence in it"))
                continue
            yield reading

    try:
        _render(readings(), output, write_to)
    except OSError as error:
        complain(InputError(f"{output}: cannot be written ({error.strerror})"))
    if failed:
        raise typer.Exit(2)


def _destination(output: str | None, format: Format | None) -> Path | Format | None:
    """Where the rows go: a file, standard output in a format, or None for a table."""
    if output == STDIN:
        if format is None:
            raise UsageError("-o - needs --format jsonl or --format csv")
        return format
    if format is not None:
        raise UsageError("--format goes with -o -; a file's format is told by its suffix")
    if output is None:
        return None
    path = Path(output)
    if path.suffix not in render.SUFFIXES:
        raise UsageError(f"--output {output}: its suffix names no format; use {', '.join(render.SUFFIXES)}")
    if not path.parent.is_dir():
        raise UsageError(f"--output {output}: the folder {path.parent} does not exist; make it first")
    return path


def _render(readings: Iterator[Reading], output: str | None, write_to: Path | Format | None) -> None:
    if isinstance(write_to, Path):
        render.write(readings, write_to)
    elif write_to is not None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        render.FORMATS[write_to.value](readings, sys.stdout)
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
