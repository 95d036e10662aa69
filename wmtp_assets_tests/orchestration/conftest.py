"""The loopback Hub of `wmtp_assets_tests/hub/`, for what happens when upstream moves, and the small
editions of `wmtp_assets_tests/artifacts/`."""

from wmtp_assets_tests.artifacts.conftest import new_hub
from wmtp_assets_tests.hub.conftest import loopback, running

__all__ = ["loopback", "new_hub", "running"]
