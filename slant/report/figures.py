"""Draws a report's numbers as charts, each an SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from slant.audit import AUTHOR_STANCE, CODES, Row
from slant.estimate import Estimate
from slant.page import COLOURS
from slant.reliability import marked
from slant.report.numbers import Numbers, biggest
from slant.scores import NOTHING

MOST_GROUPS = 12  # in a figure, those with most sentences; all are in the CSV
MOST_LINES = 5
LABELLED_PERIODS = 6  # along an axis
VEGA_LITE = "6.1"

# What is drawn and in what order.
_ORDER = (*CODES, AUTHOR_STANCE)
_PALETTE = [light for light, _ in COLOURS]
_CONFIG = {
    "background": "white",
    "font": "DejaVu Sans, Verdana, Arial, sans-serif",
    "view": {"stroke": None},
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "gridColor": "#e4e0da", "labelColor": "#1c1b1a", "domain": False, "ticks": False, "labelLimit": 220},
    "header": {"labelFontSize": 12, "labelFontWeight": "normal", "labelColor": "#1c1b1a", "titleFontSize": 13, "titleFontWeight": "bold", "titleAnchor": "start", "titleAlign": "left", "labelAnchor": "start"},
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 260, "orient": "top", "symbolOpacity": 1},
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """A drawn chart: the name of its file, what it shows in a line, the chart in words, and the SVG."""

    name: str
    caption: str
    words: str
    svg: str


def figures(numbers: Numbers) -> list[Figure]:
    """Draw all charts that the numbers have something for."""
    kind = "corrected" if numbers.corpus.audit else "uncorrected"
    level = f"{numbers.corpus.level:.0%}"
    found = [_figure("shares", f"Shares of all sentences, with {level} intervals ({kind}).", numbers.shares, _shares(numbers.shares))]
    for name, rows in numbers.groups.items():
        drawn = biggest(rows, MOST_GROUPS)
        most = f" The {MOST_GROUPS} with most sentences; all are in the table." if len(drawn) < len(rows) else ""
        found.append(_figure(f"shares-by-{name}", f"Shares by {name}, with {level} intervals ({kind}).{most}", drawn, _groups(drawn, name)))
    course = [row for row in numbers.course if not row.group.startswith(NOTHING) and not math.isnan(row.best.value)]
    if len({row.group.split(" × ")[0] for row in course}) > 1:
        words = f"Course over time by {numbers.course_by[0]}, with {level} intervals ({kind})."
        found.append(_figure("course", words, numbers.trends, _course(course, numbers.course_by)))
    found.append(
        _figure("frame-by-stance", f"Stance among the sentences of each frame ({kind}).", numbers.crossed, _crossed(numbers.crossed))
    )
    return found


def _figure(name: str, caption: str, rows: Sequence[Row], chart: Any) -> Figure:
    words = "; ".join(f"{row.group} {row.code} {row.marked} {row.best.value:.0%}" for row in rows[:40] if not math.isnan(row.best.value))
    return Figure(name, caption, f"{caption} {words}", svg(chart))


def svg(chart: Any) -> str:
    """Draw an Altair chart in the style of all figures."""
    drawn: str = vl_convert.vegalite_to_svg(chart.configure(**_CONFIG).to_dict(), vl_version=VEGA_LITE)
    return drawn


def _data(rows: Sequence[Row], *, both: bool = False) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        kinds: list[tuple[str, Estimate | None]] = (
            [("corrected", row.corrected), ("as read", row.uncorrected)] if both else [("", row.best)]
        )
        for kind, one in kinds:
            if one is not None and not math.isnan(one.value):
                common = {"code": row.code, "label": row.marked, "group": row.group, "kind": kind, "order": _ORDER.index(row.code)}
                found.append({**common, "share": one.value, "low": one.low, "high": one.high})
    return found


def _chart(values: Sequence[dict[str, Any]]) -> Any:
    return alt.Chart(alt.InlineData(values=list(values)))


def _shares(rows: Sequence[Row]) -> Any:
    """A row a label: where it stands after correction and as read."""
    audited = any(row.corrected for row in rows)
    base = _chart(_data(rows, both=audited)).encode(
        y=alt.Y("label:N", title=None, sort=None),
        yOffset=alt.YOffset("kind:N", sort=["corrected", "as read"]) if audited else alt.Undefined,
    )
    colour = (
        alt.Color("kind:N", title=None, sort=["corrected", "as read"], scale=alt.Scale(range=["#1c1b1a", "#b07d2b"]))
        if audited
        else alt.value("#1c1b1a")
    )
    ends = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=None, axis=alt.Axis(format="%", tickCount=5)), x2="high:Q", color=colour
    )
    points = base.mark_point(filled=True, size=55, opacity=1).encode(x=alt.X("share:Q", title=None), color=colour)
    return (
        (ends + points)
        .properties(width=620, height=alt.Step(20 if audited else 24))
        .facet(
            row=alt.Row(
                "code:N",
                title=None,
                sort=list(_ORDER),
                header=alt.Header(labelAngle=0, labelAlign="left", labelOrient="top", labelFontSize=13, labelFontWeight="bold"),
            )
        )
        .resolve_scale(y="independent")
    )


def _groups(rows: Sequence[Row], name: str) -> Any:
    """Groups beside one another: a panel a label, a row a group."""
    parts = []
    for code in _ORDER:
        own = [row for row in rows if row.code == code]
        if not own:
            continue
        base = _chart(_data(own)).encode(y=alt.Y("group:N", title=None))
        ends = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=None, axis=alt.Axis(format="%", tickCount=3)), x2="high:Q")
        points = base.mark_point(filled=True, size=45, opacity=1).encode(x=alt.X("share:Q", title=None))
        panel = (ends + points).encode(color=alt.value("#1c1b1a")).properties(width=190, height=alt.Step(20))
        labels = list(dict.fromkeys(row.marked for row in own))
        parts.append(panel.facet(column=alt.Column("label:N", title=f"{code} by {name}", sort=labels)))
    return alt.vconcat(*parts, spacing=16)


def _course(rows: Sequence[Row], by: Sequence[str]) -> Any:
    """A panel a label, a line a group, its interval as a band."""
    sizes: dict[str, int] = {}
    for row in rows:
        line = row.group.split(" × ", 1)[1] if len(by) > 1 else ""
        sizes[line] = sizes.get(line, 0) + row.sentences
    lines = sorted(sizes, key=lambda name: (-sizes[name], name))[:MOST_LINES]
    parts = []
    for code in _ORDER:
        values: list[dict[str, Any]] = []
        for row in rows:
            period, _, line = row.group.partition(" × ")
            if row.code == code and line in lines:
                values.append(
                    {
                        "period": period,
                        "line": line,
                        "label": row.marked,
                        "share": row.best.value,
                        "low": row.best.low,
                        "high": row.best.high,
                    }
                )
        if not values:
            continue
        colour = alt.Color("line:N", title=by[1], scale=alt.Scale(domain=lines, range=_PALETTE)) if len(by) > 1 else alt.value(_PALETTE[1])
        periods = sorted({value["period"] for value in values})
        every = math.ceil(len(periods) / LABELLED_PERIODS)
        axis = alt.Axis(values=periods[::every], labelAngle=-40)
        base = _chart(values).encode(x=alt.X("period:O", title=None, axis=axis))
        band = base.mark_area(opacity=0.15).encode(
            y=alt.Y("low:Q", title=None, axis=alt.Axis(format="%", tickCount=4)), y2="high:Q", color=colour
        )
        line_ = base.mark_line(point=True, strokeWidth=2).encode(y=alt.Y("share:Q", title=None), color=colour)
        labels = list(dict.fromkeys(value["label"] for value in values))
        panel = (band + line_).properties(width=220, height=130)
        parts.append(panel.facet(column=alt.Column("label:N", title=code, sort=labels)))
    return alt.vconcat(*parts, spacing=16)


def _crossed(rows: Sequence[Row]) -> Any:
    """A cell a frame and stance, its share written in it."""
    values = [
        {"frame": row.group, "stance": row.label, "share": row.best.value, "text": marked(f"{row.best.value:.0%}", row.tier)}
        for row in rows
        if not math.isnan(row.best.value)
    ]
    base = _chart(values).encode(
        x=alt.X("stance:N", title=None, sort=None, axis=alt.Axis(labelAngle=0, orient="top")), y=alt.Y("frame:N", title=None, sort=None)
    )
    cells = base.mark_rect().encode(color=alt.Color("share:Q", scale=alt.Scale(scheme="blues", domain=[0, 1]), legend=None))
    text = base.mark_text(fontSize=13).encode(
        text=alt.Text("text:N"), color=alt.condition("datum.share > 0.6", alt.value("white"), alt.value("#1c1b1a"))
    )
    return (cells + text).properties(width=alt.Step(150), height=alt.Step(34))
