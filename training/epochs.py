"""What each epoch of a training shows: every gold passage once, a share of the others, some of them towards another target."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from tokenizers import Tokenizer

from slant.codebook import Codebook
from training.examples import UNKNOWN, Example, Passage, examples
from training.recipe import Recipe

_WORD = re.compile(r"[^\W\d_]{4,}")


def epochs(
    passages: Sequence[Passage],
    recipe: Recipe,
    codebook: Codebook,
    tokenizer: Tokenizer,
    *,
    count: int,
    taught: Sequence[Passage] = (),
    twins: Sequence[Passage] = (),
) -> list[list[Example]]:
    """Pack the passages for each epoch, and shares ``taught_share`` and ``twin_share`` of the others, each epoch another.

    A share ``paraphrase_share`` of the passages is read towards other words for its target, if any are known;
    a share ``opposite_share`` is read towards the opposite of its target, with favor and
    against changed about; a share ``unrelated_share`` towards a target of other passages that has no word
    in common with its own, with every stance neutral. Frames and voices stay. So the target has to be read.
    """
    targets = sorted({passage.target for passage in [*passages, *taught, *twins]})
    found = []
    for epoch in range(count):
        rng = np.random.default_rng([recipe.seed, epoch, len(passages)])
        chosen = [*_share(taught, recipe.taught_share, recipe.seed, epoch), *_share(twins, recipe.twin_share, recipe.seed, epoch)]
        shown = []
        for passage in [*passages, *chosen]:
            draw = rng.random()
            if draw < recipe.unrelated_share:
                shown.append(unrelated(passage, targets[rng.integers(len(targets))], codebook))
            elif draw < recipe.unrelated_share + recipe.opposite_share:
                shown.append(opposed(passage, int(rng.integers(1 << 30)), codebook))
            elif draw < recipe.unrelated_share + recipe.opposite_share + recipe.paraphrase_share and passage.paraphrases:
                shown.append(replace(passage, target=passage.paraphrases[rng.integers(len(passage.paraphrases))]))
            else:
                shown.append(passage)
        found.append(examples(shown, tokenizer, window=recipe.window, left_context=recipe.left_context))
    return found


def opposed(passage: Passage, number: int, codebook: Codebook) -> Passage:
    """The passage towards one of its target's opposites, picked by number: the two sides change places.

    As it is where no opposite is known, or where the codebook's sides are not two.
    """
    sides = [i for i, stance in enumerate(codebook.stances) if not stance.neutral]
    if not passage.opposites or len(sides) != 2:
        return passage
    one, other = sides
    stance = passage.labels.stance
    turned = np.where(stance == one, other, np.where(stance == other, one, stance))
    target = passage.opposites[number % len(passage.opposites)]
    return replace(passage, target=target, opposites=(), labels=replace(passage.labels, stance=turned))


def unrelated(passage: Passage, target: str, codebook: Codebook) -> Passage:
    """The passage towards a target on another matter: every stance is neutral.

    As it is where the targets share a word, or where it teaches sides alone and cannot say neutral.
    """
    own = {word.lower() for word in _WORD.findall(f"{passage.target} {' '.join(passage.opposites)}")}
    if passage.sides_only or own & {word.lower() for word in _WORD.findall(target)}:
        return passage
    neutral = next(i for i, stance in enumerate(codebook.stances) if stance.neutral)
    stance = passage.labels.stance
    return replace(
        passage, target=target, opposites=(), labels=replace(passage.labels, stance=np.where(stance == UNKNOWN, UNKNOWN, neutral))
    )


def _share(passages: Sequence[Passage], share: float, seed: int, epoch: int) -> list[Passage]:
    """An epoch's share of the passages: each is shown once before any is shown again."""
    order = np.random.default_rng(seed).permutation(len(passages))
    each = round(len(passages) * share)
    return [passages[i] for i in np.roll(order, -epoch * each)[:each]]
