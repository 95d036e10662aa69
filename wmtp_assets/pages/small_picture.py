"""Pictures of so few characters that Dagster shows them in place: SVG in the address of an image.

On an asset's page Dagster shows Markdown of fewer than `LIMIT` characters where it stands, folds
longer Markdown into a pop-up, and strips raw SVG. A picture holds numbers and our own words only:
no text of others reaches it. Colours are seen on light and on dark ground.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from wmtp_assets.pages.chart import Bar, Chart, round_step
from wmtp_assets.pages.rate_chart import RateChart
from wmtp_assets.pages.text import size

LIMIT: Final = 1000  # characters of Markdown
_WIDTH, _HEIGHT = 340, 96
_LEFT, _BASE, _RISE = 34, 80, 72  # where bars begin and stand; the height of the highest
_MOST_BARS = 30
_COLOURS: Final = ("%2338c", "%23e80")
COLOUR_NAMES: Final = ("blue", "orange")
_GREY = "%23888"
_DIGIT = 5  # the width of one, in pixels


def picture(chart: Chart, legend: str) -> str | None:
    """The chart as Markdown, its `legend` below it; None where that is too long to be shown.

    Bars stand at their numbers, so that a number which does not occur is a gap. Of more than
    `_MOST_BARS` places neighbours are drawn as one bar. `legend` is Markdown.
    """
    bars, unit, limit = _merged(chart)
    first = min([bar.at for bar in bars] + ([] if limit is None else [limit]), default=0)
    last = max([bar.at for bar in bars] + ([] if limit is None else [limit]), default=0)
    slot = min(20, (_WIDTH - _LEFT) // (last - first + 1))
    right = _LEFT + slot * (last - first + 1)
    most = max((sum(bar.counts) for bar in bars), default=0)
    if not most:
        return None
    drawn = ""
    for series in reversed(range(max(len(bar.counts) for bar in bars))):
        # From the axis up to the sum of this series and those below it, which then cover it.
        sums = [(bar.at - first, sum(bar.counts[: series + 1])) for bar in bars]
        path = "".join(
            # What is there is seen, however small it is.
            f"M{at},0V{max(1, round(count * _RISE / most))}"
            for at, count in sums
            if count
        )
        drawn += f"<path stroke='{_COLOURS[series]}' d='{path}'/>"
    axis = f"M{_LEFT},{_BASE - _RISE}V{_BASE}M{_LEFT},{_BASE}H{right}"
    if limit is not None:
        axis += f"M{_LEFT + slot * (limit - first)},0V{_BASE}"
    # One unit of a path is one bar across, and one pixel upwards: the fewer digits.
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{right + 6}' height='{_HEIGHT}' "
        f"font-family='Arial' font-size='9' fill='{_GREY}'>"
        f"<g transform='translate({_LEFT + slot // 2},{_BASE})scale({slot},-1)' "
        f"stroke-width='.8'>{drawn}</g><path stroke='{_GREY}' d='{axis}'/>"
        f"{_texts(_axis_labels(first, last, unit, slot), most)}</svg>"
    )
    return _markdown(chart.title, svg, legend)


def whiskers(chart: RateChart, legend: str) -> str | None:
    """Fractions with their intervals as Markdown, side by side on a scale from 0 to 100 %, its
    `legend` below it; None where that is too long to be shown."""
    most = max((len(group.intervals) for group in chart.groups), default=0)
    if not most:
        return None
    step = max(4, min(12, (_WIDTH - _LEFT) // (len(chart.groups) * (most + 1))))
    drawn = ""
    for series in range(most):
        path = ""
        for number, group in enumerate(chart.groups):
            if series < len(group.intervals) and (one := group.intervals[series]) is not None:
                x = _LEFT + step * (number * (most + 1) + series + 1)
                low, high, rate = (
                    round(_BASE - _RISE * end) for end in (one.low, one.high, one.rate)
                )
                path += f"M{x},{low}V{high}M{x - 3},{rate}h6"
        drawn += f"<path stroke='{_COLOURS[series % len(_COLOURS)]}' stroke-width='2' d='{path}'/>"
    right = _LEFT + step * len(chart.groups) * (most + 1)
    # Two lines: one with a corner would be filled.
    axis = f"M{_LEFT},{_BASE - _RISE}V{_BASE}M{_LEFT},{_BASE}H{right}"
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{right + 6}' height='{_BASE + 6}' "
        f"font-family='Arial' font-size='9' fill='{_GREY}'>"
        f"<text y='{_BASE - _RISE + 6}'>100</text><text y='{_BASE}'>0 %25</text>"
        f"<path stroke='{_GREY}' d='{axis}'/>{drawn}</svg>"
    )
    return _markdown(chart.title, svg, legend)


def strips(title: str, parts: Mapping[str, Sequence[int]], legend: str) -> str | None:
    """Amounts of bytes as strips on one scale, one below the other, each with its size beside it;
    the parts of a strip alternate in colour. None where that is too long to be shown."""
    most = max((sum(sizes) for sizes in parts.values()), default=0)
    if not most:
        return None
    drawn = ""
    for place, (name, sizes) in enumerate(parts.items()):
        at, end = 44.0, 15 + 20 * place
        drawn += f"<text y='{end}'>{name}</text>"
        for number, one in enumerate(sizes):
            width = 200 * one / most
            colour = _COLOURS[number % len(_COLOURS)]
            drawn += (
                f"<path fill='{colour}' d='M{at:.0f},{end - 10}h{max(1, width):.0f}v13H{at:.0f}'/>"
            )
            at += width
        drawn += f"<text x='{at + 6:.0f}' y='{end}'>{size(sum(sizes))}</text>"
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='340' height='{20 * len(parts) + 6}' "
        f"font-family='Arial' font-size='11' fill='{_GREY}'>{drawn}</svg>"
    )
    return _markdown(title, svg, legend)


def _markdown(title: str, svg: str, legend: str) -> str | None:
    # What may stand in a link's destination in Markdown is left as it is: the fewer characters.
    address = quote(svg, safe="/:='<>,;%")
    markdown = f"![{title}](data:image/svg+xml,{address})\n\n{legend}"
    return markdown if len(markdown) < LIMIT else None


def _merged(chart: Chart) -> tuple[list[Bar], int, int | None]:
    """The bars, the unit of their numbers, and the limit, with neighbours as one bar where there
    would be too many."""
    places = [bar.at for bar in chart.bars] + ([] if chart.limit is None else [chart.limit])
    span = max(places, default=0) - min(places, default=0) + 1
    if span <= _MOST_BARS:
        return list(chart.bars), chart.unit, chart.limit
    factor = round_step(span / _MOST_BARS)
    merged: dict[int, tuple[int, ...]] = {}
    for bar in chart.bars:
        known = merged.get(bar.at // factor, (0,) * len(bar.counts))
        merged[bar.at // factor] = tuple(map(sum, zip(known, bar.counts, strict=True)))
    bars = [Bar(at, "", counts) for at, counts in merged.items()]
    # The limit stands in front of its own bar: a bar that it would cut ends behind it.
    limit = None if chart.limit is None else -(-chart.limit // factor)
    return bars, chart.unit * factor, limit


def _axis_labels(first: int, last: int, unit: int, slot: int) -> list[tuple[float, str]]:
    """The middle of each label below the axis, and its number."""
    width = _DIGIT * (len(str(last * unit)) + 2)
    every = round_step(width / slot)
    every = max(every, round_step((last - first + 1) / 8))
    return [
        (_LEFT + slot * (at - first + 0.5), str(at * unit))
        for at in range(first, last + 1)
        if at % every == 0
    ]


def _texts(labels: Sequence[tuple[float, str]], most: int) -> str:
    """The numbers below the axis as one text, each digit at its place, and that of the highest bar
    beside it."""
    digits, places = "", []
    for middle, label in labels:
        begin = middle - _DIGIT * len(label) / 2
        for number, digit in enumerate(label):
            digits += digit
            places.append(f"{begin + _DIGIT * number:.0f}")
    return (
        f"<text y='{_BASE + 11}' x='{','.join(places)}'>{digits}</text>"
        f"<text y='{_BASE - _RISE + 6}'>{_short(most)}</text>"
    )


def _short(count: int) -> str:
    """A count in at most five characters."""
    for unit, amount in (("M", 10**6), ("k", 10**3)):
        if count >= 10 * amount:
            return f"{count / amount:.0f}{unit}"
        if count >= amount and unit == "M":
            return f"{count / amount:.1f}{unit}"
    return str(count)
