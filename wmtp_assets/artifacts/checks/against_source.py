"""`wmtp verify --against-source`: everything is made again from its source and compared.

No sample and no record is relied on: fetched files are digested, checkpoints converted in memory,
splits built again at full speed with their lines digested and written nowhere, small splits chosen
again, documents derived again. Only temporary files outside of the storage are written.
"""

from __future__ import annotations

import json

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.of_kind import checks_of_kind
from wmtp_assets.artifacts.types import demand
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding

_AGAINST_SOURCE = "equals_its_source"


def check_against_source(project: Project, artifact: Artifact) -> list[Finding]:
    """What making an artifact again from its source tells. Never raises.

    A split's metadata file is compared with its split's, so that there is no finding of its own.
    """
    try:
        demand(project.store, artifact.name)
        return list(checks_of_kind(artifact).against_source(project, artifact))
    except (WmtpError, OSError, ValueError, KeyError, TypeError) as error:
        known = isinstance(error, WmtpError | OSError | json.JSONDecodeError)
        return [
            Finding(
                _AGAINST_SOURCE,
                passed=False,
                expected="what its source gives",
                found=str(error) if known else f"{type(error).__name__}: {error}",
                where=str(project.store.path(artifact.name)),
                hint=f"wmtp materialize {artifact.name} --force",
            )
        ]
