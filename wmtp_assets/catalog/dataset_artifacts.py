"""The artifacts of datasets: splits with their metadata files, the schema, and the small copies.

If a format's rows differ between generations of the contract, each generation has artifacts of its
own for rows and for the files derived from them. Otherwise one artifact serves every generation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from wmtp_assets.catalog.artifact import (
    Artifact,
    Kind,
    group_of,
    schema_artifact,
    split_artifact,
)
from wmtp_assets.catalog.dataset_entries import Dataset, small_rows
from wmtp_assets.catalog.fetched_artifacts import raw_artifact, raw_view_artifact, sample_mark
from wmtp_assets.catalog.fields import SMALL_SEED
from wmtp_assets.catalog.licences import terms_of
from wmtp_assets.catalog.quality_artifacts import quality_artifacts
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.catalog.tokenizers import tokenizer_of
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.generations import Contract, dataset_folder, small_folder


def dataset_artifacts(catalog: Catalog) -> list[Artifact]:
    """Every artifact of the datasets."""
    found: list[Artifact] = []
    about_rows: list[Artifact] = []
    # What gives difficulties comes before what takes them.
    ordered = sorted(catalog.datasets.items(), key=lambda one: one[1].difficulties_from is not None)
    for name, dataset in ordered:
        of_dataset = _Dataset(
            name,
            dataset,
            catalog.contract,
            tokenizer_of(catalog, name),
            _fetched_splits(catalog, dataset.difficulties_from),
            sample_mark(catalog),
            terms_of(catalog, name).to_json(),
        )
        found += of_dataset.splits()
        found += of_dataset.schemas()
        found += of_dataset.cards()
        found += of_dataset.small_copy()
        found += of_dataset.package_file()
        about_rows += quality_artifacts(catalog, name, of_dataset.served())
        if "current" in catalog.contract:
            raw = [one for one in found if one.is_fetched and one.owner == name]
            view = split_artifact(name, "raw_view")
            found.append(raw_view_artifact(view, [dataset_folder("current", name)], raw))
    return found + about_rows  # after the rows of every dataset


def _fetched_splits(catalog: Catalog, dataset: str | None) -> tuple[str, ...]:
    """The fetched files of every split of a dataset."""
    splits = catalog.datasets[dataset].splits if dataset is not None else ()
    return tuple(split_artifact(str(dataset), split, "raw") for split in splits)


@dataclass(frozen=True)
class _Dataset:
    name: str
    dataset: Dataset
    contracts: tuple[Contract, ...]
    tokenizer: str
    graded_by: tuple[str, ...]
    marked: Mapping[str, object]
    terms: Mapping[str, object]

    def _rows_for(self, contract: Contract) -> Contract:
        """Whose rows a generation reads: its own only where they differ."""
        row_format = FORMATS[self.dataset.layout]
        return "phase1" if row_format.of(contract) is row_format else contract

    def served(self) -> dict[Contract, list[Contract]]:
        """Of each generation with rows of its own, the generations that read them."""
        served: dict[Contract, list[Contract]] = {}
        for contract in self.contracts:
            served.setdefault(self._rows_for(contract), []).append(contract)
        return served

    def _settings(self, own: Contract) -> dict[str, object]:
        """What settings say of the generation; absent for the first, as it was before there were
        several."""
        return {} if own == "phase1" else {"contract": own}

    def splits(self) -> list[Artifact]:
        """Fetched files, rows and metadata file of each split."""
        return [artifact for split in self.dataset.splits for artifact in self._split(split)]

    def _split(self, split: str) -> list[Artifact]:
        raw = replace(
            raw_artifact(
                split_artifact(self.name, split, "raw"),
                self.name,
                group_of(self.name),
                self.dataset.upstream,
                self.dataset.splits[split].files,
                self.dataset.status,
            ),
            split=split,
        )
        made = [raw]
        for own, contracts in self.served().items():
            links: dict[str, str] = {}
            for contract in contracts:
                at = dataset_folder(contract, self.name)
                links |= {
                    f"{at}/processed/{split}.jsonl": f"{split}.jsonl",
                    f"{at}/processed/{split}.index.parquet": f"{split}.index.parquet",
                    f"{at}/stats/{split}_stats.json": f"{split}_stats.json",
                }
            made.append(
                self._artifact(
                    split_artifact(self.name, split, contract=own),
                    Kind.SPLIT,
                    inputs=(raw.name, self.tokenizer, *self.graded_by),
                    split=split,
                    links=links,
                    settings={
                        "layout": self.dataset.layout,
                        "max_tokens": self.dataset.max_tokens,
                        **self._settings(own),
                    },
                    contract=own,
                )
            )
        for contract in self.contracts:
            at = dataset_folder(contract, self.name)
            made.append(
                self._artifact(
                    split_artifact(self.name, split, "metadata", contract),
                    Kind.SPLIT_METADATA if contract == "phase1" else Kind.SPLIT_METADATA_CURRENT,
                    inputs=(split_artifact(self.name, split, contract=self._rows_for(contract)),),
                    split=split,
                    links={f"{at}/processed/{split}_metadata.json": f"{split}_metadata.json"},
                    contract=contract,
                )
            )
        return made + self._of_whole_problems(split, raw.name)

    def _of_whole_problems(self, split: str, raw: str) -> list[Artifact]:
        """What today's evaluation reads of a split, for a source whose problems have tests: the
        same of every generation's rows, as it has none."""
        source = FORMATS[self.dataset.layout].evaluation
        if source is None or "current" not in self.contracts:
            return []
        at = dataset_folder("current", self.name)
        made = []
        if source.evaluates(split):
            file = f"{split}_eval.jsonl"
            made.append(self._whole_problems("eval", split, raw, {f"{at}/processed/{file}": file}))
        files = (f"{split}_tests.json", f"{split}_tests.parquet")
        links = {f"{at}/tests/{file}": file for file in files}
        return [*made, self._whole_problems("tests", split, raw, links)]

    def _whole_problems(
        self, part: Literal["eval", "tests"], split: str, raw: str, links: Mapping[str, str]
    ) -> Artifact:
        return self._artifact(
            split_artifact(self.name, split, part),
            Kind(part),
            inputs=(raw,),
            split=split,
            links=links,
            settings={"layout": self.dataset.layout},
        )

    def schemas(self) -> list[Artifact]:
        """The schema of the rows, and the cards that declare their files."""
        made = []
        for own, contracts in self.served().items():
            small = self._small_splits() if own == self._rows_for(self.contracts[-1]) else {}
            links: dict[str, str] = {}
            for contract in contracts:
                processed = f"{dataset_folder(contract, self.name)}/processed"
                links |= {
                    f"{processed}/schema.json": "schema.json",
                    f"{processed}/README.md": "README.md",
                }
            if any(self._has_rows(split, own) for split in small):
                links[f"{small_folder(self.name)}/README.md"] = "README_small.md"
            made.append(
                self._artifact(
                    schema_artifact(self.name, own),
                    Kind.SCHEMA,
                    inputs=tuple(
                        split_artifact(self.name, split, contract=own)
                        for split in self.dataset.splits
                    ),
                    links=links,
                    settings={
                        **self.marked,
                        "layout": self.dataset.layout,
                        **self._settings(own),
                        # What the cards declare; `datasets` cannot load a split without rows.
                        "files": {
                            split: f"{split}.jsonl"
                            for split in self.dataset.splits
                            if self._has_rows(split, own)
                        },
                        "small_files": {
                            split: f"{split}_small.jsonl"
                            for split in small
                            if self._has_rows(split, own)
                        },
                        # Which rows those are, as their card names them.
                        **(
                            {"small": {"rows": dict(small), "seed": self._small_seed}}
                            if small
                            else {}
                        ),
                    },
                    contract=own,
                )
            )
        return made

    def cards(self) -> list[Artifact]:
        """The card of the dataset's folder, and its Croissant file."""
        made = []
        for own, contracts in self.served().items():
            folders = [dataset_folder(contract, self.name) for contract in contracts]
            names = ("README.md", "croissant.json")
            made.append(
                self._artifact(
                    split_artifact(self.name, "card", contract=own),
                    Kind.DATASET_CARD,
                    inputs=tuple(
                        split_artifact(self.name, split, contract=own)
                        for split in self.dataset.splits
                    ),
                    links={f"{folder}/{name}": name for folder in folders for name in names},
                    settings={
                        **self.marked,
                        "layout": self.dataset.layout,
                        **self._settings(own),
                        "folder": folders[0],
                        "max_tokens": self.dataset.max_tokens,
                        "terms": self.terms,
                        # Of each split its files' places in the folder, the rows first.
                        "files": {
                            split: {
                                f"{split}.jsonl": f"processed/{split}.jsonl",
                                f"{split}.index.parquet": f"processed/{split}.index.parquet",
                                f"{split}_stats.json": f"stats/{split}_stats.json",
                            }
                            for split in self.dataset.splits
                        },
                    },
                    contract=own,
                )
            )
        return made

    def _has_rows(self, split: str, own: Contract) -> bool:
        return self.dataset.splits[split].counts(own).rows != 0

    def _small_splits(self) -> Mapping[str, int]:
        """How many rows of each split go into the small copy; today's training code looks for one
        of every dataset."""
        if self.dataset.small is not None:
            return self.dataset.small.rows
        return small_rows(self.dataset.splits) if "current" in self.contracts else {}

    @property
    def _small_seed(self) -> int:
        return self.dataset.small.seed if self.dataset.small else SMALL_SEED

    def small_copy(self) -> list[Artifact]:
        """The small copy: of the newest generation's rows, as all look for it in one folder."""
        own = self._rows_for(self.contracts[-1])
        folder = small_folder(self.name)
        group = f"{group_of(self.name)}_small"
        made = []
        for split, rows in self._small_splits().items():
            small = split_artifact(f"{self.name}_small", split, contract=own)
            made.append(
                self._artifact(
                    small,
                    Kind.SMALL_SPLIT,
                    inputs=(split_artifact(self.name, split, contract=own),),
                    split=split,
                    links={
                        f"{folder}/{split}_small.jsonl": f"{split}_small.jsonl",
                        f"{folder}/{split}_small.index.parquet": f"{split}_small.index.parquet",
                    },
                    settings={"rows": rows, "seed": self._small_seed},
                    contract=own,
                    group=group,
                )
            )
            newest = self.contracts[-1]
            made.append(
                self._artifact(
                    split_artifact(f"{self.name}_small", split, "metadata", newest),
                    Kind.SMALL_METADATA if newest == "phase1" else Kind.SMALL_METADATA_CURRENT,
                    inputs=(small,),
                    split=split,
                    links={f"{folder}/{split}_small_metadata.json": f"{split}_small_metadata.json"},
                    contract=newest,
                    group=group,
                )
            )
        return made

    def package_file(self) -> list[Artifact]:
        """The file that an evaluation package reads, as it was fetched."""
        file, package = self.dataset.package_file, FORMATS[self.dataset.layout].package
        if file is None or package is None:
            return []
        name = f"datasets/{self.name}_package"
        raw = raw_artifact(
            f"{name}_raw",
            self.name,
            group_of(self.name),
            self.dataset.upstream,
            [file],
            self.dataset.status,
        )
        ending = file.path.rpartition("/")[2]
        folders = [dataset_folder(contract, self.name) for contract in self.contracts]
        own = self._rows_for(self.contracts[-1])
        made = self._artifact(
            name,
            Kind.PACKAGE_FILE,
            # No bytes are made of the rows: a check compares tasks.
            inputs=(
                raw.name,
                *(split_artifact(self.name, split, contract=own) for split in self.dataset.splits),
            ),
            links={f"{folder}/{package.package}/{ending}": ending for folder in folders},
            settings={"file": ending},
        )
        return [raw, made]

    def _artifact(
        self,
        name: str,
        kind: Kind,
        *,
        inputs: tuple[str, ...],
        links: Mapping[str, str],
        split: str | None = None,
        settings: Mapping[str, object] | None = None,
        contract: Contract = "phase1",
        group: str = "",
    ) -> Artifact:
        return Artifact(
            name,
            kind,
            self.name,
            group or group_of(self.name),
            inputs=inputs,
            split=split,
            status=self.dataset.status,
            links=links,
            settings=settings or {},
            contract=contract,
        )
