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

from slant.checkpoint import Calibration
from slant.codebook import Codebook
from slant.reader import probabilities
from slant.reading import HEADS, Probabilities, confidences, decide
from slant.windows import tokenizer_from
from training import baselines
from training.agreement import Agreement, agreement, codes, drawn
from training.annotations import Annotations, Gold
from training.base import base_folder
from training.calibrate import calibrate
from training.card import EVALUATION
from training.commands import ANNOTATIONS, ROOT, RUNS, CorporaOption, FolderOption, TextsOption, TrainingError, console, run
from training.examples import Labels, Passage, examples, gold_passages
from training.fit import labels, logits
from training.folds import near_duplicates, split
from training.formats import FORMATS
from training.metrics import CalibrationError, FrameF1, LabelF1, risk_coverage
from training.recipe import Recipe
from training.stages import Corpora, pretrained, train_network
from training.tasks import Suggestion, Task, tasks

MODEL_NAME = "slant"
Key = tuple[str, str, int, int]  # of a gold sentence


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


def held_out(annotations: Annotations, checkpoint: Path) -> list[str]:
    """The articles that a checkpoint's training held out, those of them that are at hand.

    Raises:
        TrainingError: when there are none.
    """
    path = checkpoint / "metrics.json"
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))["validation"]["ids"]
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(
            f"{path}: does not say which articles training held out ({error!r}); give a folder written by training.train"
        ) from None
    readable = {article for article, _ in annotations.readable_gold}
    found = [key for key in ids if key in readable]
    if not found:
        raise TrainingError(
            f"none of the {len(ids)} articles that {checkpoint} held out is at hand; give --texts the folder that holds them"
        )
    return found


def fold_ids(annotations: Annotations, groups: dict[str, str], recipe: Recipe) -> list[list[str]]:
    """The articles of each fold, spread over kinds of text."""
    ids = sorted(groups)
    return split(ids, groups, {key: annotations.articles[key].kind for key in ids}, folds=recipe.folds, seed=recipe.seed)


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
        "stance": (np.take_along_axis(probability.stance, predicted.stance[:, None], axis=1)[:, 0], predicted.stance == gold.stance),
        "voice": (probability.voice.max(axis=1), predicted.voice == gold.voice),
    }
    return {
        head: CalibrationError().compute(predictions=chosen, references=agreed.astype(int))["calibration_error"]
        for head, (chosen, agreed) in pairs.items()
    }


def risk_coverages(probability: Probabilities, predicted: Labels, gold: Labels) -> dict[str, list[tuple[float, float]]]:
    """The risk-coverage curve of each head; frames are right where all of a sentence's are."""
    sure = confidences(probability, predicted.frames > 0.5, predicted.stance)  # (sentences, heads)
    right = ((predicted.frames == gold.frames).all(axis=1), predicted.stance == gold.stance, predicted.voice == gold.voice)
    return {head: risk_coverage(column, correct) for head, column, correct in zip(HEADS, sure.T, right, strict=True)}


def read_logits(values: NDArray[np.float64], codebook: Codebook, calibration: Calibration) -> Predictions:
    """Decide on logits (sentences, labels) as the reader does."""
    probability = probabilities(values, codebook, calibration)
    decisions = decide(probability, codebook, calibration.thresholds, calibration.stance_weights)
    return Predictions(
        Labels(
            np.array([[label in d.frames for label in codebook.frame_labels] for d in decisions], dtype=np.float32),
            np.array([codebook.stance_labels.index(d.stance) for d in decisions]),
            np.array([codebook.voice_labels.index(d.voice) for d in decisions]),
        ),
        probability,
    )


@dataclass(frozen=True)
class CrossValidation:
    """What each method predicts of every gold sentence, by models that never saw its article."""

    gold: list[Gold]
    truth: Labels
    predictions: dict[str, Predictions]  # by method, in the order of the gold
    logits: NDArray[np.float64]  # of the model, shape (sentences, labels)


def cross_validate(annotations: Annotations, corpora: Corpora, recipe: Recipe, scratch: Path) -> CrossValidation:
    """Predict every article by a model, and by baselines, that never saw its group.

    Folds run side by side, a process for each core with one thread of its own.
    """
    groups = article_groups(annotations)
    folds = fold_ids(annotations, groups, recipe)
    if corpora.pairs:  # once, before the folds that go on from there
        pretrained(corpora.pairs, recipe, annotations.codebook, tokenizer_from(tokenizer_text(recipe)), scratch=scratch, bar=True)
    rows = [row for passage in gold_passages(annotations, sorted(groups)) for row in passage.gold]
    embed = baselines.embedder(recipe, tokenizer_text(recipe))
    vectors = dict(zip((row.key for row in rows), embed([annotations.sentence_text(row) for row in rows]), strict=True))
    workers = min(len(os.sched_getaffinity(0)), recipe.folds)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        calls = [
            pool.submit(_fold, annotations, corpora, recipe, groups, vectors, number, test, scratch)
            for number, test in enumerate(folds, start=1)
        ]
        results = [call.result() for call in calls]
    gold = [row for unseen, _ in results for row in unseen.gold]
    methods = {name: _join([found[name] for _, found in results]) for name in results[0][1]}
    return CrossValidation(gold, Labels.of(gold, annotations.codebook), methods, np.concatenate([unseen.logits for unseen, _ in results]))


@dataclass(frozen=True)
class Unseen:
    """What a model says of articles that it never saw."""

    gold: list[Gold]
    logits: NDArray[np.float64]  # (sentences, labels)
    predictions: Predictions


def predict_unseen(
    train: Sequence[Passage],
    validation: Sequence[Passage],
    test: Sequence[Passage],
    corpora: Corpora,
    recipe: Recipe,
    codebook: Codebook,
    *,
    scratch: Path,
    title: str,
) -> Unseen:
    """Train on some gold passages, calibrate on others and predict yet others."""
    tokenizer = tokenizer_from(tokenizer_text(recipe))
    validation_set, test_set = (
        examples(passages, tokenizer, window=recipe.window, left_context=recipe.left_context) for passages in (validation, test)
    )
    network = train_network(train, corpora, recipe, codebook, tokenizer, scratch=scratch, title=title, bar=False)
    calibration = calibrate(logits(network, validation_set), labels(validation_set), codebook)
    values = logits(network, test_set)
    return Unseen([row for example in test_set for row in example.gold], values, read_logits(values, codebook, calibration))


def _fold(
    annotations: Annotations,
    corpora: Corpora,
    recipe: Recipe,
    groups: dict[str, str],
    vectors: dict[Key, NDArray[np.float32]],
    number: int,
    test_ids: list[str],
    scratch: Path,
) -> tuple[Unseen, dict[str, Predictions]]:
    """Train on the articles outside a fold and predict those in it, by the recipe and by each baseline."""
    held = set(test_ids)
    train_ids = [key for key in groups if key not in held]
    fit_ids, validation_ids = hold_out(annotations, train_ids, groups, recipe)
    train, validation, test = (gold_passages(annotations, ids) for ids in (fit_ids, validation_ids, test_ids))
    title = f"fold {number}/{recipe.folds}"
    found = predict_unseen(train, validation, test, corpora, recipe, annotations.codebook, scratch=scratch, title=title)
    # the baselines choose nothing on validation articles, so they train on them too
    seen = [row for passage in gold_passages(annotations, train_ids) for row in passage.gold]
    seen_texts, test_texts = ([annotations.sentence_text(row) for row in rows] for rows in (seen, found.gold))
    seen_labels = Labels.of(seen, annotations.codebook)
    words = baselines.tf_idf(seen_texts, test_texts)
    known, asked = (np.stack([vectors[row.key] for row in rows]) for rows in (seen, found.gold))
    return found, {
        MODEL_NAME: found.predictions,
        "majority class": Predictions(baselines.majority(seen_labels, len(test_texts))),
        "TF-IDF + logistic regression": Predictions(baselines.logistic_regression(words[0], seen_labels, words[1])),
        "embeddings + logistic regression": Predictions(baselines.logistic_regression(known, seen_labels, asked)),
    }


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
    annotations: Annotations, corpora: Corpora, recipe: Recipe, scratch: Path, *, doubts_in: Path | None = None, most_doubts: int = 150
) -> dict[str, Any]:
    """Run the whole evaluation; the result is plain data, as kept in ``training/evaluation.json``.

    Args:
        annotations: the corpus.
        corpora: what else the recipe trains on.
        recipe: what is measured.
        scratch: keeps the folds' state, so that a killed run goes on.
        doubts_in: folder for a table of the gold sentences that are doubted most; None for none.
        most_doubts: how many of them.
    """
    crossed = cross_validate(annotations, corpora, recipe, scratch)
    gold, truth, predictions = crossed.gold, crossed.truth, crossed.predictions
    if doubts_in:
        doubts_in.mkdir(parents=True, exist_ok=True)
        FORMATS["csv"].write(doubts(annotations, gold, truth, predictions[MODEL_NAME], most_doubts), annotations.codebook, doubts_in)
    codebook = annotations.codebook
    kinds = [annotations.articles[row.article].kind for row in gold]
    masks = {kind: np.array([kind in ("all", own) for own in kinds]) for kind in ["all", *sorted(set(kinds))]}
    scores = {
        name: {kind: asdict(score(found.labels.where(mask), truth.where(mask), codebook)) for kind, mask in masks.items()}
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
        "coder_kinds": sorted({code.coder_kind for code in annotations.codes}),
        "alpha": {
            "model and gold": {name: asdict(value) for name, value in model_agreement(model.labels, gold, codebook).items()},
            "coder and coder": {name: asdict(value) for name, value in coders_on(annotations, gold).items()},
        },
        "calibration_error": calibration_errors(model.probabilities, model.labels, truth),
        "risk_coverage": risk_coverages(model.probabilities, model.labels, truth),
        "calibration": asdict(calibrate(crossed.logits, truth, codebook)),  # for the model that ships
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
        alphas.add_row(who, *(drawn(Agreement(**a)) for a in found.values()))
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
    corpora: CorporaOption = None,
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
        loaded = Corpora.load(settings, annotations, corpora)
        result = evaluation(annotations, loaded, settings, RUNS / "evaluate" / settings.digest[:12], doubts_in=doubted)
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


if __name__ == "__main__":
    run(app)
