"""Fractions with their intervals as SVG: a dot for each, a line from one end to the other.

Colours and sizes of text come from classes, as in `chart`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH, _HEIGHT = 480, 198
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 26, 40
_BASE, _RISE = _HEIGHT - _BOTTOM, _HEIGHT - _TOP - _BOTTOM
_DOT, _CAP = 4, 3  # half of a dot's side and of the line that ends an interval
_LETTER = 6.2  # the width of one, about


@dataclass(frozen=True)
class Interval:
    """A fraction from 0 to 1 between the ends of its interval; `title` is what it says when it is
    pointed at or read aloud."""

    rate: float
    low: float
    high: float
    title: str


@dataclass(frozen=True)
class RateGroup:
    """What stands above one `label`: an interval for each series, None where there is none."""

    label: str
    intervals: Sequence[Interval | None]


@dataclass(frozen=True)
class RateChart:
    """`title` is read aloud in place of the picture; `x` and `y` name the axes."""

    title: str
    x: str
    y: str
    groups: Sequence[RateGroup]


def rate_chart(chart: RateChart) -> Markup:
    """The chart as an SVG element."""
    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _WIDTH, _HEIGHT, chart.title
        )
    ]
    for percent in (0, 25, 50, 75, 100):
        y = _y(percent / 100)
        parts.append(
            Markup(
                '<path class="grid" d="M{} {:.1f}H{}"/>'
                '<text class="number" x="{}" y="{:.1f}" text-anchor="end">{} %</text>'
            ).format(_LEFT, y, _WIDTH - _RIGHT, _LEFT - 6, y + 4, percent)
        )
    slot = (_WIDTH - _LEFT - _RIGHT) / max(1, len(chart.groups))
    longest = max((len(group.label) for group in chart.groups), default=0)
    every = max(1, -(-int(longest * _LETTER + 6) // int(slot)))  # so that no label covers another
    for number, group in enumerate(chart.groups):
        middle = _LEFT + (number + 0.5) * slot
        if number % every == 0:
            parts.append(
                Markup(
                    '<text class="number" x="{:.1f}" y="{}" text-anchor="middle">{}</text>'
                ).format(middle, _BASE + 15, group.label)
            )
        apart = min(16.0, slot / (len(group.intervals) + 1))
        for series, interval in enumerate(group.intervals):
            if interval is not None:
                x = middle + (series - (len(group.intervals) - 1) / 2) * apart
                parts.append(_drawn(interval, series, x))
    parts.append(
        Markup(
            '<path class="axis" d="M{0} {1}H{2}"/>'
            '<text class="label" x="{3}" y="{4}" text-anchor="middle">{5}</text>'
            '<text class="label" x="2" y="10">{6}</text></svg>'
        ).format(
            _LEFT, _BASE, _WIDTH - _RIGHT, (_LEFT + _WIDTH) // 2, _HEIGHT - 6, chart.x, chart.y
        )
    )
    return Markup("").join(parts)


def _y(fraction: float) -> float:
    return _BASE - _RISE * fraction


def _drawn(interval: Interval, series: int, x: float) -> Markup:
    low, high, rate = (_y(one) for one in (interval.low, interval.high, interval.rate))
    caps = "".join(f"M{x - _CAP:.1f} {end:.1f}h{2 * _CAP}" for end in (low, high))
    return Markup(
        '<g class="rate"><title>{0}</title>'
        '<path class="whisker series-{1}" d="M{2:.1f} {3:.1f}V{4:.1f}{5}"/>'
        '<rect class="series-{1}" x="{6:.1f}" y="{7:.1f}" width="{8}" height="{8}"/></g>'
    ).format(interval.title, series, x, low, high, caps, x - _DOT, rate - _DOT, 2 * _DOT)
