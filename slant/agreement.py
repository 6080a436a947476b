"""Krippendorff's alpha: how far coders agree beyond chance."""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def coincidences(units: Sequence[Sequence[Hashable]], values: Sequence[Hashable]) -> NDArray[np.float64]:
    """Count the pairs of values that coders gave the same units.

    Args:
        units: for each unit the values that coders gave it; a coder who gave none is left out.
        values: all that may occur.

    Returns:
        The symmetric coincidence matrix, shape (values, values). Units with one value pair with nothing.
    """
    index = {value: i for i, value in enumerate(values)}
    matrix = np.zeros((len(values), len(values)))
    for unit in units:
        if len(unit) < 2:
            continue
        row = np.bincount([index[value] for value in unit], minlength=len(values)).astype(float)
        matrix += (np.outer(row, row) - np.diag(row)) / (len(unit) - 1)
    return matrix


def alpha(matrix: NDArray[np.float64]) -> float:
    """Krippendorff's alpha for nominal data.

    Args:
        matrix: of coincidences, shape (values, values).

    Returns:
        1 for perfect agreement, 0 for that of chance; NaN if fewer than two values occur.

    Source:
        Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability".

    >>> round(alpha(coincidences([(0, 1), (1, 1), (0, 1), (0, 0), (0, 0), (0, 1), (0, 0), (0, 0), (1, 0), (0, 0)], [0, 1])), 3)
    0.095
    """
    totals = matrix.sum(axis=1)
    pairs = totals.sum()
    expected = totals.sum() ** 2 - (totals**2).sum()
    if expected == 0:
        return float("nan")
    return float(1 - (pairs - 1) * (pairs - np.trace(matrix)) / expected)


def alphas(rows: Sequence[Mapping[str, Any]], frames: Sequence[str]) -> dict[str, float]:
    """Alpha of the coders of a sample, for each frame, stance and voice; NaN where fewer than two coded the same sentences.

    Args:
        rows: what each coder said of a sentence: ``id``, ``frames``, ``stance`` and ``voice``.
        frames: of the codebook.
    """
    grouped: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        grouped[row["id"]].append(row)
    found = {
        frame: alpha(coincidences([[frame in row["frames"] for row in said] for said in grouped.values()], [False, True]))
        for frame in frames
    }
    for code in ("stance", "voice"):
        values = sorted({row[code] for row in rows})
        found[code] = alpha(coincidences([[row[code] for row in said] for said in grouped.values()], values))
    return found
