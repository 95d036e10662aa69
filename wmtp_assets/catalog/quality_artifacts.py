"""The artifacts that describe rows: executed solutions, leaks, near-duplicates.

Each describes the rows of one split in one generation of the contract. The gate does not wait for
them: rows can be used without them, and some take hours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wmtp_assets.catalog.artifact import Artifact, Kind, group_of, split_artifact
from wmtp_assets.catalog.dataset_entries import Dataset, Quality
from wmtp_assets.catalog.fetched_artifacts import sample_mark
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.corpora.evaluation import is_training_split
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.generations import Contract, dataset_folder

QUALITY = "quality"  # the folder of them, in a dataset's


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
        about = [one for split in dataset.splits for one in of_rows.about(split)]
        made += [*about, of_rows.card(about)] if about else []
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

    def card(self, about: Sequence[Artifact]) -> Artifact:
        """All that is found out `about` splits, to be quoted; it waits for what is on request."""
        splits = dict.fromkeys(str(one.split) for one in about)
        files = {
            split: {
                str(one.kind): next(file for file in one.links.values() if _holds_figures(file))
                for one in about
                if one.split == split
            }
            for split in splits
        }
        folders = [f"{dataset_folder(one, self.name)}/{QUALITY}" for one in self.contracts]
        rows = (split_artifact(self.name, split, contract=self.own) for split in splits)
        return Artifact(
            split_artifact(self.name, "quality_card", contract=self.own),
            Kind.QUALITY_CARD,
            self.name,
            group_of(self.name),
            inputs=(*rows, *(one.name for one in about)),
            status="optional",
            links={
                f"{at}/{file}": file for at in folders for file in ("figures.json", "README.md")
            },
            settings={**sample_mark(self.catalog), "files": files},
            contract=self.own,
            on_request=any(one.on_request for one in about),
        )

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
        folders = [f"{dataset_folder(one, self.name)}/{QUALITY}" for one in self.contracts]
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


def _holds_figures(file: str) -> bool:
    """Of verdicts, the document of rates is read; of the others, the file itself."""
    return not file.endswith("_verdicts.parquet")
