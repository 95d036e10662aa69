"""What a token looks like wherever it may have got to: whole, in part, and encoded."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from wmtp_assets_tests.living import below, content

_LENGTH = 12  # characters that nobody writes by accident


def traces(secret: str) -> dict[str, bytes]:
    """Pieces of `secret` by name, any of which in a text means that it leaked."""
    raw = secret.encode()
    found = {
        "its beginning": raw[:_LENGTH],
        "its middle": raw[len(raw) // 2 :][:_LENGTH],
        "its end": raw[-_LENGTH:],
        "hexadecimal": raw.hex().encode()[: 2 * _LENGTH],
        "quoted": quote(secret, safe="").encode(),
    }
    for shift in range(3):  # where it begins in what was encoded decides how it looks
        encoded = base64.b64encode(b"\0" * shift + raw)
        found[f"base64, {shift} bytes in"] = encoded[4:-4][:16]
        found[f"base64 of its end, {shift} bytes in"] = encoded[4:-4][-16:]
    return found


def leaks(secret: str, told: Iterable[str | bytes]) -> list[tuple[str, bytes]]:
    """Which traces of `secret` are in which of the texts: the kind, and the words around it."""
    found = []
    for text in told:
        data = text.encode(errors="replace") if isinstance(text, str) else text
        for name, piece in traces(secret).items():
            at = data.find(piece)
            if at >= 0:
                found.append((name, data[max(0, at - 60) : at + 60]))
    return found


def leaking_files(secret: str, root: Path) -> list[tuple[str, str]]:
    """Which files below `root` hold a trace of `secret`, or have one in their name."""
    found = []
    for path in below(root):
        data = content(path) or b""
        found += [(str(path), name) for name, _ in leaks(secret, [data, str(path)])]
    return found
