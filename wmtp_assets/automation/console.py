"""What a person reads on the terminal while a run goes on: one line a result, not Dagster's log.

The whole log is in the run's page all the same.
"""

from __future__ import annotations

import logging
import sys

import dagster as dg
from dagster import DagsterEventType

LOGGER = "wmtp_assets.console"


class _Brief(logging.Formatter):
    """One short line for the events that matter to a person; an empty one for all others."""

    def format(self, record: logging.LogRecord) -> str:
        meta = getattr(record, "dagster_meta", {})
        event = meta.get("dagster_event")
        if event is None and record.levelno < logging.INFO:
            return ""
        if event is None:
            return f"  {meta.get('step_key') or ''}: {meta.get('orig_message')}"
        match event.event_type:
            case DagsterEventType.ASSET_MATERIALIZATION:
                return f"made {event.asset_key.to_user_string()}"
            case DagsterEventType.ASSET_OBSERVATION:
                return f"seen {event.asset_key.to_user_string()}"
            case DagsterEventType.ASSET_CHECK_EVALUATION:
                result = event.asset_check_evaluation_data
                if result.passed:
                    return ""
                return f"FAILED {result.asset_key.to_user_string()} {result.check_name}"
            case DagsterEventType.STEP_FAILURE:
                error = event.step_failure_data.error
                cause = error.cause or error if error else None
                return f"FAILED {event.step_key}: {(cause.message if cause else '').strip()}"
            case _:
                return ""


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]  # generic in stubs only
    def emit(self, record: logging.LogRecord) -> None:
        if self.format(record):
            super().emit(record)


def _console(context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger(LOGGER, level=logging.DEBUG)  # Dagster's events are logged as debug
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Brief())
    logger.addHandler(handler)
    return logger


# A logger of its own, so that nothing else of the process's logging changes.
console_logger = dg.LoggerDefinition(
    _console, config_schema={}, description="One line per result, on standard error."
)
