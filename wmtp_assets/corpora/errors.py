"""The error of this package."""

from __future__ import annotations

from wmtp_assets.errors import WmtpError


class CorpusError(WmtpError):
    """A shard, a corpus or a request for rows is not what it should be."""
