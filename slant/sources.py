"""Streams the documents of any input: text, folders, JSONL, CSV, Parquet, HTML and WARC, compressed or not."""

import csv
import hashlib
import io
import json
import re
import sys
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn, cast

from slant.files import MOST_BYTES, STDIN, InputError, decode, expand, is_markup, one_line, warnings_of
from slant.web import DamageError, article_text, pages

LINE_PER_ARTICLE = 8  # a line of JSONL or a cell of CSV may hold so many times the bytes of an article: escapes, other columns
GIVE_UP = 100  # a line longer than so many lines is skipped no further, so that a bomb ends
HEAD = 65_536  # bytes that the format is told by
PARQUET_ROWS = 32  # read at a time

_GZIP, _ZSTD, _PARQUET, _WARC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b"WARC/"
_OBJECT = re.compile(rb'\{[ \t]*["}]')  # JSON that begins and goes on in one line
_JSON = re.compile(rb'\{\s*"|\[\s*[{\["]')
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Columns:
    """Which columns of JSONL, CSV and Parquet hold what.

    ``id`` left out is the column ``id`` where there is one, else file and line; ``target`` left out is the run's target.
    """

    text: str = "text"
    id: str | None = None
    target: str | None = None
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """One article as it was found: its text, where it stood, and the columns carried along."""

    id: str
    source: str
    position: str  # in its source, such as "line 12"; empty where the source is one article
    text: str
    target: str | None = None
    kept: tuple[str | None, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be read: where it stood and why, with the way out."""

    source: str
    position: str
    reason: str

    def __str__(self) -> str:
        label = "standard input" if self.source == STDIN else one_line(self.source)
        return ": ".join(part for part in (label, self.position, one_line(self.reason)) if part)


@dataclass
class Meter:
    """How many bytes of the inputs have been read, for whoever shows progress."""

    bytes: int = 0


def documents(
    names: Iterable[str | InputError], columns: Columns | None = None, *, most_bytes: int = MOST_BYTES, meter: Meter | None = None
) -> Generator[Document | Failure, None, None]:
    """Stream the documents of files, folders, patterns and standard input, in order.

    What a file holds is told by its content: compression first, then Parquet, WARC, HTML, JSONL, CSV; what is
    none of these is one article's text. Nothing is held but the document in hand.

    Args:
        names: files, folders, patterns such as ``news/**/*.txt``, or ``-``; errors pass through as failures.
        columns: of the formats that have columns.
        most_bytes: of one article's text in UTF-8; what is longer is a failure.
        meter: told of the bytes read.

    Returns:
        Documents, and in its place a failure for each thing that cannot be read.
    """
    columns = columns or Columns()
    for name in expand(names):
        if isinstance(name, InputError):
            yield Failure(name.source, "", name.reason)
        else:
            yield from _Source(name, columns, most_bytes, meter or Meter()).read()


def identity(names: Sequence[str], *, seen: Callable[[int], None] | None = None) -> dict[str, Any]:
    """What the inputs are, to the byte: how many files, how many bytes, one digest over names and contents.

    Standard input has no identity before it is read: its bytes count as None.
    """
    digest = hashlib.sha256()
    files = total = 0
    for name in expand(names):
        if name == STDIN:
            return {"files": 1, "bytes": None, "sha256": None}
        files += 1
        if isinstance(name, InputError):
            digest.update(json.dumps(["failure", name.source, name.reason]).encode())
            continue
        content, size = hashlib.sha256(), 0
        try:
            with Path(name).open("rb") as file:
                while block := file.read(1 << 20):
                    content.update(block)
                    size += len(block)
                    if seen:
                        seen(len(block))
        except OSError as error:
            digest.update(json.dumps(["failure", name, error.strerror]).encode())
            continue
        digest.update(json.dumps([name, size, content.hexdigest()]).encode())
        total += size
    return {"files": files, "bytes": total, "sha256": digest.hexdigest()}


class _ProblemError(ValueError):
    """One row cannot be used; the message says why."""


class _Source:
    """One file or standard input, being read."""

    def __init__(self, name: str, columns: Columns, most_bytes: int, meter: Meter) -> None:
        self.name = one_line(name)  # as it is written down: a name may hold bytes that are no text
        self.path = name
        self.columns = columns
        self.most_bytes = most_bytes
        self.most_line = most_bytes * LINE_PER_ARTICLE + HEAD
        self.meter = meter

    def read(self) -> Iterator[Document | Failure]:
        """Everything in it; an error outside of a row ends the source, in a failure."""
        self.position = ""
        try:
            raw = sys.stdin.buffer if self.path == STDIN else Path(self.path).open("rb")  # noqa: SIM115
        except OSError as error:
            yield self._failure(f"cannot be read ({error.strerror})")
            return
        try:
            yield from self._stream(_Counted(raw, self.meter))
        except OSError as error:
            reason = getattr(error, "strerror", None) or str(error)
            rest = "; what follows was not read" if self.position else ""
            yield self._failure(f"cannot be read ({reason}){rest}")
        except InputError as error:
            self.position = ""
            yield self._failure(error.reason)
        finally:
            if self.path != STDIN:
                raw.close()

    def _stream(self, stream: "_Counted", *, packed: bool = False) -> Iterator[Document | Failure]:
        head = stream.peek(HEAD)
        if head.startswith((_GZIP, _ZSTD)):
            if packed:
                raise InputError(self.name, "compressed twice over; unpack it once")
            kind = "gzip" if head.startswith(_GZIP) else "zstd"
            yield from self._stream(_Counted(unpacked(stream, kind), Meter()), packed=True)
        elif head.startswith(_PARQUET):
            yield from self._parquet(stream, packed=packed)
        elif head.startswith(_WARC):
            yield from self._warc(stream)
        else:
            yield from self._text(stream, head)

    def _text(self, stream: "_Counted", head: bytes) -> Iterator[Document | Failure]:
        lines = _Lines(stream, self.most_line)
        suffixes = [suffix.lower() for suffix in Path(self.path).suffixes]
        beginning = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        named = {suffix for suffix in suffixes[-2:] if suffix in (".csv", ".tsv", ".jsonl", ".ndjson")}
        if head.startswith(_UTF16) and named:
            raise InputError(self.name, "UTF-16; convert it to UTF-8 first, e.g. with iconv -f utf-16 -t utf-8")
        if _OBJECT.match(beginning):
            yield from self._jsonl(lines)
        elif _JSON.match(beginning):
            raise InputError(self.name, "JSON, but not one object a line; make JSONL of it, e.g. with jq -c '.[]'")
        elif delimiter := self._delimiter(beginning, named):
            yield from self._csv(lines, delimiter)
        elif named & {".jsonl", ".ndjson"}:
            yield from self._jsonl(lines)
        elif is_markup(head.decode("utf-8", "replace")):
            yield from self._page(stream)
        else:
            yield from self._article(stream)

    def _article(self, stream: "_Counted") -> Iterator[Document | Failure]:
        """The whole source as the text of one article."""
        text, encoding = decode(stream.whole(self.most_bytes), self.name, most_bytes=self.most_bytes)
        yield Document(self.name, self.name, "", text, None, (None,) * len(self.columns.keep), tuple(warnings_of(text, encoding)))

    def _jsonl(self, lines: "_Lines") -> Iterator[Document | Failure]:
        for number, line in lines:
            self.position = f"line {number}"
            if line is None:
                yield self._failure(f"longer than {self.most_line:,} bytes; raise --max-article-bytes")
                continue
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8_sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                yield self._failure(f"not UTF-8 at its byte {error.start + 1}; convert it to UTF-8 first")
                continue
            except RecursionError:
                yield self._failure("JSON nested too deeply; write one flat object a line")
                continue
            except ValueError as error:
                yield self._failure(f"not JSON ({error}); write one object a line")
                continue
            if not isinstance(row, dict):
                yield self._failure(f"{_kind(row)} where an object is needed; write one object a line")
                continue
            yield self._row(row, number)

    def _csv(self, lines: "_Lines", delimiter: str) -> Iterator[Document | Failure]:
        csv.field_size_limit(self.most_line)
        rows = csv.reader(self._csv_lines(lines), delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            start = rows.line_num + 1
            self.position = f"line {start}"
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                # where a quotation mark is never closed, rows cannot be told apart any more
                raise InputError(self.name, f"line {start}: not CSV ({error}); what follows was not read: mend this line") from None
            if header is None:
                header = [name.removeprefix("\ufeff") for name in row]
                self._require(header)
            elif not any(row):
                continue
            elif len(row) != len(header):
                yield self._failure(f"{len(row)} fields where the first line has {len(header)}; quote fields that hold the delimiter")
            else:
                yield self._row(dict(zip(header, row, strict=True)), start)

    def _csv_lines(self, lines: "_Lines") -> Iterator[str]:
        for number, line in lines:
            if line is None:
                raise InputError(
                    self.name, f"line {number}: longer than {self.most_line:,} bytes; what follows was not read: raise --max-article-bytes"
                )
            yield line.decode("utf-8", "surrogateescape")

    def _parquet(self, stream: "_Counted", *, packed: bool) -> Iterator[Document | Failure]:
        import pyarrow
        from pyarrow import parquet

        if packed:
            raise InputError(self.name, "Parquet inside a compressed file; unpack it, Parquet is compressed by itself")
        with tempfile.TemporaryFile() as spooled:
            if self.path == STDIN:
                while block := stream.read(1 << 20):
                    spooled.write(block)
                spooled.seek(0)
            try:
                file = parquet.ParquetFile(spooled if self.path == STDIN else self.path)
                wanted = self._require(file.schema_arrow.names)
                for name in wanted:
                    kind = file.schema_arrow.field(name).type
                    if name == self.columns.text and not _is_text(kind):
                        raise InputError(self.name, f"its column '{name}' is of type {kind}, not text; name another with --text-column")
                number = 0
                size, row_count = (0 if self.path == STDIN else Path(self.path).stat().st_size), max(file.metadata.num_rows, 1)
                for batch in file.iter_batches(PARQUET_ROWS, columns=wanted, use_threads=False):
                    for row in _rows(batch):
                        number += 1
                        self.position = f"row {number}"
                        yield self._failure(row) if isinstance(row, str) else self._row(row, number)
                    self.meter.bytes += size * batch.num_rows // row_count
            except (pyarrow.ArrowException, UnicodeDecodeError) as error:
                reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
                raise InputError(self.name, f"Parquet that cannot be read ({reason}); what follows was not read") from None

    def _warc(self, stream: "_Counted") -> Iterator[Document | Failure]:
        for page in pages(stream, most_bytes=self.most_line):
            self.position = f"record {page.number}"
            if page.wrong:
                yield self._failure(page.wrong)
                continue
            try:
                text = _decoded(page.content, page.charset)
                if not page.plain:
                    text = self._extracted(page.content if text is None else text)
                elif text is None:
                    raise _ProblemError("not UTF-8")
                if not text.strip():
                    raise _ProblemError("no text in it")
                _check_size(text, self.most_bytes)
            except _ProblemError as problem:
                yield self._failure(f"{page.url}: {problem}")
                continue
            beside = {"url": page.url, "date": page.date}
            kept = tuple(beside.get(name) for name in self.columns.keep)
            yield Document(page.url or f"{self.name}:{page.number}", self.name, self.position, text, None, kept, tuple(warnings_of(text)))

    def _page(self, stream: "_Counted") -> Iterator[Document | Failure]:
        """The whole source as one page."""
        content = stream.whole(self.most_line)
        if len(content) > self.most_line:
            raise InputError(self.name, f"a page of more than {self.most_line:,} bytes; raise --max-article-bytes")
        try:
            text = self._extracted(content)
            _check_size(text, self.most_bytes)
        except _ProblemError as problem:
            raise InputError(self.name, str(problem)) from None
        yield Document(self.name, self.name, "", text, None, (None,) * len(self.columns.keep), tuple(warnings_of(text)))

    def _extracted(self, page: bytes | str) -> str:
        try:
            text = article_text(page)
        except InputError:
            raise
        except Exception as error:  # a page can be broken in more ways than its parser foresees
            raise _ProblemError(f"HTML that cannot be parsed ({type(error).__name__})") from None
        if not text:
            raise _ProblemError("HTML in which no article was found; extract its text into a .txt file")
        return text

    def _row(self, row: Mapping[str, Any], number: int) -> Document | Failure:
        """A row of any format as a document, or why it is none."""
        columns = self.columns
        try:
            if columns.text not in row:
                raise _ProblemError(f"no '{columns.text}' in it (it has {_names(row)}); name the column with --text-column")
            text = row[columns.text]
            if text is None or (isinstance(text, str) and not text.strip()):
                raise _ProblemError(f"'{columns.text}' is empty")
            if not isinstance(text, str):
                raise _ProblemError(f"'{columns.text}' is {_kind(text)}, not text")
            self._check(text)
            found = row.get("id" if columns.id is None else columns.id)
            if columns.id is not None and found in (None, ""):
                raise _ProblemError(f"no '{columns.id}' in it, which --id-column names")
            if isinstance(found, bool | list | dict | float | bytes):
                raise _ProblemError(f"its id is {_kind(found)}; ids are text or whole numbers")
            identifier = f"{self.name}:{number}" if found in (None, "") else str(found)
            target = row.get(columns.target) if columns.target is not None else None
            if target is not None and not isinstance(target, str):
                raise _ProblemError(f"'{columns.target}' is {_kind(target)}, not text")
            kept = tuple(_plain(row.get(name)) for name in columns.keep)
            for value in (identifier, target, *kept):
                _check_unicode(value or "")
        except _ProblemError as problem:
            return self._failure(str(problem))
        return Document(identifier, self.name, self.position, text, (target or "").strip() or None, kept, tuple(warnings_of(text)))

    def _check(self, text: str) -> None:
        _check_size(text, self.most_bytes)
        if (position := text.find("\x00")) >= 0:
            raise _ProblemError(f"a NUL character at {position}, so this is binary data")
        if is_markup(text):
            raise _ProblemError("HTML, not text; extract the article first, or give the pages as files")

    def _require(self, header: Sequence[str]) -> list[str]:
        """The columns to read, or an error that names what the header lacks."""
        columns = self.columns
        options = [(columns.text, "--text-column"), (columns.id, "--id-column"), (columns.target, "--target-column")]
        for name, option in [*options, *((name, "--keep") for name in columns.keep)]:
            if name is not None and name not in header:
                raise InputError(self.name, f"no column '{name}' (it has {_names(header)}); name the column with {option}")
            if name is not None and list(header).count(name) > 1:
                raise InputError(self.name, f"two columns are called '{name}'; rename one")
        wanted = {columns.text, columns.id or "id", columns.target, *columns.keep}
        return [name for name in header if name in wanted]

    def _delimiter(self, beginning: bytes, named: set[str]) -> str | None:
        """What parts the columns, if the first line is a header that names the text column or the suffix says so."""
        first = beginning.splitlines()[0].decode("utf-8", "replace") if beginning else ""
        best = max("\t,;|", key=first.count) if first else ","
        if ".tsv" in named:
            return "\t"
        if ".csv" in named:
            return best if first.count(best) else ","
        names = [name.strip('"') for name in first.split(best)]  # prose has a space after its commas
        return best if len(names) > 1 and self.columns.text in names else None

    def _failure(self, reason: str) -> Failure:
        return Failure(self.name, self.position, reason)


class _Counted:
    """A stream that can be looked into, and that counts what is read.

    What was read before an error is given first; the error is raised by the call after that.
    """

    def __init__(self, stream: IO[bytes], meter: Meter) -> None:
        self._stream = stream
        self._head = b""
        self._meter = meter
        self._error: OSError | None = None

    def peek(self, size: int) -> bytes:
        while len(self._head) < size and (block := self._take(size - len(self._head), bool(self._head))):
            self._head += block
        return self._head

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            raise ValueError("sources are read in pieces")
        parts = [self._head[:size]]
        self._head = self._head[size:]
        have = len(parts[0])
        while have < size and (block := self._take(size - have, have > 0)):
            parts.append(block)
            have += len(block)
        return b"".join(parts)

    def whole(self, most: int) -> bytes:
        """All of it, or one byte more than ``most``."""
        content = self.read(most + 1)
        return content if len(content) > most else content + self.read(1)

    def unread(self, content: bytes) -> None:
        self._head = content + self._head

    def readable(self) -> bool:
        return True

    def _take(self, size: int, some: bool) -> bytes:
        if self._error is None:
            try:
                block = self._stream.read(size)
            except OSError as error:
                self._error = error
            else:
                self._meter.bytes += len(block)
                return block
        if some:
            return b""
        pending, self._error = self._error, None
        raise pending


class _Lines:
    """Numbered lines of a stream; one that is too long comes as None, and one without end stops it all."""

    def __init__(self, stream: _Counted, most: int) -> None:
        self._stream = stream
        self._most = most

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        number, rest = 1, b""
        parts: list[bytes] = []  # of a line that has not ended yet
        length = 0
        while block := self._stream.read(HEAD):
            pieces = block.split(b"\n")
            for piece in pieces[:-1]:
                parts.append(piece)
                length += len(piece)
                yield number, b"".join([*parts, b"\n"]) if length <= self._most else None
                number, parts, length = number + 1, [], 0
            rest = pieces[-1]
            length += len(rest)
            if length <= self._most:
                parts.append(rest)
            else:
                parts = []
                if length > self._most * GIVE_UP:
                    raise OSError(f"line {number} does not end within {length:,} bytes")
        if length:
            yield number, b"".join(parts) if length <= self._most else None


def unpacked(stream: _Counted, kind: str) -> IO[bytes]:
    """The content of a gzip or zstd stream."""
    if kind == "gzip":
        return cast(BinaryIO, _Members(stream))
    import pyarrow  # its codecs are there anyway

    return cast(BinaryIO, pyarrow.CompressedInputStream(pyarrow.PythonFile(_Readable(stream), "r"), "zstd"))


class _Members:
    """The members of a gzip stream, one after the other; behind a damaged one it goes on with the next."""

    def __init__(self, stream: _Counted) -> None:
        self._stream = stream
        self._inflater = zlib.decompressobj(wbits=31)
        self._within = False  # a member has begun and not ended
        self._more = False  # there may be more in the inflater than it gave
        self._searching = False

    def read(self, size: int) -> bytes:
        while True:
            content = self._inflater.unconsumed_tail
            if not content and not self._more:
                raw = self._stream.peek(HEAD)
                if not raw and self._within:
                    self._within = False
                    raise DamageError("gzip data that ends in the middle; the file is cut short")
                if not raw:
                    return b""
                if self._searching:
                    self._search(raw)
                    continue
                if not self._within and not raw.strip(b"\0"):  # padding
                    self._stream.read(len(raw))
                    continue
                if not self._within and not raw.startswith(_GZIP):
                    self._damaged("what follows its end is no gzip data", b"")
                content = self._stream.read(len(raw))
            try:
                self._within = True
                piece = self._inflater.decompress(content, size)
            except zlib.error as error:
                self._damaged(f"damaged gzip data ({str(error).split(': ')[-1]})", content[2:])
            self._more = len(piece) == size
            if self._inflater.eof:
                self._stream.unread(self._inflater.unused_data)
                self._inflater, self._within, self._more = zlib.decompressobj(wbits=31), False, False
            if piece:
                return piece

    def _damaged(self, reason: str, behind: bytes) -> NoReturn:
        self._inflater, self._within, self._more, self._searching = zlib.decompressobj(wbits=31), False, False, True
        self._stream.unread(behind)
        raise DamageError(f"{reason}; skipped up to the next member")

    def _search(self, raw: bytes) -> None:
        found = raw.find(_GZIP + b"\x08")
        if found < 0:
            self._stream.read(max(len(raw) - 2, 1))
        else:
            self._stream.read(found)
            self._searching = False


class _Readable(io.RawIOBase):
    """A counted stream as the file that pyarrow asks for."""

    def __init__(self, stream: _Counted) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def readable(self) -> bool:
        return True


def _rows(batch: Any) -> Iterator[dict[str, Any] | str]:
    """A batch's rows, or what is wrong with one: text that is not UTF-8, a date beyond all calendars."""
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError) as error:
        if batch.num_rows == 1:
            yield f"a value that cannot be read ({error})"
        else:
            for index in range(batch.num_rows):
                yield from _rows(batch.slice(index, 1))


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind))


def _check_size(text: str, most_bytes: int) -> None:
    size = _check_unicode(text)
    if size > most_bytes:
        raise _ProblemError(f"{size:,} bytes, which is no single article; split it, or raise --max-article-bytes")


def _decoded(content: bytes, charset: str | None) -> str | None:
    """The content of a page in the charset that its server named, if it is in that."""
    try:
        return content.decode(charset or "utf-8")
    except (LookupError, ValueError):
        return None


def _check_unicode(text: str) -> int:
    """The text's bytes in UTF-8."""
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise _ProblemError(f"not valid UTF-8 at character {error.start + 1}; convert it to UTF-8 first") from None


def _plain(value: Any) -> str | None:
    """A kept value as text: dates in ISO form, what is neither text nor number as JSON."""
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return json.dumps(value, ensure_ascii=False, default=str)


def _kind(value: Any) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "a list", bool: "true or false", str: "text", int: "a number", float: "a number"}
    return "null" if value is None else kinds.get(type(value), f"a {type(value).__name__}")


def _names(header: Iterable[str]) -> str:
    names = [one_line(name) for name in header]
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "none"
