"""What every asset has in common: its spec from the catalog, and how its result is made once.

Nothing is made twice: when the inputs, the catalog's words and the code version are those of the
recorded receipt and its files are there, the asset returns what exists, under its data version.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import dagster as dg

from wmtp_assets.artifacts.recipes import CODE_VERSIONS, Recipe
from wmtp_assets.artifacts.types import Handle, demand
from wmtp_assets.catalog.artifacts import Artifact, Kind
from wmtp_assets.errors import TransientError, WmtpError
from wmtp_assets.orchestration.resources import StorageResource
from wmtp_assets.storage.receipts import Receipt

IO_MANAGERS: Mapping[Kind, str] = {
    Kind.RAW: "fetched_io",
    Kind.CHECKPOINT: "safetensors_io",
    Kind.SHARDS: "folder_io",
    Kind.TOKENIZER: "tokenizer_io",
    Kind.CERTIFICATE: "document_io",
    Kind.CONFIG: "document_io",
    Kind.ADAPTER: "document_io",
    Kind.MODEL_METADATA: "document_io",
    Kind.SPLIT: "jsonl_io",
    Kind.SPLIT_METADATA: "document_io",
    Kind.SCHEMA: "document_io",
    Kind.SMALL_SPLIT: "jsonl_io",
    Kind.SMALL_METADATA: "document_io",
}

# Dagster has an icon for each of these; it has none for safetensors or JSONL.
ICONS: Mapping[Kind, set[str]] = {
    Kind.RAW: {"huggingface"},
    Kind.CHECKPOINT: {"pytorch"},
    Kind.SHARDS: {"pytorch"},
    Kind.TOKENIZER: {"llama"},
    Kind.CERTIFICATE: {"json"},
    Kind.CONFIG: {"json"},
    Kind.ADAPTER: {"yaml"},
    Kind.MODEL_METADATA: {"json"},
    Kind.SPLIT: {"dataset"},
    Kind.SPLIT_METADATA: {"json"},
    Kind.SCHEMA: {"json"},
    Kind.SMALL_SPLIT: {"dataset"},
    Kind.SMALL_METADATA: {"json"},
}

OWNERS = ["team:wmtp"]

# A reset line or a busy server is tried again; what a person must mend is not. Only fetching meets
# either: any other asset would fail the same way again, minutes later.
RETRIES = dg.RetryPolicy(max_retries=3, delay=10, backoff=dg.Backoff.EXPONENTIAL)

FOLLOW = (
    dg.AutomationCondition.eager().replace(
        "newly_updated", dg.AutomationCondition.data_version_changed()
    )
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
)

# All that a run may configure. A plain Bool, not a field of a dg.Config: Dagster would make that a
# BoolSource, which also takes `{env: NAME}` and so reads the server's environment.
OPTIONS: Mapping[str, dg.Field] = {
    "force": dg.Field(
        bool,
        default_value=False,
        is_required=False,
        description="Make this asset again although neither its inputs nor its settings changed.",
    )
}
FORCED: Mapping[str, object] = {"config": {"force": True}}

# The metadata of a materialization that found nothing to make.
UNCHANGED = "unchanged"


@dataclass(frozen=True)
class Made:
    """What a maker says of the folder it filled.

    `facts` go into the receipt and onto the page; `digests` are the SHA-256 that it already knows,
    by file name, so that those files are not read again.
    """

    facts: Mapping[str, object] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


Result = dg.MaterializeResult[Receipt]


class AssetArguments(TypedDict):
    """What `dg.asset` is given for an artifact."""

    key: dg.AssetKey
    ins: Mapping[str, dg.AssetIn]
    deps: Iterable[dg.AssetKey]
    io_manager_key: str
    group_name: str
    kinds: set[str]
    owners: list[str]
    description: str
    code_version: str
    config_schema: Mapping[str, dg.Field]
    retry_policy: dg.RetryPolicy | None
    automation_condition: dg.AutomationCondition[Any]
    metadata: Mapping[str, object]


def key_of(name: str) -> dg.AssetKey:
    """The asset key of an artifact's name."""
    return dg.AssetKey(name.split("/"))


def asset_arguments(
    artifact: Artifact,
    description: str,
    ins: Mapping[str, str],
    deps: Iterable[dg.AssetKey] = (),
) -> AssetArguments:
    """The arguments of `dg.asset`; `ins` maps parameter names to the artifacts they load.

    Inputs of the artifact that are not loaded, and `deps`, are drawn in the lineage all the same.
    """
    drawn = [key_of(name) for name in artifact.inputs if name not in ins.values()]
    return AssetArguments(
        key=key_of(artifact.name),
        ins={parameter: dg.AssetIn(key=key_of(name)) for parameter, name in ins.items()},
        deps=[*drawn, *deps],
        io_manager_key=IO_MANAGERS[artifact.kind],
        group_name=artifact.group,
        kinds=ICONS[artifact.kind],
        owners=OWNERS,
        description=description,
        code_version=CODE_VERSIONS[artifact.kind],
        config_schema=OPTIONS,
        retry_policy=RETRIES if artifact.kind is Kind.RAW else None,
        automation_condition=FOLLOW,
        metadata={"status": artifact.status, "settings": dict(artifact.settings)},
    )


def make(
    context: dg.AssetExecutionContext,
    storage: StorageResource,
    artifact: Artifact,
    inputs: Iterable[Handle],
    write: Callable[[Path], Made],
) -> Result:
    """Calls `write(folder)` in a staging folder and commits what it wrote, unless nothing changed.

    `inputs` are the handles that `write` reads; the artifact's other inputs count as they are now.
    Raises dg.Failure without a retry for what a person must mend.
    """
    store = storage.store()
    read = {handle.name: handle.digest for handle in inputs}
    with no_retry():
        others = {name: demand(store, name).digest for name in artifact.inputs if name not in read}
    return make_by(context, storage, artifact, Recipe.of(artifact, read | others), write)


def make_by(
    context: dg.AssetExecutionContext,
    storage: StorageResource,
    artifact: Artifact,
    recipe: Recipe,
    write: Callable[[Path], Made],
    incomplete: Callable[[], bool] = lambda: False,
) -> Result:
    """As `make`, for a recipe whose inputs are not artifacts.

    What is `incomplete` is made again though its recipe is the same.
    """
    store = storage.store()
    with no_retry(), store.stage(artifact.name, on_wait=context.log.info) as staging:
        # Asked with the artifact's lock in hand: another process may just have made it.
        again = context.op_execution_context.op_config["force"]
        receipt = None if again else recipe.made(store, artifact.name)
        if receipt is None and not again:
            receipt = recipe.made_before(staging)
        unchanged = receipt is not None and not incomplete()
        if receipt is not None and unchanged:
            context.log.info("unchanged, nothing was made again")
        else:
            started = time.monotonic()
            made = write(staging.path)
            receipt = staging.commit(
                inputs=recipe.inputs,
                code_version=recipe.code_version,
                entry_digest=recipe.entry_digest,
                facts=made.facts,
                digests=made.digests,
                seconds=round(time.monotonic() - started, 3),
            )
    return dg.MaterializeResult(
        value=receipt,
        data_version=dg.DataVersion(receipt.digest),
        metadata={UNCHANGED: True} if unchanged else {},
    )


@contextmanager
def no_retry() -> Iterator[None]:
    """Turns an error that a person must mend into a dg.Failure that Dagster does not retry."""
    try:
        yield
    except TransientError:
        raise
    except WmtpError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
