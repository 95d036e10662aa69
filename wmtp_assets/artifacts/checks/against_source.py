"""`wmtp verify --against-source`: everything is made again from its source and compared.

No sample and no record is relied on: fetched files are digested, checkpoints converted in memory,
splits built again at full speed with their lines digested and written nowhere, small splits chosen
again, documents derived again. Only temporary files outside of the storage are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.datasets import (
    SchemaSubject,
    check_rows_of_source,
    schema_checks,
)
from wmtp_assets.artifacts.checks.derived import (
    adapter_derived,
    config_derived,
    metadata_derived,
    tokenizer_derived,
)
from wmtp_assets.artifacts.checks.fetched import fetched_files
from wmtp_assets.artifacts.checks.models import (
    ShardsSubject,
    certificate_of_checkpoint,
    check_converted_again,
    shards_equal_checkpoint,
)
from wmtp_assets.artifacts.checks.subject import Subject
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
        return list(_findings(project, artifact))
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


def _findings(project: Project, artifact: Artifact) -> Iterable[Finding]:
    subject = Subject(project, artifact)
    match artifact.kind:
        case Kind.RAW:
            yield fetched_files.of(subject)
        case Kind.CHECKPOINT:
            yield from check_converted_again(project, artifact)
        case Kind.SHARDS:
            yield shards_equal_checkpoint.of(ShardsSubject(project, artifact))
        case Kind.CERTIFICATE:
            yield certificate_of_checkpoint.of(subject)
        case Kind.TOKENIZER:
            yield tokenizer_derived.of(subject)
        case Kind.CONFIG:
            yield config_derived.of(subject)
        case Kind.ADAPTER:
            yield adapter_derived.of(subject)
        case Kind.MODEL_METADATA:
            yield metadata_derived.of(subject)
        case Kind.SPLIT | Kind.SMALL_SPLIT:
            yield check_rows_of_source(project, artifact, rebuild=True)
        case Kind.SCHEMA:
            schema = SchemaSubject(project, artifact)
            yield from (one.of(schema) for one in schema_checks(project, artifact))
