"""Bars as SVG: an axis of whole numbers, gaps where a number does not occur, and links.

Colours come from classes, so that the page's style sheet sets them for light, dark and print.
A library would be Altair with vl-convert: 94 MB of packages and 0.3 s per chart, where a page of
rows has 0.2 s in all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 480, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 18, 40
_DIGIT = 7  # the width of one, and what is left free beside a number


@dataclass(frozen=True)
class Bar:
    """One bar at the whole number `at`: a count for each series, stacked from the axis upwards.

    `title` is what it says when it is pointed at or read aloud.
    """

    at: int
    title: str
    counts: tuple[int, ...]
    href: str = ""
    chosen: bool = False


@dataclass(frozen=True)
class Chart:
    """`title` is read aloud in place of the picture. The axis `x` counts in steps of `unit`: the
    bar at 3 stands above the number 3 * unit. `limit` draws a line in front of the bar at that
    number, `limit_label` beside it."""

    title: str
    x: str
    y: str
    bars: Sequence[Bar]
    unit: int = 1
    limit: int | None = None
    limit_label: str = ""


def bar_chart(chart: Chart) -> Markup:
    """The chart as an SVG element."""
    places = [bar.at for bar in chart.bars] + ([chart.limit] if chart.limit is not None else [])
    first, last = min(places, default=0), max(places, default=0)
    slot = (_WIDTH - _LEFT - _RIGHT) / (last - first + 1)
    top = round_step(max((sum(bar.counts) for bar in chart.bars), default=0) / 3 or 1)
    most = max(top, top * math.ceil(max((sum(b.counts) for b in chart.bars), default=0) / top))
    rise = (_HEIGHT - _TOP - _BOTTOM) / most
    base = _HEIGHT - _BOTTOM
    linked = any(bar.href for bar in chart.bars)
    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="{}" aria-label="{}">').format(
            _WIDTH, _HEIGHT, "group" if linked else "img", chart.title
        )
    ]
    for value in range(0, most + 1, top):
        y = base - value * rise
        parts.append(
            Markup(
                '<path class="grid" d="M{} {:.1f}H{}"/>'
                '<text class="number" x="{}" y="{:.1f}" text-anchor="end">{}</text>'
            ).format(_LEFT, y, _WIDTH - _RIGHT, _LEFT - 6, y + 4, f"{value:,}")
        )
    width = _DIGIT * (len(f"{last * chart.unit:,}") + 1)
    every = round_step(width / slot)
    for number in range(first, last + 1):
        if number % every == 0 and number != chart.limit:
            parts.append(
                Markup(
                    '<text class="number" x="{:.1f}" y="{}" text-anchor="middle">{}</text>'
                ).format(
                    _LEFT + (number - first + 0.5) * slot, base + 15, f"{number * chart.unit:,}"
                )
            )
    parts += [_bar(bar, _LEFT + (bar.at - first) * slot, slot, base, rise) for bar in chart.bars]
    if chart.limit is not None:
        x = _LEFT + (chart.limit - first) * slot
        parts.append(
            Markup(
                '<path class="limit" d="M{0:.1f} {1}V{2}"/>'
                '<text class="limit-label" x="{3:.1f}" y="{4}" text-anchor="end">{5}</text>'
            ).format(x, _TOP - 6, base, x - 4, _TOP + 2, chart.limit_label)
        )
    parts.append(
        Markup(
            '<path class="axis" d="M{0} {1}H{2}"/>'
            '<text class="label" x="{3}" y="{4}" text-anchor="middle">{5}</text>'
            '<text class="label" x="2" y="10">{6}</text></svg>'
        ).format(_LEFT, base, _WIDTH - _RIGHT, (_LEFT + _WIDTH) // 2, _HEIGHT - 6, chart.x, chart.y)
    )
    return Markup("").join(parts)


def _bar(bar: Bar, x: float, slot: float, base: int, rise: float) -> Markup:
    width = max(1.0, slot * 0.8)
    y = float(base)
    drawn = []
    for series, count in enumerate(bar.counts):
        # What is there is seen, however small it is.
        height = max(1.0, count * rise) if count else 0.0
        y -= height
        if height:
            drawn.append(
                Markup(
                    '<rect class="series-{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
                ).format(series, x + (slot - width) / 2, y, width, height)
            )
    inner = Markup("<title>{}</title>").format(bar.title) + Markup("").join(drawn)
    kind = "bar chosen" if bar.chosen else "bar"
    if not bar.href:
        return Markup('<g class="{}">{}</g>').format(kind, inner)
    # The whole slot is the target: a bar may be a pixel high.
    area = Markup('<rect class="area" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
        x, _TOP, slot, base - _TOP
    )
    return Markup('<a class="{}" href="{}" aria-label="{}">{}{}</a>').format(
        kind, bar.href, bar.title, area, inner
    )


def shares(title: str, counts: Sequence[int], whole: int | None = None) -> Markup:
    """Parts of a whole side by side in one strip, each in its series' colour; what they lack of
    `whole` stays empty."""
    total = whole or sum(counts) or 1
    x, drawn = 0.0, Markup("")
    for series, count in enumerate(counts):
        width = 100 * count / total
        drawn += Markup('<rect class="series-{}" x="{:.3f}%" width="{:.3f}%" height="12"/>').format(
            series, x, width
        )
        x += width
    return Markup('<svg class="shares" role="img" aria-label="{}">{}</svg>').format(title, drawn)


def round_step(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, 50, ... that is not below `least`."""
    power = 10 ** math.floor(math.log10(least)) if least >= 1 else 1
    return int(next(n * power for n in (1, 2, 5, 10) if n * power >= least))
