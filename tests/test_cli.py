"""The command as its users run it: a process of its own."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import slant
from slant import __version__
from slant.reading import FIELDS
from training.commands import ROOT

SAMPLE = "data/annotations/written/w-wall-that-leaks.txt"
ENGLISH = "The minister said that the border would stay closed, and that he would not speak of it again until the end of the year."


def predict(*arguments: str, stdin: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "NO_COLOR": "1"}
    found = subprocess.run([sys.executable, "predict.py", *arguments], input=stdin, capture_output=True, cwd=ROOT, env=environment)
    assert found.returncode == code, found.stderr.decode()
    assert b"Traceback" not in found.stderr
    return found


def test_an_article_is_printed_sentence_by_sentence() -> None:
    out = predict(SAMPLE).stdout.decode()
    assert "The Wall That Leaks" in out
    for word in ("frames", "stance", "voice", "conf.", "sentences; shares of them"):
        assert word in out


def test_standard_input_to_jsonl() -> None:
    found = predict("-", "-o", "-", "--format", "jsonl", stdin=(ROOT / SAMPLE).read_bytes())
    rows = [json.loads(line) for line in found.stdout.decode().splitlines()]
    text = (ROOT / SAMPLE).read_bytes().decode()
    assert len(rows) > 30
    for number, row in enumerate(rows, start=1):
        assert list(row) == list(FIELDS)
        assert row["sentence"] == number
        assert text[row["start"] : row["end"]] == row["text"]
        assert 0 <= row["confidence"] <= 1


def test_csv_to_standard_output_and_another_target() -> None:
    found = predict("-", "-o", "-", "--format", "csv", "--target", "building a border wall", stdin=ENGLISH.encode())
    (row,) = csv.DictReader(io.StringIO(found.stdout.decode()))
    assert row["target"] == "building a border wall"
    assert row["voice"] == "quoted"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet", ".html"])
def test_output_by_suffix(suffix: str, tmp_path: Path) -> None:
    predict(SAMPLE, "--output", str(tmp_path / f"out{suffix}"))
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "good.txt").write_text(ENGLISH)
    (tmp_path / "html.txt").write_text("<html><body></body></html>")
    (tmp_path / "no").mkdir()
    names = [str(tmp_path / name) for name in ("gone.txt", "empty.txt", "binary.txt", "good.txt", "html.txt", "no")]
    found = predict(*names, "-o", "-", "--format", "jsonl", code=2)
    assert [json.loads(line)["article"] for line in found.stdout.decode().splitlines()] == [names[3]]
    errors = found.stderr.decode().splitlines()
    assert len(errors) == 5
    assert all(line.startswith("error: ") for line in errors)
    for name in (*names[:3], *names[4:]):
        assert any(name in line for line in errors)


def test_rows_of_a_table_are_read_one_by_one(tmp_path: Path) -> None:
    (tmp_path / "corpus.csv").write_text(f'key,body,stand\n1,"{ENGLISH}",closing the border\n2,,\n3,"{ENGLISH}",\n')
    options = ["--text-column", "body", "--id-column", "key", "--target-column", "stand"]
    found = predict(str(tmp_path / "corpus.csv"), *options, "-o", "-", "--format", "jsonl", code=2)
    rows = [json.loads(line) for line in found.stdout.decode().splitlines()]
    assert [(row["article"], row["target"]) for row in rows] == [("1", "closing the border"), ("3", slant.load().codebook.default_target)]
    assert found.stderr.decode().strip() == f"error: {tmp_path}/corpus.csv: line 3: 'body' is empty"


def test_a_corpus_is_scored_into_a_folder(tmp_path: Path) -> None:
    found = predict(SAMPLE, SAMPLE, "--output", str(tmp_path / "scores"))
    assert "1 exact duplicates scored once" in found.stderr.decode()
    assert (tmp_path / "scores/sentences/part-00000.parquet").is_file()


def test_labels_less_sure_than_asked_are_uncertain_and_counted(tmp_path: Path) -> None:
    out = predict(SAMPLE, "--min-confidence", "0.99").stdout.decode()
    assert "uncertain" in out
    assert "shares of those that are certain (at least 0.99; coverage: frames" in out
    rows = predict(SAMPLE, "--min-confidence", "0.99", "-o", "-", "--format", "jsonl").stdout.decode().splitlines()
    assert all("uncertain" in (*row["frames"], row["stance"], row["voice"]) for row in map(json.loads, rows) if row["confidence"] < 0.98)
    found = predict(SAMPLE, "--min-confidence", "0.99", "--output", str(tmp_path / "scores"))
    assert "coverage at confidence 0.99: frames" in found.stderr.decode()


def test_another_language_is_a_warning_only() -> None:
    text = "Der Minister sagte, dass die Grenze geschlossen bleibe, und dass er bis zum Ende des Jahres nicht mehr davon sprechen werde."
    found = predict("-", "-o", "-", "--format", "jsonl", stdin=text.encode())
    assert found.stderr.decode().startswith("warning: standard input: does not look like English")
    assert found.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-", "-o", "-"], "-o - needs --format"),
        (["-", "--format", "csv"], "--format goes with -o - or with a folder"),
        (["-", "-o", "-", "--format", "parquet"], "-o - needs --format"),
        (["-", "-o", "out.csv", "--workers", "2"], "--workers goes with a folder as --output"),
        (["-", "--keep", "outlet"], "--keep goes with a folder as --output"),
        (["-", "-o", "scores", "--ray-address", "auto"], "--ray-address goes with --engine ray"),
        (["-", "--min-confidence", "70"], "and 70 is none; give one from 0 to 1"),
        (["-", "-o", "scores", "--min-confidence", "70"], "and 70 is none; give one from 0 to 1"),
        (["-", "-o", "out.doc"], "its suffix names no format"),
        (["-", "-o", "no/such/folder/out.csv"], "does not exist"),
        (["-", "--model", "tests"], "not a slant checkpoint"),
        (["-", "--target", " "], "the target is empty"),
        (["-", "--target", "word " * 100], "state it in at most"),
    ],
)
def test_wrong_options_are_one_line(arguments: list[str], message: str) -> None:
    found = predict(*arguments, stdin=ENGLISH.encode(), code=2)
    (line,) = found.stderr.decode().splitlines()
    assert message in line
    assert found.stdout == b""


def test_help_and_version() -> None:
    assert predict("--version").stdout.decode().strip() == f"slant {__version__}"
    text = predict("--help").stdout.decode()
    assert "--target" in text
    assert "python predict.py article.txt" in text


def test_reading_loads_nothing_of_the_training_stack() -> None:
    code = (
        "import sys, slant\n"
        "slant.load().read('The minister said no.')\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'sklearn', 'training') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=True)
    assert found.stdout.decode().strip() == "[]"


@pytest.mark.parametrize("module", ["annotations", "agreement", "train", "evaluate"])
def test_training_commands_end_bad_annotations_with_one_line(module: str, tmp_path: Path) -> None:
    arguments = ["check"] if module == "annotations" else []
    found = subprocess.run(
        [sys.executable, "-m", f"training.{module}", *arguments, "--annotations", str(tmp_path)], capture_output=True, cwd=ROOT
    )
    assert found.returncode == 2
    assert found.stderr.decode().strip().splitlines()[-1].startswith("error: ")
    assert b"Traceback" not in found.stderr
