"""Stance pairs that people labelled (text, target, stance), as passages whose frames and voice nobody judged."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from slant.codebook import Codebook
from training.commands import TrainingError, json_lines
from training.examples import UNKNOWN, Labels, Passage

PASSAGE = 8  # texts towards one target that are read side by side: about a window full
_CHANGES = (  # openings of a target, and of its opposite
    ("We should not ", "We should "),
    ("We should ", "We should not "),
    ("We need ", "We do not need "),
    ("We do not need ", "We need "),
    ("There should be no ", "There should be "),
    ("believes ", "denies "),
    ("would ", "would not "),
    ("supports ", "opposes "),
)


def load(path: Path, codebook: Codebook, *, seed: int) -> list[Passage]:
    """Read stance pairs from JSONL; texts towards one target are shuffled and read a few at a time.

    Args:
        path: each line has ``text``, ``target`` and ``stance`` (favor or against).
        codebook: numbers the stances; pairs whose stance it does not have are left out.
        seed: of the shuffle.

    Raises:
        TrainingError: for a file or a line that cannot be read.
    """
    by_target: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for place, row in json_lines(path):
        try:
            text, target, stance = str(row["text"]), str(row["target"]), row["stance"]
        except (KeyError, TypeError) as error:
            raise TrainingError(f"{place}: not a stance pair ({error!r}); each line needs text, target and stance") from None
        if stance in codebook.stance_labels:
            by_target[target].append((text, codebook.stance_labels.index(stance)))
    rng = np.random.default_rng(seed)
    found = []
    for target in sorted(by_target):
        rows = [by_target[target][i] for i in rng.permutation(len(by_target[target]))]
        for i in range(0, len(rows), PASSAGE):
            texts, stances = zip(*rows[i : i + PASSAGE], strict=True)
            frames = np.full((len(texts), len(codebook.frames)), np.nan, dtype=np.float32)
            labels = Labels(frames, np.array(stances, dtype=np.int64), np.full(len(texts), UNKNOWN, dtype=np.int64))
            found.append(Passage(texts, target, labels, opposites=(other,) if (other := opposite(target)) else ()))
    return found


def opposite(target: str) -> str:
    """The contrary of a stance pair's target, or the empty string where its wording gives none away.

    >>> opposite("We should ban human cloning")
    'We should not ban human cloning'
    """
    for opening, other in _CHANGES:
        if target.startswith(opening):
            return other + target[len(opening) :]
    for verb in (" should not ", " must not "):
        if verb in target:
            return target.replace(verb, verb.removesuffix("not "), 1)
    for verb in (" should ", " must ", " is ", " are "):
        if verb in target:
            return target.replace(verb, f"{verb}not ", 1)
    return ""
