"""Agreement of coders: Krippendorff's alpha per code, with a bootstrap interval over articles.

``python -m training.agreement`` prints it for the coders of the annotated corpus, per origin of text; ``--detail`` adds
alpha and Gwet's AC1 per label, what the coders take for what, and the sentences on which they differ most.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from rich.table import Table
from rich.text import Text

from slant.agreement import alpha, coincidences
from slant.codebook import AnnotationError, Codebook
from training.annotations import Annotation, Annotations, Gold
from training.commands import ANNOTATIONS, FolderOption, TextsOption, console, run

BOOTSTRAPS = 2000
RELEASE = 0.667  # below it a code's labels are not released (Krippendorff 2004, p. 241)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Alpha with a 95 % bootstrap interval; NaN where the code never varies, and for the interval where there is one article."""

    alpha: float
    low: float
    high: float
    sentences: int


def ac1(units: Sequence[Sequence[Hashable]], values: Sequence[Hashable]) -> float:
    """Gwet's AC1 for nominal data, which stays high where a rare label is agreed to be absent.

    Args:
        units: for each unit the values that coders gave it; one without values is left out.
        values: all that may occur.

    Returns:
        1 for perfect agreement; NaN if no unit has two values or there is but one value.

    Source:
        Gwet (2008), "Computing inter-rater reliability and its variance in the presence of high agreement".
    """
    counts = np.array([[sum(value == one for one in unit) for value in values] for unit in units if len(unit)], dtype=float)
    raters = counts.sum(axis=1, initial=0) if len(counts) else np.zeros(0)
    paired = counts[raters > 1] if len(counts) else counts
    if not len(paired) or len(values) < 2:
        return float("nan")
    many = paired.sum(axis=1)
    observed = float(((paired * (paired - 1)).sum(axis=1) / (many * (many - 1))).mean())
    share = (counts / raters[:, None]).mean(axis=0)  # (values,)
    expected = float((share * (1 - share)).sum() / (len(values) - 1))
    return (observed - expected) / (1 - expected)


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
    several = len(matrices) > 1 and not np.isnan(resampled).all()
    low, high = np.nanpercentile(resampled, [2.5, 97.5]) if several else (np.nan, np.nan)
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
    rows = [said for said in judged(annotations) if kind(said[0].article)]
    found = {}
    for name, (read, values) in codes(annotations.codebook).items():
        units = [[read(code) for code in said] for said in rows]
        found[name] = agreement(units, [said[0].article for said in rows], values)
    return found


def judged(annotations: Annotations) -> list[list[Annotation]]:
    """The codes of each sentence that two coders or more have judged: gold's in its order, then those that wait for it."""
    order = dict.fromkeys([*(row.key for row in annotations.gold), *annotations.codes_by_key])
    return [said for key in order if len(said := annotations.codes_by_key[key]) > 1]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    detail: Annotated[
        bool, typer.Option("--detail", help="Also per label, what is taken for what, and the most disputed sentences.")
    ] = False,
    most: Annotated[int, typer.Option("--most", metavar="N", help="How many disputed sentences --detail shows.")] = 20,
) -> None:
    """Print Krippendorff's alpha per code, all coders against one another, per origin of text."""
    annotations = Annotations.load(folder, texts)
    if not judged(annotations):
        raise AnnotationError(f"{folder}: no sentence has codes by two coders; import each one's with training.exchange first")
    out = console()
    out.print(table(annotations))
    if detail:
        out.print(label_table(annotations))
        for confusion in confusion_tables(annotations):
            out.print(confusion)
        out.print(disputed_table(annotations, most))
    coders = sorted({(code.coder, code.coder_kind) for code in annotations.codes})
    print(f"coders: {', '.join(f'{coder} ({kind})' for coder, kind in coders)}; interval: 95 %, {BOOTSTRAPS} resamples of whole articles")


def table(annotations: Annotations) -> Table:
    """Draw alpha per code and origin of text."""
    grid = Table(title="Krippendorff's alpha of the coders", title_justify="left", box=None)
    grid.add_column("texts")
    grid.add_column("sentences", justify="right")
    for name in codes(annotations.codebook):
        grid.add_column(name)
    origins = sorted({annotations.articles[said[0].article].origin for said in judged(annotations)})
    for origin in [*origins, "all"]:
        found = coder_agreement(annotations, lambda article, origin=origin: origin in ("all", annotations.articles[article].origin))  # type: ignore[misc]
        count = next(iter(found.values())).sentences
        grid.add_row(origin, str(count), *(drawn(a) for a in found.values()))
    return grid


def drawn(found: Agreement) -> str:
    """Alpha with its interval, if it has one."""
    return f"{found.alpha:.2f}" + ("" if np.isnan(found.low) else f" [{found.low:.2f}, {found.high:.2f}]")


def label_table(annotations: Annotations) -> Table:
    """Draw, for each label taken by itself, how often coders chose it, alpha and AC1."""
    grid = Table(title="each label by itself, all texts", title_justify="left", box=None)
    for name in ("code", "label", "chosen", "alpha", "AC1"):
        grid.add_column(name, justify="left" if name in ("code", "label") else "right")
    for name, (read, values) in codes(annotations.codebook).items():
        units = [[read(code) for code in said] for said in judged(annotations)]
        frame = name in annotations.codebook.frame_labels
        for value in [True] if frame else values:
            single = [[said == value for said in unit] for unit in units]
            chosen = sum(map(sum, single)) / max(sum(map(len, single)), 1)
            found = alpha(coincidences(single, [False, True])), ac1(single, [False, True])
            grid.add_row("frame" if frame else name, str(name if frame else value), f"{chosen:.1%}", *(f"{one:.2f}" for one in found))
    return grid


def confusion_tables(annotations: Annotations) -> list[Table]:
    """Draw, for each code, how often one coder chose the row's label where another chose the column's."""
    readers = codes(annotations.codebook)

    def frames(row: Annotation | Gold) -> str:
        return " + ".join(label for label in annotations.codebook.frame_labels if label in row.frames) or "none"

    sets = sorted({frames(code) for code in annotations.codes}, key=lambda name: (name.count("+"), name))
    found = []
    for name, (read, values) in {"frames": (frames, sets), "stance": readers["stance"], "voice": readers["voice"]}.items():
        units = [[read(code) for code in said] for said in judged(annotations)]
        matrix = coincidences(units, values)
        grid = Table(title=f"{name}: pairs of coders, each sentence counted from either side", title_justify="left", box=None)
        grid.add_column("")
        for value in values:
            grid.add_column(str(value), justify="right")
        for i, value in enumerate(values):
            grid.add_row(str(value), *(f"{count:.0f}" for count in matrix[i]))
        found.append(grid)
    return found


def disputed_table(annotations: Annotations, most: int) -> Table:
    """Draw the sentences on which coders differ in most codes, each coder's codes and what was settled."""
    readers = [read for read, _ in codes(annotations.codebook).values()]

    settled = {row.key: row for row in annotations.gold}

    def differing(said: list[Annotation]) -> int:
        return sum(len({read(code) for code in said}) > 1 for read in readers)

    def coded(row: Annotation | Gold) -> str:
        return f"{'+'.join(sorted(row.frames)) or 'none'}, {row.stance}, {row.voice}"

    grid = Table(title="most disputed sentences", title_justify="left", box=None, row_styles=["", "on grey7"])
    for name, ratio in (("sentence", 5), ("coders", 3), ("settled", 2), ("reason", 4)):
        grid.add_column(name, ratio=ratio)
    for said in sorted(judged(annotations), key=differing, reverse=True)[:most]:
        if differing(said):
            one, gold = said[0], settled.get(said[0].key)
            text = annotations.sentence_text(one) or "(its text is not at hand)"
            told = "\n".join(f"{code.coder}: {coded(code)}" for code in said)
            place = Text(f"{one.article} {one.start}-{one.end}: {' '.join(text.split())}")
            grid.add_row(place, Text(told), coded(gold) if gold else "not yet", Text(gold.reason if gold else ""))
    return grid


if __name__ == "__main__":
    run(app)
