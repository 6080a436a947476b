"""Draws the risk-coverage curve of an evaluation: how often each head errs on the sentences it is surest of."""

from collections.abc import Mapping, Sequence

import altair as alt

from slant.page import COLOURS
from slant.report.figures import svg


def curve(points: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """Draw a line a head, from what ``training.metrics.risk_coverage`` found.

    Args:
        points: pairs of coverage and risk of each head, both in [0, 1].

    Returns:
        The picture as SVG.
    """
    values = [{"head": head, "coverage": coverage, "risk": risk} for head, pairs in points.items() for coverage, risk in pairs]
    chart = (
        alt.Chart(alt.InlineData(values=values))
        .mark_line(point=True, strokeWidth=2)
        .encode(
            x=alt.X(
                "coverage:Q",
                title="coverage: share of sentences not uncertain",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=5),
            ),
            y=alt.Y("risk:Q", title="risk: share of them misread", axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("head:N", title=None, sort=list(points), scale=alt.Scale(range=[light for light, _ in COLOURS])),
        )
        .properties(width=480, height=300)
    )
    return svg(chart)
