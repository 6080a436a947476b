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


def _f1(predicted: NDArray[np.bool_], present: NDArray[np.bool_]) -> dict[str, Any]:
    """F1 of each column of two (sentences, labels) arrays, and the mean."""
    hits = (predicted & present).sum(axis=0)
    total = predicted.sum(axis=0) + present.sum(axis=0)
    f1 = np.divide(2 * hits, total, out=np.zeros(len(total)), where=total > 0)
    return {"f1": [float(value) for value in f1], "macro_f1": float(f1.mean())}
