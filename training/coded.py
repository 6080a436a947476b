"""Joins what coders said of a sample to how each of its sentences was drawn, for ``slant.estimate``.

``python -m training.coded sample/ export.csv --tool csv --coder ana --output coded.jsonl``; again for the next coder.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from slant.agreement import alphas
from slant.codebook import AnnotationError, Codebook
from training.annotations import CoderKind, write_rows
from training.commands import ANNOTATIONS, FolderOption, run
from training.exchange import CoderOption, Kind, KindOption, Tool, ToolOption, coder_kind, list_problems, read_answers
from training.sample import read_sample
from training.tasks import Answer, Task, labels_of, task_of, unique_texts

DRAWN = ("id", "number", "article", "sentence", "start", "end", "target", "text", "strategy", "seed", "model", "by", "sample_size", "stratum", "stratum_size", "stratum_drawn", "probability")  # fmt: skip


def join(
    sample: Sequence[dict[str, Any]],
    answers: Iterable[Answer],
    codebook: Codebook,
    *,
    coder: str | None,
    kind: CoderKind,
    before: Sequence[dict[str, Any]] = (),
) -> tuple[list[dict[str, Any]], list[str]]:
    """Check coders' answers against the sample that they were asked about.

    Args:
        sample: the rows of ``sample.jsonl``.
        answers: as a tool's file has them.
        codebook: what they may have answered.
        coder: who coded, where the file does not say.
        kind: of the coders.
        before: rows that are coded already.

    Returns:
        All coded rows, those from before first, and a line on every answer that cannot be taken.
    """
    drawn = {row["id"]: row for row in sample}
    by_id = {
        row["id"]: Task(row["id"], row["article"], row["target"], "", row["start"], row["end"], row["part"], row["text"], "", "")
        for row in sample
    }
    by_text = unique_texts(by_id.values())
    rows, problems = {(row["id"], row["coder"]): row for row in before}, []
    for answer in answers:
        try:
            task = task_of(answer, by_id, by_text)
            frames, stance, voice = labels_of(answer, codebook)
            name = answer.coder or coder
            if not name:
                raise AnnotationError(f"{answer.place}: the file does not say who coded; give --coder")
            row = {key: drawn[task.id][key] for key in DRAWN}
            row |= {"frames": sorted(frames), "stance": stance, "voice": voice, "coder": name, "coder_kind": kind}
            if rows.setdefault((task.id, name), row) != row:
                raise AnnotationError(
                    f"{answer.place}: {name} has coded {task.id} otherwise already; the old code is kept, delete its line to replace it"
                )
        except AnnotationError as error:
            problems.append(str(error))
    return list(rows.values()), problems  # fmt: skip


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    sample: Annotated[Path, typer.Argument(metavar="SAMPLE", help="The folder that training.sample wrote.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What the tool exported.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Coded sentences; added to if it is there.")],
    tool: ToolOption = Tool.csv,
    coder: CoderOption = None,
    kind: KindOption = Kind.human,
    folder: FolderOption = ANNOTATIONS,
) -> None:
    """Join coders' answers to the sample; what cannot be taken is listed, the rest is taken."""
    codebook = Codebook.load(folder / "codebook.toml")
    drawn = read_sample(sample)
    before = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()] if output.exists() else []
    rows, problems = join(drawn, read_answers(tool, files), codebook, coder=coder, kind=coder_kind(kind), before=before)
    write_rows(output, rows)
    list_problems(problems)
    coded = len({row["id"] for row in rows})
    print(f"{coded} of {len(drawn)} sentences coded by {', '.join(sorted({row['coder'] for row in rows}))}: {output}")
    twice = coded < len(rows)
    if twice:
        print("Krippendorff's alpha: " + ", ".join(f"{name} {value:.2f}" for name, value in alphas(rows, codebook.frame_labels).items()))
    if problems:
        raise typer.Exit(2)


if __name__ == "__main__":
    run(app)
