"""Other wordings of the codebook's targets: their opposites, paraphrases, and proposals on something else."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slant.codebook import AnnotationError, Codebook, known


@dataclass(frozen=True)
class Wordings:
    """What else a target may be called, as ``targets.toml`` beside the codebook says.

    It is no part of the annotations' digest, for no code depends on it: a wording may be added and old scores stay valid.
    """

    training_opposites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by target: who favors the one is against the other
    training_paraphrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by target: each asks for the same
    # the rest is kept from training, for its audit
    opposites: Mapping[str, str] = field(default_factory=dict)
    paraphrases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unrelated: tuple[str, ...] = ()  # proposals that no article is about

    @classmethod
    def load(cls, path: Path, codebook: Codebook) -> "Wordings":
        """Read ``targets.toml``; a corpus without one has no other wordings.

        Raises:
            AnnotationError: when it is no such TOML, or words a target that the codebook does not have.
        """
        if not path.exists():
            return cls()
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            rows = [{"target": str(row["target"]), **row} for row in table.get("targets", [])]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AnnotationError(f"{path}: cannot be read ({error}); each [[targets]] has target, opposite and paraphrases") from None
        for row in rows:
            known(row["target"], codebook.targets, what="target", place=str(path))
        return cls(
            {row["target"]: tuple(row.get("training_opposites", ())) for row in rows},
            {row["target"]: tuple(row.get("training_paraphrases", ())) for row in rows},
            {row["target"]: row["opposite"] for row in rows if "opposite" in row},
            {row["target"]: tuple(row.get("paraphrases", ())) for row in rows},
            tuple(table.get("unrelated", ())),
        )
