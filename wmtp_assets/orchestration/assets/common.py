"""What every asset has in common: its key, its owners, when it follows its inputs, its errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import dagster as dg

from wmtp_assets.artifacts.kinds import code_version_of
from wmtp_assets.catalog import Catalog
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.errors import TransientError, WmtpError
from wmtp_assets.storage.receipts import Receipt

OWNERS = ["team:wmtp"]

FOLLOW: dg.AutomationCondition[Any] = (
    dg.AutomationCondition.eager().replace(
        "newly_updated", dg.AutomationCondition.data_version_changed()
    )
    & dg.AutomationCondition.all_deps_blocking_checks_passed()
)

# On what the weekly refresh looks at again: one run may be missed, two are a failure.
WEEKLY = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(days=8), fail_window=timedelta(days=15)
)

# All that a run may configure. A plain Bool, not a field of a dg.Config: Dagster would make that a
# BoolSource, which also takes `{env: NAME}` and so reads the server's environment.
OPTIONS: Mapping[str, dg.Field] = {
    "force": dg.Field(
        bool,
        default_value=False,
        is_required=False,
        description="Make this asset again even if neither its inputs nor its settings changed.",
    )
}
FORCED: Mapping[str, object] = {"config": {"force": True}}

# The metadata of a materialization that says what came of it.
RESULT, MADE = "result", "made"


def result_of(receipt: Receipt, *, unchanged: bool) -> str:
    """What a materialization says of itself: made, or unchanged since when (UTC)."""
    when = receipt.made_at[:16].replace("T", " ")
    return f"unchanged since {when} UTC" if unchanged else MADE


def code_version(artifact: Artifact) -> str:
    """The version of the code that makes an artifact, with the digest of its settings: the page
    shows an artifact as out of date whose entry in the catalog was edited."""
    return f"{code_version_of(artifact)}-{artifact.settings_digest[:12]}"


def tags_of(catalog: Catalog) -> Mapping[str, str]:
    """The tags of every asset of a catalog: the sample is marked as such."""
    return {"wmtp/data": "sample"} if catalog.is_sample else {}


def key_of(name: str) -> dg.AssetKey:
    """The asset key of an artifact's name."""
    return dg.AssetKey(name.split("/"))


@contextmanager
def no_retry() -> Iterator[None]:
    """Turns an error that a person must resolve into a dg.Failure that Dagster does not retry."""
    try:
        yield
    except TransientError:
        raise
    except WmtpError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
