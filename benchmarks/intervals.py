"""Simulates corpora whose truth is known and counts how often stated intervals hold it: python -m benchmarks.intervals"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from slant.estimate import Design, Estimate, Fit, Floats, Integers, Outcome, Population, Survey, as_read, corrected
from slant.strata import stratify
from training.sample import draw

REPETITIONS = 2000
ARTICLES = 400
CODED = 300
TRUTH_ARTICLES = 400_000  # a corpus so large that its values are the source's
QUANTITIES = ("share", "difference", "trend", "author's share")


@dataclass(frozen=True)
class Corpus:
    """A made-up corpus: who wrote what when, what is true and what a model says."""

    article: Integers
    outlet: Integers  # 0 or 1
    year: Floats
    true: Floats  # whether a sentence has the label
    author: Floats  # whether it is the author's
    said: Floats  # the model's probability of the label
    said_author: Floats


def corpus(articles: int, level: float, random: np.random.Generator) -> Corpus:
    """Make one: articles lean together, and the model errs alike within an article and otherwise in each outlet.

    ``level`` moves how common the label is, in logits.
    """
    sizes = 5 + random.poisson(10, articles)
    article = np.repeat(np.arange(articles), sizes)
    total = len(article)
    outlet, year = random.integers(0, 2, articles), random.uniform(0, 2, articles)
    lean, misled = random.normal(0, 1, articles), random.normal(0, 0.8, articles)

    def chance(logit: Floats) -> Floats:
        return (random.uniform(size=total) < 1 / (1 + np.exp(-logit))).astype(float)

    def model(true: Floats, bias: Floats) -> Floats:
        logit = 2.6 * true - 1.3 + bias + random.normal(0, 1, total)
        return 1 / (1 + np.exp(-logit))

    true = chance((level + 0.5 * outlet + 0.3 * year + lean)[article])
    author = chance((1.2 - 0.6 * outlet + 0.5 * lean)[article])
    return Corpus(
        article,
        outlet[article],
        year[article],
        true,
        author,
        model(true, (misled + 0.5 * outlet - 0.3)[article]),
        model(author, (0.4 * misled)[article]),
    )


def quantities(found: Survey, corpus: Corpus, outcome: Outcome, author: Outcome, both: Outcome) -> Iterator[tuple[str, Fit]]:
    """What is estimated of each corpus."""
    yield "share", found.shares(outcome)
    yield "difference", found.shares(outcome, groups=corpus.outlet).combine([-1, 1])
    yield "trend", found.trend(outcome, corpus.year)
    yield "author's share", found.shares(both, base=author)


def truth(corpus: Corpus) -> dict[str, float]:
    """The quantities, from what is true."""
    return {
        name: float(fit.value[0])
        for name, fit in quantities(
            Survey(corpus.article), corpus, as_read(corpus.true), as_read(corpus.author), as_read(corpus.true * corpus.author)
        )
    }


def naive(corpus: Corpus) -> dict[str, Estimate]:
    """What is done most: the model's labels as if true, its sentences as if each came from an article of its own."""
    labels, author = np.round(corpus.said), np.round(corpus.said_author)
    alone = Survey(np.arange(len(labels)))
    fits = quantities(alone, corpus, as_read(labels), as_read(author), as_read(labels * author))
    return {name: alone.estimate(fit)[0] for name, fit in fits}


def by_articles(corpus: Corpus) -> dict[str, Estimate]:
    """The model's labels as if true, articles as clusters."""
    labels, author = np.round(corpus.said), np.round(corpus.said_author)
    survey = Survey(corpus.article)
    fits = quantities(survey, corpus, as_read(labels), as_read(author), as_read(labels * author))
    return {name: survey.estimate(fit, bounded="share" in name)[0] for name, fit in fits}


def audited(corpus: Corpus, coded: int, random: np.random.Generator) -> Iterator[tuple[str, dict[str, Estimate], Population]]:
    """Intervals corrected by a coded sample, drawn as ``training.sample`` draws it."""
    labels, author = np.round(corpus.said), np.round(corpus.said_author)
    cells = np.stack([corpus.outlet, labels.astype(np.int64), author.astype(np.int64)], axis=1)
    strata = stratify(cells, coded)
    chosen = draw(strata, coded, random)
    design = Design(strata, chosen)
    for name, tuning, population in (
        ("design-based", 0.0, "source"),
        ("prediction-powered", None, "source"),
        ("prediction-powered, these articles", None, "corpus"),
    ):
        survey = Survey(corpus.article, design, population)  # type: ignore[arg-type]
        outcome, voice, both = (
            corrected(said, true[chosen], design, tuning=tuning)
            for said, true in (
                (corpus.said, corpus.true),
                (corpus.said_author, corpus.author),
                (corpus.said * corpus.said_author, corpus.true * corpus.author),
            )
        )
        fits = quantities(survey, corpus, outcome, voice, both)
        yield name, {key: survey.estimate(fit, bounded="share" in key)[0] for key, fit in fits}, survey.population


def main() -> None:
    """Print how often each kind of interval holds the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--articles", type=int, default=ARTICLES)
    parser.add_argument("--coded", type=int, default=CODED)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    error = NormalDist().inv_cdf(0.975) * np.sqrt(0.95 * 0.05 / options.repetitions)
    print(
        f"{options.repetitions} corpora of {options.articles} articles, {options.coded} sentences coded of each; how often a stated 95 % "
        f"interval holds the truth (a right one: 95 % ± {error:.1%}), and its mean half width\n"
    )
    print(f"| label | interval | {' | '.join(QUANTITIES)} |")
    print(f"| --- | --- |{' ---: |' * len(QUANTITIES)}")
    for label, level in (("common", -1.2), ("rare", -4.0)):
        source = truth(corpus(TRUTH_ARTICLES, level, random))
        held: defaultdict[str, dict[str, list[bool]]] = defaultdict(lambda: {name: [] for name in QUANTITIES})
        widths: defaultdict[str, dict[str, list[float]]] = defaultdict(lambda: {name: [] for name in QUANTITIES})
        for _ in range(options.repetitions):
            made = corpus(options.articles, level, random)
            own = truth(made)
            results = [
                ("naive", naive(made), "source"),
                ("articles as clusters", by_articles(made), "source"),
                *audited(made, options.coded, random),
            ]
            for method, found, population in results:
                for name, estimate in found.items():
                    true = (own if population == "corpus" else source)[name]
                    held[method][name].append(estimate.low <= true <= estimate.high)
                    widths[method][name].append((estimate.high - estimate.low) / 2)
        for method, by_name in held.items():
            cells = (f"{np.mean(by_name[name]):.1%} (± {np.mean(widths[method][name]):.3f})" for name in QUANTITIES)
            print(f"| {label}, {source['share']:.0%} | {method} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
