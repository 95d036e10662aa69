"""torch's zip archives (`.pth`, `.bin`): their tensors' names, types and places, without torch.

Nothing of the archive is executed (`pickles.py`), and nothing of it is read but the directory, the
pickle and the byte order; the tensors' bytes stay where they are. What the archive states of itself
is trusted only after this comparison:

- name, offset and size of a record (the zip directory): with its local header, the other records
  and the size of the file (`zip_directory.py`). CRC-32 is not read: files are verified by SHA-256
  when they are fetched;
- dtype and number of elements of a storage (the pickle): with the size of its record;
- offset, shape and strides of a tensor (the pickle): it lies within its storage, and no two of its
  indices share an element. Names, shapes and dtypes are then compared with the layout, the config
  and the catalog (`planning.py`);
- byte order: little-endian, where one is stated.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn

from wmtp_assets.checkpoints import pickles, strict_json
from wmtp_assets.checkpoints.errors import RESAVE, refuse_archive
from wmtp_assets.checkpoints.pickle_interpreter import RESAVE_TENSORS
from wmtp_assets.checkpoints.pickle_values import PickleError, View
from wmtp_assets.checkpoints.tensors import SourceTensor, is_plain_name
from wmtp_assets.checkpoints.zip_directory import Record, read_directory

# The first bytes of torch's format before 1.6: a pickled magic number.
_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")


def read_archive(path: Path, weights_key: Sequence[str] = ()) -> list[SourceTensor]:
    """The tensors of a torch archive, in the order of its state dict.

    With `weights_key` the state dict lies behind these keys, one within the other.

    Raises ArchiveError for anything that is not a plain state dict in torch's zip format whose
    every storage is exactly as long as declared and holds its tensors whole.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        start = os.pread(fd, 512, 0)
        if not start.startswith(b"PK"):
            _refuse_form(path, start)
        records = read_directory(fd, path, partial(_refuse_script, path))
        root = _root(records, path)
        order = records.get(f"{root}byteorder")
        if order is not None and (found := os.pread(fd, min(order.size, 16), order.offset)) != (
            b"little"
        ):
            refuse_archive(
                "The archive's numbers are not little-endian",
                path,
                "little",
                f"{found.decode('ascii', 'replace')!a}",
                RESAVE,
            )
        record = records[f"{root}data.pkl"]
        if record.size > pickles.MAX_BYTES:
            refuse_archive(
                "The archive's pickle is too large", path, pickles.MAX_BYTES, record.size
            )
        data = os.pread(fd, record.size, record.offset)
        try:
            views = pickles.read_state_dict(data, weights_key)
        except PickleError as error:
            refuse_archive(
                f"The archive's pickle was refused and not run: {error}", path, hint=error.hint
            )
    finally:
        os.close(fd)
    return [_tensor(name, view, records, root, path) for name, view in _consistent(views, path)]


def _refuse_script(path: Path, record: str) -> None:
    if record.split("/")[1:2] in (["code"], ["constants.pkl"]):
        refuse_archive(
            "This is a TorchScript archive, a program and not a state dict",
            path,
            expected="an archive as torch.save writes it",
            found=f"the record {record[:80]!a}",
            hint='Where you trust its origin, save its weights alone: python -c "import torch; '
            "torch.save(torch.jit.load('FILE').state_dict(), 'FILE.new')\"",
        )


def _root(records: dict[str, Record], path: Path) -> str:
    roots = [name[: -len("data.pkl")] for name in records if name.endswith("/data.pkl")]
    roots = [root for root in roots if root.count("/") == 1]
    if len(roots) != 1:
        refuse_archive(
            "This zip archive was not written by torch.save",
            path,
            expected="one <name>/data.pkl",
            found=f"{len(roots)} of them",
            hint="Check that the catalog's weights name the right file, and fetch it again.",
        )
    return roots[0]


def _consistent(views: dict[str, View], path: Path) -> list[tuple[str, View]]:
    """The views, once no storage is declared in two ways and no name is odd."""
    declared: dict[str, object] = {}
    for name, view in views.items():
        if not is_plain_name(name):
            refuse_archive(f"A tensor's name is not a plain one: {name[:80]!a}", path)
        if declared.setdefault(view.storage.key, view.storage) != view.storage:
            refuse_archive(f"The storage of {name} is declared in two ways", path)
    return list(views.items())


def _tensor(
    name: str, view: View, records: dict[str, Record], root: str, path: Path
) -> SourceTensor:
    storage = view.storage
    record = records.get(f"{root}data/{storage.key}")
    itemsize = storage.dtype.itemsize
    if record is None:
        refuse_archive(f"The bytes of {name} are missing from the archive", path)
    if record.size != storage.elements * itemsize:
        refuse_archive(
            f"The storage of {name} is not as long as declared",
            path,
            expected=f"{storage.elements * itemsize:,} bytes",
            found=f"{record.size:,} bytes",
            hint="Fetch the file again.",
        )
    if math.prod(view.shape) > 0:
        last = view.offset + sum(
            (size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True)
        )
        if last >= storage.elements:
            refuse_archive(
                f"The tensor {name} reaches beyond its storage",
                path,
                expected=f"at most {storage.elements:,} elements",
                found=f"element {last + 1:,}",
            )
        if _overlaps_itself(view):
            refuse_archive(
                f"The tensor {name} shows one element in several places (an expanded view)",
                path,
                hint=RESAVE_TENSORS,
            )
    return SourceTensor(
        name=name,
        dtype=storage.dtype,
        shape=view.shape,
        strides=view.strides,
        file=path,
        offset=record.offset + view.offset * itemsize,
        storage=storage.key,
    )


def _overlaps_itself(view: View) -> bool:
    """Whether two indices may reach one element: some stride steps within what lies below it."""
    reach = 0
    for stride, size in sorted(zip(view.strides, view.shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return True
            reach += (size - 1) * stride
    return False


def _refuse_form(path: Path, start: bytes) -> NoReturn:
    if start.startswith(_LEGACY):
        refuse_archive(
            "This file is in torch's old format (before 1.6), which can only be read by running it",
            path,
            expected="torch's zip format",
            hint=RESAVE,
        )
    if start[257:262] == b"ustar":
        refuse_archive(
            "This file is a tar, torch's format before 0.1.10, which can only be read by running "
            "it",
            path,
            expected="torch's zip format",
            hint="Look for the weights in a newer format upstream, or where you trust the file's "
            "origin, rewrite it: python -c \"import torch; torch.save(torch.load('FILE', "
            "weights_only=False), 'FILE.new')\"",
        )
    refuse_archive(
        "This is not a torch archive",
        path,
        expected="a zip archive as torch.save writes it",
        found=_form(start),
        hint="Check that the catalog's weights name the right file, and fetch it again.",
    )


def _form(start: bytes) -> str:
    """What a file with these first bytes is."""
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32:
        return "what looks like safetensors, whose files are called .safetensors"
    if start.startswith(b"GGUF"):
        return "a GGUF file"
    if not start or start[:1] == b"<" or start.startswith(b"version https://git-lfs"):
        return strict_json.describe(start)
    return f"a file that begins with {start[:8].hex(' ')}"
