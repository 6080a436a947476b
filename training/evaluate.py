"""Scores the recipe on articles it did not train on: grouped folds, beside what it has to beat.

``python -m training.evaluate --texts FOLDER`` prints the tables and keeps them in ``training/evaluation.json``.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.table import Table

from slant.codebook import Codebook
from slant.reader import probabilities
from slant.reading import HEADS, Probabilities, confidences, decide
from slant.windows import tokenizer_from
from training import baselines
from training.agreement import Agreement, agreement, codes
from training.annotations import Annotations, Gold
from training.calibrate import calibrate
from training.card import EVALUATION
from training.commands import ANNOTATIONS, ROOT, RUNS, FolderOption, TextsOption, TrainingError, console, run
from training.examples import Example, Labels, examples
from training.fit import base_folder, fit, fresh_network, labels, logits
from training.folds import near_duplicates, split
from training.formats import FORMATS
from training.metrics import CalibrationError, FrameF1, LabelF1, risk_coverage
from training.recipe import Recipe
from training.tasks import Suggestion, Task, tasks

MODEL_NAME = "slant"


@dataclass(frozen=True, slots=True)
class Score:
    """F1 of one method on some sentences; fractions in [0, 1]."""

    frame_f1: dict[str, float]
    frames_macro: float
    stance_f1: dict[str, float]
    stance_macro: float
    voice_f1: dict[str, float]
    voice_macro: float


@dataclass(frozen=True, slots=True)
class Predictions:
    """Labels and, of a calibrated reader, probabilities of the same sentences."""

    labels: Labels
    probabilities: Probabilities | None = None


def tokenizer_text(recipe: Recipe) -> str:
    """The text of the base encoder's ``tokenizer.json``."""
    folder = base_folder(recipe)
    if isinstance(folder, Path):
        return (folder / "tokenizer.json").read_text(encoding="utf-8")
    from transformers import AutoTokenizer

    return str(AutoTokenizer.from_pretrained(folder).backend_tokenizer.to_str())


def article_groups(annotations: Annotations) -> dict[str, str]:
    """The near-duplicate group of each article that has gold and a text at hand."""
    articles = {article for article, _ in annotations.readable_gold}
    return near_duplicates({key: annotations.articles[key].text or "" for key in sorted(articles)})


def hold_out(annotations: Annotations, ids: Sequence[str], groups: dict[str, str], recipe: Recipe) -> tuple[list[str], list[str]]:
    """Part articles into those to train on and those to calibrate on, spread over kinds of text."""
    strata = {key: annotations.articles[key].kind for key in ids}
    validation = split(ids, groups, strata, folds=round(1 / recipe.validation_share), seed=recipe.seed)[0]
    held = set(validation)
    return [key for key in ids if key not in held], validation


def score(predicted: Labels, gold: Labels, codebook: Codebook) -> Score:
    """Score predicted labels against gold."""
    frames = FrameF1().compute(predictions=predicted.frames.astype(int).tolist(), references=gold.frames.astype(int).tolist())
    stance = LabelF1().compute(predictions=predicted.stance, references=gold.stance, label_count=len(codebook.stances))
    voice = LabelF1().compute(predictions=predicted.voice, references=gold.voice, label_count=len(codebook.voices))
    return Score(
        dict(zip(codebook.frame_labels, frames["f1"], strict=True)),
        frames["macro_f1"],
        dict(zip(codebook.stance_labels, stance["f1"], strict=True)),
        stance["macro_f1"],
        dict(zip(codebook.voice_labels, voice["f1"], strict=True)),
        voice["macro_f1"],
    )


def calibration_errors(probability: Probabilities, predicted: Labels, gold: Labels) -> dict[str, float]:
    """Expected calibration error of each head: of every frame's presence or absence as decided, and of the class chosen."""
    decided = np.where(predicted.frames > 0.5, probability.frames, 1 - probability.frames).ravel()
    pairs = {
        "frames": (decided, (predicted.frames == gold.frames).ravel()),
        "stance": (probability.stance.max(axis=1), predicted.stance == gold.stance),
        "voice": (probability.voice.max(axis=1), predicted.voice == gold.voice),
    }
    return {
        head: CalibrationError().compute(predictions=chosen, references=agreed.astype(int))["calibration_error"]
        for head, (chosen, agreed) in pairs.items()
    }


def risk_coverages(probability: Probabilities, predicted: Labels, gold: Labels) -> dict[str, list[tuple[float, float]]]:
    """The risk-coverage curve of each head; frames are right where all of a sentence's are."""
    sure = confidences(probability, predicted.frames > 0.5)  # (sentences, heads)
    right = ((predicted.frames == gold.frames).all(axis=1), predicted.stance == gold.stance, predicted.voice == gold.voice)
    return {head: risk_coverage(column, correct) for head, column, correct in zip(HEADS, sure.T, right, strict=True)}


def read_logits(values: NDArray[np.float64], codebook: Codebook, calibration: Any) -> Predictions:
    """Decide on logits (sentences, labels) as the reader does."""
    probability = probabilities(values, codebook, calibration)
    decisions = decide(probability, codebook, calibration.thresholds)
    return Predictions(
        Labels(
            np.array([[label in d.frames for label in codebook.frame_labels] for d in decisions], dtype=np.float32),
            np.array([codebook.stance_labels.index(d.stance) for d in decisions]),
            np.array([codebook.voice_labels.index(d.voice) for d in decisions]),
        ),
        probability,
    )


def cross_validate(annotations: Annotations, recipe: Recipe, scratch: Path) -> tuple[list[Gold], Labels, dict[str, Predictions]]:
    """Predict every article by a model, and by baselines, that never saw its group.

    Folds run side by side, a process for each core with one thread of its own.

    Returns:
        The gold rows, their labels, and the predictions of each method in the same order.
    """
    groups = article_groups(annotations)
    ids = sorted(groups)
    folds = split(ids, groups, {key: annotations.articles[key].kind for key in ids}, folds=recipe.folds, seed=recipe.seed)
    workers = min(len(os.sched_getaffinity(0)), recipe.folds)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        calls = [pool.submit(_fold, annotations, recipe, groups, number, test, scratch) for number, test in enumerate(folds, start=1)]
        results = [call.result() for call in calls]
    gold = [row for rows, _ in results for row in rows]
    methods = {name: _join([found[name] for _, found in results]) for name in results[0][1]}
    return gold, Labels.of(gold, annotations.codebook), methods


def _fold(
    annotations: Annotations, recipe: Recipe, groups: dict[str, str], number: int, test_ids: list[str], scratch: Path
) -> tuple[list[Gold], dict[str, Predictions]]:
    """Train on the articles outside a fold and predict those in it."""
    codebook = annotations.codebook
    source = tokenizer_text(recipe)
    tokenizer = tokenizer_from(source)

    def packed(articles: Sequence[str]) -> list[Example]:
        return examples(annotations, articles, tokenizer, window=recipe.window, left_context=recipe.left_context)

    held = set(test_ids)
    train_ids, validation_ids = hold_out(annotations, [key for key in groups if key not in held], groups, recipe)
    train, validation, test = packed(train_ids), packed(validation_ids), packed(test_ids)
    title = f"fold {number}/{recipe.folds}"
    network = fit(fresh_network(recipe, codebook), train, recipe, codebook, state=scratch / f"fold-{number}.pt", title=title, bar=False)
    calibration = calibrate(logits(network, validation), labels(validation), codebook)
    found = {MODEL_NAME: read_logits(logits(network, test), codebook, calibration)}
    seen = [*train, *validation]  # the baselines choose nothing on validation articles, so they train on them too
    seen_texts, test_texts = ([annotations.sentence_text(row) for example in some for row in example.gold] for some in (seen, test))
    seen_labels = labels(seen)
    found["majority class"] = Predictions(baselines.majority(seen_labels, len(test_texts)))
    words = baselines.tf_idf(seen_texts, test_texts)
    found["TF-IDF + logistic regression"] = Predictions(baselines.logistic_regression(words[0], seen_labels, words[1]))
    embed = baselines.embedder(recipe, source)
    vectors = embed(seen_texts), embed(test_texts)
    found["embeddings + logistic regression"] = Predictions(baselines.logistic_regression(vectors[0], seen_labels, vectors[1]))
    return [row for example in test for row in example.gold], found


def model_agreement(predicted: Labels, gold: Sequence[Gold], codebook: Codebook) -> dict[str, Agreement]:
    """Alpha of the model and gold per code."""
    found = {}
    for name, (read, values) in codes(codebook).items():
        if name in codebook.frame_labels:
            said: list[Any] = [bool(value) for value in predicted.frames[:, codebook.frame_labels.index(name)]]
        else:
            numbers = predicted.stance if name == "stance" else predicted.voice
            said = [values[int(number)] for number in numbers]
        units = [(one, read(row)) for one, row in zip(said, gold, strict=True)]
        found[name] = agreement(units, [row.article for row in gold], values)
    return found


def coders_on(annotations: Annotations, gold: Sequence[Gold]) -> dict[str, Agreement]:
    """Alpha of the coders per code, on the same sentences."""
    found = {}
    for name, (read, values) in codes(annotations.codebook).items():
        units = [[read(code) for code in annotations.codes_by_key[row.key]] for row in gold]
        found[name] = agreement(units, [row.article for row in gold], values)
    return found


def doubts(annotations: Annotations, gold: Sequence[Gold], truth: Labels, model: Predictions, most: int) -> list[Task]:
    """Find the gold sentences that models which never saw their articles doubt most, for somebody to read again.

    A sentence's doubt is the lowest probability among its gold codes (of each frame's presence or
    absence, of the stance and of the voice).

    Returns:
        At most ``most`` tasks, the most doubted first; their suggestion is the model's reading, their codes are the coders'.

    Source:
        Northcutt, Jiang and Chuang (2021), "Confident Learning", whose self-confidence this ranks by.
    """
    assert model.probabilities is not None
    book, said, rows = annotations.codebook, model.labels, np.arange(len(gold))
    frames = np.where(truth.frames > 0.5, model.probabilities.frames, 1 - model.probabilities.frames)  # (sentences, frames)
    believed = np.column_stack([frames, model.probabilities.stance[rows, truth.stance], model.probabilities.voice[rows, truth.voice]])
    by_key = {task.key: task for task in tasks(annotations)}
    found = []
    for i in believed.min(axis=1).argsort(kind="stable")[:most]:
        present = tuple(label for label, here in zip(book.frame_labels, said.frames[i], strict=True) if here > 0.5)
        reading = Suggestion(present, book.stance_labels[said.stance[i]], book.voice_labels[said.voice[i]])
        codes = tuple(annotations.codes_by_key[gold[i].key])
        found.append(replace(by_key[gold[i].key], suggestion=reading, codes=codes))
    return found


def evaluation(
    annotations: Annotations, recipe: Recipe, scratch: Path, *, doubts_in: Path | None = None, most_doubts: int = 150
) -> dict[str, Any]:
    """Run the whole evaluation; the result is plain data, as kept in ``training/evaluation.json``.

    Args:
        annotations: the corpus.
        recipe: what is measured.
        scratch: keeps the folds' state, so that a killed run goes on.
        doubts_in: folder for a table of the gold sentences that are doubted most; None for none.
        most_doubts: how many of them.
    """
    gold, truth, predictions = cross_validate(annotations, recipe, scratch)
    if doubts_in:
        doubts_in.mkdir(parents=True, exist_ok=True)
        FORMATS["csv"].write(doubts(annotations, gold, truth, predictions[MODEL_NAME], most_doubts), annotations.codebook, doubts_in)
    codebook = annotations.codebook
    kinds = [annotations.articles[row.article].kind for row in gold]
    masks = {kind: np.array([kind in ("all", own) for own in kinds]) for kind in ["all", *sorted(set(kinds))]}
    scores = {
        name: {kind: asdict(score(_only(found.labels, mask), _only(truth, mask), codebook)) for kind, mask in masks.items()}
        for name, found in predictions.items()
    }
    model = predictions[MODEL_NAME]
    assert model.probabilities is not None
    return {
        "annotations_sha256": annotations.digest,
        "recipe_sha256": recipe.digest,
        "folds": recipe.folds,
        "articles": {kind: len({row.article for row, here in zip(gold, mask, strict=True) if here}) for kind, mask in masks.items()},
        "sentences": {kind: int(mask.sum()) for kind, mask in masks.items()},
        "scores": scores,
        "alpha": {
            "model and gold": {name: asdict(value) for name, value in model_agreement(model.labels, gold, codebook).items()},
            "coder and coder": {name: asdict(value) for name, value in coders_on(annotations, gold).items()},
        },
        "calibration_error": calibration_errors(model.probabilities, model.labels, truth),
        "risk_coverage": risk_coverages(model.probabilities, model.labels, truth),
    }


def tables(result: dict[str, Any]) -> list[Table]:
    """Draw an evaluation: F1 by method and kind of text, alpha side by side, calibration error."""
    f1 = Table(title=f"F1 on unseen articles, {result['folds']} folds grouped by article", title_justify="left", box=None)
    sample: dict[str, Any] = result["scores"][MODEL_NAME]["all"]
    heads = [*sample["frame_f1"], "frames", *sample["stance_f1"], "stance", *sample["voice_f1"], "voice"]
    for name in ("method", "texts", "n", *(f"[b]{name}[/]" if name in ("frames", "stance", "voice") else name[:9] for name in heads)):
        f1.add_column(name, justify="left" if name in ("method", "texts") else "right", no_wrap=True)
    for name, by_kind in result["scores"].items():
        for kind, s in by_kind.items():
            if kind == "all" or name == MODEL_NAME:
                values = [
                    *s["frame_f1"].values(),
                    s["frames_macro"],
                    *s["stance_f1"].values(),
                    s["stance_macro"],
                    *s["voice_f1"].values(),
                    s["voice_macro"],
                ]
                f1.add_row(name, kind, str(result["sentences"][kind]), *(f"{value:.2f}" for value in values))
    alphas = Table(title="Krippendorff's alpha on the same sentences", title_justify="left", box=None)
    alphas.add_column("")
    for name in next(iter(result["alpha"].values())):
        alphas.add_column(name)
    for who, found in result["alpha"].items():
        alphas.add_row(who, *(f"{a['alpha']:.2f} [{a['low']:.2f}, {a['high']:.2f}]" for a in found.values()))
    errors = Table(title="Expected calibration error", title_justify="left", box=None)
    for head in result["calibration_error"]:
        errors.add_column(head)
    errors.add_row(*(f"{value:.3f}" for value in result["calibration_error"].values()))
    return [f1, alphas, errors]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    recipe: Annotated[Path, typer.Option("--recipe", metavar="FILE")] = ROOT / "training" / "recipe.toml",
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where the result is kept as JSON.")] = EVALUATION,
    show: Annotated[bool, typer.Option("--show", help="Print the kept result instead of measuring anew.")] = False,
    doubted: Annotated[
        Path | None,
        typer.Option("--doubts", metavar="FOLDER", help="Write the gold sentences that are doubted most there, to be read again."),
    ] = None,
) -> None:
    """Measure the recipe by grouped cross-validation, beside three baselines, and print the tables."""
    if show:
        if not output.exists():
            raise TrainingError(f"{output}: no result is kept there; run without --show first")
        result = json.loads(output.read_text(encoding="utf-8"))
    else:
        annotations = Annotations.load(folder, texts)
        settings = Recipe.load(recipe)
        result = evaluation(annotations, settings, RUNS / "evaluate" / settings.digest[:12], doubts_in=doubted)
        output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    out = console()
    for table in tables(result):
        out.print(table)
    print(f"annotations {result['annotations_sha256'][:12]}, recipe {result['recipe_sha256'][:12]}, {result['articles']['all']} articles")


def _join(parts: Sequence[Predictions]) -> Predictions:
    joined = Labels(
        np.concatenate([part.labels.frames for part in parts]),
        np.concatenate([part.labels.stance for part in parts]),
        np.concatenate([part.labels.voice for part in parts]),
    )
    found = [part.probabilities for part in parts if part.probabilities is not None]
    if not found:
        return Predictions(joined)
    return Predictions(
        joined,
        Probabilities(
            np.concatenate([p.frames for p in found]), np.concatenate([p.stance for p in found]), np.concatenate([p.voice for p in found])
        ),
    )


def _only(some: Labels, mask: NDArray[np.bool_]) -> Labels:
    return Labels(some.frames[mask], some.stance[mask], some.voice[mask])


if __name__ == "__main__":
    run(app)
