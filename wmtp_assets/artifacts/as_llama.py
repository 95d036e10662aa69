"""`wmtp llama`: a multi-token-prediction model's next-token head, as a folder that transformers and
vLLM load as a LLaMA. Verified before it gets its name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.artifacts.project import Project
from wmtp_assets.catalog.contract import layout_of
from wmtp_assets.catalog.model_artifacts import model_folders
from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.convert import convert_uncertified
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.layout import Described, Layout
from wmtp_assets.checkpoints.layouts import LAYOUTS, layout_named
from wmtp_assets.checkpoints.next_token import llama_config, plan_llama, unequal
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.tokenizers import open_tokenizer
from wmtp_assets.checkpoints.vocabulary import require_vocabulary
from wmtp_assets.storage import disk, locks
from wmtp_assets.storage.atomic import write_bytes, write_json
from wmtp_assets.storage.digests import read_sha256sums, sha256_file, write_sha256sums
from wmtp_assets.storage.errors import StorageError, storage_errors

_PARTIAL = ".partial"
_WEIGHTS, _SUMS, _RECORD = "model.safetensors", "SHA256SUMS", "made_from.json"
# The first decides where it is there; AutoTokenizer reads the other two.
_TOKENIZER = ("tokenizer.model", "tokenizer.json", "tokenizer_config.json")
_OTHER_FOLDER = "name another folder"
_OWN = frozenset((_WEIGHTS, _SUMS, _RECORD, "config.json", *_TOKENIZER))

Say = Callable[[str], None]


class AsLlamaError(CheckpointError):
    """The model cannot be written as a LLaMA, or what was written is not equal to it."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a multi-token-prediction model, laid out as those of the storage are.

    `safetensors/model.safetensors` (and `SHA256SUMS`, if it is there), `configs/` and `tokenizer/`.
    """

    name: str
    path: Path
    layout: Layout

    @property
    def weights(self) -> Path:
        """The model's tensors."""
        return self.path / "safetensors" / _WEIGHTS

    def config(self) -> dict[str, object]:
        """The model's config (params.json). Raises JsonFileError."""
        path = self.path / "configs" / self.layout.config_files[0]
        return strict_json.read_object(path, "The model's config", _OTHER_FOLDER)

    def described(self) -> Described:
        """Its name, and the number of positions where its config.json states one."""
        path = self.path / "configs" / "config.json"
        if not path.exists():
            return Described(self.name)
        stated = strict_json.read_object(path, "The model's config.json", _OTHER_FOLDER)
        positions = stated.get("max_position_embeddings")
        return Described(self.name, None, positions if type(positions) is int else None)

    def tokenizer(self) -> dict[str, Path]:
        """Its files by name. Raises AsLlamaError where one is missing that AutoTokenizer reads."""
        paths = {name: self.path / "tokenizer" / name for name in _TOKENIZER}
        there = {name: path for name, path in paths.items() if path.is_file()}
        if missing := [name for name in _TOKENIZER[1:] if name not in there]:
            raise AsLlamaError(
                "The model's tokenizer is incomplete",
                expected=" and ".join(_TOKENIZER[1:]),
                found=f"no {' and no '.join(missing)}",
                where=self.path / "tokenizer",
                hint="copy the folder `tokenizer` of the model that it was trained from.",
            )
        return there


@dataclass(frozen=True)
class Written:
    """What was written to `folder`, and the comparison of its logits with the MTP model's."""

    folder: Path
    parameters: int
    size: int
    difference: float
    largest: float


def model_folder_of(project: Project, model: str) -> ModelFolder:
    """The folder of a model: by its name in the catalog, or by a path.

    Raises AsLlamaError where no LLaMA can be made of it, StorageError where it was not made yet.
    """
    catalog = project.catalog
    if model in catalog.models:
        layout = layout_named(layout_of(catalog, model))
        if not layout.has_llama:
            raise _no_model(project, f"{model}, which is of the layout {layout.name}")
        place = project.storage / model_folders(catalog, model)[0]
        if not place.exists():
            raise StorageError(
                f"models/{model} does not exist yet",
                where=place,
                hint=f"wmtp materialize models/{model}",
            )
        # One edition of it: a publication meanwhile changes nothing.
        return ModelFolder(model, place.resolve(), layout)
    folder = Path(model).resolve()
    if not folder.is_dir():
        raise _no_model(project, model)
    for layout in LAYOUTS.values():
        config = folder / "configs" / layout.config_files[0]
        found = ModelFolder(folder.name, folder, layout)
        if layout.has_llama and config.is_file() and found.weights.is_file():
            return found
    raise _no_model(project, f"a folder without them, {folder}")


def _no_model(project: Project, found: str) -> AsLlamaError:
    catalog = project.catalog
    known = [name for name in catalog.models if layout_named(layout_of(catalog, name)).has_llama]
    path = (
        "the path of a folder with safetensors/model.safetensors, configs/params.json, tokenizer/"
    )
    return AsLlamaError(
        "Only a multi-token-prediction model can be written as a LLaMA",
        expected=" or ".join([*known, path]),
        found=found,
        where=f"the catalog {catalog.name}",
        hint="name one of these. Other models are loaded from their folder `hf` as they are.",
    )


def write_as_llama(source: ModelFolder, target: Path, say: Say) -> Written:
    """Writes `source`'s next-token head to the new folder `target`, and verifies it before the
    folder gets its name: every value is read back and compared, and the logits are.

    Uses some 100 MB of memory, whatever the model's size. Raises AsLlamaError, VocabularyError
    where the tokenizer is another model's, CheckpointError where a file of the model is not usable,
    StorageError where `target` is in the way or the disk refuses.
    """
    from wmtp_assets.mtp.next_token import compare  # seconds, which a mistake in the call saves

    layout, config, tokenizer = source.layout.name, source.config(), source.tokenizer()
    header = read_header(source.weights)
    plan = plan_llama(layout, header, config)
    rows = source.layout.sizes(header)["vocab_size"]
    decisive = next(iter(tokenizer.values()))
    require_vocabulary(decisive, config, rows, source.name)
    with _appearing(target) as folder:
        _require_digest(source, say)
        say(f"writing {plan.target_size:,} bytes")
        digest = convert_uncertified(plan, folder / _WEIGHTS)
        written = read_header(folder / _WEIGHTS)
        ids = _special_ids(decisive)
        stated = llama_config(layout, header, written, config, source.described(), ids)
        write_json(folder / "config.json", stated)
        for name, path in tokenizer.items():
            write_bytes(folder / name, path.read_bytes())
        say("comparing every value with the model's")
        wrong = unequal(layout, header, written, config)
        _require(not wrong, "; ".join(wrong[:5]), source)
        say("comparing logits with those of the model's next-token head")
        logits = compare(source.weights, config, folder)
        said = (
            f"logits that differ by {logits.difference:.2g}, the largest being {logits.largest:.2g}"
        )
        _require(logits.equal, said, source)
        record = {
            "model": source.name,
            "sha256": _stated_digest(source) or sha256_file(source.weights),
            "head": "next token: the trunk, and the last of `layers` as the last block",
            "values_compared": True,
            "largest_difference_of_logits": logits.difference,
            "largest_logit": logits.largest,
            "positions": logits.positions,
        }
        write_json(folder / _RECORD, record)
        sums = {_WEIGHTS: digest}
        others = sorted({*_OWN} - {_WEIGHTS, _SUMS, *_TOKENIZER} | tokenizer.keys())
        sums |= {name: sha256_file(folder / name) for name in others}
        write_sha256sums(folder / _SUMS, sums)
    return Written(target, written.parameters, written.size, logits.difference, logits.largest)


def _special_ids(tokenizer: Path) -> Mapping[str, int | None]:
    roles = open_tokenizer(tokenizer).roles
    return {f"{role}_id": roles.get(role) for role in ("bos_token", "eos_token", "pad_token")}


def _stated_digest(source: ModelFolder) -> str | None:
    sums = source.weights.with_name(_SUMS)
    return read_sha256sums(sums).get(_WEIGHTS) if sums.is_file() else None


def _require_digest(source: ModelFolder, say: Say) -> None:
    """Raises AsLlamaError where the weights are not those of the SHA256SUMS beside them."""
    stated = _stated_digest(source)
    if stated is None:
        return
    say("reading the model's weights for their SHA-256")
    found = sha256_file(source.weights)
    if found != stated:
        raise AsLlamaError(
            "The model's weights are not those that its SHA256SUMS states",
            expected=stated,
            found=found,
            where=source.weights,
            hint="`wmtp verify --deep` says what is damaged, and how it is made again.",
        )


def _require(holds: bool, found: str, source: ModelFolder) -> None:
    if not holds:
        raise AsLlamaError(
            "The written model does not compute the same as the original, and was removed",
            expected="the model's values, and the logits of its next-token head",
            found=found,
            where=source.path,
            hint="try it again; if it fails twice the disk or the memory may be faulty.",
        )


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A new folder that gets the name `target` when the block ends well, and is removed else.

    What a killed process left of one is replaced.
    """
    target = target.parent.resolve() / target.name
    partial = target.with_name(f"{target.name}{_PARTIAL}")
    with storage_errors("Writing the model as a LLaMA", target, disk_only=True):
        _require_free(target)
        disk.make_folders(target.parent)
        if disk.is_folder(partial) and not locks.is_locked(partial):
            _remove_own(partial)
        try:
            disk.mkdir(partial)
        except FileExistsError:
            raise _in_the_way(partial, "another process, or files of somebody else") from None
        descriptor = disk.open_existing(partial)
        try:
            locks.lock_open(descriptor, partial)
            try:
                yield partial
                disk.sync(partial)
                _require_free(target)
                disk.rename(partial, target)
            except BaseException:
                _remove_own(partial)
                raise
            disk.sync(target.parent)
        finally:
            os.close(descriptor)


def _require_free(target: Path) -> None:
    if os.path.lexists(target):
        raise _in_the_way(target, "something")


def _in_the_way(place: Path, found: str) -> StorageError:
    return StorageError(
        "The folder to write exists already",
        expected="a folder that does not exist yet",
        found=found,
        where=place,
        hint="name another folder, or move this one away.",
    )


def _remove_own(partial: Path) -> None:
    """Removes a folder that holds nothing but what is written here."""
    if disk.is_folder(partial) and all(
        name in _OWN or disk.is_temporary(name) for name in disk.listing(partial)
    ):
        disk.remove_tree(partial)
