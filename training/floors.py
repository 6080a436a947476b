"""Pins the scores below which neither the evaluation nor the shipped checkpoint may fall.

``python -m training.floors`` raises the floors in ``training/floors.json`` to the present scores less a margin; a test fails
below them, and where the annotations are no longer those that they were measured on.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from slant.checkpoint import METRICS
from training.card import EVALUATION
from training.commands import MODEL, ROOT, TrainingError, run

FLOORS = ROOT / "training" / "floors.json"
# About one standard error: alpha's bootstrap intervals over articles in evaluation.json have half widths of 0.03. So training
# with other random numbers passes, and a label that is lost does not.
MARGIN = 0.015
Floors = dict[str, dict[str, float]]  # what was measured: score: floor


def scores(metrics: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Floors:
    """The scores that are pinned, in [0, 1]: F1 of each label and macro-F1 of each code.

    Args:
        metrics: a checkpoint's ``metrics.json``, of which its validation articles count.
        evaluation: what ``training.evaluate`` kept, of which the reader's scores on all texts count.
    """
    measured = {"cross-validation": evaluation["scores"]["slant"]["all"], "validation": metrics["validation"]["score"]}
    found: Floors = {}
    for name, score in measured.items():
        macro = {f"{code} macro": score[f"{code}_macro"] for code in ("frames", "stance", "voice")}
        found[name] = macro | {f"{code} {label}": f1 for code in ("frame", "stance", "voice") for label, f1 in score[f"{code}_f1"].items()}
    return found


def below(floors: Floors, scores: Floors) -> list[str]:
    """The floors that the scores are under, a line each naming label, floor and score; one of a label that is gone is, too.

    >>> below({"validation": {"frame a": 0.7, "frame b": 0.7}}, {"validation": {"frame a": 0.69}})
    ['validation, frame a: the floor is 0.700, the score 0.690', 'validation, frame b: the floor is 0.700, the score not there']
    """
    found = []
    for name, own in floors.items():
        for label, floor in own.items():
            score = scores.get(name, {}).get(label)
            if score is None or score < floor:
                found.append(f"{name}, {label}: the floor is {floor:.3f}, the score {'not there' if score is None else f'{score:.3f}'}")
    return found


def raised(floors: Floors, scores: Floors) -> Floors:
    """Floors for these scores: a margin below them, or as high as they were where the scores still reach that.

    >>> raised({"validation": {"frame a": 0.7, "frame b": 0.7}}, {"validation": {"frame a": 0.705, "frame b": 0.8, "frame c": 0.5}})
    {'validation': {'frame a': 0.7, 'frame b': 0.785, 'frame c': 0.485}}
    """

    def floor(score: float, before: float) -> float:
        now = math.floor(round((score - MARGIN) * 1000, 6)) / 1000
        return before if now < before <= score else now

    return {
        name: {label: floor(score, floors.get(name, {}).get(label, 0.0)) for label, score in own.items()} for name, own in scores.items()
    }


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    model: Annotated[Path, typer.Option("--model", metavar="FOLDER", help="The checkpoint.")] = MODEL,
    evaluation: Annotated[Path, typer.Option("--evaluation", metavar="FILE", help="What training.evaluate kept.")] = EVALUATION,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="The floors.")] = FLOORS,
    allow_lower: Annotated[bool, typer.Option("--allow-lower", help="Also lower floors, and drop those of labels that are gone.")] = False,
) -> None:
    """Raise the floors to the present scores less a margin."""
    metrics, measured = _read(model / METRICS), _read(evaluation)
    if metrics["annotations_sha256"] != measured["annotations_sha256"]:
        raise TrainingError(
            f"{evaluation}: measured on other annotations than {model} was trained on; run training.evaluate and training.train"
        )
    now = scores(metrics, measured)
    before: Floors = _read(output)["floors"] if output.exists() else {}
    if (fallen := below(before, now)) and not allow_lower:
        more = f" (and {len(fallen) - 1} more)" if len(fallen) > 1 else ""
        raise TrainingError(f"{output}: {fallen[0]}{more}; nothing is lowered without --allow-lower")
    floors = raised(before, now)
    kept = {"annotations_sha256": metrics["annotations_sha256"], "margin": MARGIN, "floors": floors}
    output.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {output}: {sum(map(len, floors.values()))} floors" + "".join(f"\nlowered: {line}" for line in fallen))


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path}: cannot be read ({error}); make it with training.train, training.evaluate or training.floors"
        ) from None
    return found


if __name__ == "__main__":
    run(app)
