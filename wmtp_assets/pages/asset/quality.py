"""The pages of what is found out about rows: verdicts, leaks, near-duplicates; and of a split what
its row index says of difficulty and length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.types import Split
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.annotations import AnnotationFile, AnnotationKind, about
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.pages.asset.values import WORD_BESIDE, Cell, Facts, Link, Picture, Table, narrow
from wmtp_assets.pages.charts_of_quality import (
    interval_of,
    percent,
    rates_chart,
    series_of,
    size_range,
    value_name,
)
from wmtp_assets.pages.language import words_of
from wmtp_assets.pages.rows import rows_of
from wmtp_assets.pages.small_picture import COLOUR_NAMES, whiskers
from wmtp_assets.quality.figures.clusters import clusters_of
from wmtp_assets.quality.figures.funnel import ALL, Funnel
from wmtp_assets.quality.figures.labels import Labels, labels_of
from wmtp_assets.quality.figures.leaks import leaks_of
from wmtp_assets.quality.figures.scales import Grade, Scales
from wmtp_assets.storage.receipts import Receipt

PLOTTED: Final = {"correct": "true_positive", "incorrect": "true_negative", "rows": "rows_pass"}
"""By the class of a rate: what it is called where it is plotted over time."""
_TEXT: Final = 70  # characters of a row's text in a table
_PAIRS: Final = 8  # of leaks
_FAILING: Final = 12
_STEPS: Final = ("other_languages", "null_solutions", "too_long_by_bound", "too_long_by_count")


def of_verdicts(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """Executed rows: how often labels hold, with intervals, and what came out."""
    rows, index = _rows(project, artifact, receipt)
    (name,) = (name for name in receipt.files if name.endswith(".json"))
    labels = labels_of(folder / name, about(index))
    row_format = format_of(project.catalog, rows)
    shown: Facts = {}
    if not labels.executed:
        shown["nothing run"] = narrow(labels.why, 400)
    chart = rates_chart(labels, "source", row_format)
    if chart is not None:
        colours = (
            f"{colour}: {name}"
            for colour, name in zip(COLOUR_NAMES, series_of(labels), strict=False)
        )
        places = ", ".join(group.label for group in chart.groups)
        drawn = whiskers(chart, f"{', '.join(colours)}; from left: {places}. Lines: 95 %")
        if drawn:
            shown["labels"] = Picture(drawn)
    return {
        **shown,
        "labels hold": Table(_rates(labels, row_format)),
        "verdicts": Table(
            [
                {"rows": of, "verdicts": _counted(_verdict_words(counts))}
                for of, counts in labels.verdicts.items()
            ]
        ),
        **_apart(labels),
        **_failing(labels),
        "drawn": labels.drawn,
        **{
            PLOTTED[of]: rate.rate
            for of, rate in labels.by("all").get(None, {}).items()
            if rate.rate is not None and of in PLOTTED
        },
        **_all_rows(project, rows),
    }


def of_leaks(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """Leaks: how many rows hold which evaluation set, and pairs with both excerpts."""
    rows, index = _rows(project, artifact, receipt)
    leaks = leaks_of(_annotation(folder, receipt, "leaks", index))
    counts: list[Mapping[str, Cell]] = [
        {
            "set": narrow(f"{one.dataset} {one.split}, {one.how}, {one.field}", 80, WORD_BESIDE),
            "rows": one.rows,
        }
        for one in leaks.counts
    ]
    pairs: list[Mapping[str, Cell]] = [
        {
            "row": narrow(f"{one.row:,}: {one.excerpt}", _TEXT, WORD_BESIDE),
            "there": narrow(
                f"{one.dataset} {one.row_there:,}: {one.excerpt_there}", _TEXT, WORD_BESIDE
            ),
        }
        for one in leaks.shown[:_PAIRS]
    ]
    share = percent(leaks.rows / len(index) if len(index) else None)
    return {
        "leaks": f"{leaks.rows:,} of {len(index):,} rows ({share}), in {leaks.pairs:,} pairs",
        **({"by set": Table(counts), "some pairs": Table(pairs)} if leaks.pairs else {}),
        **({"searched for": _counted(leaks.references)} if leaks.references else {}),
        "leaked_rows": leaks.rows,
        "pairs": leaks.pairs,
        **_all_rows(project, rows),
    }


def of_duplicates(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """Near-duplicates: how many clusters, of which sizes and classes."""
    rows, index = _rows(project, artifact, receipt)
    clusters = clusters_of(_annotation(folder, receipt, "duplicates", index), index)
    share = percent(clusters.clusters / clusters.rows if clusters.rows else None)
    return {
        "with one of each": f"{clusters.clusters:,} of {clusters.rows:,} rows remain ({share})",
        **(
            {"with one of each and class": _counted(clusters.per_class)} if clusters.classes else {}
        ),
        **({"of classes": _counted(clusters.classes)} if clusters.classes else {}),
        "sizes": Table(
            [
                {"rows in it": size_range(least), "clusters": count}
                for least, count in clusters.sizes.items()
            ]
        ),
        **({"both labels": _conflicts(clusters.conflicts)} if clusters.conflicts else {}),
        "clusters": clusters.clusters,
        "largest": clusters.largest,
        **_all_rows(project, rows),
    }


def scales_shown(scales: Scales, row_format: DatasetFormat) -> Facts:
    """Difficulties by source, and lengths by class."""
    graded = [one for one in scales.grades if one.difficulty is not None]
    return {
        **({"by source": Table(_by_source(graded, row_format))} if graded else {}),
        "lengths": Table(
            [
                {
                    "rows": of,
                    "tokens": f"mean {one.mean:,.0f}, median {one.median:,}, "
                    f"95 % up to {one.percentile_95:,}, longest {one.most:,}",
                }
                for of, one in scales.lengths.items()
            ]
        ),
    }


def funnel_by_class(funnel: Funnel) -> Facts:
    """What was left out of each class; nothing where the statistics count no classes."""
    classes = [name for name in funnel.columns if name != ALL]
    if not classes:
        return {}
    words = words_of("en")
    limit = f"{funnel.max_tokens:,}"

    def step(title: str, counts: Mapping[str, int]) -> Mapping[str, Cell]:
        return {"step": title, **counts}

    begin = {
        of: funnel.count("other_languages", of) + funnel.count("candidates", of) for of in classes
    }
    steps = [step(words["every_language"], begin)]
    for name in _STEPS:
        left = {of: -funnel.count(name, of) for of in classes}
        steps.append(step(words[name].format(limit=limit), left))
    steps.append(step(words["kept"], {of: funnel.count("kept", of) for of in classes}))
    return {"by class": Table(steps)}


def _conflicts(stated: Mapping[str, int]) -> str:
    return (
        f"{stated.get('texts', 0):,} texts, the same but for white space, of "
        f"{stated.get('correct', 0):,} correct and {stated.get('incorrect', 0):,} incorrect rows"
    )


def _by_source(grades: Sequence[Grade], row_format: DatasetFormat) -> list[Mapping[str, Cell]]:
    shown: list[Mapping[str, Cell]] = []
    for source, of_source in groupby(grades, key=lambda one: one.source):
        counted = [
            f"{value_name('difficulty', one.difficulty, row_format)} {sum(one.rows.values()):,}"
            for one in of_source
        ]
        scale = row_format.scales.get(source if source is not None else -1, "")
        named = value_name("source", source, row_format)
        named += f" ({scale})" if scale else ""
        shown.append({"source": named, "rows": ", ".join(counted)})
    return shown


def _rates(labels: Labels, row_format: DatasetFormat) -> list[Mapping[str, Cell]]:
    return [
        {
            "rows": f"{_of(rate.by, rate.value, row_format)}, {rate.of}",
            "rate": f"{percent(rate.rate)} ({interval_of(rate)}) of {rate.judged:,}",
        }
        for rate in labels.rates
        if rate.judged and rate.by in ("all", "source", "language")
    ]


def _of(by: str, value: int | None, row_format: DatasetFormat) -> str:
    return "all" if by == "all" else narrow(value_name(by, value, row_format), 40, WORD_BESIDE)


def _verdict_words(counts: Mapping[str, int]) -> dict[str, int]:
    words = words_of("en")
    return {words.get(f"verdict_{name}", narrow(name, 40)): times for name, times in counts.items()}


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {times:,}" for name, times in counts.items() if times)


def _apart(labels: Labels) -> Facts:
    words = words_of("en")
    said = [
        f"{words.get(f'apart_{reason}', narrow(reason, 40))}: {_counted(counts)}"
        for reason, counts in labels.apart.items()
        if any(counts.values())
    ]
    return {"in no rate": "; ".join(said)} if said else {}


def _failing(labels: Labels) -> Facts:
    failing: list[Mapping[str, Cell]] = [
        {
            "task": narrow(f"{one.row:,}: {one.task_id}", _TEXT, WORD_BESIDE),
            "why": narrow(f"{one.verdict}: {one.reason}", _TEXT, WORD_BESIDE),
        }
        for one in labels.failing[:_FAILING]
    ]
    return {"references that fail": Table(failing)} if failing else {}


def _rows(project: Project, artifact: Artifact, receipt: Receipt) -> tuple[Artifact, RowIndex]:
    """The rows that an artifact is about, and the index of the version that it was made from."""
    rows = project.artifacts[artifact.inputs[0]]
    of = project.store.versions.receipt(rows.name, receipt.inputs[rows.name][:12])
    folder = project.store.versions.home(rows.name) / of.version
    return rows, RowIndex(Split(folder, of).index)


def _annotation(
    folder: Path, receipt: Receipt, kind: AnnotationKind, index: RowIndex
) -> AnnotationFile:
    (name,) = (name for name in receipt.files if name.endswith(".parquet"))
    file = AnnotationFile(folder / name, kind)
    file.require_rows(about(index))
    return file


def _all_rows(project: Project, rows: Artifact) -> Facts:
    split = rows_of(project.catalog, rows)
    return {} if split is None else {"the rows": Link(split.path)}
