"""Ends a text within a character of three bytes: replaced, and counted."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import RowAttack, malformed


def build(folder: Path) -> RowAttack:
    return RowAttack(malformed(folder, b"\xe2\x82"), fields={"output": "a = '\ufffd'"}, rows=1)
