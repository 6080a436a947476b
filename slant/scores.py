"""Reads a folder of scores: its sentences in columns, its articles, what failed and what it was made of."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slant.codebook import UNCERTAIN
from slant.estimate import Floats, Integers
from slant.reading import HEADS
from slant.reliability import Tier, tier_of

if TYPE_CHECKING:
    import pyarrow

NOTHING = "(none)"  # the group of sentences whose column is empty
DATE = "date"  # the column that years, months and weeks are told from
PERIODS: dict[str, Callable[[date], str]] = {
    "year": lambda day: f"{day.year}",
    "month": lambda day: f"{day:%Y-%m}",
    "week": lambda day: "{}-W{:02}".format(*day.isocalendar()),
}
PRECISION = {"year": 4, "month": 7, "week": 10}  # characters of a date that tell a period
DAYS_OF_YEAR = 365.25


class ScoresError(ValueError):
    """A folder of scores cannot be used: names the file, what is wrong and the way out."""


@dataclass(frozen=True)
class Scores:
    """A scored corpus. Every sentence is of a distinct article: copies of an article are scored once."""

    folder: Path
    manifest: dict[str, Any]
    sentences: "pyarrow.Table"
    articles: "pyarrow.Table"
    failures: tuple[dict[str, str], ...]

    @classmethod
    def load(cls, folder: Path) -> "Scores":
        """Read a folder that scoring a corpus wrote.

        Raises:
            ScoresError: when it is no such folder, or its tables are not Parquet.
        """
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
        except OSError as error:
            raise ScoresError(
                f"{folder}: not a folder of scores (manifest.json: {error.strerror}); score a corpus with predict.py INPUT --output FOLDER"
            ) from None
        except ValueError as error:
            raise ScoresError(f"{folder / 'manifest.json'}: not JSON ({error}); score the corpus anew") from None
        path = folder / "failures.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return cls(folder, manifest, _table(folder, "sentences"), _table(folder, "articles"), tuple(json.loads(line) for line in lines))

    @property
    def model(self) -> str:
        """The digest of the model that scored."""
        return str(self.manifest.get("model", ""))

    @cached_property
    def frame_labels(self) -> tuple[str, ...]:
        return self._fields("frame_probability")

    @cached_property
    def stance_labels(self) -> tuple[str, ...]:
        return self._fields("stance_probability")

    @cached_property
    def voice_labels(self) -> tuple[str, ...]:
        """In the codebook's order: the first is the author's."""
        return self._fields("voice_probability")

    @cached_property
    def article(self) -> Integers:
        """The article of each sentence, numbered from 0, shape (sentences,)."""
        return np.unique(self.sentences["number"].to_numpy(), return_inverse=True)[1].reshape(-1)

    @cached_property
    def frames(self) -> Floats:
        """Whether each frame was read in each sentence, shape (sentences, frames); none in an uncertain one."""
        read = self.sentences["frames"].combine_chunks()
        found = np.zeros((len(self.sentences), len(self.frame_labels)))
        index = {label: i for i, label in enumerate(self.frame_labels)}
        columns = np.array([index.get(value, -1) for value in read.flatten().to_pylist()], dtype=np.int64)
        rows = np.repeat(np.arange(len(read)), read.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64))
        found[rows[columns >= 0], columns[columns >= 0]] = 1
        return found

    def certain(self, code: str) -> Floats:
        """Whether the code's label is certain in each sentence, shape (sentences,); ``code`` is frame, stance or voice."""
        if code == "frame":
            return np.array([UNCERTAIN not in frames for frames in self.sentences["frames"].to_pylist()], dtype=float)
        return 1 - self.read(code, UNCERTAIN)

    @property
    def coverage(self) -> dict[str, float]:
        """The share of sentences in which each head is certain, in [0, 1]."""
        codes = ("frame", "stance", "voice")
        return {head: float(self.certain(code).mean()) if len(self.sentences) else 0.0 for head, code in zip(HEADS, codes, strict=True)}

    def tier(self, code: str, label: str) -> Tier:
        """How reliable a label is, as the model that scored was measured."""
        return tier_of(self.manifest.get("tiers", {}), code, label)

    def read(self, code: str, label: str) -> Floats:
        """Whether a label was read in each sentence, shape (sentences,); ``code`` is frame, stance or voice."""
        if code == "frame":
            found: Floats = self.frames[:, self.frame_labels.index(label)]
            return found
        import pyarrow.compute as pc

        return pc.equal(self.sentences[code], label).to_numpy().astype(float)  # type: ignore[no-any-return]

    def probability(self, code: str, label: str) -> Floats:
        """The calibrated probability of a label in each sentence, shape (sentences,)."""
        import pyarrow.compute as pc

        found: Floats = pc.struct_field(self.sentences[f"{code}_probability"], label).to_numpy()
        return found

    def group(self, by: str) -> tuple[Integers, list[str]]:
        """The group of each sentence by a column that was kept, or by ``year``, ``month`` or ``week`` of its date.

        Returns:
            Groups numbered from 0, shape (sentences,), and their names in order.

        Raises:
            ScoresError: when there is no such column.
        """
        if by in PERIODS and by not in self.sentences.column_names:
            values = [_period(text, by) for text in self.column(DATE, asked=by)]
        else:
            values = [str(value) if value not in (None, "") else NOTHING for value in self.column(by)]
        names, groups = np.unique(np.array(values, dtype=object), return_inverse=True)
        return groups.reshape(-1), list(names)

    def column(self, name: str, *, asked: str = "") -> list[Any]:
        """The values of one column of the sentences."""
        if name not in self.sentences.column_names:
            kept = ", ".join([*self.kept, *(PERIODS if DATE in self.kept else ())]) or "no column"
            what = f"'{asked}' is told from the column '{name}', which" if asked else f"column '{name}'"
            raise ScoresError(f"{self.folder}: {what} was not kept; there is {kept}; score with --keep {name}")
        found: list[Any] = self.sentences[name].to_pylist()
        return found

    @property
    def kept(self) -> list[str]:
        """The columns of the input that were carried along."""
        return list(self.manifest.get("columns", {}).get("keep", []))

    @cached_property
    def years(self) -> Floats:
        """Each sentence's date in years, as 2024.5; NaN where it has none."""
        return np.array([_years(text) for text in self.column(DATE)])

    def _fields(self, column: str) -> tuple[str, ...]:
        return tuple(field.name for field in self.sentences.schema.field(column).type)


def _table(folder: Path, name: str) -> "pyarrow.Table":
    import pyarrow
    from pyarrow import parquet

    paths = sorted((folder / name).glob("part-*"))
    if other := next((path for path in paths if path.suffix != ".parquet"), None):
        raise ScoresError(f"{other}: not Parquet; score with --format parquet, which is the default")
    if not paths:
        raise ScoresError(f"{folder / name}: no part in it; the run has not finished its first shard, start it again to go on")
    try:
        return pyarrow.concat_tables([parquet.read_table(path) for path in paths])
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise ScoresError(f"{folder / name}: cannot be read ({str(error)[:120]}); score the corpus anew") from None


def parse_date(text: object) -> date | None:
    """A date as precise as written, ``2024``, ``2024-05`` or ``2024-05-17``, at the start of what is missing.

    >>> parse_date("2024-05-17T10:00:00Z"), parse_date("2024-05"), parse_date("May")
    (datetime.date(2024, 5, 17), datetime.date(2024, 5, 1), None)
    """
    parts = str(text or "")[:10].split("-")
    try:
        year, month, day = (int(part) for part in (*parts, "1", "1")[:3])
        return date(year, month, day)
    except ValueError:
        return None


def _period(text: object, by: str) -> str:
    day = parse_date(text)
    return PERIODS[by](day) if day is not None and len(str(text)) >= PRECISION[by] else NOTHING


def _years(text: object) -> float:
    day = parse_date(text)
    return day.year + (day.timetuple().tm_yday - 1) / DAYS_OF_YEAR if day else float("nan")
