import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet
from rich.console import Console

from slant import Article, Reading, load, render
from slant.reading import FIELDS
from slant.reliability import Tier, Tiers
from tests.conftest import SENTENCES

GOOD: Tier = "B"
TEXT = "Harbour <b>news</b> & [red]more[/red]\n\n" + " ".join(SENTENCES)


@pytest.fixture(scope="module")
def reading(tiny_checkpoint: Path) -> Reading:
    return load(tiny_checkpoint).read(Article(TEXT, "page.txt"))


def test_the_table_shows_every_sentence_and_the_shares(reading: Reading) -> None:
    drawn = printed(reading)
    for sentence in reading.sentences:
        assert sentence.sentence.text in drawn
    assert "[red]more[/red]" in drawn
    assert "page.txt" in drawn
    assert "9 sentences" in drawn
    assert f"economic (C) {reading.frames['economic']:.0%}" in drawn  # the tiny reader was not measured
    assert "(C): of low reliability" in drawn


def test_only_labels_of_low_reliability_are_marked(reading: Reading) -> None:
    labels = {"frame": ("economic", "safety"), "stance": ("favor", "against", "neutral"), "voice": ("author", "quoted")}
    good: Tiers = {code: dict.fromkeys(own, GOOD) for code, own in labels.items()}
    mixed: Tiers = {**good, "frame": {"economic": "A", "safety": "C"}}
    measured = replace(reading, tiers=mixed)
    for drawn in (printed(measured), render.html(measured)):
        assert drawn.count("(C)") == 2
        assert "safety (C)" in drawn
    for drawn in (printed(replace(reading, tiers=good)), render.html(replace(reading, tiers=good))):
        assert "(C)" not in drawn


def test_what_is_uncertain_is_drawn_and_covered(reading: Reading, tmp_path: Path) -> None:
    sentences = [replace(s, frames=("uncertain",), stance="uncertain", voice="uncertain", evidence=()) for s in reading.sentences]
    reading = replace(reading, sentences=tuple(sentences), min_confidence=1.0)
    told = "that are certain (at least 1; coverage: frames 0%, stance 0%, voice 0%)"
    for drawn in (printed(reading), render.html(reading)):
        assert drawn.count("uncertain") == 3 * 9
        assert told in drawn
    render.write([reading], tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").to_pylist() == reading.rows()


def printed(reading: Reading) -> str:
    file = io.StringIO()
    render.show(reading, Console(file=file, width=160))
    return file.getvalue()


def test_html_is_escaped_and_whole(reading: Reading) -> None:
    drawn = render.html(reading)
    assert "&lt;b&gt;news&lt;/b&gt; &amp;" in drawn
    assert "<b>news" not in drawn
    assert drawn.count("<tr class=") == len(reading.sentences)
    assert "<mark" in drawn
    assert reading._repr_html_() == drawn


def test_jsonl_round_trips(reading: Reading, tmp_path: Path) -> None:
    render.write([reading, reading], tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows == reading.rows() * 2
    assert list(rows[0]) == list(FIELDS)


def test_csv_round_trips(reading: Reading, tmp_path: Path) -> None:
    render.write([reading], tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(FIELDS)
    for row, expected in zip(rows, reading.rows(), strict=True):
        assert row["text"] == expected["text"]
        assert [frame for frame in row["frames"].split("|") if frame] == expected["frames"]
        assert json.loads(row["stance_probability"]) == expected["stance_probability"]
        assert int(row["start"]) == expected["start"]


def test_parquet_round_trips(reading: Reading, tmp_path: Path) -> None:
    render.write([reading], tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.column_names == list(FIELDS)
    assert table.to_pylist() == reading.rows()


def test_a_write_that_fails_leaves_the_old_file(reading: Reading, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")

    def broken() -> object:
        yield reading
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        render.write(broken(), path)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
