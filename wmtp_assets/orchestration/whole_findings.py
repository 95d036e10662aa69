"""What the last runs of this process found, unshortened.

Dagster's history holds what a page shows: short digests, relative paths. What a run answers to
programs (`wmtp materialize --json`) names each whole.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from wmtp_assets.findings import CheckResult, Finding
from wmtp_assets.orchestration.presentation import metadata_value

_KEPT_RUNS: Final = 4
_RUNS: OrderedDict[str, dict[tuple[str, str], CheckResult]] = OrderedDict()
_LOCK = threading.Lock()


def keep(run_id: str, artifact: str, findings: Iterable[Finding]) -> None:
    """Remembers the findings on an artifact, as long as the run is one of the last."""
    results = {(artifact, one.name): _result(artifact, one) for one in findings}
    with _LOCK:
        _RUNS.setdefault(run_id, {}).update(results)
        _RUNS.move_to_end(run_id)
        while len(_RUNS) > _KEPT_RUNS:
            _RUNS.popitem(last=False)


def results_of(run_id: str) -> Mapping[tuple[str, str], CheckResult]:
    """The results of a run of this process, by the names of artifact and check."""
    with _LOCK:
        return dict(_RUNS.get(run_id, {}))


def _result(artifact: str, finding: Finding) -> CheckResult:
    return CheckResult(
        artifact,
        finding.name,
        finding.passed,
        str(metadata_value(finding.expected).value),
        str(metadata_value(finding.found).value),
        finding.where,
        "" if finding.passed else finding.hint,
        finding.blocking,
    )
