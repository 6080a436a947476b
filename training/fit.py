"""Fits a network to examples, epoch by epoch, and goes on where a killed run stopped."""

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional

from slant.codebook import Codebook
from slant.network import Network
from training.base import base_encoder
from training.commands import TrainingError
from training.examples import UNKNOWN, Batch, Example, Labels, collate
from training.recipe import Recipe


def fresh_network(recipe: Recipe, codebook: Codebook) -> Network:
    """The base encoder with new heads, seeded."""
    torch.manual_seed(recipe.seed)
    encoder = base_encoder(recipe)
    label_count = len(codebook.frames) + len(codebook.stances) + len(codebook.voices)
    network = Network(encoder, encoder.config.hidden_size, label_count, dropout=recipe.dropout)
    if recipe.freeze_embeddings:
        encoder.get_input_embeddings().weight.requires_grad_(False)
    return network


def fit(
    network: Network, epochs: Sequence[Sequence[Example]], recipe: Recipe, codebook: Codebook, *, state: Path, title: str, bar: bool = True
) -> Network:
    """Fit the network in place; after each epoch its state is kept, and a later call goes on from there.

    Args:
        network: with the base's weights; overwritten by the state if there is one.
        epochs: the examples of each epoch, at least one in each.
        recipe: how to train.
        codebook: says how many labels each head has.
        state: file for the state of work under way; its content is bound to these examples and this recipe.
        title: shown at the progress bar.
        bar: whether to draw one on a terminal; else a line an epoch is printed.

    Returns:
        The same network, in evaluation mode.
    """
    if not all(epochs):
        raise TrainingError("no annotated sentence to train on; give --texts, or add written articles")
    encoder = [p for name, p in network.named_parameters() if p.requires_grad and not name.startswith("heads.")]
    groups = [
        {"params": encoder, "lr": recipe.learning_rate},
        {"params": list(network.heads.parameters()), "lr": recipe.head_learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, fused=True)
    epoch_steps = [math.ceil(len(found) / recipe.batch_windows) for found in epochs]
    steps = sum(epoch_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _slope(step, steps, recipe.warmup))
    identity = _identity(epochs, recipe)
    first_epoch = _resume(state, identity, network, optimizer, schedule)
    weights = _stance_weights(epochs[0], codebook, recipe.rare_stance_weight)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not (bar and os.isatty(2))) as progress:
        task = progress.add_task(title, total=steps, completed=sum(epoch_steps[:first_epoch]), loss="")
        for epoch in range(first_epoch, len(epochs)):
            train = epochs[epoch]
            torch.manual_seed(recipe.seed * 1000 + epoch)
            order = np.random.default_rng([recipe.seed, epoch]).permutation(len(train))
            network.train()
            total = 0.0
            for i in range(0, len(order), recipe.batch_windows):
                batch = collate([train[j] for j in order[i : i + recipe.batch_windows]])
                loss = _loss(_sentence_logits(network, batch), batch, recipe, codebook, weights)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
                total += loss.item()
                progress.update(task, advance=1, loss=f"loss {loss.item():.3f}")
            if progress.disable:
                print(f"{title}: epoch {epoch + 1} of {len(epochs)}, mean loss {total / epoch_steps[epoch]:.3f}", flush=True)
            _keep(state, identity, epoch + 1, network, optimizer, schedule)
    return network.eval()


def logits(network: Network, found: Sequence[Example]) -> NDArray[np.float64]:
    """Logits of the examples' sentences, in order, shape (sentences, labels); one window at a time."""
    network.eval()
    rows = []
    with torch.inference_mode():
        for example in found:
            batch = collate([example])
            rows.append((batch.pooling @ network(batch.ids, batch.mask).flatten(0, 1)).numpy())
    return np.concatenate(rows).astype(np.float64)


def labels(found: Sequence[Example]) -> Labels:
    """The labels of the examples' sentences, in order."""
    return Labels(
        np.concatenate([example.labels.frames for example in found]),
        np.concatenate([example.labels.stance for example in found]),
        np.concatenate([example.labels.voice for example in found]),
    )


def _sentence_logits(network: Network, batch: Batch) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens = network(batch.ids, batch.mask)  # (windows, tokens, labels)
    pooled: Tensor = batch.pooling @ tokens.float().flatten(0, 1)  # (sentences, labels)
    return pooled


def _loss(sentence_logits: Tensor, batch: Batch, recipe: Recipe, codebook: Codebook, stance_weights: Tensor) -> Tensor:
    frames, stances = len(codebook.frames), len(codebook.stances)
    total = sentence_logits.new_zeros(())
    if (known := ~batch.frames.isnan()).any():
        found = functional.binary_cross_entropy_with_logits(sentence_logits[:, :frames][known], batch.frames[known])
        total = total + recipe.frame_weight * found
    if (batch.stance != UNKNOWN).any():
        neutral = torch.tensor([stance.neutral for stance in codebook.stances])
        offered = sentence_logits[:, frames : frames + stances].masked_fill(batch.sides_only[:, None] & neutral, -torch.inf)
        found = functional.cross_entropy(offered, batch.stance, weight=stance_weights, ignore_index=UNKNOWN)
        total = total + recipe.stance_weight * found
    if (batch.voice != UNKNOWN).any():
        total = total + recipe.voice_weight * functional.cross_entropy(
            sentence_logits[:, frames + stances :], batch.voice, ignore_index=UNKNOWN
        )
    return total


def _stance_weights(train: Sequence[Example], codebook: Codebook, exponent: float) -> Tensor:
    stance = labels(train).stance
    counts = np.bincount(stance[stance != UNKNOWN], minlength=len(codebook.stances)).clip(min=1)
    weights = (counts.sum() / counts) ** exponent
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def _slope(step: int, steps: int, warmup: float) -> float:
    rising = max(1, round(steps * warmup))
    return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))


def _identity(epochs: Sequence[Sequence[Example]], recipe: Recipe) -> str:
    total = hashlib.sha256(recipe.to_toml().encode())
    for example in (example for train in epochs for example in train):
        found = example.labels
        total.update(
            repr((example.window.ids, example.sides_only, found.frames.tolist(), found.stance.tolist(), found.voice.tolist())).encode()
        )
    return total.hexdigest()


def _keep(
    state: Path,
    identity: str,
    epoch: int,
    network: Network,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    state.parent.mkdir(parents=True, exist_ok=True)
    partial = state.with_suffix(".part")
    content = {
        "identity": identity,
        "epoch": epoch,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
    }
    torch.save(content, partial)
    partial.replace(state)


def _resume(
    state: Path, identity: str, network: Network, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
) -> int:
    """The epoch to go on with: 0, unless the state on disk is of these very examples and recipe."""
    if not state.exists():
        return 0
    content = torch.load(state, weights_only=True)
    if content["identity"] != identity:
        return 0
    network.load_state_dict(content["network"])
    optimizer.load_state_dict(content["optimizer"])
    schedule.load_state_dict(content["schedule"])
    return int(content["epoch"])
