"""Whole corpus runs: real processes, really killed, on the tiny checkpoint."""

import csv
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from slant.reading import HEADS
from slant.scoring import Job, Summary, score
from slant.shards import RunError
from slant.sources import Columns
from tests.conftest import SENTENCES
from training.commands import ROOT

ARTICLES = 60
SHARD = 8
KILLER = """\
import os, signal, sys
output, left = sys.argv.pop(1), int(sys.argv.pop(1))
def count(event, arguments):
    global left
    changes = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir") or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))
    if changes and str(arguments[0]).startswith(output):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
from slant.cli import main
main()
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Articles as JSONL: some alike, some that cannot be read, one id twice."""
    order = random.Random(5)
    lines = []
    for number in range(ARTICLES):
        text = f"Page {number}\n\n" + " ".join(order.choices(list(SENTENCES), k=12))
        row: dict[str, object] = {"id": f"a{number}", "text": text, "outlet": f"o{number % 3}", "words": number}
        if number % 17 == 5:
            row["text"] = "The same text. In several places."
        if number == 30:
            row["id"] = "a3"
        if number == 40:
            row["text"] = ["no text"]
        lines.append(json.dumps(row))
        if number == 20:
            lines.append("{broken")
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def job(corpus: Path, tiny_checkpoint: Path) -> Job:
    return Job((str(corpus),), Path("unset"), Columns(keep=("outlet", "words")), model=tiny_checkpoint, shard_articles=SHARD)


@pytest.fixture(scope="module")
def expected(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an uninterrupted run of one worker writes."""
    output = tmp_path_factory.mktemp("expected") / "scores"
    assert run(job, output) == Summary(59, 3, 1, 717, 2, dict.fromkeys(HEADS, 0), complete=True)
    return output


def run(job: Job, output: Path, **changes: object) -> Summary:
    return score(Job(**{**vars(job), "output": output, **changes}))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def command(corpus: Path, output: Path, model: Path, *more: str) -> list[str]:
    options = ["--model", str(model), "--keep", "outlet,words", "--shard-articles", str(SHARD), "--workers", "1"]
    return [str(corpus), "--output", str(output), *options, *more]


def call(arguments: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    found = subprocess.run([sys.executable, "predict.py", *arguments], capture_output=True, text=True, cwd=ROOT, **options)  # type: ignore[call-overload]
    assert "Traceback" not in found.stderr, found.stderr
    return found  # type: ignore[no-any-return]


def test_the_folder_holds_every_sentence_every_article_and_every_failure(expected: Path, job: Job) -> None:
    sentences = parquet.read_table(expected / "sentences").to_pylist()
    articles = parquet.read_table(expected / "articles").to_pylist()
    assert [row["number"] for row in articles] == list(range(1, 60))
    by_number = {row["number"]: row for row in articles}
    assert {row["number"] for row in sentences} == {row["number"] for row in articles if row["duplicate_of"] is None}
    for row in sentences:
        assert (row["article"], row["outlet"]) == (by_number[row["number"]]["article"], by_number[row["number"]]["outlet"])
    assert by_number[23]["duplicate_of"] == 6
    assert by_number[23]["sentence_count"] is None
    assert by_number[1]["sentence_count"] == 13
    assert by_number[1]["words"] == "0"
    failures = [json.loads(line) for line in (expected / "failures.jsonl").read_text().splitlines()]
    assert [(failure["position"], failure["source"]) for failure in failures] == [("line 22", job.inputs[0]), ("line 42", job.inputs[0])]
    assert failures[1]["reason"] == "'text' is a list, not text"
    manifest = json.loads((expected / "manifest.json").read_text())
    assert manifest["complete"]
    totals = {"documents": 59, "duplicates": 3, "repeated_ids": 1, "sentences": 717, "failures": 2}
    assert manifest["totals"] == {**totals, "uncertain": {"frames": 0, "stance": 0, "voice": 0}}
    stated = parquet.read_schema(expected / "sentences" / "part-00000.parquet").metadata
    assert stated[b"slant.model"].decode() == manifest["model"]
    assert stated[b"slant.codebook"] == b"test-1"
    assert sorted(path.name for path in expected.iterdir()) == ["articles", "failures.jsonl", "manifest.json", "sentences"]


def test_the_number_of_workers_changes_nothing(expected: Path, job: Job, tmp_path: Path) -> None:
    run(job, tmp_path / "scores", workers=3)
    assert content(tmp_path / "scores") == content(expected)


def test_shard_size_and_order_change_no_row(expected: Path, job: Job, corpus: Path, tmp_path: Path) -> None:
    backwards = tmp_path / "corpus.jsonl"
    backwards.write_text("\n".join(reversed(corpus.read_text().splitlines())))
    run(job, tmp_path / "scores", inputs=(str(backwards),), shard_articles=500)

    def rows(folder: Path) -> dict[tuple[str, str, int], object]:
        table = parquet.read_table(folder / "sentences").drop_columns(["number", "article"])
        return {(row["text"], row["outlet"], row["start"]): row for row in table.to_pylist() if row["text"] not in same}

    same = {"The same text.", "In several places."}  # scored where it comes first
    assert rows(tmp_path / "scores").keys() == rows(expected).keys()
    one, other = rows(tmp_path / "scores"), rows(expected)
    probabilities = ("frame_probability", "stance_probability", "voice_probability", "confidence")
    texts = {(row["text"], row["sentence"]) for row in other.values()}  # type: ignore[index]
    assert texts
    by_page = parquet.read_table(tmp_path / "scores" / "sentences").to_pylist()
    again = {(row["article"], row["sentence"], row["text"]): [row[name] for name in probabilities] for row in by_page}
    for row in parquet.read_table(expected / "sentences").to_pylist():
        if row["text"] not in same:
            assert again[row["article"], row["sentence"], row["text"]] == [row[name] for name in probabilities]
    assert len(one) == len(other)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_write_the_same_command_ends_with_the_same_bytes(
    seed: int, expected: Path, corpus: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scores"
    order = random.Random(seed)
    for _ in range(100):
        arguments = [str(output), str(order.randrange(1, 24)), *command(corpus, output, tiny_checkpoint, "--quiet")]
        found = subprocess.run([sys.executable, "-c", KILLER, *arguments], cwd=ROOT, capture_output=True, text=True)
        if found.returncode != -signal.SIGKILL:
            break
    assert found.returncode == 2, found.stderr  # two articles cannot be read
    assert content(output) == content(expected)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_killed_with_its_workers_at_any_moment(
    number: signal.Signals, expected: Path, corpus: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "scores"
    order = random.Random(int(number))
    arguments = [sys.executable, "predict.py", *command(corpus, output, tiny_checkpoint, "--quiet", "--workers", "2")]
    for wanted in (2, 5, 9, 14):
        process = subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(output.rglob("part-*"))) < wanted:
            time.sleep(0.005)
        time.sleep(order.random() / 20)
        process.send_signal(number)  # the workers see their parent go
        process.wait()
    assert call(arguments[2:]).returncode == 2
    assert content(output) == content(expected)


def test_an_interrupt_finishes_the_shard_in_hand(expected: Path, corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    arguments = command(corpus, output, tiny_checkpoint, "--workers", "2")
    process = subprocess.Popen([sys.executable, "predict.py", *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not output.is_dir():
        time.sleep(0.005)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "interrupted: finishing the shard in hand" in errors
    assert "the same command goes on from here" in errors
    assert not list(output.rglob(".*.part"))
    assert call(arguments).returncode == 2
    assert content(output) == content(expected)


def test_a_worker_that_is_killed_loses_nothing(expected: Path, corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    arguments = command(corpus, output, tiny_checkpoint, "--quiet", "--workers", "2")
    process = subprocess.Popen([sys.executable, "predict.py", *arguments], cwd=ROOT)
    children: list[int] = []
    while process.poll() is None and not children:
        children = [pid for pid in _children(process.pid) if "spawn_main" in _command_line(pid)]
        time.sleep(0.005)
    os.kill(children[0], signal.SIGKILL)
    assert process.wait() == 2
    assert content(output) == content(expected)


def _children(parent: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_two_runs_on_one_folder_exclude_each_other(job: Job, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    inner: list[str] = []

    class Second:
        def checking(self, size: int) -> None: ...
        def begin(self, total_bytes: int | None) -> None: ...
        def stopping(self) -> None: ...
        def shard(self, record: object, *, earlier: bool, read_bytes: int) -> None: ...
        def scored(self, articles: int, sentences: int, read_bytes: int) -> None:
            if not inner:
                with pytest.raises(RunError, match="another run is writing it; wait for its end") as error:
                    run(job, output)
                inner.append(str(error.value))

    score(Job(**{**vars(job), "output": output}), Second())
    assert inner


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "closing the school"}, 'begun with target "opening the harbour", now it is "closing the school"'),
        ({"columns": Columns(keep=("outlet",))}, "begun with columns keep"),
        ({"format": "csv"}, 'begun with format "parquet", now it is "csv"'),
        ({"shard_articles": 9}, "begun with shard_articles 8, now it is 9"),
        ({"min_confidence": 0.9}, r"begun with min_confidence 0\.0, now it is 0\.9"),
        ({"inputs": (os.devnull,)}, "begun with input names"),
    ],
)
def test_a_run_begun_otherwise_is_not_gone_on_with(change: dict[str, object], message: str, job: Job, expected: Path) -> None:
    before = content(expected)
    with pytest.raises(RunError, match=message):
        run(job, expected, **change)
    assert content(expected) == before


def test_another_model_or_codebook_is_not_gone_on_with(job: Job, expected: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    other = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, other)
    config = json.loads((other / "config.json").read_text())
    config["slant"]["calibration"]["thresholds"][0] = 0.99
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunError, match="begun with model"):
        run(job, expected, model=other)


def test_a_changed_input_is_not_gone_on_with(job: Job, corpus: Path, tmp_path: Path) -> None:
    copy, output = tmp_path / "corpus.jsonl", tmp_path / "scores"
    shutil.copy(corpus, copy)
    run(job, output, inputs=(str(copy),))
    copy.write_text(copy.read_text().replace("Page 50", "Page 51"))
    with pytest.raises(RunError, match="begun with input sha256"):
        run(job, output, inputs=(str(copy),))


def test_standard_input_is_compared_as_it_is_read(expected: Path, corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    arguments = command(Path("-"), output, tiny_checkpoint)
    text = corpus.read_text()
    assert call(arguments, input=text).returncode == 2
    assert parquet.read_table(output / "sentences").equals(parquet.read_table(expected / "sentences"))
    assert call(arguments, input=text).returncode == 2  # all there: nothing is done
    for other in (text.replace("Page 3\\n", "Page 4\\n"), text + text, text[: len(text) // 2], ""):
        found = call(arguments, input=other)
        assert found.returncode == 2
        assert "the input reads otherwise than when the run was begun" in found.stderr


def test_a_damaged_shard_is_made_anew(expected: Path, corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    arguments = [str(output), "30", *command(corpus, output, tiny_checkpoint, "--quiet")]
    subprocess.run([sys.executable, "-c", KILLER, *arguments], cwd=ROOT, capture_output=True)
    first = output / "sentences" / "part-00000.parquet"
    first.write_bytes(first.read_bytes()[:-100])
    assert call(command(corpus, output, tiny_checkpoint)).returncode == 2
    assert content(output) == content(expected)


def test_no_space_left_is_one_line_and_is_gone_on_from(expected: Path, corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    arguments = command(corpus, output, tiny_checkpoint, "--quiet")
    found = call(arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, resource.RLIM_INFINITY)))
    assert found.returncode == 2
    (line,) = found.stderr.splitlines()
    assert line.startswith(f"error: {output}: cannot be written (")
    assert "then run the same command again" in line
    assert not list(output.rglob(".*.part"))
    assert call(arguments).returncode == 2
    assert content(output) == content(expected)


@pytest.mark.parametrize("place", ["/proc/scores", "/dev/null/scores"])
def test_a_folder_that_cannot_be_made_is_one_line(place: str, job: Job) -> None:
    with pytest.raises(RunError, match=f"{place}: cannot be written"):
        run(job, Path(place))


def test_a_folder_of_something_else_is_left_alone(job: Job, tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("precious")
    with pytest.raises(RunError, match=r"holds 'thesis.doc' but no manifest.json"):
        run(job, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


@pytest.mark.parametrize(
    ("content", "message"), [("{", "not JSON"), ("{}", "begun with slant null"), ("[]", "not the manifest of a folder of scores")]
)
def test_a_manifest_of_something_else_is_left_alone(content: str, message: str, job: Job, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(RunError, match=message):
        run(job, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"workers": 0}, "--workers 0"),
        ({"shard_articles": 0}, "--shard-articles 0"),
        ({"inputs": ("-", "x")}, "standard input goes alone"),
        ({"ray_address": "auto"}, "goes with --engine ray"),
        ({"columns": Columns(keep=("stance",))}, "--keep stance: the result has a column of that name"),
        ({"columns": Columns(keep=("a", "a"))}, "names a column twice"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_written(
    change: dict[str, object], message: str, job: Job, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=message):
        run(job, tmp_path / "scores", **change)
    assert not (tmp_path / "scores").exists()


def test_coverage_is_the_same_in_summary_manifest_articles_and_sentences(job: Job, tmp_path: Path) -> None:
    found = run(job, tmp_path / "scores", min_confidence=0.9, workers=2)
    manifest = json.loads((tmp_path / "scores" / "manifest.json").read_text())
    sentences = parquet.read_table(tmp_path / "scores" / "sentences").to_pylist()
    articles = parquet.read_table(tmp_path / "scores" / "articles").to_pylist()
    for head in HEADS:
        left_open = sum("uncertain" in (row[head] if head == "frames" else [row[head]]) for row in sentences)
        assert manifest["totals"]["uncertain"][head] == found.uncertain[head] == left_open
        assert sum(row["uncertain_count"][head] for row in articles if row["duplicate_of"] is None) == left_open
        assert manifest["coverage"][head] == found.coverage[head] == 1 - left_open / 717
    assert 0 < found.coverage["stance"] < 1
    assert manifest["min_confidence"] == 0.9
    assert run(job, tmp_path / "scores", min_confidence=0.9) == found


def test_jsonl_and_csv_shards_hold_the_same(expected: Path, job: Job, tmp_path: Path) -> None:
    rows = parquet.read_table(expected / "sentences").to_pylist()
    run(job, tmp_path / "jsonl", format="jsonl")
    lines = [json.loads(line) for path in sorted((tmp_path / "jsonl/sentences").iterdir()) for line in path.read_text().splitlines()]
    assert lines == rows
    run(job, tmp_path / "csv", format="csv")
    cells = list(_csv_rows(tmp_path / "csv/sentences"))
    assert [cell["text"] for cell in cells] == [row["text"] for row in rows]
    assert json.loads(cells[0]["stance_probability"]) == rows[0]["stance_probability"]


def test_csv_shards_run_no_formula(tiny_checkpoint: Path, tmp_path: Path) -> None:
    rows = [{"text": "=1+1 is what the cell said.", "outlet": "@SUM(A1)"}, {"text": "-2 degrees were measured.", "outlet": "+1"}]
    table = tmp_path / "corpus.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), table)
    score(Job((str(table),), tmp_path / "scores", Columns(keep=("outlet",)), model=tiny_checkpoint, format="csv"))
    found = [(row["text"], row["outlet"]) for row in _csv_rows(tmp_path / "scores/sentences")]
    assert found == [("'=1+1 is what the cell said.", "'@SUM(A1)"), ("'-2 degrees were measured.", "'+1")]


def _csv_rows(folder: Path) -> Iterator[dict[str, str]]:
    for path in sorted(folder.iterdir()):
        with path.open(newline="", encoding="utf-8") as file:
            yield from csv.DictReader(file)


def test_nothing_to_read_is_said_and_the_folder_is_whole(job: Job, tmp_path: Path) -> None:
    found = run(job, tmp_path / "scores", inputs=(str(tmp_path / "gone"),))
    assert found == Summary(0, 0, 0, 0, 1, dict.fromkeys(HEADS, 0), complete=True)
    assert "no such file" in (tmp_path / "scores" / "failures.jsonl").read_text()


def test_progress_is_plain_lines_and_quiet_is_quiet(corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    found = call(command(corpus, tmp_path / "loud", tiny_checkpoint))
    assert found.stdout == ""
    lines = found.stderr.splitlines()
    assert "59 articles, 717 sentences in" in lines[-1]
    assert "3 exact duplicates scored once; 1 ids were there before" in lines[-1]
    assert "2 failures, see failures.jsonl" in lines[-1]
    assert any("articles/s" in line and "left" in line for line in lines[:-1])
    found = call(command(corpus, tmp_path / "quiet", tiny_checkpoint, "--quiet"))
    assert [line.split(":")[0] for line in found.stderr.splitlines()] == ["error", "error"]
