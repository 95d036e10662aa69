"""What a person reads on the terminal while a run goes on: one line per result, not Dagster's log.

The whole log is in the run's page all the same.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from functools import lru_cache

import dagster as dg
from dagster import DagsterEventType

from wmtp_assets.orchestration.assets.common import MADE, RESULT
from wmtp_assets.orchestration.failures import words_of
from wmtp_assets.orchestration.presentation import WHAT_TO_DO
from wmtp_assets.progress import say

_LOGGER = "wmtp_assets.console"


@dataclass(frozen=True)
class _Steps:
    """The steps of a run that were started, and those that were not tried."""

    started: set[str] = field(default_factory=set)
    untried: set[str] = field(default_factory=set)


@lru_cache(maxsize=16)
def _steps_of(run_id: str | None) -> _Steps:
    """One for each run: Dagster makes a logger for its steps, and another for the run itself."""
    return _Steps()


class _Brief(logging.Formatter):
    """One short line for the events that matter to a person; an empty one for all others.

    Dagster says of each step that it does not try what failed before it; here that is one line.
    """

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        steps = _steps_of(meta.get("run_id"))
        if event is None:
            return self._words(
                record, steps, meta.get("step_key") or "", meta.get("orig_message") or ""
            )
        match event.event_type:
            case DagsterEventType.STEP_START:
                steps.started.add(event.step_key)
                return ""
            case DagsterEventType.ASSET_MATERIALIZATION:
                data = event.step_materialization_data.materialization
                result = data.metadata.get(RESULT)
                if result is not None and result.value != MADE:  # said by the asset already
                    return ""
                return f"made {event.asset_key.to_user_string()}"
            case DagsterEventType.ASSET_OBSERVATION:
                seen = event.asset_observation_data.asset_observation
                drift = seen.metadata.get("drift")
                said = f"; drift: {drift.value}" if drift else ""
                return f"compared {event.asset_key.to_user_string()} with upstream{said}"
            case DagsterEventType.ASSET_CHECK_EVALUATION:
                check = event.asset_check_evaluation_data
                if check.passed:
                    return ""
                word = "FAILED" if check.severity is dg.AssetCheckSeverity.ERROR else "warning"
                line = f"{word} {check.asset_key.to_user_string()} {check.check_name}"
                hint = check.metadata.get(WHAT_TO_DO)
                return f"{line}; what to do: {hint.value}" if hint else line
            case DagsterEventType.STEP_FAILURE:
                error = event.step_failure_data.error
                return f"FAILED {event.step_key}: {words_of(error) if error else ''}"
            case DagsterEventType.RUN_FAILURE if steps.untried:
                count = len(steps.untried)
                return f"{count} steps were not tried: what they need failed or was not made."
            case _:
                return ""

    def _words(self, record: logging.LogRecord, steps: _Steps, step: str, message: str) -> str:
        if record.levelno < logging.INFO:
            return ""
        if step and step not in steps.started:
            steps.untried.add(step)
            return ""
        return f"  {step}: {message}"


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in stubs only
    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if text and not say(text):
            super().emit(record)


def _console(context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger(_LOGGER, level=logging.DEBUG)  # Dagster's events are logged as debug
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Brief())
    logger.addHandler(handler)
    return logger


# A logger of its own, so that nothing else of the process's logging changes.
console_logger = dg.LoggerDefinition(
    _console, config_schema={}, description="One line per result, on standard error."
)
