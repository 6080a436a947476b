"""The stages of a training: stance pairs, if the recipe has them, then articles; each goes on where it was killed."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tokenizers import Tokenizer

from slant.codebook import Codebook
from slant.network import Network
from training import pairs, taught
from training.annotations import Annotations
from training.commands import TrainingError
from training.epochs import epochs
from training.examples import Passage
from training.fit import fit, fresh_network
from training.recipe import Recipe

TAUGHT = "taught.jsonl"  # beside the gold
TWINS = "twins.jsonl"
PAIRS = "stance-pairs.jsonl"  # in the folder of corpora
PAGES = "opinion-pages.jsonl"

_NOT_A_WORD = re.compile(r"\W+")


@dataclass(frozen=True)
class Corpora:
    """What a recipe trains on beside the gold; empty where the recipe asks for none."""

    pairs: Sequence[Passage] = ()
    taught: Sequence[Passage] = ()
    twins: Sequence[Passage] = ()

    @classmethod
    def load(cls, recipe: Recipe, annotations: Annotations, folder: Path | None) -> "Corpora":
        """Read what the recipe asks for.

        Args:
            recipe: says what is asked for.
            annotations: the corpus; taught articles and twins lie beside its gold.
            folder: holds ``stance-pairs.jsonl`` and ``opinion-pages.jsonl``.

        Raises:
            TrainingError: when the recipe asks for something and there is no folder.
        """
        codebook = annotations.codebook
        path = annotations.folder / TWINS  # a corpus may have none
        twins = taught.load_twins(path, codebook, annotations.wordings) if recipe.twin_share and path.exists() else ()
        if not recipe.pair_epochs and not recipe.taught_share:
            return cls(twins=twins)
        if folder is None:
            raise TrainingError(
                f"this recipe trains on {PAIRS} and {PAGES} too: name their folder with --corpora, or set pair_epochs = 0 and taught_share = 0 in it"
            )
        return cls(
            pairs.load(folder / PAIRS, codebook, most=recipe.pairs_per_target) if recipe.pair_epochs else (),
            taught.load(annotations.folder / TAUGHT, folder / PAGES, codebook) if recipe.taught_share else (),
            twins,
        )


def train_network(
    gold: Sequence[Passage],
    corpora: Corpora,
    recipe: Recipe,
    codebook: Codebook,
    tokenizer: Tokenizer,
    *,
    scratch: Path,
    title: str,
    bar: bool = True,
) -> Network:
    """Train a network through every stage of the recipe.

    Args:
        gold: annotated articles to train on.
        corpora: what else the recipe trains on.
        recipe: how to train.
        codebook: says how many labels each head has.
        tokenizer: of the base encoder.
        scratch: folder of the states of work under way.
        title: shown at the progress bars; names the states.
        bar: whether to draw bars on a terminal.
    """
    network = fresh_network(recipe, codebook)
    if corpora.pairs:
        network.load_state_dict(pretrained(corpora.pairs, recipe, codebook, tokenizer, scratch=scratch, bar=bar))
    shown = epochs(gold, recipe, codebook, tokenizer, count=recipe.epochs, taught=corpora.taught, twins=corpora.twins)
    return fit(network, shown, recipe, codebook, state=scratch / f"{_NOT_A_WORD.sub('-', title)}.pt", title=title, bar=bar)


def pretrained(
    found: Sequence[Passage], recipe: Recipe, codebook: Codebook, tokenizer: Tokenizer, *, scratch: Path, bar: bool
) -> dict[str, torch.Tensor]:
    """The network's weights after the stance pairs; kept two folders above the scratch, for every fold and every command starts from the same."""
    own = replace(
        recipe,
        epochs=recipe.pair_epochs,
        batch_windows=recipe.pair_batch,
        learning_rate=recipe.pair_learning_rate,
        opposite_share=0.0,
        unrelated_share=0.0,
        paraphrase_share=0.0,
        taught_share=0.0,
        twin_share=0.0,
    )
    shown = epochs(found, own, codebook, tokenizer, count=own.epochs)
    identity = hashlib.sha256(own.to_toml().encode() + b"".join(repr(p.texts).encode() for p in found)).hexdigest()
    kept = scratch.parents[1] / f"pairs-{identity[:12]}.pt"
    if not kept.exists():
        network = fit(fresh_network(own, codebook), shown, own, codebook, state=scratch / "pairs.pt", title="stance pairs", bar=bar)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        torch.save(network.state_dict(), partial)
        partial.replace(kept)
    weights: dict[str, torch.Tensor] = torch.load(kept, weights_only=True)
    return weights
