"""From annotations to a checkpoint: ``python -m training.train --texts FOLDER`` writes ``model/``.

``--warm-start model/ --add FILE`` goes on from a checkpoint with newly coded sentences instead.
"""

import json
import shutil
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import typer
from rich.console import Console

from slant.checkpoint import TOKENIZER, Calibration, Checkpoint
from slant.windows import tokenizer_from
from training.annotations import Annotations
from training.calibrate import calibrate
from training.card import recorded, write
from training.commands import ANNOTATIONS, MODEL, ROOT, RUNS, CorporaOption, FolderOption, TextsOption, TrainingError, console, run
from training.evaluate import article_groups, calibration_errors, held_out, hold_out, read_logits, score, tokenizer_text
from training.examples import examples, gold_passages
from training.export import agreement, export, replace_folder, require_agreement, some_windows, trained_network
from training.fit import labels, logits
from training.recipe import Recipe
from training.stages import Corpora, train_network
from training.warm import record, table, warm_start

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    corpora: CorporaOption = None,
    recipe: Annotated[Path, typer.Option("--recipe", metavar="FILE")] = ROOT / "training" / "recipe.toml",
    output: Annotated[Path, typer.Option("--output", metavar="FOLDER", help="The checkpoint to write.")] = MODEL,
    warm: Annotated[Path | None, typer.Option("--warm-start", metavar="FOLDER", help="Go on from this checkpoint.")] = None,
    add: Annotated[
        Path | None, typer.Option("--add", metavar="FILE", help="Newly coded sentences (JSONL, as training.coded writes) to go on with.")
    ] = None,
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="Replace the checkpoint though a score fell significantly.")] = False,
) -> None:
    """Train on the annotated corpus and write a checkpoint; a killed run goes on where it stopped."""
    if (warm is None) != (add is None):
        raise TrainingError("--warm-start and --add go together: a checkpoint to go on from, and newly coded sentences")
    annotations = Annotations.load(folder, texts)
    if warm and add:
        go_on(annotations, warm, add, output, accept_loss=accept_loss)
        return
    settings = Recipe.load(recipe)
    train(annotations, Corpora.load(settings, annotations, corpora), settings, output)


def train(annotations: Annotations, corpora: Corpora, recipe: Recipe, output: Path, *, scratch: Path = RUNS / "train") -> dict[str, Any]:
    """Train and write a checkpoint; returns the metrics written into it."""
    console = Console(stderr=True, soft_wrap=True)
    codebook = annotations.codebook
    ends = [("", perf_counter())]  # of each stage
    for article in annotations.missing:
        console.print(f"missing: {article.path} ({article.id}); skipped")

    # data
    groups = article_groups(annotations)
    train_ids, validation_ids = hold_out(annotations, sorted(groups), groups, recipe)
    source = tokenizer_text(recipe)
    tokenizer = tokenizer_from(source)
    gold = gold_passages(annotations, train_ids)
    validation_set = examples(gold_passages(annotations, validation_ids), tokenizer, window=recipe.window, left_context=recipe.left_context)

    ends.append(("data", perf_counter()))

    # fit
    work = scratch / recipe.digest[:12]
    network = train_network(gold, corpora, recipe, codebook, tokenizer, scratch=work, title="training")
    ends.append(("fit", perf_counter()))

    # decide, on articles that training did not see: all of them, by cross-validation, if it was done
    values, truth = logits(network, validation_set), labels(validation_set)
    crossed = recorded(annotations.digest, recipe.digest)
    calibration = Calibration.from_dict(crossed["calibration"]) if crossed else calibrate(values, truth, codebook)
    validated = read_logits(values, codebook, calibration)
    assert validated.probabilities is not None
    ends.append(("decide", perf_counter()))

    # save
    new = output.with_name(output.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    seen = some_windows(annotations, train_ids, source, window=recipe.window, left_context=recipe.left_context)
    export(network, recipe, codebook, calibration, source, seen, new)
    same = agreement(new, annotations, validation_ids)
    print("int8 and torch give the same labels on: " + ", ".join(f"{name} {share:.1%}" for name, share in same.items()))
    require_agreement(same)
    metrics = {
        "annotations_sha256": annotations.digest,
        "recipe_sha256": recipe.digest,
        "codebook": codebook.version,
        "training": {"articles": len(train_ids), "sentences": sum(len(passage.texts) for passage in gold)}
        | {
            name: sum(len(passage.texts) for passage in found)
            for name, found in (("taught", corpora.taught), ("twins", corpora.twins), ("pairs", corpora.pairs))
            if found
        },
        "validation": {
            "ids": validation_ids,
            "articles": len(validation_ids),
            "sentences": len(truth.stance),
            "score": asdict(score(validated.labels, truth, codebook)),
            "calibration_error": calibration_errors(validated.probabilities, validated.labels, truth),
        },
        "int8_and_torch_same_labels": same,
        "cross_validation": crossed,
    }
    write(new, metrics, recipe, codebook)
    replace_folder(new, output)
    shutil.rmtree(work, ignore_errors=True)
    ends.append(("export", perf_counter()))
    print("took: " + ", ".join(f"{name} {(end - start) / 60:.1f} min" for (_, start), (name, end) in pairwise(ends)))
    print(f"wrote {output}")
    return metrics


def go_on(
    annotations: Annotations, start: Path, add: Path, output: Path, *, accept_loss: bool, scratch: Path = RUNS / "warm"
) -> dict[str, Any]:
    """Train a checkpoint on with newly coded sentences and write the result; returns its metrics.

    Raises:
        TrainingError: when a head's macro-F1 on the held-out articles fell, not by chance, and that is not accepted.
    """
    checkpoint = Checkpoint.load(start)
    network = trained_network(checkpoint)
    found = warm_start(annotations, checkpoint, network, add, scratch)
    for line in found.relabelled:
        print(line)
    out = console()
    out.print(table(found.changes))
    print(
        f"{len(found.relabelled)} held-out sentences are labelled otherwise; added: "
        + ", ".join(f"{n} by {kind} coders" for kind, n in found.added.items())
    )
    lost = [change.name for change in found.changes if change.loss and change.name in ("frames", "stance", "voice")]
    if lost and not accept_loss:
        raise TrainingError(
            f"the macro-F1 of {' and '.join(lost)} fell significantly; {output} was not replaced. --accept-loss replaces it all the same"
        )
    new = output.with_name(output.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    recipe = Recipe.load(start / "recipe.toml")
    unseen = held_out(annotations, start)
    source = checkpoint.read(TOKENIZER).decode()
    seen = some_windows(
        annotations, set(annotations.articles) - set(unseen), source, window=recipe.window, left_context=recipe.left_context
    )
    export(network, recipe, checkpoint.codebook, checkpoint.calibration, source, seen, new)
    same = agreement(new, annotations, unseen)
    require_agreement(same)
    metrics = json.loads((start / "metrics.json").read_text(encoding="utf-8"))
    metrics |= {"int8_and_torch_same_labels": same, "warm_start": record(found, checkpoint)}
    metrics |= {"cross_validation": None, "audit": None, "comparisons": None}  # those were measured on the network before
    metrics["validation"]["score"] = asdict(found.score)
    metrics["validation"].pop("calibration_error", None)
    write(new, metrics, recipe, checkpoint.codebook)
    replace_folder(new, output)
    shutil.rmtree(scratch, ignore_errors=True)
    print(f"wrote {output}")
    return dict(metrics)


if __name__ == "__main__":
    run(app)
