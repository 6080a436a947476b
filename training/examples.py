"""Passages (sentences, what stance is read towards, labels) and the token windows that training sees them in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from slant.codebook import Codebook
from slant.windows import Window, pack
from training.annotations import Annotations, Gold

UNKNOWN = -100  # the number of a stance or voice that nobody judged; an unjudged frame is NaN


class Judged(NamedTuple):
    """The labels of one sentence."""

    frames: frozenset[str]
    stance: str
    voice: str


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels as numbers, in the codebook's order."""

    frames: NDArray[np.float32]  # (sentences, frames), 0 or 1, or NaN
    stance: NDArray[np.int64]  # (sentences,), or UNKNOWN
    voice: NDArray[np.int64]  # (sentences,), or UNKNOWN

    def part(self, first: int, last: int) -> "Labels":
        """The labels of the sentences from one number up to another."""
        return Labels(self.frames[first:last], self.stance[first:last], self.voice[first:last])

    def where(self, mask: NDArray[np.bool_]) -> "Labels":
        """The labels of the sentences that a mask picks."""
        return Labels(self.frames[mask], self.stance[mask], self.voice[mask])

    @classmethod
    def of(cls, gold: Sequence[Gold | Judged], codebook: Codebook) -> "Labels":
        """Number the labels of sentences."""
        frames = [[label in row.frames for label in codebook.frame_labels] for row in gold]
        return cls(
            np.array(frames, dtype=np.float32).reshape(len(gold), len(codebook.frames)),
            np.array([codebook.stance_labels.index(row.stance) for row in gold], dtype=np.int64),
            np.array([codebook.voice_labels.index(row.voice) for row in gold], dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class Passage:
    """Sentences in their order, what stance is read towards, and their labels."""

    texts: tuple[str, ...]
    target: str
    labels: Labels
    gold: tuple[Gold, ...] = ()  # the rows that the labels are of, if they are gold
    opposites: tuple[str, ...] = ()  # targets towards which favor and against change places
    paraphrases: tuple[str, ...] = ()  # other words for the target
    sides_only: bool = False  # stance teaches which side, not whether one is taken

    def part(self, first: int, last: int) -> "Passage":
        """The sentences from one number up to another."""
        return replace(self, texts=self.texts[first:last], labels=self.labels.part(first, last), gold=self.gold[first:last])


@dataclass(frozen=True, slots=True)
class Example:
    """A window, and the labels of the sentences scored in it."""

    window: Window
    labels: Labels
    gold: tuple[Gold, ...]
    sides_only: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows side by side, padded, and how their tokens pool into sentences."""

    ids: Tensor  # (windows, tokens)
    mask: Tensor  # (windows, tokens)
    pooling: Tensor  # (sentences, windows * tokens), rows are means
    frames: Tensor  # (sentences, frames)
    stance: Tensor  # (sentences,)
    voice: Tensor  # (sentences,)
    sides_only: Tensor  # (sentences,)


def gold_passages(annotations: Annotations, articles: Iterable[str]) -> list[Passage]:
    """The gold sentences of articles, article by article, towards each target they are coded for."""
    chosen, wordings = set(articles), annotations.wordings
    return [
        Passage(
            tuple(annotations.sentence_text(row) for row in gold),
            target,
            Labels.of(gold, annotations.codebook),
            tuple(gold),
            (*wordings.training_opposites.get(target, ()), f"opposing {target}", f"rejecting {target}"),
            wordings.training_paraphrases.get(target, ()),
        )
        for (article, target), gold in annotations.readable_gold.items()
        if article in chosen
    ]


def examples(passages: Iterable[Passage], tokenizer: Tokenizer, *, window: int, left_context: int) -> list[Example]:
    """Pack passages into windows as the reader does."""
    found = []
    for passage in passages:
        for packed in pack(passage.texts, passage.target, tokenizer, window=window, left_context=left_context):
            first, last = packed.slots[0].sentence, packed.slots[-1].sentence + 1
            found.append(Example(packed, passage.labels.part(first, last), passage.gold[first:last], passage.sides_only))
    return found


def collate(batch: Sequence[Example]) -> Batch:
    """Lay windows side by side; padding is masked and pools into no sentence."""
    longest = max(len(example.window.ids) for example in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    pooling = torch.zeros(sum(len(example.window.slots) for example in batch), len(batch) * longest)
    row = 0
    for i, example in enumerate(batch):
        length = len(example.window.ids)
        ids[i, :length] = torch.tensor(example.window.ids)
        mask[i, :length] = 1
        for slot in example.window.slots:
            if slot.end > slot.start:
                pooling[row, i * longest + slot.start : i * longest + slot.end] = 1 / (slot.end - slot.start)
            row += 1
    return Batch(
        ids,
        mask,
        pooling,
        torch.from_numpy(np.concatenate([example.labels.frames for example in batch])),
        torch.from_numpy(np.concatenate([example.labels.stance for example in batch])),
        torch.from_numpy(np.concatenate([example.labels.voice for example in batch])),
        torch.tensor([example.sides_only for example in batch for _ in example.window.slots]),
    )
