"""The artifacts that say something of rows: executed solutions, leaks, near-duplicates.

Each is about the rows of one split, in the generation of the contract whose rows they are. The gate
does not wait for them: rows are as good without, and some take hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wmtp_assets.catalog.artifact import Artifact, Kind, group_of, split_artifact
from wmtp_assets.catalog.schema import Catalog, Dataset, Quality
from wmtp_assets.corpora.evaluation import is_training_split
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.generations import Contract, dataset_folder


def quality_artifacts(
    catalog: Catalog, name: str, served: Mapping[Contract, Sequence[Contract]]
) -> list[Artifact]:
    """What the catalog's block `quality` of the dataset `name` asks for; `served` has, for each
    generation with rows of its own, those that read them."""
    dataset = catalog.datasets[name]
    if dataset.quality is None:
        return []
    made = []
    for own, contracts in served.items():
        of_rows = _OfRows(catalog, name, dataset, dataset.quality, own, contracts)
        for split in dataset.splits:
            made += of_rows.about(split)
    return made


@dataclass(frozen=True)
class _OfRows:
    catalog: Catalog
    name: str
    dataset: Dataset
    quality: Quality
    own: Contract
    contracts: Sequence[Contract]

    def about(self, split: str) -> list[Artifact]:
        made = []
        execute = self.quality.execute
        if execute is not None and split in execute.rows:
            raw = split_artifact(self.name, split, "raw")
            settings = {
                "layout": self.dataset.layout,
                "rows": execute.rows[split],
                "seed": execute.seed,
            }
            files = (f"{split}_verdicts.parquet", f"{split}_verdicts.json")
            made.append(
                self._artifact(
                    split, Kind.VERDICTS, (raw,), files, settings, on_request=execute.on_request
                )
            )
        if split in self.quality.leaks:
            evaluated_on = self._evaluated_on()
            made.append(
                self._artifact(split, Kind.LEAKS, evaluated_on, (f"{split}_leaks.parquet",))
            )
        if split in self.quality.duplicates:
            made.append(
                self._artifact(split, Kind.DUPLICATES, (), (f"{split}_duplicates.parquet",))
            )
        return made

    def _evaluated_on(self) -> tuple[str, ...]:
        """The splits that no training row may be of: the dataset's own that are not for training,
        and every one of datasets that models are evaluated on, whose rows have no class."""
        return tuple(
            split_artifact(name, split, contract=self._rows_of(dataset))
            for name, dataset in self.catalog.datasets.items()
            if name == self.name or not FORMATS[dataset.layout].classed
            for split in dataset.splits
            if name != self.name or not is_training_split(split)
        )

    def _rows_of(self, dataset: Dataset) -> Contract:
        """Whose rows stand for a dataset beside rows of `own`."""
        row_format = FORMATS[dataset.layout]
        if row_format.of("current") is row_format:
            return "phase1"
        served = self.catalog.contract
        return self.own if self.own in served else served[0]

    def _artifact(
        self,
        split: str,
        kind: Kind,
        inputs: tuple[str, ...],
        files: tuple[str, ...],
        settings: Mapping[str, object] | None = None,
        on_request: bool = False,
    ) -> Artifact:
        folders = [f"{dataset_folder(one, self.name)}/quality" for one in self.contracts]
        return Artifact(
            split_artifact(self.name, split, kind, contract=self.own),
            kind,
            self.name,
            group_of(self.name),
            inputs=(split_artifact(self.name, split, contract=self.own), *inputs),
            split=split,
            status="optional",
            links={f"{folder}/{file}": file for folder in folders for file in files},
            settings=settings or {},
            contract=self.own,
            on_request=on_request,
        )
