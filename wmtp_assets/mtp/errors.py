"""What loading a model reports."""

from __future__ import annotations

from wmtp_assets.errors import WmtpError


class LoadError(WmtpError):
    """The files of a model are missing, unreadable, or not those of the network asked for."""
