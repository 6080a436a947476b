"""How a checkpoint is trained: one frozen record, read from ``training/recipe.toml``."""

import dataclasses
import difflib
import hashlib
import tomllib
from dataclasses import MISSING, dataclass
from pathlib import Path

from training.commands import TrainingError


@dataclass(frozen=True, slots=True)
class Recipe:
    """Every choice of a training run; what each one is stands beneath it."""

    base: str
    """Encoder to start from: a Hugging Face id or a local folder."""
    base_sha256: str
    """Digest of its model.safetensors, checked before it is loaded; empty to skip."""
    window: int
    """Most tokens in a window, the target and special tokens included."""
    left_context: int
    """Most tokens of left context in a window."""
    epochs: int
    """Passes over the training articles."""
    batch_windows: int
    """Windows in a step."""
    learning_rate: float
    """Peak learning rate of the encoder; linear warm-up, then linear decay to zero."""
    head_learning_rate: float
    """Peak learning rate of the heads."""
    weight_decay: float
    """AdamW's weight decay."""
    warmup: float
    """Share of the steps spent warming up, in [0, 1]."""
    dropout: float
    """Dropout before the heads, in [0, 1)."""
    freeze_embeddings: bool
    """Whether word embeddings stay as they are."""
    frame_weight: float
    """Weight of the frames' loss."""
    stance_weight: float
    """Weight of the stance's loss."""
    voice_weight: float
    """Weight of the voice's loss."""
    rare_stance_weight: float
    """Exponent of inverse frequency in the stances' class weights: 0 none, 1 fully balanced."""
    opposite_share: float
    """Share of the passages that an epoch shows towards the opposite of their target, in [0, 1)."""
    unrelated_share: float
    """Share of the passages that an epoch shows towards a target on another matter, in [0, 1)."""
    paraphrase_share: float
    """Share of the passages that an epoch shows towards other words for their target, in [0, 1)."""
    pair_epochs: int
    """Passes over the stance pairs before the articles; 0 for none."""
    pair_learning_rate: float
    """Peak learning rate of the encoder on the stance pairs."""
    taught_share: float
    """Share of the articles that a single machine coder read that each epoch shows beside the gold, in [0, 1]; 0 for none."""
    validation_share: float
    """Share of articles held out to choose temperatures and thresholds, in (0, 1)."""
    folds: int
    """How many folds the evaluation has."""
    seed: int
    """Seeds initial heads, order of the windows, dropout and splits."""
    # choices that came later: checkpoints from before have them at these values, and their recipes' digests stay
    twin_share: float = 0.0
    """Share of the twin passages that each epoch shows beside the gold, in [0, 1]; 0 for none."""
    pairs_per_target: int = 150
    """How many stance pairs of a target are trained on at most."""
    pair_batch: int = 32
    """How many stance pairs a step sees."""

    def __post_init__(self) -> None:
        """Check combinations once, at the door."""
        if self.left_context >= self.window // 2:
            raise TrainingError(f"recipe: left_context {self.left_context} leaves less than half of window {self.window} to read; lower it")
        if not 0 < self.validation_share < 0.5:
            raise TrainingError(f"recipe: validation_share {self.validation_share} is not between 0 and 0.5")
        shares = (self.opposite_share, self.unrelated_share, self.paraphrase_share)
        if min(shares) < 0 or sum(shares) >= 1:
            raise TrainingError("recipe: opposite_share, unrelated_share and paraphrase_share must be at least 0 and together below 1")
        if self.folds < 2 or min(self.epochs, self.batch_windows, self.pair_batch) < 1:
            raise TrainingError("recipe: folds must be at least 2, epochs, batch_windows and pair_batch at least 1")

    @classmethod
    def load(cls, path: Path) -> "Recipe":
        """Read a recipe from TOML.

        Raises:
            TrainingError: for a file that cannot be read, an unknown or missing key, or a value of the wrong type.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TrainingError(f"{path}: cannot be read as TOML ({error})") from None
        types = {field.name: field.type for field in dataclasses.fields(cls)}
        for key, value in table.items():
            if key not in types:
                near = difflib.get_close_matches(key, types, n=1, cutoff=0.0)[0]
                raise TrainingError(f"{path}: unknown key '{key}' (did you mean '{near}'?)")
            if types[key] is float and isinstance(value, int) and not isinstance(value, bool):
                table[key] = float(value)
            elif type(value) is not types[key]:
                raise TrainingError(f"{path}: {key} = {value!r} should be {types[key].__name__}")  # type: ignore[union-attr]
        if missing := [field.name for field in dataclasses.fields(cls) if field.default is MISSING and field.name not in table]:
            raise TrainingError(f"{path}: {', '.join(missing)} missing; a recipe states every choice")
        return cls(**table)

    def to_toml(self) -> str:
        """The recipe as TOML, each choice on a line, but for later ones that are as they were before they could be chosen."""
        chosen = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if getattr(self, field.name) != field.default}
        return "".join(f"{name} = {_toml(value)}\n" for name, value in chosen.items())

    @property
    def digest(self) -> str:
        """The sha256 of the recipe as TOML."""
        return hashlib.sha256(self.to_toml().encode()).hexdigest()


def _toml(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else repr(value)
