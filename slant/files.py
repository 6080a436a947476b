"""Finds files and decodes text, or says in one line why a file cannot be read."""

import fnmatch
import glob
import os
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

STDIN = "-"
MOST_BYTES = 2_000_000  # of one article; the longest of 4,155 opinion pages looked at has 32,485
SHARE_OF_ENGLISH = 0.15  # of a text's words that are among _ENGLISH: at least 0.26 in 244 English texts, 0.04 in a Dutch one
FEWEST_WORDS = 20  # below this the share says nothing

SUFFIXES = (".txt", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".html", ".htm", ".warc")  # also with .gz or .zst

_ENGLISH = frozenset(
    """the of and to a in is that for it on was with as are be by at this have from or had not but what all were when
    we there can an your which their if will about up out them then she he his her has who they you i""".split()  # noqa: SIM905
)
_MOJIBAKE = re.compile(r"â€[\u0080-\u00bf™œ˜“”\u009d]|Ã[\u0080-\u00bf©¨¤¶¼±]|Â[\u00a0-\u00bf]|ï¿½")
_MARKUP = re.compile(r"\s*(?:<!doctype\s+html|<html[\s>]|<\?xml[^>]*\?>\s*<(?:!doctype|html))", re.IGNORECASE)
_TAG = re.compile(r"</?(?:p|div|a|span|br|li|ul|h[1-6]|img|script|article|section|table|td|tr)\b[^<>]*>", re.IGNORECASE)
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive or an Office document"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
)


class InputError(ValueError):
    """An input cannot be read: names the file, the place, what is wrong and the way out."""

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(f"{'standard input' if source == STDIN else one_line(source)}: {one_line(reason)}")


def expand(names: Iterable[str | InputError]) -> Iterator[str | InputError]:
    """Replace each folder and each pattern by the files in it, in order of their names.

    A folder gives the files whose suffix is among ``SUFFIXES``, whatever they hold, also those in its folders; a
    pattern such as ``news/**/*.txt`` gives every file that it matches. What starts with a dot is left out. A name that
    leads to no file comes out as an error in its place, so that the others are still read.
    """
    for name in names:
        if isinstance(name, InputError):
            yield name
            continue
        path = Path(name)
        try:
            is_file, is_folder = path.is_file(), path.is_dir()
        except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
            yield InputError(name, f"cannot be read ({getattr(error, 'strerror', None) or error})")
            continue
        if name == STDIN or is_file:
            yield name
        elif is_folder:
            found = False
            for file in _walk(name, set()):
                found = True
                yield file
            if not found:
                yield InputError(name, f"no {', '.join(SUFFIXES)} file in this folder; give a folder of articles, or the files themselves")
        elif os.path.lexists(name):
            what = "a link that leads nowhere" if path.is_symlink() and not path.exists() else "neither a file nor a folder"
            yield InputError(name, f"{what}; give a file, a folder, or - for standard input")
        elif glob.has_magic(name):
            found = False
            for file in _matching(name):
                found = True
                yield file
            if not found:
                yield InputError(name, "no file matches this pattern")
        else:
            yield InputError(name, "no such file or folder; give a file, a folder, or - for standard input")


def _walk(folder: str, visited: set[tuple[int, int]]) -> Iterator[str | InputError]:
    """The files of a folder and of its folders, each folder once whatever links lead to it."""
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            return
        visited.add((status.st_dev, status.st_ino))
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        yield InputError(folder, f"this folder cannot be read ({error.strerror})")
        return
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            yield from _walk(path, visited)
        elif _wanted(name):
            if os.path.isfile(path):
                yield path
            elif os.path.islink(path):
                yield InputError(path, "a link that leads nowhere")


def _matching(pattern: str) -> Iterator[str]:
    """The files that a pattern matches; ``**`` stands for any folders, each once whatever links lead to it."""
    parts = [part for part, following in pairwise([*pattern.split("/"), ""]) if part != "**" or following != "**"]
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    visited: set[tuple[int, int]] = set()

    def below(folder: str, rest: list[str]) -> Iterator[str]:
        if not rest:
            if os.path.isfile(folder):
                yield folder
            return
        first, *others = rest
        try:
            status = os.stat(folder or ".")
            names = sorted(name for name in os.listdir(folder or ".") if not name.startswith(".") or first.startswith("."))
        except OSError:
            return
        if first != "**":
            for name in fnmatch.filter(names, first) if glob.has_magic(first) else [first]:
                yield from below(os.path.join(folder, name), others)
        elif (status.st_dev, status.st_ino) not in visited:
            visited.add((status.st_dev, status.st_ino))
            yield from below(folder, others or ["*"])
            for name in names:
                if os.path.isdir(path := os.path.join(folder, name)):
                    yield from below(path, rest)

    return below("/".join(parts[:fixed]) or ("/" if pattern.startswith("/") else ""), parts[fixed:])


def _wanted(name: str) -> bool:
    name = name.lower()
    for packed in (".gz", ".zst"):
        name = name.removesuffix(packed)
    return name.endswith(SUFFIXES)


def one_line(text: str) -> str:
    """Text as it can be shown and stored: on one line, bytes that are no text escaped.

    >>> print(one_line("a\\nb\\udcff"))
    a\\nb\\xff
    """
    text = os.fsencode(text).decode("utf-8", "backslashreplace") if any("\udc80" <= c <= "\udcff" for c in text) else text
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def warnings_of(text: str, encoding: str = "utf_8") -> list[str]:
    """What makes a text's reading doubtful, one line each."""
    warnings = []
    if encoding != "utf_8":
        warnings.append(f"not UTF-8, read as {encoding}; if the text looks wrong, convert it to UTF-8 first")
    if broken := _MOJIBAKE.findall(text):
        warnings.append(
            f"'{broken[0]}' and the like {len(broken)} times: UTF-8 once decoded as another encoding; repair it first (e.g. with ftfy), readings suffer"
        )
    if not english(text):
        warnings.append("does not look like English, which is all that the model was trained on; the reading will be poor")
    return warnings


def english(text: str) -> bool:
    """Whether a text looks like English: by its share of function words, or by its letters if it is short."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) < FEWEST_WORDS:
        letters = [c for c in text if c.isalpha()]
        return sum(c < "\u0250" for c in letters) >= len(letters) / 2
    return sum(word in _ENGLISH for word in words) >= SHARE_OF_ENGLISH * len(words)


def decode(content: bytes, label: str, *, most_bytes: int = MOST_BYTES) -> tuple[str, str]:
    """Decode the bytes of one article: UTF-8 first, then what charset-normalizer detects.

    The text is kept as it is decoded, line ends included, so offsets count code points of the file's text (a leading
    BOM left out).

    Returns:
        The text and the encoding, ``utf_8`` where it is that.

    Raises:
        InputError: when it is not the text of one article.
    """
    if len(content) > most_bytes:
        raise InputError(
            label,
            f"more than {most_bytes:,} bytes, which is no single article; split it into one file an article, or raise --max-article-bytes",
        )
    if not content.strip():
        raise InputError(label, "empty; give a file with the text of an article")
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            raise InputError(label, f"{kind}, not text; extract its text into a .txt file first")
    encoding: Literal["utf_16", "utf_8"] = "utf_16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf_8"
    try:
        text = content.decode("utf_8_sig" if encoding == "utf_8" else encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf_8" and b"\x00" not in content:
            return _detect(content, label, error.start)
        text = "\x00"
    if (position := text.find("\x00")) >= 0:
        line = text.count("\n", 0, position) + 1
        raise InputError(
            label, f"line {line} has a NUL byte, so this is binary data or UTF-16 without its mark; convert it to UTF-8 text first"
        )
    return text, encoding


def _detect(content: bytes, label: str, position: int) -> tuple[str, str]:
    from charset_normalizer import from_bytes  # only where UTF-8 fails: it is slow to import

    line = content.count(b"\n", 0, position) + 1
    controls = sum(byte < 32 and byte not in b"\t\n\r\x0b\x0c\x1b" for byte in content)
    best = from_bytes(content).best() if controls * 100 < len(content) else None
    if best is None:
        raise InputError(label, f"line {line} is not UTF-8 and no other encoding fits, so this is binary data; give a text file")
    return str(best), best.encoding


def is_markup(text: str) -> bool:
    """Whether a text is HTML, whole or in pieces."""
    return _MARKUP.match(text) is not None or len(_TAG.findall(text[:20_000])) >= 6
