"""What is said before the page's processes are started."""

from __future__ import annotations

import socket

import pytest

from wmtp_assets.web.processes import PageError, check_port


def test_a_taken_port_is_named_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PageError) as refused:
            check_port("127.0.0.1", port)
    said = str(refused.value)
    assert f"127.0.0.1:{port}" in said
    assert "Address already in use" in said
    assert f"wmtp ui --port {port + 1}" in said


def test_a_free_port_is_no_problem_and_stays_free() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
    check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)
