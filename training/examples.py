"""Annotated articles as token windows with the labels of their sentences."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from slant.codebook import Codebook
from slant.windows import Window, pack
from training.annotations import Annotations, Gold


@dataclass(frozen=True, slots=True)
class Labels:
    """Gold labels as numbers, in the codebook's order."""

    frames: NDArray[np.float32]  # (sentences, frames), 0 or 1
    stance: NDArray[np.int64]  # (sentences,)
    voice: NDArray[np.int64]  # (sentences,)

    @classmethod
    def of(cls, gold: Sequence[Gold], codebook: Codebook) -> "Labels":
        """Number the labels of gold sentences."""
        frames = [[label in row.frames for label in codebook.frame_labels] for row in gold]
        return cls(
            np.array(frames, dtype=np.float32).reshape(len(gold), len(codebook.frames)),
            np.array([codebook.stance_labels.index(row.stance) for row in gold], dtype=np.int64),
            np.array([codebook.voice_labels.index(row.voice) for row in gold], dtype=np.int64),
        )


@dataclass(frozen=True, slots=True)
class Example:
    """A window, the gold sentences scored in it, and their labels."""

    window: Window
    gold: tuple[Gold, ...]
    labels: Labels


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows side by side, padded, and how their tokens pool into sentences."""

    ids: Tensor  # (windows, tokens)
    mask: Tensor  # (windows, tokens)
    pooling: Tensor  # (sentences, windows * tokens), rows are means
    frames: Tensor  # (sentences, frames)
    stance: Tensor  # (sentences,)
    voice: Tensor  # (sentences,)


def examples(annotations: Annotations, articles: Iterable[str], tokenizer: Tokenizer, *, window: int, left_context: int) -> list[Example]:
    """Pack the gold sentences of articles into windows, towards each target they are coded for."""
    chosen = set(articles)
    found = []
    for (article, target), gold in annotations.readable_gold.items():
        if article not in chosen:
            continue
        texts = [annotations.sentence_text(row) for row in gold]
        for packed in pack(texts, target, tokenizer, window=window, left_context=left_context):
            rows = tuple(gold[slot.sentence] for slot in packed.slots)
            found.append(Example(packed, rows, Labels.of(rows, annotations.codebook)))
    return found


def collate(batch: Sequence[Example]) -> Batch:
    """Lay windows side by side; padding is masked and pools into no sentence."""
    longest = max(len(example.window.ids) for example in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    pooling = torch.zeros(sum(len(example.gold) for example in batch), len(batch) * longest)
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
    )
