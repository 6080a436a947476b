"""What a recipe trains on beside the gold, and what each epoch shows of it."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from slant.codebook import Codebook
from slant.windows import tokenizer_from
from tests.conftest import CODEBOOK, TARGET
from training import pairs, stages, taught
from training.annotations import Annotations
from training.commands import TrainingError
from training.epochs import epochs, opposed, unrelated
from training.evaluate import tokenizer_text
from training.examples import UNKNOWN, Labels, Passage, gold_passages
from training.recipe import Recipe

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
        {"text": f"Argument {i}.", "target": "We should ban whaling", "stance": ("favor", "against")[i % 2]} for i in range(11)
    ]
    found = pairs.load(write_lines(tmp_path / "p.jsonl", [*rows, {**rows[0], "stance": "unsure"}]), BOOK, seed=1)
    assert [len(part.texts) for part in found] == [8, 3]
    assert np.isnan(found[0].labels.frames).all()
    assert (found[0].labels.voice == UNKNOWN).all()
    stances = {text: int(stance) for part in found for text, stance in zip(part.texts, part.labels.stance, strict=True)}
    assert stances == {f"Argument {i}.": i % 2 for i in range(11)}
    assert found[0].opposites == ("We should not ban whaling",)


@pytest.mark.parametrize(
    ("target", "other"),
    [
        ("We should not ban it", "We should ban it"),
        ("Abortion should be legal", "Abortion should not be legal"),
        ("The sky is blue", "The sky is not blue"),
        ("would abolish the monarchy", "would not abolish the monarchy"),
        ("Whaling", ""),
    ],
)
def test_the_opposite_of_a_pairs_target(target: str, other: str) -> None:
    assert pairs.opposite(target) == other


def test_a_broken_pair_is_named(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "p.jsonl", [{"text": "a", "target": "b", "stance": "favor"}, {"text": "a", "stance": "favor"}])
    with pytest.raises(TrainingError, match=r"p\.jsonl:2: not a stance pair"):
        pairs.load(path, BOOK, seed=1)
    with pytest.raises(TrainingError, match=r"none\.jsonl: cannot be read"):
        pairs.load(tmp_path / "none.jsonl", BOOK, seed=1)


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
    with pytest.raises(TrainingError, match=r"taught\.jsonl:1: page p1 has changed since it was coded"):
        taught.load(write_lines(tmp_path / "taught.jsonl", [taught_row()]), pages, BOOK)


def test_a_label_that_the_codebook_does_not_have_is_refused(tmp_path: Path) -> None:
    pages = write_lines(tmp_path / "pages.jsonl", [{"id": "p1", "text": PAGE}])
    sentences = [{"start": 0, "end": 4, "frames": [], "stance": "sideways", "voice": "author"}]
    with pytest.raises(TrainingError, match=r"taught\.jsonl:1: .*sideways"):
        taught.load(write_lines(tmp_path / "taught.jsonl", [taught_row(sentences=sentences)]), pages, BOOK)


def test_a_recipe_that_needs_corpora_says_so(tiny_recipe: Recipe) -> None:
    assert stages.Corpora.load(tiny_recipe, BOOK, None) == stages.Corpora()
    with pytest.raises(TrainingError, match="name their folder with --corpora"):
        stages.Corpora.load(dataclasses.replace(tiny_recipe, pair_epochs=1), BOOK, None)


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
    corpora = stages.Corpora.load(recipe, annotations.codebook, tmp_path / "corpora")
    tokenizer = tokenizer_from(tokenizer_text(recipe))
    weights = stages.pretrained(corpora.pairs, recipe, BOOK, tokenizer, scratch=tmp_path / "runs", bar=False)
    gold = gold_passages(annotations, annotations.articles)
    stages.train_network(gold, corpora, recipe, BOOK, tokenizer, scratch=tmp_path / "runs", title="one", bar=False)
    assert len(list(tmp_path.glob("pairs-*.pt"))) == 1
    monkeypatch.setattr(stages, "fit", lambda *args, **kwargs: pytest.fail("trained again"))
    again = stages.pretrained(corpora.pairs, recipe, BOOK, tokenizer, scratch=tmp_path / "runs", bar=False)
    assert all(torch.equal(weights[name], again[name]) for name in weights)
