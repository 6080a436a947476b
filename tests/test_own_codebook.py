"""A user's own codebook and annotations train and read through the commands, with no code changed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SENTENCES, TARGET
from training.commands import ROOT
from training.recipe import Recipe

OWN = f"""
version = "ours-3"
default_target = "{TARGET}"
frames = [{{label = "economic", definition = "money"}}, {{label = "morality", definition = "right and wrong"}}, {{label = "security", definition = "danger"}}]
stances = [{{label = "pro", definition = ""}}, {{label = "contra", definition = ""}}, {{label = "no side", definition = "", neutral = true}}]
voices = [{{label = "writer", definition = ""}}, {{label = "source", definition = ""}}]
targets = [{{target = "{TARGET}", scope = "to any ship"}}]
"""
RENAMED = {
    '"safety"': '"security"',
    '"favor"': '"pro"',
    '"against"': '"contra"',
    '"neutral"': '"no side"',
    '"author"': '"writer"',
    '"quoted"': '"source"',
}


@pytest.fixture
def own_corpus(tiny_corpus: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_corpus, tmp_path / "annotations"))
    (folder / "codebook.toml").write_text(OWN)
    for name in ("codes", "gold"):
        path = folder / f"{name}.jsonl"
        text = path.read_text()
        for old, new in RENAMED.items():
            text = text.replace(old, new)
        path.write_text(text)
    return folder


def test_it_checks_trains_and_reads(own_corpus: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(tiny_recipe.to_toml())
    run = [sys.executable, "-m"]
    where = ["--annotations", str(own_corpus)]
    checked = subprocess.run([*run, "training.annotations", "check", *where], capture_output=True, cwd=ROOT, check=True, text=True)
    assert "codebook ours-3" in checked.stdout
    subprocess.run([*run, "training.agreement", "--detail", *where], capture_output=True, cwd=ROOT, check=True)
    model = tmp_path / "model"
    train = [*run, "training.train", *where, "--recipe", str(recipe), "--output", str(model)]
    subprocess.run(train, capture_output=True, cwd=ROOT, check=True)
    text = "Harbour news\n\n" + " ".join(SENTENCES)
    command = [sys.executable, "predict.py", "-", "--model", str(model), "-o", "-", "--format", "jsonl"]
    found = subprocess.run(command, input=text.encode(), capture_output=True, cwd=ROOT, check=True)
    rows = {row["text"]: row for row in map(json.loads, found.stdout.decode().splitlines())}
    assert {label for row in rows.values() for label in row["frame_probability"]} == {"economic", "morality", "security"}
    right = 0
    for sentence, (frames, stance, voice) in SENTENCES.items():
        expected = [json.loads(RENAMED.get(json.dumps(label), json.dumps(label))) for label in (*frames, stance, voice)]
        right += [*rows[sentence]["frames"], rows[sentence]["stance"], rows[sentence]["voice"]] == expected
    assert right >= 7
    assert "codebook ours-3" in (model / "README.md").read_text()
