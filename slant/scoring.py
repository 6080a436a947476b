"""Scores a corpus into a folder: documents in order, through an engine, into shards that a killed run goes on from."""

import hashlib
import json
import os
import signal
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

import slant
from slant.corpus import FAILURE, SCHEMA_VERSION, article_rows, article_schema, metadata, sentence_schema, uncertain_counts
from slant.files import MOST_BYTES, STDIN, one_line
from slant.reader import BackendName, Reader, load
from slant.shards import Record, RunError, Shards, Totals, coverage
from slant.sources import Columns, Document, Failure, Meter, documents, identity

Engine = Callable[[Iterator[pa.Table]], Generator[pa.Table, None, None]]
"""Scores tables with ``score_table``, and gives the results in the order of the tables."""

SHARD_ARTICLES = 500  # half a minute of two cores' work: what a killed run may have to do again
SHARD_BYTES = 32_000_000  # of text; a shard ends here too, so that its articles and rows fit into memory
CHUNK_ARTICLES = 16  # handed to a worker at once
CHUNK_BYTES = 256_000


@dataclass(frozen=True)
class Job:
    """Everything that a run is told; what decides its output goes into the manifest."""

    inputs: tuple[str, ...]
    output: Path
    columns: Columns = field(default_factory=Columns)
    target: str | None = None
    model: Path | None = None
    backend: BackendName = "onnx"
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    workers: int = 1
    format: Literal["parquet", "jsonl", "csv"] = "parquet"
    shard_articles: int = SHARD_ARTICLES
    most_bytes: int = MOST_BYTES
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        """Check what can be checked before anything is read."""
        if self.workers < 1:
            raise RunError(f"--workers {self.workers}: give at least 1")
        if self.shard_articles < 1:
            raise RunError(f"--shard-articles {self.shard_articles}: give at least 1")
        if self.inputs.count(STDIN) and len(self.inputs) > 1:
            raise RunError("standard input goes alone: give - or files, not both")
        if self.ray_address is not None and self.engine != "ray":
            raise RunError("--ray-address goes with --engine ray")
        if len(set(self.columns.keep)) < len(self.columns.keep):
            raise RunError("--keep names a column twice")


@dataclass(frozen=True)
class Summary:
    """What a run has done."""

    documents: int
    duplicates: int
    repeated_ids: int
    sentences: int
    failures: int
    uncertain: dict[str, int]  # sentences that each head left open
    complete: bool  # False where it was interrupted: the same command goes on

    @property
    def coverage(self) -> dict[str, float]:
        """The share of sentences in which each head is certain, in [0, 1]."""
        return coverage(self.uncertain, self.sentences)


class Watcher(Protocol):
    """Told how a run goes on."""

    def checking(self, size: int) -> None:
        """So many more bytes of the inputs were looked at before the start."""

    def begin(self, total_bytes: int | None) -> None:
        """Reading begins; the size of the inputs is known unless they are standard input."""

    def shard(self, record: Record, *, earlier: bool, read_bytes: int) -> None:
        """A shard is finished, or was by an earlier run."""

    def scored(self, articles: int, sentences: int, read_bytes: int) -> None:
        """So many more articles are scored."""

    def stopping(self) -> None:
        """An interrupt came: the shard in hand is finished, then the run stops."""


def score(job: Job, watcher: Watcher | None = None) -> Summary:
    """Score a corpus into ``job.output``; the same job on the same folder goes on where an earlier one stopped.

    Raises:
        RunError: when the run cannot begin or go on.
        CheckpointError: when the model cannot be read.
        ValueError: when the target or the minimum of confidence cannot be used.
    """
    reader = load(job.model, backend=job.backend, threads=1)
    reader.read("", target=job.target, min_confidence=job.min_confidence)  # says at once if they cannot be used
    taken = {f.name for schema in (sentence_schema(reader.codebook), article_schema(reader.codebook)) for f in schema}
    if clash := sorted(taken & set(job.columns.keep)):
        raise RunError(f"--keep {clash[0]}: the result has a column of that name; rename yours")
    shards = Shards(job.output, _plan(job, reader, watcher))
    with shards.opened():
        if shards.complete and job.inputs != (STDIN,):
            return Summary(**shards.manifest["totals"], complete=True)
        return _Run(job, reader, shards, watcher).go()


def _plan(job: Job, reader: Reader, watcher: Watcher | None) -> dict[str, Any]:
    """What decides the output: the same plan gives the same bytes."""
    made_of = metadata(reader)
    return {
        "slant": slant.__version__,
        "onnxruntime": version("onnxruntime"),
        "schema": SCHEMA_VERSION,
        "model": made_of["slant.model"],
        "backend": job.backend,
        "codebook": made_of["slant.codebook"],
        "target": (job.target or reader.codebook.default_target).strip(),
        "input": {
            "names": [one_line(name) for name in job.inputs],
            **identity(job.inputs, seen=watcher.checking if watcher else None),
        },
        "columns": {**asdict(job.columns), "keep": list(job.columns.keep)},
        "format": job.format,
        "shard_articles": job.shard_articles,
        "max_article_bytes": job.most_bytes,
        "min_confidence": job.min_confidence,
        "tiers": reader.checkpoint.tiers,
    }


@dataclass(frozen=True, slots=True)
class _Entry:
    """A document without its text, as the table of articles needs it."""

    number: int
    document: Document
    duplicate_of: int | None


@dataclass
class _Shard:
    """A shard being filled: what it is made of, in order, and what has come back of it."""

    index: int
    earlier: Record | None
    digest: Any = field(default_factory=hashlib.sha256)
    entries: list[_Entry | Failure] = field(default_factory=list)
    documents: int = 0
    repeated_ids: int = 0
    size: int = 0
    sent: int = 0
    results: list[pa.Table] = field(default_factory=list)
    whole: bool = False  # no more documents come

    def add(self, entry: _Entry, size: int, *, repeated: bool) -> None:
        self.entries.append(entry)
        self.documents += 1
        self.repeated_ids += repeated
        self.size += size


class _Run:
    def __init__(self, job: Job, reader: Reader, shards: Shards, watcher: Watcher | None) -> None:
        self._job = job
        self._reader = reader
        self._shards = shards
        self._watcher = watcher
        self._meter = Meter()
        self._open: deque[_Shard] = deque()
        self._stopping = False
        self._totals = Totals()
        self._finished = 0
        kept = [pa.field(name, pa.string()) for name in job.columns.keep]
        self._article_schema = article_schema(reader.codebook, kept).with_metadata(metadata(reader))
        scored = sentence_schema(reader.codebook, [pa.field("number", pa.int64()), *kept])
        self._sentence_schema = pa.schema(
            [scored.field("number"), *(f for f in scored if f.name not in ("number", FAILURE))], metadata(reader)
        )

    def go(self) -> Summary:
        if self._watcher:
            self._watcher.begin(self._shards.manifest["input"]["bytes"])
        with self._interruptible(), closing(self._chunks()) as chunks, closing(_engine(self._job, self._reader)(chunks)) as results:
            for result in results:
                shard = next(shard for shard in self._open if len(shard.results) < shard.sent)
                shard.results.append(result)
                if self._watcher:
                    self._watcher.scored(len(pc.unique(result["number"])), result.num_rows, self._meter.bytes)
                self._write_whole()
            self._write_whole()
        if self._shards.complete:
            return Summary(**self._shards.manifest["totals"], complete=True)
        if not self._stopping:
            self._shards.finish(self._finished)
        return Summary(**self._totals.to_dict(), complete=not self._stopping)

    def _chunks(self) -> Generator[pa.Table, None, None]:
        """The documents to be scored, in order, a few at a time; shards are opened and closed on the way."""
        job = self._job
        number = 0
        batch: list[tuple[int, Document]] = []
        with closing(_Seen()) as seen, closing(documents(job.inputs, job.columns, most_bytes=job.most_bytes, meter=self._meter)) as items:
            shard = self._begin(0)
            for item in items:
                shard.digest.update(json.dumps(asdict(item)).encode())
                if isinstance(item, Failure):
                    shard.entries.append(item)
                else:
                    number += 1
                    duplicate_of, repeated = seen.first(item, number)
                    shard.add(_Entry(number, _without_text(item), duplicate_of), len(item.text), repeated=repeated)
                    if duplicate_of is None and shard.earlier is None:
                        batch.append((number, item))
                full = len(shard.entries) == job.shard_articles or shard.size >= SHARD_BYTES
                if batch and (full or len(batch) == CHUNK_ARTICLES or sum(len(document.text) for _, document in batch) >= CHUNK_BYTES):
                    shard.sent += 1
                    yield self._table(batch)
                    batch = []
                if full:
                    self._close(shard)
                    if self._stopping:
                        return
                    shard = self._begin(shard.index + 1)
            if batch:
                shard.sent += 1
                yield self._table(batch)
            if shard.entries:
                self._close(shard)
            elif shard.earlier is None:
                self._open.pop()
            else:
                raise self._changed(shard)

    def _begin(self, index: int) -> _Shard:
        shard = _Shard(index, self._shards.record(index))
        if shard.earlier is None:
            if self._shards.complete:  # standard input that goes on after the end of what it was
                raise self._changed(shard)
            self._open.append(shard)
        return shard

    def _close(self, shard: _Shard) -> None:
        shard.whole = True
        if shard.earlier is not None:
            if shard.earlier.items_sha256 != shard.digest.hexdigest():
                raise self._changed(shard)
            self._count(shard.earlier, earlier=True)

    def _changed(self, shard: _Shard) -> RunError:
        first = shard.index * self._job.shard_articles + 1
        return RunError(
            f"{self._job.output}: the input reads otherwise than when the run was begun, from about article {first} on; "
            "give what it was begun with, or another folder"
        )

    def _table(self, batch: list[tuple[int, Document]]) -> pa.Table:
        found = [document for _, document in batch]
        return pa.table(
            {
                "number": pa.array([number for number, _ in batch], pa.int64()),
                "id": pa.array([document.id for document in found], pa.string()),
                "text": pa.array([document.text for document in found], pa.string()),
                "target": pa.array([document.target for document in found], pa.string()),
                **{name: pa.array([document.kept[i] for document in found], pa.string()) for i, name in enumerate(self._job.columns.keep)},
            }
        )

    def _write_whole(self) -> None:
        """Write the shards whose results are all there, in order."""
        while self._open and self._open[0].whole and len(self._open[0].results) == self._open[0].sent:
            self._write(self._open.popleft())

    def _write(self, shard: _Shard) -> None:
        rows = pa.concat_tables(shard.results) if shard.results else self._sentence_schema.empty_table()
        reasons: dict[int, str] = {}
        if shard.results:
            failed = rows.filter(pc.is_valid(rows[FAILURE]))
            reasons = dict(zip(failed["number"].to_pylist(), failed[FAILURE].to_pylist(), strict=True))
            rows = rows.filter(pc.is_null(rows[FAILURE]))
        sentences = pa.table([rows[name] for name in self._sentence_schema.names], schema=self._sentence_schema)
        scored = article_rows(sentences, self._reader.codebook)
        articles: list[dict[str, Any]] = []
        failures: list[Failure] = []
        for entry in shard.entries:
            if isinstance(entry, Failure):
                failures.append(entry)
            elif entry.number in reasons:
                failures.append(Failure(entry.document.source, entry.document.position, reasons[entry.number]))
            else:
                articles.append(self._article(entry, scored.get(entry.number, {})))
        record = {
            "items_sha256": shard.digest.hexdigest(),
            "documents": shard.documents,
            "duplicates": sum(isinstance(entry, _Entry) and entry.duplicate_of is not None for entry in shard.entries),
            "repeated_ids": shard.repeated_ids,
            "sentences": sentences.num_rows,
            "uncertain": uncertain_counts(sentences),
            "failures": [asdict(failure) for failure in failures],
        }
        table = pa.Table.from_pylist(articles, schema=self._article_schema)
        self._count(self._shards.write(shard.index, sentences, table, record), earlier=False)

    def _article(self, entry: _Entry, scored: dict[str, Any]) -> dict[str, Any]:
        document = entry.document
        return {
            "number": entry.number,
            "article": document.id,
            "source": document.source,
            "position": document.position,
            "target": (document.target or self._job.target or self._reader.codebook.default_target).strip(),
            "duplicate_of": entry.duplicate_of,
            **scored,
            "warnings": list(document.warnings),
            **dict(zip(self._job.columns.keep, document.kept, strict=True)),
        }

    def _count(self, record: Record, *, earlier: bool) -> None:
        self._finished += 1
        self._totals.add(record)
        if self._watcher:
            self._watcher.shard(record, earlier=earlier, read_bytes=self._meter.bytes)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let the first interrupt stop the run after the shard in hand, the second one at once."""

        def interrupted(number: int, frame: FrameType | None) -> None:
            if self._stopping:
                raise KeyboardInterrupt
            self._stopping = True
            if self._watcher:
                self._watcher.stopping()

        try:
            before = signal.signal(signal.SIGINT, interrupted)
        except ValueError:  # not in the main thread: whoever runs it there handles interrupts
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _engine(job: Job, reader: Reader) -> Engine:
    options: dict[str, Any] = {
        "model": reader.checkpoint.folder,
        "backend": job.backend,
        "target": job.target,
        "min_confidence": job.min_confidence,
        "target_column": "target",
    }
    if job.engine == "ray":
        from slant.cluster import over_ray

        return lambda tables: over_ray(tables, options, workers=job.workers, address=job.ray_address)
    from slant.workers import over_processes

    return lambda tables: over_processes(tables, options, workers=job.workers)


def _without_text(document: Document) -> Document:
    return Document(document.id, document.source, document.position, "", document.target, document.kept, document.warnings)


class _Seen:
    """Which texts and ids were there before: digests in a database that spills to the disk, so memory stays flat."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")
        for table in ("texts", "ids"):
            self._database.execute(f"CREATE TABLE {table} (digest BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")

    def first(self, document: Document, number: int) -> tuple[int | None, bool]:
        """The number of the first document with the same text and target, if it is another; whether the id was there."""
        same = self._before("texts", json.dumps([document.text, document.target]), number)
        return same, self._before("ids", document.id, number) is not None

    def _before(self, table: str, key: str, number: int) -> int | None:
        digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
        (found,) = self._database.execute(
            f"INSERT INTO {table} VALUES (?, ?) ON CONFLICT (digest) DO UPDATE SET number = number RETURNING number", (digest, number)
        ).fetchone()
        return None if found == number else int(found)

    def close(self) -> None:
        self._database.close()


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
