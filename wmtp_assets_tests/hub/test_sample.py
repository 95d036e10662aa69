"""The sample hub: complete, the same everywhere, and as full of traps as upstream is."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow.parquet as pq
import pytest
import sentencepiece as spm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.hub.sample import (
    LOCK_NAME,
    sample_is_complete,
    sample_revision,
    write_sample,
)
from wmtp_assets.hub.sample.datasets import CODE_CONTESTS, code_contests
from wmtp_assets.hub.sample.evalsets import HUMANEVAL, MBPP
from wmtp_assets.hub.sample.models import (
    MTP,
    MTP_PARAMS,
    SHEARED,
    STARLING,
    TRAP_ATTRIBUTE,
)
from wmtp_assets.hub.sample.oddities import TOKEN_LIMIT
from wmtp_assets.hub.sample.problems import FAMILIES, Family
from wmtp_assets.hub.sample.programs import PYTHON2, PYTHON3
from wmtp_assets.hub.sample.tokenizer import SPACE, VOCABULARY, tokenizer_model

REAL_DATA = (Path(__file__).parents[2] / "../shared/data").resolve()

# As `sha256sum` writes it. On any machine; only parquet files are missing, because pyarrow writes
# its version into them.
PINNED: dict[str, str] = {
    line[66:]: line[:64]
    for line in (Path(__file__).parent / "sample.sha256").read_text().splitlines()
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample") / "hub"
    write_sample(root)
    return root


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): _digest(path) for path in files}


def _writer(root: Path, seed: str = "0") -> subprocess.Popen[bytes]:
    program = (
        "import sys\nfrom pathlib import Path\nfrom wmtp_assets.hub.sample import write_sample\n"
        "write_sample(Path(sys.argv[1]))\nassert 'torch' not in sys.modules\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(root)], env=os.environ | {"PYTHONHASHSEED": seed}
    )


# --- the folder ------------------------------------------------------------------------------


def test_the_bytes_are_the_pinned_ones(hub: Path) -> None:
    """When this fails by intention, raise FORMAT_VERSION: everything built from it is stale."""
    assert {path: _digest(hub / path) for path in PINNED} == PINNED


def test_another_process_writes_the_same_bytes_and_never_imports_torch(
    hub: Path, tmp_path: Path
) -> None:
    assert _writer(tmp_path / "hub", seed="12345").wait() == 0
    assert _digests(tmp_path / "hub") == _digests(hub)


def test_the_lock_describes_every_file(hub: Path) -> None:
    repos = json.loads((hub / LOCK_NAME).read_text())["repos"]
    assert sorted(repos) == sorted([MTP, SHEARED, STARLING, CODE_CONTESTS, MBPP, HUMANEVAL])
    described = {
        f"{repo}/{path}": (file["size"], file["sha256"])
        for repo, locked in repos.items()
        for path, file in locked["files"].items()
    }
    found = {
        path: ((hub / path).stat().st_size, digest)
        for path, digest in _digests(hub).items()
        if path != LOCK_NAME
    }
    assert described == found
    for repo, locked in repos.items():
        assert locked["commit"] == sample_revision(repo)
        assert len(bytes.fromhex(locked["commit"])) == 20


def test_a_complete_sample_is_left_alone(hub: Path) -> None:
    before = (hub / LOCK_NAME).stat().st_ino
    write_sample(hub)
    assert (hub / LOCK_NAME).stat().st_ino == before


@pytest.mark.parametrize("damage", ["file missing", "file cut short", "lock of another version"])
def test_a_damaged_sample_is_noticed_and_written_anew(tmp_path: Path, damage: str) -> None:
    write_sample(tmp_path)
    intact = _digests(tmp_path)
    tokenizer, lock = tmp_path / MTP / "tokenizer.model", tmp_path / LOCK_NAME
    if damage == "file missing":
        tokenizer.unlink()
    elif damage == "file cut short":
        tokenizer.write_bytes(tokenizer.read_bytes()[:-1])
    else:
        lock.write_text(lock.read_text().replace(sample_revision(MTP), "0" * 40))
    assert not sample_is_complete(tmp_path)
    write_sample(tmp_path)
    assert sample_is_complete(tmp_path)
    assert _digests(tmp_path) == intact


def test_what_a_killed_writer_left_is_not_taken_for_a_sample(hub: Path, tmp_path: Path) -> None:
    writer = _writer(tmp_path)
    while not (tmp_path / ".writing").exists():
        time.sleep(0.002)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert not sample_is_complete(tmp_path)
    write_sample(tmp_path)
    assert _digests(tmp_path) == _digests(hub)


def test_of_writers_at_the_same_time_none_disturbs_the_others(hub: Path, tmp_path: Path) -> None:
    writers = [_writer(tmp_path) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert _digests(tmp_path) == _digests(hub)


def test_other_files_beside_the_sample_are_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_sample(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


# --- the tokenizer ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder() -> spm.SentencePieceProcessor:
    return spm.SentencePieceProcessor(model_proto=tokenizer_model())


def test_the_tokenizer_is_built_like_llamas(encoder: spm.SentencePieceProcessor) -> None:
    pieces = [encoder.id_to_piece(index) for index in range(encoder.vocab_size())]
    assert len(pieces) == len(set(pieces)) == VOCABULARY
    assert pieces[:3] == ["<unk>", "<s>", "</s>"]
    assert pieces[3:259] == [f"<0x{byte:02X}>" for byte in range(256)]
    assert all(encoder.is_byte(index) for index in range(3, 259))
    specials = (encoder.unk_id(), encoder.bos_id(), encoder.eos_id(), encoder.pad_id())
    assert specials == (0, 1, 2, -1)
    merged = [piece for piece in pieces[259:] if len(piece) > 1]
    assert pieces[259 : 259 + len(merged)] == merged, "merged pieces come before single characters"
    scores = [encoder.get_score(index) for index in range(259, VOCABULARY)]
    assert scores == [-float(rank) for rank in range(1, VOCABULARY - 258)]


def test_no_piece_crosses_into_a_next_word_or_holds_a_second_digit_or_a_newline(
    encoder: spm.SentencePieceProcessor,
) -> None:
    for index in range(259, VOCABULARY):
        piece = encoder.id_to_piece(index)
        assert SPACE not in piece.lstrip(SPACE)
        assert len(piece) == 1 or not any(character.isdigit() for character in piece)
        assert "\n" not in piece


def test_the_special_pieces_are_those_of_the_real_tokenizer(
    encoder: spm.SentencePieceProcessor,
) -> None:
    path = REAL_DATA / "llama_tokenizer/tokenizer.model"
    if not path.exists():
        pytest.skip("the real tokenizer is not at ../shared/data")
    real = spm.SentencePieceProcessor(model_proto=path.read_bytes())
    for index in range(259):
        assert encoder.id_to_piece(index) == real.id_to_piece(index)
        for kind in ("is_unknown", "is_control", "is_byte", "is_unused"):
            assert getattr(encoder, kind)(index) == getattr(real, kind)(index)


# U+2581 stands for a space inside the model, in LLaMA's as well, and comes back as one.
@given(st.text().filter(lambda text: SPACE not in text))
@settings(deadline=None)
def test_any_text_comes_back_from_its_tokens(
    encoder: spm.SentencePieceProcessor, text: str
) -> None:
    assert encoder.decode(encoder.encode(text)) == text


@given(st.text(), st.text())
@settings(deadline=None)
def test_a_newline_parts_the_tokens_of_a_text(
    encoder: spm.SentencePieceProcessor, first: str, second: str
) -> None:
    """What the sample's padding to an exact length, and the corpora's counting, rely on."""
    before, after = encoder.encode(f"{first}\n"), encoder.encode(f"\n{second}")
    assert after[:2] == [encoder.piece_to_id(SPACE), encoder.piece_to_id("<0x0A>")]
    assert encoder.encode(f"{first}\n{second}") == before + after[2:]


def test_both_model_repositories_hold_the_same_tokenizer(hub: Path) -> None:
    assert _digest(hub / MTP / "tokenizer.model") == _digest(hub / SHEARED / "tokenizer.model")


# --- the models ------------------------------------------------------------------------------


def _load(*paths: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    for path in paths:
        state |= torch.load(path, weights_only=True)
    return state


def test_mtp_holds_five_layers_three_extra_heads_and_the_angles(hub: Path) -> None:
    state = _load(hub / MTP / "7B_1T_4/consolidated.pth")
    angles = state.pop("freqs_cis")
    assert (angles.dtype, angles.shape) == (torch.complex64, (128, 8))
    turns = torch.outer(torch.arange(128.0), 10000.0 ** -(torch.arange(0, 16, 2) / 16))
    assert torch.allclose(angles, torch.polar(torch.ones_like(turns), turns), atol=1e-5)

    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    assert (len(state), sum(tensor.numel() for tensor in state.values())) == (75, 468_032)
    blocks = {".".join(name.split(".")[:2]) for name in state if name.count(".") > 2}
    assert blocks == {f"layers.{n}" for n in range(5)} | {f"extra_heads.{n}" for n in range(3)}
    assert state["layers.4.feed_forward.w2.weight"].shape == (64, 176)
    assert json.loads((hub / MTP / "7B_1T_4/params.json").read_text()) == MTP_PARAMS


def test_the_index_of_the_shards_is_true(hub: Path) -> None:
    repo = hub / SHEARED
    index = json.loads((repo / "pytorch_model.bin.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    assert shards == [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    for shard in shards:
        named = [name for name, file in index["weight_map"].items() if file == shard]
        assert sorted(_load(repo / shard)) == sorted(named)
    state = _load(*(repo / shard for shard in shards))
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in state.values())
    buffers = [name for name in state if name.endswith("rotary_emb.inv_freq")]
    assert (len(buffers), len(state)) == (6, 6 + 57)
    expected = 10000.0 ** -(torch.arange(0, 16, 2) / 16)
    assert all(torch.allclose(state[name], expected) for name in buffers)


def test_starling_holds_its_trunk_twice_in_bfloat16_and_says_float16(hub: Path) -> None:
    state = _load(hub / STARLING / "pytorch_model.bin")
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
    trunk = [name for name in state if name.startswith("transformer.")]
    assert len(state) == 2 * len(trunk) + 2 == 78
    for name in trunk:
        other = state[f"model.model.{name.removeprefix('transformer.')}"]
        assert torch.equal(state[name], other)
        assert state[name].data_ptr() != other.data_ptr()
    assert state["v_head.weight"].shape == (1, 64)
    assert json.loads((hub / STARLING / "config.json").read_text())["torch_dtype"] == "float16"


def test_the_weights_are_as_small_as_initialised_ones_and_fit_float16(hub: Path) -> None:
    files = [*(hub / SHEARED).glob("*.bin"), hub / MTP / "7B_1T_4/consolidated.pth"]
    for name, tensor in _load(*files).items():
        if name.endswith("norm.weight"):
            assert (tensor - 1).abs().max() < 0.08
        elif name.endswith(".weight"):
            assert tensor.abs().max() < 0.08
            assert 0.018 < tensor.std() < 0.022
            assert abs(tensor.mean()) < 0.002
            assert tensor.half().isfinite().all()


@pytest.mark.slow
def test_the_reference_model_loads_and_its_loss_is_that_of_an_untrained_one(hub: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(hub / SHEARED)
    ids = torch.arange(300, 364).unsqueeze(0)
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss
    assert 5.5 < loss < 7.0, "ln(512) is 6.24"


TRAPS = [
    "rng_state_0.pth",
    "rng_state_1.pth",
    "global_step1400/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "global_step1400/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt",
]


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_refused_by_a_careful_reader(hub: Path, trap: str) -> None:
    with pytest.raises(pickle.UnpicklingError):
        torch.load(hub / STARLING / trap, weights_only=True)
    assert not hasattr(sys, TRAP_ATTRIBUTE)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_shows_that_a_careless_reader_ran_it(hub: Path, trap: str) -> None:
    try:
        with pytest.raises(RuntimeError, match="it must never be"):
            torch.load(hub / STARLING / trap, weights_only=False)
        assert getattr(sys, TRAP_ATTRIBUTE) == trap
    finally:
        delattr(sys, TRAP_ATTRIBUTE)


# --- code_contests ---------------------------------------------------------------------------

Row: TypeAlias = dict[str, Any]
Problems: TypeAlias = dict[str, list[Row]]


@pytest.fixture(scope="module")
def problems(hub: Path) -> Problems:
    """The rows as they are read from the parquet files."""
    data = hub / CODE_CONTESTS / "data"
    return {
        split: [
            row
            for shard in sorted(data.glob(f"{split}-*.parquet"))
            for row in pq.read_table(shard).to_pylist()
        ]
        for split in ("train", "valid", "test")
    }


def _python(texts: Row) -> list[str]:
    return [
        text
        for language, text in zip(texts["language"], texts["solution"], strict=True)
        if language in (PYTHON2, PYTHON3)
    ]


def _shown(problem: Row) -> str:
    tests = problem["public_tests"]
    pairs = list(zip(tests["input"], tests["output"], strict=True))[:2]
    return "\n\n".join(f"Input: {given}\nOutput: {wanted}" for given, wanted in pairs)


def _everything(problems: Problems) -> Iterator[Row]:
    for rows in problems.values():
        yield from rows


def test_the_schema_is_that_of_the_real_file(hub: Path) -> None:
    real = REAL_DATA / "code_contests/valid-00000-of-00001.parquet"
    if not real.exists():
        pytest.skip("the real row is not at ../shared/data")
    for shard in (hub / CODE_CONTESTS / "data").glob("*.parquet"):
        assert pq.read_schema(shard).equals(pq.read_schema(real), check_metadata=True)


def test_the_shards_are_named_and_grouped_as_on_the_hub(hub: Path) -> None:
    names = sorted(path.name for path in (hub / CODE_CONTESTS / "data").iterdir())
    stems, hashes = zip(
        *(name.removesuffix(".parquet").rsplit("-", 1) for name in names), strict=True
    )
    assert stems == (
        "test-00000-of-00001",
        "train-00000-of-00002",
        "train-00001-of-00002",
        "valid-00000-of-00001",
    )
    assert all(len(bytes.fromhex(digits)) == 8 for digits in hashes)
    for path in (hub / CODE_CONTESTS / "data").iterdir():
        assert pq.ParquetFile(path).num_row_groups == 1


def test_each_split_has_its_problems_and_python_rows(
    problems: Problems, encoder: spm.SentencePieceProcessor
) -> None:
    counts = {}
    for split, rows in problems.items():
        kept: Counter[str] = Counter()
        for problem in rows:
            fixed = len(encoder.encode(problem["description"]))
            shown = (pair for pair in _pairs(problem) if all(pair))
            fixed += len(encoder.encode("\n\n".join(f"Input: {a}\nOutput: {b}" for a, b in shown)))
            for field in ("solutions", "incorrect_solutions"):
                for text in _python(problem[field]):
                    stays = fixed + len(encoder.encode(text)) <= TOKEN_LIMIT
                    kept[field if stays else "too long"] += 1
        counts[split] = (len(rows), *(kept[key] for key in COUNTED))
    assert counts == {
        "train": (60, 188, 193, 26),
        "valid": (12, 41, 42, 5),
        "test": (12, 38, 37, 1),
    }


COUNTED = ("solutions", "incorrect_solutions", "too long")


def _pairs(problem: Row) -> list[tuple[str, str]]:
    tests = problem["public_tests"]
    return list(zip(tests["input"], tests["output"], strict=True))[:2]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_each_split_has_a_row_exactly_at_the_filter_and_one_just_beyond(
    problems: Problems, encoder: spm.SentencePieceProcessor, split: str
) -> None:
    tokens = Counter(
        sum(len(encoder.encode(part)) for part in (problem["description"], _shown(problem), text))
        for problem in problems[split]
        for field in ("solutions", "incorrect_solutions")
        for text in _python(problem[field])
    )
    assert tokens[TOKEN_LIMIT] > 0
    assert tokens[TOKEN_LIMIT + 1] > 0


def test_every_upstream_oddity_occurs_in_train(problems: Problems) -> None:
    train = problems["train"]
    assert {row["difficulty"] for row in train} == {*range(0, 13), 19}
    assert {row["source"] for row in train} == {1, 2, 3, 4, 6, 7}
    languages = Counter(code for row in train for code in row["solutions"]["language"])
    assert set(languages) == {0, 1, 2, 3, 4}
    assert 0 < sum(row["time_limit"] is None for row in train) < len(train)

    named: dict[str, list[int]] = {}
    for row in train:
        named.setdefault(row["name"], []).append(row["source"])
    shared = {name: sources for name, sources in named.items() if len(sources) > 1}
    assert sorted(map(sorted, shared.values())) == [[1, 1], [1, 6]]

    empty = [not row["solutions"]["solution"] for row in train]
    no_wrong = [not row["incorrect_solutions"]["solution"] for row in train]
    assert sum(empty) == 3
    assert sum(no_wrong) == 2
    assert (
        sum(
            not _python(row["solutions"]) and not none
            for row, none in zip(train, empty, strict=True)
        )
        == 1
    )
    assert any("\r\n" in row["description"] for row in train)
    text = "".join(text for row in train for text in row["solutions"]["solution"])
    wrong = "".join(text for row in train for text in row["incorrect_solutions"]["solution"])
    assert "\0" in wrong
    assert all(odd in text for odd in ("\r\n", "\t", "\u2028", SPACE, "🐍", "\x7f", "e\u0301"))
    assert any("" in row["public_tests"]["input"] for row in train)
    assert any("" in row["public_tests"]["output"] for row in train)
    assert any(not row["public_tests"]["input"] for row in train)
    assert any(row["is_description_translated"] for row in train)


def test_no_program_comes_twice_within_a_problem(problems: Problems) -> None:
    for problem in _everything(problems):
        for field in ("solutions", "incorrect_solutions"):
            texts = problem[field]["solution"]
            assert len(texts) == len(set(texts)), problem["name"]


def _execute(program: str, name: str = "") -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": name}
    exec(program, scope)  # noqa: S102  # the sample's programs are our own
    return scope


def _run(program: str, asked: str) -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "stdin", io.StringIO(asked))
        _execute(program, "__main__")
    return out.getvalue()


def test_every_right_python_3_program_solves_its_public_tests(problems: Problems) -> None:
    ran = 0
    for problem in _everything(problems):
        if "" in problem["public_tests"]["input"] or problem["name"] == LONG_INPUT:
            continue
        texts = problem["solutions"]
        for language, text in zip(texts["language"], texts["solution"], strict=True):
            if language != PYTHON3 or text.startswith("TABLE = "):
                continue
            tests = problem["public_tests"]
            for asked, wanted in zip(tests["input"], tests["output"], strict=True):
                assert _run(text, asked) == wanted, problem["name"]
                ran += 1
    assert ran > 150


LONG_INPUT = "1533_D. Mirror Words"  # its input was replaced by a long one, its output was not


def _answers(body: str, family: Family, k: int, cases: list[str]) -> list[str | None]:
    lines = body.format(k=k).replace("\n", "\n    ")
    answer = _execute(f"def answer(a):\n    {lines}")["answer"]
    found: list[str | None] = []
    for case in cases:
        asked = case if family.words else [int(part) for part in case.split()]
        try:
            found.append(str(answer(asked)))
        except (IndexError, ValueError):
            found.append(None)
    return found


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_right_bodies_are_right_and_wrong_ones_fail_somewhere(family: Family) -> None:
    if family.words:
        cases = ["abca", "zzyx", "a", "abba", "xyzzy", "abcdefgh", "aabbccddeeff", "level", "abcab"]
        cases += ["zzabca", "abcdefgxyzx"]
    else:
        cases = ["1 2 3", "5", "30 0 7 7 2 8 9", "2 4 6 8 10 12 3 1", "1 1 1 0 2 0 3 0 5 4 6 2"]
    for k in range(2, 9):
        wanted = [family.solve(case, k) for case in cases]
        for body in family.right:
            assert _answers(body, family, k, cases) == wanted
    for body in family.wrong:
        assert any(
            _answers(body, family, k, cases) != [family.solve(case, k) for case in cases]
            for k in range(2, 9)
        )


def test_the_splits_do_not_depend_on_anything_but_the_tokenizer() -> None:
    assert code_contests(tokenizer_model()) == code_contests(tokenizer_model())


# --- mbpp and humaneval ----------------------------------------------------------------------


def test_the_mbpp_splits_have_upstreams_columns_and_numbering(hub: Path) -> None:
    counts = {}
    for split in ("train", "validation", "test", "prompt"):
        table = pq.read_table(hub / MBPP / f"full/{split}-00000-of-00001.parquet")
        ids = table["task_id"].to_pylist()
        counts[split] = (ids[0], len(ids))
        assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert counts == {
        "train": (601, 14),
        "validation": (511, 8),
        "test": (11, 16),
        "prompt": (1, 2),
    }


def test_every_mbpp_solution_passes_its_tests_with_the_setup_run_after_it(hub: Path) -> None:
    rows = [
        row for path in (hub / MBPP / "full").iterdir() for row in pq.read_table(path).to_pylist()
    ]
    for row in rows:
        tests = row["test_list"] + row["challenge_test_list"]
        _execute("\n".join([row["code"], row["test_setup_code"], *tests]))
    assert any(row["test_setup_code"] for row in rows)
    with_crlf = sum("\r\n" in row["code"] for row in rows)
    assert with_crlf > len(rows) / 2
    assert any("\n" in row["code"] and "\r" not in row["code"] for row in rows)
    assert any(not row["code"].isascii() for row in rows)


def test_every_humaneval_solution_passes_its_check(hub: Path) -> None:
    path = hub / HUMANEVAL / "openai_humaneval/test-00000-of-00001.parquet"
    rows = pq.read_table(path).to_pylist()
    assert [row["task_id"] for row in rows] == [f"HumanEval/{n}" for n in range(12)]
    for row in rows:
        scope = _execute(row["prompt"] + row["canonical_solution"] + row["test"])
        scope["check"](scope[row["entry_point"]])
    assert any(not row["prompt"].isascii() for row in rows)
