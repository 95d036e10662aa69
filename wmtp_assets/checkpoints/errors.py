"""What can be wrong with a checkpoint; each is one clear refusal (see `wmtp_assets.errors`)."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from wmtp_assets.errors import WmtpError

RESAVE = (
    "Where you trust its origin, rewrite it: "
    "python -c \"import torch; torch.save(torch.load('FILE', weights_only=True), 'FILE.new')\""
)
"""What to do about an archive that torch's careful reader reads, and this package does not."""


_AGAIN = (
    "Check that the catalog's weights name the right file, and fetch it again. If upstream's is "
    "like this, it cannot be read here: name another file, or tell its authors."
)


class CheckpointError(WmtpError):
    """Something about a checkpoint's files is not as it must be."""


class ArchiveError(CheckpointError):
    """A torch archive is malformed, hostile, or of a form that is not read."""


class SafetensorsError(CheckpointError):
    """A safetensors file's header does not describe its bytes exactly."""


class IndexJsonError(CheckpointError):
    """A sharded set and its index.json do not agree."""


class LayoutError(CheckpointError):
    """A checkpoint's tensors are not those that its layout and config demand."""


class ConversionError(CheckpointError):
    """A conversion would lose or change what must not be lost or changed."""


def refuse_archive(
    problem: str,
    path: Path,
    expected: object = None,
    found: object = None,
    hint: str | None = None,
) -> NoReturn:
    """Raise the ArchiveError that says so; without a `hint`, what helps with any damaged file."""
    raise ArchiveError(problem, expected=expected, found=found, where=path, hint=hint or _AGAIN)
