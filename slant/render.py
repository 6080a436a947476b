"""Draws readings: a table for the terminal, HTML for a notebook, rows for a file."""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

import jinja2
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from slant.codebook import UNCERTAIN
from slant.reading import FIELDS, Reading, SentenceReading

# Okabe and Ito's palette, which readers with any colour vision can tell apart.
FRAME_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STANCE_STYLES = ("green", "red", "yellow", "magenta")
READINGS_AT_ONCE = 256  # turned into a table; more are never held
FORMULA_OPENERS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what spreadsheets take for the start of a formula

_PAGE = """\
{%- macro shares(title, code, values) -%}
<tr><th>{{ title }}</th><td>{% for label, share in values.items() -%}
<span class="share"><i style="width:{{ (share * 60) | round | int }}px;background:{{ colours.get(label, '#999') }}"></i>
{{ mark(code, label) }} {{ '%.0f' % (share * 100) }} %</span>{% endfor %}</td></tr>
{%- endmacro -%}
<style>
.slant{font:15px/1.5 system-ui,sans-serif;max-width:60rem;color:#1a1a1a;background:#fff;padding:.5rem 1rem}
.slant table{border-collapse:collapse;width:100%}
.slant td,.slant th{padding:.3rem .5rem;text-align:left;vertical-align:top;border-bottom:1px solid #e4e4e4;background:#fff;color:inherit}
.slant .n{color:#888;text-align:right}.slant .headline td.t{font-weight:700;font-size:1.1em}.slant .caption td.t{font-style:italic}
.slant mark{background:none;color:inherit;border-bottom:3px solid;padding:0}
.slant .tag{color:#fff;border-radius:3px;padding:0 .35em;margin:0 .2em .2em 0;display:inline-block;white-space:nowrap;font-size:.85em}
.slant .quiet{color:#888}.slant .share{margin-right:1.5em;white-space:nowrap}.slant .share i{display:inline-block;height:.7em;margin-right:.3em}
</style>
<div class="slant"><p><b>{{ article or 'article' }}</b> · stance towards: <i>{{ target }}</i></p>
<table><thead><tr><th></th><th>sentence</th><th>frames</th><th>stance</th><th>voice</th><th title="the lowest calibrated probability among the sentence's codes">confidence</th></tr></thead><tbody>
{% for s in sentences -%}
<tr class="{{ s.part }}"><td class="n">{{ loop.index }}</td>
<td class="t">{% for text, label in s.pieces %}{% if label %}<mark title="weighed towards {{ label }}" style="border-color:{{ colours[label] }}">{{ text }}</mark>{% else %}{{ text }}{% endif %}{% endfor %}{% if s.truncated %} <span class="quiet">(cut: too long for the model)</span>{% endif %}</td>
<td>{% for f in s.frames %}{% if f in colours %}<span class="tag" style="background:{{ colours[f] }}">{{ f }}</span>{% else %}<span class="quiet">{{ f }}</span>{% endif %}{% endfor %}</td>
<td{% if s.quiet_stance %} class="quiet"{% endif %}>{{ s.stance }}</td><td{% if s.quiet_voice %} class="quiet"{% endif %}>{{ s.voice }}</td><td class="n">{{ '%.2f' % s.confidence }}</td></tr>
{% endfor -%}
</tbody></table><p class="quiet">Shares of sentences{{ certain }}.{% if legend %} {{ legend }}.{% endif %}</p><table>{{ shares('frames', 'frame', frames) }}{{ shares('stance', 'stance', stances) }}{{ shares('voice', 'voice', voices) }}</table>
</div>
"""


def table(reading: Reading) -> RenderableType:
    """Draw a reading for the terminal: a row a sentence, then the article's shares."""
    codebook = reading.codebook
    colours = _colours(reading)
    grid = Table(title=Text(reading.article.id), title_justify="left", caption=Text(f"stance towards: {reading.target}"), caption_justify="left", expand=True, pad_edge=False, box=None, row_styles=["", "on grey7"])  # fmt: skip
    grid.add_column("", justify="right", style="dim")
    grid.add_column("sentence", ratio=1, overflow="fold")
    grid.add_column("frames", max_width=13)
    grid.add_column("stance", no_wrap=True)
    grid.add_column("voice", no_wrap=True)
    grid.add_column("conf.", justify="right", no_wrap=True)
    for number, s in enumerate(reading.sentences, start=1):
        text = Text()
        for piece, label in pieces(s):
            text.append(" ".join(piece.split("\n")), style=f"bold underline {colours[label]}" if label else "")
        text.stylize({"headline": "bold", "caption": "italic", "body": ""}[s.sentence.part])
        if s.truncated:
            text.append(" (cut: too long for the model)", style="dim")
        frames = Text("\n").join(Text(frame, style=colours.get(frame, "dim")) for frame in s.frames)
        stance = Text(s.stance, style=colours.get(s.stance, "dim"))
        voice = Text(s.voice, style="" if s.voice in codebook.voice_labels[1:] else "dim")
        grid.add_row(str(number), text, frames, stance, voice, f"{s.confidence:.2f}")
    shares = Table.grid(padding=(0, 2))
    for name, code, values in (
        ("frames", "frame", reading.frames),
        ("stance", "stance", reading.stances),
        ("voice", "voice", reading.voices),
    ):
        row = (Text(f"{reading.mark(code, label)} {share:.0%}", style=colours.get(label, "")) for label, share in values.items())
        shares.add_row(Text(name, style="bold"), *row)
    count = len(reading.sentences)
    return Group(
        grid,
        Text(
            f"\n{count} sentence{'' if count == 1 else 's'}; shares of {f'those{certain(reading)}' if reading.min_confidence else 'them'}:"
        ),
        shares,
        Text("underlined: the words that weighed most; conf.: the lowest probability among a sentence's codes", style="dim"),
        *([Text(reading.legend, style="dim")] if reading.legend else []),
    )


def certain(reading: Reading) -> str:
    """Which sentences an article's shares are of, and how many those are; empty where none was left open."""
    if not reading.min_confidence:
        return ""
    return f" that are certain (at least {reading.min_confidence:g}; coverage: {percentages(reading.coverage)})"


def percentages(coverage: dict[str, float]) -> str:
    """The coverage of each head in words.

    >>> percentages({"frames": 0.834, "stance": 1.0})
    'frames 83%, stance 100%'
    """
    return ", ".join(f"{head} {share:.0%}" for head, share in coverage.items())


def html(reading: Reading) -> str:
    """Draw a reading as a piece of HTML that stands by itself, all text escaped."""
    environment = jinja2.Environment(autoescape=True)
    return environment.from_string(_PAGE).render(
        article=reading.article.id,
        target=reading.target,
        colours=_colours(reading),
        frames=reading.frames,
        stances=reading.stances,
        voices=reading.voices,
        mark=reading.mark,
        certain=certain(reading),
        legend=reading.legend,
        sentences=[
            {
                "part": s.sentence.part,
                "pieces": pieces(s),
                "frames": s.frames,
                "stance": s.stance,
                "quiet_stance": s.stance in (*reading.codebook.neutral_stances, UNCERTAIN),
                "voice": s.voice,
                "quiet_voice": s.voice in (reading.codebook.voice_labels[0], UNCERTAIN),
                "confidence": s.confidence,
                "truncated": s.truncated,
            }
            for s in reading.sentences
        ],
    )


def write_jsonl(readings: Iterable[Reading], file: IO[str]) -> None:
    """Write one JSON object a sentence."""
    for reading in readings:
        for row in reading.rows():
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_csv(readings: Iterable[Reading], file: IO[str]) -> None:
    """Write one line a sentence: frames joined by ``|``, probabilities as JSON objects."""
    writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
    writer.writeheader()
    for reading in readings:
        for row in reading.rows():
            flat = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in row.items()}
            flat["frames"] = "|".join(row["frames"])
            writer.writerow({key: safe_cell(value) if isinstance(value, str) else value for key, value in flat.items()})


def safe_cell(text: str) -> str:
    """Text that a spreadsheet takes as text: what it would run as a formula gets an apostrophe in front.

    >>> safe_cell("=HYPERLINK(...)"), safe_cell("A sentence.")
    ("'=HYPERLINK(...)", 'A sentence.')
    """
    return "'" + text if text.startswith(FORMULA_OPENERS) else text


def write_parquet(readings: Iterable[Reading], path: Path) -> None:
    """Write one row a sentence: frames as a list, probabilities as structs."""
    import pyarrow  # slow to import, and only this needs it
    from pyarrow import parquet

    writer = schema = None
    for batch in _batches(readings):
        if writer is None:
            from slant.corpus import sentence_schema

            whole = sentence_schema(batch[0].codebook)
            schema = pyarrow.schema([whole.field(name) for name in FIELDS])
            writer = parquet.ParquetWriter(path, schema)
        writer.write_table(pyarrow.Table.from_pylist([row for reading in batch for row in reading.rows()], schema=schema))
    if writer is None:
        parquet.write_table(pyarrow.table({name: [] for name in FIELDS}), path)
    else:
        writer.close()


def _batches(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    rest = iter(readings)
    while batch := list(islice(rest, READINGS_AT_ONCE)):
        yield batch


FORMATS: dict[str, Callable[[Iterable[Reading], IO[str]], None]] = {"jsonl": write_jsonl, "csv": write_csv}
SUFFIXES = (*(f".{name}" for name in FORMATS), ".parquet", ".html")


def write(readings: Iterable[Reading], path: Path) -> None:
    """Write readings to a file in the format that its suffix names; a file is whole or not there."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.suffix == ".parquet":
            write_parquet(readings, partial)
        else:
            with partial.open("w", encoding="utf-8", newline="") as file:
                if path.suffix == ".html":
                    from slant.page import page  # drawn only where asked for

                    file.writelines(page(readings))
                else:
                    FORMATS[path.suffix[1:]](readings, file)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def show(reading: Reading, console: Console) -> None:
    """Print a reading's table."""
    console.print(table(reading))


def _colours(reading: Reading) -> dict[str, str]:
    codebook = reading.codebook
    sides = [label for label in codebook.stance_labels if label not in codebook.neutral_stances]
    frames = zip(codebook.frame_labels, (FRAME_COLOURS[i % len(FRAME_COLOURS)] for i in range(len(codebook.frames))), strict=True)
    return {**dict(frames), **{label: STANCE_STYLES[i % len(STANCE_STYLES)] for i, label in enumerate(sides)}}


def pieces(s: SentenceReading) -> list[tuple[str, str]]:
    """Cut a sentence at the words that weighed most: text and the label it weighed towards, or ''."""
    best = {}
    for weight in sorted(s.evidence, key=lambda w: w.share):
        best[weight.start, weight.end] = weight.label  # the label that a word weighed most towards
    found = []
    position = s.sentence.start
    for (start, end), label in sorted(best.items()):
        found += [(_slice(s, position, start), ""), (_slice(s, start, end), label)]
        position = end
    return [piece for piece in [*found, (_slice(s, position, s.sentence.end), "")] if piece[0]]


def _slice(s: SentenceReading, start: int, end: int) -> str:
    return s.sentence.text[start - s.sentence.start : end - s.sentence.start]
