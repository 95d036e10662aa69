"""More time for Ray's processes, which wait for each other, than Ray gives them: a busy machine may
let one of them wait for longer than that."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 240
VARIABLES = {
    "RAY_gcs_server_port_wait_time_s": f"{SECONDS}",
    "RAY_agent_register_timeout_ms": f"{SECONDS}000",
    "RAY_worker_register_timeout_seconds": f"{SECONDS}",
    "RAY_health_check_failure_threshold": f"{SECONDS // 3}",  # of what is asked every three seconds
}


def patient(get_node: Callable[..., Any]) -> Callable[..., Any]:
    """`ray._private.services.get_node`, which waits for the node that begins; else whoever starts
    one gives up after half a minute."""

    def asked(*given: Any) -> Any:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return get_node(*given)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    return asked


def write_ray(folder: Path) -> None:
    """Writes Ray's command, with this patience, into a new folder for PATH."""
    folder.mkdir()
    command = shlex.join([sys.executable, "-P", __file__])
    (folder / "ray").write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    (folder / "ray").chmod(0o755)


if __name__ == "__main__":
    from ray._private import services
    from ray.scripts.scripts import main

    services.get_node = patient(services.get_node)
    sys.exit(main())
