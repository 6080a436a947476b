"""Chooses temperatures, frame thresholds and stance weights on articles that training did not see."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from slant.checkpoint import Calibration
from slant.codebook import Codebook
from slant.reader import probabilities
from slant.reading import Floats
from training.examples import Labels
from training.metrics import LabelF1

TEMPERATURES = (0.3, 5.0)
THRESHOLDS = np.arange(0.20, 0.71, 0.01)
SIDE_WEIGHTS = 2.0 ** np.arange(-1.0, 2.01, 0.25)  # of a stance that takes a side, against 1 for a neutral one
SMOOTH = 5  # thresholds on either side that a threshold's F1 is averaged with, against chance peaks


def calibrate(logits: Floats, labels: Labels, codebook: Codebook) -> Calibration:
    """Fit one temperature a head by likelihood, then a threshold a frame by F1 and a weight for the sides by macro-F1.

    Args:
        logits: shape (sentences, labels).
        labels: of the same sentences.
        codebook: names the columns.

    Source:
        Guo et al. (2017), "On Calibration of Modern Neural Networks".
    """
    frames, stances = len(codebook.frames), len(codebook.stances)
    rough = Calibration(
        _temperature(lambda t: _binary_loss(logits[:, :frames] / t, labels.frames)),
        _temperature(lambda t: _class_loss(logits[:, frames : frames + stances] / t, labels.stance)),
        _temperature(lambda t: _class_loss(logits[:, frames + stances :] / t, labels.voice)),
    )
    likely = probabilities(logits, codebook, rough)
    thresholds = tuple(_threshold(likely.frames[:, i], labels.frames[:, i] > 0.5) for i in range(frames))
    return replace(rough, thresholds=thresholds, stance_weights=_stance_weights(likely.stance, labels.stance, codebook))


def _temperature(loss: "np.ufunc | object") -> float:
    return round(float(minimize_scalar(loss, bounds=TEMPERATURES, method="bounded").x), 4)


def _binary_loss(logits: Floats, labels: NDArray[np.float32]) -> float:
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))


def _class_loss(logits: Floats, labels: NDArray[np.int64]) -> float:
    normal = np.logaddexp.reduce(logits, axis=1)
    return float(np.mean(normal - logits[np.arange(len(labels)), labels]))


def _stance_weights(probability: Floats, stance: NDArray[np.int64], codebook: Codebook) -> tuple[float, ...]:
    """One weight for all the stances that take a side: one number for few rare labels, so that it carries over."""
    sides = np.array([not found.neutral for found in codebook.stances])
    weights = [np.where(sides, weight, 1.0) for weight in SIDE_WEIGHTS]
    f1 = [
        LabelF1().compute(predictions=(probability * weight).argmax(axis=1), references=stance, label_count=len(sides))["macro_f1"]
        for weight in weights
    ]
    smooth = np.convolve(np.pad(f1, 1, mode="edge"), np.ones(3) / 3, mode="valid")
    return tuple(round(float(value), 3) for value in weights[int(smooth.argmax())])


def _threshold(probability: Floats, present: NDArray[np.bool_]) -> float:
    predicted = probability[None] >= THRESHOLDS[:, None]  # (thresholds, sentences)
    hits = (predicted & present).sum(axis=1)
    f1 = 2 * hits / np.maximum(predicted.sum(axis=1) + present.sum(), 1)
    padded = np.pad(f1, SMOOTH, mode="edge")
    smooth = np.convolve(padded, np.ones(2 * SMOOTH + 1) / (2 * SMOOTH + 1), mode="valid")
    return round(float(THRESHOLDS[smooth.argmax()]), 2)
