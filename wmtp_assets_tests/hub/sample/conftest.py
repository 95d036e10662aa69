"""One sample for all the tests of it; nobody writes there."""

from __future__ import annotations

from pathlib import Path

import pytest

from wmtp_assets.hub.sample import write_sample


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sample") / "hub"
    write_sample(root)
    return root
