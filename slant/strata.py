"""Puts the sentences of a scored corpus into strata: the same ones whether a sample is drawn or estimated from."""

from collections.abc import Sequence

import numpy as np

from slant.codebook import UNCERTAIN
from slant.estimate import Integers
from slant.scores import Scores

FEWEST = 4  # coded sentences of a stratum: smaller cells are put together, since 2 barely give a variance


def strata_of(scores: Scores, by: Sequence[str], size: int) -> Integers:
    """Strata by the groups that will be compared and by the labels that the model read; what it left open is one more label."""
    groups = np.stack([np.zeros(len(scores.article), dtype=np.int64), *(scores.group(name)[0] for name in by)], axis=1)
    frames = np.where(scores.certain("frame"), scores.frames @ (1 << np.arange(len(scores.frame_labels))), -1).astype(np.int64)
    stances = (*scores.stance_labels, UNCERTAIN)
    stance = np.array([stances.index(value) for value in scores.sentences["stance"].to_pylist()], dtype=np.int64)
    return stratify(np.stack([_numbered(groups), frames, stance], axis=1), size)


def stratify(cells: Integers, size: int) -> Integers:
    """Put sentences into strata: one for each combination of group and predicted labels that is common enough.

    Args:
        cells: of every sentence its group and its predicted labels as numbers, shape (sentences, 1 + codes).
        size: of the sample to come.

    Returns:
        The stratum of every sentence, numbered from 0, shape (sentences,). Combinations that would get fewer than
        ``FEWEST`` coded sentences are one stratum within their group, or with those of other groups.
    """
    strata = _numbered(cells)
    for coarser in (_numbered(cells[:, :1]), np.zeros(len(cells), dtype=np.int64)):
        counts = np.bincount(strata)
        wanted = size * np.sqrt(counts) / np.sqrt(counts).sum()
        small = (wanted < FEWEST) & (counts > wanted)
        strata = _numbered(np.where(small[strata], len(counts) + coarser, strata)[:, None])
    return strata


def _numbered(rows: Integers) -> Integers:
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
