"""A small LLaMA-like tokenizer, the real one where it is at hand, and shards full of traps."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sentencepiece

from benchmarks.codecontests.generator import SCHEMA
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.formats import FORMATS

CODE_CONTESTS, MBPP, HUMANEVAL = (FORMATS[name] for name in ("code-contests", "mbpp", "humaneval"))
BY_LABEL = {each.label: each for each in FORMATS.values()}
build_codecontests = partial(build_split, CODE_CONTESTS)
build_mbpp = partial(build_split, MBPP)
build_humaneval = partial(build_split, HUMANEVAL)
REAL = (Path(__file__).parents[2] / "../shared/data").resolve()
_LEAD = "def solve(n):\n    for i in range(10, n):\n        print(i + 1, end=' ')\n"


def train_tokenizer(folder: Path, name: str, **options: Any) -> Path:
    """A SentencePiece model like LLaMA's (but for `options`), trained on a few hundred lines."""
    words = [
        "the",
        "number",
        "of",
        "integers",
        "array",
        "given",
        "print",
        "input",
        "output",
        "maximum",
    ]
    sentences = [
        f"{words[at % 10]} {words[at * 3 % 10]} x{at} = [{at}] * (n - {at * 7}); // {words[at % 7]}"
        for at in range(400)
    ]
    sentences += _LEAD.split("\n") * 20
    settings: dict[str, Any] = {
        "model_type": "bpe",
        "vocab_size": 420,
        "byte_fallback": True,
        "split_digits": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "character_coverage": 0.999,
        "minloglevel": 2,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_prefix=str(folder / name),
        **{**settings, **options},
    )
    return folder / f"{name}.model"


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tokenizer(tmp_path_factory.mktemp("tokenizer"), "small")


@pytest.fixture(scope="session")
def real_tokenizer() -> Path:
    return real("llama_tokenizer/tokenizer.model")


@pytest.fixture(scope="session", params=["small", "real"])
def tokenizer(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(f"{request.param}_tokenizer")
    return found


def real(path: str) -> Path:
    """A file of the real data, or a skipped test where there is none."""
    found = REAL / path
    if not found.exists():
        pytest.skip(f"no real data here: {path}")
    return found


def problem(**given: Any) -> dict[str, Any]:
    """A row of upstream: plain values but for those given. Solutions are (language, text) pairs."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {
        "name": "1_A. Sum",
        "description": "Add two numbers.",
        "public_tests": {"input": ["1 2\n"], "output": ["3\n"]},
        "private_tests": {"input": [], "output": []},
        "generated_tests": {"input": ["5 6\n"] * 3, "output": ["11\n"] * 3},
        "source": 2,
        "difficulty": 7,
        "solutions": [(3, "print(sum(map(int, input().split())))")],
        "incorrect_solutions": [(3, "print(3)")],
        "cf_rating": 800,
    }
    row |= given
    for name in ("solutions", "incorrect_solutions"):
        if isinstance(row[name], list):
            row[name] = {
                "language": [language for language, _ in row[name]],
                "solution": [text for _, text in row[name]],
            }
    return row


def write_shard(path: Path, rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


def with_malformed_text(path: Path, mark: str, raw: bytes) -> None:
    """Replace the text `mark` by the bytes `raw` (as many) in a shard, as no writer of Arrow text
    would: that is how text that is not UTF-8 comes about."""
    assert len(mark) == len(raw)
    table = pq.read_table(path)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream = sink.getvalue().to_pybytes()
    assert mark.encode() in stream
    table = pa.ipc.open_stream(stream.replace(mark.encode(), raw)).read_all()
    pq.write_table(table, path)


@pytest.fixture(scope="session")
def paired(small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSONL of 30 problems of difficulty 0, 7, 8, 9 or 25, with four correct and five incorrect
    rows each."""
    folder = tmp_path_factory.mktemp("paired")
    rows = [
        problem(
            name=f"{at}_A. Pairs",
            difficulty=(0, 7, 8, 9, 25)[at % 5],
            solutions=[(3, "x" * each + f"print({at * each})") for each in range(4)],
            incorrect_solutions=[(3, "y" * each + f"print({at})") for each in range(5)],
        )
        for at in range(30)
    ]
    shard = write_shard(folder / "shard.parquet", rows)
    return build_codecontests([shard], small_tokenizer, folder / "out", "train").jsonl


@pytest.fixture
def trap_shards(tmp_path: Path) -> list[Path]:
    """Upstream's oddities, over two shards."""
    long = "x = 1\n" * 2000
    many = [(3, f"print({at})\n# {'é' * (at % 5)}") for at in range(40)]
    first = [
        problem(),
        problem(name="same", source=1, difficulty=0, cf_rating=0),
        problem(name="same", source=2, difficulty=12),
        problem(
            name="languages",
            solutions=[(at, f"language {at}") for at in (0, 1, 2, 3, 4)],
            incorrect_solutions=[(4, "java"), (1, "print 'two'"), (3, long), (2, "c++"), (3, "")],
        ),
        problem(name="no solutions", solutions=[], incorrect_solutions=[]),
        problem(name="null solutions", solutions=None, incorrect_solutions=None),
        problem(
            name="null lists",
            solutions={"language": None, "solution": None},
            public_tests={"input": None, "output": None},
        ),
        problem(name="null text", solutions=[(3, None), (3, "print(1)")], time_limit=None),
        problem(name="long statement", description="word " * 3000),
    ]
    second = [
        problem(
            name='odd "name"\\ é\t𝄞',
            description="≤ 10^5 \r\n\x00 \u2028 \x85 \x7f ▁▁ “quoted” 𝄞 \u0301",
            public_tests={
                "input": ["", "2\r\n", "third"],
                "output": ["left out", "4\r\n", "never shown"],
            },
            solutions=[(3, "\r\n"), (1, "▁a ▁b"), (3, "a\x00b\u2028c\x85d\x7f</s><0x0A>\\u")],
            difficulty=19,
            source=7,
        ),
        problem(name="same", source=2, difficulty=28),
        problem(name="third source", source=6, difficulty=None, cf_rating=None),
        problem(name=None, description=None, source=None),
        problem(name="bad", description="lone MALFORM", solutions=[(3, "ok"), (3, "s = 'BROKEN'")]),
        problem(name="many", solutions=many, incorrect_solutions=many[::-1]),
        problem(name="no tests", public_tests={"input": [], "output": []}),
    ]
    shards = [tmp_path / f"train-{at:05d}-of-00002.parquet" for at in range(2)]
    write_shard(shards[0], first)
    write_shard(shards[1], second)
    with_malformed_text(shards[1], "MALFORM", b"\xed\xa0\xbd\xff\xc3(\xf0")
    with_malformed_text(shards[1], "BROKEN", b"\xed\xb0\x80\x80\xe2\x82")
    return shards


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
