"""Tasks out to annotators' tools and codes back, through the commands, in each tool's format."""

import csv
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slant.codebook import AnnotationError, Codebook
from tests.conftest import TARGET
from training.annotations import Annotation, Annotations
from training.commands import ROOT
from training.exchange import Tool
from training.formats import FORMATS, label_studio_config
from training.tasks import Answer, Task, reread, settle, take, tasks

CODERS = ("one", "two")


@pytest.fixture
def corpus(tiny_corpus: Path, tmp_path: Path) -> Path:
    """The tiny corpus with the codes and gold of article a0 taken out, and an odd text of its own."""
    folder = Path(shutil.copytree(tiny_corpus, tmp_path / "annotations"))
    for name in ("codes", "gold"):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(line + "\n" for line in path.read_text().splitlines() if json.loads(line)["article"] != "a0"))
    return folder


def exchange(corpus: Path, *arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "training.exchange", *map(str, arguments), "--annotations", str(corpus)]
    found = subprocess.run(command, capture_output=True, cwd=ROOT)
    assert found.returncode == code, (found.stdout + found.stderr).decode()
    assert b"Traceback" not in found.stderr
    return (found.stdout + found.stderr).decode()


def a0(corpus: Path) -> list[Task]:
    return tasks(Annotations.load(corpus, None), articles=["a0"])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# How each tool marks a task as coded: what the coder chose, added to the row that we exported.
def in_csv(folder: Path, chosen: list[tuple[list[str], str, str]]) -> Path:
    with (folder / "tasks.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    with (folder / "done.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        for row, (frames, stance, voice) in zip(rows, chosen, strict=True):
            writer.writerow({**row, "text": f"  {row['text']} ", "frames": " | ".join(frames), "stance": stance, "voice": voice})
    return folder / "done.csv"


def in_label_studio(folder: Path, chosen: list[tuple[list[str], str, str]]) -> Path:
    rows = []
    for number, (row, (frames, stance, voice)) in enumerate(
        zip(json.loads((folder / "tasks.json").read_text()), chosen, strict=True), start=1
    ):
        results = [
            {"id": "x", "from_name": name, "to_name": "text", "type": "choices", "origin": "manual", "value": {"choices": labels}}
            for name, labels in (("frames", frames), ("stance", [stance]), ("voice", [voice]))
            if labels
        ]
        skipped = {"id": 1, "completed_by": 1, "was_cancelled": True, "result": []}
        rows.append(
            {"id": number, "annotations": [skipped, {"id": 2, "completed_by": 1, "was_cancelled": False, "result": results}], **row}
        )
    (folder / "done.json").write_text(json.dumps(rows))
    return folder / "done.json"


def flat(frames: list[str], stance: str, voice: str) -> list[str]:
    return sorted([f"voice: {voice}", *(f"frames: {frame}" for frame in frames), f"stance: {stance}"])


def in_doccano(folder: Path, chosen: list[tuple[list[str], str, str]]) -> Path:
    tasks = lines(folder / "tasks.jsonl")
    with zipfile.ZipFile(folder / "done.zip", "w") as archive:
        for member, labels in (("ana", [flat(*code) for code in chosen]), ("admin", [[] for _ in chosen])):
            rows = [{**row, "label": label, "Comments": []} for row, label in zip(tasks, labels, strict=True)]
            archive.writestr(f"{member}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return folder / "done.zip"


def in_prodigy(folder: Path, chosen: list[tuple[list[str], str, str]]) -> Path:
    done = folder / "done.jsonl"
    rows = [
        {**row, "accept": flat(*code), "answer": "accept", "_view_id": "choice", "_input_hash": 1}
        for row, code in zip(lines(folder / "tasks.jsonl"), chosen, strict=True)
    ]
    done.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return done


def in_potato(folder: Path, chosen: list[tuple[list[str], str, str]]) -> Path:
    done = folder / "done.jsonl"
    rows = []
    for row, (frames, stance, voice) in zip(lines(folder / "tasks.jsonl"), chosen, strict=True):
        found = {"frames": {frame: frame for frame in frames}, "stance": {stance: stance}, "voice": {voice: voice}}
        labels = {scheme: labels for scheme, labels in found.items() if labels}
        rows.append({"instance_id": row["id"], "user_id": "ana", "labels": labels, "spans": {}, "links": {}})
    done.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return done


DONE: dict[str, Callable[[Path, list[tuple[list[str], str, str]]], Path]] = {
    "csv": in_csv,
    "label-studio": in_label_studio,
    "doccano": in_doccano,
    "prodigy": in_prodigy,
    "potato": in_potato,
}


@pytest.mark.parametrize("tool", FORMATS)
def test_codes_come_back_at_the_very_offsets(tool: str, corpus: Path, tmp_path: Path) -> None:
    before = (corpus / "codes.jsonl").read_text()
    exchange(corpus, "export", tool, "--article", "a0", "--output", tmp_path / "tasks")
    chosen = [(["economic", "safety"], "favor", "quoted"), ([], "neutral", "author"), (["safety"], "against", "author")] * 3
    done = DONE[tool](tmp_path / "tasks", chosen)
    assert "9 codes added, 0 there already, 0 problems" in exchange(corpus, "import", tool, done, "--coder", "ana")
    annotations = Annotations.load(corpus, None)
    found = [row for row in annotations.codes if row.article == "a0"]
    assert [(sorted(row.frames), row.stance, row.voice) for row in found] == chosen
    assert [row.key for row in found] == [task.key for task in a0(corpus)]
    assert {(row.coder, row.coder_kind) for row in found} == {("ana", "human")}
    assert (corpus / "codes.jsonl").read_text().startswith(before)
    assert "0 codes added, 9 there already, 0 problems" in exchange(corpus, "import", tool, done, "--coder", "ana")


# What the tools themselves exported once: article a0's tasks, imported as we write them and coded in their own interfaces.
# Task 8 was left undone; task 9 was skipped where the tool has that.
TRUE_EXPORTS = {"label-studio": "label-studio-1.23.2.json", "doccano": "doccano-1.8.4.zip", "potato": "potato-2.12.1.jsonl"}


@pytest.mark.parametrize("tool", TRUE_EXPORTS)
def test_what_the_tools_truly_export_is_read(tool: str, corpus: Path) -> None:
    said = exchange(
        corpus, "import", tool, ROOT / "tests" / "data" / TRUE_EXPORTS[tool], "--coder", "ana", code=0 if tool == "potato" else 2
    )
    assert "7 codes added, 0 there already" in said
    undone = {"label-studio": 1, "doccano": 2, "potato": 0}[tool]
    assert said.count("not done, stance and voice not chosen") == undone
    found = [row for row in Annotations.load(corpus, None).codes if row.article == "a0"]
    chosen = [(["economic", "safety"], "favor", "quoted"), ([], "neutral", "author"), (["safety"], "against", "author")] * 3
    keys = [task.key for task in a0(corpus)]
    assert {row.key: (sorted(row.frames), row.stance, row.voice, row.coder) for row in found} == {
        key: (*code, "ana") for key, code in zip(keys[:7], chosen[:7], strict=True)
    }


def test_annotators_whom_label_studio_only_numbers_stay_apart(corpus: Path, tmp_path: Path) -> None:
    exchange(corpus, "export", "label-studio", "--article", "a0", "--output", tmp_path / "tasks")
    done = in_label_studio(tmp_path / "tasks", [([], "neutral", "author")] * 9)
    rows = json.loads(done.read_text())
    rows[0]["annotations"][1]["completed_by"] = 2
    rows[1]["annotations"][1]["completed_by"] = {"id": 3, "email": "bo@example.org"}
    done.write_text(json.dumps(rows))
    exchange(corpus, "import", "label-studio", done, "--coder", "ana")
    coders = [row.coder for row in Annotations.load(corpus, None).codes if row.article == "a0"]
    assert coders == ["annotator-2", "bo@example.org", *["annotator-1"] * 7]


def test_every_label_of_a_large_codebook_is_offered(corpus: Path, tmp_path: Path) -> None:
    many = ", ".join(f'{{label = "frame {i}", definition = ""}}' for i in range(40))
    codebook = Codebook.parse((corpus / "codebook.toml").read_text().replace("frames = [", f"frames = [{many}, "))
    assert label_studio_config(codebook).count("<Choice ") == 42 + 3 + 2
    _, types = FORMATS["doccano"].write(a0(corpus), codebook, tmp_path)
    assert len(json.loads(types.read_text())) == 42 + 3 + 2


def test_half_done_unknown_unmatched_and_conflicting_answers_are_named_and_the_rest_is_taken(corpus: Path) -> None:
    annotations = Annotations.load(corpus, None)
    found = a0(corpus)
    other = next(row for row in annotations.codes if row.article == "a1" and row.stance == "favor")
    answers = [
        Answer("f line 1", found[0].id, found[0].text, (), "neutral", "author"),
        Answer("f line 2", found[1].id, found[1].text, (), "", "author"),
        Answer("f line 3", found[2].id, found[2].text, ("econmic",), "neutral", "author"),
        Answer("f line 4", "b0:1:0-9", "", (), "neutral", "author"),
        Answer("f line 5", found[3].id, "Another sentence.", (), "neutral", "author"),
        Answer("f line 6", f"a1:1:{other.start}-{other.end}", "", (), "neutral", "author", coder="two"),
        Answer("f line 7", "", "  ".join(found[4].text.split()), (), "neutral", "author"),
        Answer("f line 8", found[5].id, found[5].text, (), "neutral, favor (choose one)", "author"),
    ]
    outcome = take(annotations, answers, coder="ana", kind="machine")
    assert [row.key for row in outcome.annotations] == [found[0].key, found[4].key]
    assert [problem[:8] for problem in outcome.problems] == [f"f line {i}" for i in (2, 3, 4, 5, 6, 8)]
    for problem, said in zip(
        outcome.problems,
        ("stance not chosen", "did you mean 'economic'", "no sentence of this corpus", "is not that of", "otherwise already", "choose one"),
        strict=True,
    ):
        assert said in problem
    assert take(annotations, answers[:1], coder=None, kind="human").problems == [
        "f line 1: the file does not say who coded; give --coder",
    ]
    assert "coder 'one' is machine" in take(annotations, answers[:1], coder="one", kind="human").problems[0]


def test_settling_takes_agreement_and_an_adjudicators_reasons(corpus: Path, tmp_path: Path) -> None:
    for coder, stance in zip(CODERS, ("favor", "neutral"), strict=True):
        exchange(corpus, "export", "csv", "--article", "a0", "--output", tmp_path / coder)
        chosen: list[tuple[list[str], str, str]] = [([], "neutral", "author")] * 8 + [(["safety"], stance, "author")]
        exchange(corpus, "import", "csv", in_csv(tmp_path / coder, chosen), "--coder", coder, "--kind", "machine")
    assert ("a0", TARGET) in Annotations.load(corpus, None).waiting
    assert "1 sentences are disputed and not adjudicated" in exchange(corpus, "settle", code=2)
    exchange(corpus, "export", "csv", "--disputed", "--output", tmp_path / "disputed")
    with (tmp_path / "disputed" / "tasks.csv").open(newline="", encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert row["codes"] == "one: safety, favor, author; two: safety, neutral, author"
    with (tmp_path / "settled.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow({**row, "frames": "safety", "stance": "favor", "voice": "author", "reason": "rule 1: it argues"})
    assert "9 gold sentences added, 1 articles settled, 0 problems" in exchange(corpus, "settle", tmp_path / "settled.csv")
    gold = [row for row in Annotations.load(corpus, None).gold if row.article == "a0"]
    assert [row.adjudicator for row in gold] == ["agreement"] * 8 + ["adjudicator"]
    assert gold[-1].reason == "rule 1: it argues"


def test_an_answer_without_a_reason_settles_nothing(corpus: Path) -> None:
    annotations = Annotations.load(corpus, None)
    task = a0(corpus)[0]
    outcome = settle(annotations, [Answer("f line 1", task.id, "", (), "neutral", "author")], adjudicator="eve", kind="human")
    assert outcome.problems == ["f line 1: no reason; an adjudicator says why"]
    assert outcome.gold == []


def test_a_second_reading_changes_gold_and_keeps_what_it_was(tiny_corpus: Path, tmp_path: Path) -> None:
    corpus = Path(shutil.copytree(tiny_corpus, tmp_path / "annotations"))
    first, second = a0(corpus)[:2]
    (tmp_path / "again.csv").write_text(
        "id,text,frames,stance,voice,reason\n"
        f"{first.id},,safety,favor,author,the headline warns\n{second.id},,{','.join(gold_cells(corpus, second))},\n"
    )
    assert "1 gold sentences changed, 1 confirmed, 0 problems" in exchange(corpus, "reread", tmp_path / "again.csv", "--adjudicator", "eve")
    changed = Annotations.load(corpus, None).gold[0]
    assert (set(changed.frames), changed.stance, changed.adjudicator) == ({"safety"}, "favor", "eve")
    assert changed.reason == "re-read, was no frame, neutral, author: the headline warns"


def test_a_second_reading_keeps_which_of_its_frames_a_sentence_attacks(tiny_corpus: Path) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    old = next(row for row in annotations.gold if row.frames == {"economic", "safety"})
    attacking = replace(old, attacked=frozenset({"economic", "safety"}))
    annotations = replace(annotations, gold=tuple(attacking if row is old else row for row in annotations.gold))
    (task,) = (task for task in tasks(annotations) if task.key == old.key)
    outcome = reread(
        annotations, [Answer("f", task.id, "", ("safety",), old.stance, old.voice, reason="r")], adjudicator="eve", kind="human"
    )
    assert [row.attacked for row in outcome.gold] == [{"safety"}]


def gold_cells(corpus: Path, task: Task) -> list[str]:
    row = next(row for row in Annotations.load(corpus, None).gold if row.key == task.key)
    return ["|".join(row.frames), row.stance, row.voice]


def test_suggestions_are_the_models_readings(corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    for tool in FORMATS:
        exchange(corpus, "export", tool, "--article", "a0", "--suggest", "--model", tiny_checkpoint, "--output", tmp_path / tool)
    suggested = {row["text"]: row["accept"] for row in lines(tmp_path / "prodigy" / "tasks.jsonl")}
    assert any("frames: economic" in label for label in suggested.values())
    for row in lines(tmp_path / "doccano" / "tasks.jsonl"):
        assert row["label"] == []
        assert row["suggestion"].split(", ")[1] in {label.removeprefix("stance: ") for label in suggested[row["text"]]}
    for row in json.loads((tmp_path / "label-studio" / "tasks.json").read_text()):
        (prediction,) = row["predictions"]
        chosen = {result["from_name"]: result["value"]["choices"] for result in prediction["result"]}
        assert set(flat(chosen["frames"], chosen["stance"][0], chosen["voice"][0])) == set(suggested[row["data"]["text"]])


def test_an_export_overwrites_nothing(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "tasks.csv").write_text("hours of work")
    assert "not empty" in exchange(corpus, "export", "csv", "--output", tmp_path / "tasks", code=2)
    assert (tmp_path / "tasks" / "tasks.csv").read_text() == "hours of work"


@pytest.mark.parametrize("tool", FORMATS)
def test_another_tools_file_is_one_line(tool: str, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.txt").write_text("no such export\n")
    message = exchange(corpus, "import", tool, tmp_path / "odd.txt", "--coder", "ana", code=2)
    assert message.startswith("error: ")
    assert str(tmp_path / "odd.txt") in message


def test_the_command_offers_every_format() -> None:
    assert [tool.value for tool in Tool] == list(FORMATS)


def test_an_unknown_article_is_named(corpus: Path) -> None:
    with pytest.raises(AnnotationError, match="article 'a99'"):
        tasks(Annotations.load(corpus, None), articles=["a99"])


def test_tasks_show_the_neighbours(corpus: Path) -> None:
    found = a0(corpus)
    assert found[0].before == ""
    assert found[1].before == found[0].text
    assert found[1].after == found[2].text
    assert found[-1].after == ""
    assert isinstance(found[0].codes, tuple)
    assert all(isinstance(code, Annotation) for code in found[0].codes)
