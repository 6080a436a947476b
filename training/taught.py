"""What one machine coder read under the codebook: for training only, never for a score.

``data/annotations/taught.jsonl`` has a line a real article: which page of ``opinion-pages.jsonl`` it is (by id
and sha256), the target and its opposite, the coder, and each sentence's offsets and codes.
``data/annotations/twins.jsonl`` has a line a passage, written for the project and coded by its writer: twins are on
one matter and share their words, one by a supporter of the target and one by an opponent.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from slant.codebook import AnnotationError, Codebook, known
from training.commands import TrainingError, json_lines
from training.examples import UNKNOWN, Judged, Labels, Passage
from training.targets import Wordings


def load(path: Path, pages: Path, codebook: Codebook) -> list[Passage]:
    """Read the taught articles whose texts are at hand.

    Args:
        path: ``taught.jsonl``.
        pages: JSONL with ``id`` and ``text``.
        codebook: numbers the labels.

    Raises:
        AnnotationError: for a file or line that cannot be read.
        TrainingError: for a label that the codebook does not have, or a text that has changed since it was coded.
    """
    texts = {row["id"]: row["text"] for _, row in json_lines(pages)}
    found = []
    for place, row in json_lines(path):
        text = texts.get(row["page"])
        if text is None:
            continue
        if hashlib.sha256(text.encode()).hexdigest() != row["sha256"]:
            raise TrainingError(
                f"{place}: page {row['page']} has changed since it was coded (its sha256 is another); restore it, or drop the line"
            )
        sentences = tuple(text[s["start"] : s["end"]] for s in row["sentences"])
        found.append(Passage(sentences, row["target"], _labels(row, codebook, place), opposites=(row["opposite"],)))
    return found


def load_twins(path: Path, codebook: Codebook, wordings: Wordings) -> list[Passage]:
    """Read the twin passages.

    Args:
        path: ``twins.jsonl``.
        codebook: numbers the labels; its default target is that of a line without one.
        wordings: has the opposites of the default target.

    Raises:
        AnnotationError: for a file or line that cannot be read.
        TrainingError: for a label that the codebook does not have.
    """
    found = []
    for place, row in json_lines(path):
        texts = tuple(s["text"] for s in row["sentences"])
        target = row.get("target", codebook.default_target)
        opposites = (row["opposite"],) if "opposite" in row else wordings.training_opposites.get(target, ())
        paraphrases = wordings.training_paraphrases.get(target, ())
        labels = _sides(_labels(row, codebook, place), codebook)
        found.append(Passage(texts, target, labels, opposites=opposites, paraphrases=paraphrases, sides_only=True))
    return found


def _sides(labels: Labels, codebook: Codebook) -> Labels:
    """The sides alone: a writer who codes his own sentences draws the line to neutral, and frames, more sharply than readers do."""
    neutral = [i for i, stance in enumerate(codebook.stances) if stance.neutral]
    stance = np.where(np.isin(labels.stance, neutral), UNKNOWN, labels.stance)
    return Labels(np.full_like(labels.frames, np.nan), stance, np.full_like(labels.voice, UNKNOWN))


def _labels(row: dict[str, Any], codebook: Codebook, place: str) -> Labels:
    try:
        return Labels.of([_judged(sentence, codebook, place) for sentence in row["sentences"]], codebook)
    except AnnotationError as error:
        raise TrainingError(str(error)) from None


def _judged(sentence: dict[str, Any], codebook: Codebook, place: str) -> Judged:
    return Judged(
        frozenset(known(frame, codebook.frame_labels, what="frame", place=place) for frame in sentence["frames"]),
        known(sentence["stance"], codebook.stance_labels, what="stance", place=place),
        known(sentence["voice"], codebook.voice_labels, what="voice", place=place),
    )
