"""From the catalog's entry of a model to the plan that makes its checkpoint.

The assets make checkpoints by these plans, and the checks compare what was made with them.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from wmtp_assets.artifacts.types import Checkpoint, Fetched
from wmtp_assets.catalog import MicroModel, UpstreamModel
from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.cutting import MicroShape
from wmtp_assets.checkpoints.planning import Plan, plan_conversion
from wmtp_assets.checkpoints.slicing import SlicePlan, plan_slice
from wmtp_assets.checkpoints.source import open_source


def upstream_config(model: UpstreamModel, raw: Fetched) -> dict[str, object]:
    """The model's params.json or config.json, as upstream has it. Raises JsonFileError."""
    named = model.files.config.path
    return strict_json.read_object(
        raw.paths()[named],
        f"The config {named} of {model.upstream.repository}",
        f"Look at {named} in {model.upstream.repository}. If it is a JSON object there, "
        f"`wmtp materialize {raw.name} --force` fetches it again; otherwise name another file as "
        "files.config in the catalog.",
    )


def weights_of(model: UpstreamModel, raw: Fetched) -> list[str]:
    """The fetched files that hold the weights, by their paths in the repository."""
    return [
        path
        for file in model.files.weights
        for path in (
            sorted(fnmatch.filter(raw.files(), file.path)) if "*" in file.path else [file.path]
        )
    ]


def conversion_plan(model: UpstreamModel, raw: Fetched) -> Plan:
    """How a fetched model is converted. Reads headers, no weights. Raises CheckpointError.

    Whether the source is of the dtypes that the catalog states `require_stated` checks.
    """
    paths = raw.paths()
    index = model.files.index
    weights = [paths[path] for path in weights_of(model, raw)]
    source = open_source(
        weights,
        paths[index.path] if index else None,
        weights_key=model.weights_key,
        strip_prefix=model.strip_prefix,
    )
    config = upstream_config(model, raw)
    return plan_conversion(source, model.layout, config, model.dtype, model.waive_overflow)


def slice_plan(
    micro: MicroModel, layout: str, base: Checkpoint, config: Mapping[str, object]
) -> SlicePlan:
    """How a micro model is cut from `base`, whose config is `config`. Raises LayoutError."""
    shape = MicroShape(layers=micro.layers, dim=micro.dim, ffn=micro.ffn)
    return plan_slice(layout, base.path, config, shape)
