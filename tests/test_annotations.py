import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slant.article import split
from slant.codebook import AnnotationError
from tests.conftest import TARGET
from training.annotations import Annotations, counts, mix
from training.commands import ANNOTATIONS, ROOT


@pytest.fixture
def corpus(tiny_corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_corpus, tmp_path / "annotations"))


def change(path: Path, line: int, edit: Callable[[dict[str, Any]], object]) -> None:
    rows = [json.loads(row) for row in path.read_text().splitlines()]
    edit(rows[line - 1])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_good_corpus_loads(corpus: Path) -> None:
    annotations = Annotations.load(corpus, None)
    assert len(annotations.articles) == 24
    assert len(annotations.gold) == sum(len(split(article.text or "")) for article in annotations.articles.values())
    assert len(annotations.codes) == 2 * len(annotations.gold)
    assert annotations.missing == []
    assert counts(annotations).row_count == 2
    assert mix(annotations).row_count == 13
    first = annotations.gold[0]
    assert annotations.sentence_text(first).startswith("Page 0")
    assert [code.coder for code in annotations.codes_by_key[first.key]] == ["one", "two"]


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        (
            "gold",
            lambda row: row.update(frames=["Economic"]),
            r"line 3: frame 'Economic' is not in the codebook \(did you mean 'economic'\?\)",
        ),
        ("gold", lambda row: row.update(stance="favour"), r"line 3: stance 'favour' .*did you mean 'favor'"),
        ("codes", lambda row: row.update(voice="quote"), r"line 3: voice 'quote' .*did you mean 'quoted'"),
        ("gold", lambda row: row.update(target="closing the harbour"), r"line 3: target of a0 'closing the harbour'"),
        (
            "articles",
            lambda row: row.update(targets=["opening the harbor"]),
            rf"line 3: target 'opening the harbor' .*did you mean '{TARGET}'",
        ),
        ("gold", lambda row: row.update(article="b0"), r"line 3: article 'b0'"),
        ("gold", lambda row: row.update(part="footer"), r"line 3: part 'footer'"),
        ("gold", lambda row: row.update(reason=" "), r"line 3: the reason is empty"),
        ("gold", lambda row: row.update(attacked=["safety"], frames=["economic"]), r"line 3: attacked frame 'safety'"),
        ("gold", lambda row: row.update(attacked="safety"), r"line 3: attacked 'safety' is no list of labels"),
        ("gold", lambda row: row.pop("stance"), r"line 3: 'stance' is missing; a line has"),
        ("gold", lambda row: row.update(mood="good"), r"line 3: 'mood' is not a key of this file"),
        ("codes", lambda row: row.update(coder_kind="robot"), r"line 3: coder_kind 'robot'"),
        ("codes", lambda row: row.update(coder_kind="human"), r"coder 'one' is human here but machine above"),
        ("gold", lambda row: row.update(start=row["start"] - 3), r"do not cut a sentence|overlaps|has codes by 0"),
        ("gold", lambda row: row.update(end=99_999), r"do not cut a sentence out of"),
        ("gold", lambda row: row.update(start="5"), r"line 3: start '5' is no whole number"),
        ("articles", lambda row: row.update(id="a0"), r"line 3: article 'a0' is listed twice"),
        ("articles", lambda row: row.update(sha256="0" * 64), r"has changed since it was coded"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(file: str, edit: Callable[[dict[str, Any]], object], message: str, corpus: Path) -> None:
    path = corpus / f"{file}.jsonl"
    change(path, 3, edit)
    with pytest.raises(AnnotationError, match=message) as error:
        Annotations.load(corpus, None)
    assert str(path) in str(error.value)


def test_a_sentence_may_attack_a_frame_that_it_evokes(corpus: Path) -> None:
    change(corpus / "gold.jsonl", 3, lambda row: row.update(frames=["economic", "safety"], attacked=["safety"]))
    assert Annotations.load(corpus, None).gold[2].attacked == {"safety"}


def test_gold_needs_two_coders(corpus: Path) -> None:
    path = corpus / "codes.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[1:]))
    with pytest.raises(AnnotationError, match=r"gold\.jsonl line 1: a0 0-\d+ has codes by 1 coder"):
        Annotations.load(corpus, None)


def test_gold_leaves_no_gap(corpus: Path) -> None:
    path = corpus / "gold.jsonl"
    path.write_text("".join(line + "\n" for i, line in enumerate(path.read_text().splitlines()) if i != 2))
    with pytest.raises(AnnotationError, match="is text that no gold sentence covers"):
        Annotations.load(corpus, None)


def test_a_line_that_is_no_json_is_named(corpus: Path) -> None:
    path = corpus / "codes.jsonl"
    line = len(path.read_text().splitlines()) + 1
    path.write_text(path.read_text() + "{oops\n")
    with pytest.raises(AnnotationError, match=rf"codes\.jsonl line {line}: not JSON"):
        Annotations.load(corpus, None)


def test_a_missing_third_party_text_is_skipped_and_a_changed_one_is_an_error(corpus: Path, tmp_path: Path) -> None:
    change(corpus / "articles.jsonl", 1, lambda row: row.update(origin="third-party"))
    texts = tmp_path / "texts"
    (texts / "written").mkdir(parents=True)
    for at_hand in (None, texts):
        annotations = Annotations.load(corpus, at_hand)
        assert [article.id for article in annotations.missing] == ["a0"]
        assert ("a0", TARGET) not in annotations.readable_gold
    (corpus / "written" / "a0.txt").rename(texts / "written" / "a0.txt")
    assert Annotations.load(corpus, texts).missing == []
    (texts / "written" / "a0.txt").write_text("Another text.")
    with pytest.raises(AnnotationError, match="has changed since it was coded"):
        Annotations.load(corpus, texts)


def test_a_missing_written_text_is_an_error(corpus: Path) -> None:
    (corpus / "written" / "a0.txt").unlink()
    with pytest.raises(AnnotationError, match="is missing; an article written for the project has its text here"):
        Annotations.load(corpus, None)


def test_the_shipped_corpus_is_valid_without_the_third_party_texts() -> None:
    annotations = Annotations.load(ANNOTATIONS, None)
    written = [article for article in annotations.articles.values() if article.origin == "written"]
    assert all(article.text for article in written)
    assert "biden-admin-prioritizes-migrant-movement-over-security" in annotations.articles
    assert {code.coder_kind for code in annotations.codes} == {"machine"}


def run(*arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "training.annotations", *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, cwd=ROOT, text=True)
    assert found.returncode == code, found.stdout + found.stderr
    return found.stdout + found.stderr


def test_articles_are_added_and_wait_to_be_coded(corpus: Path, tmp_path: Path) -> None:
    text = tmp_path / "texts" / "mine.txt"
    text.parent.mkdir()
    text.write_text("The harbour opened. Nobody came.")
    options = ["--target", TARGET, "--annotations", corpus]
    assert "1 articles added" in run("add", text, *options)
    added = Annotations.load(corpus, None).articles["mine"]
    assert (added.origin, added.text, added.targets) == ("written", text.read_text(), (TARGET,))
    assert "has an article 'mine' already" in run("add", text, *options, code=2)
    text = text.rename(text.with_name("theirs.txt"))
    assert "1 articles added" in run("add", text, *options, "--texts", text.parent, "--licence", "all rights reserved")
    assert Annotations.load(corpus, text.parent).articles["theirs"].path == "theirs.txt"
    assert Annotations.load(corpus, None).articles["theirs"].text is None


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [(b"\xff\xfe", TARGET, "not UTF-8"), (b"Open it.", "opening the harbor", f"did you mean '{TARGET}'"), (None, TARGET, "no such file")],
)
def test_what_cannot_be_added_is_one_line(content: bytes | None, target: str, message: str, corpus: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.txt"
    if content is not None:
        path.write_bytes(content)
    before = (corpus / "articles.jsonl").read_text()
    found = run("add", path, "--target", target, "--annotations", corpus, code=2)
    assert message in found
    assert len(found.splitlines()) == 1
    assert (corpus / "articles.jsonl").read_text() == before


def test_a_bad_file_adds_none_of_those_before_it(corpus: Path, tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_text("The harbour opened.")
    before = sorted((corpus / "written").iterdir())
    assert "no such file" in run("add", good, tmp_path / "gone.txt", "--target", TARGET, "--annotations", corpus, code=2)
    assert sorted((corpus / "written").iterdir()) == before


def test_the_datasheet_is_of_this_very_corpus() -> None:
    datasheet = (ANNOTATIONS / "README.md").read_text(encoding="utf-8")
    assert f"digest {Annotations.load(ANNOTATIONS, None).digest[:12]}" in datasheet
