"""Starts runs as Dagster's own launcher does, knows whether they live, and ends them.

Dagster's run monitoring asks its launcher whether the process of a run is there, and the default
one cannot say: a run that was killed stays "started", keeps its place in the queue and the pools of
its groups, and "Terminate" answers that there is nobody to ask. dagster.yaml names the one below.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import dagster as dg

from wmtp_assets import interrupts
from wmtp_assets.orchestration.dagster_internals import CheckRunHealthResult, WorkerStatus
from wmtp_assets.orchestration.history import (
    GONE,
    is_gone,
    process_of,
    remove_locks_of_the_dead,
)

# Between asking a run to end and killing it: looks at whether it has ended, seconds between two. A
# machine that stands still looks at nothing, and the run has its time after that.
_LOOKS, _BETWEEN_LOOKS = 50, 0.2


class LocalRunLauncher(dg.DefaultRunLauncher):
    """Launches runs in the code server, and knows which process each became."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True: Dagster's monitoring then marks a run as failed whose process is gone."""
        return True

    def launch_run(self, context: Any) -> None:
        """Starts the run. The locks of those that have ended are removed on this occasion."""
        if self.has_instance:
            remove_locks_of_the_dead(self._instance)
        super().launch_run(context)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process is there; a run that is just being started has none yet."""
        if is_gone(run.run_id):
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, GONE)
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def terminate(self, run_id: str) -> bool:
        """Ends a run of this machine, wherever it was started: asks it, and kills it after a while.

        True when the run is ending or has ended by this.
        """
        run = self._instance.get_run_by_id(run_id) if self.has_instance else None
        if run is None or run.is_finished:
            return False
        process = process_of(run_id)
        if process is None and not is_gone(run_id):
            # Just launched: only the code server knows it yet.
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        if process is None:
            self._instance.report_run_canceled(run, GONE)
            return True
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
        threading.Thread(target=self._end, args=(run_id, process), daemon=True).start()
        return True

    def _end(self, run_id: str, process: int) -> None:
        for _ in range(_LOOKS):
            if process_of(run_id) != process:
                break
            time.sleep(_BETWEEN_LOOKS)
        if process_of(run_id) == process:
            # Nothing is lost: what is stored survives the death of a process at any moment.
            for one in (process, *interrupts.descendants(process)):
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
        run = self._instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            self._instance.report_run_canceled(run)
