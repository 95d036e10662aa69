"""What the report says of a split's quality: the figures of its files, whatever they quote."""

from __future__ import annotations

import dataclasses
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.errors import WmtpError
from wmtp_assets.pages.asset import asset_facts
from wmtp_assets.pages.asset.quality import PLOTTED
from wmtp_assets.pages.charts_of_quality import interval_of, percent, rates_chart, size_range
from wmtp_assets.pages.facts import ReportFacts, facts_of
from wmtp_assets.pages.language import LANGUAGES, Language
from wmtp_assets.pages.quality_facts import QualityFacts
from wmtp_assets.pages.rate_chart import Interval, RateChart, RateGroup, rate_chart
from wmtp_assets.pages.report import report_page
from wmtp_assets.pages.small_picture import LIMIT, whiskers
from wmtp_assets.quality.figures.clusters import SIZES
from wmtp_assets.quality.figures.funnel import Stated
from wmtp_assets.quality.figures.labels import Rate
from wmtp_assets.quality.figures.split import Figures
from wmtp_assets_tests.pages.quality_planting import planted, with_quality
from wmtp_assets_tests.pages.reading import Read, check_harmless

FORMAT = FORMATS["code-contests"]


@pytest.fixture(scope="module")
def facts(project: Project) -> ReportFacts:
    """The report's facts, and nothing on quality: each test gives its own."""
    facts = facts_of(project)
    datasets = [
        dataclasses.replace(
            dataset,
            splits=[dataclasses.replace(split, quality=None) for split in dataset.splits],
        )
        for dataset in facts.datasets
    ]
    return dataclasses.replace(facts, datasets=datasets)


@pytest.fixture(scope="module")
def figures(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Figures:
    return planted(project, tmp_path_factory.mktemp("quality"))


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


def shown(facts: ReportFacts, figures: Figures, language: Language = "en", **unmade: Any) -> Read:
    """The report with these figures of its first split, as a file."""
    return check_harmless(report_page(with_quality(facts, QualityFacts(figures, unmade)), language))


def test_every_figure_is_on_the_page(
    facts: ReportFacts, figures: Figures, language: Language
) -> None:
    page = shown(facts, figures, language)
    words = re.sub(r"\s+", " ", page.words)
    assert figures.labels is not None
    for rate in figures.labels.rates:
        if rate.judged:
            assert percent(rate.rate) in words
            assert interval_of(rate) in words
    assert figures.leaks is not None
    assert all(one.excerpt_there.split("\n")[0] in words for one in figures.leaks.shown)
    assert figures.clusters is not None
    assert f"{figures.clusters.clusters}" in words
    assert "mbpp test (500)" in words
    assert figures.clusters.conflicts == {"texts": 1, "correct": 2, "incorrect": 3}
    for step in figures.funnel.steps.values():
        assert all(f"{count:,}" in words for count in step.values())
    assert page.classes["rate"] == sum(
        1
        for by in ("source", "difficulty")
        for rate in [*figures.labels.by(by).values(), *figures.labels.by("all").values()]
        for one in rate.values()
        if one.judged
    ), "a line for each rate, and for all rows in each picture"
    assert "<script>alert(1)</script>U+202EU+0000" in words, "as text"


def test_nothing_is_said_where_nothing_was_found_out_or_asked_for(
    facts: ReportFacts, figures: Figures, language: Language
) -> None:
    bare = dataclasses.replace(figures, labels=None, leaks=None, clusters=None)
    page = shown(facts, bare, language)
    assert page.classes.get("rate", 0) == 0
    assert page.classes.get("trouble", 0) == 0


def test_what_the_catalog_asks_for_and_is_not_made_has_its_command(
    project: Project, facts: ReportFacts, figures: Figures, language: Language
) -> None:
    bare = dataclasses.replace(figures, labels=None)
    artifact = project.artifacts["datasets/codecontests_train_metadata"]
    page = shown(facts, bare, language, labels=artifact)
    assert f"wmtp materialize {artifact.name}" in page.words


def test_trouble_with_one_part_leaves_the_others(
    facts: ReportFacts, figures: Figures, language: Language
) -> None:
    wrong = WmtpError("<b>damaged</b>", found="\u202e", where="x", hint="wmtp materialize it")
    broken = dataclasses.replace(figures, leaks=None, troubles={"leaks": wrong})
    page = shown(facts, broken, language)
    assert page.classes["trouble"] == 1
    assert "<b>damaged</b>" in page.words
    assert page.classes["rate"]


def test_a_machine_that_executed_nothing_says_so(
    project: Project, facts: ReportFacts, tmp_path: Path, language: Language
) -> None:
    nothing = planted(project, tmp_path, executed=False, why="no Landlock <here>", rates=[])
    page = shown(facts, nothing, language)
    assert "no Landlock <here>" in page.words
    assert not page.classes.get("rate")


def test_a_loss_has_a_number_and_a_reason(facts: ReportFacts, figures: Figures) -> None:
    same = dataclasses.replace(figures.funnel, stated=Stated(6.8, 408, 3, 407))
    words = shown(facts, dataclasses.replace(figures, funnel=same)).words
    assert "so 408 ± 3 for 60 problems. Found: 407. Kept: 381, 6.3 per problem." in words
    assert "agrees within rounding" in words
    assert "Lost here: 26 (6.4 %)" in words
    other = dataclasses.replace(figures.funnel, stated=Stated(9.0, 540, 3, 407))
    assert "differs by −133" in shown(facts, dataclasses.replace(figures, funnel=other)).words
    none = dataclasses.replace(figures.funnel, stated=None)
    assert "AlphaCode" not in shown(facts, dataclasses.replace(figures, funnel=none)).words


def test_the_funnel_of_the_sample_is_not_compared_with_a_publication(
    project: Project, facts: ReportFacts
) -> None:
    quality = facts_of(project).datasets[0].splits[0].quality
    assert quality is not None
    assert quality.figures.labels is not None
    funnel = dataclasses.replace(quality.figures, labels=None)
    assert "AlphaCode" not in shown(facts, funnel).words


@pytest.mark.parametrize("groups", [0, 1, 8, 24, 80])
def test_intervals_are_drawn_where_they_are(groups: int) -> None:
    one = Interval(0.5, 0.25, 1.0, "half <b>")
    chart = RateChart("t", "x", "y", [RateGroup(f"label {n}", [one, None]) for n in range(groups)])
    svg = ElementTree.fromstring(rate_chart(chart))  # noqa: S314 - our own
    drawn = [g for g in svg.iter("g") if g.get("class") == "rate"]
    assert len(drawn) == groups
    for each in drawn:
        line = next(each.iter("path")).get("d") or ""
        found = re.match(r"M([\d.]+) ([\d.]+)H([\d.]+)", line)
        assert found
        low, high = float(found[1]), float(found[3])
        dot = next(each.iter("rect"))
        middle = float(dot.get("x") or 0) + float(dot.get("width") or 0) / 2
        assert low < middle < high
        assert (middle - low) / (high - low) == pytest.approx(1 / 3, abs=0.02)
    labels = [text for text in svg.iter("text") if (text.text or "").startswith("label")]
    assert [text.text for text in labels] == [f"label {n}" for n in range(groups)], "every one"
    places = [float(text.get("y") or 0) for text in labels]
    assert all(b - a > 11 for a, b in pairwise(places)), "none covers another"
    height = float((svg.get("viewBox") or "").split()[3])
    assert all(place < height for place in places)
    small = whiskers(chart, "legend")
    assert (small is None) == (groups in (0, 80)), "what is too long is not shown in place"
    assert small is None or len(small) < LIMIT
    assert not re.search(r"V\d+H|H\d+V", small or ""), "a line with a corner would be filled"


def test_rates_stand_in_upstreams_order_behind_those_of_all_rows(figures: Figures) -> None:
    assert figures.labels is not None
    chart = rates_chart(figures.labels, "source", FORMAT)
    assert chart is not None
    assert [group.label for group in chart.groups] == [
        "all", "CodeChef", "Codeforces", "HackerEarth", "CodeJam", "AtCoder", "Aizu",
    ]  # fmt: skip
    nothing = dataclasses.replace(figures.labels, rates=[])
    assert rates_chart(nothing, "source", FORMAT) is None


def test_numbers_are_said_as_people_say_them() -> None:
    assert [percent(0.85049), percent(0.8505, 2), percent(None)] == ["85.0 %", "85.05 %", "–"]
    none = Rate("all", None, "correct", 0, 0, None, None, None)
    assert interval_of(none) == "–"
    assert [size_range(least) for least in SIZES] == ["1", "2", "3–4", "5–9", "10–99", "100+"]


def test_pages_of_what_was_found_out_are_those_of_the_files(project: Project) -> None:
    about = [one for one in project.artifacts.values() if one.is_about_quality]
    seen = set()
    for artifact in about:
        receipt = project.store.current(artifact.name)
        assert receipt is not None, artifact.name
        page: dict[str, Any] = asset_facts(project, receipt)
        folder = project.store.path(artifact.name)
        for path in sorted(folder.glob("*_verdicts.json")):
            document = json.loads(path.read_bytes())
            every = next(one for one in document["rates"] if one["by"] == "all")
            assert page["drawn"] == document["drawn"]
            assert page[PLOTTED[every["class"]]] == every["rate"]
            said = page["labels hold"].rows[0]["rate"]
            assert said.startswith(f"{percent(every['rate'])} (")
            assert page["labels"].markdown.startswith("![Labels that hold](data:image/svg+xml,")
            seen.add("verdicts")
        for path in folder.glob("*_leaks.parquet"):
            rows = pq.read_table(path, columns=["row"])["row"].to_pylist()
            assert (page["leaked_rows"], page["pairs"]) == (len(set(rows)), len(rows))
            assert sum(row["rows"] for row in page["by set"].rows) >= len(set(rows))
            seen.add("leaks")
        for path in folder.glob("*_duplicates.parquet"):
            clusters = pq.read_table(path)["cluster"].to_pylist()
            assert page["clusters"] == len(set(clusters))
            assert sum(row["clusters"] for row in page["sizes"].rows) == page["clusters"]
            seen.add("duplicates")
    assert seen == {"verdicts", "leaks", "duplicates"}


def test_the_report_states_what_the_storage_holds(project: Project) -> None:
    facts = facts_of(project)
    split = facts.datasets[0].splits[0]
    assert split.quality is not None
    figures = split.quality.figures
    assert not split.quality.unmade
    assert not figures.troubles
    assert figures.labels is not None
    assert figures.leaks is not None
    assert figures.clusters is not None
    words = check_harmless(report_page(facts, "en")).words
    assert f"{percent(figures.labels.by('all')[None]['correct'].rate)}" in words
    assert f"{figures.leaks.rows} rows" in re.sub(r"\s+", " ", words)


def test_rates_that_were_changed_are_not_passed_on(copied: Project) -> None:
    (path,) = copied.store.path("datasets/codecontests_train_verdicts").glob("*_verdicts.json")
    path.chmod(0o644)
    path.write_text(path.read_text().replace('"rate": ', '"rate": 0.0'))
    split = facts_of(copied).datasets[0].splits[0]
    assert split.quality is not None
    assert split.quality.figures.labels is None
    trouble = split.quality.figures.troubles["labels"]
    assert "not as its receipt says" in trouble.problem
    assert trouble.hint == "wmtp materialize datasets/codecontests_train_verdicts --force"
