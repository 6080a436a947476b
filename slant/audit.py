"""The shares of a scored corpus, corrected by a coded sample of its sentences: the command behind ``python -m slant.estimate``."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from slant.agreement import alphas
from slant.estimate import LEVEL, Design, Estimate, EstimateError, Floats, Integers, Outcome, Population, Survey, as_read, corrected
from slant.reliability import LEGEND, Tier, marked
from slant.render import percentages, safe_cell
from slant.scores import Scores, ScoresError
from slant.strata import strata_of

CODES = ("frame", "stance", "voice")
AUTHOR_STANCE = "author's stance"
COLUMNS = ("quantity", "by", "group", "code", "label", "tier", "sentences", "articles", "uncorrected", "uncorrected_low", "uncorrected_high", "corrected", "corrected_low", "corrected_high")  # fmt: skip
KEYS = ("id", "number", "sentence", "start", "end", "frames", "stance", "voice", "coder", "coder_kind", "strategy", "seed", "model", "by", "sample_size", "stratum", "stratum_size", "stratum_drawn")  # fmt: skip
ALL = "all"
Pair = tuple[Outcome, Outcome | None]  # what is counted, and what it is counted among
WIDTH = 150  # columns of a table that goes to no terminal


@dataclass(frozen=True)
class Row:
    """One quantity of one group: a share in [0, 1], a difference of shares, or a share's change in a year."""

    quantity: str
    by: str
    group: str
    code: str
    label: str
    tier: Tier  # of the label's reliability
    sentences: int
    articles: int
    uncorrected: Estimate
    corrected: Estimate | None = None
    needed: int | None = None  # coded sentences in all for the precision wanted; None where not asked, or never

    @property
    def marked(self) -> str:
        """The label, marked where it is of low reliability."""
        return marked(self.label, self.tier)

    @property
    def best(self) -> Estimate:
        """The corrected one, where there is one."""
        return self.corrected or self.uncorrected

    def cells(self) -> dict[str, Any]:
        """The row as plain values under ``COLUMNS``; empty where nothing is corrected."""
        found: dict[str, Any] = {name: getattr(self, name) for name in COLUMNS[:8]}
        for name, one in (("uncorrected", self.uncorrected), ("corrected", self.corrected)):
            values = (one.value, one.low, one.high) if one else ("", "", "")
            found |= dict(zip((name, f"{name}_low", f"{name}_high"), (_number(value) for value in values), strict=True))
        return found


@dataclass(frozen=True)
class Audit:
    """A coded probability sample of a corpus, checked against it."""

    design: Design
    rows: tuple[dict[str, Any], ...]  # every coder's, of the sentences in the order of design.coded
    place: Integers  # of each row among the coded sentences
    drawn: int  # how many sentences were to be coded

    @classmethod
    def load(cls, path: Path, scores: Scores, *, kind: str | None = None) -> "Audit":
        """Read coded sentences and check that they are a probability sample of these very scores.

        Args:
            path: what ``training.coded`` wrote.
            scores: the corpus that the sample was drawn from.
            kind: only codes by coders of this kind, ``human`` or ``machine``.

        Raises:
            EstimateError: when they are not, naming file, line, value and way out.
        """
        rows = [row for row in _rows(path) if kind is None or row[1]["coder_kind"] == kind]
        if not rows:
            raise EstimateError(f"{path}: no coded sentence{f' by a {kind} coder' if kind else ''} in it; give what training.coded wrote")
        kinds = sorted({row["coder_kind"] for _, row in rows})
        if len(kinds) > 1:
            raise EstimateError(f"{path}: codes by {' and '.join(kinds)} coders are never mixed; choose with --kind")
        first = rows[0][1]
        index = _places(scores)
        strata = strata_of(scores, first["by"], first["sample_size"])
        sizes = np.bincount(strata)
        found: list[int] = []
        for place, row in rows:
            if row["strategy"] != "probability":
                raise EstimateError(
                    f"{place}: drawn by {row['strategy']}, which picks what the model finds hard, so its shares say nothing about the corpus; "
                    "draw with training.sample --strategy probability"
                )
            if row["model"] != scores.model:
                raise EstimateError(
                    f"{place}: drawn from scores of model {row['model'][:12]}, not {scores.model[:12]}; draw a sample of these scores"
                )
            if (row["by"], row["sample_size"]) != (first["by"], first["sample_size"]):
                raise EstimateError(f"{place}: of another sample than the line above; estimate from one sample at a time")
            at = index.get((row["number"], row["sentence"], row["start"], row["end"]))
            if at is None or int(strata[at]) != row["stratum"] or int(sizes[row["stratum"]]) != row["stratum_size"]:
                raise EstimateError(
                    f"{place}: sentence {row['sentence']} of article {row['number']} is not in {scores.folder} as it was drawn; give the scores it was drawn from"
                )
            for code, value in (*(("frame", frame) for frame in row["frames"]), ("stance", row["stance"]), ("voice", row["voice"])):
                if value not in labels(scores, code):
                    raise EstimateError(f"{place}: {code} '{value}' is none of {', '.join(labels(scores, code))}")
            found.append(at)
        coded, position = np.unique(np.array(found, dtype=np.int64), return_inverse=True)
        try:
            design = Design(strata, coded)
        except EstimateError as error:
            raise EstimateError(f"{path}: {error}; code the rest of the sample") from None
        return cls(design, tuple(row for _, row in rows), position.reshape(-1).astype(np.int64), first["sample_size"])  # fmt: skip

    def answers(self, code: str, label: str, *, voice: str | None = None, frame: str | None = None) -> Floats:
        """The share of coders who gave each coded sentence a label, with this voice and frame where asked, shape (coded,)."""
        said = [
            (label in row["frames"] if code == "frame" else row[code] == label)
            and (voice is None or row["voice"] == voice)
            and (frame is None or frame in row["frames"])
            for row in self.rows
        ]
        count = np.bincount(self.place, minlength=len(self.design.coded))
        found: Floats = np.bincount(self.place, np.array(said, dtype=float), minlength=len(self.design.coded)) / count
        return found

    @property
    def coders(self) -> list[str]:
        """Who coded, and what they are."""
        return sorted({f"{row['coder']} ({row['coder_kind']})" for row in self.rows})

    @property
    def agreement(self) -> dict[str, float]:
        """Krippendorff's alpha of the coders for each frame, stance and voice; NaN where nobody coded a sentence again."""
        return alphas(self.rows, sorted({frame for row in self.rows for frame in row["frames"]}))

    @property
    def uncoded(self) -> int:
        """How many sentences were drawn and not coded; within their stratum they are taken to be like the coded ones."""
        return self.drawn - len(self.design.coded)


@dataclass(frozen=True)
class Corpus:
    """A scored corpus with what is known of its errors: what shares, differences and trends are estimated from.

    Uncorrected shares are of the sentences whose label is certain. Corrected ones are of all sentences, for they are
    made of probabilities and of what coders say, neither of which is left open.
    """

    scores: Scores
    audit: Audit | None = None
    population: Population = "source"
    level: float = LEVEL
    tuning: float | None = None  # None: as much of the model as pays; 0: design-based

    def shares(
        self, by: Sequence[str] = (), *, codes: Sequence[str] = (*CODES, AUTHOR_STANCE), half_width: float | None = None
    ) -> Iterator[Row]:
        """The share of sentences with each label, in each group."""
        groups, names = cross(self.scores, by)
        counts = self._counts(groups, len(names))
        for code, label, plain, better in self._outcomes(codes):
            survey = self._survey(None)
            read = survey.estimate(survey.shares(plain[0], base=plain[1], groups=groups), bounded=True)
            fixed: list[Estimate | None] = [None] * len(names)
            needed: list[int | None] = [None] * len(names)
            if better is not None:
                survey = self._survey(self.audit)
                fit = survey.shares(better[0], base=better[1], groups=groups)
                fixed = [*survey.estimate(fit, bounded=True)]
                needed = survey.needed(fit, half_width) if half_width else needed
            for i, name in enumerate(names):
                yield Row("share", " × ".join(by), name, code, label, self._tier(code, label), *counts[i], read[i], fixed[i], needed[i])

    def differences(self, by: str) -> Iterator[Row]:
        """The difference of each label's share between every two groups of a column."""
        groups, names = cross(self.scores, [by])
        counts = self._counts(groups, len(names))
        for code, label, plain, better in self._outcomes((*CODES, AUTHOR_STANCE)):
            pairs = [(self._survey(audit), pair) for audit, pair in ((None, plain), (self.audit, better)) if pair is not None]
            fits = [(survey, survey.shares(pair[0], base=pair[1], groups=groups)) for survey, pair in pairs]
            for i, j in combinations(range(len(names)), 2):
                contrast = np.zeros(len(names))
                contrast[[i, j]] = 1, -1
                found = [survey.estimate(fit.combine(contrast.tolist()))[0] for survey, fit in fits]
                both = (counts[i][0] + counts[j][0], counts[i][1] + counts[j][1])
                tier, fixed = self._tier(code, label), found[1] if len(found) > 1 else None
                yield Row("difference", by, f"{names[i]} − {names[j]}", code, label, tier, *both, found[0], fixed)

    def frame_by_stance(self) -> Iterator[Row]:
        """The share of each stance among the sentences of each frame."""
        scores, audit = self.scores, self.audit
        for frame in scores.frame_labels:
            inside = scores.read("frame", frame)
            for stance in scores.stance_labels:
                survey = self._survey(None)
                counted = inside * scores.certain("stance")
                fit = survey.shares(as_read(inside * scores.read("stance", stance)), base=as_read(counted))
                fixed = None
                if audit is not None:
                    said = scores.probability("frame", frame)
                    both = corrected(
                        said * scores.probability("stance", stance),
                        audit.answers("stance", stance, frame=frame),
                        audit.design,
                        tuning=self.tuning,
                    )
                    among = corrected(said, audit.answers("frame", frame), audit.design, tuning=self.tuning)
                    of_sample = self._survey(audit)
                    (fixed,) = of_sample.estimate(of_sample.shares(both, base=among), bounded=True)
                tier = max(scores.tier("frame", frame), scores.tier("stance", stance))  # the worse of the two
                articles = len(np.unique(scores.article[inside > 0]))
                read = survey.estimate(fit, bounded=True)[0]
                yield Row("share", "frame", frame, "stance", stance, tier, int(inside.sum()), articles, read, fixed)

    def trends(self) -> Iterator[Row]:
        """The change of each label's share in a year, by the sentences' dates."""
        years = self.scores.years
        dated = np.where(np.isnan(years), -1, 0)
        counts = self._counts(dated, 1)
        for code, label, plain, better in self._outcomes((*CODES, AUTHOR_STANCE)):
            found = [
                self._survey(audit).estimate(self._survey(audit).trend(pair[0], years, base=pair[1]))[0]
                for audit, pair in ((None, plain), (self.audit, better))
                if pair is not None
            ]
            fixed = found[1] if len(found) > 1 else None
            yield Row("change a year", "date", ALL, code, label, self._tier(code, label), *counts[0], found[0], fixed)

    def _tier(self, code: str, label: str) -> Tier:
        return self.scores.tier("stance" if code == AUTHOR_STANCE else code, label)

    def _survey(self, audit: Audit | None) -> Survey:
        return Survey(self.scores.article, audit.design if audit else None, self.population if audit else "source", self.level)

    def _counts(self, groups: Integers, count: int) -> list[tuple[int, int]]:
        inside = groups >= 0
        sentences = np.bincount(groups[inside], minlength=count)
        pairs = np.unique(np.stack([groups[inside], self.scores.article[inside]]), axis=1)
        articles = np.bincount(pairs[0], minlength=count)
        return list(zip(sentences.tolist(), articles.tolist(), strict=True))

    def _outcomes(self, codes: Sequence[str]) -> Iterator[tuple[str, str, Pair, Pair | None]]:
        """Each label as an outcome and what it is counted among: as read, and corrected where there is an audit."""
        scores, audit = self.scores, self.audit
        author = scores.voice_labels[0]
        for code in codes:
            own = code == AUTHOR_STANCE
            kind = "stance" if own else code
            counted = scores.certain(kind) * (scores.read("voice", author) if own else 1)
            for label in labels(scores, kind):
                plain = (as_read(scores.read(kind, label) * counted), as_read(counted))
                if audit is None:
                    yield code, label, plain, None
                    continue
                said = scores.probability(kind, label)
                among = scores.probability("voice", author) if own else None
                yield code, label, plain, (
                    corrected(said if among is None else said * among, audit.answers(kind, label, voice=author if own else None), audit.design, tuning=self.tuning),
                    None if among is None else corrected(among, audit.answers("voice", author), audit.design, tuning=self.tuning),
                )  # fmt: skip


def labels(scores: Scores, code: str) -> tuple[str, ...]:
    """The labels of a code: frame, stance or voice."""
    return {"frame": scores.frame_labels, "stance": scores.stance_labels, "voice": scores.voice_labels}[code]


def cross(scores: Scores, by: Sequence[str]) -> tuple[Integers, list[str]]:
    """The group of each sentence by several columns at once, and the groups' names: ``Gazette × 2024-05``."""
    if not by:
        return np.zeros(len(scores.article), dtype=np.int64), [ALL]
    columns = [scores.group(name) for name in by]
    cells, groups = np.unique(np.stack([numbers for numbers, _ in columns], axis=1), axis=0, return_inverse=True)
    names = [" × ".join(columns[i][1][number] for i, number in enumerate(cell)) for cell in cells]
    return groups.reshape(-1).astype(np.int64), names


def write_csv(rows: Sequence[Row], file: TextIO) -> None:
    """Write rows as CSV under ``COLUMNS``."""
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: safe_cell(value) if isinstance(value, str) else value for key, value in row.cells().items()})


def _number(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def _places(scores: Scores) -> dict[tuple[int, int, int, int], int]:
    columns = (scores.sentences[name].to_pylist() for name in ("number", "sentence", "start", "end"))
    return {key: i for i, key in enumerate(zip(*columns, strict=True))}


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EstimateError(f"{path}: cannot be read ({error}); give what training.coded wrote") from None
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise EstimateError(f"{path} line {number}: not JSON ({error}); give what training.coded wrote") from None
        if lacking := [key for key in KEYS if not isinstance(row, dict) or key not in row]:
            raise EstimateError(f"{path} line {number}: '{lacking[0]}' is missing; give what training.coded wrote")
        yield f"{path} line {number}", row


def table(rows: Sequence[Row], *, needed: bool) -> Table:
    """Draw rows: what the model reads, and what is left of it after correction."""
    audited = any(row.corrected for row in rows)
    grid = Table(box=None, row_styles=["", "on grey7"])
    for name in ("group", "code", "label"):
        grid.add_column(name)
    for name in ("sentences", "articles", "uncorrected", *(("corrected",) if audited else ()), *(("to code in all",) if needed else ())):
        grid.add_column(name, justify="right")
    for row in rows:
        cells = [row.group, row.code, row.marked, str(row.sentences), str(row.articles), drawn(row, row.uncorrected)]
        cells += [drawn(row, row.corrected)] if audited else []
        cells += [str(row.needed) if row.needed else "more articles"] if needed else []
        grid.add_row(*map(escape, cells))
    return grid


def drawn(row: Row, one: Estimate | None) -> str:
    """An estimate in words: ``23.4 % [20.1, 26.9]``; differences and changes in points."""
    if one is None or np.isnan(one.value):
        return "–"
    if row.quantity == "share":
        return f"{one.value * 100:.1f} % [{one.low * 100:.1f}, {one.high * 100:.1f}]"
    if np.isnan(one.low):
        return f"{one.value * 100:+.1f} points [not known: one article]"
    return f"{one.value * 100:+.1f} points [{one.low * 100:+.1f}, {one.high * 100:+.1f}]"


class Kind(StrEnum):
    """What coders are."""

    human = "human"
    machine = "machine"


class Of(StrEnum):
    """What shares are of."""

    source = "source"
    corpus = "corpus"


class Method(StrEnum):
    """How a sample corrects."""

    prediction_powered = "prediction-powered"
    design_based = "design-based"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def estimate(
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="The folder that scoring a corpus wrote.")],
    coded: Annotated[Path | None, typer.Argument(metavar="[CODED]", help="What training.coded wrote; without it shares are uncorrected.")] = None,
    by: Annotated[list[str] | None, typer.Option("--by", metavar="COLUMN", help="A kept column, or year, month, week; repeat to cross them.")] = None,
    differences: Annotated[bool, typer.Option("--differences", help="Instead of shares, their differences between the groups of --by.")] = False,
    trend: Annotated[bool, typer.Option("--trend", help="Instead of shares, their change in a year.")] = False,
    population: Annotated[Of, typer.Option("--population", help="source: what the articles are a sample of; corpus: these very articles.")] = Of.source,
    method: Annotated[Method, typer.Option("--method", help="design-based leaves the model's probabilities out.")] = Method.prediction_powered,
    level: Annotated[float, typer.Option("--level", min=0.5, max=0.999, help="How often intervals are to hold the true value.")] = LEVEL,
    power: Annotated[float | None, typer.Option("--power", metavar="WIDTH", min=0.001, max=0.5, help="Also how many sentences must be coded for ± WIDTH.")] = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only codes by such coders.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the rows to FILE, a .csv.")] = None,
) -> None:  # fmt: skip
    """Print the shares of a scored corpus with intervals, corrected by a coded sample."""
    if (differences and trend) or (power and (differences or trend)):
        raise EstimateError("--differences, --trend and --power do not go together; ask for one at a time")
    if differences and len(by or ()) != 1:
        raise EstimateError("--differences needs one --by COLUMN, whose groups are compared")
    if power and coded is None:
        raise EstimateError("--power is told from coded sentences; give the file that training.coded wrote")
    if output is not None and output.suffix != ".csv":
        raise EstimateError(f"--output {output}: rows are written as .csv")
    found = Scores.load(scores)
    audit = Audit.load(coded, found, kind=kind.value if kind else None) if coded else None
    corpus = Corpus(found, audit, population.value, level, 0.0 if method is Method.design_based else None)
    if trend:
        rows = list(corpus.trends())
    elif differences:
        rows = list(corpus.differences((by or [""])[0]))
    else:
        rows = list(corpus.shares(by or (), half_width=power))
    if output is not None:
        with output.open("w", encoding="utf-8", newline="") as file:
            write_csv(rows, file)
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    console.print(table(rows, needed=power is not None))
    legend = [LEGEND + "."] if any(row.tier == "C" for row in rows) else []
    for line in (remark(corpus), *legend):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def remark(corpus: Corpus) -> str:
    """What the shares are of and what the intervals mean, in a few sentences."""
    units = len(np.unique(corpus.scores.article))
    open_ = left_open(corpus.scores)
    if corpus.audit is None:
        return (
            f"UNCORRECTED: shares of the labels as the model read them, errors and all.{open_} Intervals ({corpus.level:.0%}) tell only how {units} articles "
            "may differ from others of their source; draw a sample with training.sample, code it, and give it here."
        )
    audit = corpus.audit
    of = "what these articles are a sample of" if corpus.population == "source" else "these very articles"
    lacking = (
        f" {audit.uncoded} drawn sentences are not coded and taken to be like those coded of their stratum." if audit.uncoded > 0 else ""
    )
    return (
        f"corrected by {len(audit.design.coded)} sentences coded by {', '.join(audit.coders)}, drawn from {len(audit.design.sizes)} strata; "
        f"intervals ({corpus.level:.0%}) are about {of}, with articles as clusters.{lacking}{open_}"
    )


def left_open(scores: Scores) -> str:
    """That uncorrected shares are of certain sentences, and how many those are; empty where none was left open."""
    least = scores.manifest.get("min_confidence", 0.0)
    if not least:
        return ""
    return (
        f" Uncorrected shares are of the sentences whose label is certain (at least {least:g}; coverage: {percentages(scores.coverage)})."
    )


def run(app: typer.Typer) -> None:
    """Run a command on scores; an error of ours is one line on standard error and exit code 2."""
    try:
        app()
    except (EstimateError, ScoresError) as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        sys.exit(2)


def main() -> None:
    """Run the command."""
    run(app)
