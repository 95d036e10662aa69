"""How tests break what is stored: as a wrong maker would, with a receipt that fits, or as a disk.

`recommit` makes a changed artifact the current version, so that only the question about its
meaning can tell; `flip` changes one byte below a receipt that no longer fits.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.facts import ENDS, ends_as_facts
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.types import Handle
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.ranges import largest_names, value_range
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.scan import scan_file
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding
from wmtp_assets.storage.digests import sha256_file, write_sha256sums
from wmtp_assets.storage.receipts import Receipt

Change = Callable[[Path], None]
WEIGHTS = "model.safetensors"


def unmake(storage: Path, artifact: Artifact) -> None:
    """Removes an artifact that is published alone, as if it had never been made."""
    for folder in ("versions", "published"):
        shutil.rmtree(storage / folder / artifact.name, ignore_errors=True)
    for link in artifact.links:
        (storage / link).unlink(missing_ok=True)


@dataclass(frozen=True)
class Case:
    """A change of one artifact, and exactly the checks that must fail.

    `says` is what the first of them must name, in what it found or where.
    """

    artifact: str
    change: Change
    wrong: tuple[str, ...]
    says: str


def recommit(
    project: Project,
    name: str,
    change: Change,
    inputs: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    code_version: str | None = None,
) -> None:
    """Makes a version of `name` whose folder `change` was at, from the same inputs as before.

    The receipt states `inputs`, `facts` and `code_version` where they are given, else those that it
    stated before, and the facts that the changed files give.
    """
    receipt, given = project.store.current(name), facts
    assert receipt is not None
    with project.store.stage(name) as staging:
        for file in receipt.files:
            (staging.path / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project.store.path(name) / file, staging.path / file)
        change(staging.path)
        if facts is None:
            facts = _facts(project, name, staging.path, receipt)
        made = staging.commit(
            inputs=receipt.inputs if inputs is None else inputs,
            code_version=receipt.code_version if code_version is None else code_version,
            entry_digest=receipt.entry_digest,
            facts=facts,
            seconds=0.0,
        )
    stated = (inputs, given, code_version)
    changed = made.digest != receipt.digest or stated != (None, None, None)
    assert changed, "the change changed nothing"


def _facts(project: Project, name: str, folder: Path, receipt: Receipt) -> Mapping[str, Any]:
    """What a maker of these files would state of them; of files that cannot be read, as before."""
    artifact = project.artifacts[name]
    try:
        found = kind_of(artifact).facts(project, artifact, Handle(folder, receipt))
        if ENDS not in receipt.facts:
            return found
        header = read_header(folder / "model.safetensors")
        ends = {one: value_range(header, one) for one in largest_names(header)}
        return {**found, **ends_as_facts({one: both for one, both in ends.items() if both})}
    except (WmtpError, ValueError, KeyError, TypeError):
        return receipt.facts


def flip(path: Path, at: int | None = None) -> None:
    """Flips one bit of one byte of a file: by default of the one in its middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


def answers(project: Project, name: str) -> dict[str, Finding]:
    """The findings on one artifact, by check."""
    return {finding.name: finding for finding in run_checks(project, project.artifacts[name])}


def failed(project: Project, name: str) -> set[str]:
    """The questions that came out wrong."""
    return {question for question, finding in answers(project, name).items() if not finding.passed}


# Documents.


def document(file: str, change: Callable[[dict[str, Any]], object]) -> Change:
    """A change of one JSON document."""

    def at(folder: Path) -> None:
        value = json.loads((folder / file).read_text(encoding="utf-8"))
        change(value)
        end = "\n" if file.endswith("_stats.json") else ""  # as they are written
        (folder / file).write_text(f"{json.dumps(value, indent=2)}{end}", encoding="utf-8")

    return at


# Checkpoints.

Header = dict[str, dict[str, Any]]


def split_checkpoint(path: Path) -> tuple[Header, bytearray]:
    """A safetensors file's header, as JSON, and its data."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), bytearray(raw[8 + length :])


def join_checkpoint(path: Path, header: Header, data: bytes) -> None:
    """Writes a file, its header in the form and order in which a conversion writes it."""
    ordered = dict(sorted(header.items(), key=lambda entry: entry[1].get("data_offsets", [-1])))
    text = json.dumps(ordered, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def checkpoint(change: Callable[[Header, bytearray], object]) -> Change:
    """A change of header or data; SHA256SUMS and certificate are made to fit what came out.

    The certificate keeps saying what it says of tensors that are no longer there.
    """

    def at(folder: Path) -> None:
        header, data = split_checkpoint(folder / WEIGHTS)
        change(header, data)
        join_checkpoint(folder / WEIGHTS, header, bytes(data))
        settle_checkpoint(folder)

    return at


def settle_checkpoint(folder: Path) -> None:
    """Writes SHA256SUMS and the certificate's digests anew, from the file."""
    header = read_header(folder / WEIGHTS)
    scan = scan_file(header)
    path = folder / "certificate.json"
    certificate = Certificate.from_json(json.loads(path.read_bytes()))
    tensors = tuple(
        replace(
            tensor,
            digest=scan.tensors[tensor.name],
            dtype=header.tensors[tensor.name].dtype,
            shape=header.tensors[tensor.name].shape,
        )
        if tensor.name in header.tensors
        else tensor
        for tensor in certificate.tensors
    )
    fitting = replace(certificate, tensors=tensors, target_sha256=scan.sha256)
    path.write_text(json.dumps(fitting.to_json(), indent=2), encoding="utf-8")
    write_sha256sums(folder / "SHA256SUMS", {WEIGHTS: scan.sha256})


def values(name: str, fill: Callable[[np.ndarray[Any, Any]], object]) -> Change:
    """A change of one float16 tensor's values (flat), in place."""

    def change(header: Header, data: bytearray) -> None:
        begin, end = header[name]["data_offsets"]
        fill(np.frombuffer(data, np.float16, (end - begin) // 2, begin))

    return checkpoint(change)


def without(name: str) -> Callable[[Header, bytearray], None]:
    """Takes a tensor out of a checkpoint, and moves the ones behind it up."""

    def change(header: Header, data: bytearray) -> None:
        begin, end = header.pop(name)["data_offsets"]
        del data[begin:end]
        for key, info in header.items():
            if key != "__metadata__" and info["data_offsets"][0] >= end:
                info["data_offsets"] = [place - (end - begin) for place in info["data_offsets"]]

    return change


# Splits.


def rows(change: Callable[[list[bytes]], object], settle: bool = True) -> Change:
    """A change of the JSONL's lines.

    With `settle` the row index's places and digests, and the statistics' digest, are made to fit;
    its classes, difficulties and counts stay what they were.
    """

    def at(folder: Path) -> None:
        (path,) = folder.glob("*.jsonl")
        lines = path.read_bytes().splitlines(keepends=True)
        change(lines)
        path.write_bytes(b"".join(lines))
        if settle:
            settle_split(folder, lines)

    return at


def record(line: int, change: Callable[[dict[str, Any]], object]) -> Callable[[list[bytes]], None]:
    """A change of one record."""

    def at(lines: list[bytes]) -> None:
        value = json.loads(lines[line])
        change(value)
        lines[line] = json.dumps(value).encode() + b"\n"

    return at


def index(change: Callable[[dict[str, list[Any]]], object]) -> Change:
    """A change of the row index's columns."""

    def at(folder: Path) -> None:
        (path,) = folder.glob("*.index.parquet")
        _rewrite_index(path, change, lambda facts: None)
        _settle_stats(folder)

    return at


def settle_split(folder: Path, lines: list[bytes]) -> None:
    (jsonl,) = folder.glob("*.jsonl")
    facts = {"sha256": sha256_file(jsonl), "bytes": jsonl.stat().st_size}
    (path,) = folder.glob("*.index.parquet")

    def places(columns: dict[str, list[Any]]) -> None:
        columns["length"] = [len(line) for line in lines]
        columns["offset"] = [sum(map(len, lines[:row])) for row in range(len(lines))]

    def said(found: dict[str, Any]) -> None:
        found["jsonl"] = facts

    _rewrite_index(path, places, said)
    _settle_stats(folder, jsonl=facts)


def _settle_stats(folder: Path, **facts: object) -> None:
    """Make the statistics name the row index that is there now."""
    (path,), (stats,) = folder.glob("*.index.parquet"), folder.glob("*_stats.json")
    facts["index"] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    document(stats.name, lambda value: value.update(facts))(folder)


def _rewrite_index(
    path: Path,
    change: Callable[[dict[str, list[Any]]], object],
    say: Callable[[dict[str, Any]], object],
) -> None:
    file = pq.ParquetFile(path)
    table, facts = file.read(), json.loads(file.metadata.metadata[b"wmtp"])
    columns = table.to_pydict()
    change(columns)
    say(facts)
    made = pa.table(columns, schema=table.schema.remove_metadata())
    pq.write_table(made.replace_schema_metadata({b"wmtp": json.dumps(facts, sort_keys=True)}), path)
