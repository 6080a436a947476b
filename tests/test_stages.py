"""What a recipe trains on beside the gold, and what each epoch shows of it."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from slant.codebook import AnnotationError, Codebook
from slant.windows import tokenizer_from
from tests.conftest import CODEBOOK, TARGET
from training import pairs, stages, taught
from training.annotations import Annotations
from training.commands import TrainingError
from training.epochs import epochs, opposed, unrelated
from training.evaluate import tokenizer_text
from training.examples import UNKNOWN, Labels, Passage, gold_passages
from training.recipe import Recipe
from training.targets import Wordings

BOOK = Codebook.parse(CODEBOOK)
PAGE = "Open the harbour now. It would be a danger."


def passage(**changes: object) -> Passage:
    labels = Labels(np.zeros((4, 2), dtype=np.float32), np.array([0, 1, 2, UNKNOWN]), np.zeros(4, dtype=np.int64))
    plain = Passage(("One.", "Two.", "Three.", "Four."), TARGET, labels, opposites=("keeping the harbour closed", "no open harbour"))
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_towards_the_opposite_the_sides_change_places() -> None:
    turned = opposed(passage(), 3, BOOK)
    assert turned.target == "no open harbour"
    assert turned.labels.stance.tolist() == [1, 0, 2, UNKNOWN]
    assert opposed(passage(opposites=()), 3, BOOK).target == TARGET


def test_towards_something_unrelated_everything_is_neutral() -> None:
    other = unrelated(passage(), "a ban on whaling", BOOK)
    assert other.target == "a ban on whaling"
    assert other.labels.stance.tolist() == [2, 2, 2, UNKNOWN]
    assert unrelated(passage(), "deepening the Harbour", BOOK).target == TARGET  # shares a word
    assert unrelated(passage(sides_only=True), "a ban on whaling", BOOK).target == TARGET


def test_an_epoch_shows_every_passage_once_and_the_shares_are_kept(tiny_recipe: Recipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, opposite_share=0.3, unrelated_share=0.2, window=64)
    tokenizer = tokenizer_from(tokenizer_text(recipe))
    some = [passage() for _ in range(300)] + [passage(target="a ban on whaling", opposites=())]
    one, two = epochs(some, recipe, BOOK, tokenizer, count=2)
    assert sum(len(example.labels.stance) for example in one) == 4 * 301
    first = np.array([example.labels.stance[0] for example in one])
    assert abs((first == 1).mean() - 0.3) < 0.07
    assert abs((first == 2).mean() - 0.2 * 0.5) < 0.07  # half of the targets drawn are its own
    assert [e.window.ids for e in one] != [e.window.ids for e in two]
    again = epochs(some, recipe, BOOK, tokenizer, count=1)[0]
    assert [e.window.ids for e in one] == [e.window.ids for e in again]


def test_stance_pairs_leave_frames_and_voice_unjudged(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": f"Argument {i}.", "target": "We should ban whaling", "stance": ("favor", "against")[i % 2]} for i in range(10)
    ]
    found = pairs.load(write_lines(tmp_path / "p.jsonl", [*rows, {**rows[0], "stance": "unsure"}]), BOOK, most=10)
    assert np.isnan(found[0].labels.frames).all()
    assert found[0].labels.voice.tolist() == [UNKNOWN]
    assert [(part.texts, part.target, part.labels.stance.tolist()) for part in found] == [
        ((f"Argument {i}.",), "We should ban whaling", [i % 2]) for i in range(10)
    ]


def test_a_broken_pair_is_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.jsonl", [{"text": "a", "target": "b", "stance": "favor"}, {"text": "a", "stance": "favor"}])
    with pytest.raises(TrainingError, match=r"p\.jsonl line 2: not a stance pair"):
        pairs.load(path, BOOK, most=9)
    with pytest.raises(AnnotationError, match=r"none\.jsonl: cannot be read"):
        pairs.load(tmp_path / "none.jsonl", BOOK, most=9)


def taught_row(**changes: object) -> dict[str, object]:
    sentences = [
        {"start": 0, "end": 21, "frames": ["economic"], "stance": "favor", "voice": "author"},
        {"start": 22, "end": 43, "frames": ["safety"], "stance": "against", "voice": "quoted"},
    ]
    digest = hashlib.sha256(PAGE.encode()).hexdigest()
    plain = {"page": "p1", "sha256": digest, "target": TARGET, "opposite": "closing it", "coder": "c", "coder_kind": "machine"}
    return {**plain, "sentences": sentences, **changes}


def test_taught_articles_are_read_from_offsets(tmp_path: Path) -> None:
    pages = write_lines(tmp_path / "pages.jsonl", [{"id": "p1", "text": PAGE}])
    path = write_lines(tmp_path / "taught.jsonl", [taught_row(), taught_row(page="elsewhere")])
    (found,) = taught.load(path, pages, BOOK)
    assert found.texts == ("Open the harbour now.", "It would be a danger.")
    assert found.labels.frames.tolist() == [[1, 0], [0, 1]]
    assert found.labels.stance.tolist() == [0, 1]
    assert found.labels.voice.tolist() == [0, 1]
    assert found.opposites == ("closing it",)


def test_a_taught_article_whose_text_changed_is_refused(tmp_path: Path) -> None:
    pages = write_lines(tmp_path / "pages.jsonl", [{"id": "p1", "text": PAGE + "!"}])
    with pytest.raises(TrainingError, match=r"taught\.jsonl line 1: page p1 has changed since it was coded"):
        taught.load(write_lines(tmp_path / "taught.jsonl", [taught_row()]), pages, BOOK)


def test_a_label_that_the_codebook_does_not_have_is_refused(tmp_path: Path) -> None:
    pages = write_lines(tmp_path / "pages.jsonl", [{"id": "p1", "text": PAGE}])
    sentences = [{"start": 0, "end": 4, "frames": [], "stance": "sideways", "voice": "author"}]
    with pytest.raises(TrainingError, match=r"taught\.jsonl line 1: .*sideways"):
        taught.load(write_lines(tmp_path / "taught.jsonl", [taught_row(sentences=sentences)]), pages, BOOK)


def twin_row(**changes: object) -> dict[str, object]:
    sentences = [{"text": "Open it.", "frames": [], "stance": "favor", "voice": "author"}]
    return {"id": "1a", "kind": "letter", "coder": "c", "coder_kind": "machine", "sentences": sentences, **changes}


def test_twins_are_towards_the_default_target_unless_they_name_another(tmp_path: Path) -> None:
    wordings = Wordings(training_opposites={BOOK.default_target: ("shutting it",)})
    path = write_lines(tmp_path / "twins.jsonl", [twin_row(), twin_row(target="a toll", opposite="no toll")])
    one, two = taught.load_twins(path, BOOK, wordings)
    assert (one.texts, one.target, one.opposites) == (("Open it.",), BOOK.default_target, ("shutting it",))
    assert (two.target, two.opposites, two.labels.stance.tolist()) == ("a toll", ("no toll",), [0])


def test_each_epoch_shows_its_share_of_the_twins(
    tiny_corpus: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("codebook.toml", "codes.jsonl", "gold.jsonl", "articles.jsonl", "written"):
        (tmp_path / name).symlink_to(tiny_corpus / name)
    annotations = Annotations.load(tmp_path, None)
    recipe = dataclasses.replace(tiny_recipe, twin_share=0.5)
    assert stages.Corpora.load(recipe, annotations, None) == stages.Corpora()
    write_lines(tmp_path / "twins.jsonl", [twin_row(), twin_row()])
    corpora = stages.Corpora.load(recipe, annotations, None)
    shown = []
    monkeypatch.setattr(stages, "fit", lambda network, epochs, *args, **kwargs: shown.extend(epochs))
    stages.train_network([], corpora, recipe, BOOK, tokenizer_from(tokenizer_text(recipe)), scratch=tmp_path, title="one")
    assert [sum(len(example.labels.stance) for example in epoch) for epoch in shown] == [1] * recipe.epochs


def test_a_recipe_that_needs_corpora_says_so(tiny_corpus: Path, tiny_recipe: Recipe) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    assert stages.Corpora.load(tiny_recipe, annotations, None) == stages.Corpora()
    with pytest.raises(TrainingError, match="name their folder with --corpora"):
        stages.Corpora.load(dataclasses.replace(tiny_recipe, pair_epochs=1), annotations, None)


def test_the_pairs_teach_stance_before_the_articles_do(
    tiny_corpus: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    rows: list[dict[str, object]] = []
    for i in range(160):
        rows.append({"text": f"Shops earn money {i}.", "target": f"opening the harbour {i % 4}", "stance": "favor"})
        rows.append({"text": f"Fire is a danger {i}.", "target": f"opening the harbour {i % 4}", "stance": "against"})
    (tmp_path / "corpora").mkdir()
    write_lines(tmp_path / "corpora" / stages.PAIRS, rows)
    recipe = dataclasses.replace(tiny_recipe, pair_epochs=3, epochs=1)
    corpora = stages.Corpora.load(recipe, annotations, tmp_path / "corpora")
    tokenizer = tokenizer_from(tokenizer_text(recipe))
    weights = stages.pretrained(corpora.pairs, recipe, BOOK, tokenizer, scratch=tmp_path / "runs" / "train" / "recipe", bar=False)
    gold = gold_passages(annotations, annotations.articles)
    stages.train_network(gold, corpora, recipe, BOOK, tokenizer, scratch=tmp_path / "runs" / "evaluate" / "recipe", title="one", bar=False)
    assert len(list(tmp_path.glob("runs/pairs-*.pt"))) == 1
    monkeypatch.setattr(stages, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    again = stages.pretrained(corpora.pairs, recipe, BOOK, tokenizer, scratch=tmp_path / "runs" / "train" / "recipe", bar=False)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
