"""The shipped scores stand above their floors, and floors are lowered only by one who says so."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from training.annotations import digest
from training.card import EVALUATION
from training.commands import ANNOTATIONS, MODEL, ROOT
from training.floors import FLOORS, below, scores


def test_the_shipped_scores_are_not_below_their_floors() -> None:
    kept, metrics, evaluation = (json.loads(path.read_text()) for path in (FLOORS, MODEL / "metrics.json", EVALUATION))
    now = scores(metrics, evaluation)
    assert below(kept["floors"], now) == []
    assert {name: set(own) for name, own in kept["floors"].items()} == {name: set(own) for name, own in now.items()}


def test_the_floors_are_of_the_annotations_at_hand() -> None:
    pinned = json.loads(FLOORS.read_text())["annotations_sha256"]
    measured = [json.loads(path.read_text())["annotations_sha256"] for path in (MODEL / "metrics.json", EVALUATION)]
    assert [digest(ANNOTATIONS), *measured] == [pinned] * 3, "train and evaluate anew, then run python -m training.floors"


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """The scores and floors of a reader, to be changed."""
    (tmp_path / "model").mkdir()
    shutil.copy(MODEL / "metrics.json", tmp_path / "model")
    shutil.copy(EVALUATION, tmp_path / "evaluation.json")
    assert raise_floors(tmp_path).startswith(f"wrote {tmp_path / 'floors.json'}: ")
    return tmp_path


def raise_floors(folder: Path, *more: str, code: int = 0) -> str:
    options = ["--model", folder / "model", "--evaluation", folder / "evaluation.json", "--output", folder / "floors.json", *more]
    found = subprocess.run([sys.executable, "-m", "training.floors", *map(str, options)], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == code, found.stderr
    return found.stdout or found.stderr


def edit(path: Path, head: str, label: str, score: float) -> None:
    content = json.loads(path.read_text())
    content["scores"]["slant"]["all"][head][label] = score
    path.write_text(json.dumps(content))


def test_floors_rise_by_themselves_and_fall_only_when_told_to(shipped: Path) -> None:
    label = next(iter(json.loads((shipped / "evaluation.json").read_text())["scores"]["slant"]["all"]["frame_f1"]))

    def floor() -> float:
        found: float = json.loads((shipped / "floors.json").read_text())["floors"]["cross-validation"][f"frame {label}"]
        return found

    edit(shipped / "evaluation.json", "frame_f1", label, 0.95)
    raise_floors(shipped)
    assert floor() == 0.935
    edit(shipped / "evaluation.json", "frame_f1", label, 0.94)
    raise_floors(shipped)
    assert floor() == 0.935
    edit(shipped / "evaluation.json", "frame_f1", label, 0.9)
    before = (shipped / "floors.json").read_bytes()
    (line,) = raise_floors(shipped, code=2).splitlines()
    assert f"cross-validation, frame {label}: the floor is 0.935, the score 0.900; nothing is lowered without --allow-lower" in line
    assert (shipped / "floors.json").read_bytes() == before
    assert f"lowered: cross-validation, frame {label}" in raise_floors(shipped, "--allow-lower")
    assert floor() == 0.885


def test_another_codebooks_labels_drop_floors_only_when_told_to(shipped: Path) -> None:
    for path in (shipped / "model" / "metrics.json", shipped / "evaluation.json"):
        path.write_text(path.read_text().replace('"quoted"', '"source"'))
    (line,) = raise_floors(shipped, code=2).splitlines()
    assert "voice quoted: the floor is" in line
    assert "the score not there (and 1 more); nothing is lowered" in line
    raise_floors(shipped, "--allow-lower")
    own = json.loads((shipped / "floors.json").read_text())["floors"]["validation"]
    assert "voice source" in own
    assert "voice quoted" not in own


def test_scores_of_different_annotations_are_not_pinned_together(shipped: Path) -> None:
    content = json.loads((shipped / "evaluation.json").read_text())
    (shipped / "evaluation.json").write_text(json.dumps({**content, "annotations_sha256": "0" * 64}))
    (line,) = raise_floors(shipped, code=2).splitlines()
    assert "measured on other annotations" in line
