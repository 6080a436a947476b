"""Estimates shares, differences and trends with intervals that know about articles and about the model's errors.

``python -m slant.estimate scores/ coded.jsonl`` corrects the shares of a scored corpus by a coded probability sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Population = Literal["source", "corpus"]
LEVEL = 0.95


class EstimateError(ValueError):
    """An estimate cannot be had from what is given: says what is wrong and the way out."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A quantity with its interval, in the quantity's own unit."""

    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class Design:
    """How coded sentences were drawn: a fixed number from each stratum, at random and without replacement.

    Attributes:
        strata: the stratum of every sentence, numbered from 0, shape (sentences,).
        coded: which sentences were coded, shape (coded,).
    """

    strata: Integers
    coded: Integers

    def __post_init__(self) -> None:
        """Check that every stratum can be estimated.

        Raises:
            EstimateError: when a sentence is coded twice, or a stratum has too few coded sentences for a variance.
        """
        if len(set(self.coded.tolist())) < len(self.coded):
            raise EstimateError("the sample holds a sentence twice; give each once")
        for stratum, (size, drawn) in enumerate(zip(self.sizes, self.drawn, strict=True)):
            if drawn < min(size, 2):
                raise EstimateError(f"stratum {stratum} has {drawn} coded of {size} sentences; code at least {min(size, 2)}")

    @cached_property
    def sizes(self) -> Integers:
        """Sentences of each stratum."""
        return np.bincount(self.strata).astype(np.int64)

    @cached_property
    def drawn(self) -> Integers:
        """Coded sentences of each stratum."""
        return np.bincount(self.strata[self.coded], minlength=len(self.sizes)).astype(np.int64)

    @cached_property
    def weights(self) -> Floats:
        """How many sentences each coded one stands for: the inverse of its probability to be drawn, shape (coded,)."""
        stratum = self.strata[self.coded]
        return self.sizes[stratum] / self.drawn[stratum]

    def means(self, values: Floats) -> Floats:
        """The mean of coded values in each stratum, shape (strata,)."""
        totals = np.bincount(self.strata[self.coded], values, minlength=len(self.sizes))
        return totals / np.maximum(self.drawn, 1)

    def variances(self, one: Floats, other: Floats | None = None) -> Floats:
        """The variance of coded values in each stratum, or their covariance with others; 0 where one is coded."""
        stratum = self.strata[self.coded]
        other = one if other is None else other
        products = (one - self.means(one)[stratum]) * (other - self.means(other)[stratum])
        return np.bincount(stratum, products, minlength=len(self.sizes)) / np.maximum(self.drawn - 1, 1)


@dataclass(frozen=True)
class Outcome:
    """One yes-or-no question over all sentences: what is taken for the answer, and by how much it erred where coded.

    ``fitted`` has shape (sentences,), ``residual`` (coded,); ``tuning`` is how far the model's word is trusted.
    """

    fitted: Floats
    residual: Floats
    tuning: float = 1.0


@dataclass(frozen=True)
class Fit:
    """Quantities with what each article and each coded sentence contributes to their errors.

    ``value`` has shape (quantities,), ``articles`` (articles, quantities), ``coded`` (coded, quantities); ``units`` is
    how many articles each quantity is about, shape (quantities,).
    """

    value: Floats
    articles: Floats
    coded: Floats
    units: Integers

    def combine(self, contrast: Sequence[float]) -> "Fit":
        """One quantity that is a sum of these, each times a number: ``[1, -1]`` is a difference."""
        weights = np.asarray(contrast, dtype=float)[:, None]
        used = np.flatnonzero(weights)  # what is left out may be NaN
        alone = bool((self.units[used] < 2).any())  # one article tells nothing of how others differ, whatever it is compared with
        value, articles, coded = ((part[..., used] @ weights[used]) for part in (self.value, self.articles, self.coded))
        units = 1 if alone else min(int(self.units[used].sum()), len(articles))
        return Fit(value, articles, coded, np.array([units]))


def as_read(labels: Floats) -> Outcome:
    """Take the model's labels for the truth, shape (sentences,): uncorrected."""
    return Outcome(labels.astype(float), np.zeros(0))


def corrected(predicted: Floats, answers: Floats, design: Design, *, tuning: float | None = None) -> Outcome:
    """Correct what a model predicts by what coders answer on a probability sample.

    Each sentence gets a fitted answer: ``tuning`` times the model's, plus the mean of what that lacks in its stratum.
    The sum over all sentences, with each coded sentence's remaining error times its weight, is then free of
    the model's bias, whatever the model: a bad one widens intervals, no more.

    Args:
        predicted: the model's probability or label, shape (sentences,), in [0, 1].
        answers: the coders', shape (coded,), in [0, 1]: where coders differ, the share that said yes.
        design: how the coded sentences were drawn.
        tuning: 1 is plain prediction-powered, 0 design-based without the model; None chooses the one in [0, 1] with
            the least variance.

    Source:
        Angelopoulos, Duchi and Zrnic (2023), "PPI++: Efficient Prediction-Powered Inference", and Egami, Hinck, Stewart
        and Wei (2023), "Using Imperfect Surrogates for Downstream Inference: Design-based Supervised Learning"; we
        add the strata's means, so that stratified sampling counts.
    """
    said = predicted[design.coded]
    if tuning is None:
        scale = design.sizes**2 * (1 / np.maximum(design.drawn, 1) - 1 / np.maximum(design.sizes, 1))
        spread = float(scale @ design.variances(said))
        tuning = float(np.clip(scale @ design.variances(answers, said) / spread, 0, 1)) if spread > 0 else 0.0
    lacking = design.means(answers - tuning * said)
    fitted = tuning * predicted + lacking[design.strata]  # (sentences,)
    return Outcome(fitted, answers - fitted[design.coded], tuning)


@dataclass(frozen=True)
class Survey:
    """The sentences that estimates are over: which article each is of, and which of them were coded.

    Attributes:
        article: of every sentence, numbered from 0, shape (sentences,).
        design: how coded sentences were drawn; None where there are none.
        population: whose shares are estimated. ``source``: what the articles are a sample of, so that articles
            count as the units; ``corpus``: these very articles, so that only the coding is uncertain.
        level: how often intervals are to hold the true value, in (0, 1).
    """

    article: Integers
    design: Design | None = None
    population: Population = "source"
    level: float = LEVEL

    def shares(self, outcome: Outcome, *, base: Outcome | None = None, groups: Integers | None = None) -> Fit:
        """The share of sentences with an outcome, in each group.

        Args:
            outcome: counted.
            base: counted among, such as the author's sentences; None for all.
            groups: of every sentence, numbered from 0, shape (sentences,); a sentence of group -1 counts nowhere.

        Returns:
            A quantity a group, in [0, 1]; NaN for a group without sentences.
        """
        group = np.zeros(len(self.article), dtype=np.int64) if groups is None else groups
        count = int(group.max(initial=0)) + 1
        inside = group >= 0
        among = base or Outcome(np.ones(len(self.article)), np.zeros(len(outcome.residual)))
        numerator, denominator = (self._totals(one, group, count) for one in (outcome, among))
        with np.errstate(invalid="ignore", divide="ignore"):
            value = numerator / denominator
            per = np.where(inside, value[group], 0.0), np.where(inside, 1 / denominator[group], 0.0)  # each sentence's group's
        return self._fit(value, per[1][:, None], outcome, among, per[0], group, count)

    def trend(self, outcome: Outcome, time: Floats, *, base: Outcome | None = None) -> Fit:
        """The change of a share with time: the slope of a straight line over sentences, by least squares.

        Args:
            outcome: counted.
            time: of every sentence, shape (sentences,); the slope is per unit of it. NaN leaves a sentence out.
            base: counted among; None for all.

        Returns:
            One quantity, the slope.

        Raises:
            EstimateError: when all times are the same.
        """
        known = ~np.isnan(time)
        among = base or Outcome(np.ones(len(self.article)), np.zeros(len(outcome.residual)))
        middle = float(time[known].mean()) if known.any() else 0.0
        x = np.where(known, time - middle, 0.0)
        one = known.astype(float)
        total = self._sum(among, one), self._sum(among, x), self._sum(among, x * x)
        determinant = total[0] * total[2] - total[1] ** 2
        if not determinant > 1e-12 * total[0] ** 2:
            raise EstimateError("a trend needs two points in time; these sentences have one")
        up, across = self._sum(outcome, one), self._sum(outcome, x)
        slope = (total[0] * across - total[1] * up) / determinant
        level = (total[2] * up - total[1] * across) / determinant
        scale = (total[0] * x - total[1] * one) / determinant  # each sentence's pull on the slope
        return self._fit(np.array([slope]), scale[:, None], outcome, among, level + slope * x, np.zeros(len(x), dtype=np.int64), 1)

    def estimate(self, fit: Fit, *, bounded: bool = False) -> list[Estimate]:
        """The quantities of a fit, each with its interval.

        Args:
            fit: from ``shares``, ``trend`` or their combinations.
            bounded: whether they are shares, which with their intervals stay within [0, 1] (Wilson's, at the sample's effective size).

        Returns:
            An estimate a quantity. About a source of which there is one article nothing is known: a share's interval is then
            [0, 1], another quantity's is NaN.

        Source:
            Liang and Zeger (1986) for articles as clusters; Särndal, Swensson and Wretman (1992), 9.3, for the two phases;
            Dean and Pagano (2015), "Evaluating Confidence Interval Methods for Binomial Proportions in Clustered Surveys".
        """
        variance = self._variance(fit)
        found = []
        for i, value in enumerate(fit.value):
            units = int(fit.units[i])
            degrees = max(units - 1, 1) if self.population == "source" else 10**6
            if self.design is not None:
                degrees = min(degrees, max(int((self.design.drawn - 1).sum()), 1))
            quantile = t_quantile(0.5 + self.level / 2, degrees)
            alone = self.population == "source" and units < 2
            error = float("nan") if alone else float(np.sqrt(variance[i]))
            if bounded:
                value = np.clip(value, 0, 1)  # a correction of a small group can overshoot
            if bounded and alone and not np.isnan(value):
                low, high = 0.0, 1.0
            elif bounded and not np.isnan(value):
                size = len(self.design.coded) if self.design is not None else units
                low, high = _wilson(float(value), float(variance[i]), quantile, size)
            else:
                low, high = value - quantile * error, value + quantile * error
            found.append(Estimate(float(value), error, float(low), float(high)))
        return found

    def needed(self, fit: Fit, half_width: float) -> list[int | None]:
        """How many sentences must be coded in all for a half width, the strata sampled as they are.

        Returns:
            For each quantity a number of sentences, or None where no coding suffices: more articles are needed.

        Raises:
            EstimateError: when nothing is coded yet, so that the errors' size is not known.
        """
        if self.design is None:
            raise EstimateError("how many more sentences are needed is told from coded ones; code a first sample")
        wanted = (half_width / NormalDist().inv_cdf(0.5 + self.level / 2)) ** 2
        spread = np.array([self.design.variances(column) for column in fit.coded.T])  # (quantities, strata)
        drawn = np.maximum(self.design.drawn, 1)
        once, back = spread @ (self.design.sizes**2 / drawn), spread @ self.design.sizes.astype(float)
        rest = np.maximum(self._variance(fit) - (once - back), 0) if self.population == "source" else np.zeros(len(once))
        room = wanted - rest + back
        return [
            None if have <= 0 else min(int(np.ceil(len(self.design.coded) * need / have)), len(self.article))
            for need, have in zip(once, room, strict=True)
        ]

    def _variance(self, fit: Fit) -> Floats:
        if self.population == "source":
            found: Floats = (fit.articles**2).sum(axis=0) * fit.units / np.maximum(fit.units - 1, 1)
            return found
        if self.design is None:
            return np.zeros(len(fit.value))
        spread = np.array([self.design.variances(column) for column in fit.coded.T])  # (quantities, strata)
        scale = self.design.sizes**2 * (1 / np.maximum(self.design.drawn, 1) - 1 / np.maximum(self.design.sizes, 1))
        return spread @ scale

    def _totals(self, outcome: Outcome, group: Integers, count: int) -> Floats:
        inside = group >= 0
        total: Floats = np.bincount(group[inside], outcome.fitted[inside], minlength=count).astype(float)
        if self.design is not None and len(outcome.residual):
            of = group[self.design.coded]
            kept = of >= 0
            total = total + np.bincount(of[kept], (self.design.weights * outcome.residual)[kept], minlength=count)
        return total

    def _sum(self, outcome: Outcome, weights: Floats) -> float:
        total = float(outcome.fitted @ weights)
        if self.design is not None and len(outcome.residual):
            total += float((self.design.weights * outcome.residual) @ weights[self.design.coded])
        return total

    def _fit(self, value: Floats, pull: Floats, outcome: Outcome, base: Outcome, expected: Floats, group: Integers, count: int) -> Fit:
        """Sum what each sentence contributes to the errors of its group's quantity, by article."""
        contribution = (outcome.fitted - expected * base.fitted) * pull[:, 0]  # (sentences,)
        remaining = np.zeros((0, count))
        if self.design is not None and len(outcome.residual):
            coded = self.design.coded
            lacking = outcome.residual - expected[coded] * (base.residual if len(base.residual) else 0.0)
            linear = lacking * pull[coded, 0]  # (coded,)
            remaining = np.zeros((len(coded), count))
            kept = np.flatnonzero(group[coded] >= 0)
            remaining[kept, group[coded][kept]] = linear[kept]
            drawn = self.design.drawn[self.design.strata[coded]]
            contribution = contribution.copy()
            contribution[coded] += self.design.weights * linear * np.sqrt(drawn / np.maximum(drawn - 1, 1))
        inside = group >= 0
        cells = self.article[inside] * count + group[inside]
        articles = np.bincount(cells, contribution[inside], minlength=(int(self.article.max(initial=-1)) + 1) * count).astype(float)
        return Fit(value, articles.reshape(-1, count), remaining, np.bincount(np.unique(cells) % count, minlength=count).astype(np.int64))


def t_quantile(probability: float, degrees: int) -> float:
    """Student's t, by its expansion in the normal quantile; 0.001 off at 5 degrees of freedom, less above.

    Source:
        Abramowitz and Stegun (1964), 26.7.5.

    >>> round(t_quantile(0.975, 10), 2)
    2.23
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / degrees**power for power, term in enumerate(terms, start=1)))


def _wilson(share: float, variance: float, quantile: float, size: int) -> tuple[float, float]:
    """Wilson's interval at the effective size that the variance tells; at the real one where nothing varies."""
    p = min(max(share, 0.0), 1.0)
    effective = p * (1 - p) / variance if variance > 0 and 0 < p < 1 else float(size)
    if not effective:
        return float("nan"), float("nan")
    square = quantile**2 / effective
    middle = (p + square / 2) / (1 + square)
    half = np.sqrt(square * (p * (1 - p) + square / 4)) / (1 + square)
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)


if __name__ == "__main__":
    from slant.audit import main

    main()
