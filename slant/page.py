"""Draws readings as one self-contained page: the article as an article, its codes around it."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from importlib import resources
from itertools import chain, islice
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from slant.article import Sentence
from slant.codebook import UNCERTAIN, Codebook
from slant.reading import Reading, SentenceReading
from slant.render import certain, pieces

# Okabe and Ito's palette, which readers with any colour vision can tell apart: on light and on dark paper.
COLOURS = (("#D55E00", "#E8702A"), ("#0072B2", "#3FA0DC"), ("#009E73", "#2CB98F"), ("#CC79A7", "#D88FB8"), ("#E69F00", "#E69F00"), ("#56B4E9", "#56B4E9"))  # fmt: skip
GLYPHS = ("▲", "▼", "◆", "■")
CELLS = ("up", "down", "both")  # of the strip: the first two sides against one another, any other over both
NO_FRAME = "none"
OPEN = "?"  # stands in the margin for a label that is uncertain
SHORTEST = 3  # letters of an abbreviated label


class _Paragraph(NamedTuple):
    kind: str
    level: int
    quotation: bool
    sentences: list[dict[str, Any]]


def page(readings: Iterable[Reading]) -> Iterator[str]:
    """Draw readings as the pieces of one HTML page that needs nothing else: no network, no file beside it.

    Every text is escaped; the page's policy allows its own script alone, so that nothing in an
    article can run. Characters that no file can hold (lone surrogates) become question marks.

    Args:
        readings: drawn one after the other as they come; the page's title is the first one's headline
            if it is the only one.

    Returns:
        Pieces of text, to be written in order.
    """
    coming = iter(readings)
    first = list(islice(coming, 2))
    codebook = first[0].codebook if first else None
    several = len(first) != 1
    title = "slant: readings" if several else _title(first[0])
    template = environment().get_template("article.html")
    script = template_file("article.js")
    drawn = template.generate(
        title=title,
        headed=not several and any(s.sentence.part == "headline" for s in first[0].sentences),
        css=Markup(template_file("article.css")),
        script=Markup(script),
        script_hash=Markup("sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()),
        version=_version(),
        colours=[COLOURS[i % len(COLOURS)] for i in range(len(codebook.frames) if codebook else 0)],
        readings=(_reading(reading, number, several=several) for number, reading in enumerate(chain(first, coming), start=1)),
    )
    return (piece.encode("utf-8", "replace").decode("utf-8") for piece in drawn)


def abbreviations(labels: Iterable[str]) -> dict[str, str]:
    """Shorten labels to their first letters, as few as tell them apart.

    >>> abbreviations(["security", "sovereignty", "humanitarian", "human interest"])
    {'security': 'sec', 'sovereignty': 'sov', 'humanitarian': 'humani', 'human interest': 'human '}
    """
    every = list(labels)
    found = {}
    for label in every:
        length = SHORTEST
        while length < len(label) and any(other[:length] == label[:length] for other in every if other != label):
            length += 1
        found[label] = label[:length]
    return found


def _reading(reading: Reading, number: int, *, several: bool) -> dict[str, Any]:
    """What the template draws of one reading: plain data, nothing escaped yet."""
    codebook, count = reading.codebook, len(reading.sentences)
    name = f"a{number}"
    short = abbreviations(codebook.frame_labels)
    sentences = [_sentence(s, i, name, codebook, short) for i, s in enumerate(reading.sentences, start=1)]
    return {
        "id": name,
        "article": reading.article.id or "article",
        "count": count,
        "certain": certain(reading),
        "reliability": reading.legend,
        "target": reading.target,
        "codebook": codebook.version,
        "definitions": [label for label in (*codebook.frames, *codebook.stances, *codebook.voices) if label.definition],
        "legend": _legend(reading),
        "course": _course(reading),
        "course_label": _course_label(reading),
        "paragraphs": _paragraphs(reading, sentences, several=several),
    }


def _sentence(s: SentenceReading, number: int, article: str, codebook: Codebook, short: dict[str, str]) -> dict[str, Any]:
    colours = _colours(codebook)
    frames = [codebook.frame_labels.index(frame) for frame in s.frames if frame != UNCERTAIN]
    side = _sides(codebook).get(s.stance)
    codes = (
        ("frames", s.frame_probability, s.frames),
        ("stance", s.stance_probability, (s.stance,)),
        ("voice", s.voice_probability, (s.voice,)),
    )
    return {
        "id": f"{article}s{number}",
        "number": number,
        "part": s.sentence.part,
        "quoted": s.voice in codebook.voice_labels[1:],
        "side": None if side is None else side % len(GLYPHS),
        "glyph": (OPEN if "stance" in s.uncertain else "") if side is None else GLYPHS[side % len(GLYPHS)],
        "stance": s.stance,
        "short": " · ".join(short.get(frame, OPEN) for frame in s.frames),
        "uncertain": s.uncertain,
        "frame_keys": UNCERTAIN if "frames" in s.uncertain else " ".join(map(str, frames)) or NO_FRAME,
        "stance_key": UNCERTAIN if "stance" in s.uncertain else codebook.stance_labels.index(s.stance),
        "voice_key": UNCERTAIN if "voice" in s.uncertain else codebook.voice_labels.index(s.voice),
        "tint": _tint(frames),
        "pieces": [(text, colours.get(label, "")) for text, label in pieces(s)],
        "truncated": s.truncated,
        "confidence": s.confidence,
        "codes": [
            (name, [{"label": label, "probability": p, "chosen": label in chosen, "colour": colours.get(label, "")} for label, p in all_.items()])
            for name, all_, chosen in codes
        ],
        "words": [
            (label, [(s.sentence.text[w.start - s.sentence.start : w.end - s.sentence.start], w.share, colours[label]) for w in s.evidence if w.label == label])
            for label in dict.fromkeys(w.label for w in s.evidence)
        ],
    }  # fmt: skip


def _tint(frames: list[int]) -> str:
    """The background of a sentence: a band of each of its frames."""
    if not frames:
        return ""
    step = 100 / len(frames)
    stops = (f"var(--t{frame}) {step * i:.0f}% {step * (i + 1):.0f}%" for i, frame in enumerate(frames))
    return f"linear-gradient({','.join(stops)})"


def _legend(reading: Reading) -> list[tuple[str, str, list[dict[str, Any]]]]:
    codebook, colours, sides = reading.codebook, _colours(reading.codebook), _sides(reading.codebook)
    certain = [s for s in reading.sentences if "frames" not in s.uncertain]
    without = sum(not s.frames for s in certain) / len(certain) if certain else 0.0

    def row(key: str | int, code: str, label: str, share: float, mark: Markup) -> dict[str, Any]:
        return {"key": key, "label": reading.mark(code, label), "share": share, "mark": mark, "colour": colours.get(label, "")}

    def extra(key: str, label: str, share: float, sign: str = "") -> dict[str, Any]:
        return {
            "key": key,
            "label": label,
            "share": share,
            "mark": Markup('<span class="key" aria-hidden="true">{}</span>').format(sign),
            "colour": "",
        }

    def left_open(head: str) -> list[dict[str, Any]]:
        return [extra(UNCERTAIN, f"{UNCERTAIN} (of all)", 1 - reading.coverage[head], OPEN)] if reading.min_confidence else []

    frames = [
        row(i, "frame", label, reading.frames[label], Markup('<span class="key tint" style="--c:var(--t{})"></span>').format(i))
        for i, label in enumerate(codebook.frame_labels)
    ]
    stances = [
        row(
            i,
            "stance",
            label,
            reading.stances[label],
            Markup('<span class="key" aria-hidden="true" style="color:var(--{})">{}</span>').format(
                colours.get(label, "quiet"), GLYPHS[sides[label] % len(GLYPHS)] if label in sides else "·"
            ),
        )
        for i, label in enumerate(codebook.stance_labels)
    ]
    voices = [
        row(i, "voice", label, reading.voices[label], Markup('<span class="key{}" aria-hidden="true">{}</span>').format(" quoted" if i else "", "“" if i else ""))
        for i, label in enumerate(codebook.voice_labels)
    ]  # fmt: skip
    return [
        ("frame", "frames", [*frames, extra(NO_FRAME, "no frame", without), *left_open("frames")]),
        ("stance", "stance", [*stances, *left_open("stance")]),
        ("voice", "voice", [*voices, *left_open("voice")]),
    ]


def _course(reading: Reading) -> list[dict[str, Any]]:
    """The strip: a row a frame, one of stance, one of voice; a cell a sentence."""
    codebook, colours, sides = reading.codebook, _colours(reading.codebook), _sides(reading.codebook)
    rows: list[dict[str, Any]] = [
        {
            "label": frame,
            "kind": "",
            "cells": [("on", colours[frame]) if frame in s.frames else None for s in reading.sentences],
        }
        for frame in codebook.frame_labels
    ]
    stance = [(CELLS[min(sides[s.stance], 2)], colours[s.stance]) if s.stance in sides else None for s in reading.sentences]
    rows.append({"label": "stance ▲▼", "kind": "stance", "cells": stance})
    quoted = [("on", "") if s.voice in codebook.voice_labels[1:] else None for s in reading.sentences]
    rows.append({"label": codebook.voice_labels[1], "kind": "", "cells": quoted})
    return rows


def _course_label(reading: Reading) -> str:
    """The strip in words: the article's thirds, each with its shares."""
    count = len(reading.sentences)
    thirds = [reading.sentences[count * i // 3 : count * (i + 1) // 3] for i in range(3)]
    told = []
    for name, part in zip(("first", "second", "last"), thirds, strict=True):
        shares = replace(reading, sentences=part)
        frames = (f"{reading.mark('frame', label)} {share:.0%}" for label, share in shares.frames.items())
        sides = (f"{reading.mark('stance', label)} {shares.stances[label]:.0%}" for label in _sides(reading.codebook))
        told.append(f"{name} third: {', '.join([*frames, *sides])}")
    return f"Course of the article. {'; '.join(told)}."


def _paragraphs(reading: Reading, sentences: list[dict[str, Any]], *, several: bool) -> list[_Paragraph]:
    text = reading.article.text
    plain = [s.sentence for s in reading.sentences]
    found: list[_Paragraph] = []
    headed = False
    for i, sentence in enumerate(plain):
        if i and sentence.part == plain[i - 1].part and not _breaks(text, plain[i - 1], sentence):
            found[-1].sentences.append(sentences[i])
            continue
        level = (2 if several else 1) + headed
        headed |= sentence.part == "headline"
        found.append(_Paragraph(sentence.part, level, False, [sentences[i]]))
    return [p._replace(quotation=all(s["quoted"] for s in p.sentences)) for p in found]


def _breaks(text: str, one: Sentence, other: Sentence) -> bool:
    """Whether a paragraph ends between two sentences: a blank line, or a line end in text that is not hard-wrapped."""
    gap = text[one.end : other.start]
    lines = len(gap.splitlines()) if gap[-1:] not in "\r\n\u2028\u2029" else len(gap.splitlines()) + 1
    return lines > 2 or (lines == 2 and not any("\n" in s.text or "\r" in s.text for s in (one, other)))


def _title(reading: Reading) -> str:
    headline = next((s.sentence.text for s in reading.sentences if s.sentence.part == "headline"), "")
    return " ".join(headline.split()) or reading.article.id or "article"


def _sides(codebook: Codebook) -> dict[str, int]:
    """The stances that take a side, numbered."""
    return {label: i for i, label in enumerate(label for label in codebook.stance_labels if label not in codebook.neutral_stances)}


def _colours(codebook: Codebook) -> dict[str, str]:
    """The name of the page's colour for each frame and each stance that takes a side."""
    frames = {label: f"f{i}" for i, label in enumerate(codebook.frame_labels)}
    return {**frames, **{label: f"side{i % len(GLYPHS)}" for label, i in _sides(codebook).items()}}


@cache
def environment() -> jinja2.Environment:
    """Where pages' templates come from, all that they are given escaped."""
    return jinja2.Environment(loader=jinja2.PackageLoader("slant"), autoescape=True, undefined=jinja2.StrictUndefined)


@cache
def template_file(name: str) -> str:
    """A style sheet or script that a page carries within it."""
    return (resources.files("slant") / "templates" / name).read_text(encoding="utf-8")


def _version() -> str:
    from slant import __version__  # the package imports this module's neighbours first

    return __version__
