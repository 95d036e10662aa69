"""Fractions with their intervals as SVG: a dot for each, a line from one end to the other.

A group has a row of its own, so that each is named, however many there are.

Colours and sizes of text come from classes, as in `chart`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH = 480
_TOP, _RIGHT, _BOTTOM = 20, 16, 36
_ROW, _APART = 12, 11  # height around the series of a row, and from one series to the next
_DOT, _CAP = 4, 3  # half of a dot's side and of the line that ends an interval
_LETTER, _LONGEST = 6.2, 24  # the width of a letter, about; letters that have room


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
    """What stands beside one `label`: an interval for each series, None where there is none."""

    label: str
    intervals: Sequence[Interval | None]


@dataclass(frozen=True)
class RateChart:
    """`title` is read aloud in place of the picture; `groups_are` says what the labels name, and
    `rates_are` what the fractions are of."""

    title: str
    groups_are: str
    rates_are: str
    groups: Sequence[RateGroup]


def rate_chart(chart: RateChart) -> Markup:
    """The chart as an SVG element."""
    series = max((len(group.intervals) for group in chart.groups), default=0)
    row = _ROW + _APART * max(1, series)
    base = _TOP + row * len(chart.groups)
    longest = max((len(group.label) for group in chart.groups), default=0)
    left = round(min(longest, _LONGEST) * _LETTER) + 14
    scale = _Scale(left, _WIDTH - _RIGHT)
    parts = [
        Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _WIDTH, base + _BOTTOM, chart.title
        )
    ]
    for percent in (0, 25, 50, 75, 100):
        parts.append(
            Markup(
                '<path class="grid" d="M{0:.1f} {1}V{2}"/>'
                '<text class="number" x="{0:.1f}" y="{3}" text-anchor="middle">{4} %</text>'
            ).format(scale.x(percent / 100), _TOP, base, base + 14, percent)
        )
    for number, group in enumerate(chart.groups):
        middle = _TOP + (number + 0.5) * row
        parts.append(
            Markup('<text class="number" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
                left - 8, middle + 4, _shortened(group.label)
            )
        )
        for place, interval in enumerate(group.intervals):
            if interval is not None:
                y = middle + (place - (series - 1) / 2) * _APART
                parts.append(_drawn(interval, place, y, scale))
    parts.append(
        Markup(
            '<path class="axis" d="M{0} {1}V{2}"/>'
            '<text class="label" x="{3}" y="{4}" text-anchor="middle">{5}</text>'
            '<text class="label" x="2" y="10">{6}</text></svg>'
        ).format(
            left,
            _TOP,
            base,
            (left + _WIDTH - _RIGHT) // 2,
            base + 30,
            chart.rates_are,
            chart.groups_are,
        )
    )
    return Markup("").join(parts)


@dataclass(frozen=True)
class _Scale:
    """Where fractions stand, from 0 at `left` to 1 at `right`."""

    left: float
    right: float

    def x(self, fraction: float) -> float:
        return self.left + (self.right - self.left) * fraction


def _shortened(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"


def _drawn(interval: Interval, series: int, y: float, scale: _Scale) -> Markup:
    low, high, rate = (scale.x(one) for one in (interval.low, interval.high, interval.rate))
    caps = "".join(f"M{end:.1f} {y - _CAP:.1f}v{2 * _CAP}" for end in (low, high))
    return Markup(
        '<g class="rate"><title>{0}</title>'
        '<path class="whisker series-{1}" d="M{2:.1f} {3:.1f}H{4:.1f}{5}"/>'
        '<rect class="series-{1}" x="{6:.1f}" y="{7:.1f}" width="{8}" height="{8}"/></g>'
    ).format(interval.title, series, low, y, high, caps, rate - _DOT, y - _DOT, 2 * _DOT)
