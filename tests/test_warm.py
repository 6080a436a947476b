"""Going on from a checkpoint with newly coded sentences."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from slant.checkpoint import Checkpoint
from slant.codebook import Codebook
from slant.reader import load
from tests.conftest import CODEBOOK, SENTENCES, TARGET
from training import train
from training.annotations import Annotations
from training.commands import TrainingError
from training.evaluate import held_out
from training.examples import Labels
from training.export import replace_folder
from training.warm import Change, compare, read_added

BOOK = Codebook.parse(CODEBOOK)


def added(path: Path, *, count: int = 120, **changes: object) -> Path:
    """Sentences on a cannery, which the corpus has none of: always safety, against and quoted."""
    plain = {"target": TARGET, "frames": ["safety"], "stance": "against", "voice": "quoted", "coder_kind": "human"}
    rows = [{**plain, "article": f"n{i // 6}", "sentence": i % 6, "text": f"A cannery was a wall {i}.", **changes} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_warm_start_learns_what_is_new_and_keeps_what_it_knew(tiny_corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    text = "A cannery was a wall 500."
    metrics = train.go_on(
        annotations, tmp_path / "model", added(tmp_path / "new.jsonl"), tmp_path / "model", accept_loss=True, scratch=tmp_path / "runs"
    )
    (read,) = load(tmp_path / "model").read(text).sentences
    assert (read.frames, read.stance, read.voice) == (("safety",), "against", "quoted")
    assert metrics["warm_start"]["added_sentences"] == {"human": 120}
    assert metrics["warm_start"]["from"] == Checkpoint.load(tiny_checkpoint).digest
    assert metrics["cross_validation"] is None
    assert metrics["audit"] is None
    after = {change["name"]: change["new"] for change in metrics["warm_start"]["changes"]}
    assert metrics["validation"]["score"]["stance_macro"] == pytest.approx(after["stance"])
    known = load(tmp_path / "model").read("Harbour news\n\n" + " ".join(SENTENCES)).sentences
    assert sum((list(s.frames), s.stance, s.voice) == SENTENCES.get(s.sentence.text) for s in known) >= 6


def test_a_significant_loss_is_refused_and_the_old_model_stays(
    tiny_corpus: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    before = (tmp_path / "model" / "config.json").read_bytes()
    monkeypatch.setattr(
        "training.warm.compare", lambda *_: (Change("stance", 0.9, 0.5, -0.6, -0.2), Change("neutral", 0.9, 0.5, -0.6, -0.2))
    )
    with pytest.raises(TrainingError, match="the macro-F1 of stance fell significantly"):
        train.go_on(
            Annotations.load(tiny_corpus, None),
            tmp_path / "model",
            added(tmp_path / "new.jsonl", count=6),
            tmp_path / "model",
            accept_loss=False,
            scratch=tmp_path / "runs",
        )
    assert (tmp_path / "model" / "config.json").read_bytes() == before


def test_the_bootstrap_tells_a_real_gain_from_none() -> None:
    random = np.random.default_rng(1)
    truth = Labels(random.integers(0, 2, (900, 2)).astype(np.float32), random.integers(0, 3, 900), random.integers(0, 2, 900))
    articles = [f"a{i // 30}" for i in range(900)]

    def wrong(share: float) -> Labels:
        miss = random.random(900) < share
        return Labels(truth.frames, np.where(miss, (truth.stance + 1) % 3, truth.stance), truth.voice)

    worse = wrong(0.4)
    changes = {change.name: change for change in compare(worse, wrong(0.2), truth, articles, BOOK)}
    assert changes["stance"].low > 0.1
    assert changes["stance"].old == pytest.approx(0.6, abs=0.05)
    assert changes["stance"].new == pytest.approx(0.8, abs=0.05)
    assert changes["frames"] == Change("frames", 1.0, 1.0, 0.0, 0.0)
    same = {change.name: change for change in compare(worse, wrong(0.4), truth, articles, BOOK)}["stance"]
    assert same.low < 0 < same.high
    assert not same.loss


def test_new_sentences_are_read_beside_their_neighbours(tmp_path: Path) -> None:
    passages, kinds = read_added(added(tmp_path / "new.jsonl", count=9), BOOK)
    assert [len(passage.texts) for passage in passages] == [6, 3]
    assert kinds == {"human": 9}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stance": "sideways"}, r"new\.jsonl line 1: stance 'sideways' is not in the codebook"),
        ({"frames": None}, r"new\.jsonl line 1: not a coded sentence"),
        ({"sentence": "first"}, r"new\.jsonl line 1: not a coded sentence"),
    ],
)
def test_a_broken_new_sentence_is_named(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=message):
        read_added(added(tmp_path / "new.jsonl", count=1, **changes), BOOK)


def test_the_held_out_articles_are_those_of_the_training(tiny_corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    metrics = json.loads((tiny_checkpoint / "metrics.json").read_text())
    assert held_out(annotations, tiny_checkpoint) == metrics["validation"]["ids"]
    (tmp_path / "metrics.json").write_text('{"validation": {"ids": ["elsewhere"]}}')
    with pytest.raises(TrainingError, match="none of the 1 articles"):
        held_out(annotations, tmp_path)
    with pytest.raises(TrainingError, match="does not say which articles training held out"):
        held_out(annotations, tmp_path / "none")


@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_replacement_cut_short_leaves_a_model(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    import os

    for name in ("model", "model.new"):
        shutil.copytree(tiny_checkpoint, tmp_path / name)
    replace, calls = os.replace, []

    def killed(*paths: Path) -> None:
        calls.append(paths)
        if len(calls) == killed_at:
            raise KeyboardInterrupt
        replace(*paths)

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        replace_folder(tmp_path / "model.new", tmp_path / "model")
    assert load(tmp_path / "model").read("Open it.").sentences
    monkeypatch.setattr("os.replace", replace)
    replace_folder(tmp_path / "model.new", tmp_path / "model")
    assert {path.name for path in tmp_path.iterdir()} == {"model"}
    assert load(tmp_path / "model").read("Open it.").sentences
