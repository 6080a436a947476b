"""Changes what a checkpoint reads, and says what becomes of its labels: other targets, other names, the evidence taken away.

``python -m training.audit --texts FOLDER`` prints the tables and keeps them in ``training/audit.json``. It reads the articles that
the checkpoint's training held out.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from slant.article import Article, Sentence
from slant.codebook import Codebook
from slant.estimate import Survey, as_read
from slant.reader import WORD, Reader, load, probabilities
from slant.reading import Floats, Reading, SentenceReading
from slant.windows import Slot, Window
from training.annotations import Annotations
from training.card import AUDIT, checkpoint_metrics, interval
from training.commands import ANNOTATIONS, MODEL, FolderOption, TextsOption, TrainingError, console, run
from training.evaluate import article_groups, hold_out
from training.identities import Identities
from training.metrics import LabelF1
from training.recipe import Recipe
from training.targets import Wordings

CONFIDENT = 0.8  # a label's probability from which on it counts as confident
NO_TARGET = "this"  # stands where a target is taken away: a reader needs some words there
SWAPS = 3  # of the names of each article and kind
DRAWS = 5  # of random words, for each label's evidence
SEED = 11
GOALS = {"opposite": "at least 80% turned", "paraphrase": "none turned", "unrelated": "at least 90% neutral"}
MOST_FLIPPED = 0.03  # of confident labels, when names are swapped


@dataclass(frozen=True)
class Held:
    """An article that training held out, towards one target, and what the checkpoint says of it."""

    article: str
    target: str
    texts: tuple[str, ...]  # of its sentences
    gold: tuple[str, ...]  # their stances
    reading: Reading


@dataclass(frozen=True, slots=True)
class Turn:
    """One code of one sentence, before and after what is read was changed."""

    article: str
    before: str
    after: str
    confidence: float  # the probability of the label before
    moved: float  # probability that went from labels to others (total variation distance), in [0, 1]

    @property
    def flipped(self) -> bool:
        return self.before != self.after

    @property
    def confident(self) -> bool:
        return self.confidence >= CONFIDENT


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over sentences with its 95 % interval, articles as clusters; in [-1, 1], or in [0, 1] for a share."""

    value: float
    low: float
    high: float
    count: int


def mean(values: Iterable[float], articles: Iterable[str], *, share: bool) -> Mean | None:
    """The mean of some values and its interval, as ``slant.estimate`` has them; None of no values.

    Articles are the units that vary. A share's interval is Wilson's at its effective size; a bootstrap over
    articles would say [0, 0] where nothing flipped, however few they are.
    """
    found = np.array(list(values), dtype=float)
    if not len(found):
        return None
    survey = Survey(np.unique(list(articles), return_inverse=True)[1].astype(np.int64))
    (one,) = survey.estimate(survey.shares(as_read(found)), bounded=share)
    return Mean(one.value, one.low, one.high, len(found))


def held_out(annotations: Annotations, reader: Reader, recipe: Recipe, metrics: Mapping[str, Any]) -> list[Held]:
    """Read the articles that the checkpoint's training held out, towards each target that they are coded for.

    Raises:
        TrainingError: when these are not the annotations that the checkpoint was trained on, or not all of their texts are there.
    """
    if annotations.digest != metrics["annotations_sha256"]:
        raise TrainingError(
            f"annotations {annotations.digest[:12]}: the checkpoint was trained on others ({metrics['annotations_sha256'][:12]}), so which "
            "articles it has not seen cannot be told; give --annotations its own, or train anew"
        )
    groups = article_groups(annotations)
    parts = hold_out(annotations, sorted(groups), groups, recipe)
    sizes, trained = [len(part) for part in parts], [metrics[part]["articles"] for part in ("training", "validation")]
    if sizes != trained:
        raise TrainingError(
            f"{sum(sizes)} articles have a text at hand, {sum(trained)} had one in training, so which of them it held out cannot be told; give --texts"
        )
    held = set(parts[1])
    found = []
    for (article, target), gold in annotations.readable_gold.items():
        if article in held:
            texts = tuple(annotations.sentence_text(row) for row in gold)
            reading = reader.read(as_article(texts), target=target)
            found.append(Held(article, target, texts, tuple(row.stance for row in gold), reading))
    return found


def as_article(texts: Sequence[str]) -> Article:
    """Sentences as an article, a line for each."""
    sentences, start = [], 0
    for text in texts:
        sentences.append(Sentence(text, start, start + len(text)))
        start += len(text) + 1
    return Article("\n".join(texts), sentences=tuple(sentences))


def turns(article: str, before: SentenceReading, after: SentenceReading, codebook: Codebook) -> dict[str, Turn]:
    """What became of each code of a sentence; a frame's labels are its presence and its absence."""
    found = {}
    for frame in codebook.frame_labels:
        p, q = before.frame_probability[frame], after.frame_probability[frame]
        here, there = frame in before.frames, frame in after.frames
        found[frame] = Turn(article, str(here), str(there), p if here else 1 - p, abs(p - q))
    stance = sum(abs(p - after.stance_probability[label]) for label, p in before.stance_probability.items()) / 2
    voice = sum(abs(p - after.voice_probability[label]) for label, p in before.voice_probability.items()) / 2
    found["stance"] = Turn(article, before.stance, after.stance, max(before.stance_probability.values()), stance)
    found["voice"] = Turn(article, before.voice, after.voice, max(before.voice_probability.values()), voice)
    return found


def target_audit(reader: Reader, held: Sequence[Held], wordings: Wordings) -> dict[str, Any]:
    """Read articles towards their target, none, its opposite, its paraphrases and something else.

    Returns:
        For each wording: ``neutral``, the share of all sentences read as neutral; of the ``sides`` taken towards the target
        as stated, and of those taken ``confidently``, the shares ``kept``, ``turned`` (to the other side) and ``dropped`` (to
        neutral); ``moved``, the mean stance probability that moved; and ``macro_f1`` of stance, where gold holds for the wording too.

    Source:
        Kaushal, Saha and Ganguly (2021), "tWT-WT", on stance models that do not read their target; the tests are
        invariance and directional expectation tests of Ribeiro et al. (2020), "Beyond Accuracy: CheckList".
    """
    codebook = reader.codebook
    neutral = codebook.neutral_stances
    found: defaultdict[str, list[tuple[Turn, str]]] = defaultdict(list)
    for one in _shown(held, "targets"):
        opposite = wordings.opposites.get(one.target)
        targets = {
            "as stated": (one.target,),
            "removed": (NO_TARGET,),
            "opposite": (opposite,) if opposite else (),
            "paraphrase": wordings.paraphrases.get(one.target, ()),
            "unrelated": wordings.unrelated,
        }
        for name, target in ((name, target) for name, some in targets.items() for target in some):
            after = one.reading if target == one.target else reader.read(as_article(one.texts), target=target, evidence=False)
            pairs = zip(one.reading.sentences, after.sentences, one.gold, strict=True)
            found[name] += [(turns(one.article, a, b, codebook)["stance"], gold) for a, b, gold in pairs]
    result = {}
    for name, rows in found.items():
        some = [turn for turn, _ in rows]
        sides = [turn for turn in some if turn.before not in neutral]
        numbers = [
            [codebook.stance_labels.index(label) for label in labels] for labels in zip(*((t.after, gold) for t, gold in rows), strict=True)
        ]
        f1 = LabelF1().compute(predictions=numbers[0], references=numbers[1], label_count=len(codebook.stances))["macro_f1"]
        result[name] = {
            "neutral": _share([turn.after in neutral for turn in some], some),
            "sides": _fates(sides, neutral),
            "confidently": _fates([turn for turn in sides if turn.confident], neutral),
            "moved": mean((turn.moved for turn in some), (turn.article for turn in some), share=False),
            "macro_f1": f1 if name in ("as stated", "removed", "paraphrase") else None,
        }
    return result


def identity_audit(reader: Reader, held: Sequence[Held], identities: Mapping[str, Identities]) -> dict[str, Any]:
    """Swap names for counterparts, all through an article and in its target too, and read it again.

    Returns:
        By kind of identity (and ``any`` for all) and code, over the sentences whose own text was changed: ``flipped``, the share of
        labels that changed; ``confident``, the same of confident labels; ``moved``, the mean probability that moved.

    Source:
        Prabhakaran, Hutchinson and Mitchell (2019), "Perturbation Sensitivity Analysis to Detect Unintended Model Biases".
    """
    found: defaultdict[tuple[str, str], list[Turn]] = defaultdict(list)
    for number, one in enumerate(_shown(held, "identities")):
        for kind, names in identities.items():
            seen = {one.texts}
            for swap in range(SWAPS):
                *swapped, target = names.swap([*one.texts, one.target], np.random.default_rng([SEED, number, swap]))
                if (texts := tuple(swapped)) in seen:
                    continue  # it names nobody, or these very ones were swapped before
                seen.add(texts)
                after = reader.read(as_article(texts), target=target, evidence=False)
                for i, (a, b) in enumerate(zip(one.reading.sentences, after.sentences, strict=True)):
                    if texts[i] != one.texts[i]:
                        for code, turn in turns(one.article, a, b, reader.codebook).items():
                            for group in ((kind, code), ("any", code), (kind, "all"), ("any", "all")):
                                found[group].append(turn)
    result: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for kind, code in product((*identities, "any"), (*reader.codebook.frame_labels, "stance", "voice", "all")):
        if not (some := found[kind, code]):
            continue
        sure = [turn for turn in some if turn.confident]
        result[kind][code] = {
            "flipped": _share([turn.flipped for turn in some], some),
            "confident": _share([turn.flipped for turn in sure], sure),
            "moved": mean((turn.moved for turn in some), (turn.article for turn in some), share=False),
        }
    return dict(result)


def evidence_audit(reader: Reader, held: Sequence[Held]) -> dict[str, Any]:
    """Take a label's evidence out of its sentence, or as many random other words, and see how far its probability falls.

    The words' tokens are left out of the sentence's window; all else in it stays. A sentence with fewer other
    words than evidence is passed over.

    Returns:
        For ``frames`` and ``stance``: ``evidence`` and ``random``, the mean falls of the probability; ``difference``, the mean
        of theirs; ``larger``, the share of labels to which the evidence did more than random words, ``DRAWS`` draws averaged.

    Source:
        DeYoung et al. (2020), "ERASER", whose comprehensiveness this is.
    """
    codebook, random = reader.codebook, np.random.default_rng(SEED)
    falls: defaultdict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for one in _shown(held, "evidence"):
        for window in reader.windows(as_article(one.texts), one.target):
            logits = reader.encode(window).astype(float)
            for slot in window.slots:
                sentence = one.reading.sentences[slot.sentence]
                start = sentence.sentence.start
                words = [match.span() for match in WORD.finditer(sentence.sentence.text)]
                for label in dict.fromkeys(weight.label for weight in sentence.evidence):
                    top = [(weight.start - start, weight.end - start) for weight in sentence.evidence if weight.label == label]
                    others = [word for word in words if word not in top and _tokens(slot, [word])]
                    if len(others) < len(top):
                        continue
                    whole = _probability(reader, logits, slot, label)
                    drawn = [random.choice(len(others), len(top), replace=False) for _ in range(DRAWS)]
                    after = [_without(reader, window, slot, gone, label) for gone in (top, *([others[i] for i in draw] for draw in drawn))]
                    head = "frames" if label in codebook.frame_labels else "stance"
                    falls[head].append((one.article, whole - after[0], whole - float(np.mean(after[1:]))))
    result = {}
    for head, rows in sorted(falls.items()):
        articles = [article for article, _, _ in rows]
        evidence, chance = (np.array(values) for values in list(zip(*rows, strict=True))[1:])
        result[head] = {
            "evidence": mean(evidence, articles, share=False),
            "random": mean(chance, articles, share=False),
            "difference": mean(evidence - chance, articles, share=False),
            "larger": mean(evidence > chance, articles, share=True),
        }
    return result


def audit(annotations: Annotations, model: Path, wordings: Wordings, identities: Mapping[str, Identities]) -> dict[str, Any]:
    """Run the whole audit of a checkpoint; the result is plain data, as kept in ``training/audit.json``."""
    reader = load(model)
    held = held_out(annotations, reader, Recipe.load(model / "recipe.toml"), checkpoint_metrics(model))
    result = {
        "checkpoint_sha256": reader.checkpoint.digest,
        "annotations_sha256": annotations.digest,
        "articles": len({one.article for one in held}),
        "sentences": sum(len(one.texts) for one in held),
        "confident": CONFIDENT,
        "target": target_audit(reader, held, wordings),
        "identity": identity_audit(reader, held, identities),
        "evidence": evidence_audit(reader, held),
    }
    plain: dict[str, Any] = json.loads(json.dumps(result, default=asdict))
    return plain


def tables(result: dict[str, Any]) -> list[Table]:
    """Draw an audit."""
    sure = f"at {result['confident']:.1f} or more"
    target = _grid("Stance, by how the target is worded", "target", "neutral", "moved", "macro-F1", "of the sides", "count", "kept", "turned", "dropped", "goal")  # fmt: skip
    for name, row in result["target"].items():
        f1 = "" if row["macro_f1"] is None else f"{row['macro_f1']:.2f}"
        for first, of in ((name, "sides"), ("", "confidently")):
            about = (name, interval(row["neutral"]), interval(row["moved"]), f1) if first else ("", "", "", "")
            fates = (interval(row[of][key]) for key in ("kept", "turned", "dropped"))
            target.add_row(*about, "all" if first else sure, _count(row[of]["kept"]), *fates, GOALS.get(name, "") if not first else "")
    identity = _grid("Labels that flip when names are swapped", "names", "code", "labels", "flipped", sure, "flipped", "moved")
    for kind, codes in result["identity"].items():
        for code, row in codes.items():
            counts = _count(row["flipped"]), _count(row["confident"])
            identity.add_row(kind, code, counts[0], interval(row["flipped"]), counts[1], interval(row["confident"]), interval(row["moved"]))
    identity.caption = f"goal: of all confident labels at most {MOST_FLIPPED:.0%} flip"
    evidence = _grid("How far a label's probability falls without its evidence", "head", "labels", "evidence", "random words", "difference", "evidence does more")  # fmt: skip
    for head, row in result["evidence"].items():
        shares = (interval(row[key]) for key in ("evidence", "random", "difference", "larger"))
        evidence.add_row(head, _count(row["evidence"]), *shares)
    return [target, identity, evidence]


def _grid(title: str, *columns: str) -> Table:
    grid = Table(title=f"{title} (in percent)", title_justify="left", box=None, caption_justify="left")
    for name in columns:
        grid.add_column(name, justify="left" if name in (columns[0], "code", "goal", "of the sides") else "right")
    return grid


def _count(one: dict[str, float] | None) -> str:
    return str(one["count"] if one else 0)


def _fates(sides: Sequence[Turn], neutral: Set[str]) -> dict[str, Mean | None]:
    """Which shares of some sides are kept, turn to the other side, or drop to neutral."""
    return {
        "kept": _share([not turn.flipped for turn in sides], sides),
        "turned": _share([turn.flipped and turn.after not in neutral for turn in sides], sides),
        "dropped": _share([turn.flipped and turn.after in neutral for turn in sides], sides),
    }


def _share(values: Sequence[bool], some: Sequence[Turn]) -> Mean | None:
    return mean(values, (turn.article for turn in some), share=True)


def _tokens(slot: Slot, words: Sequence[tuple[int, int]]) -> set[int]:
    """The tokens of a window that words of a sentence, as spans in its text, consist of."""
    return {slot.start + i for i, (a, b) in enumerate(slot.offsets) if any(a < end and b > start for start, end in words)}


def _without(reader: Reader, window: Window, slot: Slot, words: Sequence[tuple[int, int]], label: str) -> float:
    """A label's probability where words are left out of its sentence."""
    gone = _tokens(slot, words)
    shorter = Window(tuple(one for i, one in enumerate(window.ids) if i not in gone), ())
    return _probability(reader, reader.encode(shorter).astype(float), replace(slot, end=slot.end - len(gone)), label)


def _probability(reader: Reader, logits: Floats, slot: Slot, label: str) -> float:
    """A label's probability by a window's logits, shape (tokens, labels)."""
    codebook = reader.codebook
    pooled = logits[slot.start : slot.end].mean(axis=0, keepdims=True)
    found = probabilities(pooled, codebook, reader.checkpoint.calibration)
    if label in codebook.frame_labels:
        return float(found.frames[0, codebook.frame_labels.index(label)])
    return float(found.stance[0, codebook.stance_labels.index(label)])


def _shown(held: Sequence[Held], title: str) -> Iterable[Held]:
    return track(held, title, console=Console(stderr=True))


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: FolderOption = ANNOTATIONS,
    texts: TextsOption = None,
    model: Annotated[Path, typer.Option("--model", metavar="FOLDER", help="The checkpoint.")] = MODEL,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where the result is kept as JSON.")] = AUDIT,
) -> None:
    """Change what a checkpoint reads (targets, names, evidence) and print what becomes of its labels."""
    annotations = Annotations.load(folder, texts)
    wordings = Wordings.load(folder / "targets.toml", annotations.codebook)
    result = audit(annotations, model, wordings, Identities.load())
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    out = console()
    for table in tables(result):
        out.print(table)
    print(
        f"checkpoint {result['checkpoint_sha256'][:12]}, annotations {result['annotations_sha256'][:12]}, "
        f"{result['articles']} articles that its training held out, {result['sentences']} sentences; intervals: 95 %, over articles"
    )


if __name__ == "__main__":
    run(app)
