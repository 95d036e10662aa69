"""What an asset's page says of an artifact: facts and pictures first, then numbers, then files.

Everything comes from what its maker or its checks have computed: the receipt, the statistics, the
certificate, the header, the row index. Of rows a few lines are read, of tensors none. How values
look on Dagster's pages is decided in `orchestration/presentation.py`; the report shows the same
facts from the same functions (`facts`, `charts_of_rows`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from pkgutil import resolve_name
from typing import Any, Final

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.own_files import own_files
from wmtp_assets.artifacts.types import Checkpoint, Document, Split, Tokenizer
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.records import LANGUAGES
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import short_digests
from wmtp_assets.pages.charts_of_rows import difficulty_chart, token_chart
from wmtp_assets.pages.facts import (
    CastFacts,
    TensorFacts,
    cast_facts,
    dropped,
    largest_tensors,
    sample_lines,
)
from wmtp_assets.pages.language import words_of
from wmtp_assets.pages.row_facets import Facets, facets_of_all
from wmtp_assets.pages.row_query import CLASSES, FLAGS
from wmtp_assets.pages.rows import Line, SplitOfRows, rows_of
from wmtp_assets.pages.small_picture import COLOUR_NAMES, picture, strips
from wmtp_assets.pages.text import below, plain, size
from wmtp_assets.storage.receipts import Receipt

Cell = str | int | float

SHOWN_FILES: Final = 20
_SHOWN_FIELDS = 30  # of a document
_SHOWN_SHAPES = 10
_TEXT = 70  # characters of a row's text in a table
# In a window 1,280 pixels wide, Dagster's table of metadata has room for 42 characters beside a key
# of 13. One longer word, and all that is shown is cut at the right.
_WORD, _WORD_BESIDE = 38, 24


@dataclass(frozen=True)
class Table:
    """Rows of cells by the names of their columns; texts in it are plain."""

    rows: Sequence[Mapping[str, Cell]]


@dataclass(frozen=True)
class Picture:
    """Markdown of numbers and our own words."""

    markdown: str


@dataclass(frozen=True)
class Link:
    """An address on this server."""

    address: str


Value = Cell | Table | Picture | Link
"""A text (of whoever wrote it: plain), a number, which is plotted over time, or one of these."""

Facts = dict[str, Value]


def asset_facts(project: Project, receipt: Receipt) -> Facts:
    """What the artifact is, in the version that `receipt` describes: pictures first.

    Where its files cannot be read, why.
    """
    artifact = project.artifacts[receipt.artifact]
    folder = project.store.versions.home(receipt.artifact) / receipt.version
    try:
        found: Facts = resolve_name(kind_of(artifact).page)(project, artifact, folder, receipt)
        return found
    except Exception as error:  # damaged bytes make any reader stumble: checks say so
        what = error.what() if isinstance(error, WmtpError) else f"{type(error).__name__}: {error}"
        return {"not readable": _narrow(here(project, what), 400)}


def here(project: Project, text: str) -> str:
    """A text with paths relative to the storage, and digests of twelve digits."""
    return short_digests(below(project.store.root, text))


def file_facts(project: Project, receipt: Receipt) -> Facts:
    """How much every artifact is, how fast it was made, and its files: where, and which."""
    artifact = project.artifacts[receipt.artifact]
    files = own_files(project.store, artifact, receipt)
    total = sum(one.size for one in files.values())
    several = len(files) > 1  # of a single file, the size is said already
    rows: list[Mapping[str, Cell]] = [
        {
            "file": _narrow(name, 120, _WORD_BESIDE),
            f"SHA-256{', size' * several}": f"{one.sha256[:12]} {size(one.size) * several}".strip(),
        }
        for name, one in list(files.items())[:SHOWN_FILES]
    ]
    left = len(files) - len(rows)
    # The names of files come below; Dagster does not break a line behind a slash.
    folder = f"versions/{artifact.name}"
    if artifact.links:
        folder = str(PurePosixPath(next(iter(artifact.links))).parent)
    elif artifact.is_fetched:
        folder = f"upstream/{plain(str(receipt.facts.get('folder', '')))}"
    seconds = receipt.facts.get("seconds") if artifact.is_fetched else receipt.seconds
    moved = receipt.facts.get("fetched_bytes") if artifact.is_fetched else receipt.size
    speed: Facts = {}
    if isinstance(seconds, int | float) and isinstance(moved, int) and seconds > 0 and moved:
        speed["bytes_per_s"] = round(moved / seconds)
    return {
        "size_bytes": total,
        **speed,
        "seconds": float(receipt.seconds),
        "folder": folder,
        "digest": receipt.digest[:12],
        "files": Table(rows),
        **({"more_files": left} if left else {}),
    }


def _narrow(text: str, limit: int, word: int = _WORD) -> str:
    """As `plain`, with longer words cut. Behind a hyphen a line may be broken."""
    longer = rf"[^ -]{{{word + 1},}}"
    return re.sub(longer, lambda found: f"{found[0][: word - 1]}…", plain(text, limit))


# Rows.


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
        "some rows": Table([_line(line, where) for line in lines]),
        "all rows": Link(split.path),
        **_origin(stats, where),
        **_numbers(receipt, "rows", "correct", "incorrect"),
        "problems": int(stats["problems_with_rows"]),
        **({"tokens_mean": tokens["mean"], "tokens_max": tokens["max"]} if tokens else {}),
    }


def _line(line: Line, where: DatasetFormat) -> Mapping[str, Cell]:
    """A row in two cells: which it is, and how it begins."""
    known = [f"{line.number:,}"]
    if line.class_:
        known.append(line.class_)
    if line.difficulty is not None:
        known.append(_difficulty(line.difficulty, where))
    known.append(f"{line.total_tokens:,} tokens")
    texts = [_narrow(line.text(name), _TEXT, _WORD_BESIDE) for name in ("instruction", "output")]
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
        rows.append({"column": _narrow(f"{prefix}{name}", 60, _WORD_BESIDE), "type": plain(what)})
    return rows[:_SHOWN_FIELDS]


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
    counts = receipt.facts["stats"]["funnel"]
    if "candidates" not in counts:
        whole = project.store.versions.receipt(
            split.artifact.inputs[0], receipt.inputs[split.artifact.inputs[0]][:12]
        )
        begin, end = int(whole.facts["rows"]), int(counts["kept"])
        return [
            {"step": "the whole split", "rows": f"{begin:,}", "share": ""},
            {"step": "chosen", "rows": f"{end:,}", "share": _share(end, begin)},
        ]
    words, whole_count = words_of("en"), int(counts["candidates"])
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
            "rows": f"{int(counts['kept']):,}",
            "share": _share(int(counts["kept"]), whole_count),
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
        **_numbers(receipt, "rows", "correct", "incorrect"),
    }


# Weights.


def of_checkpoint(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A checkpoint: what the cast did, the largest tensors, shapes, and what was left out."""
    checkpoint = Checkpoint(folder, receipt)
    header = read_header(checkpoint.path)
    certificate = Certificate.from_json(checkpoint.read("certificate.json"))
    return {
        **_of_cast(cast_facts(certificate)),
        "largest": Table(
            [_tensor(one) for one in largest_tensors(checkpoint, header, certificate)]
        ),
        "shapes": Table(_shapes(header)),
        **_left_out(certificate),
        "parameters": header.parameters,
        "tensors": len(header.tensors),
        "cast_error": float(f"{cast_facts(certificate).error:.3g}"),
        "warnings": len(certificate.warnings),
        **_warned(certificate),
    }


def _warned(certificate: Certificate) -> Facts:
    if not certificate.warnings:
        return {}
    return {"warned of": _narrow("; ".join(certificate.warnings), 400)}


def _of_cast(facts: CastFacts) -> Facts:
    """What the conversion did to the values, as a picture and in words."""

    def by_dtype(sizes: Mapping[str, int]) -> str:
        if len(sizes) == 1:
            return next(iter(sizes))  # its size is in the picture
        return ", ".join(f"{dtype} {size(count)}" for dtype, count in sizes.items())

    legend = f"before: {by_dtype(facts.before)}; after: {by_dtype(facts.after)}"
    drawn = strips(
        "Bytes of tensors before and after the conversion",
        {"before": list(facts.before.values()), "after": list(facts.after.values())},
        legend,
    )
    return {
        "dtypes": Picture(drawn) if drawn else legend,
        "cast": _narrow(cast_words(facts), 400),
    }


def cast_words(facts: CastFacts) -> str:
    """What the cast did to values: how many tensors it changed, the greatest error and where, and
    what became infinite or zero; what did not happen is said as well."""
    if not facts.cast:
        kept = f"no tensor was cast: all {facts.tensors:,} hold their source's values"
    elif facts.error:
        kept = (
            f"{facts.cast:,} of {facts.tensors:,} tensors were cast; the greatest error is "
            f"{facts.error:.3g}, in {facts.error_in}"
        )
    else:
        kept = f"{facts.cast:,} of {facts.tensors:,} tensors were cast, without any error"
    lost = facts.lost
    return (
        f"{kept}. {lost['overflow']:,} values became infinite, {lost['zeroed']:,} became zero; "
        f"{lost['nan']:,} NaN and {lost['inf']:,} infinite values at the source"
    )


def _tensor(one: TensorFacts) -> Mapping[str, Cell]:
    """A tensor in one cell: names are as wide as the table."""
    said = [f"{shape_text(one.shape)} {one.dtype}", size(one.size)]
    if one.values is not None:
        said.append("values from {:.4g} to {:.4g}".format(*one.values))
    said.append(f"cast error {one.cast_error:.3g}")
    return {"tensor": f"{_narrow(one.name, 120)}: {', '.join(said)}"}


def shape_text(shape: Sequence[int]) -> str:
    """E.g. "4,096 x 11,008"; "scalar" where there are no axes."""
    return " x ".join(f"{axis:,}" for axis in shape) or "scalar"


def _shapes(header: Header) -> list[Mapping[str, Cell]]:
    """How many tensors have which shape, those with the most parameters first."""
    times: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    several = len(header.dtypes) > 1
    for info in header.tensors.values():
        shape = shape_text(info.shape) + (f" {info.dtype}" if several else "")
        times[shape] += 1
        parameters[shape] += info.elements
    most = parameters.most_common()
    rows: list[Mapping[str, Cell]] = [
        {"shape": shape, "tensors": times[shape], "parameters": f"{count:,}"}
        for shape, count in most[:_SHOWN_SHAPES]
    ]
    if rest := most[_SHOWN_SHAPES:]:
        rows.append(
            {
                "shape": f"{len(rest):,} others",
                "tensors": sum(times[shape] for shape, _ in rest),
                "parameters": f"{sum(count for _, count in rest):,}",
            }
        )
    return rows


def _left_out(certificate: Certificate) -> Facts:
    """What of the source is not in the checkpoint, by the reason."""
    reasons = Counter(entry.reason for entry in certificate.dropped)
    if not reasons:
        return {"left out": "nothing: every tensor of the source is here"}
    rows: list[Mapping[str, Cell]] = [
        {"tensors": times, "why": _narrow(reason, 240, _WORD_BESIDE)}
        for reason, times in reasons.most_common(_SHOWN_FIELDS)
    ]
    return {"left out": Table(rows)}


def of_certificate(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A published certificate: what the cast did, and what was left out."""
    certificate = Certificate.from_json(Document(folder, receipt).read("certificate.json"))
    facts = cast_facts(certificate)
    return {
        **_of_cast(facts),
        **_left_out(certificate),
        "parameters": certificate.parameters,
        "tensors": facts.tensors,
        "cast_error": float(f"{facts.error:.3g}"),
        "warnings": len(certificate.warnings),
    }


def of_shards(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A sharded view: how many shards, and how large."""
    sizes = [one.size for name, one in receipt.files.items() if name.endswith(".safetensors")]
    limit = int(str(artifact.settings["shard_bytes"]))
    said = f"{len(sizes):,} of at most {size(limit)}, the largest {size(max(sizes, default=0))}"
    return {"sizes": said, **_numbers(receipt, "shards")}


# What is fetched, and documents.


def of_fetched(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """Fetched files: the commit, and how fetching went."""
    facts = receipt.facts
    files = own_files(project.store, artifact, receipt)
    fetching = f"{size(int(facts.get('fetched_bytes', 0)))} fetched"
    if resumed := int(facts.get("resumed_from", 0)):
        fetching += f", after {size(resumed)} that an earlier run had fetched"
    if retries := int(facts.get("retries", 0)):
        fetching += f"; interrupted {'once' if retries == 1 else f'{retries} times'}"
    return {
        "commit": short_digests(str(facts.get("revision", ""))),
        "fetching": fetching,
        "file_count": len(files),
        **_numbers(receipt, "fetched_bytes", "resumed_from", "retries", "seconds"),
    }


def of_document(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A document: what it says, field by field."""
    return _says(Document(folder, receipt).value()) | _numbers(receipt, "parameters", "tensors")


def _says(document: Mapping[str, object]) -> Facts:
    """What a document says, field by field; inner objects as JSON."""
    rows: list[Mapping[str, Cell]] = [
        {"field": _narrow(f"{name}: {short_digests(_as_text(one))}", 200)}
        for name, one in list(document.items())[:_SHOWN_FIELDS]
    ]
    left = len(document) - len(rows)
    return {"contents": Table(rows), **({"more_fields": left} if left > 0 else {})}


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def of_schema(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A schema: its columns."""
    schema = Document(folder, receipt).value()
    return {
        "columns": Table(_columns(schema)),
        "layout": plain(str(receipt.facts.get("layout", ""))),
    }


def of_tokenizer(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """A tokenizer: its configuration, and how many pieces it has."""
    config = Tokenizer(folder, receipt).read("tokenizer_config.json")
    return _says(config) | _numbers(receipt, "vocab_size")


def of_stated(project: Project, artifact: Artifact, folder: Path, receipt: Receipt) -> Facts:
    """Of a kind that nothing more is known of: what its maker states."""
    return {
        name: fact
        if isinstance(fact, int | float) and not isinstance(fact, bool)
        else plain(_as_text(fact))
        for name, fact in list(receipt.facts.items())[:_SHOWN_FIELDS]
    }


def _numbers(receipt: Receipt, *names: str) -> Facts:
    """Counts of a receipt, which Dagster plots over time."""
    facts = receipt.facts
    return {name: facts[name] for name in names if type(facts.get(name)) in (int, float)}
