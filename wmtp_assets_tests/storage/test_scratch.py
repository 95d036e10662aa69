"""Temporary folders, where the system's own is reached by a link."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.scratch import scratch_folder


def test_what_is_written_there_goes_through_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "link"))
    with scratch_folder("wmtp-") as folder:
        assert folder.parent == (tmp_path / "disk").resolve()
        write_bytes(folder / "file", b"data")  # which refuses links
        assert (folder / "file").read_bytes() == b"data"
    assert list((tmp_path / "disk").iterdir()) == []
