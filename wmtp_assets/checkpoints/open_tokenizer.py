"""What is known of a tokenizer once its own library has read it, whatever the library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from wmtp_assets.errors import WmtpError

Encode = Callable[[str], list[int]]
ROLES = ("bos_token", "eos_token", "unk_token", "pad_token")


class TokenizerError(WmtpError):
    """A tokenizer's file cannot be read, or cannot be published faithfully."""


@dataclass(frozen=True)
class OpenTokenizer:
    """A tokenizer as its own library reads it.

    `size` is the number of ids, `roles` the id of each special token that it has (`bos_token`,
    `eos_token`, `pad_token`, `unk_token`). `encode` gives ids without BOS, `whole` those that a
    reader gets by default. `piece` is the text of an id, None beyond the last. `drawn` makes so
    many random texts of its own pieces, the same every time.
    """

    size: int
    roles: Mapping[str, int]
    encode: Encode
    whole: Encode
    piece: Callable[[int], str | None]
    drawn: Callable[[int], Iterable[str]]
