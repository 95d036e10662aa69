"""Holds half of a surrogate pair, which strict readers of JSON stop at: replaced, and counted."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import RowAttack, malformed


def build(folder: Path) -> RowAttack:
    fields = {"output": "a = '\ufffd\ufffd\ufffd'"}
    return RowAttack(malformed(folder, b"\xed\xa0\x80"), fields=fields, rows=1)
