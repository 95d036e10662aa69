"""The certificate of a conversion: what came out of what, tensor by tensor.

A plain record, written as JSON beside the model. Everything in it can be recomputed: the target's
digests from the target alone, the source's digests and the cast from the source
(`verification.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError

FORMAT = 2  # since tensors are digested with BLAKE3


@dataclass(frozen=True, slots=True)
class TensorCertificate:
    """One tensor. Digests are of its row-major bytes; counts and error: `CastStats`."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    digest: str
    source_name: str
    source_file: str
    source_dtype: DType
    source_digest: str
    nan: int
    inf: int
    overflow: int
    max_cast_error: float
    zeroed: int = 0


@dataclass(frozen=True, slots=True)
class DroppedCertificate:
    """An entry of the source that is not in the target, and why; `equal_to` names its twin."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    source_file: str
    reason: str
    equal_to: str | None = None
    shares_memory: bool = False


@dataclass(frozen=True)
class Certificate:
    """A conversion's record. File names are without folders, so that the record can be moved.

    `warnings` say what was odd about the source and did not matter; the JSON has them only where
    there are any. `digest_algorithm` is that of the tensors' digests; files have SHA-256.
    """

    layout: str
    dtype: DType
    digest_algorithm: Literal["blake3"]
    source_files: Mapping[str, int]
    target_file: str
    target_size: int
    target_sha256: str
    parameters: int
    tensors: tuple[TensorCertificate, ...]
    dropped: tuple[DroppedCertificate, ...]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As a JSON object; `from_json` reads it back."""
        from pydantic import TypeAdapter

        value: dict[str, object] = TypeAdapter(Certificate).dump_python(self, mode="json")
        if not self.warnings:
            del value["warnings"]
        return {"format": FORMAT, **value}

    @staticmethod
    def from_json(value: Mapping[str, object]) -> Certificate:
        """Raises CheckpointError where `value` is no certificate of this format."""
        from pydantic import TypeAdapter

        fields = dict(value)
        found = fields.pop("format", None)
        try:
            if found != FORMAT:
                raise ValueError(f"format {found!r}")
            return TypeAdapter(Certificate).validate_python(fields)
        except ValueError as error:  # pydantic's errors are of this type
            raise CheckpointError(
                "This certificate cannot be read",
                expected=f"a JSON object of format {FORMAT}",
                found=str(error)[:300],
                hint="Convert the checkpoint again.",
            ) from None
