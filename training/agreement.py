"""Agreement of coders: Krippendorff's alpha per code, with a bootstrap interval over articles.

``python -m training.agreement`` prints it for the coders of the annotated corpus, per origin of text.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from slant.codebook import Codebook
from training.annotations import Annotation, Annotations, Gold
from training.commands import ANNOTATIONS, FolderOption, TextsOption, console, run

BOOTSTRAPS = 2000
RELEASE = 0.667  # below it a code's labels are not released (Krippendorff 2004, p. 241)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Alpha with a 95 % bootstrap interval; NaN where the code never varies."""

    alpha: float
    low: float
    high: float
    sentences: int


def coincidences(units: Sequence[Sequence[Hashable]], values: Sequence[Hashable]) -> NDArray[np.float64]:
    """Count the pairs of values that coders gave the same units.

    Args:
        units: for each unit the values that coders gave it; a coder who gave none is left out.
        values: all that may occur.

    Returns:
        The symmetric coincidence matrix, shape (values, values). Units with one value pair with nothing.
    """
    index = {value: i for i, value in enumerate(values)}
    matrix = np.zeros((len(values), len(values)))
    for unit in units:
        if len(unit) < 2:
            continue
        row = np.bincount([index[value] for value in unit], minlength=len(values)).astype(float)
        matrix += (np.outer(row, row) - np.diag(row)) / (len(unit) - 1)
    return matrix


def alpha(matrix: NDArray[np.float64]) -> float:
    """Krippendorff's alpha for nominal data.

    Args:
        matrix: of coincidences, shape (values, values).

    Returns:
        1 for perfect agreement, 0 for that of chance; NaN if fewer than two values occur.

    Source:
        Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability".

    >>> round(alpha(coincidences([(0, 1), (1, 1), (0, 1), (0, 0), (0, 0), (0, 1), (0, 0), (0, 0), (1, 0), (0, 0)], [0, 1])), 3)
    0.095
    """
    totals = matrix.sum(axis=1)
    pairs = totals.sum()
    expected = totals.sum() ** 2 - (totals**2).sum()
    if expected == 0:
        return float("nan")
    return float(1 - (pairs - 1) * (pairs - np.trace(matrix)) / expected)


def agreement(units: Sequence[Sequence[Hashable]], articles: Sequence[str], values: Sequence[Hashable], *, seed: int = 0) -> Agreement:
    """Alpha over units, its interval from resampling whole articles.

    Args:
        units: each unit's values.
        articles: each unit's article.
        values: all that may occur.
        seed: of the bootstrap.
    """
    by_article: defaultdict[str, list[Sequence[Hashable]]] = defaultdict(list)
    for unit, article in zip(units, articles, strict=True):
        by_article[article].append(unit)
    matrices = np.array([coincidences(found, values) for found in by_article.values()])  # (articles, values, values)
    random = np.random.default_rng(seed)
    draws = random.multinomial(len(matrices), np.full(len(matrices), 1 / len(matrices)), size=BOOTSTRAPS)
    resampled = [alpha(matrix) for matrix in np.tensordot(draws, matrices, axes=1)]
    low, high = np.nanpercentile(resampled, [2.5, 97.5]) if not np.isnan(resampled).all() else (np.nan, np.nan)
    return Agreement(alpha(matrices.sum(axis=0)), float(low), float(high), len(units))


def codes(codebook: Codebook) -> dict[str, tuple[Callable[[Annotation | Gold], Hashable], Sequence[Hashable]]]:
    """The codes that agreement is computed for: how to read each off a row, and its possible values."""
    frames = {label: (lambda row, label=label: label in row.frames, (False, True)) for label in codebook.frame_labels}
    return {
        **frames,
        "stance": (lambda row: row.stance, codebook.stance_labels),
        "voice": (lambda row: row.voice, codebook.voice_labels),
    }


def coder_agreement(annotations: Annotations, kind: Callable[[str], bool]) -> dict[str, Agreement]:
    """Agreement of the coders per code, over the articles of which ``kind(article id)`` holds."""
    rows = [row for row in annotations.gold if kind(row.article)]
    found = {}
    for name, (read, values) in codes(annotations.codebook).items():
        units = [[read(code) for code in annotations.codes_by_key[row.key]] for row in rows]
        found[name] = agreement(units, [row.article for row in rows], values)
    return found


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(folder: FolderOption = ANNOTATIONS, texts: TextsOption = None) -> None:
    """Print Krippendorff's alpha per code, all coders against one another, per origin of text."""
    annotations = Annotations.load(folder, texts)
    console().print(table(annotations))
    coders = sorted({(code.coder, code.coder_kind) for code in annotations.codes})
    print(f"coders: {', '.join(f'{coder} ({kind})' for coder, kind in coders)}; interval: 95 %, {BOOTSTRAPS} resamples of whole articles")


def table(annotations: Annotations) -> Table:
    """Draw alpha per code and origin of text."""
    grid = Table(title="Krippendorff's alpha of the coders", title_justify="left", box=None)
    grid.add_column("texts")
    grid.add_column("sentences", justify="right")
    for name in codes(annotations.codebook):
        grid.add_column(name)
    origins = sorted({article.origin for article in annotations.articles.values()})
    for origin in [*origins, "all"]:
        found = coder_agreement(annotations, lambda article, origin=origin: origin in ("all", annotations.articles[article].origin))  # type: ignore[misc]
        count = next(iter(found.values())).sentences
        grid.add_row(origin, str(count), *(f"{a.alpha:.2f} [{a.low:.2f}, {a.high:.2f}]" for a in found.values()))
    return grid


if __name__ == "__main__":
    run(app)
