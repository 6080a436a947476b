"""Goes on from a checkpoint with newly coded sentences, and says what that changed before it replaces anything."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from slant.checkpoint import TOKENIZER, Checkpoint
from slant.codebook import AnnotationError, Codebook, known
from slant.network import Network
from slant.windows import tokenizer_from
from training.annotations import Annotations
from training.commands import TrainingError, json_lines
from training.epochs import epochs
from training.evaluate import Score, held_out, read_logits, score
from training.examples import Example, Judged, Labels, Passage, examples, gold_passages
from training.fit import fit, labels, logits
from training.recipe import Recipe

EPOCHS = 3
SLOWER = 3  # the recipe's learning rates are divided by this: the network knows its task already
REPLAYED = 4  # sentences of the old training articles for each new one, lest they be forgotten
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Change:
    """A score of the old and of the new network on the same held-out articles, and what the new one gained."""

    name: str  # a label, or "frames", "stance" or "voice" for a macro-F1
    old: float
    new: float
    low: float  # 95 % interval of the gain
    high: float

    @property
    def loss(self) -> bool:
        """Whether the new network is worse, and not by chance."""
        return self.high < 0


@dataclass(frozen=True)
class WarmStart:
    """A network that went on, and how it reads the held-out articles."""

    network: Network
    changes: tuple[Change, ...]
    relabelled: tuple[str, ...]  # a line for each held-out sentence whose labels changed
    added: dict[str, int]  # new sentences by kind of coder
    score: Score  # of the new network on the held-out articles


def read_added(path: Path, codebook: Codebook) -> tuple[list[Passage], dict[str, int]]:
    """Read newly coded sentences from JSONL, as ``training.coded`` writes it.

    Args:
        path: each line has ``text``, ``target``, ``frames``, ``stance``, ``voice`` and ``coder_kind``; lines that
            have ``article`` and ``sentence`` (its number there) too are read beside their neighbours.
        codebook: what the labels must be known to.

    Returns:
        The passages, and the number of sentences by kind of coder.

    Raises:
        AnnotationError: for a file or a line that cannot be read.
        TrainingError: for a line that is no coded sentence.
    """
    rows, kinds = list[tuple[tuple[str, str, int], str, Judged]](), Counter[str]()
    for place, row in json_lines(path):
        try:
            frames = frozenset(known(frame, codebook.frame_labels, what="frame", place=place) for frame in row["frames"])
            stance = known(row["stance"], codebook.stance_labels, what="stance", place=place)
            voice = known(row["voice"], codebook.voice_labels, what="voice", place=place)
            where = (str(row.get("article", place)), str(row["target"]), int(row.get("sentence", 0)))
            rows.append((where, str(row["text"]), Judged(frames, stance, voice)))
            kinds[str(row["coder_kind"])] += 1
        except AnnotationError as error:
            raise TrainingError(str(error)) from None
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"{place}: not a coded sentence ({error!r}); see training.coded for the columns") from None
    if not rows:
        raise TrainingError(f"{path}: no coded sentence in it")
    rows.sort(key=lambda row: row[0])
    runs: list[list[tuple[tuple[str, str, int], str, Judged]]] = []
    for coded in rows:
        article, target, number = coded[0]
        if runs and runs[-1][-1][0] == (article, target, number - 1):
            runs[-1].append(coded)
        else:
            runs.append([coded])
    passages = [
        Passage(tuple(text for _, text, _ in part), part[0][0][1], Labels.of([judged for _, _, judged in part], codebook)) for part in runs
    ]
    return passages, dict(kinds)


def warm_start(annotations: Annotations, checkpoint: Checkpoint, network: Network, path: Path, scratch: Path) -> WarmStart:
    """Train a checkpoint's network on.

    Args:
        annotations: the corpus that the checkpoint was trained on, as far as its texts are at hand.
        checkpoint: where to go on from.
        network: with the checkpoint's weights; trained in place.
        path: newly coded sentences.
        scratch: keeps the state of work under way.

    Raises:
        TrainingError: when none of the articles that the checkpoint's training held out is at hand.
    """
    codebook = annotations.codebook
    recipe = Recipe.load(checkpoint.folder / "recipe.toml")
    own = replace(
        recipe,
        epochs=EPOCHS,
        learning_rate=recipe.learning_rate / SLOWER,
        head_learning_rate=recipe.head_learning_rate / SLOWER,
    )
    tokenizer = tokenizer_from(checkpoint.read(TOKENIZER).decode())
    held = held_out(annotations, checkpoint.folder)
    added, kinds = read_added(path, codebook)
    test = examples(gold_passages(annotations, held), tokenizer, window=checkpoint.window, left_context=checkpoint.left_context)
    before = logits(network, test)
    replay = _replay(annotations, held, REPLAYED * sum(kinds.values()), own.seed)
    shown = epochs([*added, *replay], own, codebook, tokenizer, count=own.epochs)
    identity = hashlib.sha256(f"{checkpoint.digest}{own.digest}".encode()).hexdigest()[:12]
    fit(network, shown, own, codebook, state=scratch / f"warm-{identity}.pt", title="warm start")
    after = logits(network, test)
    readings = [read_logits(values, codebook, checkpoint.calibration).labels for values in (before, after)]
    changes = compare(readings[0], readings[1], labels(test), [row.article for example in test for row in example.gold], codebook)
    relabelled = tuple(_relabelled(readings[0], readings[1], test, annotations))
    return WarmStart(network, changes, relabelled, kinds, score(readings[1], labels(test), codebook))


def compare(old: Labels, new: Labels, truth: Labels, articles: Sequence[str], codebook: Codebook) -> tuple[Change, ...]:
    """Compare two readings of the same sentences label by label, with a paired bootstrap over articles.

    Returns:
        A change for each label and each head's macro-F1.

    Source:
        Efron and Tibshirani (1993); Berg-Kirkpatrick et al. (2012), "An Empirical Investigation of Statistical Significance in NLP".
    """
    names = [*codebook.frame_labels, *codebook.stance_labels, *codebook.voice_labels]
    ids = np.unique(np.asarray(articles), return_inverse=True)[1]
    counts = [_counts(one, truth, ids, codebook) for one in (old, new)]  # each (articles, labels, 3)
    draws = np.random.default_rng(0).multinomial(len(counts[0]), np.full(len(counts[0]), 1 / len(counts[0])), size=RESAMPLES)
    points = [_f1(found.sum(axis=0)) for found in counts]  # each (labels,)
    samples = [_f1(np.einsum("ra,alk->rlk", draws, found)) for found in counts]  # each (resamples, labels)
    frames, stances = len(codebook.frames), len(codebook.stances)
    heads = {"frames": slice(0, frames), "stance": slice(frames, frames + stances), "voice": slice(frames + stances, None)}
    gains = samples[1] - samples[0]
    found = [(name, points[0][i], points[1][i], gains[:, i]) for i, name in enumerate(names)]
    found += [(name, points[0][part].mean(), points[1][part].mean(), gains[:, part].mean(axis=1)) for name, part in heads.items()]
    return tuple(Change(name, float(a), float(b), *(float(q) for q in np.quantile(gain, (0.025, 0.975)))) for name, a, b, gain in found)


def table(changes: Sequence[Change]) -> Table:
    """Draw the changes."""
    found = Table(title="F1 on the same held-out articles", title_justify="left", box=None)
    for name in ("", "before", "after", "gain", "95 % interval"):
        found.add_column(name, justify="right" if name else "left")
    for c in changes:
        found.add_row(c.name, f"{c.old:.2f}", f"{c.new:.2f}", f"{c.new - c.old:+.2f}", f"[{c.low:+.2f}, {c.high:+.2f}]")
    return found


def record(found: WarmStart, checkpoint: Checkpoint) -> dict[str, Any]:
    """What the new checkpoint's metrics say of the warm start."""
    return {"from": checkpoint.digest, "added_sentences": found.added, "changes": [asdict(change) for change in found.changes]}


def _replay(annotations: Annotations, held: Sequence[str], sentences: int, seed: int) -> list[Passage]:
    known_articles = sorted({article for article, _ in annotations.readable_gold} - set(held))
    passages = gold_passages(annotations, known_articles)
    chosen, count = [], 0
    for i in np.random.default_rng(seed).permutation(len(passages)):
        if count >= sentences:
            break
        chosen.append(passages[i])
        count += len(passages[i].texts)
    return chosen


def _relabelled(old: Labels, new: Labels, test: Sequence[Example], annotations: Annotations) -> list[str]:
    rows = [row for example in test for row in example.gold]
    lines = []
    for i, row in enumerate(rows):
        was, now = (_described(one, i, annotations.codebook) for one in (old, new))
        if was != now:
            lines.append(f"{row.article}:{row.start} {was} -> {now}: {' '.join(annotations.sentence_text(row).split())[:90]}")
    return lines


def _described(found: Labels, i: int, codebook: Codebook) -> str:
    frames = [label for label, here in zip(codebook.frame_labels, found.frames[i], strict=True) if here > 0.5]
    return f"{'|'.join(frames) or 'no frame'}, {codebook.stance_labels[found.stance[i]]}, {codebook.voice_labels[found.voice[i]]}"


def _counts(found: Labels, truth: Labels, articles: NDArray[np.int64], codebook: Codebook) -> NDArray[np.float64]:
    """Hits, predicted and present of each label in each article, shape (articles, labels, 3)."""

    def hot(some: Labels) -> NDArray[np.bool_]:
        parts = [
            some.frames > 0.5,
            np.eye(len(codebook.stances), dtype=bool)[some.stance],
            np.eye(len(codebook.voices), dtype=bool)[some.voice],
        ]
        return np.concatenate(parts, axis=1)

    said, there = hot(found), hot(truth)
    each = np.stack([said & there, said, there], axis=2).astype(float)  # (sentences, labels, 3)
    total = np.zeros((articles.max() + 1, *each.shape[1:]))
    np.add.at(total, articles, each)
    return total


def _f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    f1: NDArray[np.float64] = 2 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1)
    return f1
