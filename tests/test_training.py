import dataclasses
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from slant.codebook import Codebook
from slant.reader import load
from slant.reliability import tiers
from slant.windows import tokenizer_from
from tests.conftest import CODEBOOK, SENTENCES
from training import baselines, fit
from training.annotations import Annotations
from training.base import base_folder, joined_folder
from training.calibrate import calibrate
from training.card import card, write
from training.commands import TrainingError
from training.evaluate import MODEL_NAME, evaluation, tables, tokenizer_text
from training.examples import Example, Labels, collate, examples, gold_passages
from training.export import require_agreement
from training.formats import FORMATS
from training.recipe import Recipe
from training.stages import Corpora
from training.train import train


def test_training_learns_and_the_checkpoint_reads(tiny_checkpoint: Path) -> None:
    reading = load(tiny_checkpoint).read("Harbour news\n\n" + " ".join(SENTENCES))
    found = {s.sentence.text: (list(s.frames), s.stance, s.voice) for s in reading.sentences}
    right = sum(found[text] == label for text, label in SENTENCES.items())
    assert right >= 7
    metrics = json.loads((tiny_checkpoint / "metrics.json").read_text())
    assert metrics["validation"]["score"]["stance_macro"] > 0.8
    assert metrics["int8_and_torch_same_labels"]["stance"] >= 0.98


def test_a_checkpoint_is_plain_data_and_carries_its_codebook_and_recipe(tiny_checkpoint: Path, tiny_recipe: Recipe) -> None:
    assert {path.name for path in tiny_checkpoint.iterdir()} == {
        "README.md",
        "codebook.toml",
        "config.json",
        "metrics.json",
        "model.int8.onnx",
        "model.safetensors",
        "recipe.toml",
        "tokenizer.json",
    }
    assert (tiny_checkpoint / "codebook.toml").read_text() == CODEBOOK
    assert Recipe.load(tiny_checkpoint / "recipe.toml") == tiny_recipe


def packed(annotations: Annotations, recipe: Recipe) -> list[Example]:
    tokenizer = tokenizer_from(tokenizer_text(recipe))
    return examples(gold_passages(annotations, annotations.articles), tokenizer, window=recipe.window, left_context=recipe.left_context)


def test_a_killed_run_resumes_to_the_same_weights(
    tiny_corpus: Path, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    recipe = dataclasses.replace(tiny_recipe, epochs=3, dropout=0.1)
    train_set = [packed(annotations, recipe)] * recipe.epochs
    whole = fit.fit(
        fit.fresh_network(recipe, annotations.codebook), train_set, recipe, annotations.codebook, state=tmp_path / "a.pt", title="whole"
    )
    keep = fit._keep

    def killed(state: Path, identity: str, epoch: int, *rest: object) -> None:
        keep(state, identity, epoch, *rest)  # type: ignore[arg-type]
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(fit, "_keep", killed)
    network = fit.fresh_network(recipe, annotations.codebook)
    with pytest.raises(KeyboardInterrupt):
        fit.fit(network, train_set, recipe, annotations.codebook, state=tmp_path / "b.pt", title="killed")
    monkeypatch.setattr(fit, "_keep", keep)
    network = fit.fresh_network(recipe, annotations.codebook)
    resumed = fit.fit(network, train_set, recipe, annotations.codebook, state=tmp_path / "b.pt", title="resumed")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_batch_gives_what_single_windows_give(tiny_corpus: Path, tiny_recipe: Recipe) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    network = fit.fresh_network(tiny_recipe, annotations.codebook).eval()
    found = packed(annotations, tiny_recipe)[:5]
    together = collate(found)
    with torch.inference_mode():
        batched = (together.pooling @ network(together.ids, together.mask).flatten(0, 1)).numpy()
    assert batched == pytest.approx(fit.logits(network, found), abs=1e-5)


def test_evaluation_scores_the_model_beside_its_baselines(tiny_corpus: Path, tiny_recipe: Recipe, tmp_path: Path) -> None:
    annotations = Annotations.load(tiny_corpus, None)
    result = json.loads(json.dumps(evaluation(annotations, Corpora(), tiny_recipe, tmp_path, doubts_in=tmp_path / "doubts", most_doubts=7)))
    assert len(list(FORMATS["csv"].read(tmp_path / "doubts" / "tasks.csv"))) == 7
    assert set(result["scores"]) == {
        MODEL_NAME,
        "majority class",
        "TF-IDF + logistic regression",
        "embeddings + logistic regression",
    }
    assert set(result["scores"][MODEL_NAME]) == {"all", "written"}
    assert result["sentences"]["all"] == len(annotations.gold)
    assert result["scores"]["TF-IDF + logistic regression"]["all"]["stance_macro"] > 0.9
    assert result["alpha"]["coder and coder"]["stance"]["alpha"] == 1
    assert len(tables(result)) == 3
    assert {head: pairs[-1][0] for head, pairs in result["risk_coverage"].items()} == {"frames": 1, "stance": 1, "voice": 1}
    assert all(0 <= risk < 0.5 for pairs in result["risk_coverage"].values() for _, risk in pairs[-1:])
    metrics = json.loads(json.dumps({**_metrics(), "cross_validation": result}))
    assert "| majority class | all |" in card(metrics, tiny_recipe, annotations.codebook)
    write(tmp_path, metrics, tiny_recipe, annotations.codebook)
    root = ElementTree.fromstring((tmp_path / "risk-coverage.svg").read_text())
    assert {"frames", "stance", "voice"} <= set(root.itertext())
    told = (tmp_path / "README.md").read_text()
    assert "(risk-coverage.svg)" in told
    assert (
        f"| frame | economic | {result['scores'][MODEL_NAME]['all']['frame_f1']['economic']:.2f} | {tiers(metrics)['frame']['economic']} |"
        in told
    )
    scores = {kind: {"sentences": 7, "frames_macro": 0.61, "stance_macro": 0.52, "voice_macro": 0.83} for kind in ("all",)}
    row = {"split": "new outlet", "train_sentences": 99, "scores": scores}
    assert "| one outlet out | new outlet | 99 | 7 | 0.61 | 0.52 | 0.83 | 0 | | | |" in card(
        {**metrics, "comparisons": {"one outlet out": row}}, tiny_recipe, annotations.codebook
    )
    older = {**metrics, "cross_validation": {key: value for key, value in result.items() if key != "risk_coverage"}}
    assert "risk-coverage" not in card(older, tiny_recipe, annotations.codebook)
    assert "No cross-validation is recorded" in card({**metrics, "cross_validation": None}, tiny_recipe, annotations.codebook)


def _metrics() -> dict[str, object]:
    return {
        "annotations_sha256": "a" * 64,
        "recipe_sha256": "b" * 64,
        "training": {"articles": 1, "sentences": 1},
        "validation": {"articles": 1, "sentences": 1, "score": {"frames_macro": 0.5, "stance_macro": 0.5, "voice_macro": 0.5}},
        "int8_and_torch_same_labels": {"frames": 1.0, "stance": 1.0, "voice": 1.0, "all": 1.0},
    }


def test_the_exporter_refuses_readers_that_differ() -> None:
    require_agreement({"frames": 0.98, "stance": 1.0, "voice": 0.99})
    with pytest.raises(TrainingError, match=r"int8 and torch give the same stance on 97\.0%"):
        require_agreement({"frames": 0.99, "stance": 0.97, "voice": 0.99})


def test_a_refused_export_keeps_the_old_model(
    tiny_corpus: Path, tiny_recipe: Recipe, tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_checkpoint, tmp_path / "model")
    monkeypatch.setattr("training.export.LEAST_AGREEMENT", 1.1)
    recipe = dataclasses.replace(tiny_recipe, epochs=1)
    with pytest.raises(TrainingError, match="nothing was written"):
        train(Annotations.load(tiny_corpus, None), Corpora(), recipe, tmp_path / "model", scratch=tmp_path / "runs")
    assert load(tmp_path / "model").read("Open it.").sentences


def test_other_weights_than_the_recipe_names_are_refused(tiny_recipe: Recipe, tiny_base: Path) -> None:
    with pytest.raises(TrainingError, match="these are other weights than the recipe names"):
        base_folder(dataclasses.replace(tiny_recipe, base_sha256="0" * 64))
    assert base_folder(tiny_recipe) == tiny_base


def test_calibration_finds_the_temperature_and_threshold() -> None:
    random = np.random.default_rng(0)
    book_labels = Labels(random.integers(0, 2, (4000, 2)).astype(np.float32), random.integers(0, 3, 4000), random.integers(0, 2, 4000))
    true = np.concatenate([book_labels.frames * 4 - 2, np.eye(3)[book_labels.stance] * 3, np.eye(2)[book_labels.voice] * 3], axis=1)
    noise = random.normal(0, 2, true.shape)

    book = Codebook.parse(CODEBOOK)
    one = calibrate(true + noise, book_labels, book)
    three = calibrate(3 * (true + noise), book_labels, book)
    assert three.stance_temperature == pytest.approx(3 * one.stance_temperature, rel=0.02)
    assert three.frame_temperature == pytest.approx(3 * one.frame_temperature, rel=0.02)
    assert all(0.4 < threshold < 0.6 for threshold in one.thresholds)


def test_the_majority_baseline() -> None:
    labels = Labels(np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32), np.array([2, 2, 0]), np.array([0, 1, 1]))
    found = baselines.majority(labels, 2)
    assert found.frames.tolist() == [[1, 0], [1, 0]]
    assert found.stance.tolist() == [2, 2]
    assert found.voice.tolist() == [1, 1]


def test_an_encoder_in_parts_is_joined_and_unpacked(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path(shutil.make_archive(str(tmp_path / "encoder"), "zip", tiny_base.parent, tiny_base.name)).read_bytes()
    third = len(whole) // 3
    site = tmp_path / "site"
    for number, part in enumerate((whole[:third], whole[third : 2 * third], whole[2 * third :]), start=1):
        carried = site / f"part_{number:03}" / f"encoder.zip.{number:03}"
        carried.parent.mkdir(parents=True)
        carried.write_bytes(part)
        info = site / f"tiny_part_{number:03}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tiny-part-{number:03}\nVersion: 1\n")
        (info / "RECORD").write_text(f"{carried.relative_to(site)},,\n")
    monkeypatch.syspath_prepend(site)
    packages = tuple(f"tiny-part-{number:03}" for number in (1, 2, 3))
    folder = joined_folder(packages, tmp_path / "runs")
    assert folder
    assert (folder / "model.safetensors").read_bytes() == (tiny_base / "model.safetensors").read_bytes()
    shutil.rmtree(site)
    assert joined_folder(packages, tmp_path / "runs") == folder
    assert joined_folder((*packages, "tiny-part-004"), tmp_path / "elsewhere") is None
