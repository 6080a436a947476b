"""The reader on the tiny checkpoint, and the shipped model on golden sentences."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import slant
from slant import Article, Reader, load
from tests.conftest import SENTENCES, TARGET
from training.commands import ANNOTATIONS

TEXT = "Harbour news\n\n" + " ".join(SENTENCES) + "\n\n" + " ".join(SENTENCES)


@pytest.fixture(scope="module")
def tiny(tiny_checkpoint: Path) -> Reader:
    return load(tiny_checkpoint)


@pytest.fixture(scope="module")
def shipped() -> Reader:
    return load()


def test_int8_and_torch_give_the_same_labels(tiny: Reader, tiny_checkpoint: Path) -> None:
    one, other = tiny.read(TEXT), load(tiny_checkpoint, backend="torch").read(TEXT)
    assert [(s.frames, s.stance, s.voice) for s in one.sentences] == [(s.frames, s.stance, s.voice) for s in other.sentences]


def test_the_same_text_gives_the_same_reading_whatever_else_is_read(tiny: Reader, tiny_checkpoint: Path) -> None:
    alone = tiny.read(TEXT).rows()
    among = list(tiny.read_many([Article("Gulls sat on the wall in 1999. " * 9), Article(TEXT), Article("Open it.")]))
    assert among[1].rows() == alone
    with ThreadPoolExecutor(4) as pool:
        assert all(reading.rows() == alone for reading in pool.map(tiny.read, [TEXT] * 8))
    assert load(tiny_checkpoint, threads=1).read(TEXT).rows() == alone


def test_an_empty_article_gives_an_empty_reading(tiny: Reader) -> None:
    reading = tiny.read(" \n ")
    assert reading.sentences == ()
    assert reading.frames == {"economic": 0.0, "safety": 0.0}


def test_empty_neighbours_do_not_shift_labels(tiny: Reader) -> None:
    text = "\u200b\n\nGulls sat on the wall in 1999.\n\n\u200b\u200b\n\nThe mayor said she would think about it."
    texts = [s.sentence.text for s in tiny.read(text).sentences]
    assert texts[1] == "Gulls sat on the wall in 1999."
    assert len(texts) == 4


def test_the_default_target_is_the_codebooks(tiny: Reader) -> None:
    assert tiny.read("Open it.").target == TARGET
    assert tiny.read("Open it.", target=" closing the school ").target == "closing the school"
    with pytest.raises(ValueError, match="the target is empty"):
        tiny.read("Open it.", target=" ")


def test_a_sentence_too_long_for_a_window_is_cut_and_says_so(tiny: Reader) -> None:
    reading = tiny.read("Gulls sat on the wall in 1999. We saw " + "money and " * 60 + "money. The weather was fine on Tuesday.")
    assert [s.truncated for s in reading.sentences] == [False, True, False]


def test_what_is_uncertain_has_no_evidence_and_leaves_the_rest_alone(tiny: Reader) -> None:
    sure, found = tiny.read(TEXT), tiny.read(TEXT, min_confidence=1.0)
    assert (sure.min_confidence, found.min_confidence) == (0.0, 1.0)
    for before, s in zip(sure.sentences, found.sentences, strict=True):
        assert (s.frame_probability, s.stance_probability) == (before.frame_probability, before.stance_probability)
        assert s.confidence == before.confidence
        assert list(s.evidence) == [weight for weight in before.evidence if weight.label in (*s.frames, s.stance)]
    assert any(s.uncertain and before.evidence for before, s in zip(sure.sentences, found.sentences, strict=True))


def test_evidence_lies_in_its_sentence_and_is_weighed(tiny: Reader) -> None:
    article = Article(TEXT)
    reading = tiny.read(article)
    weights = [(s, weight) for s in reading.sentences for weight in s.evidence]
    assert weights
    for s, weight in weights:
        assert s.sentence.start <= weight.start < weight.end <= s.sentence.end
        assert weight.share > 0
        assert weight.label in (*s.frames, s.stance)
    assert all(weight.label != "neutral" for _, weight in weights)
    assert any(article.text[weight.start : weight.end].lower() == "money" for _, weight in weights if weight.label == "economic")


def test_probabilities_are_probabilities(tiny: Reader) -> None:
    for s in tiny.read(TEXT).sentences:
        assert sum(s.stance_probability.values()) == pytest.approx(1, abs=2e-4)
        assert sum(s.voice_probability.values()) == pytest.approx(1, abs=2e-4)
        assert all(0 <= p <= 1 for p in (*s.frame_probability.values(), s.confidence))


def test_the_shipped_model_was_trained_under_the_shipped_codebook(shipped: Reader) -> None:
    assert shipped.codebook.source == (ANNOTATIONS / "codebook.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("sentence", "frames", "voice"),
    [
        ("Armed gangs killed eleven soldiers in an attack on the army barracks, and police arrested two gunmen.", {"security"}, "author"),
        ("Smugglers and drug cartels control the crossing, and border agents seized weapons and fentanyl.", {"security"}, "author"),
        (
            "Hungry children and their exhausted mothers are suffering in the camp, and families mourn their dead.",
            {"humanitarian"},
            "author",
        ),
        ("Our nation must decide for itself who may enter, free from foreign interference by Brussels.", {"sovereignty"}, "author"),
        ("The budget committee meets again on Thursday.", set(), "author"),
        ("“I have lived here for thirty years,” said Anna Smith, a teacher, “and I have never seen anything like it.”", set(), "quoted"),
    ],
)
def test_the_shipped_model_on_golden_sentences(sentence: str, frames: set[str], voice: str, shipped: Reader) -> None:
    (found,) = shipped.read(sentence).sentences
    assert frames <= set(found.frames)
    if not frames:
        assert not found.frames
    assert found.voice == voice


def test_the_shipped_model_takes_a_side_and_turns_with_the_target(shipped: Reader) -> None:
    text = "We must welcome far more refugees and give every migrant family here protection and legal status."
    assert shipped.read(text).sentences[0].stance == "favor"
    assert shipped.read(text, target="rejecting and deporting migrants and refugees").sentences[0].stance == "against"


@pytest.mark.xfail(strict=True, reason="a bare call to restrict, with no article around it, is read as favor: the card's limits say so")
def test_the_shipped_model_reads_a_bare_call_to_restrict(shipped: Reader) -> None:
    text = "The government must close the border now, stop this mass migration and deport those who came illegally."
    assert shipped.read(text).sentences[0].stance == "against"


def test_the_public_door_is_narrow() -> None:
    assert set(slant.__all__) == {
        "AnnotationError",
        "Article",
        "CheckpointError",
        "Codebook",
        "Reader",
        "Reading",
        "Sentence",
        "SentenceReading",
        "load",
    }
