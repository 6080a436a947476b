"""Scores of readings against gold, as metrics of the evaluate library that need no hub."""

from typing import Any

import datasets
import evaluate
import numpy as np
from numpy.typing import NDArray

_INTEGER = datasets.Value("int64")


class _Metric(evaluate.Metric):  # type: ignore[misc]  # evaluate carries no types
    """What the metrics share: features instead of a downloaded description, results in memory."""

    features: datasets.Features

    def __init__(self, **settings: Any) -> None:
        super().__init__(keep_in_memory=True, **settings)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(description=type(self).__doc__ or "", citation="", inputs_description="", features=self.features)


class LabelF1(_Metric):
    """F1 of each label and their unweighted mean, one label a sentence.

    ``compute(predictions=, references=, label_count=)``, both as label numbers; gives ``f1``, a list
    with each label's F1, and ``macro_f1``. A label that is neither predicted nor present scores 0.
    """

    features = datasets.Features({"predictions": _INTEGER, "references": _INTEGER})

    def _compute(self, predictions: list[int], references: list[int], label_count: int) -> dict[str, Any]:
        one_hot = np.eye(label_count, dtype=bool)
        return _f1(one_hot[np.asarray(predictions)], one_hot[np.asarray(references)])


class FrameF1(_Metric):
    """F1 of each frame and their unweighted mean, none or several frames a sentence.

    ``compute(predictions=, references=)``, both lists of 0 and 1 for each sentence; gives ``f1`` and ``macro_f1``.
    """

    features = datasets.Features({"predictions": datasets.Sequence(_INTEGER), "references": datasets.Sequence(_INTEGER)})

    def _compute(self, predictions: list[list[int]], references: list[list[int]]) -> dict[str, Any]:
        return _f1(np.asarray(predictions, dtype=bool), np.asarray(references, dtype=bool))


class CalibrationError(_Metric):
    """How far stated probabilities lie from how often they come true (expected calibration error).

    ``compute(predictions=, references=, bins=10)``: predictions are the probabilities of what was
    chosen, references whether gold chose it too (0 or 1). Probabilities are put into equal-width
    bins; each bin's gap between mean probability and share agreed is averaged, weighted by how many
    it holds. Gives ``calibration_error``, a fraction in [0, 1]: 0.05 reads "five points off".

    Source:
        Guo et al. (2017), "On Calibration of Modern Neural Networks".
    """

    features = datasets.Features({"predictions": datasets.Value("float64"), "references": _INTEGER})

    def _compute(self, predictions: list[float], references: list[int], bins: int = 10) -> dict[str, float]:
        probability, agreed = np.asarray(predictions), np.asarray(references, dtype=float)
        bin_of = np.minimum((probability * bins).astype(int), bins - 1)
        gaps = [abs(probability[bin_of == i].sum() - agreed[bin_of == i].sum()) for i in range(bins)]
        return {"calibration_error": float(sum(gaps) / len(probability))}


def risk_coverage(confidence: NDArray[np.float64], correct: NDArray[np.bool_], *, points: int = 20) -> list[tuple[float, float]]:
    """Say how often a reader errs on the sentences that are left when it abstains from those it is least sure of.

    The minimum of confidence is lowered from the highest there is, so that ever more sentences are covered; sentences that
    are alike sure come in together.

    Args:
        confidence: in what was decided, shape (sentences,), in [0, 1].
        correct: whether that was right, shape (sentences,).
        points: how many are kept, evenly spread over coverage.

    Returns:
        Pairs of coverage, the share of sentences decided, and risk, the share of those that is wrong: both in [0, 1],
        coverage rising to 1.

    Raises:
        ValueError: when there are no sentences, or the two lengths differ.

    Source:
        El-Yaniv and Wiener (2010), "On the Foundations of Noise-free Selective Classification".

    >>> risk_coverage(np.array([0.9, 0.6, 0.8, 0.6]), np.array([True, False, True, True]), points=4)
    [(0.25, 0.0), (0.5, 0.0), (1.0, 0.25)]
    """
    count = len(confidence)
    if not count or len(correct) != count:
        raise ValueError(f"{count} confidences and {len(correct)} verdicts; give one of each for every sentence, and at least one")
    order = np.argsort(-confidence, kind="stable")
    errors = np.cumsum(~correct[order])  # among as many of the surest
    last = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True))  # of those that are alike sure
    wanted = np.ceil(np.arange(1, points + 1) * count / points).astype(int) - 1
    ends = np.unique(last[np.searchsorted(last, wanted)])
    return [(float((end + 1) / count), float(errors[end] / (end + 1))) for end in ends]


def _f1(predicted: NDArray[np.bool_], present: NDArray[np.bool_]) -> dict[str, Any]:
    """F1 of each column of two (sentences, labels) arrays, and the mean."""
    hits = (predicted & present).sum(axis=0)
    total = predicted.sum(axis=0) + present.sum(axis=0)
    f1 = np.divide(2 * hits, total, out=np.zeros(len(total)), where=total > 0)
    return {"f1": [float(value) for value in f1], "macro_f1": float(f1.mean())}
