"""A folder of scores as scoring a corpus writes it, made up so that the truth behind it is known."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from slant.codebook import Codebook
from slant.reading import Floats

FRAMES, STANCES, VOICES = ("economic", "safety"), ("favor", "against", "neutral"), ("author", "quoted")
OUTLETS = ("Gazette", "Herald", "<b>Post</b> & Sons")
MODEL = "ab12" * 16
TIERS = {"frame": {"economic": "A", "safety": "C"}, "stance": dict.fromkeys(STANCES, "B"), "voice": dict.fromkeys(VOICES, "A")}


@dataclass(frozen=True)
class Truth:
    """What is true of every sentence, in the order of the folder's rows."""

    frames: Floats  # (sentences, frames)
    stance: list[str]
    voice: list[str]


def write_scores(
    folder: Path,
    codebook: Codebook,
    *,
    articles: int = 60,
    seed: int = 1,
    keep: tuple[str, ...] = ("outlet", "date"),
    min_confidence: float = 0.0,
) -> Truth:
    """Write a corpus in two parts whose model is often wrong, more often in one outlet than in another."""
    random = np.random.default_rng(seed)
    sentences, rows_of_articles, frames, stances, voices = [], [], [], [], []
    for number in range(1, articles + 1):
        outlet, date = OUTLETS[number % 3], f"20{20 + number % 2}-{1 + number % 12:02}-{1 + number % 28:02}"
        kept = {name: {"outlet": outlet, "date": date}[name] for name in keep}
        lean, start = random.normal(0, 0.7), 0
        count = int(random.integers(8, 16))
        for sentence in range(1, count + 1):
            true = random.uniform(size=2) < 1 / (1 + np.exp(-lean - np.array([0.2 * (number % 3), -0.8])))
            stance, voice = STANCES[int(random.integers(0, 3))], VOICES[int(random.uniform() < 0.3)]
            said = 1 / (1 + np.exp(-(2.4 * true - 1.0 + 0.5 * (number % 3) + random.normal(0, 1, 2))))
            stance_said = random.dirichlet([0.6 + 2 * (stance == label) for label in STANCES])
            voice_said = random.dirichlet([0.5 + 3 * (voice == label) for label in VOICES])
            text = f"Sentence {sentence} of page {number} is about {'wages' if true[0] else 'gulls'} <i>& more</i>."
            sentences.append(
                {
                    "number": number, "article": f"page-{number}", "sentence": sentence, "start": start, "end": start + len(text), "text": text,
                    "part": "body", "target": codebook.default_target,
                    "frames": [label for label, p in zip(FRAMES, said, strict=True) if p > 0.5] if abs(said - 0.5).min() >= min_confidence - 0.5 else ["uncertain"],
                    "stance": STANCES[int(stance_said.argmax())] if stance_said.max() >= min_confidence else "uncertain", "voice": VOICES[int(voice_said.argmax())],
                    "frame_probability": dict(zip(FRAMES, map(float, said), strict=True)),
                    "stance_probability": dict(zip(STANCES, map(float, stance_said), strict=True)),
                    "voice_probability": dict(zip(VOICES, map(float, voice_said), strict=True)),
                    "confidence": float(min(stance_said.max(), voice_said.max())), "truncated": False, **kept,
                }
            )  # fmt: skip
            start += len(text) + 1
            frames.append(true)
            stances.append(stance)
            voices.append(voice)
        rows_of_articles.append(
            {
                "number": number,
                "article": f"page-{number}",
                "source": "pages.jsonl",
                "position": f"line {number}",
                "target": codebook.default_target,
                "duplicate_of": None,
                "sentence_count": count,
                **kept,
            }
        )
    rows_of_articles.append({**rows_of_articles[0], "number": articles + 1, "article": "copy", "duplicate_of": 1, "sentence_count": None})
    half = len(sentences) // 2
    for name, parts in (("sentences", [sentences[:half], sentences[half:]]), ("articles", [rows_of_articles])):
        (folder / name).mkdir(parents=True)
        for i, part in enumerate(parts):
            parquet.write_table(pa.Table.from_pylist(part), folder / name / f"part-{i:05}.parquet")
    failure = {"source": "pages.jsonl", "position": "line 99", "reason": "empty: no text in it"}
    (folder / "failures.jsonl").write_text(json.dumps(failure) + "\n", encoding="utf-8")
    manifest = {
        "slant": "0.1.0", "schema": 2, "model": MODEL, "backend": "onnx", "codebook": codebook.version, "target": codebook.default_target,
        "input": {"names": ["pages.jsonl"], "sha256": "cd34" * 16}, "columns": {"keep": list(keep)}, "format": "parquet", "min_confidence": min_confidence, "tiers": TIERS, "complete": True,
        "totals": {"documents": articles + 1, "duplicates": 1, "repeated_ids": 0, "sentences": len(sentences), "failures": 1},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return Truth(np.array(frames, dtype=float), stances, voices)
