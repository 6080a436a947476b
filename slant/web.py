"""The article in a page: HTML by trafilatura, and the records of a WARC file by fastwarc."""

import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from slant.files import InputError

PEEK = 65_536  # the longest header of a record
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,15})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_KIND = re.compile(rb"^warc-type:[ \t]*(\w+)", re.IGNORECASE | re.MULTILINE)
_NEXT = re.compile(rb"WARC/1\.\d\r?\n")


class Stream(Protocol):
    """A stream that can be looked into, and that takes bytes back."""

    def peek(self, size: int) -> bytes: ...
    def read(self, size: int = -1) -> bytes: ...
    def unread(self, content: bytes) -> None: ...


class DamageError(OSError):
    """A stream is damaged here, and goes on behind the damage."""


@dataclass(frozen=True, slots=True)
class Page:
    """A record of a WARC file that may hold an article, or what is wrong with it."""

    number: int
    url: str = ""
    date: str = ""
    content: bytes = b""
    charset: str | None = None
    plain: bool = False  # text already, as in a WET file
    wrong: str = ""


def article_text(page: bytes | str) -> str:
    """The article of a page, its headline first, a blank line between paragraphs; empty where there is none.

    Precision before recall: what may be an advertisement, a comment or a link list is left out.

    Raises:
        InputError: when trafilatura is not installed.
    """
    try:
        from trafilatura import bare_extraction
    except ImportError as error:
        raise InputError("HTML", f"needs {error.name}, which is not installed: pip install 'slant[web]'") from None
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # what it cannot use we say ourselves
    found = bare_extraction(page, favor_precision=True, include_comments=False, include_tables=False, with_metadata=True)
    if found is None or isinstance(found, dict) or not found.text:
        return ""
    lines = [line.strip() for line in found.text.splitlines() if line.strip()]
    title = (found.title or "").strip()
    if title and lines and title not in lines[0]:
        lines.insert(0, title)
    return "\n\n".join(lines)


def pages(stream: Stream, *, most_bytes: int) -> Iterator[Page]:
    """The records of a WARC stream that hold a page: responses with status 200 and HTML, and conversions.

    A record that is broken costs itself and no other: reading goes on at the next one.
    """
    number = 0
    between = False  # in what follows a broken record, of which one complaint is enough
    while True:
        try:
            head = stream.peek(PEEK)
            blank = len(head) - len(head.lstrip(b"\r\n"))
            if blank:
                stream.read(blank)
                continue
            if not head:
                return
            if not head.startswith(b"WARC/"):
                if not between:
                    number += 1
                    yield Page(number, wrong="no WARC record begins here; what follows was skipped up to the next record")
                between = True
                _to_next(stream, head)
                continue
            number, between = number + 1, False
            header = head[: head.find(b"\r\n\r\n") + 4]
            length = _LENGTH.search(header)
            if not length:
                yield Page(number, wrong="a record whose header is broken (no Content-Length); skipped")
                between = True
                _to_next(stream, head)
                continue
            stream.read(len(header))
            page = _record(stream, header, int(length[1]), number, most_bytes)
            between = page is not None and page.wrong != ""
            if page is not None:
                yield page
        except DamageError as error:
            number += not between
            yield Page(number, wrong=str(error))
            between = True


def _record(stream: Stream, header: bytes, length: int, number: int, most_bytes: int) -> Page | None:
    kind = _KIND.search(header)
    body = stream.read(min(length, most_bytes + PEEK))
    rest = length - len(body)
    while rest > 0 and (block := stream.read(min(rest, 1 << 20))):
        rest -= len(block)
    end = stream.peek(4)[:4]
    if rest > 0 or (end and end != b"\r\n\r\n"):
        if length <= most_bytes + PEEK:
            stream.unread(body)  # its length is wrong: other records may have been swallowed
        return Page(number, wrong=f"a record that is not {length:,} bytes long, as its header says; skipped")
    if kind is None or kind[1].lower() not in (b"response", b"conversion"):
        return None
    try:
        return _parsed(header + body + b"\r\n\r\n", number, most_bytes, cut=length > len(body))
    except (OSError, ValueError) as error:
        return Page(number, wrong=f"a record that cannot be read ({error}); skipped")


def _parsed(record: bytes, number: int, most_bytes: int, *, cut: bool) -> Page | None:
    try:
        from fastwarc.warc import ArchiveIterator, WarcRecordType
    except ImportError as error:
        raise InputError("WARC", f"needs {error.name}, which is not installed: pip install 'slant[web]'") from None
    for found in ArchiveIterator(io.BytesIO(record), parse_http=True, auto_decode="all"):
        plain = found.record_type == WarcRecordType.conversion
        if not plain:
            if found.http_headers is None or found.http_headers.status_code is None:
                return Page(number, wrong="a response whose HTTP header is broken; skipped")
            if found.http_headers.status_code != 200 or (found.http_content_type or "") not in ("text/html", "application/xhtml+xml"):
                return None
        content = found.reader.read(most_bytes + 1)
        url = (found.headers.get("WARC-Target-URI") or "").strip("<>")
        if cut or len(content) > most_bytes:
            return Page(number, url, wrong=f"a page of more than {most_bytes:,} bytes; raise --max-article-bytes")
        return Page(number, url, found.headers.get("WARC-Date") or "", content, found.http_charset, plain)
    return Page(number, wrong="a record that cannot be read; skipped")


def _to_next(stream: Stream, head: bytes) -> None:
    """Go on to where the next record may begin."""
    found = _NEXT.search(head, 1)
    stream.read(found.start() if found else max(len(head) - 10, 1))
