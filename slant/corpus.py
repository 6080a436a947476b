"""Scores tables of articles: Arrow in, Arrow out, one row a sentence.

The one function behind every engine. It needs nothing but the table in hand, so that it runs alike in this process,
in worker processes, and in Ray, Spark, polars or ``datasets.map``.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slant.article import Article
from slant.codebook import UNCERTAIN, Codebook
from slant.reader import BackendName, Reader, load
from slant.reading import FIELDS, HEADS

SCHEMA_VERSION = 2
FAILURE = "failure"


def sentence_schema(codebook: Codebook, carried: Sequence[pa.Field] = ()) -> pa.Schema:
    """The columns of ``score_table``: those of ``Reading.rows``, what is carried along, ``failure``.

    Frames, stances and voices are structs with one field a label, in the codebook's order.
    """
    kinds: dict[str, pa.DataType] = {
        "sentence": pa.int32(),
        "start": pa.int32(),
        "end": pa.int32(),
        "frames": pa.list_(pa.field("item", pa.string())),
        "frame_probability": _struct(codebook.frame_labels, pa.float64()),
        "stance_probability": _struct(codebook.stance_labels, pa.float64()),
        "voice_probability": _struct(codebook.voice_labels, pa.float64()),
        "confidence": pa.float64(),
        "truncated": pa.bool_(),
    }
    own = [pa.field(name, kinds.get(name, pa.string())) for name in FIELDS]
    return pa.schema([*own, *carried, pa.field(FAILURE, pa.string())])


def article_schema(codebook: Codebook, carried: Sequence[pa.Field] = ()) -> pa.Schema:
    """The columns of the table of articles: where each was found, counts, shares in [0, 1], and what is carried along.

    Shares are of the sentences whose label is certain; ``coverage`` is the share of those.
    """
    return pa.schema(
        [
            pa.field("number", pa.int64()),
            pa.field("article", pa.string()),
            pa.field("source", pa.string()),
            pa.field("position", pa.string()),
            pa.field("target", pa.string()),
            pa.field("duplicate_of", pa.int64()),
            pa.field("sentence_count", pa.int32()),
            pa.field("frame_share", _struct(codebook.frame_labels, pa.float64())),
            pa.field("stance_share", _struct(codebook.stance_labels, pa.float64())),
            pa.field("voice_share", _struct(codebook.voice_labels, pa.float64())),
            pa.field("frame_count", _struct(codebook.frame_labels, pa.int32())),
            pa.field("stance_count", _struct(codebook.stance_labels, pa.int32())),
            pa.field("voice_count", _struct(codebook.voice_labels, pa.int32())),
            pa.field("uncertain_count", _struct(HEADS, pa.int32())),
            pa.field("coverage", _struct(HEADS, pa.float64())),
            pa.field("mean_confidence", pa.float64()),
            pa.field("truncated_count", pa.int32()),
            pa.field("warnings", pa.list_(pa.field("item", pa.string()))),
            *carried,
        ]
    )


def metadata(reader: Reader) -> dict[str, str]:
    """What every table says of its making."""
    return {
        "slant.schema": str(SCHEMA_VERSION),
        "slant.model": reader.checkpoint.digest,
        "slant.codebook": reader.codebook.version,
    }


def score_table(
    table: pa.Table,
    reader: Reader,
    *,
    text_column: str = "text",
    id_column: str = "id",
    target_column: str | None = None,
    target: str | None = None,
    min_confidence: float = 0.0,
) -> pa.Table:
    """Score every sentence of a table of articles.

    A row's result depends on its text and target alone: never on the rows beside it, nor on how a corpus is cut into
    tables.

    Args:
        table: one article a row.
        reader: reads them.
        text_column: holds the text.
        id_column: names the article; cast to text. The table may lack it only if it is called ``id``.
        target_column: holds the proposal that stance is read towards; where it is empty, ``target`` holds.
        target: the proposal; the codebook's default when None.
        min_confidence: a head that is less sure than this gives the label ``uncertain``, in [0, 1]; 0 never does.

    Returns:
        One row a sentence under ``sentence_schema``, the table's other columns carried along. An article that cannot
        be scored is not lost: it has one row, in which ``failure`` says why.

    Raises:
        ValueError: when a column is missing, or one that would be carried along has a name of the result's.

    >>> import pyarrow, slant
    >>> articles = pyarrow.table({"id": ["a"], "text": ["The minister said no."], "outlet": ["Gazette"]})
    >>> score_table(articles, slant.load()).select(["article", "voice", "outlet"]).to_pylist()
    [{'article': 'a', 'voice': 'quoted', 'outlet': 'Gazette'}]
    """
    for name in (text_column, target_column, None if id_column == "id" else id_column):
        if name is not None and name not in table.column_names:
            raise ValueError(f"score_table: no column '{name}'; the table has {', '.join(table.column_names) or 'none'}")
    carried = [field for field in table.schema if field.name not in (text_column, id_column, target_column)]
    schema = sentence_schema(reader.codebook, carried).with_metadata(metadata(reader))
    if clash := sorted({field.name for field in carried} & {*FIELDS, FAILURE}):
        raise ValueError(f"score_table: column '{clash[0]}' has the name of a result column; rename or drop it")
    texts = table[text_column].to_pylist()
    ids = table[id_column].cast(pa.string()).to_pylist() if id_column in table.column_names else [None] * len(texts)
    targets = table[target_column].to_pylist() if target_column else [None] * len(texts)
    rows: list[dict[str, Any]] = []
    origin: list[int] = []  # the row of the table that each sentence is of
    for index, (text, identifier, own_target) in enumerate(zip(texts, ids, targets, strict=True)):
        found, failure = _sentences(reader, text, identifier or "", own_target or target, min_confidence)
        rows += found or [{"article": identifier or "", FAILURE: failure}]
        origin += [index] * max(len(found), 1)
    own = [field.name for field in schema if field not in carried]
    columns = {name: pa.array([row.get(name) for row in rows], schema.field(name).type) for name in own}
    beside = table.select([field.name for field in carried]).take(pa.array(origin, pa.int64()))
    return pa.table([columns[field.name] if field.name in columns else beside[field.name] for field in schema], schema=schema)


def _sentences(reader: Reader, text: Any, identifier: str, target: str | None, min_confidence: float) -> tuple[list[dict[str, Any]], str]:
    if not isinstance(text, str) or not text.strip():
        return [], "empty: no text in it"
    try:
        reading = reader.read(Article(text, identifier), target=target, evidence=False, min_confidence=min_confidence)
    except ValueError as error:
        return [], str(error)
    return reading.rows(), "no sentence in it"


class Scorer:
    """``score_table`` with its reader loaded once: what a worker or an actor holds.

    It pickles as what it was told, so that each process that it is sent to loads a reader of its own.

    >>> import pyarrow
    >>> scorer = Scorer()
    >>> scorer(pyarrow.table({"id": ["a"], "text": ["He left. She stayed."]})).num_rows
    2
    """

    def __init__(
        self,
        model: Path | str | None = None,
        *,
        backend: BackendName = "onnx",
        target: str | None = None,
        min_confidence: float = 0.0,
        text_column: str = "text",
        id_column: str = "id",
        target_column: str | None = None,
    ) -> None:
        self.reader = load(model, backend=backend, threads=1)
        self._model = {"model": model, "backend": backend}
        self._options: dict[str, Any] = {
            "target": target,
            "min_confidence": min_confidence,
            "text_column": text_column,
            "id_column": id_column,
            "target_column": target_column,
        }

    def __call__(self, table: pa.Table) -> pa.Table:
        """Score one table."""
        return score_table(table, self.reader, **self._options)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(Scorer, **self._model, **self._options), ()  # type: ignore[arg-type]

    def schema(self, table: pa.Schema) -> pa.Schema:
        """The schema of what comes out for tables of this schema."""
        return score_table(table.empty_table(), self.reader, **self._options).schema


def article_rows(sentences: pa.Table, codebook: Codebook) -> dict[int, dict[str, Any]]:
    """Counts and shares of each article, by its ``number``, from a table of its sentences.

    Shares are of the sentences whose label is certain: null where none is.
    """
    numbers = sentences["number"].to_numpy()
    firsts = np.flatnonzero(np.r_[True, numbers[1:] != numbers[:-1]]) if len(numbers) else np.array([], dtype=int)
    rows: dict[int, dict[str, Any]] = {}
    for first, end in pairwise([*firsts, len(numbers)]):
        part = sentences.slice(first, end - first)
        count = part.num_rows
        counts = {
            "frame": _counts(pc.list_flatten(part["frames"]), codebook.frame_labels),
            "stance": _counts(part["stance"], codebook.stance_labels),
            "voice": _counts(part["voice"], codebook.voice_labels),
        }
        uncertain = uncertain_counts(part)
        certain = {head: count - left for head, left in uncertain.items()}
        of = dict(zip(counts, certain.values(), strict=True))  # how many sentences each code's shares are of
        rows[int(numbers[first])] = {
            "target": part["target"][0].as_py(),
            "sentence_count": count,
            **{
                f"{code}_share": {label: n / of[code] if of[code] else None for label, n in found.items()} for code, found in counts.items()
            },
            **{f"{code}_count": found for code, found in counts.items()},
            "uncertain_count": uncertain,
            "coverage": {head: n / count for head, n in certain.items()},
            "mean_confidence": round(sum(part["confidence"].to_pylist()) / count, 4),
            "truncated_count": sum(part["truncated"].to_pylist()),
        }
    return rows


def uncertain_counts(sentences: pa.Table) -> dict[str, int]:
    """How many sentences of a table each head is uncertain about."""
    columns = {"frames": pc.list_flatten(sentences["frames"]), "stance": sentences["stance"], "voice": sentences["voice"]}
    return {head: _counts(columns[head], [UNCERTAIN])[UNCERTAIN] for head in HEADS}


def _counts(labels: pa.ChunkedArray, names: Sequence[str]) -> dict[str, int]:
    found = labels.to_pylist()
    return {name: found.count(name) for name in names}


def _struct(labels: Sequence[str], kind: pa.DataType) -> pa.StructType:
    return pa.struct([pa.field(label, kind) for label in labels])
