"""Reads articles with a checkpoint: windows in, probabilities and evidence out."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from slant.article import Article
from slant.checkpoint import ONNX, TOKENIZER, WEIGHTS, Calibration, Checkpoint, CheckpointError
from slant.codebook import Codebook
from slant.reading import Decision, Floats, Probabilities, Reading, SentenceReading, Weight, decide
from slant.windows import Window, pack, tokenizer_from

BackendName = Literal["onnx", "torch"]
MOST_EVIDENCE_WORDS = 3  # marked for each label chosen

WORD = re.compile(r"\w+(?:[’'.-]\w+)*")


class Backend(Protocol):
    """What runs the network on one window."""

    def token_logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Token ids, shape (tokens,), to logits, shape (tokens, labels)."""


class OnnxBackend:
    """The int8 network on onnxruntime, one thread of work for one window at a time."""

    def __init__(self, checkpoint: Checkpoint, *, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(checkpoint.read(ONNX), options, providers=["CPUExecutionProvider"])
        except CheckpointError:
            raise
        except Exception as error:  # onnxruntime's exceptions share no base class but this
            raise CheckpointError(f"{checkpoint.folder / ONNX}: onnxruntime cannot load it ({str(error)[:80]})") from None

    def token_logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        logits: NDArray[np.float32] = self._session.run(["token_logits"], {"ids": ids[None]})[0][0]
        return logits


class TorchBackend:
    """The float network on torch: the reference that the int8 one is held against."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        try:
            import torch
            from safetensors.torch import load

            from slant.network import Network
        except ImportError as error:
            raise CheckpointError(f"--backend torch needs {error.name}, which is not installed: pip install 'slant[train]'") from None
        self._torch = torch
        self._network = Network.from_config(checkpoint.encoder, checkpoint.label_count)
        weights = {name: tensor.float() for name, tensor in load(checkpoint.read(WEIGHTS)).items()}
        try:
            self._network.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(f"{checkpoint.folder / WEIGHTS}: does not fit config.json ({str(error).splitlines()[0]})") from None
        self._network.eval()

    def token_logits(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        with self._torch.inference_mode():
            batch = self._torch.from_numpy(ids)[None]
            logits: NDArray[np.float32] = self._network(batch, self._torch.ones_like(batch))[0].numpy()
        return logits


class Reader:
    """Reads articles: says of each sentence how it is framed, which side it takes and whose voice it is.

    A reading depends on the article, the target and the checkpoint alone: one window is run at a
    time, so nothing else that is read changes it. A reader may be used from several threads.
    """

    def __init__(self, checkpoint: Checkpoint, backend: Backend) -> None:
        self.checkpoint = checkpoint
        self._backend = backend
        self._tokenizer = tokenizer_from(checkpoint.read(TOKENIZER).decode())

    @property
    def codebook(self) -> Codebook:
        return self.checkpoint.codebook

    def windows(self, article: Article, target: str) -> list[Window]:
        """The token windows of an article, as the checkpoint was trained to see them."""
        texts = [sentence.text for sentence in article.sentences]
        return pack(texts, target, self._tokenizer, window=self.checkpoint.window, left_context=self.checkpoint.left_context)

    def read(self, article: Article | str, *, target: str | None = None, evidence: bool = True) -> Reading:
        """Read one article.

        Args:
            article: an article, or its text.
            target: the proposal that stance is read towards; the codebook's default when None.
            evidence: whether to look for the words that weighed most, which takes time.

        Returns:
            The reading; of an article without sentences, one without sentences.

        Raises:
            ValueError: when the target is empty or too long.
        """
        article = Article(article) if isinstance(article, str) else article
        target = self.codebook.default_target if target is None else target.strip()
        if not target:
            raise ValueError("the target is empty; state a proposal that one can be for or against")
        windows = self.windows(article, target)
        shares = [self._shares(window) for window in windows]
        slots = [slot for window in windows for slot in window.slots]
        token_shares = [share for window_shares in shares for share in window_shares]
        logits = np.array([share.sum(axis=0) for share in token_shares]).reshape(len(slots), self.checkpoint.label_count)
        probability = probabilities(logits, self.codebook, self.checkpoint.calibration)
        decisions = decide(probability, self.codebook, self.checkpoint.calibration.thresholds)
        sentences = []
        for i, (slot, decision) in enumerate(zip(slots, decisions, strict=True)):
            sentence = article.sentences[slot.sentence]
            sentences.append(
                SentenceReading(
                    sentence,
                    decision.frames,
                    decision.stance,
                    decision.voice,
                    _named(self.codebook.frame_labels, probability.frames[i]),
                    _named(self.codebook.stance_labels, probability.stance[i]),
                    _named(self.codebook.voice_labels, probability.voice[i]),
                    round(decision.confidence, 4),
                    slot.truncated,
                    weightiest(sentence.text, sentence.start, slot.offsets, token_shares[i], decision, self.codebook) if evidence else (),
                )
            )
        return Reading(article, target, tuple(sentences), self.codebook)

    def read_many(self, articles: Iterable[Article], *, target: str | None = None) -> Iterator[Reading]:
        """Read articles one after the other, lazily, in order."""
        return (self.read(article, target=target) for article in articles)

    def encode(self, window: Window) -> NDArray[np.float32]:
        """Run the network on one window: logits, shape (tokens, labels)."""
        return self._backend.token_logits(np.array(window.ids, dtype=np.int64))

    def _shares(self, window: Window) -> list[Floats]:
        """Each sentence's tokens' shares of its logits: arrays (tokens, labels) that add up to the logits."""
        logits = self.encode(window).astype(np.float64)
        return [logits[slot.start : slot.end] / max(slot.end - slot.start, 1) for slot in window.slots]


def load(model: Path | str | None = None, *, backend: BackendName = "onnx", threads: int = 2) -> Reader:
    """Load a reader.

    Args:
        model: the checkpoint's folder; None is the one shipped with slant.
        backend: ``onnx`` (int8, the plain install) or ``torch`` (float, needs the train extra).
        threads: how many threads the onnx backend computes with; they never change a result.

    Raises:
        CheckpointError: when the checkpoint is missing, damaged or another program's.

    >>> import slant
    >>> reading = slant.load().read("The minister said the border would stay closed.")
    >>> reading.sentences[0].voice
    'quoted'
    """
    checkpoint = Checkpoint.load(shipped() if model is None else Path(model))
    return Reader(checkpoint, TorchBackend(checkpoint) if backend == "torch" else OnnxBackend(checkpoint, threads=threads))


def shipped() -> Path:
    """The folder of the shipped checkpoint: inside an installed package, beside it in a checkout."""
    inside = Path(__file__).parent / "model"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "model"


def probabilities(logits: Floats, codebook: Codebook, calibration: Calibration) -> Probabilities:
    """Turn logits (sentences, labels) into calibrated probabilities, each head at its temperature.

    Source:
        Guo et al. (2017), "On Calibration of Modern Neural Networks".
    """
    frames, stances = len(codebook.frames), len(codebook.stances)
    return Probabilities(
        1 / (1 + np.exp(-logits[:, :frames] / calibration.frame_temperature)),
        _softmax(logits[:, frames : frames + stances] / calibration.stance_temperature),
        _softmax(logits[:, frames + stances :] / calibration.voice_temperature),
    )


def weightiest(
    text: str,
    start: int,
    offsets: tuple[tuple[int, int], ...],
    shares: Floats,
    decision: Decision,
    codebook: Codebook,
) -> tuple[Weight, ...]:
    """Find the words that weighed most towards each frame and stance chosen.

    A token's share of a sentence's logit is exact, for pooling and heads are linear; a word's is
    the sum over its tokens. A frame's share is counted from the sentence's mean, a stance's
    against the mean of the other stances, so that what speaks for every label counts for none.

    Args:
        text: of the sentence.
        start: its offset in the article, added to the words' spans.
        offsets: character span in the sentence of each token.
        shares: of the logits, shape (tokens, labels).
        decision: the labels chosen; a neutral stance gets no evidence.
        codebook: names the columns.

    Returns:
        At most ``MOST_EVIDENCE_WORDS`` words a label with a positive share, the weightiest first.
    """
    words = [match.span() for match in WORD.finditer(text)]
    if not words or not len(shares):
        return ()
    frame_count, stance_count = len(codebook.frames), len(codebook.stances)
    columns: list[tuple[str, Floats]] = [
        (label, shares[:, codebook.frame_labels.index(label)] - shares[:, codebook.frame_labels.index(label)].mean())
        for label in decision.frames
    ]
    if decision.stance not in codebook.neutral_stances:
        chosen = codebook.stance_labels.index(decision.stance)
        stances = shares[:, frame_count : frame_count + stance_count]
        others = np.delete(stances, chosen, axis=1).mean(axis=1)
        columns.append((decision.stance, stances[:, chosen] - others))
    found: list[Weight] = []
    for label, share in columns:
        totals = [
            (sum(share[t] for t, (a, b) in enumerate(offsets) if a < word_end and b > word_start), word_start, word_end)
            for word_start, word_end in words
        ]
        best = sorted((total for total in totals if total[0] > 0), reverse=True)[:MOST_EVIDENCE_WORDS]
        found.extend(Weight(start + a, start + b, label, round(float(total), 4)) for total, a, b in best)
    return tuple(found)


def _softmax(logits: Floats) -> Floats:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    total: Floats = exponents / exponents.sum(axis=1, keepdims=True)
    return total


def _named(labels: tuple[str, ...], row: Floats) -> dict[str, float]:
    return {label: round(float(value), 4) for label, value in zip(labels, row, strict=True)}
