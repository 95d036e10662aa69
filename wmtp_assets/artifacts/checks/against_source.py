"""`wmtp verify --against-source`: everything is made again from its source and compared.

No sample and no record is relied on: fetched files are digested, checkpoints converted in memory,
splits built again at full speed with their lines digested and written nowhere, small splits chosen
again, documents derived again. Only temporary files outside of the storage are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.datasets import check_rows_of_source, check_schema
from wmtp_assets.artifacts.checks.derived import check_derived
from wmtp_assets.artifacts.checks.fetched import check_fetched
from wmtp_assets.artifacts.checks.models import (
    check_certificate,
    check_converted_again,
    check_shards,
)
from wmtp_assets.artifacts.types import demand
from wmtp_assets.catalog.artifacts import Artifact, Kind
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding

AGAINST_SOURCE = "equals_its_source"


def check_against_source(project: Project, artifact: Artifact) -> list[Finding]:
    """What making an artifact again from its source tells. Never raises.

    A split's metadata file is compared with its split's, so that there is no finding of its own.
    """
    try:
        demand(project.store, artifact.name)
        return list(_answers(project, artifact))
    except (WmtpError, OSError, ValueError, KeyError, TypeError) as error:
        known = isinstance(error, WmtpError | OSError | json.JSONDecodeError)
        return [
            Finding(
                AGAINST_SOURCE,
                passed=False,
                expected="what its source gives",
                found=str(error) if known else f"{type(error).__name__}: {error}",
                where=str(project.store.path(artifact.name)),
                hint=f"wmtp materialize {artifact.name} --force",
            )
        ]


def _answers(project: Project, artifact: Artifact) -> Iterable[Finding]:
    match artifact.kind:
        case Kind.RAW:
            yield check_fetched(project, artifact)
        case Kind.CHECKPOINT:
            yield from check_converted_again(project, artifact)
        case Kind.SHARDS:
            yield check_shards(project, artifact)
        case Kind.CERTIFICATE:
            yield check_certificate(project, artifact)
        case Kind.TOKENIZER | Kind.CONFIG | Kind.ADAPTER | Kind.MODEL_METADATA:
            yield check_derived(project, artifact)
        case Kind.SPLIT | Kind.SMALL_SPLIT:
            yield check_rows_of_source(project, artifact, rebuild=True)
        case Kind.SCHEMA:
            yield from check_schema(project, artifact)
