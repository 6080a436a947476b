from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from slant.windows import MOST_TARGET_TOKENS, pack, tokenizer_from

VOCABULARY = {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "target": 3, **{f"w{i}": 4 + i for i in range(300)}}
TOKENIZER = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
TOKENIZER.pre_tokenizer = pre_tokenizers.WhitespaceSplit()


def sentences(lengths: list[int]) -> list[str]:
    words = iter(f"w{i % 300}" for i in range(10_000))
    return [" ".join(next(words) for _ in range(length)) for length in lengths]


@given(st.lists(st.integers(0, 40), max_size=30), st.integers(0, 10))
def test_every_sentence_is_scored_once_and_its_tokens_are_its_own(lengths: list[int], left_context: int) -> None:
    texts = sentences(lengths)
    windows = pack(texts, "target", TOKENIZER, window=24, left_context=left_context)
    slots = [(window, slot) for window in windows for slot in window.slots]
    assert [slot.sentence for _, slot in slots] == list(range(len(texts)))
    for window, slot in slots:
        assert len(window.ids) <= 24
        assert window.ids[:3] == (0, 3, 1)
        assert window.ids[-1] == 1
        own = [TOKENIZER.token_to_id(word) for word in texts[slot.sentence].split()]
        assert list(window.ids[slot.start : slot.end]) == own[: slot.end - slot.start]
        assert slot.truncated == (len(own) > 20)
        assert slot.end - slot.start == min(len(own), 20)
        assert all(texts[slot.sentence][a:b] for a, b in slot.offsets)


def test_left_context_is_what_stands_before() -> None:
    texts = sentences([15, 15])
    second = pack(texts, "target", TOKENIZER, window=24, left_context=4)[1]
    assert second.slots[0].start == 3 + 4
    assert list(second.ids[3:7]) == [TOKENIZER.token_to_id(word) for word in texts[0].split()[-4:]]


def test_a_long_target_is_refused() -> None:
    with pytest.raises(ValueError, match=f"at most {MOST_TARGET_TOKENS}"):
        pack(["w1"], "w1 " * 50, TOKENIZER, window=128, left_context=0)


def test_a_tokenizer_without_special_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"neither \[CLS\]"):
        pack(["a"], "a", Tokenizer(models.WordLevel({"a": 0}, unk_token="a")), window=24, left_context=0)


def test_a_tokenizers_own_truncation_is_off(tiny_base: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    tokenizer.enable_truncation(4)
    assert len(tokenizer_from(tokenizer.to_str()).encode("money money money money money money").ids) > 4
