"""Parquet is read by the names and types of its fields: every layout of the same data gives the
same rows, and what cannot be read is refused by column, expected and found type, and file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st

from benchmarks.codecontests.generator import SCHEMA
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets_tests.corpora import reference
from wmtp_assets_tests.corpora.conftest import REAL, build_codecontests, problem, write_shard
from wmtp_assets_tests.corpora.layouts import INTEGERS, LISTS, TEXTS, Layout, write_layout

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_SOLUTIONS = st.lists(st.tuples(st.integers(0, 4), st.none() | _TEXT), max_size=5)
_TESTS = st.lists(st.tuples(_TEXT, _TEXT), max_size=3).map(
    lambda pairs: {"input": [each for each, _ in pairs], "output": [each for _, each in pairs]}
)
_PROBLEM = st.builds(
    problem,
    name=st.none() | _TEXT,
    description=st.none() | _TEXT,
    public_tests=st.none() | _TESTS,
    source=st.none() | st.sampled_from([0, 1, 2, 7]),
    difficulty=st.none() | st.integers(0, 28),
    solutions=st.none() | _SOLUTIONS,
    incorrect_solutions=st.just({"language": None, "solution": None}) | _SOLUTIONS,
    cf_rating=st.none() | st.integers(0, 3500),
)
_WRITING = st.fixed_dictionaries(
    {},
    optional={
        "row_group_size": st.integers(1, 5),
        "data_page_size": st.sampled_from([64, 4096]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "use_dictionary": st.booleans(),
        "compression": st.sampled_from(["none", "snappy", "zstd", "gzip"]),
        "store_schema": st.booleans(),
        "write_page_index": st.booleans(),
    },
)
_LAYOUT = st.builds(
    Layout,
    text=st.sampled_from(list(TEXTS)),
    integer=st.sampled_from(list(INTEGERS)),
    lists=st.sampled_from(LISTS),
    list_of_structs=st.booleans(),
    shuffled=st.none() | st.integers(0, 99),
    extras=st.booleans(),
    writing=_WRITING,
)


def _real_rows() -> list[dict[str, Any]]:
    path = REAL / "code_contests/valid-00000-of-00001.parquet"
    return pq.read_table(path).to_pylist() if path.exists() else [problem()]


def _readable(path: Path) -> bool:
    """Whether pyarrow reads what it wrote: of some settings it does not."""
    try:
        pq.read_table(path)
    except pa.ArrowException:
        return False
    return True


@given(problems=st.lists(_PROBLEM, min_size=1, max_size=6), layout=_LAYOUT)
@example(problems=[problem()], layout=Layout(shuffled=3))
@example(problems=[problem()], layout=Layout(list_of_structs=True))
@example(problems=[problem()] * 9, layout=Layout(text="string_view", list_of_structs=True))
@settings(deadline=None, max_examples=40, phases=set(Phase) - {Phase.explain})
def test_every_layout_gives_the_rows_of_upstreams_own(
    small_tokenizer: Path, problems: list[dict[str, Any]], layout: Layout
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The real row's lists are dictionaries of lists too.
        problems = [*problems, *_real_rows()]
        plain = write_shard(folder / "plain.parquet", problems)
        other = write_layout(folder / "other.parquet", problems, SCHEMA, layout)
        assume(_readable(other))
        expected = b"".join(reference.codecontests([plain], small_tokenizer))
        report = build_codecontests([other], small_tokenizer, folder, "other", processes=1)
        assert report.jsonl.read_bytes() == expected


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("lists", LISTS)
@pytest.mark.parametrize("list_of_structs", [False, True])
def test_each_type_gives_the_rows_of_upstreams_own(
    trap_shards: list[Path],
    small_tokenizer: Path,
    tmp_path: Path,
    text: str,
    lists: str,
    list_of_structs: bool,
) -> None:
    rows = pq.read_table(trap_shards[0]).to_pylist()
    layout = Layout(text, "int32", lists, list_of_structs, shuffled=2, extras=True)
    other = write_layout(tmp_path / "other.parquet", rows, SCHEMA, layout)
    report = build_codecontests([other], small_tokenizer, tmp_path, "other", processes=1)
    expected = reference.codecontests(trap_shards[:1], small_tokenizer)
    assert report.jsonl.read_bytes() == b"".join(expected)


def _build(shard: Path, tokenizer: Path, **given: Any) -> bytes:
    report = build_codecontests([shard], tokenizer, shard.parent, "other", processes=1, **given)
    return report.jsonl.read_bytes()


def _changed(table: pa.Table, name: str, column: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, column)


@pytest.mark.parametrize("integer", [pa.int8(), pa.uint8(), pa.dictionary(pa.int8(), pa.int64())])
def test_numbers_of_each_width_are_read(
    small_tokenizer: Path, tmp_path: Path, integer: pa.DataType
) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem(), problem(name="other")])
    expected = _build(shard, small_tokenizer)
    table = pq.read_table(shard)
    for name in ("difficulty", "source"):
        table = _changed(table, name, pa.array(table[name].to_pylist(), integer))
    pq.write_table(table, shard)
    assert _build(shard, small_tokenizer) == expected


def test_nulls_at_every_level_are_unknown_or_empty(small_tokenizer: Path, tmp_path: Path) -> None:
    pair = pa.struct([("solution", pa.string()), ("language", pa.uint8())])
    three = problem(name="three", solutions=[(3, "a"), (0, "b"), (3, None)], incorrect_solutions=[])
    none = problem(name="none", solutions=[], incorrect_solutions=[])
    upstream = write_shard(tmp_path / "upstream.parquet", [none, three])
    expected = _build(upstream, small_tokenizer)
    solutions = [
        None,
        [
            {"solution": "a", "language": 3},
            None,  # a null solution counts as one, of no language
            {"solution": None, "language": 3},
        ],
    ]
    table = _changed(pq.read_table(upstream), "solutions", pa.array(solutions, pa.list_(pair)))
    table = _changed(table, "incorrect_solutions", pa.nulls(2))
    shard = tmp_path / "shard.parquet"
    pq.write_table(table, shard)
    assert _build(shard, small_tokenizer) == expected


def test_lists_of_a_fixed_size_are_read(small_tokenizer: Path, tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem(), problem(name="other")])
    expected = _build(shard, small_tokenizer)
    fixed = pa.struct(
        [("output", pa.list_(pa.string(), 1)), ("input", pa.list_(pa.large_string(), 1))]
    )
    table = pq.read_table(shard)
    table = _changed(table, "public_tests", pa.array(table["public_tests"].to_pylist(), fixed))
    pq.write_table(table, shard)
    assert _build(shard, small_tokenizer) == expected


def test_text_that_is_annotated_as_json_is_read(small_tokenizer: Path, tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem()])
    expected = _build(shard, small_tokenizer)
    table = pq.read_table(shard)
    text = table["description"].combine_chunks()
    table = _changed(table, "description", pa.ExtensionArray.from_storage(pa.json_(), text))
    pq.write_table(table, shard)
    assert isinstance(pq.read_schema(shard).field("description").type, pa.JsonType)
    assert _build(shard, small_tokenizer) == expected


def _retyped(name: str, values: list[Any], kind: pa.DataType) -> Any:
    return lambda table: _changed(table, name, pa.array(values * table.num_rows, kind))


_LISTS = pa.list_(pa.string())
REFUSED: dict[str, tuple[Any, tuple[str, ...]]] = {
    "a float": (_retyped("difficulty", [7.0], pa.float64()), ("difficulty", "integer", "double")),
    "a decimal": (
        _retyped("source", [2], pa.decimal128(9, 0)),
        ("source", "integer", "decimal128(9, 0)"),
    ),
    "a boolean": (_retyped("cf_rating", [True], pa.bool_()), ("cf_rating", "integer", "bool")),
    "a number as text": (_retyped("difficulty", ["7"], pa.string()), ("difficulty", "string")),
    "boolean bytes": (
        lambda table: _changed(
            table,
            "difficulty",
            pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1] * table.num_rows, pa.int8())),
        ),
        ("difficulty", "integer", "bool8"),
    ),
    "text of a fixed width": (_retyped("name", [b"ab"], pa.binary(2)), ("name", "text")),
    "text as numbers": (_retyped("name", [1], pa.int64()), ("name", "text", "int64")),
    "a struct of texts": (
        _retyped(
            "public_tests",
            [{"input": "1", "output": "2"}],
            pa.struct([("input", pa.string()), ("output", pa.string())]),
        ),
        ("public_tests.input", "a list", "string"),
    ),
    "a map": (
        _retyped("solutions", [[("language", "3")]], pa.map_(pa.string(), pa.string())),
        ("solutions", "language", "map"),
    ),
    "a list of texts": (_retyped("solutions", [["a"]], _LISTS), ("solutions", "language")),
    "a list of lists": (
        _retyped(
            "solutions",
            [{"language": [[3]], "solution": ["a"]}],
            pa.struct([("language", pa.list_(pa.list_(pa.int64()))), ("solution", _LISTS)]),
        ),
        ("solutions.language[]", "integer", "list"),
    ),
    "a field that is missing": (
        _retyped("public_tests", [{"input": []}], pa.struct([("input", _LISTS)])),
        ("public_tests.output", "no such column"),
    ),
    "a field that stands twice": (
        lambda table: _changed(
            table,
            "public_tests",
            pa.StructArray.from_arrays(
                [pa.array([["1"]] * table.num_rows)] * 3, ["input", "output", "input"]
            ),
        ),
        ("public_tests.input", "2 columns of that name"),
    ),
    "a column that stands twice": (
        lambda table: table.append_column("description", table["name"]),
        ("description", "2 columns of that name"),
    ),
    "a number beyond 64 bits with a sign": (
        _retyped("difficulty", [2**63], pa.uint64()),
        ("difficulty", "9223372036854775808"),
    ),
    "a difficulty of 40,000": (
        _retyped("difficulty", [40000], pa.int64()),
        ("difficulty", "40000", "32,767", "1_A. Sum", "row 0"),
    ),
    "a negative difficulty": (
        _retyped("difficulty", [-1], pa.int64()),
        ("difficulty", "-1", "1_A. Sum"),
    ),
    "a source out of range": (_retyped("source", [1 << 15], pa.int64()), ("source", "32768")),
    "a rating out of range": (
        _retyped("cf_rating", [1 << 31], pa.int64()),
        ("cf_rating", "2147483648"),
    ),
    "a solution without a language": (
        _retyped(
            "solutions",
            [{"language": [3], "solution": ["a", "b"]}],
            pa.struct([("language", pa.list_(pa.int64())), ("solution", _LISTS)]),
        ),
        ("solutions", "language 1, solution 2", "1_A. Sum", "row 0"),
    ),
    "a test without an output": (
        _retyped(
            "public_tests",
            [{"input": ["1", "2"], "output": ["2"]}],
            pa.struct([("input", _LISTS), ("output", _LISTS)]),
        ),
        ("public_tests", "input 2, output 1", "1_A. Sum", "row 0"),
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_refused_by_column_type_and_file(
    small_tokenizer: Path, tmp_path: Path, what: str
) -> None:
    change, named = REFUSED[what]
    shard = write_shard(tmp_path / "shard.parquet", [problem(), problem(name="other")])
    pq.write_table(change(pq.read_table(shard)), shard)
    with pytest.raises(CorpusError) as refusal:
        _build(shard, small_tokenizer)
    for words in (*named, str(shard), "What to do"):
        assert words in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["shard.parquet"]


def test_the_row_that_is_wrong_is_named_in_its_own_file(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    rows = [problem(name=f"problem {at}") for at in range(10)]
    first = write_shard(tmp_path / "first.parquet", rows)
    rows[7] = problem(name="problem 7", difficulty=-3)
    second = write_shard(tmp_path / "second.parquet", rows)
    with pytest.raises(CorpusError) as refusal:
        build_codecontests([first, second], small_tokenizer, tmp_path, "train")
    assert f"'problem 7', row 7 of {second}" in str(refusal.value)


def test_rows_that_pyarrow_leaves_out_are_missed(small_tokenizer: Path, tmp_path: Path) -> None:
    # pyarrow 26 writes such a page without its rows, and iterating over batches then ends early.
    shard = tmp_path / "shard.parquet"
    rows = pa.Table.from_pylist([problem(), problem(name="other")], schema=SCHEMA)
    pq.write_table(rows, shard, row_group_size=1, data_page_size=1)
    with pytest.raises(CorpusError, match="number of rows") as refusal:
        _build(shard, small_tokenizer)
    assert str(shard) in str(refusal.value)
