"""The Hub on loopback: uvicorn in a thread, around the application of `hub_app.py`.

`python -m wmtp_assets_tests.hub.loopback DIR` serves a directory hub for a benchmark.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send

from wmtp_assets_tests.hub.hub_app import HubApp
from wmtp_assets_tests.hub.world import World


class LoopbackHub:
    """A running loopback Hub: `endpoint` for HF_ENDPOINT, `storage` the other origin.

    `world` may be replaced; a request stays in the one in which it began.
    """

    def __init__(self, world: World, endpoint: str, storage: str) -> None:
        self.world = world
        self.endpoint = endpoint
        self.storage = storage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await HubApp(self.world, self.storage)(scope, receive, send)


@contextmanager
def serving(world: World) -> Iterator[LoopbackHub]:
    """The loopback Hub and its storage host, each on a port of its own, for a block."""
    sockets = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2)]
    ports = [s.getsockname()[1] for s in sockets]
    endpoint, storage = f"http://127.0.0.1:{ports[0]}", f"http://localhost:{ports[1]}"
    hub = LoopbackHub(world, endpoint, storage)
    config = uvicorn.Config(
        hub,
        log_level="critical",
        lifespan="off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=3600,  # else it may close a connection just when a client takes it up
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(10)


def main() -> None:
    """Serve every file under DIR (a directory hub) until killed; prints the endpoint as JSON."""
    root, world = Path(sys.argv[1]), World()
    world.chunk = 1 << 20
    for folder in sorted(root.glob("*s/*/*")):
        kind, org, name = folder.relative_to(root).parts
        files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        world.commit(kind.removesuffix("s"), f"{org}/{name}", files)
    with serving(world) as hub:
        print(json.dumps({"endpoint": hub.endpoint, "storage": hub.storage}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
