"""AutoTokenizer gives SentencePiece's ids on everything tried, and the checks see it when not."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor

from wmtp_assets.checkpoints.open_tokenizer import TokenizerError
from wmtp_assets.checkpoints.sentencepiece_tokenizers import open_processor
from wmtp_assets.checkpoints.tokenizers import (
    CHECKS,
    StoredTokenizer,
    auto_encoder,
    check_same_tokenizer,
    compare_encoders,
    open_tokenizer,
    probe_texts,
    tokenizer_documents,
)
from wmtp_assets.sample.tokenizer import tokenizer_model

DATA = Path(__file__).parents[2] / "../shared/data"
LLAMA = DATA.resolve() / "llama_tokenizer" / "tokenizer.model"
VOCABULARIES = ["sample", "llama"]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A complete tokenizer folder of the sample's vocabulary, and of LLaMA's where it is there."""
    root = tmp_path_factory.mktemp("tokenizers")
    (root / "sample").mkdir()
    (root / "sample" / "tokenizer.model").write_bytes(tokenizer_model())
    if LLAMA.is_file():
        (root / "llama").mkdir()
        shutil.copyfile(LLAMA, root / "llama" / "tokenizer.model")
    for folder in root.iterdir():
        write_documents(folder)
    return {folder.name: folder for folder in root.iterdir()}


def write_documents(folder: Path) -> None:
    for name, document in tokenizer_documents(folder / "tokenizer.model").items():
        (folder / name).write_text(json.dumps(document))


@pytest.fixture(params=VOCABULARIES)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return _there(folders, request.param)


def _there(folders: dict[str, Path], name: str) -> Path:
    if name not in folders:
        pytest.skip(f"no {LLAMA}")
    return folders[name]


@cache
def opened(folder: Path) -> tuple[Any, Any]:
    """The truth and AutoTokenizer's encoder; loading LLaMA's takes a second."""
    return open_processor(folder / "tokenizer.model"), auto_encoder(folder)


def assert_same(folder: Path, texts: list[str]) -> None:
    truth, ours = opened(folder)
    assert compare_encoders(truth.encode, ours, texts).different == ()


def test_the_probe_corpus_gives_sentencepieces_ids(folder: Path) -> None:
    assert_same(folder, probe_texts(open_tokenizer(folder / "tokenizer.model"), count=5000))


def test_runs_of_spaces_of_any_length_give_sentencepieces_ids(folder: Path) -> None:
    rng = random.Random(1)
    around = ["", "a", "(", "\n", "1", "é", "\t"]
    texts = [rng.choice(around) + " " * n + rng.choice(around) for n in range(1, 600)]
    texts += [
        "".join(" " * rng.randint(1, 40) + rng.choice(around) for _ in range(8)) for _ in range(500)
    ]
    assert_same(folder, texts)


def test_runs_of_every_character_that_repeats_in_a_piece_give_sentencepieces_ids(
    folder: Path,
) -> None:
    truth = opened(folder)[0]
    pieces = [truth.id_to_piece(i) for i in range(truth.vocab_size())]
    repeated = {piece[0] for piece in pieces if len(piece) > 1 and len(set(piece)) == 1}
    assert_same(folder, [mark * n + end for mark in repeated for n in range(65) for end in " a"])


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@settings(max_examples=400, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@example(text="<s>")
@example(text="</s> <unk> <0x0A> [INST]")
@example(text=" leading")
@example(text="\u2581 \u2581\u2581")
@example(text="\x00")
@example(text="\r\n\x0b\x0c\x1c\x85\u2028\u2029\ufeff")
def test_any_text_at_all_gives_sentencepieces_ids(
    folders: dict[str, Path], vocabulary: str, text: str
) -> None:
    assert_same(_there(folders, vocabulary), [text])


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@settings(max_examples=400, deadline=None)
@given(text=st.text(" \n\tab(){}[];=-+*/<>_.,'\"019xyzé漢😀\u2581", max_size=200))
def test_any_code_like_text_gives_sentencepieces_ids(
    folders: dict[str, Path], vocabulary: str, text: str
) -> None:
    assert_same(_there(folders, vocabulary), [text])


@pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the repository")
def test_the_real_humaneval_and_mbpp_give_sentencepieces_ids(folder: Path) -> None:
    with gzip.open(DATA / "humaneval" / "HumanEval.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)[k] for line in lines for k in ("prompt", "canonical_solution")]
    mbpp = (DATA / "mbpp" / "mbpp.jsonl").read_text()
    texts += [json.loads(line)[k] for line in mbpp.split("\n") if line for k in ("text", "code")]
    assert len(texts) > 2000
    assert_same(folder, texts)


def test_other_scores_of_the_same_pieces_change_the_merges_with_them(tmp_path: Path) -> None:
    """The order of merges is the scores', not the ids': whitespace last, as in LLaMA's file."""
    pieces = [open_sample().id_to_piece(i) for i in range(512)]
    data = tokenizer_model()
    for piece in (p for p in pieces if set(p) == {"\u2581"}):
        encoded = piece.encode()
        at = data.index(bytes([0x0A, len(encoded)]) + encoded + b"\x15") + 3 + len(encoded)
        data = data[:at] + b"\x28\x6b\x6e\xce" + data[at + 4 :]  # the float32 -1e9
    (tmp_path / "tokenizer.model").write_bytes(data)
    write_documents(tmp_path)
    truth = open_processor(tmp_path / "tokenizer.model")
    assert truth.get_score(truth.piece_to_id("\u2581\u2581")) == pytest.approx(-1e9)
    texts = probe_texts(open_tokenizer(tmp_path / "tokenizer.model"))
    assert compare_encoders(truth.encode, open_sample().encode, texts).different != ()
    assert_same(tmp_path, texts)


@cache
def open_sample() -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=tokenizer_model())


def test_bos_is_added_by_default_and_special_tokens_are_known(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    truth = opened(folder)[0]
    assert tokenizer("int main() {")["input_ids"] == [1, *truth.encode("int main() {")]
    assert (tokenizer.unk_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)
    assert len(tokenizer) == truth.vocab_size()


def test_decoding_gives_the_text_back(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in ("  two leading\n\tand a tab ", "naïve 漢字 😀 e\u0301", "<s> x </s>", "a , b ."):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_the_documents_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    model = tmp_path / "tokenizer.model"
    model.write_bytes(tokenizer_model())
    assert json.dumps(tokenizer_documents(model)) == json.dumps(tokenizer_documents(model))


def test_a_model_that_normalizes_is_refused(tmp_path: Path) -> None:
    data = tokenizer_model()
    kept = b"\x18\x01\x20\x00\x28\x01"  # dummy prefix, spaces kept, spaces escaped
    assert data.count(kept) == 1
    (tmp_path / "tokenizer.model").write_bytes(data.replace(kept, b"\x18\x01\x20\x01\x28\x01"))
    with pytest.raises(TokenizerError, match="normalizes text"):
        tokenizer_documents(tmp_path / "tokenizer.model")


@pytest.mark.parametrize("content", [b"", b"no protobuf at all", None])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: bytes | None) -> None:
    model = tmp_path / "tokenizer.model"
    if content is not None:
        model.write_bytes(content)
    with pytest.raises(TokenizerError, match=str(model)):
        tokenizer_documents(model)


@pytest.fixture
def copied(folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the sample's tokenizer folder, to be broken."""
    shutil.copytree(folders["sample"], tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


DIGEST = hashlib.sha256(tokenizer_model()).hexdigest()


def failed(folder: Path, vocab_size: int = 512, sha256: str = DIGEST) -> set[str]:
    """The checks that do not pass, or raise TokenizerError (shown as a failed check)."""
    stored = StoredTokenizer(folder, vocab_size=vocab_size, sha256=sha256)
    names = set()
    for one in CHECKS:
        with suppress(TokenizerError):
            if one.of(stored).passed:
                continue
        names.add(one.name)
    return names


def test_a_sound_tokenizer_passes_every_check(copied: Path) -> None:
    assert [check.name for check in CHECKS] == [
        "tokenizer_digest",
        "tokenizer_vocabulary",
        "tokenizer_ids",
    ]
    assert failed(copied) == set()


def test_another_digest_or_vocabulary_size_fails(copied: Path) -> None:
    assert failed(copied, sha256="0" * 64) == {"tokenizer_digest"}
    assert failed(copied, vocab_size=32000) == {"tokenizer_vocabulary"}


@pytest.mark.parametrize(
    ("field", "value"),
    [("split_special_tokens", False), ("tokenizer_class", "LlamaTokenizer")],
)
def test_a_config_that_lets_transformers_split_otherwise_fails_the_ids(
    copied: Path, field: str, value: object
) -> None:
    path = copied / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    assert failed(copied) == {"tokenizer_ids"}


def test_merges_in_another_order_fail_the_ids(copied: Path) -> None:
    path = copied / "tokenizer.json"
    document = json.loads(path.read_text())
    document["model"]["merges"].reverse()
    path.write_text(json.dumps(document))
    assert failed(copied) == {"tokenizer_ids"}


def test_a_broken_tokenizer_json_is_a_finding_and_no_crash(copied: Path) -> None:
    (copied / "tokenizer.json").write_text("{")
    assert failed(copied) == {"tokenizer_ids"}


def test_a_missing_tokenizer_model_fails_every_check(copied: Path) -> None:
    (copied / "tokenizer.model").unlink()
    assert failed(copied) == {check.name for check in CHECKS}


def test_the_same_file_is_a_shared_tokenizer(copied: Path, folders: dict[str, Path]) -> None:
    finding = check_same_tokenizer(
        folders["sample"] / "tokenizer.model", copied / "tokenizer.model"
    )
    assert (finding.passed, finding.found) == (True, "the same file")


def test_another_file_with_the_same_pieces_and_ids_is_a_shared_tokenizer(
    copied: Path, folders: dict[str, Path]
) -> None:
    model = copied / "tokenizer.model"
    model.write_bytes(model.read_bytes() + b"\x9a\x06\x04note")  # a field that nobody reads
    finding = check_same_tokenizer(folders["sample"] / "tokenizer.model", model)
    assert finding.passed, finding.found
    assert "another file; 0 pieces differ" in str(finding.found)


def test_a_tokenizer_with_two_pieces_swapped_is_not_shared_and_the_pieces_are_listed(
    copied: Path, folders: dict[str, Path]
) -> None:
    data = tokenizer_model()
    one, other = (b"\x0a\x01" + letter + b"\x15" for letter in (b"a", b"b"))
    swapped = data.replace(one, b"\0SWAP").replace(other, one).replace(b"\0SWAP", other)
    (copied / "tokenizer.model").write_bytes(swapped)
    finding = check_same_tokenizer(
        folders["sample"] / "tokenizer.model", copied / "tokenizer.model"
    )
    assert not finding.passed
    assert {piece for _, *pair in finding.details["different_pieces"] for piece in pair} == {  # type: ignore[attr-defined] - a list here
        "a",
        "b",
    }
    assert finding.details["different_texts"]
