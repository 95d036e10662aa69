"""Templates and the style sheet, and the policy that a browser holds our pages to."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wmtp_assets.pages.chart import bar_chart, shares
from wmtp_assets.pages.rate_chart import rate_chart
from wmtp_assets.pages.text import excerpt, size, visible


@cache
def templates() -> Environment:
    """The templates of this package: everything that is put into them is escaped."""
    environment = Environment(
        loader=PackageLoader("wmtp_assets.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "visible": visible,
        "excerpt": excerpt,
        "size": size,
        "chart": bar_chart,
        "rates": rate_chart,
        "sum_of": lambda counts: sum(counts.values()),
        "count": lambda number: f"{number:,}",
    }
    style = style_sheet()
    environment.globals |= {
        "style": Markup(style),  # noqa: S704 - our own file
        "policy": policy(),
        "shares": shares,
    }
    return environment


def load_templates() -> None:
    """Compiles every template now, so that no reader waits for it."""
    for name in templates().list_templates(extensions=["html"]):
        templates().get_template(name)


@cache
def style_sheet() -> str:
    """The one style sheet, which every page holds whole."""
    return files("wmtp_assets.pages").joinpath("templates/style.css").read_text("utf-8")


@cache
def policy() -> str:
    """The Content-Security-Policy of our pages: this style sheet, links, forms to this server, and
    nothing else: no script, no request. (A page without an icon of its own asks for one.)"""
    digest = base64.b64encode(hashlib.sha256(style_sheet().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "base-uri 'none'"
    )


HTML: Final = "text/html; charset=utf-8"
