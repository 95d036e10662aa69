"""Scripts that are servers of confined programs, as a judge starts them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from wmtp_assets.execution import kernel

ROOT = Path(kernel.__file__).parents[2]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "OPENBLAS_NUM_THREADS": "1"}

_BEFORE = """
import json, os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from wmtp_assets.execution import confinement, landlock, library, limits, seccomp
from wmtp_assets.execution.confinement import Means, available, confine, isolate
from wmtp_assets.execution.limits import Limits
scratch = Path({scratch!r})
given = json.loads({given!r})

def child(do, means, bounds=Limits(), **more):
    own = scratch / os.urandom(4).hex()
    own.mkdir()
    pid = os.fork()
    if not pid:
        try:
            confine(own, bounds, means, **more)
            do()
            sys.stdout.flush()
            os._exit(0)
        except BaseException as error:
            os.write(1, f"{{type(error).__name__}}: {{error}}\\n".encode())
        finally:
            os._exit(1)
    return pid
"""


def command(script: str, scratch: Path, **given: Any) -> list[str]:
    """A server's command line; the script finds `scratch`, `given`, and the package's names."""
    before = _BEFORE.format(root=str(ROOT), scratch=str(scratch), given=json.dumps(given))
    return [sys.executable, "-P", "-S", "-s", "-B", "-c", before + textwrap.dedent(script)]


def serve(script: str, scratch: Path, **given: Any) -> str:
    """What a server and its programs print until it ends, errors included."""
    done = subprocess.run(
        command(script, scratch, **given),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=ENVIRONMENT,
        cwd="/",
        timeout=600,
        check=False,
    )
    return done.stdout
