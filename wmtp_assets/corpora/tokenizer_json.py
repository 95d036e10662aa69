"""What a tokenizer.json says: read as data, and handed to the `tokenizers` library only then.

The format names components by type, and some take a pattern; nothing of it is code, and a type that
is not listed here is refused. So are settings that make ids random (dropout).

Source of the format: huggingface/tokenizers, tokenizers/src/tokenizer/serialization.rs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wmtp_assets.checkpoints.strict_json import StrictJsonError, loads_object
from wmtp_assets.corpora.errors import CorpusError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Llama-3's has 9 MB, the largest public ones some 35.
_MAX_BYTES = 48 << 20
_KEYS: Final = frozenset(
    [
        "version",
        "truncation",
        "padding",
        "added_tokens",
        "normalizer",
        "pre_tokenizer",
        "post_processor",
        "decoder",
        "model",
    ]
)
_MODELS: Final = frozenset({"BPE"})
_COMPONENTS: Final[Mapping[str, frozenset[str]]] = {
    "normalizer": frozenset(
        ["Sequence", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Prepend", "Replace", "Strip"]
    ),
    "pre_tokenizer": frozenset(
        ["Sequence", "ByteLevel", "Digits", "Metaspace", "Punctuation", "Split"]
    ),
    "post_processor": frozenset(["Sequence", "ByteLevel", "TemplateProcessing"]),
    "decoder": frozenset(
        ["Sequence", "ByteFallback", "ByteLevel", "Fuse", "Metaspace", "Replace", "Strip"]
    ),
}
# Where a component that is a sequence holds its parts.
_PARTS: Final = ("normalizers", "pretokenizers", "processors", "decoders")
# The patterns of Llama-3 and of Qwen 2: see `json_tokens` for what counting by words rests on.
_WORD_PATTERNS: Final = frozenset(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + digits + "|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for digits in ("{1,3}", "")
)
_LOOK_AROUND: Final = ("lstrip", "rstrip", "single_word")
_Object = Mapping[str, object]


@dataclass(frozen=True)
class TokenizerJson:
    """A tokenizer.json that was read.

    `size` is the number of ids (the greatest one and 1), added tokens included. `first` is the
    token that is put before every text, if one is. `words` says whether the count of a text is the
    sum of the counts of its words (`json_tokens`); `longest` is the greatest number of bytes of
    UTF-8 that one token may cover, where that is known.
    """

    tokenizer: Tokenizer
    ids: Mapping[str, int]
    added: tuple[str, ...]
    size: int
    first: str | None
    words: bool
    longest: int | None


def read_tokenizer_json(path: Path) -> TokenizerJson:
    """Reads the tokenizer.json at `path`; truncation and padding that it asks for are left out.

    Raises CorpusError where it is none, or has a part that is not known here.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        return _parse(data)
    except (StrictJsonError, _UnknownError, OSError) as error:
        raise CorpusError(
            "The tokenizer is not a tokenizer.json that can be used",
            expected="a BPE model with parts whose types are known, as byte-level tokenizers have",
            found=error.strerror if isinstance(error, OSError) else error,
            where=path,
            hint="name the tokenizer.json, or a tokenizer.model of SentencePiece, of the model's "
            "repository as files.tokenizer in the catalog.",
        ) from error


class _UnknownError(ValueError):
    """A part of the file is not known here; the message says which."""


@lru_cache(maxsize=2)  # dozens of checks open the same file
def _parse(data: bytes) -> TokenizerJson:
    document = loads_object(data, _MAX_BYTES)
    _require_known(document)
    model, added = _object(document, "model"), _added(document)
    ids = _ids(model, added)
    words = _by_words(document, model, added)
    return TokenizerJson(
        tokenizer=_loaded(data),
        ids=ids,
        added=tuple(str(token["content"]) for token in added),
        size=max(ids.values()) + 1,
        first=_first(document.get("post_processor")),
        words=words,
        longest=_longest(ids, added) if words and document.get("normalizer") is None else None,
    )


def _loaded(data: bytes) -> Tokenizer:
    from tokenizers import Tokenizer  # here, so that a reader of rows need not have it

    try:
        tokenizer = Tokenizer.from_buffer(data)
    except Exception as error:  # the library raises no other class
        raise _UnknownError(" ".join(str(error).split())[:300]) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _require_known(document: _Object) -> None:
    if unknown := sorted(document.keys() - _KEYS):
        raise _UnknownError(f"unknown fields: {', '.join(unknown)[:200]}")
    model = _object(document, "model")
    if not _among(model.get("type", "BPE"), _MODELS):  # the oldest files do not say
        raise _UnknownError(f"a model of type {str(model.get('type'))[:40]!r}")
    if model.get("dropout") not in (None, 0):
        raise _UnknownError(f"dropout {str(model['dropout'])[:40]}: it would draw ids at random")
    if model.get("continuing_subword_prefix"):  # the library fails where a merge is without it
        raise _UnknownError("a model with continuing_subword_prefix")
    for part, known in _COMPONENTS.items():
        if document.get(part) is None:
            continue
        for component in _flat(document[part], part):
            if not _among(component.get("type"), known):
                raise _UnknownError(f"a {part} of type {str(component.get('type'))[:40]!r}")


def _among(value: object, known: frozenset[str]) -> bool:
    return isinstance(value, str) and value in known


def _flat(component: object, part: str) -> Iterator[_Object]:
    """A component and, where it is a sequence, its parts, which may be sequences too."""
    if not isinstance(component, Mapping):
        raise _UnknownError(f"a {part} that is no object")
    yield component
    for name in _PARTS:
        inner = component.get(name, ())
        if not isinstance(inner, Sequence) or isinstance(inner, str):
            raise _UnknownError(f"{name} of a {part} that are no list")
        for one in inner:
            yield from _flat(one, part)


def _object(document: _Object, name: str) -> _Object:
    value = document.get(name)
    if not isinstance(value, Mapping):
        raise _UnknownError(f"no {name}")
    return value


def _added(document: _Object) -> list[_Object]:
    tokens = document.get("added_tokens", [])
    if not isinstance(tokens, list):
        raise _UnknownError("added_tokens that are no list")
    for token in tokens:
        if not isinstance(token, Mapping) or not isinstance(token.get("content"), str):
            raise _UnknownError("an added token without content")
        if type(token.get("id")) is not int:
            raise _UnknownError(f"the added token {token['content'][:40]!r} without an id")
    return tokens


def _ids(model: _Object, added: Sequence[_Object]) -> dict[str, int]:
    """The id of every token; no two have one."""
    ids: dict[str, int] = {}
    for token, number in _object(model, "vocab").items():
        if type(number) is not int or not 0 <= number < 1 << 24:
            raise _UnknownError(f"the token {token[:40]!r} with the id {str(number)[:40]}")
        ids[token] = number
    for one in added:
        content, number = str(one["content"]), one["id"]
        if not isinstance(number, int) or ids.setdefault(content, number) != number:
            raise _UnknownError(f"the token {content[:40]!r} with two ids")
    if not ids:
        raise _UnknownError("no tokens")
    if len(set(ids.values())) != len(ids):
        raise _UnknownError("two tokens with one id")
    return ids


def _first(post_processor: object) -> str | None:
    """The special token that a template puts before a text."""
    for component in _flat(post_processor, "post_processor") if post_processor else ():
        single = component.get("single") if component["type"] == "TemplateProcessing" else None
        if isinstance(single, Sequence) and single and isinstance(single[0], Mapping):
            token = single[0].get("SpecialToken")
            return str(token["id"]) if isinstance(token, Mapping) and "id" in token else None
    return None


def _by_words(document: _Object, model: _Object, added: Sequence[_Object]) -> bool:
    """Whether every text is cut by one of `_WORD_PATTERNS` and nothing else looks beyond a word."""
    normalizer, cut = document.get("normalizer"), document.get("pre_tokenizer")
    parts = cut.get("pretokenizers") if isinstance(cut, Mapping) else None
    if not isinstance(parts, list) or len(parts) != 2:
        return False
    split, byte_level = parts
    pattern = split.get("pattern")
    return (
        (normalizer is None or normalizer == {"type": "NFC"})
        and split["type"] == "Split"
        and isinstance(pattern, Mapping)
        and _among(pattern.get("Regex"), _WORD_PATTERNS)
        and (split.get("behavior"), split.get("invert")) == ("Isolated", False)
        and byte_level["type"] == "ByteLevel"
        and (byte_level.get("add_prefix_space"), byte_level.get("use_regex")) == (False, False)
        and not model.get("end_of_word_suffix")
        # Such a token lies within a word, and its neighbours do not matter.
        and not any(token.get(flag) for token in added for flag in _LOOK_AROUND)
        and not any(map(str.isspace, "".join(str(token["content"]) for token in added)))
    )


def _longest(ids: Mapping[str, int], added: Sequence[_Object]) -> int | None:
    """The most bytes that a token of a byte-level model covers, where each byte has a token."""
    if not all(letter in ids for letter in byte_letters()):
        return None
    contents = [str(token["content"]) for token in added]
    pieces = ids.keys() - set(contents)
    return max(max(map(len, pieces)), max((len(one.encode()) for one in contents), default=0))


def byte_letters() -> list[str]:
    """How byte-level models spell each byte, 0 to 255: printable ones of Latin-1 as themselves,
    the others by letters from U+0100 on."""
    itself = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte) if byte in itself else chr(next(others)) for byte in range(256)]
