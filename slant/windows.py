"""Packs the sentences of an article into token windows, each sentence to be scored in exactly one."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

MOST_TARGET_TOKENS = 40


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one sentence's tokens stand in a window.

    ``offsets`` are character spans within the sentence's text, one for each of its tokens.
    """

    sentence: int  # index in the article
    start: int  # first token in the window
    end: int
    offsets: tuple[tuple[int, int], ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class Window:
    """Token ids ``[CLS] target [SEP] left context, sentences [SEP]`` and the sentences scored in it."""

    ids: tuple[int, ...]
    slots: tuple[Slot, ...]


def tokenizer_from(text: str) -> Tokenizer:
    """Load a tokenizer from the text of ``tokenizer.json``, with its own truncation and padding off."""
    tokenizer: Tokenizer = Tokenizer.from_str(text)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def pack(texts: Sequence[str], target: str, tokenizer: Tokenizer, *, window: int, left_context: int) -> list[Window]:
    """Pack sentences in order into windows of at most ``window`` tokens.

    A window opens with the target, then up to ``left_context`` tokens of what stands before its
    first sentence; then whole sentences follow as long as they fit. A sentence too long for a
    window of its own is cut at the window's end. Nothing here depends on other articles.

    Args:
        texts: the sentences of one article, in order.
        target: what stance is read towards.
        tokenizer: of a BERT-like encoder, with ``[CLS]`` and ``[SEP]`` (or ``<s>`` and ``</s>``).
        window: most tokens in a window, special tokens included.
        left_context: most tokens of left context.

    Returns:
        Windows in order; each sentence is in one slot of one window. An empty sentence has an empty slot.

    Raises:
        ValueError: when the target takes more than ``MOST_TARGET_TOKENS`` tokens.
    """
    first, last = _special_ids(tokenizer)
    target_ids = tokenizer.encode(target, add_special_tokens=False).ids
    if len(target_ids) > MOST_TARGET_TOKENS:
        raise ValueError(
            f"the target '{target[:60]}…' takes {len(target_ids)} tokens; state it in at most {MOST_TARGET_TOKENS} (about 30 words)"
        )
    prefix = [first, *target_ids, last]
    room = window - len(prefix) - 1
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    windows: list[Window] = []
    before: list[int] = []  # the article's tokens so far, as left context for the next window
    ids: list[int] = []
    slots: list[Slot] = []
    for index, encoding in enumerate(encodings):
        kept = min(len(encoding.ids), room)
        if slots and len(ids) + kept > room:
            windows.append(Window((*prefix, *ids, last), tuple(slots)))
            ids, slots = [], []
        if not slots:
            context = min(left_context, room - kept)
            ids = before[-context:] if context else []
        slots.append(_slot(encoding, index, len(prefix) + len(ids), kept))
        ids.extend(encoding.ids[:kept])
        before = (before + encoding.ids)[-left_context:] if left_context else []
    if slots:
        windows.append(Window((*prefix, *ids, last), tuple(slots)))
    return windows


def _slot(encoding: Encoding, index: int, start: int, kept: int) -> Slot:
    return Slot(index, start, start + kept, tuple(encoding.offsets[:kept]), kept < len(encoding.ids))


def _special_ids(tokenizer: Tokenizer) -> tuple[int, int]:
    for opening, closing in (("[CLS]", "[SEP]"), ("<s>", "</s>")):
        first, last = tokenizer.token_to_id(opening), tokenizer.token_to_id(closing)
        if first is not None and last is not None:
            return first, last
    raise ValueError("the tokenizer has neither [CLS] and [SEP] nor <s> and </s>")
