"""What is handed from one asset to the next: the path of an artifact and its receipt, no bytes.

A handle of a 13 GB checkpoint weighs a few hundred bytes. `load` makes one from the storage.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self, cast

import yaml

from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets.storage.store import Store

_MAX_DOCUMENT = 64 << 20  # a certificate has some 500 bytes per tensor
SETTLED = "settled.json"
LISTING = "fetched.json"


@dataclass(frozen=True)
class Handle:
    """An artifact in storage: its folder, and the receipt that lists the files in it."""

    folder: Path
    receipt: Receipt

    @classmethod
    def load(cls, store: Store, name: str) -> Self:
        """The current version of the artifact `name`.

        Raises StorageError when it was never made, or a file is missing or has another size.
        """
        receipt = demand(store, name)
        return cls(store.versions.home(name) / receipt.version, receipt)

    @property
    def name(self) -> str:
        """The artifact's name, which is its asset key."""
        return self.receipt.artifact

    @property
    def digest(self) -> str:
        """SHA-256 over the names and digests of the artifact's files; the asset's data version."""
        return self.receipt.digest

    def read(self, file: str) -> dict[str, object]:
        """A JSON object among the artifact's files; JsonFileError where it is none."""
        return strict_json.read_object(
            self.folder / file, f"A file of {self.name}", self._again, _MAX_DOCUMENT
        )

    @property
    def _again(self) -> str:
        return f"`wmtp materialize {self.name} --force` makes it again."


def demand(store: Store, name: str) -> Receipt:
    """The receipt of an artifact that exists, with its files there in their recorded sizes.

    Raises StorageError, saying what to do, when it was never made or is damaged.
    """
    for wrong in store.mismatches(name, deep=False):
        raise StorageError(
            f"{name} is not as its receipt says",
            expected=wrong.expected,
            found=wrong.found,
            where=wrong.file,
            hint=f"wmtp materialize {name} --force",
        )
    receipt = store.current(name)
    if receipt is None:
        raise StorageError(
            f"{name} does not exist yet", where=store.root, hint=f"wmtp materialize {name}"
        )
    return receipt


@dataclass(frozen=True)
class Fetched(Handle):
    """Files of an upstream repository, verified on arrival; they lie below `upstream`."""

    upstream: Path

    @classmethod
    def load(cls, store: Store, name: str) -> Self:
        """As `Handle.load`: the listing is the artifact; its files may have been released."""
        receipt = demand(store, name)
        folder = store.versions.home(name) / receipt.version
        return cls(folder, receipt, store.upstream / str(receipt.facts["folder"]))

    def files(self) -> dict[str, dict[str, object]]:
        """What was fetched: `size` and `sha256` of every file, by its path in the repository."""
        listing = self.read(LISTING)
        return cast("dict[str, dict[str, object]]", listing["files"])

    @property
    def revision(self) -> str:
        """The commit that the files belong to ("directory" where a mirror doesn't say)."""
        return str(self.receipt.facts["revision"])

    def paths(self) -> dict[str, Path]:
        """Where every fetched file lies, by its path in the repository."""
        return {path: self.upstream / path for path in self.files()}

    def digests(self) -> dict[Path, str]:
        """The SHA-256 of every fetched file as it arrived, by where it lies."""
        return {self.upstream / path: str(one["sha256"]) for path, one in self.files().items()}

    def lost(self) -> dict[str, str]:
        """By path: what is found in place of a fetched file. Opens none: a pipe would never end."""
        wrong = {}
        for path, record in self.files().items():
            try:
                found = (self.upstream / path).stat()
            except OSError:
                wrong[path] = "no file"
                continue
            if not stat.S_ISREG(found.st_mode):
                wrong[path] = "something else than a file"
            elif found.st_size != record["size"]:
                wrong[path] = f"{found.st_size} bytes"
        return wrong


def fetched(store: Store, name: str) -> Fetched:
    """The files of a raw artifact that exists; raises StorageError otherwise."""
    return Fetched.load(store, name)


@dataclass(frozen=True)
class Checkpoint(Handle):
    """A converted or sliced checkpoint in safetensors."""

    @classmethod
    def load(cls, store: Store, name: str) -> Self:
        """As `Handle.load`; also raises CheckpointError when the file's header is not sound."""
        checkpoint = super().load(store, name)
        read_header(checkpoint.path)
        return checkpoint

    @property
    def path(self) -> Path:
        """The safetensors file."""
        return self.folder / "model.safetensors"

    @property
    def certificate(self) -> Path:
        """The certificate that the conversion wrote beside it."""
        return self.folder / "certificate.json"

    def settled(self) -> dict[str, dict[str, object]]:
        """What upstream's config left open and the tensors decided: `config`, and the `evidence`.

        Both are empty where the config left nothing open, as nearly always.
        """
        if SETTLED not in self.receipt.files:
            return {"config": {}, "evidence": {}}
        return cast("dict[str, dict[str, object]]", self.read(SETTLED))

    def slice(self) -> dict[str, dict[str, object]]:
        """Of a micro model: its `config`, and what was `taken` of its base."""
        return cast("dict[str, dict[str, object]]", self.read("slice.json"))


@dataclass(frozen=True)
class Tokenizer(Handle):
    """A tokenizer's files."""

    @property
    def model(self) -> Path:
        """The file that decides its ids: SentencePiece's tokenizer.model, or a tokenizer.json."""
        known = "tokenizer.model" in self.receipt.files
        return self.folder / ("tokenizer.model" if known else "tokenizer.json")


@dataclass(frozen=True)
class Split(Handle):
    """One split as JSONL with its row index."""

    @property
    def jsonl(self) -> Path:
        """The rows, one JSON object a line."""
        return self._only(".jsonl")

    @property
    def index(self) -> Path:
        """The row index: one Parquet row per line of the JSONL."""
        return self._only(".index.parquet")

    @property
    def statistics(self) -> Path:
        """The statistics of the rows, a JSON object."""
        return self._only("_stats.json")

    def _only(self, ending: str) -> Path:
        (name,) = (name for name in self.receipt.files if name.endswith(ending))
        return self.folder / name


@dataclass(frozen=True)
class Document(Handle):
    """A JSON or YAML document; of several files, the one that `facts` call the document."""

    @property
    def path(self) -> Path:
        """The document's file."""
        if len(self.receipt.files) == 1:
            return self.folder / next(iter(self.receipt.files))
        name = str(self.receipt.facts.get("document"))
        if name not in self.receipt.files:
            raise StorageError(
                f"The receipt of {self.name} names a document that is not one of its files",
                expected=f"one of {', '.join(self.receipt.files)}",
                found=name,
                where=self.folder,
                hint=self._again,
            )
        return self.folder / name

    def value(self) -> dict[str, object]:
        """The document, parsed."""
        if self.path.suffix != ".yaml":
            return self.read(self.path.relative_to(self.folder).as_posix())
        try:
            value = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            value = str(error)[:300]
        if not isinstance(value, dict):
            raise StorageError(
                f"A file of {self.name} cannot be read",
                expected="a YAML mapping",
                found=value,
                where=self.path,
                hint=self._again,
            )
        return value
