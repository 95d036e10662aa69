"""The pages of splits and of what describes them: pictures, the funnel, some rows, and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.types import Split
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.records import LANGUAGES
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.pages.asset.quality import funnel_by_class, scales_shown
from wmtp_assets.pages.asset.values import (
    SHOWN_FIELDS,
    WORD_BESIDE,
    Cell,
    Facts,
    Link,
    Picture,
    Table,
    narrow,
    numbers,
)
from wmtp_assets.pages.charts_of_rows import difficulty_chart, token_chart
from wmtp_assets.pages.facts import dropped, sample_lines, whole_funnel
from wmtp_assets.pages.language import words_of
from wmtp_assets.pages.row_facets import Facets, facets_of_all
from wmtp_assets.pages.row_query import CLASSES, FLAGS
from wmtp_assets.pages.rows import Line, SplitOfRows, rows_of
from wmtp_assets.pages.small_picture import COLOUR_NAMES, picture
from wmtp_assets.pages.text import plain
from wmtp_assets.quality.figures.funnel import funnel_of
from wmtp_assets.quality.figures.scales import scales_of
from wmtp_assets.storage.receipts import Receipt

_TEXT: Final = 70  # characters of a row's text in a table


def of_rows(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A split or small copy: pictures, the funnel, five rows, and counts."""
    split = _split(project, artifact)
    stats, where = receipt.facts["stats"], split.format
    facets = facets_of_all(stats)
    corpus = Corpus(Split(folder, receipt).jsonl)
    lines = sample_lines(corpus)
    tokens = stats["tokens"].get("total_tokens", {})
    return {
        **_pictures(split, facets),
        "classes": _classes(facets, int(stats["problems_with_rows"])),
        **_length_picture(split, facets),
        "funnel": Table(_funnel(project, split, receipt)),
        **funnel_by_class(funnel_of(stats, where, as_published=False)),
        **scales_shown(scales_of(corpus.row_index), where),
        "some rows": Table([_line(line, where) for line in lines]),
        "all rows": Link(split.path),
        "columns": Table(_columns(row_schema(where))),
        **_origin(stats, where),
        **numbers(receipt, "rows", "correct", "incorrect"),
        "problems": int(stats["problems_with_rows"]),
        **({"tokens_mean": tokens["mean"], "tokens_max": tokens["max"]} if tokens else {}),
    }


def of_row_metadata(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """The same pictures as of the rows that it describes."""
    of = project.artifacts[artifact.inputs[0]]
    split = _split(project, of)
    rows = project.store.versions.receipt(of.name, receipt.inputs[of.name][:12])
    facets = facets_of_all(rows.facts["stats"])
    return {
        **_pictures(split, facets),
        "classes": _classes(facets, int(rows.facts["stats"]["problems_with_rows"])),
        "entries": f"one per row of {of.name}, version {rows.version}",
        "all rows": Link(split.path),
        **numbers(receipt, "rows", "correct", "incorrect"),
    }


def of_problem_metadata(
    project: Project, artifact: Artifact, folder: Path, receipt: Receipt
) -> Facts:
    """The same, and how many pairs of a right and a wrong solution its problems give."""
    facts = receipt.facts
    pairs = f"{facts['total_possible_pairs']:,} of a correct and an incorrect solution"
    problems = f"{facts['n_valid_problems']:,} of {facts['n_problems']:,} problems"
    return {
        **of_row_metadata(project, artifact, folder, receipt),
        "pairs": f"{pairs}, in {problems}" if facts["has_problem_id"] else "none: no classes",
    }


def of_schema(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A schema: its layout. Dagster lists its columns above all facts."""
    return {"layout": plain(str(receipt.facts.get("layout", "")))}


def _line(line: Line, where: DatasetFormat) -> Mapping[str, Cell]:
    """A row in two cells: which it is, and how it begins."""
    known = [f"{line.number:,}"]
    if line.class_:
        known.append(line.class_)
    if line.difficulty is not None:
        known.append(_difficulty(line.difficulty, where))
    known.append(f"{line.total_tokens:,} tokens")
    texts = [narrow(line.text(name), _TEXT, WORD_BESIDE) for name in ("instruction", "output")]
    return {
        "row": ", ".join(known),
        "instruction → output": "not readable" if line.fault else " → ".join(texts),
    }


def _columns(schema: Mapping[str, Any], prefix: str = "") -> list[Mapping[str, Cell]]:
    """The fields of a JSON Schema, those of an inner object as `outer.inner`."""
    rows: list[Mapping[str, Cell]] = []
    for name, rule in schema["properties"].items():
        if rule.get("type") == "object":
            rows += _columns(rule, f"{prefix}{name}.")
            continue
        kind = rule.get("type", "string")
        if kind == "array":
            kind = f"array of {rule['items']['type']}"
        what = f"{kind}. {rule.get('description', '')}".strip()
        rows.append({"column": narrow(f"{prefix}{name}", 60, WORD_BESIDE), "type": plain(what)})
    return rows[:SHOWN_FIELDS]


def _split(project: Project, artifact: Artifact) -> SplitOfRows:
    split = rows_of(project.catalog, artifact)
    if split is None:
        raise TypeError(f"{artifact.name} holds no rows")
    return split


def _pictures(split: SplitOfRows, facets: Facets) -> Facts:
    chart = difficulty_chart(facets, split.format.classed)
    if chart is None:
        return {}
    colours = ""
    if split.format.classed:
        colours = ", ".join(
            f"{colour}: {name}" for colour, name in zip(COLOUR_NAMES, CLASSES, strict=True)
        )
    unknown = facets.difficulty.get(0)
    named = split.format.difficulty_names.get(0)
    legend = colours + (f" (0: {named})" if unknown and named else "")
    drawn = picture(chart, legend)
    return {"difficulty": Picture(drawn) if drawn else Link(split.path)}


def _length_picture(split: SplitOfRows, facets: Facets) -> Facts:
    chart = token_chart(facets.tokens, split.max_tokens)
    if chart is None:
        return {}
    drawn = picture(chart, f"{chart.x}; the line is the limit, {split.max_tokens:,}")
    return {"tokens": Picture(drawn) if drawn else Link(split.path)}


def _classes(facets: Facets, problems: int) -> str:
    """E.g. "188 correct (49.3 %), 193 incorrect (50.7 %), of 57 problems"."""
    counted = [
        f"{facets.classes[number]:,} {name} ({facets.classes[number] / facets.rows:.1%})"
        for name, number in CLASSES.items()
        if facets.classes.get(number)
    ]
    return (
        f"{', '.join(counted) or f'{facets.rows:,} rows without a class'}, of {problems:,} problems"
    )


def _difficulty(value: int, where: DatasetFormat) -> str:
    name = where.difficulty_names.get(value)
    return f"{value} ({name})" if name else str(value)


def _funnel(project: Project, split: SplitOfRows, receipt: Receipt) -> list[Mapping[str, Cell]]:
    """From upstream's rows to those that are kept; of a small copy, from the whole split's."""
    counts = whole_funnel(receipt.facts["stats"])
    if split.artifact.is_small:
        whole = project.store.versions.receipt(
            split.artifact.inputs[0], receipt.inputs[split.artifact.inputs[0]][:12]
        )
        begin, end = int(whole.facts["rows"]), counts["kept"]
        return [
            {"step": "the whole split", "rows": f"{begin:,}", "share": ""},
            {"step": "chosen", "rows": f"{end:,}", "share": _share(end, begin)},
        ]
    words, whole_count = words_of("en"), counts["candidates"]
    first = words["candidates" if split.format.classed else "candidates_plain"]
    return [
        {"step": first, "rows": f"{whole_count:,}", "share": ""},
        *(
            {
                "step": words[reason].format(limit=f"{split.max_tokens:,}"),
                "rows": f"-{count:,}",
                "share": _share(count, whole_count),
            }
            for reason, count in dropped(counts).items()
        ),
        {
            "step": words["kept"],
            "rows": f"{counts['kept']:,}",
            "share": _share(counts["kept"], whole_count),
        },
    ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _origin(stats: Mapping[str, Mapping[str, int]], where: DatasetFormat) -> Facts:
    """Where rows come from, in which languages, and what is remarkable of them: by name."""
    found: Facts = {}
    for label, key, names in (
        ("sources", "source_dist", where.source_names),
        ("languages", "language_dist", LANGUAGES),
    ):
        known = {str(number): name for number, name in names.items()}
        counted = sorted(stats[key].items(), key=lambda item: -item[1])
        said = [
            # A number of upstream's that has no name is said as it is.
            f"{known.get(value, value)} {times:,}"
            for value, times in counted[:12]
            if value != "null"
        ]
        if said:
            found[label] = ", ".join(said)
    flags: Counter[str] = Counter()
    for value, times in stats["flags_dist"].items():
        for name, bit in FLAGS.items():
            if int(value) & bit:
                flags[name.replace("-", " ")] += times
    if flags:
        found["flags"] = ", ".join(f"{name} {times:,}" for name, times in flags.most_common())
    return found
