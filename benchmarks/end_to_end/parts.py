"""Parts of a run, each as a process of its own: `python -m benchmarks.end_to_end.parts PART ...`.

The last line printed is a JSON object with the seconds that the part took apart from imports.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.settings import Settings
from wmtp_assets.artifacts.types import Tokenizer, fetched
from wmtp_assets.catalog.artifacts import TOKENIZER
from wmtp_assets.checkpoints.layout import Network
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.formats import FORMATS

_BLOCK = 8 << 20


def verify(name: str) -> dict[str, object]:
    """Every check of one artifact."""
    import wmtp_assets.corpora.row_scan  # noqa: F401 - imports are no part of what is measured

    project = Project.from_settings(Settings.from_environment())
    started = time.perf_counter()
    findings = run_checks(project, project.artifacts[name])
    seconds = time.perf_counter() - started
    failed = [finding.name for finding in findings if not finding.passed and finding.blocking]
    assert not failed, failed
    return {"seconds": seconds, "checks": len(findings)}


def build(name: str, folder: str) -> dict[str, object]:
    """A split, built again from what was fetched, below `folder`."""
    project = Project.from_settings(Settings.from_environment())
    artifact = project.artifacts[name]
    dataset = project.catalog.datasets[artifact.owner]
    shards = list(fetched(project.store, artifact.inputs[0]).paths().values())
    tokenizer = Tokenizer.load(project.store, TOKENIZER).model
    started = time.perf_counter()
    report = build_split(
        FORMATS[dataset.layout],
        shards,
        tokenizer,
        Path(folder),
        str(artifact.split),
        max_tokens=dataset.max_tokens,
    )
    return {"seconds": time.perf_counter() - started, "rows": report.rows}


def read(path: str) -> dict[str, object]:
    """A file read from its first byte to its last: the floor of executing what is in it."""
    buffer = bytearray(_BLOCK)
    started = time.perf_counter()
    size = 0
    with Path(path).open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            size += count
    return {"seconds": time.perf_counter() - started, "bytes": size}


def execute(network: Network, weights: str, config: str) -> dict[str, object]:
    """The checks that load a model and run it (`network` as a layout names it), on a file."""
    import torch  # noqa: F401 - imports are no part of what is measured

    from wmtp_assets.mtp.checks import check_model

    started = time.perf_counter()
    findings = check_model(network, Path(weights), json.loads(Path(config).read_bytes()))
    seconds = time.perf_counter() - started
    assert all(finding.passed for finding in findings), findings
    return {"seconds": seconds, "checks": len(findings)}


def imports() -> dict[str, object]:
    """The libraries that verifying loads, and nothing of the storage."""
    started = time.perf_counter()
    import dagster  # noqa: F401
    import pandera.pandas  # noqa: F401
    import torch  # noqa: F401
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM  # noqa: F401

    return {"seconds": time.perf_counter() - started}


PARTS = {"imports": imports, "verify": verify, "build": build, "read": read, "execute": execute}

if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    print(json.dumps(PARTS[sys.argv[1]](*sys.argv[2:])))
