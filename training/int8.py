"""The int8 form of a network: what is exported in the place of its linear layers and its word embeddings.

Weights have a scale for each output. What a layer reads has one scale for the whole window, found anew in each, which
onnxruntime multiplies fast; but a few channels, above all of [CLS], are tens of times as large as the others and would
leave these a handful of steps. So each channel is first shifted and divided, which bias and weights make up for; or, where
that is not enough (behind the GELU), each token is divided by its largest value. Which one is decided layer by layer,
on windows that are read for it; their labels are not used.

Source:
    Xiao et al. (2023), "SmoothQuant" (dividing channels); Wei et al. (2023), "Outlier Suppression+" (shifting them);
    Frantar et al. (2023), "GPTQ" (rounding).
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from slant.network import Network

MOST = 127  # of int8, each way
STEPS = 104  # of a weight, each way: processors without VNNI add two products in 16 bits, and with 127 steps that overflows too often
STRENGTHS = (0.5, 0.6, 0.7, 0.8, 0.9)  # tried: how much of a channel's size goes over into the weights
GAIN = 2.0  # a scale a token takes time: only where the error is so many times less
TRIED = 12  # windows on which the ways are compared
DAMP = 0.01  # of the mean second moment, added so that it can be inverted
LEAST = 1e-6  # no divisor is less


class _Product(torch.autograd.Function):
    """onnxruntime's product of float rows, made uint8 with one scale a window, and int8 weights (inputs, outputs)."""

    @staticmethod
    def forward(_: Any, rows: Tensor, weights: Tensor, scales: Tensor, zeros: Tensor, *bias: Tensor) -> Tensor:
        return sum(bias, rows @ (weights.float() * scales))

    @staticmethod
    def symbolic(graph: Any, rows: Any, weights: Any, scales: Any, zeros: Any, *bias: Any) -> Any:
        product = graph.op("com.microsoft::DynamicQuantizeMatMul", rows, weights, scales, zeros, *bias)
        return product.setType(rows.type().with_sizes([1, None, weights.type().sizes()[1]]))


class _Way(NamedTuple):
    """How an input is made int8: by channel, (states - shift) * factors, or else each token by its largest magnitude."""

    factors: Tensor | None  # (channels)
    shift: Tensor | None  # (channels)

    @property
    def by_token(self) -> bool:
        return self.factors is None

    def apply(self, states: Tensor) -> Tensor:
        """What is made int8, but for a token's largest magnitude."""
        states = states if self.shift is None else states - self.shift
        return states if self.factors is None else states * self.factors

    def weight(self, weight: Tensor) -> Tensor:
        """What the result is multiplied with, (outputs, channels)."""
        return weight if self.factors is None else weight / self.factors

    def bias(self, weight: Tensor) -> Tensor:
        """What the shift takes away from the outputs."""
        return torch.zeros(len(weight)) if self.shift is None else weight @ self.shift


class _Linear(nn.Module):
    """A linear layer in int8."""

    weights: Tensor
    scales: Tensor
    zeros: Tensor
    bias: Tensor

    def __init__(self, steps: Tensor, scales: Tensor, bias: Tensor, way: _Way) -> None:
        super().__init__()
        self.register_buffer("weights", steps.t().contiguous().to(torch.int8))
        self.register_buffer("scales", scales)
        self.register_buffer("zeros", torch.zeros(len(scales), dtype=torch.int8))
        self.register_buffer("bias", bias)
        self.way = way  # layers that read the same input share the very tensors in it, and so what is computed with them

    def forward(self, states: Tensor) -> Tensor:
        if not self.way.by_token:
            return self._product(self.way.apply(states), self.bias)
        largest = _largest(states)
        return self._product(states * (1 / largest)) * largest + self.bias

    def _product(self, states: Tensor, *bias: Tensor) -> Tensor:
        found: Tensor = _Product.apply(states, self.weights, self.scales, self.zeros, *bias)  # type: ignore[no-untyped-call]
        return found


class _Embedding(nn.Module):
    """Word embeddings in int8, each word's with a scale of its own."""

    words: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        scales = weight.abs().amax(1, keepdim=True).clamp(min=LEAST) / MOST
        self.register_buffer("words", torch.round(weight / scales).to(torch.int8))
        self.register_buffer("scales", scales)

    def forward(self, ids: Tensor) -> Tensor:
        return self.words[ids].float() * self.scales[ids]


@dataclass(eq=False)
class _Input:
    """What one or several layers read, gathered over windows."""

    layers: dict[str, nn.Linear] = field(default_factory=dict)
    low: Tensor = field(default_factory=lambda: torch.tensor(torch.inf))  # (channels)
    high: Tensor = field(default_factory=lambda: torch.tensor(-torch.inf))  # (channels)
    tokens: int = 0
    sum: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))  # (channels)
    squares: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))  # (channels, channels), of channels' products
    windows: list[Tensor] = field(default_factory=list)  # the first few, (tokens, channels)

    def add(self, states: Tensor) -> None:
        states = states.flatten(0, -2)
        self.low, self.high = torch.minimum(self.low, states.amin(0)), torch.maximum(self.high, states.amax(0))
        self.tokens += len(states)
        if len(self.windows) < TRIED:
            self.windows.append(states)
        states = states.double()  # or what is left of the squares once the shift is taken off would be noise
        self.sum = self.sum + states.sum(0)
        self.squares = self.squares + states.t() @ states

    def moment(self, way: _Way) -> Tensor:
        """The mean products of the channels (channels, channels) of what is made int8."""
        mean, moment = self.sum / self.tokens, self.squares / self.tokens
        if way.shift is not None:
            shift = way.shift.double()
            moment = moment - torch.outer(mean, shift) - torch.outer(shift, mean) + torch.outer(shift, shift)
        return moment if way.factors is None else moment * torch.outer(way.factors, way.factors)


def int8(network: Network, windows: Sequence[Sequence[int]]) -> Network:
    """Make a copy of a network whose encoder's linear layers and word embeddings are int8 once exported.

    Args:
        network: in evaluation mode; left as it is.
        windows: token ids to see on what the layers read, a hundred or so from texts like those to be read.
    """
    found = copy.deepcopy(network)
    with torch.no_grad():
        for read in _inputs(found, windows):
            way = _best(read)
            for name, layer in read.layers.items():
                steps, scales = _rounded(way.weight(layer.weight), read.moment(way))
                found.encoder.set_submodule(name, _Linear(steps, scales, layer.bias + way.bias(layer.weight), way))
        words = found.encoder.get_input_embeddings()  # type: ignore[operator]
        found.encoder.set_input_embeddings(_Embedding(words.weight.data))  # type: ignore[operator]
    return found


def _inputs(network: Network, windows: Sequence[Sequence[int]]) -> list[_Input]:
    """Run the windows and gather what the encoder's linear layers read; those that read the very same tensor belong together."""
    layers = {layer: name for name, layer in network.encoder.named_modules() if isinstance(layer, nn.Linear)}
    found: dict[nn.Module, _Input] = {}
    last: tuple[Tensor, _Input] | None = None

    def see(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal last
        states = arguments[0]
        together = last is not None and last[0] is states
        if layer not in found:
            found[layer] = last[1] if last is not None and together else _Input()
            assert isinstance(layer, nn.Linear)
            found[layer].layers[layers[layer]] = layer
        if not together:
            found[layer].add(states)
        last = states, found[layer]

    with _hooks(list(layers), see):
        for window in windows:
            network.encoder(input_ids=torch.tensor([list(window)]))
    return list(dict.fromkeys(found.values()))


@contextmanager
def _hooks(layers: Sequence[nn.Module], see: Any) -> Iterator[None]:
    handles = [layer.register_forward_pre_hook(see) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _best(read: _Input) -> _Way:
    """The way with the least error, where a scale a token must be worth its time."""
    weight = torch.cat([layer.weight for layer in read.layers.values()])
    middle = (read.low + read.high) / 2
    ways = [_by_channel(read, weight, shift, strength) for shift in (None, middle) for strength in STRENGTHS]
    errors = [_error(read, weight, way) for way in ways]
    by_token = _Way(None, None)
    return by_token if _error(read, weight, by_token) * GAIN < min(errors) else ways[errors.index(min(errors))]


def _by_channel(read: _Input, weight: Tensor, shift: Tensor | None, strength: float) -> _Way:
    """Factors with a geometric mean of 1 that even out the channels, the more the stronger, at the weights' cost."""
    far = torch.maximum(read.low.abs(), read.high.abs()) if shift is None else read.high - shift
    size = far.clamp(min=LEAST).log() * strength - weight.abs().amax(0).clamp(min=LEAST).log() * (1 - strength)
    return _Way((size.mean() - size).exp(), shift)


def _error(read: _Input, weight: Tensor, way: _Way) -> float:
    """The squared error of the layers' outputs on the windows kept."""
    weight = way.weight(weight)
    rounded = torch.round(weight / _scales(weight)) * _scales(weight)
    total = 0.0
    for window in read.windows:
        states = way.apply(window)
        largest = _largest(states) if way.by_token else torch.ones(())
        total += float(((_uint8(states / largest) * largest) @ rounded.t() - states @ weight.t()).square().sum())
    return total


def _largest(states: Tensor) -> Tensor:
    """Each token's largest magnitude, (…, tokens, 1)."""
    return states.abs().amax(-1, keepdim=True).clamp(min=LEAST)


def _uint8(states: Tensor) -> Tensor:
    """The values that onnxruntime's dynamic quantisation makes of a window's."""
    low, high = states.min().clamp(max=0), states.max().clamp(min=0)
    scale = ((high - low) / 255).clamp(min=LEAST / 255)
    zero = torch.round(-low / scale)
    return (torch.clamp(torch.round(states / scale) + zero, 0, 255) - zero) * scale


def _scales(weight: Tensor) -> Tensor:
    return weight.abs().amax(1, keepdim=True).clamp(min=LEAST) / STEPS


def _rounded(weight: Tensor, moment: Tensor) -> tuple[Tensor, Tensor]:
    """Round weights (outputs, inputs) to whole steps, each input's error made up for by the inputs after it (GPTQ).

    Returns:
        The steps, and the scale of each output.
    """
    scales = _scales(weight)
    rest = (weight / scales).double()
    moment = moment + DAMP * moment.diagonal().mean().clamp(min=LEAST) * torch.eye(len(moment), dtype=torch.float64)
    upper = torch.linalg.cholesky(torch.linalg.inv(moment), upper=True)
    steps = torch.zeros_like(rest)
    for i in range(rest.shape[1]):
        steps[:, i] = rest[:, i].round().clamp(-STEPS, STEPS)
        rest[:, i + 1 :] -= torch.outer((rest[:, i] - steps[:, i]) / upper[i, i], upper[i, i + 1 :])
    return steps, scales.squeeze(1)
