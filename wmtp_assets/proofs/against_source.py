"""`wmtp verify --against-source`: everything is made again from its source and compared.

No sample and no record is relied on: fetched files are digested, checkpoints converted in memory,
splits built again at full speed with their lines digested and written nowhere, small splits chosen
again, documents derived again. Only temporary files outside of the storage are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from wmtp_assets.catalog.artifacts import Artifact, Kind
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding
from wmtp_assets.project import Project
from wmtp_assets.project.handles import demand
from wmtp_assets.proofs.datasets import prove_rows_of_source, prove_schema
from wmtp_assets.proofs.derived import prove_derived
from wmtp_assets.proofs.fetched import prove_fetched
from wmtp_assets.proofs.models import prove_certificate, prove_converted_again, prove_shards

AGAINST_SOURCE = "equals_its_source"


def prove_against_source(project: Project, artifact: Artifact) -> list[Finding]:
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
                mend=f"wmtp materialize {artifact.name} --force",
            )
        ]


def _answers(project: Project, artifact: Artifact) -> Iterable[Finding]:
    match artifact.kind:
        case Kind.RAW:
            yield prove_fetched(project, artifact)
        case Kind.CHECKPOINT:
            yield from prove_converted_again(project, artifact)
        case Kind.SHARDS:
            yield prove_shards(project, artifact)
        case Kind.CERTIFICATE:
            yield prove_certificate(project, artifact)
        case Kind.TOKENIZER | Kind.CONFIG | Kind.ADAPTER | Kind.MODEL_METADATA:
            yield prove_derived(project, artifact)
        case Kind.SPLIT | Kind.SMALL_SPLIT:
            yield prove_rows_of_source(project, artifact, rebuild=True)
        case Kind.SCHEMA:
            yield from prove_schema(project, artifact)
