"""A port that is reserved: for the server that it is meant for, and for no other."""

from __future__ import annotations

import socket
import sys

import pytest

from wmtp_assets_tests.ports import reserved_port


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a port be held for a server")
def test_a_reserved_port_is_for_servers_that_are_told_of_it() -> None:
    with reserved_port() as port:
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0, "nothing listens"
        for _ in range(2):
            with (
                socket.create_server(("127.0.0.1", port)) as server,
                socket.create_connection(("127.0.0.1", port)),
            ):
                server.accept()[0].close()
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
