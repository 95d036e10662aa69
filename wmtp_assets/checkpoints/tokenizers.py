"""Tokenizers of either kind: opened by the file that decides their ids, compared, and checked.

`sentencepiece_tokenizers` and `json_tokenizers` say what is published of each kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.json_tokenizers import json_documents, of_json, stored_config
from wmtp_assets.checkpoints.open_tokenizer import Encode, OpenTokenizer, TokenizerError
from wmtp_assets.checkpoints.sentencepiece_tokenizers import (
    SPACE,
    of_sentencepiece,
    sentencepiece_documents,
)
from wmtp_assets.findings import Finding, Outcome, check, lazy

SHOWN = 5
OWN_TOKENIZER = (
    "This model needs the tokenizer that it was trained with: in its entry of the catalog name the "
    "file as files.tokenizer, and write `tokenizer: own`; or write `tokenizer: NAME`, NAME being a "
    "model of the catalog whose own tokenizer it has."
)
_AGAIN = "materialize the tokenizer again"


def published_as(file: str) -> str:
    """What a repository's tokenizer file is called once it is published: by its kind."""
    return "tokenizer.json" if file.endswith(".json") else "tokenizer.model"


def open_tokenizer(file: Path, config: Mapping[str, object] | None = None) -> OpenTokenizer:
    """The tokenizer of a tokenizer.json or tokenizer.model.

    Args:
        config: a tokenizer_config.json with the special tokens of a tokenizer.json; None is the one
            beside it.

    Raises TokenizerError.
    """
    if file.suffix != ".json":
        return of_sentencepiece(file)
    try:
        return of_json(file, stored_config(file) if config is None else config)
    except CheckpointError as error:
        raise TokenizerError(
            error.problem,
            expected=error.expected,
            found=error.found,
            where=error.where,
            hint=_AGAIN,
        ) from error


def tokenizer_documents(
    file: Path,
    stated: Mapping[str, object] | None = None,
    model_config: Mapping[str, object] | None = None,
) -> dict[str, dict[str, object]]:
    """What AutoTokenizer reads beside a tokenizer's file, by name.

    `stated` and `model_config` are the repository's tokenizer_config.json and config.json, which a
    tokenizer.json needs (`json_documents`). Raises TokenizerError.
    """
    if file.suffix == ".json":
        return json_documents(file, stated, model_config or {})
    return sentencepiece_documents(file)


def probe_texts(tokenizer: OpenTokenizer, count: int = 2000) -> list[str]:
    """A probe corpus: hand-picked traps, and `count` random texts of the vocabulary's own pieces.

    The same for the same vocabulary, on every machine.
    """
    traps = [
        "",
        " ",
        "\n",
        "def f(x):\n    return x  # done\n",
        "\t\tif (a <= b) {\r\n\t\t\treturn 1234567890;\r\n\t\t}",
        "<s>[INST] literal control tokens </s><unk><pad> <0x0A>",
        "  two leading, two trailing  ",
        f"a literal{SPACE}mark and a NUL\x00here",
        "naïve café, 漢字 かな, Ελληνικά, العربية, 😀👩‍👩‍👧, e\u0301",
        "\u2028line\u2029ends\x85and\x0bodd\x0cspaces\u00a0\u200b\u3000\ufeff",
    ]
    runs = [mark * n for mark in (" ", "\t", "\n", "=", "-", "a", "/") for n in range(2, 70)]
    around = [
        f"{left}{' ' * n}{right}" for n in range(1, 40) for left, right in ("a(", "\n1", ").")
    ]
    return list(chain(traps, runs, around, tokenizer.drawn(count)))


@dataclass(frozen=True)
class Comparison:
    """What two encoders made of the same texts; `different` lists the texts they disagree on."""

    texts: int
    different: tuple[str, ...]

    def __str__(self) -> str:
        if not self.different:
            return f"the same ids on all {self.texts} texts"
        shown = ", ".join(repr(text[:40]) for text in self.different[:SHOWN])
        return f"other ids on {len(self.different)} of {self.texts} texts: {shown}"


def compare_encoders(one: Encode, other: Encode, texts: Sequence[str]) -> Comparison:
    """Encode every text twice and keep those whose ids differ."""
    return Comparison(len(texts), tuple(text for text in texts if one(text) != other(text)))


def auto_encoder(directory: Path, *, whole: bool = False) -> Encode:
    """What AutoTokenizer makes of the directory, as a function from text to ids.

    Without BOS, or `whole`: as a reader gets it by default.
    """
    from transformers import AutoTokenizer  # seconds to import

    tokenizer = AutoTokenizer.from_pretrained(
        str(directory), local_files_only=True, trust_remote_code=False
    )

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=whole)
        return ids

    return encode


class StoredTokenizer:
    """A published tokenizer: `file` (tokenizer.model or tokenizer.json) and what is beside it.

    `vocab_size` is the number of pieces that the catalog expects, None where it does not say;
    `sha256` (hex) is the digest that the file must have.
    """

    def __init__(
        self, folder: Path, *, vocab_size: int | None, sha256: str, file: str = "tokenizer.model"
    ) -> None:
        self.folder = folder
        self.model = folder / file
        self.vocab_size = vocab_size
        self.sha256 = sha256

    @lazy
    def opened(self) -> OpenTokenizer:
        """The tokenizer as its own library reads it. Raises TokenizerError."""
        return open_tokenizer(self.model)


@check("Its file is the one that the catalog names.")
def tokenizer_digest(stored: StoredTokenizer) -> Outcome:
    model, sha256 = stored.model, stored.sha256
    found = hashlib.sha256(model.read_bytes()).hexdigest() if model.is_file() else "no file"
    return Outcome(found == sha256, sha256, found, str(model), hint=_AGAIN)


@check("It has as many pieces as the catalog expects.")
def tokenizer_vocabulary(stored: StoredTokenizer) -> Outcome:
    size, expected = stored.opened.size, stored.vocab_size
    if expected is None:
        any_number = "any number: it is compared with the embedding of each model"
        return Outcome(True, any_number, size, str(stored.model))
    return Outcome(size == expected, expected, size, str(stored.model), hint=_AGAIN)


@check("On a set of test texts, AutoTokenizer gives the same ids as the tokenizer's own library.")
def tokenizer_ids(stored: StoredTokenizer) -> Outcome:
    tokenizer = stored.opened
    texts = probe_texts(tokenizer)
    expected = str(Comparison(len(texts), ()))
    try:
        ours = auto_encoder(stored.folder, whole=True)
        compared = compare_encoders(tokenizer.whole, ours, texts)
        passed, found = not compared.different, str(compared)
    except (OSError, ValueError) as error:
        passed, found = False, f"AutoTokenizer cannot load it: {str(error)[:300]}"
    return Outcome(passed, expected, found, str(stored.folder), hint=_AGAIN)


CHECKS = (tokenizer_digest, tokenizer_vocabulary, tokenizer_ids)


def check_same_tokenizer(ours: Path, theirs: Path) -> Finding:
    """Whether another model's tokenizer is ours: the same file, or the same ids throughout.

    A different file passes when it gives the same ids on the probe corpora of both vocabularies
    and the pieces are the same; what differs is listed in `details`.
    """
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (ours, theirs)]
    one, other = open_tokenizer(ours, {}), open_tokenizer(theirs, {})
    if digests[0] == digests[1]:
        passed, found, pieces = True, "the same file", []
        different: tuple[str, ...] = ()
    else:
        size = max(one.size, other.size)
        pieces = [i for i in range(size) if one.piece(i) != other.piece(i)]
        texts = list(dict.fromkeys(probe_texts(one) + probe_texts(other)))
        compared = compare_encoders(one.encode, other.encode, texts)
        different = compared.different
        passed = not pieces and not different
        found = f"another file; {len(pieces)} pieces differ; {compared}"
    return Finding(
        name="tokenizer_shared",
        passed=passed,
        expected="the same file, or the same pieces and ids",
        found=found,
        where=str(theirs),
        hint="" if passed else OWN_TOKENIZER,
        details={
            "sha256": digests,
            "different_pieces": [[i, one.piece(i), other.piece(i)] for i in pieces[:20]],
            "different_texts": [text[:200] for text in different[:20]],
        },
    )
