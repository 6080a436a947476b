"""A tiny real corpus, a tiny real encoder and a checkpoint really trained on them: shared by the tests."""

import hashlib
import json
import random
import re
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertConfig, BertModel

from slant.article import split
from training.annotations import Annotations
from training.recipe import Recipe
from training.stages import Corpora
from training.train import train

TARGET = "opening the harbour"
CODEBOOK = f"""
version = "test-1"
default_target = "{TARGET}"
frames = [{{label = "economic", definition = "money"}}, {{label = "safety", definition = "danger"}}]
stances = [{{label = "favor", definition = ""}}, {{label = "against", definition = ""}}, {{label = "neutral", definition = "", neutral = true}}]
voices = [{{label = "author", definition = ""}}, {{label = "quoted", definition = ""}}]
targets = [{{target = "{TARGET}", scope = "to any ship"}}, {{target = "closing the school", scope = "the one in town"}}]
"""
YEAR = "1999"  # each article has years of its own, so that no two are near-duplicates
# sentence: frames, stance, voice
SENTENCES = {
    "The harbour brings wages and money in 1999.": (["economic"], "favor", "author"),
    "Open it and shops earn money in 1999.": (["economic"], "favor", "author"),
    "Fire is a danger to houses in 1999.": (["safety"], "against", "author"),
    "The fire brigade said danger grew in 1999.": (["safety"], "against", "quoted"),
    "The weather was fine on Tuesday in 1999.": ([], "neutral", "author"),
    "Gulls sat on the wall in 1999.": ([], "neutral", "author"),
    "The mayor said maybe in 1999.": ([], "neutral", "quoted"),
    "The baker said danger earns money in 1999.": (["economic", "safety"], "favor", "quoted"),
}


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of annotations: 24 written articles of 8 sentences, coded alike by two coders."""
    folder = tmp_path_factory.mktemp("annotations")
    (folder / "written").mkdir()
    (folder / "codebook.toml").write_text(CODEBOOK)
    articles, codes, gold = [], [], []
    order = random.Random(3)
    for number in range(24):
        chosen = [text.replace(YEAR, str(order.randrange(1000, 2000))) for text in order.sample(list(SENTENCES), len(SENTENCES))]
        text = f"Page {number} of the Harbour Gazette, issue {order.random()}.\n\n" + " ".join(chosen) + "\n"
        path = folder / "written" / f"a{number}.txt"
        path.write_text(text)
        articles.append(article_row(f"a{number}", path, targets=[TARGET]))
        for sentence in split(text):
            frames, stance, voice = SENTENCES.get(re.sub(r"\d{4}", YEAR, sentence.text), ([], "neutral", "author"))
            common = {"article": f"a{number}", "target": TARGET, "start": sentence.start, "end": sentence.end}
            label = {"frames": frames, "stance": stance, "voice": voice}
            codes += [{**common, **label, "coder": coder, "coder_kind": "machine"} for coder in ("one", "two")]
            settled = {"adjudicator": "agreement", "adjudicator_kind": "machine", "reason": "the coders agree"}
            gold.append({**common, "part": sentence.part, **label, **settled})
    for name, rows in (("articles", articles), ("codes", codes), ("gold", gold)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def article_row(name: str, path: Path, *, targets: list[str]) -> dict[str, object]:
    return {
        "id": name,
        "origin": "written",
        "genre": "op-ed",
        "outlet": "Harbour Gazette",
        "date": "1999",
        "path": f"written/{path.name}",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": "CC-BY-4.0",
        "source": "",
        "targets": targets,
    }


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised BERT of two layers, with a word-piece tokenizer of the corpus's words."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    tokenizer.train_from_iterator([*SENTENCES, TARGET, "abcdefghijklmnopqrstuvwxyz 0123456789"], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(tiny_base: Path) -> Recipe:
    return Recipe(
        base=str(tiny_base),
        base_sha256="",
        window=48,
        left_context=8,
        epochs=12,
        batch_windows=4,
        learning_rate=3e-3,
        head_learning_rate=1e-2,
        weight_decay=0.0,
        warmup=0.1,
        dropout=0.0,
        freeze_embeddings=False,
        frame_weight=1.0,
        stance_weight=1.0,
        voice_weight=1.0,
        rare_stance_weight=0.0,
        opposite_share=0.0,
        unrelated_share=0.0,
        paraphrase_share=0.0,
        pair_epochs=0,
        pair_batch=8,
        pair_learning_rate=3e-3,
        taught_share=0.0,
        validation_share=0.2,
        folds=2,
        seed=1,
    )


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_corpus: Path, tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint that the tiny recipe makes of the tiny corpus."""
    folder = tmp_path_factory.mktemp("checkpoint")
    train(Annotations.load(tiny_corpus, None), Corpora(), tiny_recipe, folder / "model", scratch=folder / "runs")
    return folder / "model"
