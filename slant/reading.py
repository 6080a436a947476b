"""What the model says of an article: probabilities, the decision over them, and the shares they add up to."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slant.article import Article, Sentence
from slant.codebook import UNCERTAIN, Codebook
from slant.reliability import LEGEND, Tiers, marked, tier_of

Floats = NDArray[np.float64]

HEADS = ("frames", "stance", "voice")  # of the network; each is sure or uncertain by itself
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
    """The labels chosen for one sentence, ``uncertain`` where a head is not sure enough, and how sure the reader is of all."""

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

    @property
    def uncertain(self) -> tuple[str, ...]:
        """Those of ``HEADS`` that were less sure than asked for."""
        chosen = (self.frames, (self.stance,), (self.voice,))
        return tuple(head for head, labels in zip(HEADS, chosen, strict=True) if UNCERTAIN in labels)


@dataclass(frozen=True)
class Reading:
    """What the model says of an article, sentence by sentence, towards one target.

    Shares are of the sentences whose label is certain; ``coverage`` says how many those are.
    """

    article: Article
    target: str
    sentences: tuple[SentenceReading, ...]
    codebook: Codebook = field(repr=False)
    tiers: Tiers = field(default_factory=dict, repr=False)  # of the labels' reliability
    min_confidence: float = 0.0  # what a head had to be sure of, in [0, 1]

    @property
    def frames(self) -> dict[str, float]:
        """The share of sentences that carry each frame, in [0, 1]; shares may add up to more than 1."""
        counts = Counter(frame for sentence in self.sentences for frame in sentence.frames)
        return self._shares("frames", counts, self.codebook.frame_labels)

    @property
    def stances(self) -> dict[str, float]:
        """The share of sentences that take each stance, in [0, 1]; shares add up to 1."""
        return self._shares("stance", Counter(s.stance for s in self.sentences), self.codebook.stance_labels)

    @property
    def voices(self) -> dict[str, float]:
        """The share of sentences in each voice, in [0, 1]; shares add up to 1."""
        return self._shares("voice", Counter(s.voice for s in self.sentences), self.codebook.voice_labels)

    @property
    def coverage(self) -> dict[str, float]:
        """The share of sentences in which each head is certain, in [0, 1]."""
        total = len(self.sentences)
        return {head: self._certain(head) / total if total else 0.0 for head in HEADS}

    def mark(self, code: str, label: str) -> str:
        """A label of a code (frame, stance or voice) as it stands beside its share: marked where it is of low reliability."""
        return marked(label, tier_of(self.tiers, code, label))

    @property
    def legend(self) -> str:
        """What the marks on labels mean; empty where no label has one."""
        book = self.codebook
        labels = {"frame": book.frame_labels, "stance": book.stance_labels, "voice": book.voice_labels}
        weak = any(tier_of(self.tiers, code, label) == "C" for code, own in labels.items() for label in own)
        return LEGEND if weak else ""

    def _certain(self, head: str) -> int:
        return sum(head not in sentence.uncertain for sentence in self.sentences)

    def _shares(self, head: str, counts: Counter[str], labels: Sequence[str]) -> dict[str, float]:
        total = self._certain(head)
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
            "coverage": self.coverage,
            "tiers": {code: dict(labels) for code, labels in self.tiers.items()},
            "sentences": self.rows(),
        }

    def _repr_html_(self) -> str:
        from slant.render import html  # drawn only where a notebook asks

        return html(self)


def confidences(probabilities: Probabilities, present: NDArray[np.bool_], stance: NDArray[np.int64]) -> Floats:
    """How sure each head is of what it decides, shape (sentences, heads), in [0, 1] and in the order of ``HEADS``.

    That of frames is the lowest among all frames' probabilities to be present or absent, as decided; those of stance and
    voice are the probabilities of the label chosen.

    Args:
        probabilities: of the article's sentences.
        present: whether each frame is decided to be there, shape (sentences, frames).
        stance: the number of the stance chosen, shape (sentences,).
    """
    decided = np.where(present, probabilities.frames, 1 - probabilities.frames)  # (sentences, frames)
    chosen = np.take_along_axis(probabilities.stance, stance[:, None], axis=1)  # (sentences, 1)
    return np.column_stack([decided.min(axis=1), chosen, probabilities.voice.max(axis=1)])


def decide(
    probabilities: Probabilities,
    codebook: Codebook,
    thresholds: Sequence[float],
    stance_weights: Sequence[float] = (),
    *,
    min_confidence: float = 0.0,
) -> list[Decision]:
    """Choose labels: each frame at or above its threshold, the weightiest stance, the likeliest voice.

    Args:
        probabilities: of the article's sentences.
        codebook: names the columns.
        thresholds: one for each frame, in [0, 1].
        stance_weights: what each stance's probability counts for in the choice, positive; empty for all alike.
            Rare sides weigh more than neutral where both kinds of error are to matter.
        min_confidence: a head that is less sure than this gives ``uncertain``, in [0, 1]; 0 never does.

    Returns:
        One decision a sentence. Its confidence is the lowest of its heads': of each frame's presence
        or absence as decided, of the stance and of the voice.

    Raises:
        ValueError: when ``min_confidence`` is no probability.

    Source:
        Chow (1970), "On Optimum Recognition Error and Reject Tradeoff", for rejection below a probability.

    >>> import numpy as np
    >>> from slant.codebook import Codebook, Label
    >>> labels = lambda *names: tuple(Label(name, "") for name in names)
    >>> codebook = Codebook("1", "t", labels("f"), labels("pro", "con"), labels("a", "q"), {}, "")
    >>> one = Probabilities(np.array([[0.4]]), np.array([[0.7, 0.3]]), np.array([[0.1, 0.9]]))
    >>> decide(one, codebook, [0.35])
    [Decision(frames=('f',), stance='pro', voice='q', confidence=0.4)]
    >>> decide(one, codebook, [0.35], min_confidence=0.6)
    [Decision(frames=('uncertain',), stance='pro', voice='q', confidence=0.4)]
    """
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"the minimum of confidence is a probability, and {min_confidence:g} is none; give one from 0 to 1")
    present = probabilities.frames >= np.asarray(thresholds)  # (sentences, frames)
    weighed = probabilities.stance * np.asarray(stance_weights or 1.0)  # (sentences, stances)
    stance = weighed.argmax(axis=1)  # (sentences,)
    voice = probabilities.voice.argmax(axis=1)  # (sentences,)
    confidence = confidences(probabilities, present, stance)  # (sentences, heads)
    sure = confidence >= min_confidence  # (sentences, heads)
    return [
        Decision(
            tuple(label for label, here in zip(codebook.frame_labels, present[i], strict=True) if here) if sure[i, 0] else (UNCERTAIN,),
            codebook.stance_labels[stance[i]] if sure[i, 1] else UNCERTAIN,
            codebook.voice_labels[voice[i]] if sure[i, 2] else UNCERTAIN,
            float(confidence[i].min()),
        )
        for i in range(len(present))
    ]
