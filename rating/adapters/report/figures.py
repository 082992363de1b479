"""The report's charts as plotly figures: floats for eyes, made from exact values at the last moment.

Every name is data: plotly reads a little markup in texts, so what could be markup is escaped first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import Any

from rating.core.money import Currency
from rating.core.reports import OTHERS, Quality, Report, leaders

_SERIES = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5")
_QUIET = "#b9bec7"
_FINE, _NEAR, _FULL = "#3ca951", "#efb118", "#d0312d"
_MOST_CONSUMERS = len(_SERIES)
_MOST_BARS = 20


@dataclass(frozen=True, slots=True)
class Figure:
    key: str
    """The id of its place on the page."""
    title: str
    figure: Any
    height: int

    def json(self) -> str:
        """Data and layout as JSON that may stand inside a script."""
        return str(self.figure.to_json(validate=True))


def accrued_by_plan(report: Report, currency: Currency) -> Figure:
    plans = report.accrued_by_plan(currency)
    bars = [
        _bars("so far", list(plans), [float(accrued.exact) for accrued, _ in plans.values()], _SERIES[0]),
        _bars("at the end of the periods", list(plans), [float(ahead.exact) for _, ahead in plans.values()], _QUIET),
    ]
    title = f"Accrued by plan, {currency}"
    return _drawn(f"plans-{currency}", title, bars, yaxis={"title": {"text": str(currency)}}, barmode="group")


def top_consumers(report: Report, currency: Currency) -> Figure:
    top = [one for one in report.accruing if one.amount.currency == currency][:_MOST_BARS]
    names = [f"{one.consumer}, {one.plan}" for one in top]
    bars = [_sideways("accrued", names, [float(one.amount.exact) for one in top], [_SERIES[0]] * len(top))]
    return _drawn(f"top-{currency}", f"Highest charges, {currency}", bars, rows=len(top))


def usage(report: Report, meter: str) -> Figure:
    days = report.of_meter(meter)
    colours = dict(zip(_named(leaders(days, _MOST_CONSUMERS)), _SERIES, strict=False))
    bars = [
        _bars(name, [str(day.day) for day in days], [float(one) for one in quantities], colours.get(name, _QUIET))
        for name, quantities in leaders(days, _MOST_CONSUMERS).items()
    ]
    return _drawn(
        f"usage-{meter}",
        f"{meter}, {report.units[meter]}s a day",
        bars,
        barmode="stack",
        xaxis={"type": "category", "nticks": 12},
    )


def kinds(report: Report, meter: str) -> Figure:
    top = [kind for kind in report.kinds if kind.meter == meter][:_MOST_BARS]
    names = [", ".join(value or "(none)" for value in kind.dimensions) for kind in top]
    bars = [_sideways(meter, names, [float(kind.quantity) for kind in top], [_SERIES[3]] * len(top))]
    return _drawn(f"kinds-{meter}", f"{meter} by {', '.join(report.labels[meter])}", bars, rows=len(top))


def allowances(report: Report) -> Figure:
    top = report.allowances[:_MOST_BARS]
    names = [f"{one.consumer}, {one.meter}" for one in top]
    bars = [_sideways("share used", names, [float(one.share) for one in top], [_colour(one.share) for one in top])]
    made = _drawn(
        "allowances", "Fullest allowances", bars, rows=len(top), xaxis={"tickformat": ".0%", "rangemode": "tozero"}
    )
    made.figure.add_vline(x=1, line={"color": _FULL, "width": 1, "dash": "dot"})
    return made


def quality(report: Report) -> Figure:
    days = sorted({one.day for one in report.quality})
    named = {"complete": _FINE, "degraded": _NEAR, "held": _FULL, "missing": _QUIET}
    bars = [
        _bars(name, [str(day) for day in days], [float(_count(report.quality, day, name)) for day in days], colour)
        for name, colour in named.items()
    ]
    return _drawn(
        "quality", "Windows a day, all meters", bars, barmode="stack", xaxis={"type": "category", "nticks": 12}
    )


def _count(quality: Sequence[Quality], day: object, name: str) -> int:
    return sum(getattr(one, name) for one in quality if one.day == day)


def _named(series: dict[str, list[Fraction]]) -> list[str]:
    return [name for name in series if name != OTHERS]


def _colour(share: Fraction) -> str:
    return _FULL if share >= 1 else _NEAR if share >= Fraction(8, 10) else _FINE


def _bars(name: str, x: list[str], y: list[float], colour: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": escape(name),
        "x": [escape(one) for one in x],
        "y": y,
        "marker": {"color": colour},
        "hovertemplate": "%{x}: %{y:,} " + _plain(name) + "<extra></extra>",
    }


def _sideways(name: str, labels: list[str], values: list[float], colours: list[str]) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": escape(name),
        "x": values,
        "y": [escape(label) for label in labels],
        "marker": {"color": colours},
        "hovertemplate": "%{y}: %{x:,}<extra></extra>",
        "showlegend": False,
    }


def _plain(name: str) -> str:
    """In a template, braces would be read as well."""
    return escape(name).replace("%", "&#37;").replace("{", "&#123;")


def _drawn(key: str, title: str, traces: list[dict[str, Any]], rows: int = 0, **layout: Any) -> Figure:
    import plotly.graph_objects as go

    # plotly.py's template goes into every figure; the page's own look needs a tenth of it.
    figure = go.Figure(data=traces, layout={"template": None})
    height = 300 if not rows else 90 + 24 * rows
    sideways = {"yaxis": {"autorange": "reversed", "automargin": True, "gridcolor": "#e6e8ec"}} if rows else {}
    figure.update_layout(
        height=height,
        margin={"l": 60, "r": 20, "t": 10, "b": 50},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12, "color": "#2b2f36"},
        legend={"orientation": "h", "y": -0.2},
        bargap=0.25,
        hoverlabel={"align": "left"},
    )
    figure.update_xaxes(gridcolor="#e6e8ec", zerolinecolor="#c9cdd4")
    figure.update_yaxes(gridcolor="#e6e8ec", zerolinecolor="#c9cdd4", rangemode="tozero")
    figure.update_layout(**sideways)
    figure.update_layout(**layout)
    return Figure(key, title, figure, height)
