"""The folder that a corpus run writes: numbered shards, each whole or not there, and a manifest of what they were made of."""

import csv
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from slant.reading import HEADS
from slant.render import safe_cell

MANIFEST, FAILURES, PROGRESS = "manifest.json", "failures.jsonl", "progress"
TABLES = ("sentences", "articles")
FORMATS = ("parquet", "jsonl", "csv")


class RunError(ValueError):
    """A run cannot begin or go on: names the folder, what is wrong and the way out."""


@dataclass(frozen=True)
class Record:
    """What one shard holds, written after its files, so that a shard without a record was never finished."""

    items_sha256: str  # of the documents and failures that it was made of
    documents: int
    duplicates: int
    repeated_ids: int
    sentences: int
    uncertain: dict[str, int]  # sentences that each head left open
    sha256: dict[str, str]  # of its file in each of ``TABLES``
    failures: list[dict[str, str]]


class Totals:
    """What the shards of a run hold together."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("documents", "duplicates", "repeated_ids", "sentences"), 0)
        self.failures = 0
        self.uncertain = dict.fromkeys(HEADS, 0)

    def add(self, record: Record) -> None:
        for key in self.counts:
            self.counts[key] += getattr(record, key)
        self.failures += len(record.failures)
        for head, count in record.uncertain.items():
            self.uncertain[head] += count

    def to_dict(self) -> dict[str, Any]:
        return {**self.counts, "failures": self.failures, "uncertain": self.uncertain}


def coverage(uncertain: dict[str, int], sentences: int) -> dict[str, float]:
    """The share of sentences in which each head is certain, in [0, 1]; 0 where there is no sentence."""
    return {head: (sentences - count) / sentences if sentences else 0.0 for head, count in uncertain.items()}


class Shards:
    """The shards of one run, being written.

    Order makes it safe: a shard's files first, each renamed into place when it is on the disk, then its record; the
    manifest says complete only when all else is there. So a run that was killed at any moment goes on at the first
    shard without a record.
    """

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        self.folder = folder
        self.format: str = plan["format"]
        self._plan = plan
        self.manifest: dict[str, Any] = {}

    @contextmanager
    def opened(self) -> Iterator["Shards"]:
        """Hold the folder against other runs, and take up what an earlier run of the same plan left.

        Raises:
            RunError: when another run holds it, it was begun otherwise, it is no folder of scores, or cannot be written.
        """
        import fcntl  # not on Windows, where all else works

        with self._writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            held = os.open(self.folder, os.O_RDONLY)
        try:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(f"{self.folder}: another run is writing it; wait for its end, or give another folder") from None
            with self._writing():
                self._take_up()
            yield self
        finally:
            os.close(held)

    def _take_up(self) -> None:
        path = self.folder / MANIFEST
        if path.exists():
            try:
                self.manifest = json.loads(path.read_bytes())
            except ValueError as error:
                raise RunError(f"{path}: not JSON ({error}); give another folder") from None
            if not isinstance(self.manifest, dict):
                raise RunError(f"{path}: not the manifest of a folder of scores; give another folder")
            self._compare()
        elif others := sorted(p.name for p in self.folder.iterdir() if p.name != f".{MANIFEST}.part"):
            raise RunError(
                f"{self.folder}: holds '{others[0]}' but no {MANIFEST}, so it is no folder of scores; give a new or an empty folder"
            )
        else:
            self.manifest = {**self._plan, "complete": False}
            self._put(path, _json(self.manifest))
        for name in TABLES:
            (self.folder / name).mkdir(exist_ok=True)
            for leftover in (self.folder / name).glob(".*.part"):
                leftover.unlink()
        if self.complete:
            shutil.rmtree(self.folder / PROGRESS, ignore_errors=True)
        else:
            (self.folder / PROGRESS).mkdir(exist_ok=True)

    def _compare(self) -> None:
        for key, now in self._plan.items():
            before = self.manifest.get(key)
            if before != now:
                if isinstance(now, dict) and isinstance(before, dict):
                    key, before, now = next((f"{key} {k}", before.get(k), now[k]) for k in now if before.get(k) != now[k])
                raise RunError(
                    f"{self.folder}: begun with {key} {_short(before)}, now it is {_short(now)}; give what it was begun with, or another folder"
                )

    @property
    def complete(self) -> bool:
        return bool(self.manifest.get("complete"))

    def record(self, index: int) -> Record | None:
        """What an earlier run finished of a shard, if its files are as they were written."""
        name = _name(index)
        try:
            if self.complete:
                part = next((p for p in self.manifest["parts"] if p["name"] == name), None)
                return Record(**{k: v for k, v in part.items() if k != "name"}, failures=[]) if part else None
            record = Record(**json.loads((self.folder / PROGRESS / f"{name}.json").read_bytes()))
            for table in TABLES:
                if hashlib.sha256(self._path(table, index).read_bytes()).hexdigest() != record.sha256[table]:
                    return None
        except (OSError, ValueError, TypeError, KeyError):
            return None  # it is made anew
        return record

    def write(self, index: int, sentences: pa.Table, articles: pa.Table, record: dict[str, Any]) -> Record:
        """Write a shard's files, then its record."""
        digests = {}
        with self._writing():
            for name, table in zip(TABLES, (sentences, articles), strict=True):
                path = self._path(name, index)
                self._put(path, partial(write_table, table, format=self.format))
                digests[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            finished = Record(**record, sha256=digests)
            self._put(self.folder / PROGRESS / f"{_name(index)}.json", _json(asdict(finished)))
        return finished

    def finish(self, count: int) -> dict[str, Any]:
        """Gather the failures, and say in the manifest that the run is complete; returns the manifest."""
        parts: list[dict[str, Any]] = []
        totals = Totals()

        def gather(unfinished: Path) -> None:
            with unfinished.open("w", encoding="utf-8") as file:
                for index in range(count):
                    record = self.record(index)
                    if record is None:
                        raise RunError(f"{self._path('sentences', index)}: changed while the run went on; run the same command again")
                    file.writelines(json.dumps(failure, ensure_ascii=False) + "\n" for failure in record.failures)
                    totals.add(record)
                    parts.append({"name": _name(index), **{k: v for k, v in asdict(record).items() if k != "failures"}})

        with self._writing():
            self._put(self.folder / FAILURES, gather)
            covered = coverage(totals.uncertain, totals.counts["sentences"])
            self.manifest = {**self._plan, "complete": True, "totals": totals.to_dict(), "coverage": covered, "parts": parts}
            self._put(self.folder / MANIFEST, _json(self.manifest))
            shutil.rmtree(self.folder / PROGRESS, ignore_errors=True)
        return self.manifest

    def _path(self, table: str, index: int) -> Path:
        return self.folder / table / f"{_name(index)}.{self.format}"

    def _put(self, path: Path, write: Callable[[Path], None]) -> None:
        """Make a file that is whole or not there, also when the power goes."""
        unfinished = path.with_name(f".{path.name}.part")
        try:
            write(unfinished)
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunError(
                f"{self.folder}: cannot be written ({reason}); nothing written so far is lost: mend that, then run the same command again"
            ) from None


def write_table(table: pa.Table, path: Path, *, format: str) -> None:
    """Write a table in one of ``FORMATS``; the same table gives the same bytes."""
    if format == "parquet":
        parquet.write_table(table.combine_chunks(), path, compression="zstd", row_group_size=1 << 20)
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if format == "jsonl":
            for row in _rows(table):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([safe_cell(name) for name in table.column_names])
            for row in _rows(table):
                writer.writerow([_cell(value) for value in row.values()])


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=1000):
        yield from batch.to_pylist()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "|".join(value)
    elif isinstance(value, dict):
        value = json.dumps(value)
    return safe_cell(value) if isinstance(value, str) else value


def _json(value: Any) -> Callable[[Path], None]:
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    return lambda path: _write_text(path, text)


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _name(index: int) -> str:
    return f"part-{index:05d}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
