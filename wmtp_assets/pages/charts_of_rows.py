"""The pictures of a split: difficulty by class, and length against the limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wmtp_assets.corpora.report import TOKEN_BIN
from wmtp_assets.pages.chart import Bar, Chart
from wmtp_assets.pages.language import Language, words_of
from wmtp_assets.pages.row_facets import NONE, Facets
from wmtp_assets.pages.row_query import CLASSES, Range, RowQuery
from wmtp_assets.quality.figures.scales import Length


def difficulty_chart(
    facets: Facets,
    classed: bool,
    query: RowQuery | None = None,
    path: str = "",
    language: Language = "en",
) -> Chart | None:
    """Rows by difficulty and class, a gap where a number does not occur; None without difficulties.

    With a `query`, bars link to their rows below `path`.
    """
    words = words_of(language)
    bars = []
    for value, counts in sorted(facets.difficulty.items()):
        if value == NONE:
            continue
        found = tuple(counts.get(one, 0) for one in (CLASSES.values() if classed else (NONE,)))
        template = words["difficulty_class_bar" if classed else "difficulty_bar"]
        href, chosen = _link(query, "difficulty", (value, value), path)
        bars.append(Bar(value, template.format(value, *found), found, href, chosen))
    if not bars:
        return None
    return Chart(words["difficulty_title"], words["difficulty_axis"], words["rows"], bars)


def token_chart(
    counts: Mapping[int, int],
    limit: int,
    query: RowQuery | None = None,
    path: str = "",
    language: Language = "en",
    lengths: Mapping[str, Length] | None = None,
) -> Chart | None:
    """Rows by length in steps of `TOKEN_BIN`, with the longest that is allowed; None without rows.

    With a `query`, bars link to their rows below `path`; with `lengths` of the same rows they are
    parted by class.
    """
    words = words_of(language)
    bars = []
    by_class = [(lengths or {})[name].bins for name in CLASSES if name in (lengths or {})]
    for place, times in sorted(counts.items()):
        low, high = place * TOKEN_BIN, min((place + 1) * TOKEN_BIN - 1, limit)
        href, chosen = _link(query, "tokens", (low, high), path)
        if by_class:
            parts = tuple(bins[place] if place < len(bins) else 0 for bins in by_class)
            template = "tokens_class_bar" if len(parts) == len(CLASSES) else "tokens_bar"
        else:
            parts, template = (times,), "tokens_bar"
        bars.append(Bar(place, words[template].format(low, high, *parts), parts, href, chosen))
    if not bars:
        return None
    # Behind the step that holds the limit: a row may be exactly as long.
    return Chart(
        words["tokens_title"],
        words["tokens_axis"],
        words["rows"],
        bars,
        TOKEN_BIN,
        limit // TOKEN_BIN + 1,
        words["limit"].format(limit),
    )


def _link(query: RowQuery | None, field: str, bounds: Range, path: str) -> tuple[str, bool]:
    """Where a bar leads to, and whether its rows are among those that are asked for."""
    if query is None:
        return "", False
    given: Range | None = getattr(query, field)
    chosen = given is not None and given[0] <= bounds[1] and bounds[0] <= given[1]
    wanted = (
        replace(query, difficulty=bounds, page=1)
        if field == "difficulty"
        else replace(query, tokens=bounds, page=1)
    )
    return wanted.address(path), chosen
