"""The report to pass on: one HTML file, in English or Korean, that opens without any request.

What it says is read by `facts`; here it is put into words. Served by the page it also links to rows
and assets; as a file it links to nothing but the commits of public repositories.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from markupsafe import Markup

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import Condition, Verdict
from wmtp_assets.artifacts.loading import LOADING
from wmtp_assets.errors import WmtpError
from wmtp_assets.pages.charts_of_quality import quality_words
from wmtp_assets.pages.charts_of_rows import difficulty_chart, token_chart
from wmtp_assets.pages.facts import ReportFacts, SplitFacts, dropped, facts_of
from wmtp_assets.pages.html import templates
from wmtp_assets.pages.language import LANGUAGES, Language, saying, words_of
from wmtp_assets.pages.row_query import RowQuery
from wmtp_assets.pages.rows import Answer, message_page
from wmtp_assets.pages.text import visible
from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.disk import make_folders
from wmtp_assets.storage.errors import storage_errors

REPORT: Final = "/report"
REASONS_SHOWN = 5  # of a condition that is not met

# With {asked} for the words by which `open_corpus` finds the split.
READING: Final = """\
import wmtp_assets
corpus = wmtp_assets.open_corpus("storage", {asked})
easy = corpus.select(difficulty=(1, 11), tokens=(0, 1024))"""
READING_PLAIN: Final = """\
import wmtp_assets
corpus = wmtp_assets.open_corpus("storage", {asked})
row = corpus[0]"""


def file_name(language: Language) -> str:
    """What the report is called below the storage."""
    return "report.html" if language == "en" else f"report.{language}.html"


def write_report(project: Project, language: Language, target: Path | None = None) -> Path:
    """Writes the report, in one step, to `target` or below the storage; where it lies.

    Raises StorageError where the disk refuses.
    """
    if target is None:
        target = project.store.root / file_name(language)
        with storage_errors("Writing the report", target):
            make_folders(target.parent)
        target = project.store.writable(target)
    with storage_errors("Writing the report", target):
        write_bytes(target, report_page(facts_of(project), language).encode("utf-8", "replace"))
    return target


def keep_reports_true(project: Project, verdict: Verdict) -> None:
    """Writes the reports below the storage anew where the gate is closed.

    While it is, no asset that depends on it is made, and a report that says "open" would stay.
    Raises StorageError.
    """
    for language in LANGUAGES:
        if not verdict.open and (project.store.root / file_name(language)).is_file():
            write_report(project, language)


def served_report(project: Project, asked: str) -> Answer:
    """The report as it is now, for the page: `asked` is the query, `lang=ko` or nothing."""
    query = parse_qsl(asked[:200], keep_blank_values=True)
    known = {f"lang={language}": language for language in LANGUAGES}
    language = known.get("&".join(map("=".join, query)), None if query else "en")
    if language is None:
        error = WmtpError(
            "This address cannot be read",
            expected=" or ".join(f"{REPORT}?{one}" for one in known),
            found=f"{REPORT}?{asked[:100]}",
        )
        return message_page(project, "no_address", error, 400)
    return Answer(report_page(facts_of(project), language, served=True))


def report_page(facts: ReportFacts, language: Language, served: bool = False) -> str:
    """The report on these facts as an HTML document. `served`: with links to other pages."""
    said = saying(language)
    words = words_of(language)

    def described(condition: Condition) -> Markup:
        """What a condition asks for: in the language, where it has words for it."""
        name, owner = f"condition_{condition.name}", condition.name.removesuffix("_ready")
        if name in words:
            return said(name)
        if owner != condition.name and "condition_ready" in words:
            return said("condition_ready", owner=owner)
        return Markup('<span lang="en">{}</span>').format(visible(condition.description))

    def here(text: str) -> str:
        """A text without the place of the storage on this machine, which is nobody else's."""
        return text.replace(f"{facts.storage}/", "").replace(str(facts.storage), "storage")

    def charts(split: SplitFacts) -> dict[str, object]:
        if split.facets is None:
            raise ValueError(f"{split.of.path} has trouble, and no counts to draw")
        path, query = split.of.path, RowQuery(lang=language) if served else None
        classed = split.of.format.classed
        scales = split.quality.figures.scales if split.quality else None
        lengths = scales.lengths if scales and classed else None
        return {
            "difficulty": difficulty_chart(split.facets, classed, query, path, language),
            "tokens": token_chart(
                split.facets.tokens, split.of.max_tokens, query, path, language, lengths
            ),
        }

    return (
        templates()
        .get_template("report.html")
        .render(
            lang=language,
            languages={one: words_of(one)["language"] for one in LANGUAGES},
            facts=facts,
            verdict=facts.verdict,
            say=said,
            served=served,
            charts=charts,
            dropped=dropped,
            **quality_words(language),
            described=described,
            here=here,
            loading=LOADING,
            reading=READING,
            reading_plain=READING_PLAIN,
            reasons_shown=REASONS_SHOWN,
        )
    )
