"""What asset pages show: the values are those of the files, small, plain, and inside the window."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.definitions import build_defs
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.io_manager import shown_of
from wmtp_assets.pages import facts as facts_module
from wmtp_assets.pages.asset import asset_facts, file_facts
from wmtp_assets.pages.asset.checkpoints import _shapes
from wmtp_assets.pages.asset.rows import _line
from wmtp_assets.pages.asset.values import Link, Picture, Table, says
from wmtp_assets.pages.charts_of_rows import difficulty_chart, token_chart
from wmtp_assets.pages.row_facets import NONE, Facets
from wmtp_assets.pages.rows import Line
from wmtp_assets.pages.small_picture import LIMIT, picture, strips

# Characters that fit into a window 1,280 pixels wide: a key, a line beside it, a cell in a line.
KEY, LINE, WORD = 13, 42, 38
TRAIN, MODEL = "datasets/codecontests_train", "models/meta-llama-mtp"


def facts_of(project: Project, name: str) -> dict[str, Any]:
    receipt = project.store.current(name)
    assert receipt is not None
    return asset_facts(project, receipt) | file_facts(project, receipt)


def lines_of(project: Project, name: str) -> list[dict[str, Any]]:
    (path,) = project.store.path(name).glob("*.jsonl")
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def svg_of(markdown: str) -> ElementTree.Element:
    """The picture of a Markdown image, which must be well-formed."""
    found = re.match(r"!\[[\w ]+\]\(data:image/svg\+xml,([^ )]+)\)\n\n", markdown)
    assert found, markdown
    return ElementTree.fromstring(unquote(found[1]))  # noqa: S314 - our own


def bars_of(markdown: str) -> list[dict[int, int]]:
    """The heights of the bars by their places: of each series, the sum of all first."""
    paths = [one.get("d") or "" for one in svg_of(markdown).iter() if one.tag.endswith("path")]
    found = [{int(x): int(y) for x, y in re.findall(r"M(\d+),0V(\d+)", path)} for path in paths]
    return [one for one in found if one][: 2 if len(paths) > 2 else 1]


def words(value: object) -> list[str]:
    """Every text of a value as it is shown; of a picture its legend."""
    if isinstance(value, Table):
        return [text for row in value.rows for cell in row.items() for text in map(str, cell)]
    if isinstance(value, Picture):
        return [value.markdown.partition("\n\n")[2]]
    return [value.address if isinstance(value, Link) else str(value)]


@pytest.mark.parametrize("name", [TRAIN, "datasets/codecontests_small_train"])
def test_a_splits_numbers_are_those_of_its_lines(project: Project, name: str) -> None:
    facts, lines = facts_of(project, name), lines_of(project, name)
    classes = Counter(one["is_correct"] for one in lines)
    assert (facts["rows"], facts["correct"], facts["incorrect"]) == (
        len(lines),
        classes[True],
        classes[False],
    )
    assert facts["classes"].startswith(f"{classes[True]} correct (")
    every = Counter(one["metadata"]["difficulty"] for one in lines)
    correct = Counter(one["metadata"]["difficulty"] for one in lines if one["is_correct"])
    both, right = bars_of(facts["difficulty"].markdown)
    first, most = min(every), max(every.values())
    for drawn, counted in ((both, every), (right, correct)):
        heights = {at - first: max(1, round(72 * n / most)) for at, n in counted.items()}
        assert drawn == heights, "no bar where no row is: a gap"
    (index,) = project.store.path(name).glob("*.index.parquet")
    columns = pq.read_table(index).to_pydict()
    total = [
        sum(one)
        for one in zip(
            *(columns[f"{part}_tokens"] for part in ("instruction", "input", "output")), strict=True
        )
    ]
    assert facts["tokens_max"] == max(total)
    assert facts["tokens_mean"] == pytest.approx(sum(total) / len(total), abs=0.001)
    (lengths,) = bars_of(facts["tokens"].markdown)
    bins = Counter(one // 128 for one in total)
    assert {at + min(bins) for at in lengths} == set(bins)
    python = Counter(columns["language"])
    assert facts["languages"] == f"Python 3 {python[3]}, Python 2 {python[1]}"
    assert f"Codeforces {columns['source'].count(2)}" in facts["sources"]
    columns_said = [row["column"] for row in facts["columns"].rows]
    assert {one.partition(".")[0] for one in columns_said} == set(lines[0])
    inner = {one.partition(".")[2] for one in columns_said if one.startswith("metadata.")}
    assert inner >= set(lines[0]["metadata"])
    assert len(facts["some rows"].rows) == 5
    for row in facts["some rows"].rows:
        number = int(row["row"].partition(",")[0])
        one = lines[number]
        assert f"{total[number]} tokens" in row["row"]
        assert ("correct" if one["is_correct"] else "incorrect") == row["row"].split(", ")[1]
        begin = " ".join(one["instruction"].split())[:20]
        assert row["instruction → output"].startswith(begin)


def test_nothing_stands_above_a_splits_pictures_and_a_schema_lists_its_columns(
    project: Project,
) -> None:
    assert next(iter(facts_of(project, TRAIN))) == "difficulty"
    graph = build_defs(project.catalog, project.hub_spec, project.storage).resolve_asset_graph()
    for name in project.artifacts:
        metadata = graph.get(key_of(name)).metadata
        assert ("dagster/column_schema" in metadata) == name.endswith("_schema"), name
    schema = graph.get(key_of("datasets/codecontests_schema")).metadata["dagster/column_schema"]
    (listed,) = [schema.value] if hasattr(schema, "value") else [schema]
    names = [column.name for column in listed.columns]
    assert names == [row["column"] for row in facts_of(project, TRAIN)["columns"].rows]


def test_the_funnel_accounts_for_every_row(project: Project) -> None:
    whole = facts_of(project, TRAIN)["funnel"].rows
    numbers = [int(row["rows"].replace(",", "")) for row in whole]
    assert numbers[0] == 407
    assert sum(numbers[:-1]) == numbers[-1] == 381
    assert sum(numbers[1:-1]) == -26
    assert all("2,048 tokens" in row["step"] for row in whole[1:-1])
    small = facts_of(project, "datasets/codecontests_small_train")["funnel"].rows
    assert [row["rows"] for row in small] == ["381", "100"]


@pytest.mark.parametrize("name", ["mbpp_test", "humaneval_test"])
def test_rows_without_class_or_difficulty_have_neither(project: Project, name: str) -> None:
    facts = facts_of(project, f"datasets/{name}")
    assert facts.keys().isdisjoint({"difficulty", "correct", "incorrect", "sources"})
    assert "without a class" in facts["classes"]
    assert facts["rows"] == len(lines_of(project, f"datasets/{name}"))


def test_the_metadata_of_rows_shows_the_same_picture_as_the_rows(project: Project) -> None:
    rows, described = facts_of(project, TRAIN), facts_of(project, f"{TRAIN}_metadata")
    assert described["difficulty"] == rows["difficulty"]
    assert (described["rows"], described["correct"]) == (rows["rows"], rows["correct"])


def test_a_checkpoints_numbers_are_those_of_its_tensors(project: Project) -> None:
    for artifact in project.artifacts.values():
        if artifact.kind is not Kind.CHECKPOINT:
            continue
        facts = facts_of(project, artifact.name)
        path = project.store.path(artifact.name) / "model.safetensors"
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert facts["parameters"] == sum(one.numel() for one in tensors.values())
        assert facts["tensors"] == len(tensors)
        shapes = facts["shapes"].rows
        assert sum(row["tensors"] for row in shapes) == len(tensors)
        assert sum(int(row["parameters"].replace(",", "")) for row in shapes) == facts["parameters"]
        largest = sorted(tensors.items(), key=lambda one: (-one[1].nbytes, one[0]))[:5]
        for (name, tensor), row in zip(largest, facts["largest"].rows, strict=True):
            assert row["tensor"].startswith(f"{name}: ")
            ends = f"values from {tensor.min().item():.4g} to {tensor.max().item():.4g},"
            assert ends in row["tensor"]


def test_what_a_cast_did_is_said_and_what_it_did_not_do_as_well(project: Project) -> None:
    facts = facts_of(project, MODEL)
    legend = facts["dtypes"].markdown.partition("\n\n")[2]
    assert legend == "before: float32; after: float16"
    two = facts["parameters"] * 2
    drawn = [one.text for one in svg_of(facts["dtypes"].markdown)]
    assert drawn == [
        "before",
        None,
        f"{two * 2 / 1e6:.2f} MB",
        "after",
        None,
        f"{two / 1e3:.2f} kB",
    ]
    assert f"greatest error is {facts['cast_error']:.3g}, in " in facts["cast"]
    assert "0 values became infinite, 0 became zero" in facts["cast"]
    kept = facts_of(project, "models/starling-rm-7b")
    assert kept["cast"].startswith("no tensor was cast: all 39 hold their source's values.")
    assert kept["cast_error"] == 0


def test_no_tensor_is_read_and_of_rows_a_few(project: Project) -> None:
    def read() -> int:
        found = re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())
        assert found
        return int(found[1])

    for name in (MODEL, TRAIN):
        facts_of(project, name)  # what is imported, is imported
        folder = project.store.path(name)
        header = 16 << 10
        small = sum(one.stat().st_size for one in folder.iterdir() if one.suffix != ".jsonl")
        weights = folder / "model.safetensors"
        limit = 3 * (small - (weights.stat().st_size if weights.exists() else 0)) + header
        costs = []
        for _ in range(2):  # other threads of this process may read as well, but not every time
            facts_module._range.cache_clear()
            before = read()
            facts_of(project, name)
            costs.append(read() - before)
        receipt = project.store.current(name)
        assert receipt is not None
        assert min(costs) < limit < receipt.size / 3


def test_every_page_is_small_plain_and_within_the_window(
    project: Project, current_project: Project
) -> None:
    kinds = {one.kind for one in [*project.artifacts.values(), *current_project.artifacts.values()]}
    assert kinds == set(Kind) - {Kind.PACKAGE_FILE}, "a page of each kind, but for copies of files"
    for each in (project, current_project):
        check_pages(each)


def check_pages(project: Project) -> None:
    for name in project.artifacts:
        receipt = project.store.current(name)
        assert receipt is not None
        of_every_page = {"result", "changed", *file_facts(project, receipt)}
        assert not asset_facts(project, receipt).keys() & of_every_page, "one would hide the other"
        facts = facts_of(project, name)
        assert "not shown" not in facts, facts
        for key, value in facts.items():
            assert max(map(len, key.split(" "))) <= KEY, key
            for text in words(value):
                assert str(project.storage) not in text
                assert not re.search(r"\b[0-9a-f]{40}", text), f"{key}: a digest has 12 digits"
                assert text.isprintable()
                # A line is broken at spaces and behind hyphens.
                room = LINE if isinstance(value, str) else WORD
                assert all(len(one) <= room for one in re.split(r"[ -]", text)), text
        assert [key for key in facts if key.endswith("_bytes")][-1:] == ["size_bytes"]
        shown = shown_of(project, receipt, unchanged=False)
        assert len(str({key: value.value for key, value in shown.items()})) < 12_000
        assert list(shown)[1:3] == ["result", "changed"]
        for value in shown.values():
            if type(value).__name__ == "MarkdownMetadataValue":
                assert len(str(value.value)) < LIMIT


@pytest.mark.parametrize("rows", [10, 99_999, 3_700_000])
def test_the_fullest_pictures_are_shown_in_place(rows: int) -> None:
    for name, known in FORMATS.items():
        facets = Facets(
            rows,
            {d: {1: rows - d, 0: rows // (d + 1)} for d in known.difficulties},
            dict.fromkeys(range(512), rows),
            {},
        )
        chart = difficulty_chart(facets, classed=True)
        legend = "blue: correct, orange: incorrect (0: unknown)"
        drawn = None if chart is None else picture(chart, legend)
        assert (drawn is not None) == bool(known.difficulties), name
        long = token_chart(facets.tokens, 65_535)
        assert long is not None
        drawn = picture(long, f"{long.x}; the line is the limit, 65,535")
        assert drawn is not None
        assert int(svg_of(drawn).get("width") or 0) <= 350


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_what_is_a_character_too_long_is_not_shown_in_place(beyond: int) -> None:
    chart = difficulty_chart(Facets(1, {3: {NONE: 1}}, {}, {}), classed=False)
    assert chart is not None
    rest = LIMIT - len(picture(chart, "") or "")
    drawn = picture(chart, "x" * (rest + beyond))
    assert (drawn is None) == (beyond >= 0)
    bytes_ = strips("Bytes", {"before": [4], "after": [2]}, "x" * LIMIT)
    assert bytes_ is None


def test_nothing_is_drawn_of_nothing() -> None:
    chart = token_chart({0: 0}, 2048)
    assert chart is not None
    assert picture(chart, "") is None
    assert strips("Bytes", {"before": [], "after": [0]}, "") is None


HOSTILE = (
    "<script>alert(1)</script>",
    "![x](https://example.com/x.png) [y](javascript:alert(1))",
    "\u202egnp.exe\u0000\x1b[31m",
    "a" * 100_000,
    "line\r\nbreak\u2028and\ttab",
    "\ud800 surrogate",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_cut_and_visible(text: str) -> None:
    line = Line(0, 0, "correct", 7, {"output": 1}, (), 1, {"instruction": text, "output": text})
    row = _line(line, FORMATS["code-contests"])
    said = says({text: text, "inner": {text: [text]}})
    for value in (Table([row]), said["contents"]):
        for shown in words(value):
            assert shown.isprintable()
            assert len(shown) < 250
            assert all(len(word) <= WORD for word in shown.split(" "))


def test_a_model_of_many_tensors_has_a_short_page(tmp_path: Path) -> None:
    tensors: dict[str, np.ndarray[Any, Any]] = {
        f"layers.{n}.{'x' * 200}": np.zeros((1, n % 40 + 1), np.float16) for n in range(723)
    }
    save_file(tensors, tmp_path / "model.safetensors")
    rows = _shapes(read_header(tmp_path / "model.safetensors"))
    assert len(rows) == 11
    assert sum(int(row["tensors"]) for row in rows) == 723


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(
    copied: Project, caplog: pytest.LogCaptureFixture
) -> None:
    (stats,) = copied.store.path(TRAIN).glob("*.index.parquet")
    stats.write_bytes(b"no parquet")
    with caplog.at_level(logging.DEBUG, "wmtp_assets.pages.asset"):
        facts: Mapping[str, Any] = facts_of(copied, TRAIN)
    assert "row index is not readable" in facts["not shown"]
    assert facts["not shown"].endswith("whether the files are sound, its checks say.")
    assert str(copied.storage) not in facts["not shown"]
    assert facts["folder"] == "datasets_v2/codecontests/processed"
    assert facts["size_bytes"] > 0
    warned, traced = caplog.records
    assert warned.levelno == logging.WARNING
    assert warned.getMessage().startswith(f"{TRAIN} cannot be shown on its page: ")
    assert traced.levelno == logging.DEBUG
    assert "Traceback" in traced.getMessage()
    assert "rows.py" in traced.getMessage(), "where, for whoever repairs it"
