"""Reads text files as articles, or says in one line why a file cannot be read."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from slant.article import Article

STDIN = "-"
MOST_BYTES = 2_000_000  # of one article; the longest of 4,155 opinion pages looked at has 32,485
SHARE_OF_ENGLISH = 0.15  # of a text's words that are among _ENGLISH: at least 0.26 in 244 English texts, 0.04 in a Dutch one
FEWEST_WORDS = 20  # below this the share says nothing

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
    (b"\x1f\x8b", "a gzip file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"PAR1", "a Parquet file"),
)


class InputError(ValueError):
    """A file cannot be read as an article: names the file, the place, what is wrong and the way out."""


def expand(names: Sequence[str]) -> Iterator[str | InputError]:
    """Replace each folder by the text files in it, in order of their names.

    A name that leads to no text comes out as an error in its place, so that the others are still read.
    """
    for name in names:
        path = Path(name)
        if name == STDIN or path.is_file():
            yield name
        elif path.is_dir():
            found = sorted(str(p) for p in path.rglob("*.txt") if p.is_file())
            yield from found
            if not found:
                yield InputError(f"{name}: no .txt file in this folder; give a folder of text files, or the files themselves")
        elif path.exists():
            yield InputError(f"{name}: neither a file nor a folder; give a text file, a folder of .txt files, or - for standard input")
        else:
            yield InputError(f"{name}: no such file or folder; give a text file, a folder of .txt files, or - for standard input")


def read_article(name: str) -> tuple[Article, list[str]]:
    """Read one article from a file, or from standard input if the name is ``-``.

    UTF-8 is tried first, then what charset-normalizer detects. The text is kept as it is decoded,
    line ends included, so offsets count code points of the file's text (a leading BOM left out).

    Returns:
        The article, whose id is the name given, and warnings to show.

    Raises:
        InputError: when it cannot be read as the text of one article.
    """
    try:
        content = sys.stdin.buffer.read(MOST_BYTES + 1) if name == STDIN else _bytes(Path(name))
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from None
    label = "standard input" if name == STDIN else name
    text, encoding = _decode(content, label)
    _refuse_markup(text, label)
    warnings = []
    if encoding != "utf_8":
        warnings.append(f"{label}: not UTF-8, read as {encoding}; if the text looks wrong, convert it to UTF-8 first")
    if broken := _MOJIBAKE.findall(text):
        warnings.append(
            f"{label}: '{broken[0]}' and the like {len(broken)} times: UTF-8 once decoded as another encoding; repair it first (e.g. with ftfy), readings suffer"
        )
    if not english(text):
        warnings.append(f"{label}: does not look like English, which is all that the model was trained on; the reading will be poor")
    return Article(text, id=name), warnings


def english(text: str) -> bool:
    """Whether a text looks like English: by its share of function words, or by its letters if it is short."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) < FEWEST_WORDS:
        letters = [c for c in text if c.isalpha()]
        return sum(c < "\u0250" for c in letters) >= len(letters) / 2
    return sum(word in _ENGLISH for word in words) >= SHARE_OF_ENGLISH * len(words)


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _decode(content: bytes, label: str) -> tuple[str, str]:
    if len(content) > MOST_BYTES:
        raise InputError(f"{label}: more than {MOST_BYTES / 1e6:.0f} MB, which is no single article; split it into one file an article")
    if not content.strip():
        raise InputError(f"{label}: empty; give a file with the text of an article")
    for signature, kind in _SIGNATURES:
        if content.startswith(signature):
            raise InputError(f"{label}: {kind}, not text; extract its text into a .txt file first")
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
            f"{label}: line {line} has a NUL byte, so this is binary data or UTF-16 without its mark; convert it to UTF-8 text first"
        )
    return text, encoding


def _detect(content: bytes, label: str, position: int) -> tuple[str, str]:
    from charset_normalizer import from_bytes  # only where UTF-8 fails: it is slow to import

    line = content.count(b"\n", 0, position) + 1
    controls = sum(byte < 32 and byte not in b"\t\n\r\x0b\x0c\x1b" for byte in content)
    best = from_bytes(content).best() if controls * 100 < len(content) else None
    if best is None:
        raise InputError(f"{label}: line {line} is not UTF-8 and no other encoding fits, so this is binary data; give a text file")
    return str(best), best.encoding


def _refuse_markup(text: str, label: str) -> None:
    tags = _TAG.findall(text[:20_000])
    if _MARKUP.match(text) or len(tags) >= 6:
        raise InputError(f"{label}: HTML, not text; extract the article first, e.g. with `trafilatura --precision < page.html > page.txt`")
