"""Changes to the recipe, and harder splits, side by side: ``python -m training.compare "NAME"`` measures a row.

The rows are in ``training/comparisons.toml``, what was measured in ``training/comparisons.json``.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from training.annotations import Annotations
from training.card import COMPARED, COMPARISONS
from training.commands import ANNOTATIONS, ROOT, RUNS, CorporaOption, FolderOption, TextsOption, TrainingError, console, run
from training.evaluate import article_groups, fold_ids, hold_out, predict_unseen, score
from training.examples import Labels, Passage, gold_passages
from training.recipe import Recipe
from training.stages import Corpora

ROWS = ROOT / "training" / "comparisons.toml"
BLOCK = 5  # sentences

Parts = tuple[list[Passage], list[Passage], list[Passage]]  # to train on, to calibrate on, to test on


def first_fold(annotations: Annotations, groups: dict[str, str], recipe: Recipe) -> Parts:
    """The evaluation's first fold is tested."""
    return _parted(annotations, groups, recipe, set(fold_ids(annotations, groups, recipe)[0]))


def written_to_real(annotations: Annotations, groups: dict[str, str], recipe: Recipe) -> Parts:
    """The real articles of the first fold are tested, articles written for the project alone are trained on."""
    real = {key for key in groups if annotations.articles[key].kind != "written"}
    tested = real & set(fold_ids(annotations, groups, recipe)[0])
    return _parted(annotations, groups, recipe, tested, left_out=real)


def new_outlet(annotations: Annotations, groups: dict[str, str], recipe: Recipe) -> Parts:
    """All op-eds of the commonest outlet are tested, no other article of it is trained on."""
    outlets = Counter(annotations.articles[key].outlet for key in groups if annotations.articles[key].kind == "op-ed")
    name = outlets.most_common(1)[0][0]
    return _parted(annotations, groups, recipe, {key for key in groups if annotations.articles[key].outlet == name})


def new_target(annotations: Annotations, groups: dict[str, str], recipe: Recipe) -> Parts:
    """Articles coded towards a fifth of the targets, the default one excepted, are tested, no other towards them is trained on."""
    targets = sorted({target for _, target in annotations.readable_gold} - {annotations.codebook.default_target})
    held = set(targets[:: recipe.folds])
    return _parted(annotations, groups, recipe, {article for article, target in annotations.readable_gold if target in held})


def later_dates(annotations: Annotations, groups: dict[str, str], recipe: Recipe) -> Parts:
    """The latest fifth of the dated real articles is tested."""
    dated = sorted(
        (annotations.articles[key].date, key)
        for key in groups
        if annotations.articles[key].date and annotations.articles[key].kind != "written"
    )
    return _parted(annotations, groups, recipe, {key for _, key in dated[-(len(dated) // recipe.folds) :]})


def random_blocks(annotations: Annotations, groups: dict[str, str], recipe: Recipe) -> Parts:
    """Blocks of a few sentences are tested whose articles are trained on: how much a split by sentence would flatter."""
    rng = np.random.default_rng(recipe.seed)
    train: list[Passage] = []
    test: list[Passage] = []
    for passage in gold_passages(annotations, sorted(groups)):
        for first in range(0, len(passage.texts), BLOCK):
            (test if rng.random() < 1 / recipe.folds else train).append(passage.part(first, first + BLOCK))
    kept = round(len(train) * (1 - recipe.validation_share))
    mixed = [train[i] for i in rng.permutation(len(train))]
    return mixed[:kept], mixed[kept:], test


SPLITS: dict[str, Callable[[Annotations, dict[str, str], Recipe], Parts]] = {
    "first fold": first_fold,
    "written to real": written_to_real,
    "new outlet": new_outlet,
    "new target": new_target,
    "later dates": later_dates,
    "random blocks": random_blocks,
}


def measure(
    name: str, annotations: Annotations, row: dict[str, Any], recipe: Recipe, folder: Path | None, *, scratch: Path
) -> dict[str, Any]:
    """Measure one row; the result is plain data.

    Args:
        name: of the row.
        annotations: the corpus.
        row: ``split`` names one of ``SPLITS``, the first fold if it is missing; ``recipe`` has the choices that differ.
        recipe: what the row changes.
        folder: of the corpora that the recipe trains on.
        scratch: keeps the states of work under way.
    """
    own = replace(recipe, **row.get("recipe", {}))
    groups = article_groups(annotations)
    train, validation, test = SPLITS[row.get("split", "first fold")](annotations, groups, own)
    loaded = Corpora.load(own, annotations, folder)
    work = scratch / own.digest[:12]
    found = predict_unseen(train, validation, test, loaded, own, annotations.codebook, scratch=work, title=name)
    kinds = np.array([annotations.articles[gold.article].kind for gold in found.gold])
    truth, scores = Labels.of(found.gold, annotations.codebook), {}
    for kind in COMPARED:
        mask = np.ones(len(kinds), dtype=bool) if kind == "all" else kinds == kind
        if mask.any():
            scores[kind] = {
                "sentences": int(mask.sum()),
                **asdict(score(found.predictions.labels.where(mask), truth.where(mask), annotations.codebook)),
            }
    return {
        "annotations_sha256": annotations.digest,
        "recipe_sha256": own.digest,
        "changed_recipe_sha256": recipe.digest,
        "split": row.get("split", "first fold"),
        "train_sentences": sum(len(passage.texts) for passage in train),
        "scores": scores,
    }


def table(measured: dict[str, Any]) -> Table:
    """Draw the rows: macro-F1 of frames, stance and voice, over all the test sentences and over the op-eds among them."""
    found = Table(title="Macro-F1 on articles that training did not see", title_justify="left", box=None)
    for name in ("row", "tested on", "trained on", "n", "frames", "stance", "voice", "op-eds: n", "frames", "stance", "voice"):
        found.add_column(name, justify="left" if name in ("row", "tested on") else "right")
    for name, row in measured.items():
        cells = []
        for kind in COMPARED:
            s = row["scores"].get(kind)
            cells += (
                [str(s["sentences"]), *(f"{s[f'{head}_macro']:.2f}" for head in ("frames", "stance", "voice"))] if s else ["0", "", "", ""]
            )
        found.add_row(name, row["split"], str(row["train_sentences"]), *cells)
    return found


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[ROW]...", help="Rows of training/comparisons.toml to measure.")] = None,
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    corpora: CorporaOption = None,
    recipe: Annotated[Path, typer.Option("--recipe", metavar="FILE")] = ROOT / "training" / "recipe.toml",
) -> None:
    """Measure rows, one training each, and print all that are measured; without a row only print."""
    rows = tomllib.loads(ROWS.read_text(encoding="utf-8"))
    if unknown := [name for name in names or () if name not in rows]:
        raise TrainingError(f"{ROWS}: no row '{unknown[0]}'; it has {', '.join(rows)}")
    if names:
        annotations, settings = Annotations.load(folder, texts), Recipe.load(recipe)
        for name in names:
            found = measure(name, annotations, rows[name], settings, corpora, scratch=RUNS / "compare")
            kept = json.loads(COMPARISONS.read_text(encoding="utf-8")) if COMPARISONS.exists() else {}
            kept[name] = found
            COMPARISONS.write_text(json.dumps({key: kept[key] for key in rows if key in kept}, indent=1) + "\n", encoding="utf-8")
    if not COMPARISONS.exists():
        raise TrainingError(f"{COMPARISONS}: nothing is measured yet; name a row of {ROWS}")
    console().print(table(json.loads(COMPARISONS.read_text(encoding="utf-8"))))


def _parted(annotations: Annotations, groups: dict[str, str], recipe: Recipe, test: set[str], *, left_out: set[str] | None = None) -> Parts:
    """Part the passages; near-duplicates of what is tested or left out are not trained on."""
    held = {groups[key] for key in test | (left_out or set())}
    fit_ids, validation_ids = hold_out(annotations, [key for key in groups if groups[key] not in held], groups, recipe)
    train, validation, tested = (gold_passages(annotations, ids) for ids in (fit_ids, validation_ids, sorted(test)))
    return train, validation, tested


if __name__ == "__main__":
    run(app)
