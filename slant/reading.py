"""What the model says of an article: probabilities, the decision over them, and the shares they add up to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slant.article import Article, Sentence
from slant.codebook import Codebook

Floats = NDArray[np.float64]

FIELDS = (
    "article",
    "sentence",
    "start",
    "end",
    "text",
    "part",
    "target",
    "frames",
    "stance",
    "voice",
    "frame_probability",
    "stance_probability",
    "voice_probability",
    "confidence",
    "truncated",
)


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Calibrated probabilities of an article's sentences, labels in the codebook's order.

    ``frames`` has shape (sentences, frames), each cell in [0, 1] by itself; ``stance``
    (sentences, stances) and ``voice`` (sentences, voices) have rows that add up to 1.
    """

    frames: Floats
    stance: Floats
    voice: Floats


@dataclass(frozen=True, slots=True)
class Decision:
    """The labels chosen for one sentence, and how sure the reader is of them."""

    frames: tuple[str, ...]
    stance: str
    voice: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Weight:
    """A word that weighed towards a label: its span in the article and its share of the logit."""

    start: int
    end: int
    label: str
    share: float


@dataclass(frozen=True, slots=True)
class SentenceReading:
    """One sentence with its codes, their probabilities and the words that weighed most."""

    sentence: Sentence
    frames: tuple[str, ...]
    stance: str
    voice: str
    frame_probability: dict[str, float]
    stance_probability: dict[str, float]
    voice_probability: dict[str, float]
    confidence: float
    truncated: bool
    evidence: tuple[Weight, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What the model says of an article, sentence by sentence, towards one target."""

    article: Article
    target: str
    sentences: tuple[SentenceReading, ...]
    codebook: Codebook = field(repr=False)

    @property
    def frames(self) -> dict[str, float]:
        """The share of sentences that carry each frame, in [0, 1]; shares may add up to more than 1."""
        counts = Counter(frame for sentence in self.sentences for frame in sentence.frames)
        return self._shares(counts, self.codebook.frame_labels)

    @property
    def stances(self) -> dict[str, float]:
        """The share of sentences that take each stance, in [0, 1]; shares add up to 1."""
        return self._shares(Counter(s.stance for s in self.sentences), self.codebook.stance_labels)

    @property
    def voices(self) -> dict[str, float]:
        """The share of sentences in each voice, in [0, 1]; shares add up to 1."""
        return self._shares(Counter(s.voice for s in self.sentences), self.codebook.voice_labels)

    def _shares(self, counts: Counter[str], labels: Sequence[str]) -> dict[str, float]:
        total = len(self.sentences)
        return {label: counts[label] / total if total else 0.0 for label in labels}

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a sentence with the documented ``FIELDS``, in that order."""
        values = (
            (
                self.article.id,
                number,
                s.sentence.start,
                s.sentence.end,
                s.sentence.text,
                s.sentence.part,
                self.target,
                list(s.frames),
                s.stance,
                s.voice,
                s.frame_probability,
                s.stance_probability,
                s.voice_probability,
                s.confidence,
                s.truncated,
            )
            for number, s in enumerate(self.sentences, start=1)
        )
        return [dict(zip(FIELDS, row, strict=True)) for row in values]

    def to_dict(self) -> dict[str, Any]:
        """The article's shares with all its rows: plain data, ready for JSON."""
        return {
            "article": self.article.id,
            "target": self.target,
            "sentence_count": len(self.sentences),
            "frames": self.frames,
            "stances": self.stances,
            "voices": self.voices,
            "sentences": self.rows(),
        }

    def _repr_html_(self) -> str:
        from slant.render import html  # drawn only where a notebook asks

        return html(self)


def decide(
    probabilities: Probabilities, codebook: Codebook, thresholds: Sequence[float], stance_weights: Sequence[float] = ()
) -> list[Decision]:
    """Choose labels: each frame at or above its threshold, the weightiest stance, the likeliest voice.

    Args:
        probabilities: of the article's sentences.
        codebook: names the columns.
        thresholds: one for each frame, in [0, 1].
        stance_weights: what each stance's probability counts for in the choice, positive; empty for all alike.
            Rare sides weigh more than neutral where both kinds of error are to matter.

    Returns:
        One decision a sentence. Its confidence is the lowest probability among its codes: of each
        frame's presence or absence as decided, of the stance and of the voice.

    >>> import numpy as np
    >>> from slant.codebook import Codebook, Label
    >>> labels = lambda *names: tuple(Label(name, "") for name in names)
    >>> codebook = Codebook("1", "t", labels("f"), labels("pro", "con"), labels("a", "q"), {}, "")
    >>> decide(Probabilities(np.array([[0.4]]), np.array([[0.7, 0.3]]), np.array([[0.1, 0.9]])), codebook, [0.35])
    [Decision(frames=('f',), stance='pro', voice='q', confidence=0.4)]
    """
    present = probabilities.frames >= np.asarray(thresholds)  # (sentences, frames)
    weighed = probabilities.stance * np.asarray(stance_weights or 1.0)  # (sentences, stances)
    stance = weighed.argmax(axis=1)  # (sentences,)
    voice = probabilities.voice.argmax(axis=1)  # (sentences,)
    decided = np.where(present, probabilities.frames, 1 - probabilities.frames)  # (sentences, frames)
    chosen = np.take_along_axis(probabilities.stance, stance[:, None], axis=1)  # (sentences, 1)
    confidence = np.column_stack([decided, chosen, probabilities.voice.max(axis=1)]).min(axis=1)
    return [
        Decision(
            tuple(label for label, here in zip(codebook.frame_labels, present[i], strict=True) if here),
            codebook.stance_labels[stance[i]],
            codebook.voice_labels[voice[i]],
            float(confidence[i]),
        )
        for i in range(len(present))
    ]
