"""Is a web page that was saved under the checkpoint's name."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack


def build(folder: Path) -> Attack:
    path = folder / "weights.pth"
    path.write_text("<!doctype html><title>Sign in</title>")
    return Attack([path], "not a torch archive")
