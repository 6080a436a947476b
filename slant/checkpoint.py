"""A checkpoint: the folder of plain data that training writes and a reader reads."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from slant.codebook import AnnotationError, Codebook
from slant.reliability import Tier, tiers

FORMAT = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
ONNX = "model.int8.onnx"
TOKENIZER = "tokenizer.json"
CODEBOOK = "codebook.toml"
METRICS = "metrics.json"


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or not one of ours: names the file, what is wrong and the way out."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns logits into probabilities and probabilities into labels, chosen on articles that training did not see."""

    frame_temperature: float = 1.0
    stance_temperature: float = 1.0
    voice_temperature: float = 1.0
    thresholds: tuple[float, ...] = ()  # one for each frame of the codebook
    stance_weights: tuple[float, ...] = ()  # one for each stance, or none: what its probability counts for in the choice

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> "Calibration":
        """Read what ``asdict`` wrote, perhaps by way of JSON."""
        return cls(**{**table, "thresholds": tuple(table["thresholds"]), "stance_weights": tuple(table.get("stance_weights", ()))})


@dataclass(frozen=True)
class Checkpoint:
    """Everything a reader needs, with the digests of the files already checked."""

    folder: Path
    codebook: Codebook
    calibration: Calibration
    window: int  # tokens
    left_context: int  # tokens
    encoder: dict[str, Any]  # Hugging Face configuration of the encoder
    digests: dict[str, str]  # file name: sha256
    metrics: dict[str, Any] = field(default_factory=dict)  # how well it reads; no reading depends on them

    @classmethod
    def load(cls, folder: Path) -> "Checkpoint":
        """Read ``config.json`` and the codebook, checking what they say.

        Where a replacement was cut short just between taking the old folder away and putting the new one there, the old one is read.

        Raises:
            CheckpointError: when the folder is no checkpoint of this format.
        """
        if not folder.exists() and set_aside(folder).exists():
            folder = set_aside(folder)
        try:
            config = json.loads((folder / CONFIG).read_bytes())
        except FileNotFoundError:
            what = "it has no config.json" if folder.is_dir() else "no such folder"
            raise CheckpointError(f"{folder}: not a slant checkpoint ({what}); give --model a folder written by training.train") from None
        except OSError as error:
            raise CheckpointError(f"{folder / CONFIG}: cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise CheckpointError(f"{folder / CONFIG}: not JSON ({error}); the checkpoint is damaged, fetch it again") from None
        if not isinstance(config, dict) or "slant" not in config:
            raise CheckpointError(
                f"{folder / CONFIG}: no 'slant' section, so this is another program's checkpoint; give --model a folder written by training.train"
            )
        settings = config["slant"]
        if settings.get("format") != FORMAT:
            raise CheckpointError(
                f"{folder / CONFIG}: checkpoint format {settings.get('format')}, but this version reads format {FORMAT}; train it anew or install the matching slant"
            )
        try:
            digests = dict(settings["sha256"])
            calibration = Calibration.from_dict(settings["calibration"])
            shape = int(settings["window"]), int(settings["left_context"])
            encoder = dict(config["encoder"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder / CONFIG}: damaged ({type(error).__name__}: {error}); fetch the checkpoint again") from None
        source = _checked(folder, CODEBOOK, digests).decode()
        try:
            codebook = Codebook.parse(source, place=str(folder / CODEBOOK))
        except AnnotationError as error:
            raise CheckpointError(str(error)) from None
        if len(calibration.thresholds) != len(codebook.frames):
            raise CheckpointError(
                f"{folder / CONFIG}: {len(calibration.thresholds)} thresholds for {len(codebook.frames)} frames; fetch the checkpoint again"
            )
        if calibration.stance_weights and len(calibration.stance_weights) != len(codebook.stances):
            raise CheckpointError(
                f"{folder / CONFIG}: {len(calibration.stance_weights)} stance weights for {len(codebook.stances)} stances; fetch the checkpoint again"
            )
        return cls(folder, codebook, calibration, *shape, encoder, digests, _metrics(folder))

    def read(self, name: str) -> bytes:
        """The bytes of one of the checkpoint's files, its digest checked.

        Raises:
            CheckpointError: when the file is missing or not the one that training wrote.
        """
        return _checked(self.folder, name, self.digests)

    @property
    def tiers(self) -> dict[str, dict[str, Tier]]:
        """How reliable each label is, by code; empty where that was not measured.

        Raises:
            CheckpointError: when the metrics are damaged.
        """
        try:
            return tiers(self.metrics)
        except (AttributeError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self.folder / METRICS}: damaged ({type(error).__name__}: {error}); draw it anew with training.card, or remove it"
            ) from None

    @property
    def digest(self) -> str:
        """One sha256 over all that a reading depends on: weights, tokenizer, codebook, calibration, windows."""
        return hashlib.sha256(json.dumps(self.config(), sort_keys=True).encode()).hexdigest()

    @property
    def label_count(self) -> int:
        return len(self.codebook.frames) + len(self.codebook.stances) + len(self.codebook.voices)

    def config(self) -> dict[str, Any]:
        """The content of ``config.json``."""
        return {
            "slant": {
                "format": FORMAT,
                "window": self.window,
                "left_context": self.left_context,
                "calibration": asdict(self.calibration),
                "sha256": self.digests,
            },
            "encoder": self.encoder,
        }


def set_aside(folder: Path) -> Path:
    """Where a checkpoint's folder stands while another takes its place."""
    return folder.with_name(folder.name + ".old")


def _metrics(folder: Path) -> dict[str, Any]:
    """What is known of how well a checkpoint reads; nothing where the file is not there."""
    try:
        found: dict[str, Any] = json.loads((folder / METRICS).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / METRICS}: cannot be read ({error}); fetch the checkpoint again, or remove the file") from None
    return found


def _checked(folder: Path, name: str, digests: dict[str, str]) -> bytes:
    path = folder / name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); the checkpoint is incomplete, fetch it again") from None
    if hashlib.sha256(content).hexdigest() != digests.get(name):
        raise CheckpointError(
            f"{path}: its sha256 is not the one in {CONFIG}; the file is truncated or changed, fetch the checkpoint again"
        )
    return content
