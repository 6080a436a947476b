"""Text into sentences, each with its offsets and its part of the article."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import nupunkt

Part = Literal["headline", "caption", "body"]
PARTS: tuple[Part, ...] = ("headline", "caption", "body")

HEADLINE_WORDS = 30  # the longest headline of the 244 news and opinion texts looked at has 29
SUBHEAD_WORDS = 12
DATED_HEADLINE_WORDS = 14

CLOSERS = "\"'”’»)]}"
_TERMINAL = re.compile(rf"[.!?…。！？][{re.escape(CLOSERS)}*_]*$")
_STOP = re.compile(rf"[.…。;:,][{re.escape(CLOSERS)}*_]*$")
_BULLET = re.compile(r"[ \t]*(?:[•‣▪●◦*\-–—]|\(?\d{1,2}[.)])[ \t]+\S")
_DATELINE = re.compile(r"(?:\([A-Z]{2,}\)|[A-Z][A-Z.’' ]{2,}[A-Z.](?:,[^—–\n-]{1,40})?(?: \([A-Z][\w ]+\))?)\s*(?:—|–|--?)\s")
_CREDIT = re.compile(
    r"\((?:[A-Z][^()\d/:]{1,60}(?:/| via )[A-Z][^()\d/:]{1,40}|(?:AP|Reuters|AFP|Getty|Photo|File|Courtesy)\b[^()]{0,80})\)\.?$"
    r"|^(?:Photo|Photograph|Image|Picture|Caption|Illustration|Graphic)(?: (?:by|credit|courtesy))?(?: of)?\s*[:—–-]"
    r"|(?:^|\. )(?:Photo(?:graph)?|Image|Illustration) (?:by|courtesy|credit)\b"
    r"|\b(?:Getty Images|AP Photo|Shutterstock|/Reuters|/AFP)\)?\.?$",
)
_BLANK_LINE = re.compile(r"(?:\r\n|\r|\n|\u2028|\u2029)[^\S\r\n\u2028\u2029]*(?:\r\n|\r|\n|\u2028|\u2029)\s*|\u2029")
_LINE = re.compile(r"[^\r\n\u2028]+")
# A mark that can only close: a sentence never begins with one.
_ORPHAN = re.compile(r"[”»)\]}…]+(?=\s|$)|[\"'’](?=\s|$)|(?:\[\d{1,3}\])+(?=\s|$)")
# What goes on with a sentence that nupunkt ended too early: "(R-Tex." and then "), who said".
_CONTINUES = re.compile(r"[”’\"')\]]*[,;:)\]](?!\w)")
# A piece that only opens a sentence: an item's number, or a title that nupunkt takes for an end.
_OPENER = re.compile(
    r"^\(?\d{1,2}[.)]$|\b(?:Lt|Maj|Brig|Sgt|Cpl|Capt|Col|Gen|Adm|Rep|Sen|Gov|Rev|Hon|Mr|Mrs|Ms|Dr|Prof|Fr|St|Mt|Ft|No|vs)\.$"
)
# A stop, a closing quotation mark, then a capital: a boundary where nupunkt sees an abbreviation.
_QUOTED_END = re.compile(r"[.!?…][”’\"']+\s+(?=[“\"‘]?[A-Z])")
# Initials before a word that begins a sentence and no name, where nupunkt sees an abbreviation: "the U.S. Nobody".
_INITIALS_END = re.compile(
    r"\b(?:[A-Z]\.){2,}[”’\"']?\s+(?=(?:(?:Any|Every|Some)(?:body|one|thing)|Nobody|Nothing|Nor|Neither|Meanwhile|Yet|Instead)\b)"
)
# A stop with no space after it, as scraped pages have: "ended.The", "so.— Daily News".
_GLUED = re.compile(r"[a-z]{2}[.!?][”\"]?(?=[A-Z][a-z]+ )|[.!?][”\"]?(?=[—–] ?[A-Z])")
_SPEAKER = re.compile(r"(?:Q|A|[A-Z][A-Z. ]+)(?::| )")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: its text, where it stands and which part of the article it is in.

    Offsets are Python code points into the article's text, ``start`` included and ``end`` not.
    """

    text: str
    start: int
    end: int
    part: Part = "body"


@dataclass(frozen=True)
class Article:
    """Text as published, with an id.

    >>> article = Article("Mayor speaks\\n\\nShe arrived from the U.S. Nobody met her.")
    >>> [(s.text, s.part) for s in article.sentences]
    [('Mayor speaks', 'headline'), ('She arrived from the U.S.', 'body'), ('Nobody met her.', 'body')]
    """

    text: str
    id: str = ""
    sentences: tuple[Sentence, ...] = field(default=(), repr=False)
    """In order, only white space between two of them; left out, they are split off the text."""

    def __post_init__(self) -> None:
        """Split the text where no sentences are given."""
        if not self.sentences:
            object.__setattr__(self, "sentences", split(self.text))


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """A stretch of text that sentences do not cross: its offsets and its sentences' spans."""

    text: str
    start: int
    spans: tuple[tuple[int, int], ...]
    block: int  # paragraphs with no blank line between them share a block

    @property
    def words(self) -> int:
        return len(self.text.split())


def split(text: str) -> tuple[Sentence, ...]:
    """Split a text into sentences with offsets.

    Paragraphs bound sentences; nupunkt splits within them. A line break is a paragraph break
    unless its block is hard-wrapped (each line is as full as the widest allows).

    Args:
        text: any string; line ends may be LF, CR or CRLF.

    Returns:
        Sentences in order of their offsets, none empty, ``text[s.start:s.end] == s.text``,
        and only white space outside them.

    Source:
        nupunkt: Bommarito, Katz and Bommarito (2025), "Precise Legal Sentence Boundary Detection
        for Retrieval at Scale".
    """
    paragraphs = list(_paragraphs(text))
    return tuple(
        Sentence(text[start:end], start, end, part)
        for paragraph, part in zip(paragraphs, _parts(paragraphs), strict=True)
        for start, end in paragraph.spans
    )


def _paragraphs(text: str) -> Iterator[_Paragraph]:
    position = 0
    for block, gap in enumerate([*_BLANK_LINE.finditer(text), None]):
        stop = gap.start() if gap else len(text)
        for start, end in _lines(text, position, stop):
            spans = tuple(_sentence_spans(text, start, end))
            if spans:
                yield _Paragraph(text[start:end], start, spans, block)
        position = gap.end() if gap else stop


def _lines(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The paragraphs of a block: its lines, or runs of lines where it is hard-wrapped."""
    lines = [m.span() for m in _LINE.finditer(text, start, end) if m.group().strip()]
    if len(lines) < 2:
        return lines
    widest = max(b - a for a, b in lines)
    merged = [lines[0]]
    wrapped = 40 <= widest <= 120 and all(
        (b - a) + 1 + len(text[c:d].split(maxsplit=1)[0]) > widest for (a, b), (c, d) in pairwise(lines) if not _BULLET.match(text, c, d)
    )
    for a, b in lines[1:]:
        previous = text[merged[-1][0] : merged[-1][1]].rstrip()
        lower = text[a:b].lstrip()[:1].islower() and not _TERMINAL.search(previous)
        if (wrapped or lower) and not _BULLET.match(text, a, b):
            merged[-1] = (merged[-1][0], b)
        else:
            merged.append((a, b))
    return merged


def _sentence_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    paragraph = text[start:end]
    cuts = {b for a, b in nupunkt.sent_spans(paragraph)}
    cuts |= {m.end() for pattern in (_GLUED, _INITIALS_END) for m in pattern.finditer(paragraph)}
    cuts |= {m.end() for m in _QUOTED_END.finditer(paragraph) if _closes(paragraph, m.start())}
    spans: list[tuple[int, int]] = []
    previous = 0
    for cut in sorted(cuts | {len(paragraph)}):
        piece = paragraph[previous:cut]
        if spans and (orphan := _ORPHAN.match(piece.lstrip())):
            previous += piece.index(orphan.group()) + len(orphan.group())
            spans[-1] = (spans[-1][0], previous)
            piece = paragraph[previous:cut]
        if stripped := piece.strip():
            begin = previous + piece.index(stripped[0])
            if spans and (stripped[0].islower() or _CONTINUES.match(stripped) or _OPENER.search(paragraph[slice(*spans[-1])])):
                begin = spans.pop()[0]
            spans.append((begin, previous + len(piece.rstrip())))
        previous = cut
    return ((start + begin, start + end) for begin, end in spans)


def _closes(paragraph: str, stop: int) -> bool:
    """Whether the quotation that ends at this stop is a sentence of its own (not a quoted name)."""
    opened = max(paragraph.rfind(mark, 0, stop) for mark in '“"‘')
    return opened >= 0 and len(paragraph[opened:stop].split()) > 3


def _parts(paragraphs: list[_Paragraph]) -> list[Part]:
    """Tell headline and caption from body, where the text shows it."""
    parts: list[Part] = ["body"] * len(paragraphs)
    for i, paragraph in enumerate(paragraphs):
        if _CREDIT.search(paragraph.text.strip()) and paragraph.words <= 80:
            parts[i] = "caption"
    for i in range(len(paragraphs) - 1):  # a line on top of a caption is the picture's title
        above, below = paragraphs[i], paragraphs[i + 1]
        if parts[i + 1] == "caption" and above.block == below.block and _titular(above, HEADLINE_WORDS):
            parts[i] = "caption"
    lead = True
    for i, paragraph in enumerate(paragraphs[:-1]):
        if parts[i] == "caption":
            continue
        text, following = paragraph.text.strip(), paragraphs[i + 1]
        if lead:
            if (
                _titular(paragraph, HEADLINE_WORDS)
                or (i == 0 and _dated_headline(paragraph, following))
                or (i and parts[i - 1] == "headline" and _deck(paragraph, paragraphs[i + 1 :], parts[i + 1 :]))
            ):
                parts[i] = "headline"
            else:
                lead = False
        elif _titular(paragraph, SUBHEAD_WORDS) and not _TERMINAL.search(text) and _TERMINAL.search(paragraphs[i - 1].text.strip()):
            ended = _TERMINAL.search(following.text.strip())
            if ended and following.words > paragraph.words:
                parts[i] = "headline"
    return parts


def _titular(paragraph: _Paragraph, most_words: int) -> bool:
    text = paragraph.text.strip()
    return (
        0 < paragraph.words <= most_words
        and not _STOP.search(text)
        and not _BULLET.match(text)
        and text[:1] not in "“\"‘'"
        and (text.upper() == text or not _SPEAKER.match(text))
        and any(c.isalpha() for c in text)
        and (not _TERMINAL.search(text) or text.upper() == text or paragraph.words <= SUBHEAD_WORDS)
    )


def _dated_headline(paragraph: _Paragraph, following: _Paragraph) -> bool:
    return len(paragraph.spans) == 1 and paragraph.words <= DATED_HEADLINE_WORDS and _DATELINE.match(following.text.lstrip()) is not None


def _deck(paragraph: _Paragraph, later: list[_Paragraph], parts: list[Part]) -> bool:
    """A single sentence under the headline, above a body whose first paragraph has several."""
    body = next((p for p, part in zip(later, parts, strict=True) if part == "body" and not _titular(p, HEADLINE_WORDS)), None)
    return len(paragraph.spans) == 1 and paragraph.words <= HEADLINE_WORDS and body is not None and len(body.spans) > 1
