"""Which frames, stances and voices exist, and towards which targets stance is coded."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

UNCERTAIN = "uncertain"  # what stands for a label that the reader is less sure of than asked for; no label of a codebook


class AnnotationError(ValueError):
    """A codebook or annotation file says something that cannot be used: names file, place, value, way out."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label of the codebook and what it means in a line; a neutral stance takes no side."""

    label: str
    definition: str
    neutral: bool = False


@dataclass(frozen=True)
class Codebook:
    """The frames, stances and voices, versioned, with the targets' scope notes.

    >>> codebook = Codebook.parse('''
    ... version = "1"
    ... default_target = "raising the minimum wage"
    ... frames = [{label = "economic", definition = "costs, jobs and growth"}]
    ... stances = [{label = "for", definition = ""}, {label = "against", definition = ""}]
    ... voices = [{label = "author", definition = ""}, {label = "quoted", definition = ""}]
    ... targets = [{target = "raising the minimum wage", scope = "at any level of government"}]
    ... ''')
    >>> codebook.frame_labels
    ('economic',)
    """

    version: str
    default_target: str
    frames: tuple[Label, ...]
    stances: tuple[Label, ...]
    voices: tuple[Label, ...]
    targets: Mapping[str, str]  # target: its scope note
    source: str  # the TOML as written, so that a checkpoint carries the very codebook it was trained on

    @classmethod
    def load(cls, path: Path) -> "Codebook":
        """Read ``codebook.toml``.

        Raises:
            AnnotationError: when the file is missing, is no TOML, or lacks a table.
        """
        try:
            return cls.parse(path.read_text(encoding="utf-8"), place=str(path))
        except OSError as error:
            raise AnnotationError(f"{path}: cannot read the codebook ({error.strerror})") from None

    @classmethod
    def parse(cls, source: str, *, place: str = "codebook") -> "Codebook":
        """Read a codebook from its TOML text; ``place`` is named in errors."""
        try:
            table = tomllib.loads(source)
            codebook = cls(
                version=str(table["version"]),
                default_target=table["default_target"],
                frames=_labels(table["frames"]),
                stances=_labels(table["stances"]),
                voices=_labels(table["voices"]),
                targets={row["target"]: row["scope"] for row in table.get("targets", [])},
                source=source,
            )
        except tomllib.TOMLDecodeError as error:
            raise AnnotationError(f"{place}: not valid TOML ({error})") from None
        except (KeyError, TypeError) as error:
            raise AnnotationError(
                f"{place}: {error} is missing; a codebook states version, default_target, frames, stances and voices"
            ) from None
        for field, labels in (("frames", codebook.frame_labels), ("stances", codebook.stance_labels), ("voices", codebook.voice_labels)):
            if len(set(labels)) < len(labels):
                raise AnnotationError(f"{place}: {field} names a label twice ({', '.join(labels)})")
            if len(labels) < (1 if field == "frames" else 2):
                raise AnnotationError(f"{place}: {field} has {len(labels)} labels, which leaves nothing to tell apart")
            if UNCERTAIN in labels:
                raise AnnotationError(
                    f"{place}: {field} has a label '{UNCERTAIN}', which stands for labels left open; give it another name"
                )
        if codebook.default_target not in codebook.targets:
            raise AnnotationError(f"{place}: the default target has no scope note; add it under [[targets]]")
        return codebook

    @cached_property
    def frame_labels(self) -> tuple[str, ...]:
        return tuple(frame.label for frame in self.frames)

    @cached_property
    def stance_labels(self) -> tuple[str, ...]:
        return tuple(stance.label for stance in self.stances)

    @cached_property
    def neutral_stances(self) -> frozenset[str]:
        return frozenset(stance.label for stance in self.stances if stance.neutral)

    @cached_property
    def voice_labels(self) -> tuple[str, ...]:
        return tuple(voice.label for voice in self.voices)


def _labels(rows: list[dict[str, Any]]) -> tuple[Label, ...]:
    return tuple(Label(row["label"], row["definition"], bool(row.get("neutral", False))) for row in rows)


def known(value: object, valid: Iterable[str], *, what: str, place: str) -> str:
    """Return the value if it is one of the valid ones.

    Args:
        value: as found in a file.
        valid: what may stand there.
        what: the noun for the message, such as ``frame``.
        place: file and line for the message.

    Raises:
        AnnotationError: with file, line, value and the nearest valid one.
    """
    choices = list(valid)
    if isinstance(value, str) and value in choices:
        return value
    near = difflib.get_close_matches(str(value).lower(), choices, n=1, cutoff=0.0)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    raise AnnotationError(f"{place}: {what} '{value}' is not in the codebook{hint}")
