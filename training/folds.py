"""Which articles belong together, and how they are split: by group of near-duplicates, never by sentence."""

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

SHINGLE = 8  # words
NEAR_DUPLICATE = 0.15  # share of the shorter text's shingles that the longer one has too

_WORD = re.compile(r"\w+")


def near_duplicates(texts: Mapping[str, str]) -> dict[str, str]:
    """Group texts that share long runs of words.

    Args:
        texts: by id.

    Returns:
        For each id its group's name (the first id in it); a text like no other is its own group.
    """
    shingles = {key: _shingles(text) for key, text in texts.items()}
    holders: dict[int, list[str]] = {}
    for key, hashes in shingles.items():
        for value in hashes:
            holders.setdefault(value, []).append(key)
    shared: dict[tuple[str, str], int] = {}
    for keys in holders.values():
        for i, one in enumerate(keys):
            for other in keys[i + 1 :]:
                shared[one, other] = shared.get((one, other), 0) + 1
    group = {key: key for key in texts}

    def root(key: str) -> str:
        while group[key] != key:
            key = group[key]
        return key

    for (one, other), count in shared.items():
        if count >= NEAR_DUPLICATE * min(len(shingles[one]), len(shingles[other])):
            group[root(other)] = root(one)
    return {key: root(key) for key in texts}


def split(ids: Sequence[str], groups: Mapping[str, str], strata: Mapping[str, str], *, folds: int, seed: int) -> list[list[str]]:
    """Split articles into folds: groups stay whole, and each stratum is spread over the folds.

    Strata with fewer articles than folds are spread as one.

    Returns:
        The ids of each fold, every id in exactly one.
    """
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    names = np.array(list(ids))
    sizes = Counter(strata[i] for i in ids)
    kinds = [strata[i] if sizes[strata[i]] >= folds else "" for i in ids]
    with warnings.catch_warnings():  # the one that is left may still be smaller than the folds
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = list(splitter.split(names, kinds, [groups[i] for i in ids]))
    return [list(map(str, names[test])) for _, test in parts]


def _shingles(text: str) -> set[int]:
    words = _WORD.findall(text.lower())
    return {hash(tuple(words[i : i + SHINGLE])) for i in range(max(len(words) - SHINGLE + 1, 1))}
