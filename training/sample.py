"""Draws sentences of a scored corpus to be coded, with the probability that each had to be drawn.

``python -m training.sample scores/ --size 300 --output sample/`` draws a stratified probability sample, from which
``slant.estimate`` may estimate; ``--strategy uncertainty`` or ``diversity`` picks what to annotate next for training instead.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from slant.article import PARTS, Part
from slant.codebook import AnnotationError, Codebook
from slant.estimate import Integers
from slant.scores import Scores
from slant.strata import strata_of
from training.annotations import write_rows
from training.commands import ANNOTATIONS, FolderOption, TrainingError, run
from training.exchange import Tool
from training.formats import FORMATS
from training.tasks import Task

SAMPLE = "sample.jsonl"
LEAST_DRAWN = 2  # of a stratum, without which it has no variance
PER_ARTICLE = 3  # sentences of one article that uncertainty may pick, so that one odd article does not fill the sample


class Strategy(StrEnum):
    """How sentences are chosen."""

    probability = "probability"
    uncertainty = "uncertainty"
    diversity = "diversity"


def allocate(sizes: Integers, total: int) -> Integers:
    """Share a sample out over strata, by the square root of their sizes so that rare labels are seen often enough.

    Args:
        sizes: sentences of each stratum, shape (strata,).
        total: of the sample.

    Returns:
        How many to draw of each, at least 2 and at most all, shape (strata,).

    Raises:
        TrainingError: when the sample is too small for so many strata.

    Source:
        Bankier (1988), "Power Allocations: Determining Sample Sizes for Subnational Areas", with power 0.5.

    >>> allocate(np.array([900, 100, 3]), 43)
    array([31, 10,  2])
    """
    taken = np.minimum(sizes, LEAST_DRAWN)
    if taken.sum() > total:
        raise TrainingError(f"--size {total}: {len(sizes)} strata need at least {taken.sum()} sentences; draw more")
    roots = np.sqrt(sizes)
    for _ in range(min(total, int(sizes.sum())) - int(taken.sum())):
        free = taken < sizes
        taken[np.where(free, roots / (taken + 0.5), -1).argmax()] += 1
    return taken


def draw(strata: Integers, size: int, random: np.random.Generator) -> Integers:
    """Draw sentences at random from each stratum, without replacement.

    Returns:
        Which were drawn, in order, shape (drawn,).
    """
    sizes = np.bincount(strata).astype(np.int64)
    shuffled = random.permutation(len(strata))
    grouped = shuffled[np.argsort(strata[shuffled], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    chosen = [grouped[start : start + count] for start, count in zip(starts, allocate(sizes, size), strict=True)]
    return np.sort(np.concatenate(chosen))


def uncertain(scores: Scores, size: int) -> Integers:
    """The sentences that the model is least sure of, a few an article at most."""
    seen: dict[int, int] = {}
    found: list[int] = []
    for i in np.argsort(scores.sentences["confidence"].to_numpy(), kind="stable"):
        article = int(scores.article[i])
        if len(found) < size and seen.get(article, 0) < PER_ARTICLE:
            seen[article] = seen.get(article, 0) + 1
            found.append(int(i))
    return np.array(sorted(found), dtype=np.int64)


def diverse(scores: Scores, size: int, seed: int) -> Integers:
    """Sentences as unlike one another as can be: one from the middle of each cluster of words."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import pairwise_distances_argmin

    texts = scores.sentences["text"].to_pylist()
    words = TfidfVectorizer(min_df=2 if len(texts) > 1000 else 1, sublinear_tf=True, max_features=20_000).fit_transform(texts)
    clusters = MiniBatchKMeans(min(size, len(texts)), random_state=seed, n_init=1).fit(words)
    return np.unique(pairwise_distances_argmin(clusters.cluster_centers_, words)).astype(np.int64)


def records(
    scores: Scores, chosen: Integers, strategy: Strategy, strata: Integers | None, names: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """What is kept of each sentence that was drawn: where it stands, and how it was drawn."""
    columns = {
        name: scores.sentences[name].take(chosen).to_pylist()
        for name in ("number", "article", "sentence", "start", "end", "part", "target", "text")
    }
    sizes = np.bincount(strata) if strata is not None else None
    drawn = np.bincount(strata[chosen], minlength=len(sizes)) if strata is not None and sizes is not None else None
    rows = []
    for i, index in enumerate(chosen):
        row: dict[str, Any] = {name: values[i] for name, values in columns.items()}
        row = {
            "id": f"{row['number']}:{row['sentence']}:{row['start']}-{row['end']}",
            **row,
            "strategy": strategy.value,
            "seed": seed,
            "model": scores.model,
        }
        row |= {
            "by": list(names),
            "sample_size": len(chosen),
            "stratum": None,
            "stratum_size": None,
            "stratum_drawn": None,
            "probability": None,
        }
        if strata is not None and sizes is not None and drawn is not None:
            stratum = int(strata[index])
            row |= {"stratum": stratum, "stratum_size": int(sizes[stratum]), "stratum_drawn": int(drawn[stratum])}
            row["probability"] = row["stratum_drawn"] / row["stratum_size"]
        rows.append(row)
    return rows


def sample_tasks(rows: Sequence[dict[str, Any]], scores: Scores, codebook: Codebook) -> list[Task]:
    """Tasks for annotators' tools, without suggestions: what the model said must not lead a coder."""
    numbers, texts = scores.sentences["number"].to_numpy(), scores.sentences["text"]
    places = {(n, s): i for i, (n, s) in enumerate(zip(numbers.tolist(), scores.sentences["sentence"].to_pylist(), strict=True))}

    def near(row: dict[str, Any], step: int) -> str:
        place = places.get((row["number"], row["sentence"] + step))
        return str(texts[place].as_py()) if place is not None else ""

    return [
        Task(row["id"], row["article"], row["target"], codebook.targets.get(row["target"], ""), row["start"], row["end"], _part(row["part"]), row["text"], near(row, -1), near(row, 1))
        for row in rows
    ]  # fmt: skip


def _part(name: str) -> Part:
    return next(part for part in PARTS if part == name)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="The folder that scoring a corpus wrote.")],
    size: Annotated[int, typer.Option("--size", min=2, help="How many sentences.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the tool's files and sample.jsonl are written.")],
    tool: Annotated[Tool, typer.Option("--tool", help="What coders will work with.")] = Tool.csv,
    by: Annotated[list[str] | None, typer.Option("--by", metavar="COLUMN", help="Groups to be compared, each to be sampled; repeat for several.")] = None,
    strategy: Annotated[Strategy, typer.Option("--strategy", help="probability for estimates; the others pick what to train on next.")] = Strategy.probability,
    seed: Annotated[int, typer.Option("--seed", help="The same seed draws the same sentences.")] = 1,
    folder: FolderOption = ANNOTATIONS,
) -> None:  # fmt: skip
    """Draw sentences of a scored corpus and write them as tasks for a tool."""
    found = Scores.load(scores)
    codebook = Codebook.load(folder / "codebook.toml")
    if (codebook.frame_labels, codebook.stance_labels, codebook.voice_labels) != (
        found.frame_labels,
        found.stance_labels,
        found.voice_labels,
    ):
        raise AnnotationError(
            f"{folder / 'codebook.toml'}: has other labels than {scores}; give --annotations the corpus that the model was trained on"
        )
    if not len(found.sentences):
        raise TrainingError(f"{scores}: no sentence in it; there is nothing to draw")
    if output.exists() and any(output.iterdir()):
        raise TrainingError(f"{output}: not empty; give --output a new folder, so that no work is overwritten")
    strata = strata_of(found, by or (), size) if strategy is Strategy.probability else None
    if strata is not None:
        chosen = draw(strata, size, np.random.default_rng(seed))
    else:
        chosen = uncertain(found, size) if strategy is Strategy.uncertainty else diverse(found, size, seed)
    rows = records(found, chosen, strategy, strata, by or (), seed)
    order = np.random.default_rng(seed).permutation(len(rows))  # coders shall not see strata in blocks
    rows = [rows[i] for i in order]
    output.mkdir(parents=True, exist_ok=True)
    written = FORMATS[tool.value].write(sample_tasks(rows, found, codebook), codebook, output)
    write_rows(output / SAMPLE, rows, before="")
    strata_count = (
        f" from {len(np.unique(strata))} strata" if strata is not None else f" by {strategy.value}, which no estimate may be made from"
    )
    print(f"{len(rows)} of {len(found.sentences)} sentences{strata_count}: {', '.join(map(str, [*written, output / SAMPLE]))}")


def read_sample(folder: Path) -> list[dict[str, Any]]:
    """The sentences of a sample that was drawn into a folder.

    Raises:
        AnnotationError: when there is none.
    """
    try:
        return [json.loads(line) for line in (folder / SAMPLE).read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise AnnotationError(f"{folder / SAMPLE}: cannot be read ({error.strerror}); give the folder that training.sample wrote") from None


if __name__ == "__main__":
    run(app)
