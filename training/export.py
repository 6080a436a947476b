"""Writes a checkpoint from a trained network, and refuses if its int8 form reads otherwise than torch.

``python -m training.export --texts FOLDER`` makes the int8 form of ``model/`` anew from its weights, without training.
"""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import torch
import typer
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import Tensor, nn

from slant.article import Article, Sentence
from slant.checkpoint import CODEBOOK, CONFIG, ONNX, TOKENIZER, WEIGHTS, Calibration, Checkpoint, set_aside
from slant.codebook import Codebook
from slant.network import Network
from slant.reader import load
from slant.windows import Window, tokenizer_from
from training.annotations import Annotations
from training.card import checkpoint_metrics, write
from training.commands import ANNOTATIONS, MODEL, FolderOption, TextsOption, TrainingError, run
from training.evaluate import held_out
from training.examples import examples, gold_passages
from training.int8 import int8
from training.recipe import Recipe

LEAST_AGREEMENT = 0.98  # share of validation sentences on which int8 and torch must give the same labels
OPSET = 18
SEEN = 100  # windows on which the int8 form is fitted
ModelOption = Annotated[Path, typer.Option("--model", metavar="FOLDER", help="The checkpoint.")]


class _Graph(nn.Module):
    """The network for one window at a time: no padding, so no mask."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor) -> Tensor:
        states = self.network.encoder(input_ids=ids).last_hidden_state  # a mask of ones costs a tenth of the time
        logits: Tensor = self.network.heads(states)
        return logits


def export(
    network: Network,
    recipe: Recipe,
    codebook: Codebook,
    calibration: Calibration,
    tokenizer: str,
    windows: Sequence[Window],
    folder: Path,
) -> None:
    """Write the checkpoint's weights, graph, tokenizer, configuration, codebook and recipe into a folder.

    The int8 form is fitted on the windows (``some_windows``); their labels are not looked at.
    """
    folder.mkdir(parents=True, exist_ok=True)
    half = {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}
    network.load_state_dict({name: tensor.float() for name, tensor in half.items()})  # both forms start from the same numbers
    save_file(half, folder / WEIGHTS)
    _export_onnx(network.eval(), windows, folder / ONNX)
    (folder / TOKENIZER).write_text(tokenizer, encoding="utf-8")
    (folder / CODEBOOK).write_text(codebook.source, encoding="utf-8")
    (folder / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (WEIGHTS, ONNX, TOKENIZER, CODEBOOK)}
    encoder = json.loads(network.encoder.config.to_json_string())  # type: ignore[union-attr, operator]
    checkpoint = Checkpoint(folder, codebook, calibration, recipe.window, recipe.left_context, encoder, digests)
    (folder / CONFIG).write_text(json.dumps(checkpoint.config(), indent=2) + "\n", encoding="utf-8")


def trained_network(checkpoint: Checkpoint) -> Network:
    """A checkpoint's network with its weights."""
    network = Network.from_config(checkpoint.encoder, checkpoint.label_count)
    network.load_state_dict({name: tensor.float() for name, tensor in load_tensors(checkpoint.read(WEIGHTS)).items()})
    return network


def some_windows(annotations: Annotations, articles: Collection[str], tokenizer: str, *, window: int, left_context: int) -> list[Window]:
    """Take about ``SEEN`` windows evenly from the articles, to fit the int8 form on: always the same ones."""
    found = examples(gold_passages(annotations, articles), tokenizer_from(tokenizer), window=window, left_context=left_context)
    return [example.window for example in found[:: max(len(found) // SEEN, 1)]]


def _export_onnx(network: Network, windows: Sequence[Window], path: Path) -> None:
    ids = torch.randint(5, 100, (1, 24))
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = Path(scratch) / "traced.onnx"
        torch.onnx.export(
            _Graph(int8(network, [window.ids for window in windows])),
            (ids,),
            str(traced),
            input_names=["ids"],
            output_names=["token_logits"],
            dynamic_axes={"ids": {1: "tokens"}, "token_logits": {1: "tokens"}},
            opset_version=OPSET,
            custom_opsets={"com.microsoft": 1},
            dynamo=False,
        )
        model = onnx.load(traced)
    # onnxruntime would fuse an Add before a layer norm into a node that takes six times as long as both; Sum it leaves alone
    makers = {output: node for node in model.graph.node for output in node.output}
    for node in model.graph.node:
        maker = makers.get(node.input[0]) if node.op_type == "LayerNormalization" else None
        if maker is not None and maker.op_type == "Add":
            maker.op_type = "Sum"
    onnx.save(model, path)


def agreement(folder: Path, annotations: Annotations, articles: Sequence[str]) -> dict[str, float]:
    """Say on which share of the articles' sentences the int8 and the torch reader give the same labels.

    Returns:
        A share in [0, 1] for each of frames, stance, voice and all (the three at once).
    """
    readers = load(folder, backend="onnx"), load(folder, backend="torch")
    same: dict[str, list[bool]] = {"frames": [], "stance": [], "voice": [], "all": []}
    for (article, target), gold in annotations.readable_gold.items():
        if article not in articles:
            continue
        text = annotations.articles[article].text or ""
        sentences = tuple(Sentence(text[row.start : row.end], row.start, row.end, row.part) for row in gold)
        whole = Article(text, article, sentences)
        for one, other in zip(*(reader.read(whole, target=target).sentences for reader in readers), strict=True):
            same["frames"].append(one.frames == other.frames)
            same["stance"].append(one.stance == other.stance)
            same["voice"].append(one.voice == other.voice)
            same["all"].append(same["frames"][-1] and same["stance"][-1] and same["voice"][-1])
    return {name: float(np.mean(values)) for name, values in same.items()}


def require_agreement(shares: dict[str, float]) -> None:
    """Refuse a checkpoint whose two forms read differently.

    Raises:
        TrainingError: when the share of sentences with the same labels is too low on any head.
    """
    for name in ("frames", "stance", "voice"):
        if shares[name] < LEAST_AGREEMENT:
            raise TrainingError(
                f"export: int8 and torch give the same {name} on {shares[name]:.1%} of the validation sentences, at least {LEAST_AGREEMENT:.0%} "
                "is needed; nothing was written. Train longer, or look at the weights' range"
            )


def replace_folder(new: Path, old: Path) -> None:
    """Put a finished folder in the place of another; a kill at any moment leaves one that is read (``Checkpoint.load`` knows where)."""
    aside = set_aside(old)
    if old.exists():
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(old, aside)
    os.replace(new, old)
    shutil.rmtree(aside, ignore_errors=True)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(folder: FolderOption = ANNOTATIONS, texts: TextsOption = None, model: ModelOption = MODEL) -> None:
    """Make the int8 form of a checkpoint anew from its weights; refused if it reads otherwise than torch."""
    annotations = Annotations.load(folder, texts)
    checkpoint = Checkpoint.load(model)
    network = trained_network(checkpoint)
    new = model.with_name(model.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(model, new)
    unseen = held_out(annotations, model)
    seen = set(annotations.articles) - set(unseen)  # as in training
    source = checkpoint.read(TOKENIZER).decode()
    windows = some_windows(annotations, seen, source, window=checkpoint.window, left_context=checkpoint.left_context)
    _export_onnx(network.eval(), windows, new / ONNX)
    digests = {**checkpoint.digests, ONNX: hashlib.sha256((new / ONNX).read_bytes()).hexdigest()}
    (new / CONFIG).write_text(json.dumps(replace(checkpoint, digests=digests).config(), indent=2) + "\n", encoding="utf-8")
    same = agreement(new, annotations, unseen)
    print("int8 and torch give the same labels on: " + ", ".join(f"{name} {share:.1%}" for name, share in same.items()))
    require_agreement(same)
    metrics = checkpoint_metrics(model) | {"int8_and_torch_same_labels": same, "audit": None}  # that was of the form before
    write(new, metrics, Recipe.load(model / "recipe.toml"), checkpoint.codebook)
    replace_folder(new, model)
    print(f"wrote {model / ONNX}")


if __name__ == "__main__":
    run(app)
