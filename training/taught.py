"""Real articles that one machine coder read under the codebook: for training only, never for a score.

``data/annotations/taught.jsonl`` has a line an article: which page of ``opinion-pages.jsonl`` it is (by id
and sha256), the target and its opposite, the coder, and each sentence's offsets and codes.
"""

import hashlib
from pathlib import Path
from typing import Any

from slant.codebook import AnnotationError, Codebook, known
from training.commands import TrainingError, json_lines
from training.examples import Judged, Labels, Passage


def load(path: Path, pages: Path, codebook: Codebook) -> list[Passage]:
    """Read the taught articles whose texts are at hand.

    Args:
        path: ``taught.jsonl``.
        pages: JSONL with ``id`` and ``text``.
        codebook: numbers the labels.

    Raises:
        TrainingError: for a file or line that cannot be read, a label that the codebook does not have, or a
            text that has changed since it was coded.
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
        sentences = row["sentences"]
        try:
            labels = Labels.of([_judged(sentence, codebook, place) for sentence in sentences], codebook)
        except AnnotationError as error:
            raise TrainingError(str(error)) from None
        found.append(Passage(tuple(text[s["start"] : s["end"]] for s in sentences), row["target"], labels, opposites=(row["opposite"],)))
    return found


def _judged(sentence: dict[str, Any], codebook: Codebook, place: str) -> Judged:
    return Judged(
        frozenset(known(frame, codebook.frame_labels, what="frame", place=place) for frame in sentence["frames"]),
        known(sentence["stance"], codebook.stance_labels, what="stance", place=place),
        known(sentence["voice"], codebook.voice_labels, what="voice", place=place),
    )
