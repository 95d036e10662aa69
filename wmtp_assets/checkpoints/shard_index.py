"""A sharded set's index.json, held against what the shards themselves contain.

The shards' own headers prove which tensor lies where; the index only repeats it. What it says
otherwise becomes a warning that names both sides. Only what is no index at all, or would lead out
of the folder, is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.errors import IndexJsonError
from wmtp_assets.checkpoints.tensors import SourceTensor

_SHOWN = 3
_WITHOUT = (
    "Fetch the set again: index and shards of one revision. Where upstream's index itself is "
    "wrong, leave `index` out of the catalog: what the shards' headers state is enough."
)


class ShardIndex:
    """The places that an index states: `places` maps each tensor's name to a file's name."""

    def __init__(self, path: Path) -> None:
        """Reads the index. IndexJsonError where it is none, or names a file outside its folder."""
        self.path = path
        self.warnings: list[str] = []
        value = self._read()
        self.metadata = value.get("metadata")
        weight_map = value.get("weight_map")
        if not isinstance(weight_map, dict):
            self._refuse(
                "The index has no weight_map",
                "an object that maps each tensor to a file",
                strict_json.kind_of(weight_map) if "weight_map" in value else "no such key",
            )
        self.places = {str(key): self._place(key, place) for key, place in weight_map.items()}
        odd = [f"{key[:80]!a}" for key, place in weight_map.items() if place != self.places[key]]
        if odd:
            self.warnings.append(f"the index writes the file's name with a folder for {_some(odd)}")

    def _read(self) -> dict[str, object]:
        with self.path.open("rb") as file:
            data = file.read(strict_json.MAX_BYTES + 1)
        if data.startswith(strict_json.BOM):
            data = data.removeprefix(strict_json.BOM)
            self.warnings.append("the index begins with a byte order mark")
        try:
            return strict_json.loads_object(data)
        except strict_json.StrictJsonError as error:
            self._refuse(f"The index cannot be read: {error}", "a JSON object", error.found)

    def _place(self, key: str, place: object) -> str:
        """The name of the file, which lies in the index's own folder."""
        if not isinstance(place, str):
            self._refuse(
                f"The index puts {key[:80]!a} into something that is not a file's name",
                "a file's name",
                strict_json.kind_of(place),
            )
        parts = PurePosixPath(place).parts
        if (
            not place.isprintable()
            or place.startswith("/")
            or place.endswith("/")
            or "\\" in place
            or ":" in place
            or ".." in parts
            or not parts
            or len(place) > 1024
        ):
            self._refuse(
                f"The index puts {key[:80]!a} outside of its folder",
                "the name of a file beside the index",
                ascii(place)[:80],
            )
        return str(PurePosixPath(*parts))

    def _refuse(self, problem: str, expected: object, found: object) -> NoReturn:
        raise IndexJsonError(
            problem, expected=expected, found=found, where=self.path, hint=_WITHOUT
        )

    def compare(self, files: Sequence[Path], tensors: Mapping[str, SourceTensor]) -> None:
        """Add a warning for each way in which the index differs from what the files hold."""
        names = {self._name_of(path): path for path in files}
        absent: dict[str, list[str]] = {}
        for key, place in self.places.items():
            if place not in names:
                absent.setdefault(place, []).append(key)
        for place, keys in absent.items():
            self.warnings.append(
                f"the index names {place[:80]!a} for {_some(keys)}, which is not among the "
                f"{len(files)} files of the set"
            )
        lost = [k for k, place in self.places.items() if place in names and k not in tensors]
        if lost:
            self.warnings.append(
                f"the index lists {len(self.places):,} tensors, the files hold {len(tensors):,}: "
                f"no file holds {_some(lost)}"
            )
        unlisted = [key for key in tensors if key not in self.places]
        if unlisted:
            self.warnings.append(
                f"the index lists {len(self.places):,} tensors, the files hold {len(tensors):,}: "
                f"it does not list {_some(unlisted)}"
            )
        moved = [
            f"{key[:80]} (index: {place[:80]}, found in: {tensors[key].file.name})"
            for key, place in self.places.items()
            if key in tensors and place in names and names[place] != tensors[key].file
        ]
        if moved:
            self.warnings.append(f"the index names another file than holds {_some(moved)}")
        self._compare_total(files, tensors)

    def _name_of(self, path: Path) -> str:
        """How the index would write `path`: relative to its own folder."""
        if path.is_relative_to(self.path.parent):
            return path.relative_to(self.path.parent).as_posix()
        return path.name

    def _compare_total(self, files: Sequence[Path], tensors: Mapping[str, SourceTensor]) -> None:
        if self.metadata is not None and not isinstance(self.metadata, dict):
            kind = strict_json.kind_of(self.metadata)
            self.warnings.append(f"the index's metadata is {kind}, not an object")
        if not isinstance(self.metadata, dict):
            return
        total = self.metadata.get("total_size")
        known = _total_sizes(tensors)
        if total is None or (type(total) in (int, float) and total in known):
            return
        of_files = sum(path.stat().st_size for path in files)
        which = " (the size of the files)" if total == of_files else ""
        stated = _number(total) if type(total) in (int, float) else strict_json.kind_of(total)
        self.warnings.append(
            f"the index states a total_size of {stated}{which}, the tensors hold {known[0]:,} bytes"
        )


def _total_sizes(tensors: Mapping[str, SourceTensor]) -> tuple[int, int]:
    """Bytes of all tensors; and with those that are one memory counted once, as some writers do."""
    every = list(tensors.values())
    once = {(t.file, t.storage, t.offset, t.shape, t.strides): t.nbytes for t in every}
    return sum(t.nbytes for t in every), sum(once.values())


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}" if math.isfinite(value) and abs(value) < 1e18 else str(value)
    return f"{value:,}" if isinstance(value, int) and abs(value) < 1 << 80 else "a huge number"


def _some(names: Sequence[str]) -> str:
    shown = [name if name.isprintable() else ascii(name) for name in names[:_SHOWN]]
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:240] for name in shown) + more
