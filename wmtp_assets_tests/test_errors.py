"""What every error's message has in common, whatever it quotes."""

from __future__ import annotations

import pytest

from wmtp_assets.errors import WmtpError


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\ufeffx", r"\ufeffx"),
        ("a\u202eb", r"a\u202eb"),
        ("\ud800", r"\ud800"),
        ("a\x00\tb\r", r"a\x00\tb\r"),
        ("\U000e0001", r"\U000e0001"),
        ("é 漢 ▁ one\ntwo", "é 漢 ▁ one\ntwo"),
    ],
)
def test_what_strangers_wrote_is_quoted_so_that_it_can_be_printed(quoted: str, shown: str) -> None:
    error = WmtpError(quoted, expected=quoted, found=quoted, where=quoted, hint=quoted)
    assert str(error) == (
        f"{shown}. Expected: {shown}. Found: {shown}. Where: {shown}. What to do: {shown}"
    )
    str(error).encode("utf-8")
