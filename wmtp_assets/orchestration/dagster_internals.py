"""The names of Dagster that no release promises to keep, all that this package uses.

Dagster offers no public way to say that a run of the command line belongs to a code location, nor
to answer its run monitoring. pyproject.toml pins one version of Dagster;
`wmtp_assets_tests/web/test_internals.py` says which of these names another version has changed.
"""

from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

__all__ = [
    "REPOSITORY_LABEL_TAG",
    "CheckRunHealthResult",
    "RegisteredCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "WorkerStatus",
]
