"""What was found out about a dataset's rows, to be quoted: quality/README.md, and figures.json.

The figures are those of the pages (`quality.figures`), read from the files that executing rows and
comparing them wrote. What nobody has found out is said to be so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from wmtp_assets.artifacts.evidence.terms import SAMPLE, table
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.records import LANGUAGES
from wmtp_assets.markdown import as_code, as_markdown
from wmtp_assets.quality.figures.clusters import Clusters
from wmtp_assets.quality.figures.labels import Labels, Rate
from wmtp_assets.quality.figures.leaks import Leaks
from wmtp_assets.quality.figures.split import Figures, as_json
from wmtp_assets.storage.atomic import json_bytes

_WORDS: Final = 1000  # characters of a protocol
_READING: Final = """## How to read this, and how to cite it

The true positive rate is the share that passes, of judged rows that are labelled correct; the true
negative rate the share that does not pass, of judged rows that are labelled incorrect; of rows
without a class the share that passes is given. A rate says that labels and tests agree; where they
do not, either may be wrong. Intervals are Wilson's, at 95 %: they take rows for independent, which
solutions of one problem are not.

| verdict | meaning |
| --- | --- |
| passed | every test |
| failed | another output than the stored one, an error, or a forbidden system call |
| time, memory | over the limit |
| not runnable | it could not be tried: neither right nor wrong, and in no rate |

Outputs of programs are compared token by token, white space aside; decimal numbers within 1e-6.
Cite a figure with its interval, how many rows were judged and drawn, the protocol, and the SHA-256
of the rows. Every figure is in `figures.json`; every drawn row's verdict, and the reason for it, in
`{split}_verdicts.parquet`.
"""
_PROTOCOL: Final[Mapping[str, str]] = {
    "rows": "rows drawn",
    "strata": "drawn by",
    "passes": "a row passes",
    "harness": "version of the harness",
    "python2": "Python 2",
}
_APART: Final[Mapping[str, str]] = {
    "several_answers": "problem with several correct answers",
    "python2": "Python 2",
}
_AGREES: Final[Mapping[str, str]] = {
    "correct": "correct, and pass",
    "incorrect": "incorrect, and do not pass",
    "rows": "pass",
}


@dataclass(frozen=True)
class QualityEvidence:
    """The figures of a dataset's splits; `rows` has the SHA-256 of each split's rows."""

    name: str
    row_format: DatasetFormat
    splits: Sequence[Figures]
    rows: Mapping[str, str]
    sample: bool = False


def quality_figures(dataset: QualityEvidence) -> bytes:
    """figures.json: for each split, every figure that there is."""
    return json_bytes(
        {
            split.split: {"rows_sha256": dataset.rows[split.split], **as_json(split)}
            for split in dataset.splits
        }
    )


def quality_card(dataset: QualityEvidence) -> bytes:
    """README.md beside the files about rows."""
    parts = [
        f"# {dataset.name}: what was found out about its rows\n",
        *([f"{SAMPLE}\n"] if dataset.sample else []),
        *([_READING] if any(split.labels for split in dataset.splits) else []),
        *(_split(dataset, split) for split in dataset.splits),
        *_published(dataset.splits),
    ]
    return "\n".join(parts).encode()


def _split(dataset: QualityEvidence, split: Figures) -> str:
    parts = [
        f"## {split.split}\n",
        f"{split.rows:,} rows, SHA-256 {as_code(dataset.rows[split.split])}.\n",
        *(_labels(dataset, split.labels) if split.labels else ["No row was executed.\n"]),
        _leaks(split.split, split.leaks)
        if split.leaks
        else "No row was compared with evaluation sets.\n",
        _clusters(split.clusters) if split.clusters else "No rows were compared with each other.\n",
    ]
    return "\n".join(parts)


def _labels(dataset: QualityEvidence, labels: Labels) -> list[str]:
    if not labels.executed:
        return [f"No row was executed: {as_markdown(labels.why, _WORDS)}\n"]
    parts = [f"### Executed solutions\n\n{labels.drawn:,} rows were drawn.\n"]
    known = [rate for rate in labels.rates if rate.judged]
    if known:
        parts.append(
            table(
                ("rows", "that are", "of judged", "rate", "95 % interval"),
                [
                    (
                        _value(dataset.row_format, rate),
                        _AGREES.get(rate.of, as_markdown(rate.of)),
                        f"{rate.agree:,} of {rate.judged:,}",
                        _percent(rate.rate),
                        f"{_percent(rate.low)} to {_percent(rate.high)}",
                    )
                    for rate in known
                ],
            )
        )
    counted = [
        (as_markdown(of), *(f"{counts.get(name, 0):,}" for name in _names(labels.verdicts)))
        for of, counts in labels.verdicts.items()
    ]
    parts.append(table(("class", *map(_words, _names(labels.verdicts))), counted))
    apart = [
        (_APART.get(why) or _words(why), as_markdown(of), f"{count:,}")
        for why, counts in labels.apart.items()
        for of, count in counts.items()
        if count
    ]
    if apart:
        parts += ["Counted in no rate:\n", table(("why", "class", "rows"), apart)]
    stated = [
        (_PROTOCOL.get(name) or _words(name), as_markdown(str(value), _WORDS) or "none")
        for name, value in labels.protocol.items()
    ]
    return [*parts, *([table(("protocol", ""), stated)] if stated else [])]


def _published(splits: Sequence[Figures]) -> list[str]:
    """Rates of others, which are the same beside every split."""
    known = dict.fromkeys(
        (
            as_markdown(one.what, _WORDS),
            ", ".join(f"{_words(name)} {_percent(value)}" for name, value in one.figures.items()),
            as_markdown(one.protocol, _WORDS),
        )
        for split in splits
        if split.labels
        for one in split.labels.published
    )
    head = "## What others published, by protocols of their own\n"
    return [head, table(("of", "figures", "protocol"), known)] if known else []


def _leaks(split: str, leaks: Leaks) -> str:
    head = (
        f"### Leaks\n\n{leaks.rows:,} rows hold texts of evaluation sets, in {leaks.pairs:,} "
        f"pairs: `{split}_leaks.parquet` has a line for each.\n"
    )
    if not leaks.counts:
        return head
    rows = [
        (
            as_markdown(f"{one.dataset} {one.split}"),
            as_markdown(one.how),
            as_markdown(one.field),
            f"{one.pairs:,}",
            f"{one.rows:,}",
        )
        for one in leaks.counts
    ]
    return f"{head}\n{table(('evaluation set', 'how', 'field', 'pairs', 'rows'), rows)}"


def _clusters(clusters: Clusters) -> str:
    said = (
        f"### Near-duplicates\n\n{clusters.rows:,} rows are in {clusters.clusters:,} clusters; the "
        f"largest has {clusters.largest:,}. One row per cluster leaves {clusters.clusters:,}"
    )
    if kept := clusters.per_class:
        counts = " and ".join(f"{count:,} {name}" for name, count in kept.items())
        said += f"; one per cluster and class leaves {sum(kept.values()):,}, {counts}"
    return f"{said}.\n"


def _value(row_format: DatasetFormat, rate: Rate) -> str:
    """Which rows a rate is of: all, or those of a source, difficulty or language."""
    if rate.by == "all" or rate.value is None:
        return "all" if rate.by == "all" else f"{as_markdown(rate.by)} unknown"
    names = {
        "source": row_format.source_names,
        "difficulty": row_format.difficulty_names,
        "language": LANGUAGES,
    }
    name = names.get(rate.by, {}).get(rate.value)
    shown = f" ({as_markdown(name)})" if name else ""
    return f"{as_markdown(rate.by)} {rate.value}{shown}"


def _names(verdicts: Mapping[str, Mapping[str, int]]) -> list[str]:
    return list(dict.fromkeys(name for counts in verdicts.values() for name in counts))


def _percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{fraction:.2%}".replace("%", " %")


def _words(name: str) -> str:
    """A name of the documents as words."""
    return as_markdown(name.replace("_", " "))
