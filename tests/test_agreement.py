import dataclasses
import io
import math
from pathlib import Path

import pytest
from rich.console import Console

from slant.agreement import alpha, alphas, coincidences
from training.agreement import ac1, agreement, coder_agreement, confusion_tables, disputed_table, drawn, judged, label_table
from training.annotations import Annotation, Annotations

# Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", sections A, B and C (nominal).
BINARY = list(zip([0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0], strict=True))
NOMINAL = list(zip("aabbdcccedda", "babbbcccEddd".lower(), strict=True))
MISSING = [
    [value for value in unit if value]
    for unit in zip(
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
        strict=True,
    )
]


@pytest.mark.parametrize(
    ("units", "values", "published"),
    [(BINARY, [0, 1], 0.095), (NOMINAL, list("abcde"), 0.692), (MISSING, [1, 2, 3, 4, 5], 0.743)],
    ids=["binary", "nominal", "missing"],
)
def test_alpha_of_published_worked_examples(units: list[list[int]], values: list[int], published: float) -> None:
    assert alpha(coincidences(units, values)) == pytest.approx(published, abs=0.0006)


def test_alpha_at_its_ends() -> None:
    assert alpha(coincidences([(0, 0), (1, 1)], [0, 1])) == 1
    assert alpha(coincidences([(0, 1), (1, 0)], [0, 1])) == pytest.approx(-0.5)
    assert math.isnan(alpha(coincidences([(1, 1), (1, 1)], [0, 1])))


def test_the_interval_holds_the_estimate_and_is_seeded() -> None:
    articles = [f"a{i % 5}" for i in range(len(BINARY))]
    found = agreement(BINARY, articles, [0, 1])
    assert found.low <= found.alpha <= found.high
    assert found.sentences == 10
    assert found == agreement(BINARY, articles, [0, 1])


def test_one_article_has_no_interval() -> None:
    found = agreement(BINARY, ["a"] * 10, [0, 1])
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert drawn(found) == f"{found.alpha:.2f}"


def test_ac1_of_a_published_worked_example() -> None:
    # the twelve units and four observers of MISSING in Gwet's irrCAC package (cac.raw4raters): AC1 0.77544
    assert ac1(MISSING, [1, 2, 3, 4, 5]) == pytest.approx(0.77544, abs=0.00001)


def test_ac1_at_its_ends() -> None:
    assert ac1([(0, 0), (1, 1)], [0, 1]) == 1
    assert ac1([(1, 1), (1, 1)], [0, 1]) == 1
    assert math.isnan(ac1([(1,), (0,)], [0, 1]))
    assert math.isnan(ac1([], [0, 1]))


def test_the_details_name_labels_confusions_and_disputes(tiny_corpus: Path) -> None:
    annotations = Annotations.load(tiny_corpus, None)

    def other(code: Annotation) -> Annotation:
        changed = code.coder == "two" and code.article == "a3" and code.stance == "favor"
        return dataclasses.replace(code, stance="neutral", voice="quoted") if changed else code

    annotations = dataclasses.replace(annotations, codes=tuple(other(code) for code in annotations.codes))
    file = io.StringIO()
    out = Console(file=file, width=200)
    out.print(label_table(annotations))
    for table in confusion_tables(annotations):
        out.print(table)
    disputed = disputed_table(annotations, 10)
    out.print(disputed)
    assert disputed.row_count == 3
    drawn = file.getvalue()
    assert "a3 " in drawn
    assert "two: economic, neutral," in drawn
    assert "economic + safety" in drawn
    assert "the coders agree" in drawn


def test_agreement_needs_no_gold(tiny_corpus: Path) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    fresh = dataclasses.replace(annotations, gold=())
    assert coder_agreement(fresh, lambda _: True) == coder_agreement(annotations, lambda _: True)
    assert judged(dataclasses.replace(fresh, codes=tuple(code for code in fresh.codes if code.coder == "one"))) == []


def test_alphas_of_a_sample_are_over_sentences_coded_again() -> None:
    said = [("1", "a", ["x"], "pro"), ("1", "b", ["x"], "pro"), ("2", "a", [], "con"), ("2", "b", [], "pro"), ("3", "a", ["x"], "con")]
    rows = [{"id": one, "coder": coder, "frames": frames, "stance": stance, "voice": "author"} for one, coder, frames, stance in said]
    found = alphas(rows, ["x"])
    assert found["x"] == 1
    assert found["stance"] == alpha(coincidences([("pro", "pro"), ("con", "pro")], ["pro", "con"]))
    assert math.isnan(found["voice"])
