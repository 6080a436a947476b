import numpy as np
import pytest

from slant.article import Article
from slant.codebook import Codebook
from slant.reading import FIELDS, Probabilities, Reading, SentenceReading, confidences, decide
from tests.conftest import CODEBOOK

BOOK = Codebook.parse(CODEBOOK)


def probabilities() -> Probabilities:
    return Probabilities(
        np.array([[0.9, 0.2], [0.45, 0.55], [0.1, 0.1]]),
        np.array([[0.8, 0.1, 0.1], [0.3, 0.4, 0.3], [0.0, 0.1, 0.9]]),
        np.array([[0.95, 0.05], [0.4, 0.6], [1.0, 0.0]]),
    )


def test_thresholds_decide_without_a_network() -> None:
    one, two, three = decide(probabilities(), BOOK, [0.5, 0.5])
    assert (one.frames, one.stance, one.voice, one.confidence) == (("economic",), "favor", "author", 0.8)
    assert (two.frames, two.stance, two.voice, two.confidence) == (("safety",), "against", "quoted", 0.4)
    assert (three.frames, three.stance, three.confidence) == ((), "neutral", 0.9)
    assert decide(probabilities(), BOOK, [0.4, 0.6])[1].frames == ("economic",)


def test_a_head_less_sure_than_asked_is_uncertain_by_itself() -> None:
    assert confidences(probabilities(), probabilities().frames >= 0.5, probabilities().stance.argmax(axis=1)) == pytest.approx(
        np.array([[0.8, 0.8, 0.95], [0.55, 0.4, 0.6], [0.9, 0.9, 1.0]])
    )
    one, two, three = decide(probabilities(), BOOK, [0.5, 0.5], min_confidence=0.6)
    assert (one.frames, one.stance, one.voice) == (("economic",), "favor", "author")
    assert (two.frames, two.stance, two.voice, two.confidence) == (("uncertain",), "uncertain", "quoted", 0.4)
    assert (three.frames, three.stance) == ((), "neutral")  # sure that there is no frame
    assert {d.voice for d in decide(probabilities(), BOOK, [0.5, 0.5], min_confidence=1.0)} == {"uncertain", "author"}


@pytest.mark.parametrize("least", [-0.1, 1.5, float("nan")])
def test_a_minimum_of_confidence_is_a_probability(least: float) -> None:
    with pytest.raises(ValueError, match=f"{least:g} is none; give one from 0 to 1"):
        decide(probabilities(), BOOK, [0.5, 0.5], min_confidence=least)


def test_no_sentence_gives_no_decision() -> None:
    assert decide(Probabilities(np.zeros((0, 2)), np.zeros((0, 3)), np.zeros((0, 2))), BOOK, [0.5, 0.5]) == []


def reading(*labels: tuple[tuple[str, ...], str, str]) -> Reading:
    article = Article(" ".join(f"Sentence number {i} is here." for i in range(len(labels))), "a")
    rows = [
        SentenceReading(sentence, frames, stance, voice, {"economic": 0.1}, {"favor": 0.2}, {"author": 0.3}, 0.5, False)
        for sentence, (frames, stance, voice) in zip(article.sentences, labels, strict=True)
    ]
    return Reading(article, "t", tuple(rows), BOOK)


def test_shares_are_fractions_of_the_sentences() -> None:
    found = reading((("economic", "safety"), "favor", "author"), (("economic",), "neutral", "author"), ((), "neutral", "quoted"))
    assert found.frames == pytest.approx({"economic": 2 / 3, "safety": 1 / 3})
    assert found.stances == pytest.approx({"favor": 1 / 3, "against": 0, "neutral": 2 / 3})
    assert found.voices == pytest.approx({"author": 2 / 3, "quoted": 1 / 3})


def test_shares_are_of_the_sentences_that_are_certain() -> None:
    found = reading(
        (("uncertain",), "favor", "author"), (("economic",), "uncertain", "author"), ((), "neutral", "quoted"), ((), "favor", "author")
    )
    assert found.frames == pytest.approx({"economic": 1 / 3, "safety": 0})
    assert found.stances == pytest.approx({"favor": 2 / 3, "against": 0, "neutral": 1 / 3})
    assert found.voices == pytest.approx({"author": 3 / 4, "quoted": 1 / 4})
    assert found.coverage == {"frames": 0.75, "stance": 0.75, "voice": 1.0}
    assert found.to_dict()["coverage"] == found.coverage
    assert found.sentences[0].uncertain == ("frames",)
    left_open = reading((("uncertain",), "uncertain", "uncertain"))
    assert left_open.stances == {"favor": 0.0, "against": 0.0, "neutral": 0.0}
    assert left_open.coverage == {"frames": 0.0, "stance": 0.0, "voice": 0.0}


def test_an_empty_reading_has_shares_of_zero() -> None:
    assert reading().frames == {"economic": 0.0, "safety": 0.0}
    assert reading().rows() == []


def test_rows_have_the_documented_fields_in_order() -> None:
    (row,) = reading((("economic",), "favor", "author")).rows()
    assert tuple(row) == FIELDS
    assert (row["article"], row["sentence"], row["start"], row["end"]) == ("a", 1, 0, 26)
    assert row["frames"] == ["economic"]
