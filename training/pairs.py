"""Stance pairs that people labelled (text, target, stance), as passages whose frames and voice nobody judged."""

from collections import Counter
from pathlib import Path

import numpy as np

from slant.codebook import Codebook
from training.commands import TrainingError, json_lines
from training.examples import UNKNOWN, Labels, Passage


def load(path: Path, codebook: Codebook, *, most: int) -> list[Passage]:
    """Read stance pairs from JSONL, each a passage of its own: side by side, arguments for and against would blur one another.

    Args:
        path: each line has ``text``, ``target`` and ``stance`` (favor or against).
        codebook: numbers the stances; pairs whose stance it does not have are left out.
        most: how many pairs of a target are read, the first of them in the file: some targets have hundreds.

    Raises:
        AnnotationError: for a file or a line that cannot be read.
        TrainingError: for a line that is no stance pair.
    """
    found = []
    seen = Counter[str]()
    for place, row in json_lines(path):
        try:
            text, target, stance = str(row["text"]), str(row["target"]), row["stance"]
        except (KeyError, TypeError) as error:
            raise TrainingError(f"{place}: not a stance pair ({error!r}); each line needs text, target and stance") from None
        if stance in codebook.stance_labels and seen[target] < most:
            seen[target] += 1
            frames = np.full((1, len(codebook.frames)), np.nan, dtype=np.float32)
            labels = Labels(frames, np.array([codebook.stance_labels.index(stance)]), np.array([UNKNOWN]))
            found.append(Passage((text,), target, labels, sides_only=True))
    return found
