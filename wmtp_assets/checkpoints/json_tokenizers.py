"""Tokenizers of a tokenizer.json: published as fetched, with a tokenizer_config.json of our own.

The truth is the `tokenizers` library on the file. Which tokens begin, end and pad a text the file
does not say (but for the one that its template puts first): the repository's tokenizer_config.json
does, of which nothing else is taken (chat templates are programs, and `auto_map` names some), or
else the ids in the model's config.json.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.open_tokenizer import ROLES, OpenTokenizer, TokenizerError
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.tokenizer_json import TokenizerJson, read_tokenizer_json

CONFIG = "tokenizer_config.json"
_IDS = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "pad_token": "pad_token_id"}


def of_json(file: Path, config: Mapping[str, object]) -> OpenTokenizer:
    """The tokenizer of a tokenizer.json, with the roles that a tokenizer_config.json states.

    Raises TokenizerError.
    """
    read = _read(file)
    tokenizer = read.tokenizer
    return OpenTokenizer(
        read.size,
        {role: read.ids[token] for role, token in _stated(read, config, file).items()},
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        lambda text: tokenizer.encode(text).ids,
        tokenizer.id_to_token,
        partial(_drawn, read),
    )


def stored_config(file: Path) -> dict[str, object]:
    """The tokenizer_config.json beside a published tokenizer.json. Raises JsonFileError."""
    return strict_json.read_object(
        file.with_name(CONFIG), f"The {CONFIG} beside it", "materialize the tokenizer again"
    )


def json_documents(
    file: Path, stated: Mapping[str, object] | None, model_config: Mapping[str, object]
) -> dict[str, dict[str, object]]:
    """tokenizer_config.json for a tokenizer.json.

    Args:
        file: the tokenizer.json. stated: the repository's tokenizer_config.json, where it was
            fetched. model_config: the model's config.json, whose ids are used where it was not.

    Raises TokenizerError.
    """
    read = _read(file)
    roles = _of_model(read, model_config) if stated is None else _stated(read, stated, file)
    if read.first is not None and roles.setdefault("bos_token", read.first) != read.first:
        raise TokenizerError(
            "The tokenizer begins texts with another token than its model",
            expected=f"{roles['bos_token']!r} ({read.ids[roles['bos_token']]})",
            found=f"{read.first!r} ({read.ids.get(read.first)})",
            where=file,
            hint="name the tokenizer.json and the config of one repository in the catalog.",
        )
    config: dict[str, object] = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # uses tokenizer.json as it is
        **{role: roles[role] for role in ROLES if role in roles},
        "clean_up_tokenization_spaces": False,
        # Without it versions 4.48 to 4.57 hand token_type_ids to `generate`, which refuses them.
        "model_input_names": ["input_ids", "attention_mask"],
    }
    return {CONFIG: config}


def _read(file: Path) -> TokenizerJson:
    try:
        return read_tokenizer_json(file)
    except CorpusError as error:
        raise TokenizerError(
            "The tokenizer cannot be read",
            expected=error.expected,
            found=error.found,
            where=file,
            hint=error.hint,
        ) from error


def _stated(read: TokenizerJson, config: Mapping[str, object], file: Path) -> dict[str, str]:
    """The special tokens that a tokenizer_config.json names, each one that the tokenizer has."""
    roles = {}
    for role in ROLES:
        token = config.get(role)
        token = token.get("content") if isinstance(token, Mapping) else token
        if token is None:
            continue
        if not isinstance(token, str) or token not in read.ids:
            raise TokenizerError(
                f"{CONFIG} names a token as {role} that the tokenizer does not have",
                expected=f"one of its {read.size:,} tokens",
                found=repr(token)[:100],
                where=file,
                hint="name both files of one repository in the catalog.",
            )
        roles[role] = token
    return roles


def _of_model(read: TokenizerJson, config: Mapping[str, object]) -> dict[str, str]:
    """The special tokens by the ids of a model's config; of several that end, the first.

    An id that no token has is left to whoever compares the two (`vocabulary`).
    """
    tokens = {number: token for token, number in read.ids.items()}
    roles = {}
    for role, key in _IDS.items():
        found = config.get(key)
        first = found[0] if isinstance(found, list) and found else found
        if isinstance(first, int) and first in tokens:
            roles[role] = tokens[first]
    return roles


def _drawn(read: TokenizerJson, count: int) -> Iterator[str]:
    rng = random.Random(0)  # noqa: S311 - to spread over the vocabulary, not for secrecy
    numbers = sorted(read.ids.values())
    for _ in range(count):
        drawn = rng.choices(numbers, k=rng.randint(1, 12))
        ids = [number for number in drawn for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        yield read.tokenizer.decode(ids, skip_special_tokens=False)
