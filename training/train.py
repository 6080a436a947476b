"""From annotations to a checkpoint: ``python -m training.train --texts FOLDER`` writes ``model/``."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from slant.windows import tokenizer_from
from training.annotations import Annotations
from training.calibrate import calibrate
from training.card import recorded, write
from training.commands import ANNOTATIONS, MODEL, ROOT, RUNS, FolderOption, TextsOption, run
from training.evaluate import article_groups, calibration_errors, hold_out, read_logits, score, tokenizer_text
from training.examples import examples
from training.export import agreement, export, replace_folder, require_agreement
from training.fit import fit, fresh_network, labels, logits
from training.recipe import Recipe

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    recipe: Annotated[Path, typer.Option("--recipe", metavar="FILE")] = ROOT / "training" / "recipe.toml",
    output: Annotated[Path, typer.Option("--output", metavar="FOLDER", help="The checkpoint to write.")] = MODEL,
) -> None:
    """Train on the annotated corpus and write a checkpoint; a killed run goes on where it stopped."""
    train(Annotations.load(folder, texts), Recipe.load(recipe), output)


def train(annotations: Annotations, recipe: Recipe, output: Path, *, scratch: Path = RUNS / "train") -> dict[str, Any]:
    """Train and write a checkpoint; returns the metrics written into it."""
    console = Console(stderr=True, soft_wrap=True)
    codebook = annotations.codebook
    for article in annotations.missing:
        console.print(f"missing: {article.path} ({article.id}); skipped")

    # data
    groups = article_groups(annotations)
    train_ids, validation_ids = hold_out(annotations, sorted(groups), groups, recipe)
    source = tokenizer_text(recipe)
    train_set, validation_set = (
        examples(annotations, ids, tokenizer_from(source), window=recipe.window, left_context=recipe.left_context)
        for ids in (train_ids, validation_ids)
    )

    # model
    network = fresh_network(recipe, codebook)

    # fit
    work = scratch / recipe.digest[:12]
    fit(network, train_set, recipe, codebook, state=work / "state.pt", title="training")

    # decide, on articles that training did not see
    values, truth = logits(network, validation_set), labels(validation_set)
    calibration = calibrate(values, truth, codebook)
    validated = read_logits(values, codebook, calibration)
    assert validated.probabilities is not None

    # save
    new = output.with_name(output.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    export(network, recipe, codebook, calibration, source, new)
    same = agreement(new, annotations, validation_ids)
    print("int8 and torch give the same labels on: " + ", ".join(f"{name} {share:.1%}" for name, share in same.items()))
    require_agreement(same)
    metrics = {
        "annotations_sha256": annotations.digest,
        "recipe_sha256": recipe.digest,
        "codebook": codebook.version,
        "training": {"articles": len(train_ids), "sentences": sum(len(example.gold) for example in train_set)},
        "validation": {
            "articles": len(validation_ids),
            "sentences": len(truth.stance),
            "score": asdict(score(validated.labels, truth, codebook)),
            "calibration_error": calibration_errors(validated.probabilities, validated.labels, truth),
        },
        "int8_and_torch_same_labels": same,
        "cross_validation": recorded(annotations.digest, recipe.digest),
    }
    write(new, metrics, recipe, codebook)
    replace_folder(new, output)
    shutil.rmtree(work, ignore_errors=True)
    print(f"wrote {output}")
    return metrics


if __name__ == "__main__":
    run(app)
