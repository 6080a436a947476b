"""The numbers of a report: shares by group and over time, frame by stance, examples, how much was read and what to be wary of."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc

from slant.audit import CODES, Corpus, Row, labels
from slant.estimate import EstimateError
from slant.reliability import RELIABLE_ALPHA
from slant.scores import DATE, NOTHING, PERIODS, Scores

FEWEST_ARTICLES = 20  # of a group: below it an interval over articles as clusters is rough
FEWEST_A_PERIOD = 5  # articles of a group in a period, by the median: below it its course is noise
EXAMPLES = 3
OPEN, CLOSE = 40, 300  # characters of a sentence that serves as an example


@dataclass(frozen=True)
class Example:
    """A sentence that shows a label, or that the model cannot settle."""

    label: str
    code: str
    probability: float
    text: str
    article: str
    sentence: int


@dataclass(frozen=True)
class Numbers:
    """Everything that a report says, before it is drawn."""

    corpus: Corpus
    shares: list[Row]
    groups: dict[str, list[Row]]  # by column, the ones that tell no time
    differences: dict[str, list[Row]]
    course: list[Row]  # by period, or by period and the first other column
    course_by: tuple[str, ...]
    trends: list[Row]
    crossed: list[Row]  # stance among the sentences of each frame
    typical: list[Example]
    uncertain: list[Example]
    facts: dict[str, Any]  # how much of the corpus was read, and how surely
    reasons: list[tuple[str, int]]  # why articles failed
    warnings: list[str] = field(default_factory=list)

    @property
    def tables(self) -> dict[str, list[Row]]:
        """The rows that are written as CSV, by the name of their file."""
        found = {"shares": self.shares, "frame-by-stance": self.crossed, "course": self.course, "trends": self.trends}
        found |= {f"shares-by-{name}": rows for name, rows in self.groups.items()}
        found |= {f"differences-by-{name}": rows for name, rows in self.differences.items()}
        return {name: rows for name, rows in found.items() if rows}


def numbers(corpus: Corpus, by: Sequence[str], *, metrics: dict[str, Any] | None = None, examples: int = EXAMPLES) -> Numbers:
    """Work out what a report says.

    Args:
        corpus: the scores, and the audit if there is one.
        by: columns to group by; ``year``, ``month`` and ``week`` give the course, ``month`` if there are dates and none is asked for.
        metrics: the ``metrics.json`` of the model that scored, for warnings.
        examples: sentences shown for each label; 0 for none.
    """
    scores = corpus.scores
    plain = [name for name in by if name not in PERIODS or name in scores.kept]
    period = next((name for name in by if name in PERIODS and name not in plain), "month" if DATE in scores.kept else "")
    course_by = (period, *plain[:1]) if period else ()
    groups = {name: list(corpus.shares([name])) for name in plain}
    try:
        trends = list(corpus.trends()) if period else []
    except EstimateError:  # one date only
        trends = []
    course = list(corpus.shares(course_by)) if period else []
    thin = len(course_by) > 1 and float(np.median([row.articles for row in course])) < FEWEST_A_PERIOD
    if thin:
        course_by = (period,)
        course = list(corpus.shares(course_by))
    told = warnings(corpus, groups, metrics, period)
    if thin:
        told.append(f"Most {plain[0]}s have fewer than {FEWEST_A_PERIOD} articles a {period}: the course is of all together.")
    return Numbers(
        corpus,
        list(corpus.shares()),
        groups,
        {name: list(corpus.differences(name)) for name in plain if 1 < len({row.group for row in groups[name]}) <= 6},
        course,
        course_by,
        trends,
        list(corpus.frame_by_stance()),
        typical(scores, examples),
        uncertain(scores, examples),
        facts(scores),
        Counter(failure.get("reason", "").split(" (")[0].split(":")[0] or "unknown" for failure in scores.failures).most_common(),
        told,
    )


def facts(scores: Scores) -> dict[str, Any]:
    """How much of the corpus was read, and how surely."""
    count = len(scores.sentences)
    totals = scores.manifest.get("totals", {})

    return {
        "articles": len(np.unique(scores.article)),
        "sentences": count,
        "duplicates": int(totals.get("duplicates", 0)),
        "failures": len(scores.failures),
        "min_confidence": float(scores.manifest.get("min_confidence", 0.0)),
        "coverage": scores.coverage,
        "truncated": int(pc.sum(scores.sentences["truncated"]).as_py() or 0) / count if count else 0.0,
        "confidence": float(pc.mean(scores.sentences["confidence"]).as_py() or 0.0),
    }


def typical(scores: Scores, count: int) -> list[Example]:
    """The sentences that the model is surest carry each label, each of another article."""
    return [
        example
        for code in CODES
        for label in labels(scores, code)
        for example in _examples(scores, code, label, -scores.probability(code, label), count)
    ]


def uncertain(scores: Scores, count: int) -> list[Example]:
    """The sentences in which the model is least sure whether each label holds, each of another article.

    Of two voices the first stands for both: what is least surely the one is least surely the other.
    """
    return [
        example
        for code in CODES
        for label in labels(scores, code)[: 1 if code != "frame" and len(labels(scores, code)) == 2 else None]
        for example in _examples(scores, code, label, np.abs(scores.probability(code, label) - 0.5), count)
    ]


def _examples(scores: Scores, code: str, label: str, distance: Any, count: int) -> list[Example]:
    """The nearest sentences that can stand by themselves; shorter or longer ones only where there are no others."""
    length = pc.utf8_length(scores.sentences["text"]).to_numpy()
    awkward = (length < OPEN) | (length > CLOSE)
    probability = scores.probability(code, label)
    found: list[Example] = []
    seen: set[int] = set()
    for i in np.lexsort((distance, awkward)):
        if len(found) == count:
            break
        article = int(scores.article[i])
        if article not in seen:
            seen.add(article)
            row = {name: scores.sentences[name][int(i)].as_py() for name in ("text", "article", "sentence")}
            found.append(Example(label, code, float(probability[i]), row["text"], row["article"], row["sentence"]))
    return found


def warnings(corpus: Corpus, groups: dict[str, list[Row]], metrics: dict[str, Any] | None, period: str) -> list[str]:
    """What a reader of the report must be told, the gravest first."""
    scores, found = corpus.scores, []
    if corpus.audit is None:
        found.append(
            "The shares are uncorrected: they count the labels as the model read them, errors and all, and the intervals leave those errors out. "
            "Draw a sample with training.sample, have it coded, and give it with --coded."
        )
    if not scores.manifest.get("complete", True):
        found.append("The corpus is not scored to its end: the run was stopped; the same command goes on.")
    if corpus.audit is not None and corpus.audit.uncoded > 0:
        found.append(f"{plural(corpus.audit.uncoded, 'sentence')} of the sample not coded: taken to be like those coded of their stratum.")
    if corpus.audit is not None and any("machine" in coder for coder in corpus.audit.coders):
        found.append("The sample was coded by machine coders: the shares are what those would find, not what people would.")
    found += unreliable(scores, metrics)
    for name, rows in groups.items():
        few = sorted({row.group for row in rows if row.articles < FEWEST_ARTICLES})
        if few:
            found.append(f"Fewer than {FEWEST_ARTICLES} articles of {name} {_some(few)}: their intervals are rough.")
    if period:
        undated = float(np.mean(np.isnan(scores.years))) if len(scores.years) else 0.0
        if undated:
            found.append(
                f"{undated:.1%} of the sentences have no date that tells a {period}; in the course they are '{NOTHING}' and not drawn."
            )
    if failures := len(scores.failures):
        found.append(f"{plural(failures, 'article')} could not be read: listed below and counted nowhere.")
    return found


def unreliable(scores: Scores, metrics: dict[str, Any] | None) -> list[str]:
    """Labels of tier C, which the model misreads often, and codes on which coders agree too little."""
    if not scores.manifest.get("tiers"):
        return ["How well the model reads each label is not known: no metrics of cross-validation were beside it when it scored."]
    weak = [f"{label} ({code})" for code in CODES for label in labels(scores, code) if scores.tier(code, label) == "C"]
    alpha = metrics["cross_validation"]["alpha"]["coder and coder"] if metrics and metrics.get("cross_validation") else {}
    loose = [f"{name} ({one['alpha']:.2f})" for name, one in alpha.items() if one["alpha"] < RELIABLE_ALPHA]
    found = []
    if weak:
        found.append(
            f"Labels of low reliability (tier C), marked wherever they are counted: {', '.join(weak)}; their shares as read say little."
        )
    if loose:
        found.append(f"Coders agree too little, alpha below {RELIABLE_ALPHA}: {', '.join(loose)}.")
    return found


def biggest(rows: Sequence[Row], most: int) -> list[Row]:
    """The rows of the groups with most sentences."""
    sizes = {row.group: row.sentences for row in rows}
    kept = set(sorted(sizes, key=lambda name: (-sizes[name], name))[:most])
    return [row for row in rows if row.group in kept]


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "article"), plural(1200, "article")
    ('1 article', '1,200 articles')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
