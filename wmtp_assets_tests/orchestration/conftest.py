"""The loopback Hub of `wmtp_assets_tests/hub/`, for what happens when upstream moves."""

from wmtp_assets_tests.hub.conftest import loopback, running

__all__ = ["loopback", "running"]
