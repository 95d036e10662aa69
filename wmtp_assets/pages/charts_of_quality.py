"""What is drawn of a split's quality, and what its numbers are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from markupsafe import Markup

from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.records import LANGUAGES
from wmtp_assets.pages.language import Language, words_of
from wmtp_assets.pages.rate_chart import Interval, RateChart, RateGroup
from wmtp_assets.pages.text import visible
from wmtp_assets.quality.figures.clusters import SIZES
from wmtp_assets.quality.figures.labels import Labels, Rate


def rates_chart(
    labels: Labels, by: str, row_format: DatasetFormat, language: Language = "en"
) -> RateChart | None:
    """How often the labels of each class hold, of all rows and by `source`, `difficulty` or
    `language`; None where no rate is stated."""
    words = words_of(language)
    groups = []
    every = [(words["all_rows_label"], rates) for rates in labels.by("all").values()]
    for value, rates in sorted(labels.by(by).items(), key=lambda item: (item[0] is None, item[0])):
        every.append((value_name(by, value, row_format), rates))
    for label, rates in every:
        intervals = [_interval(rates.get(name), label, words) for name in series_of(labels)]
        if any(intervals):
            groups.append(RateGroup(label, intervals))
    if not groups:
        return None
    return RateChart(words["rates_title"], words[f"by_{by}"], words["rates_axis"], groups)


def series_of(labels: Labels) -> tuple[str, ...]:
    """The classes of the rates, in the order of their colours."""
    there = {rate.of for rate in labels.rates}
    return tuple(name for name in ("correct", "incorrect", "rows") if name in there)


def value_name(by: str, value: int | None, row_format: DatasetFormat) -> str:
    """What a source, difficulty or language is called; a number without a name stands as it is."""
    names: Mapping[int, str] = {
        "source": row_format.source_names,
        "difficulty": row_format.difficulty_names,
        "language": LANGUAGES,
    }.get(by, {})
    return "–" if value is None else names.get(value, str(value))


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction in percent, with `digits` behind the point; a dash where there is none."""
    return "–" if fraction is None else f"{100 * fraction:.{digits}f} %"


def interval_of(rate: Rate) -> str:
    """The ends of a rate's interval, in percent."""
    if rate.low is None or rate.high is None:
        return "–"
    return f"{100 * rate.low:.1f}–{100 * rate.high:.1f} %"


def _interval(rate: Rate | None, label: str, words: Mapping[str, str]) -> Interval | None:
    if rate is None or rate.rate is None or rate.low is None or rate.high is None:
        return None
    title = words["rate_bar"].format(
        label,
        words[rate.of],
        percent(rate.rate),
        percent(rate.low),
        percent(rate.high),
        rate.judged,
    )
    return Interval(rate.rate, rate.low, rate.high, title)


def quality_words(language: Language) -> Mapping[str, Callable[..., object]]:
    """What a template asks for by name to say the figures on quality."""
    words = words_of(language)

    def word(kind: str) -> Callable[[str], Markup]:
        """Our own word for a name that a file states; a name that we have no word for as it is."""

        def say(name: str) -> Markup:
            known = words.get(f"{kind}_{name}")
            return visible(name, 60) if known is None else Markup(known)  # noqa: S704 - our own

        return say

    return {
        "percent": percent,
        "interval_of": interval_of,
        "value_name": value_name,
        "series_of": series_of,
        "rates_chart": rates_chart,
        "verdict_word": word("verdict"),
        "apart_word": word("apart"),
        "how_word": word("how"),
        "size_range": size_range,
    }


def size_range(least: int) -> str:
    """The range of cluster sizes that begins at `least`."""
    place = SIZES.index(least)
    if place + 1 == len(SIZES):
        return f"{least:,}+"
    most = SIZES[place + 1] - 1
    return f"{least:,}" if most == least else f"{least:,}–{most:,}"
