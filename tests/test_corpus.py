"""The one scoring function: Arrow in, Arrow out."""

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from slant import Article, Reader, load
from slant.corpus import SCHEMA_VERSION, Scorer, article_rows, score_table, sentence_schema
from slant.reading import FIELDS
from tests.conftest import SENTENCES, TARGET

TEXT = "Harbour news\n\n" + " ".join(SENTENCES)
ARTICLES = pa.table(
    {
        "id": ["a", "b", "c", "d"],
        "text": [TEXT, None, "Gulls sat on the wall in 1999.", " "],
        "stand": [None, None, "closing the school", None],
        "outlet": ["Gazette", "Gazette", "Mail", "Mail"],
        "number": [1, 2, 3, 4],
    }
)


@pytest.fixture(scope="module")
def tiny(tiny_checkpoint: Path) -> Reader:
    return load(tiny_checkpoint)


def test_rows_are_those_of_the_reader(tiny: Reader) -> None:
    found = score_table(ARTICLES.slice(0, 1), tiny)
    expected = tiny.read(Article(TEXT, "a")).rows()
    assert found.select(list(FIELDS)).to_pylist() == expected


def test_an_article_that_cannot_be_scored_is_one_row_that_says_why(tiny: Reader) -> None:
    found = score_table(ARTICLES, tiny, target_column="stand")
    assert [row["article"] for row in found.to_pylist()] == ["a"] * 9 + ["b", "c", "d"]
    failures = {row["article"]: row["failure"] for row in found.to_pylist() if row["failure"]}
    assert failures == {"b": "empty: no text in it", "d": "empty: no text in it"}
    assert set(found["outlet"].to_pylist()) == {"Gazette", "Mail"}


def test_a_target_too_long_is_a_failure_of_its_row(tiny: Reader) -> None:
    table = pa.table({"id": ["a", "b"], "text": ["Open it."] * 2, "stand": ["word " * 100, None]})
    first, second = score_table(table, tiny, target_column="stand").to_pylist()
    assert "state it in at most" in first["failure"]
    assert second["failure"] is None


def test_the_targets_column_goes_before_the_target(tiny: Reader) -> None:
    targets = score_table(ARTICLES, tiny, target_column="stand", target="raising the tide").to_pylist()
    assert {(row["article"], row["target"]) for row in targets if not row["failure"]} == {
        ("a", "raising the tide"),
        ("c", "closing the school"),
    }
    assert score_table(ARTICLES, tiny)["target"][0].as_py() == TARGET


def test_a_table_in_pieces_gives_the_same_rows(tiny: Reader) -> None:
    whole = score_table(ARTICLES, tiny)
    pieces = pa.concat_tables([score_table(ARTICLES.slice(i, 1), tiny) for i in (3, 1, 0, 2)])
    order = [("number", "ascending"), ("sentence", "ascending")]
    assert pieces.sort_by(order).to_pylist() == whole.sort_by(order).to_pylist()


def test_the_schema_is_stated_and_carries_its_making(tiny: Reader, tiny_checkpoint: Path) -> None:
    found = score_table(ARTICLES, tiny)
    assert found.schema.equals(sentence_schema(tiny.codebook, [ARTICLES.schema.field(name) for name in ("stand", "outlet", "number")]))
    assert found.schema.metadata == {
        b"slant.schema": str(SCHEMA_VERSION).encode(),
        b"slant.model": tiny.checkpoint.digest.encode(),
        b"slant.codebook": b"test-1",
    }
    assert Scorer(tiny_checkpoint).schema(ARTICLES.schema).equals(found.schema)


def test_labels_below_the_minimum_of_confidence_are_uncertain(tiny: Reader) -> None:
    sure = score_table(ARTICLES.slice(0, 1), tiny)
    said = sorted(max(row["stance_probability"].values()) for row in sure.to_pylist())
    lower, higher = max(pairwise(said), key=lambda pair: pair[1] - pair[0])  # rounding moves none over the widest gap
    least, open_count = (lower + higher) / 2, said.index(higher)
    found = score_table(ARTICLES.slice(0, 1), tiny, min_confidence=least)
    for row, before in zip(found.to_pylist(), sure.to_pylist(), strict=True):
        uncertain = max(row["stance_probability"].values()) < least
        assert row["stance"] == ("uncertain" if uncertain else before["stance"])
    (row,) = article_rows(found, tiny.codebook).values()
    assert row["uncertain_count"]["stance"] == open_count > 0
    assert row["coverage"]["stance"] == (9 - open_count) / 9
    assert sum(row["stance_count"].values()) == 9 - open_count
    assert sum(row["stance_share"].values()) == pytest.approx(1)
    place = sure.column_names.index("frames")
    (row,) = article_rows(sure.set_column(place, "frames", [[["uncertain"]] * 9]), tiny.codebook).values()
    assert row["coverage"]["frames"] == 0
    assert set(row["frame_count"].values()) == {0}
    assert set(row["frame_share"].values()) == {None}


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (pa.table({"body": ["x"]}), {}, "no column 'text'; the table has body"),
        (pa.table({"text": ["x"]}), {"target_column": "stand"}, "no column 'stand'"),
        (pa.table({"text": ["x"], "stance": ["y"]}), {}, "'stance' has the name of a result column"),
    ],
)
def test_columns_that_do_not_fit_are_named(table: pa.Table, options: dict[str, str], message: str, tiny: Reader) -> None:
    with pytest.raises(ValueError, match=message):
        score_table(table, tiny, **options)  # type: ignore[arg-type]


def test_an_articles_row_adds_its_sentences_up(tiny: Reader) -> None:
    sentences = score_table(ARTICLES, tiny)
    rows = article_rows(sentences.filter(pa.array([f is None for f in sentences["failure"].to_pylist()])), tiny.codebook)
    assert sorted(rows) == [1, 3]
    reading = tiny.read(TEXT)
    assert rows[1]["frame_share"] == reading.frames
    assert rows[1]["stance_share"] == reading.stances
    assert rows[1]["sentence_count"] == 9
    assert sum(rows[1]["voice_count"].values()) == 9
    assert rows[1]["mean_confidence"] == pytest.approx(sum(s.confidence for s in reading.sentences) / 9, abs=1e-4)
