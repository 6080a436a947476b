"""Reports on a scored corpus: every number where it belongs, warned where it must be, safe and readable."""

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from slant.audit import Audit, Corpus
from slant.codebook import Codebook
from slant.report.figures import figures
from slant.report.methods import bundle, paragraph
from slant.report.numbers import Numbers, numbers, unreliable
from slant.report.page import page
from slant.scores import Scores
from slant.strata import strata_of
from tests.conftest import CODEBOOK
from tests.scored import FRAMES, MODEL, OUTLETS, STANCES, Truth, write_scores
from tests.test_page import Seen
from training.coded import DRAWN
from training.commands import ROOT
from training.sample import Strategy, draw, records

BOOK = Codebook.parse(CODEBOOK)
SCORE = {
    "frame_f1": {"economic": 0.81, "safety": 0.55},
    "stance_f1": dict.fromkeys(STANCES, 0.72),
    "voice_f1": {"author": 0.95, "quoted": 0.9},
}
METRICS: dict[str, Any] = {
    "annotations_sha256": "ef56" * 16,
    "cross_validation": {
        "folds": 5,
        "coder_kinds": ["machine"],
        "sentences": {"all": 4321},
        "scores": {"slant": {"all": {**SCORE, "frames_macro": 0.68, "stance_macro": 0.72, "voice_macro": 0.925}}},
        "alpha": {
            "model and gold": {name: {"alpha": 0.5} for name in ("economic", "safety", "stance", "voice")},
            "coder and coder": {
                name: {"alpha": value} for name, value in (("economic", 0.9), ("safety", 0.6), ("stance", 0.8), ("voice", 0.95))
            },
        },
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("corpus") / "scores"
    return path, write_scores(path, BOOK)


@pytest.fixture(scope="module")
def scores(folder: tuple[Path, Truth]) -> Scores:
    return Scores.load(folder[0])


@pytest.fixture(scope="module")
def coded(folder: tuple[Path, Truth], scores: Scores, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample coded without slip by two coders."""
    import numpy as np

    strata = strata_of(scores, ["outlet"], 200)
    chosen = draw(strata, 200, np.random.default_rng(4))
    truth, lines = folder[1], []
    for index, row in zip(chosen, records(scores, chosen, Strategy.probability, strata, ["outlet"], 4), strict=True):
        said = {"frames": [f for f, yes in zip(FRAMES, truth.frames[index], strict=True) if yes], "stance": truth.stance[index]}
        for coder in ("ana", "eve"):
            lines.append({**{key: row[key] for key in DRAWN}, **said, "voice": truth.voice[index], "coder": coder, "coder_kind": "human"})
    path = tmp_path_factory.mktemp("coded") / "coded.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def plain(scores: Scores) -> Numbers:
    return numbers(Corpus(scores), ["outlet", "month"])


@pytest.fixture(scope="module")
def audited(scores: Scores, coded: Path) -> Numbers:
    return numbers(Corpus(scores, Audit.load(coded, scores)), ["outlet", "month"], metrics=METRICS)


def report(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    found = subprocess.run([sys.executable, "-m", "slant.report", *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == code, found.stderr
    assert "Traceback" not in found.stderr
    return found


def test_the_command_writes_page_figures_numbers_and_bundle(folder: tuple[Path, Truth], coded: Path, tmp_path: Path) -> None:
    found = report(folder[0], "--by", "outlet", "--by", "month", "--coded", coded, "-o", tmp_path / "report.html")
    beside = tmp_path / "report_files"
    assert f"wrote {tmp_path / 'report.html'}" in found.stdout
    assert {p.name for p in beside.iterdir()} == {
        "bundle.json", "course.csv", "course.svg", "differences-by-outlet.csv", "frame-by-stance.csv", "frame-by-stance.svg",
        "shares-by-outlet.csv", "shares-by-outlet.svg", "shares.csv", "shares.svg", "trends.csv",
    }  # fmt: skip
    kept = json.loads((beside / "bundle.json").read_text())
    assert kept["scores"]["model"] == MODEL
    assert kept["sample"]["coded"] == 200
    assert set(kept["files_sha256"]) == {"manifest.json", "coded.jsonl"}
    assert kept["methods"] in Seen((tmp_path / "report.html").read_text()).text
    again = report(folder[0], "--by", "outlet", "--by", "month", "--coded", coded, "-o", tmp_path / "again.html")
    assert again.returncode == 0
    assert (tmp_path / "again_files" / "bundle.json").read_bytes() == (beside / "bundle.json").read_bytes()
    for svg in beside.glob("*.svg"):
        assert svg.read_bytes() == (tmp_path / "again_files" / svg.name).read_bytes()


def test_the_page_says_what_the_tables_say(audited: Numbers) -> None:
    seen = Seen(page(audited, figures(audited), "The paragraph.")).text
    for rows in audited.tables.values():
        for row in rows:
            assert row.corrected is not None
            if row.corrected.value == row.corrected.value and row.quantity == "share":
                assert f"{row.corrected.value * 100:.1f} % [{row.corrected.low * 100:.1f}, {row.corrected.high * 100:.1f}]" in seen
    assert "The paragraph." in seen
    assert "empty" in seen  # why an article failed


def test_figures_are_svg_with_every_group(audited: Numbers) -> None:
    drawn = {figure.name: figure for figure in figures(audited)}
    for figure in drawn.values():
        root = ElementTree.fromstring(figure.svg)
        assert root.tag.endswith("svg")
        assert not [e for e in root.iter() if e.tag.endswith(("script", "foreignObject"))]
    text = "".join(ElementTree.fromstring(drawn["shares-by-outlet"].svg).itertext())
    for outlet in OUTLETS:
        assert outlet in text
    assert "corrected" in drawn["shares"].svg


def test_without_a_sample_everything_says_uncorrected(plain: Numbers) -> None:
    drawn = page(plain, figures(plain), paragraph(plain, ["outlet"], None))
    assert plain.warnings[0].startswith("The shares are uncorrected")
    assert "not corrected for its errors" in paragraph(plain, ["outlet"], None)
    assert all("(uncorrected)" in figure.caption for figure in figures(plain))
    assert '<th scope="col" class="r">corrected</th>' not in drawn


def test_every_number_of_the_paragraph_is_from_the_run(audited: Numbers) -> None:
    told = paragraph(audited, ["outlet", "month"], METRICS)
    for expected in (
        f"{audited.facts['sentences']} sentences of 60 articles (input sha256 cd34cd34cd34…)",
        "exact copies (1) were counted once",
        "1 article could not be read",
        "codebook test-1",
        "model sha256 ab12ab12ab12…",
        "data with sha256 ef56ef56ef56…",
        "on which machine coders agreed at Krippendorff's alpha economic 0.90, safety 0.60, stance 0.80, voice 0.95",
        "5 folds grouped by article, 4,321 sentences",
        "macro-F1 is 0.68 for frames, 0.72 for stance and 0.93 for voice".replace("0.93", f"{0.925:.2f}"),
        "a probability sample of 200 sentences",
        "seed 4",
        "ana (human), eve (human)",
        "Krippendorff's alpha was economic 1.00, safety 1.00, stance 1.00, voice 1.00",
        "prediction-powered",
        "Results are given by outlet and month.",
    ):
        assert expected in told
    assert not re.search(r"\bnan\b|None|\{|\}", told)
    kept = bundle(audited, ["outlet"], METRICS, {})
    assert json.loads(json.dumps(kept)) == kept
    assert sum(stratum["coded"] for stratum in kept["sample"]["strata"]) == 200


def test_labels_of_low_reliability_are_warned_of(scores: Scores) -> None:
    weak, loose = unreliable(scores, METRICS)
    assert "safety (frame); their shares as read" in weak
    assert "economic" not in weak
    assert "safety (0.60)" in loose
    assert unreliable(scores, None) == [weak]
    unmeasured = replace(scores, manifest={**scores.manifest, "tiers": {}})
    assert "not known" in unreliable(unmeasured, None)[0]


def test_labels_of_low_reliability_are_marked_wherever_they_are_counted(plain: Numbers) -> None:
    drawn = {figure.name: figure for figure in figures(plain)}
    for name in ("shares", "shares-by-outlet", "course"):
        text = "".join(ElementTree.fromstring(drawn[name].svg).itertext())
        assert "safety (C)" in text
        assert "economic (C)" not in text
    assert {row.group for row in plain.crossed if row.tier == "C"} == {"safety"}
    assert drawn["frame-by-stance"].svg.count("% (C)<") == 3
    seen = Seen(page(plain, list(drawn.values()), ""))
    assert "safety (C)" in seen.text
    assert "(C): of low reliability" in seen.text
    assert "economic (C)" not in seen.text


def test_what_was_left_open_is_in_no_share_and_told(tmp_path: Path) -> None:
    write_scores(tmp_path / "sure", BOOK)
    write_scores(tmp_path / "scores", BOOK, min_confidence=0.7)
    sure, scores = Scores.load(tmp_path / "sure"), Scores.load(tmp_path / "scores")
    found = numbers(Corpus(scores), ["outlet", "month"])
    left_open = scores.column("stance").count("uncertain")
    assert found.facts["coverage"]["stance"] == pytest.approx(1 - left_open / len(scores.sentences))
    for code in ("frame", "stance"):
        certain = scores.certain(code) > 0
        assert 0 < certain.mean() < 1
        for row in found.shares:
            if row.code == code:
                assert row.uncorrected.value == pytest.approx(sure.read(code, row.label)[certain].mean())
    for row in found.crossed:
        both = (scores.read("frame", row.group) * scores.certain("stance")) > 0
        assert row.uncorrected.value == pytest.approx(sure.read("stance", row.label)[both].mean())
    told = f"(at least 0.7; coverage: frames {scores.coverage['frames']:.0%}, stance {scores.coverage['stance']:.0%}, voice 100%)"
    assert told in paragraph(found, [], None)
    seen = Seen(page(found, figures(found), "")).text
    assert told in seen
    assert f"coverage, stance{scores.coverage['stance']:.1%}" in seen
    assert len(set(strata_of(scores, [], 100_000))) > len(set(strata_of(sure, [], 100_000)))  # what is left open is a label more


def test_what_a_reader_must_know_is_warned_of(scores: Scores, coded: Path, tmp_path: Path) -> None:
    stopped = replace(scores, manifest={**scores.manifest, "complete": False})
    assert any("not scored to its end" in warning for warning in numbers(Corpus(stopped), []).warnings)
    rows = [{**json.loads(line), "coder_kind": "machine"} for line in coded.read_text().splitlines()][:-2]
    (tmp_path / "coded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = " ".join(numbers(Corpus(scores, Audit.load(tmp_path / "coded.jsonl", scores)), []).warnings)
    assert "coded by machine coders" in said
    assert "1 sentence of the sample not coded" in said
    assert "uncorrected" not in said
    write_scores(tmp_path / "few", BOOK, articles=9)
    assert any(
        "Fewer than 20 articles of outlet" in warning for warning in numbers(Corpus(Scores.load(tmp_path / "few")), ["outlet"]).warnings
    )


def test_a_course_of_thin_groups_is_of_all_together(scores: Scores) -> None:
    thin = numbers(Corpus(scores), ["outlet", "week"])
    assert thin.course_by == ("week",)
    assert "Most outlets have fewer than 5 articles a week" in thin.warnings[-1]
    assert numbers(Corpus(scores), ["outlet", "month"]).course_by == ("month", "outlet")


def test_frame_by_stance_adds_up_and_is_of_the_frames_sentences(plain: Numbers, scores: Scores) -> None:
    for frame in FRAMES:
        rows = [row for row in plain.crossed if row.group == frame]
        assert sum(row.uncorrected.value for row in rows) == pytest.approx(1)
        assert rows[0].sentences == sum(frame in found for found in scores.column("frames"))


def test_examples_are_of_different_articles_and_can_be_left_out(plain: Numbers, scores: Scores) -> None:
    for found in (plain.typical, plain.uncertain):
        for label in FRAMES:
            own = [example for example in found if example.label == label]
            assert len(own) == 3
            assert len({example.article for example in own}) == 3
    assert [e.label for e in plain.uncertain if e.code == "voice"] == ["author"] * 3  # "quoted" would be the same sentences
    assert min(e.probability for e in plain.typical if e.label == "economic") > 0.9
    assert all(abs(e.probability - 0.5) < 0.1 for e in plain.uncertain if e.label == "economic")
    bare = numbers(Corpus(scores), [], examples=0)
    assert "gulls" not in page(bare, figures(bare), "")


def test_what_the_corpus_says_is_escaped(audited: Numbers) -> None:
    drawn = page(audited, figures(audited), "")
    assert "<b>Post" not in drawn
    assert "<i>&amp; more" not in drawn
    assert "<script" not in drawn


def test_spreadsheets_run_nothing(folder: tuple[Path, Truth], tmp_path: Path) -> None:
    scores = Scores.load(folder[0])
    column = scores.sentences.column_names.index("outlet")
    hostile = replace(scores, sentences=scores.sentences.set_column(column, "outlet", [["=1+1"] * len(scores.sentences)]))
    from slant.audit import write_csv

    with (tmp_path / "x.csv").open("w", newline="") as file:
        write_csv(list(Corpus(hostile).shares(["outlet"])), file)
    with (tmp_path / "x.csv").open(newline="") as file:
        assert {row["group"] for row in csv.DictReader(file)} == {"'=1+1"}


def test_a_corpus_without_groups_or_dates_is_reported(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores", BOOK, articles=6, keep=())
    report(tmp_path / "scores", "-o", tmp_path / "report.html")
    assert {p.name for p in (tmp_path / "report_files").glob("*.svg")} == {"shares.svg", "frame-by-stance.svg"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such", "-o", "r.html"], "not a folder of scores"),
        (["SCORES", "-o", "r.pdf"], "a report is written as .html"),
        (["SCORES", "-o", "no/such/r.html"], "does not exist; make it first"),
        (["SCORES", "--by", "page", "-o", "OUT"], "column 'page' was not kept; there is outlet, date, year, month, week"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, folder: tuple[Path, Truth], tmp_path: Path) -> None:
    places = {"SCORES": folder[0], "OUT": tmp_path / "r.html"}
    (line,) = report(*(places.get(argument, argument) for argument in arguments), code=2).stderr.strip().splitlines()
    assert message in line
