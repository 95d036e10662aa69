"""The catalog's schema: what a catalog may say, and what each field means.

Read `full.yaml` first; this file is its top level. The entries below it are in `model_entries.py`
and `dataset_entries.py`, what both share in `upstream_entries.py`, and the types of single values
in `fields.py`. Reading and error messages are in `reader.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from wmtp_assets.catalog.dataset_entries import Dataset
from wmtp_assets.catalog.fields import AssetName, Entry, Positive, Truth, list_from_string
from wmtp_assets.catalog.model_entries import MicroModel, Model, UpstreamModel
from wmtp_assets.catalog.upstream_entries import Upstream
from wmtp_assets.generations import CONTRACTS, Contract


def _each_once(contracts: tuple[Contract, ...]) -> tuple[Contract, ...]:
    if len(set(contracts)) != len(contracts):
        raise ValueError("a generation of the contract is named twice")
    return tuple(one for one in CONTRACTS if one in contracts)


Contracts = Annotated[
    tuple[Contract, ...],
    Field(min_length=1),
    BeforeValidator(list_from_string),
    AfterValidator(_each_once),
]


class Tokenizer(Entry):
    """The tokenizer of all models that do not specify another; it comes with the files of the
    model `from_model`."""

    from_model: AssetName
    vocab_size: Positive


class Catalog(Entry):
    """All models and datasets. `hub: sample` means: the sample, unless WMTP_HUB is set; whatever is
    made by such a catalog is marked as the sample, not as real data.

    With `commits_only` nothing is fetched from a repository whose revision is a branch or a tag.
    Without, a branch is resolved once, and assets.lock holds it to that commit from then on. What
    entries must agree on is in `consistency.py`.

    `contract` names the generations of training code that are to be served: `phase1` (folders
    models_v2 and datasets_v2), `current` (models and datasets), or `[phase1, current]` for both;
    what is the same for both is stored once.
    """

    name: AssetName
    hub: Literal["huggingface", "sample"] = "huggingface"
    commits_only: Truth = False
    contract: Contracts = ("phase1",)
    tokenizer: Tokenizer
    models: dict[AssetName, Model]
    datasets: dict[AssetName, Dataset]

    @property
    def is_sample(self) -> bool:
        """Whether this is a catalog of the generated sample: nothing made by it is real data.

        The one place that decides it; pages, documents and commands ask here.
        """
        return self.hub == "sample"

    def upstream_models(self) -> dict[str, UpstreamModel]:
        """The models that are fetched, by name."""
        return {n: m for n, m in self.models.items() if isinstance(m, UpstreamModel)}

    def micro_models(self) -> dict[str, MicroModel]:
        """The models that are sliced from another, by name."""
        return {n: m for n, m in self.models.items() if isinstance(m, MicroModel)}

    def upstream_of(self, owner: str) -> Upstream:
        """Where a model or dataset comes from; a micro model, from where its base does."""
        model = self.models.get(owner)
        if isinstance(model, MicroModel):
            return self.upstreams()[model.slice_of]
        return self.upstreams()[owner]

    def upstreams(self) -> dict[str, Upstream]:
        """Where every fetched model and dataset comes from, by the name of the model or dataset."""
        entries: dict[str, UpstreamModel | Dataset] = {**self.upstream_models(), **self.datasets}
        return {name: entry.upstream for name, entry in entries.items()}
