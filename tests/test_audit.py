"""The audit loop as its users go round it: scores, a sample, coders' files, corrected shares."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slant.audit import ALL, Audit, Corpus
from slant.codebook import Codebook
from slant.estimate import EstimateError
from slant.scores import NOTHING, Scores, ScoresError
from slant.strata import strata_of
from tests.conftest import CODEBOOK
from tests.scored import FRAMES, MODEL, OUTLETS, Truth, write_scores
from training.commands import ROOT
from training.sample import allocate, diverse, draw, uncertain

BOOK = Codebook.parse(CODEBOOK)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("corpus") / "scores"
    return path, write_scores(path, BOOK)


@pytest.fixture(scope="module")
def scores(folder: tuple[Path, Truth]) -> Scores:
    return Scores.load(folder[0])


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("annotations")
    (path / "codebook.toml").write_text(CODEBOOK)
    return path


def run(module: str, *arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    found = subprocess.run([sys.executable, "-m", module, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
    assert found.returncode == code, found.stderr + found.stdout
    assert "Traceback" not in found.stderr
    return found


def answer(tasks: Path, scores: Scores, truth: Truth, into: Path, *, skip: int = 0, slips: int = 0) -> None:
    """Fill in a spreadsheet as a coder who knows the truth does, but for some that are skipped and some slips."""
    places = {f"{n}:{s}": i for i, (n, s) in enumerate(zip(scores.column("number"), scores.column("sentence"), strict=True))}
    with tasks.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows[skip:]):
        i = places[row["id"].rsplit(":", 1)[0]]
        row["frames"] = "|".join(label for label, yes in zip(FRAMES, truth.frames[i], strict=True) if yes)
        row["stance"], row["voice"] = "neutral" if number < slips else truth.stance[i], truth.voice[i]
    with into.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def coded(folder: tuple[Path, Truth], scores: Scores, book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The loop, gone round once by two coders."""
    path = tmp_path_factory.mktemp("audit")
    out = run("training.sample", folder[0], "--size", 250, "--by", "outlet", "-o", path / "sample", "--annotations", book).stdout
    assert out.startswith("250 of ")
    for coder, slips in (("ana", 0), ("eve", 20)):
        answer(path / "sample" / "tasks.csv", scores, folder[1], path / f"{coder}.csv", slips=slips)
        said = run(
            "training.coded", path / "sample", path / f"{coder}.csv", "--coder", coder, "-o", path / "coded.jsonl", "--annotations", book
        ).stdout
    assert "250 of 250 sentences coded by ana, eve" in said
    assert "Krippendorff's alpha: economic 1.00" in said
    return path / "coded.jsonl"


def test_coders_see_no_prediction_and_no_order(coded: Path) -> None:
    with (coded.parent / "sample" / "tasks.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["suggestion"], row["frames"], row["stance"], row["voice"]) for row in rows} == {("", "", "", "")}
    assert all(row["scope"] == "to any ship" for row in rows)
    drawn = [json.loads(line) for line in (coded.parent / "sample" / "sample.jsonl").read_text().splitlines()]
    assert [row["id"] for row in drawn] == [row["id"] for row in rows]
    strata = [row["stratum"] for row in drawn]
    assert strata != sorted(strata)
    first = next(row for row in rows if row["before"])
    assert first["before"].startswith("Sentence ")


def test_inclusion_probabilities_are_those_of_the_draw(coded: Path, scores: Scores) -> None:
    drawn = [json.loads(line) for line in (coded.parent / "sample" / "sample.jsonl").read_text().splitlines()]
    assert sum(1 / row["probability"] for row in drawn) == pytest.approx(len(scores.sentences))
    strata = strata_of(scores, ["outlet"], 250)
    hits = np.zeros(len(strata))
    for seed in range(300):
        hits[draw(strata, 250, np.random.default_rng(seed))] += 1
    for stratum in np.unique(strata):
        inside = hits[strata == stratum] / 300
        probability = next(row["probability"] for row in drawn if row["stratum"] == stratum)
        assert inside.mean() == pytest.approx(probability)
        assert np.all(np.abs(inside - probability) < 0.15)


def test_corrected_shares_hold_the_truth_that_the_model_misses(coded: Path, scores: Scores, folder: tuple[Path, Truth]) -> None:
    corpus = Corpus(scores, Audit.load(coded, scores), "corpus", level=0.99)
    truth = folder[1].frames
    groups, names = scores.group("outlet")
    missed = 0
    for row in corpus.shares(["outlet"], codes=["frame"]):
        true = truth[groups == names.index(row.group), FRAMES.index(row.label)].mean()
        assert row.corrected is not None
        assert row.corrected.low <= true <= row.corrected.high
        missed += not row.uncorrected.low <= true <= row.uncorrected.high
    assert missed >= 2
    assert {row.group for row in corpus.shares(["outlet"])} == set(OUTLETS)


def test_where_coders_differ_each_counts(coded: Path, scores: Scores) -> None:
    audit = Audit.load(coded, scores)
    values = set(np.unique(audit.answers("stance", "neutral")))
    assert values == {0.0, 0.5, 1.0}
    assert audit.coders == ["ana (human)", "eve (human)"]
    assert audit.uncoded == 0


def test_groups_by_columns_and_periods(scores: Scores) -> None:
    assert scores.group("year")[1] == ["2020", "2021"]
    assert scores.group("month")[1][0] == "2020-01"
    assert scores.group("week")[1][0].startswith("2020-W")
    rows = list(Corpus(scores).shares(["outlet", "year"], codes=["voice"]))
    assert {row.group for row in rows} >= {"Gazette × 2020", "Gazette × 2021"}
    assert sum(row.sentences for row in rows if row.label == "author") == len(scores.sentences)
    with pytest.raises(
        ScoresError, match="column 'author' was not kept; there is outlet, date, year, month, week; score with --keep author"
    ):
        scores.group("author")


def test_a_period_needs_dates_that_tell_it(scores: Scores, tmp_path: Path) -> None:
    column = scores.sentences.column_names.index("date")
    dates = ["2020-05-17", "2020-05", "2020", "", None, "May"] + ["2021-01-01"] * (len(scores.sentences) - 6)
    vague = replace(scores, sentences=scores.sentences.set_column(column, "date", [dates]))
    groups, names = vague.group("month")
    assert [names[group] for group in groups[:6]] == ["2020-05", "2020-05", NOTHING, NOTHING, NOTHING, NOTHING]
    assert np.isnan(vague.years[:6]).tolist() == [False, False, False, True, True, True]
    write_scores(tmp_path / "scores", BOOK, articles=6, keep=("outlet",))
    with pytest.raises(ScoresError, match="'month' is told from the column 'date', which was not kept"):
        Scores.load(tmp_path / "scores").group("month")


def test_shares_of_one_code_add_up(coded: Path, scores: Scores) -> None:
    rows = [row for row in Corpus(scores, Audit.load(coded, scores), tuning=0.0).shares() if row.code == "stance"]
    assert sum(row.uncorrected.value for row in rows) == pytest.approx(1)
    assert sum(row.best.value for row in rows) == pytest.approx(1)
    assert {row.group for row in rows} == {ALL}


def test_the_command_prints_and_writes(coded: Path, folder: tuple[Path, Truth], tmp_path: Path) -> None:
    out = run("slant.estimate", folder[0], coded, "--by", "outlet", "-o", tmp_path / "shares.csv", "--power", "0.03").stdout
    assert "corrected by 250 sentences coded by ana (human), eve (human)" in out
    assert "to code in all" in out
    assert "<b>Post</b> & Sons" in out
    with (tmp_path / "shares.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (2 + 3 + 2 + 3)
    for row in rows:
        assert float(row["corrected_low"]) <= float(row["corrected"]) <= float(row["corrected_high"])
    assert "points" in run("slant.estimate", folder[0], coded, "--by", "outlet", "--differences").stdout
    assert "change a year" not in run("slant.estimate", folder[0], coded, "--trend").stderr


def test_without_a_sample_it_says_uncorrected(folder: tuple[Path, Truth]) -> None:
    out = run("slant.estimate", folder[0]).stdout
    assert "UNCORRECTED" in out
    assert "safety (C)" in out
    assert "economic (C)" not in out
    assert "(C): of low reliability" in out
    assert "corrected " not in out.splitlines()[0].replace("uncorrected", "")


@pytest.mark.parametrize("strategy", ["uncertainty", "diversity"])
def test_samples_that_are_no_probability_samples_are_refused(
    strategy: str, folder: tuple[Path, Truth], scores: Scores, book: Path, tmp_path: Path
) -> None:
    run("training.sample", folder[0], "--size", 20, "--strategy", strategy, "-o", tmp_path / "s", "--annotations", book)
    answer(tmp_path / "s" / "tasks.csv", scores, folder[1], tmp_path / "ana.csv")
    run("training.coded", tmp_path / "s", tmp_path / "ana.csv", "--coder", "ana", "-o", tmp_path / "coded.jsonl", "--annotations", book)
    error = run("slant.estimate", folder[0], tmp_path / "coded.jsonl", code=2).stderr
    assert f"coded.jsonl line 1: drawn by {strategy}" in error.replace("\n", "")


def test_uncertainty_picks_the_least_sure_from_several_articles(scores: Scores) -> None:
    chosen = uncertain(scores, 12)
    confidence = scores.sentences["confidence"].to_numpy()
    assert np.bincount(scores.article[chosen]).max() <= 3
    assert confidence[chosen].mean() < np.quantile(confidence, 0.1)


def test_diversity_picks_unlike_sentences(scores: Scores) -> None:
    chosen = diverse(scores, 10, seed=1)
    assert len(chosen) == len(set(chosen.tolist()))
    assert 5 <= len(chosen) <= 10


def changed(coded: Path, into: Path, **values: object) -> Path:
    rows = [json.loads(line) for line in coded.read_text().splitlines()]
    into.write_text("".join(json.dumps({**row, **values}) + "\n" for row in rows))
    return into


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "f" * 64}, f"drawn from scores of model {'f' * 12}, not {MODEL[:12]}"),
        ({"stratum_size": 7}, "is not in .* as it was drawn"),
        ({"start": 1, "end": 2}, "is not in .* as it was drawn"),
        ({"stance": "maybe"}, "stance 'maybe' is none of favor, against, neutral"),
    ],
)
def test_a_sample_of_other_scores_is_refused(values: dict[str, object], message: str, coded: Path, scores: Scores, tmp_path: Path) -> None:
    with pytest.raises(EstimateError, match=message):
        Audit.load(changed(coded, tmp_path / "coded.jsonl", **values), scores)


def test_kinds_of_coders_are_not_mixed(coded: Path, scores: Scores, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in coded.read_text().splitlines()]
    mixed = [{**row, "coder_kind": "machine"} if row["coder"] == "eve" else row for row in rows]
    (tmp_path / "coded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mixed))
    with pytest.raises(EstimateError, match="codes by human and machine coders are never mixed; choose with --kind"):
        Audit.load(tmp_path / "coded.jsonl", scores)
    assert Audit.load(tmp_path / "coded.jsonl", scores, kind="human").coders == ["ana (human)"]


def test_a_half_coded_stratum_is_refused_and_a_few_missing_are_said(
    coded: Path, scores: Scores, folder: tuple[Path, Truth], tmp_path: Path
) -> None:
    lines = coded.read_text().splitlines()
    few = tmp_path / "few.jsonl"
    ids = [json.loads(line)["id"] for line in lines[:3]]
    few.write_text("".join(line + "\n" for line in lines if json.loads(line)["id"] not in ids))
    assert "3 drawn sentences are not coded" in run("slant.estimate", folder[0], few).stdout
    few.write_text("".join(line + "\n" for line in lines[:40]))
    with pytest.raises(EstimateError, match="code the rest of the sample"):
        Audit.load(few, scores)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such"], "not a folder of scores"),
        (["SCORES", "no.jsonl"], "no.jsonl: cannot be read"),
        (["SCORES", "--differences"], "--differences needs one --by COLUMN"),
        (["SCORES", "--power", "0.03"], "--power is told from coded sentences"),
        (["SCORES", "--trend", "--differences", "--by", "outlet"], "do not go together"),
        (["SCORES", "--by", "nothing"], "column 'nothing' was not kept"),
        (["SCORES", "-o", "x.doc"], "rows are written as .csv"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str, folder: tuple[Path, Truth]) -> None:
    error = run("slant.estimate", *(str(folder[0]) if a == "SCORES" else a for a in arguments), code=2).stderr
    (line,) = error.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_scores_that_are_not_parquet_are_refused(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores", BOOK, articles=6)
    (tmp_path / "scores" / "sentences" / "part-00000.parquet").rename(tmp_path / "scores" / "sentences" / "part-00000.csv")
    with pytest.raises(ScoresError, match="not Parquet; score with --format parquet"):
        Scores.load(tmp_path / "scores")


def test_an_answer_that_cannot_be_taken_is_listed(coded: Path, book: Path, tmp_path: Path) -> None:
    text = (coded.parent / "ana.csv").read_text()
    (tmp_path / "bad.csv").write_text(text.replace(",favor,", ",faver,", 1))
    found = run(
        "training.coded",
        coded.parent / "sample",
        tmp_path / "bad.csv",
        "--coder",
        "bo",
        "-o",
        tmp_path / "c.jsonl",
        "--annotations",
        book,
        code=2,
    )
    assert "stance 'faver' is not in the codebook (did you mean 'favor'?)" in found.stdout
    assert "249 of 250 sentences coded by bo" in found.stdout


def test_a_sample_too_small_for_its_strata_is_refused() -> None:
    from training.commands import TrainingError

    with pytest.raises(TrainingError, match="--size 3: 2 strata need at least 4 sentences"):
        allocate(np.array([10, 10]), 3)
    assert allocate(np.array([5, 2]), 99).tolist() == [5, 2]
