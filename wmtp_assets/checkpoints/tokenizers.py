"""The shared tokenizer: documents that make AutoTokenizer give SentencePiece's ids, and the checks.

Belongs here: what is written beside `tokenizer.model`, and how two tokenizers are compared. The
truth is always SentencePiece on `tokenizer.model`.

transformers 5 does not give LLaMA's ids from `tokenizer.model` alone, in three ways, each undone:
it ranks merges by id and not by score, so runs of spaces split differently (the whitespace pieces
of LLaMA have early ids and the lowest of all scores); its LlamaTokenizer drops the dummy prefix
before a leading space; and it reads a literal "<s>" in a text as the control token. So a whole
`tokenizer.json` is derived, `tokenizer_config.json` names the class that uses it as it is, and
`split_special_tokens` keeps text text. `tokenizer_ids` compares ids on a probe corpus.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sentencepiece import SentencePieceProcessor

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.model_file import read_model
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding, Outcome, check, lazy

SPACE = "\u2581"  # how SentencePiece writes a space
SHOWN = 5
_AGAIN = "materialize the tokenizer again"
Encode = Callable[[str], list[int]]


class TokenizerError(WmtpError):
    """tokenizer.model cannot be read, or has no faithful tokenizer.json."""


def open_processor(model: Path) -> SentencePieceProcessor:
    """SentencePiece on `tokenizer.model`; TokenizerError if it is missing or none."""
    try:
        # SentencePiece's own code is asked on bytes that were read and checked before.
        return SentencePieceProcessor(model_proto=read_model(model)[1])
    except (CorpusError, OSError, RuntimeError) as error:
        raise TokenizerError(
            "The tokenizer cannot be read",
            expected="a SentencePiece model",
            found=error.found if isinstance(error, CorpusError) else error,
            where=model,
            hint=_AGAIN,
        ) from error


def tokenizer_documents(model: Path) -> dict[str, dict[str, object]]:
    """tokenizer.json and tokenizer_config.json for a SentencePiece BPE model of LLaMA's kind.

    Raises:
        TokenizerError: the model cannot be read, or normalizes text in a way that is not LLaMA's
            (a dummy prefix, spaces kept and written as U+2581, nothing else).
    """
    processor = open_processor(model)
    probe = " a  \ufb01\u2460 "
    if processor.normalize(probe) != SPACE + probe.replace(" ", SPACE):
        raise TokenizerError(
            "The tokenizer normalizes text as LLaMA's does not",
            expected=repr(SPACE + probe.replace(" ", SPACE)),
            found=repr(processor.normalize(probe)),
            where=model,
        )
    if min(processor.bos_id(), processor.unk_id()) < 0:
        raise TokenizerError(
            "The tokenizer has no piece that begins a text, or none for what is unknown",
            expected="a control piece <s> and an unknown piece",
            found=f"ids {processor.bos_id()} and {processor.unk_id()}",
            where=model,
            hint="name the right tokenizer.model in the catalog",
        )
    names = {
        role: processor.id_to_piece(token)
        for role, token in (
            ("bos_token", processor.bos_id()),
            ("eos_token", processor.eos_id()),
            ("unk_token", processor.unk_id()),
        )
        if token >= 0
    }
    config: dict[str, object] = {
        # Not LlamaTokenizer: transformers 5 rebuilds that one with another treatment of spaces.
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "add_bos_token": True,
        "add_eos_token": False,
        "split_special_tokens": True,
        "clean_up_tokenization_spaces": False,
        # Without it versions 4.48 to 4.57 hand token_type_ids to `generate`, which refuses them.
        "model_input_names": ["input_ids", "attention_mask"],
    }
    return {"tokenizer.json": _tokenizer_json(processor), "tokenizer_config.json": config}


def _tokenizer_json(processor: SentencePieceProcessor) -> dict[str, object]:
    bos = processor.id_to_piece(processor.bos_id())
    with_bos = {"SpecialToken": {"id": bos, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        # Empty: an added token would be cut out of a text that mentions it.
        "added_tokens": [],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": SPACE},
                {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [with_bos, first],
            "pair": [with_bos, first, with_bos, second],
            "special_tokens": {bos: {"id": bos, "ids": [processor.bos_id()], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": processor.id_to_piece(processor.unk_id()),
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {processor.id_to_piece(i): i for i in range(processor.vocab_size())},
            "merges": _merges(processor),
        },
    }


def _merges(processor: SentencePieceProcessor) -> list[str]:
    """Every way to join two pieces into a third, best first: "left right", as no piece has a space.

    SentencePiece joins the neighbours whose joined piece scores highest, the leftmost among
    equals. `tokenizers` ranks pairs, and asks for the place only between equal pairs. Among equal
    scores (LLaMA's runs of spaces) the longer piece, then the longer left part come first: in a run
    joined from the left, the leftmost pair is the one that makes the longest piece.
    """
    score = {processor.id_to_piece(i): processor.get_score(i) for i in _text_pieces(processor)}
    pairs = [
        (-score[piece], -len(piece), -cut, piece[:cut], piece[cut:])
        for piece in score
        for cut in range(1, len(piece))
        if piece[:cut] in score and piece[cut:] in score
    ]
    return [f"{left} {right}" for *_, left, right in sorted(pairs)]


def _text_pieces(processor: SentencePieceProcessor) -> list[int]:
    """Ids of the pieces that text is made of: no control, unknown, byte or unused piece."""
    kinds = (processor.is_control, processor.is_unknown, processor.is_byte, processor.is_unused)
    return [i for i in range(processor.vocab_size()) if not any(kind(i) for kind in kinds)]


def probe_texts(processor: SentencePieceProcessor, count: int = 2000) -> list[str]:
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
    rng = random.Random(0)  # noqa: S311 - to spread over the vocabulary, not for secrecy
    pieces = [processor.id_to_piece(i).replace(SPACE, " ") for i in _text_pieces(processor)]
    drawn = (
        "".join(rng.choice(pieces) * rng.choice((1, 1, 1, 2, 3)) for _ in range(rng.randint(1, 12)))
        for _ in range(count)
    )
    return list(chain(traps, runs, around, drawn))


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


def auto_encoder(directory: Path) -> Encode:
    """What AutoTokenizer makes of the directory, without BOS, as a function from text to ids."""
    from transformers import AutoTokenizer  # seconds to import

    tokenizer = AutoTokenizer.from_pretrained(
        str(directory), local_files_only=True, trust_remote_code=False
    )

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
        return ids

    return encode


class StoredTokenizer:
    """A folder with tokenizer.model, tokenizer.json and tokenizer_config.json.

    `vocab_size` is the number of pieces that the catalog expects, `sha256` (hex) the digest that
    tokenizer.model must have.
    """

    def __init__(self, folder: Path, *, vocab_size: int, sha256: str) -> None:
        self.folder = folder
        self.model = folder / "tokenizer.model"
        self.vocab_size = vocab_size
        self.sha256 = sha256

    @lazy
    def processor(self) -> SentencePieceProcessor:
        """SentencePiece on its model. Raises TokenizerError."""
        return open_processor(self.model)


@check("tokenizer.model is the file that the catalog names.")
def tokenizer_digest(stored: StoredTokenizer) -> Outcome:
    model, sha256 = stored.model, stored.sha256
    found = hashlib.sha256(model.read_bytes()).hexdigest() if model.is_file() else "no file"
    return Outcome(found == sha256, sha256, found, str(model), hint=_AGAIN)


@check("It has as many pieces as the catalog expects.")
def tokenizer_vocabulary(stored: StoredTokenizer) -> Outcome:
    size, expected = stored.processor.vocab_size(), stored.vocab_size
    return Outcome(size == expected, expected, size, str(stored.model), hint=_AGAIN)


@check("AutoTokenizer gives SentencePiece's ids on a probe corpus.")
def tokenizer_ids(stored: StoredTokenizer) -> Outcome:
    processor = stored.processor
    texts = probe_texts(processor)
    expected = str(Comparison(len(texts), ()))
    try:
        compared = compare_encoders(processor.encode, auto_encoder(stored.folder), texts)
        passed, found = not compared.different, str(compared)
    except (OSError, ValueError) as error:
        passed, found = False, f"AutoTokenizer cannot load it: {str(error)[:300]}"
    return Outcome(passed, expected, found, str(stored.folder), hint=_AGAIN)


CHECKS = (tokenizer_digest, tokenizer_vocabulary, tokenizer_ids)


def check_same_tokenizer(ours: Path, theirs: Path) -> Finding:
    """Whether another model's tokenizer.model is ours: the same file, or the same ids throughout.

    A different file passes when it gives the same ids on the probe corpora of both vocabularies
    and the pieces are the same; what differs is listed in `details`.
    """
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (ours, theirs)]
    one, other = open_processor(ours), open_processor(theirs)
    if digests[0] == digests[1]:
        passed, found, pieces = True, "the same file", []
        different: tuple[str, ...] = ()
    else:
        size = max(one.vocab_size(), other.vocab_size())
        pieces = [i for i in range(size) if _piece(one, i) != _piece(other, i)]
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
        hint="" if passed else "this model cannot share the tokenizer: give it one of its own",
        details={
            "sha256": digests,
            "different_pieces": [[i, _piece(one, i), _piece(other, i)] for i in pieces[:20]],
            "different_texts": [text[:200] for text in different[:20]],
        },
    )


def _piece(processor: SentencePieceProcessor, token: int) -> str | None:
    return processor.id_to_piece(token) if token < processor.vocab_size() else None
