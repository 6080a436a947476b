import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from slant import CheckpointError, load


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))


def config(edit: Callable[[dict[str, dict[str, object]]], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text())
        edit(content)
        (folder / "config.json").write_text(json.dumps(content))

    return change


def truncate(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no such folder"),
        (lambda folder: (folder / "config.json").unlink(), "it has no config.json"),
        (truncate("config.json"), "not JSON"),
        (truncate("model.int8.onnx"), r"model\.int8\.onnx: its sha256 is not the one in config\.json"),
        (truncate("tokenizer.json"), r"tokenizer\.json: its sha256"),
        (truncate("codebook.toml"), r"codebook\.toml: its sha256"),
        (truncate("metrics.json"), r"metrics\.json: cannot be read"),
        (lambda folder: (folder / "metrics.json").write_text('{"cross_validation": {"scores": 1}}'), r"metrics\.json: damaged"),
        (lambda folder: (folder / "model.int8.onnx").unlink(), "the checkpoint is incomplete"),
        (config(lambda content: content.pop("slant")), "another program's checkpoint"),
        (config(lambda content: content["slant"].update(format=99)), "checkpoint format 99"),
        (config(lambda content: content["slant"].pop("window")), "damaged"),
        (config(lambda content: content["slant"]["calibration"].update(thresholds=[0.5])), "1 thresholds for 2 frames"),  # type: ignore[attr-defined]
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_refused(damage: Callable[[Path], object], message: str, checkpoint: Path) -> None:
    damage(checkpoint)
    with pytest.raises(CheckpointError, match=message) as error:
        load(checkpoint)
    assert str(checkpoint) in str(error.value)
    assert "\n" not in str(error.value)


def test_tiers_come_from_the_metrics_and_are_empty_without(checkpoint: Path) -> None:
    assert load(checkpoint).checkpoint.tiers == {}
    assert load(checkpoint).read("Open it.").tiers == {}
    score = {"frame_f1": {"economic": 0.8, "safety": 0.8}, "stance_f1": {"favor": 0.65}, "voice_f1": {"author": 0.5}}
    alpha = {"economic": (0.7, 0.9), "safety": (0.5, 0.9), "stance": (0.6, 0.9), "voice": (0.9, 0.9)}
    agreed = {
        who: {name: {"alpha": pair[i]} for name, pair in alpha.items()} for i, who in enumerate(("model and gold", "coder and coder"))
    }
    measured = {"scores": {"slant": {"all": score}}, "alpha": agreed}
    (checkpoint / "metrics.json").write_text(json.dumps({"cross_validation": measured}))
    found = {"frame": {"economic": "A", "safety": "B"}, "stance": {"favor": "B"}, "voice": {"author": "C"}}
    assert load(checkpoint).read("Open it.").tiers == found
    (checkpoint / "metrics.json").unlink()
    assert load(checkpoint).checkpoint.tiers == {}


def test_a_graph_that_is_none_is_refused(checkpoint: Path) -> None:
    import hashlib

    (checkpoint / "model.int8.onnx").write_bytes(b"no graph")
    digest = hashlib.sha256(b"no graph").hexdigest()
    config(lambda content: content["slant"]["sha256"].update({"model.int8.onnx": digest}))(checkpoint)  # type: ignore[attr-defined]
    with pytest.raises(CheckpointError, match="onnxruntime cannot load it"):
        load(checkpoint)


def test_torch_weights_that_do_not_fit_are_refused(checkpoint: Path) -> None:
    config(lambda content: content["encoder"].update(hidden_size=64))(checkpoint)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not fit config\.json"):
        load(checkpoint, backend="torch")
