"""The loopback Hub speaks well enough that the clients of the real one work against it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, constants, snapshot_download

from wmtp_assets_tests.hub.loopback import LoopbackHub

PATIENCE = 300  # seconds; 10 unless told, which a machine that stands still may exceed


def test_the_unmodified_huggingface_hub_client_downloads_a_repository(
    loopback: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", PATIENCE)
    files = {"config.json": b'{"dim": 64}', "deep/er/weights.bin": os.urandom(300_000)}
    sha = loopback.world.commit("model", "org/name", files)
    api = HfApi(endpoint=loopback.endpoint)
    info = api.model_info("org/name", files_metadata=True)
    assert info.sha == sha
    assert {s.rfilename: s.size for s in info.siblings or []} == {
        path: len(data) for path, data in files.items()
    }
    folder = snapshot_download(
        "org/name",
        endpoint=loopback.endpoint,
        cache_dir=tmp_path,
        revision=sha,
        etag_timeout=PATIENCE,
    )
    assert {path: (Path(folder) / path).read_bytes() for path in files} == files
    assert api.whoami()["name"] == "tester"
    assert [ref.target_commit for ref in api.list_repo_refs("org/name").branches] == [sha]


def test_unmodified_datasets_loads_a_dataset(loopback: LoopbackHub, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b", "c"], "n": [1, 2, 3]}), buffer)
    loopback.world.commit(
        "dataset",
        "org/rows",
        {"README.md": b"# rows\n", "data/train-00000-of-00001.parquet": buffer.getvalue()},
    )
    # In a process of its own: `datasets` reads HF_ENDPOINT and HF_HOME when it is imported.
    code = (
        "import datasets, json; "
        "print(json.dumps(datasets.load_dataset('org/rows', split='train').to_list()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {
            "HF_HOME": str(tmp_path / "home"),
            "HF_ENDPOINT": loopback.endpoint,
            "HF_HUB_ETAG_TIMEOUT": str(PATIENCE),
            "HF_HUB_DOWNLOAD_TIMEOUT": str(PATIENCE),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [
        {"text": "a", "n": 1},
        {"text": "b", "n": 2},
        {"text": "c", "n": 3},
    ]
