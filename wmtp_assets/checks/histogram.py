"""A bar chart small enough to stand inside a check's page: an SVG in a data URI.

Dagster shows a Markdown image of fewer than 1,000 characters in place; raw SVG is stripped.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

_LIMIT = 1000
_WIDTH, _HEIGHT = 7, 40  # of a bar and of the tallest one, in pixels


def histogram_markdown(counts: Mapping[str, int], inside: range) -> str | None:
    """The counts as bars in the order given, those of `inside` dark; None where it grows too long.

    Only numbers reach the picture: labels that are not whole numbers are drawn as outside.
    """
    most = max(counts.values(), default=0)
    if not most:
        return None
    dark: list[str] = []
    light: list[str] = []
    for place, (label, count) in enumerate(counts.items()):
        height = max(1, round(_HEIGHT * count / most))
        bar = f"M{place * (_WIDTH + 1)} {_HEIGHT}v-{height}h{_WIDTH}v{height}"
        (dark if label.isdigit() and int(label) in inside else light).append(bar)
    picture = (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{len(counts) * (_WIDTH + 1)}' "
        f"height='{_HEIGHT}'><path fill='#456' d='{''.join(dark)}'/>"
        f"<path fill='#e80' d='{''.join(light)}'/></svg>"
    )
    markdown = f"![difficulties](data:image/svg+xml,{quote(picture, safe='/:=')})"
    return markdown if len(markdown) < _LIMIT else None
