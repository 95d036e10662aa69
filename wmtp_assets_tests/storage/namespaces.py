"""A disk of one's own, small or read-only, without being root: a tmpfs in a mount namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
REFUSED = 77


def in_a_mount_namespace(
    script: str, root: Path, options: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Runs Python's `script` with a tmpfs mounted at `root` by `options`; its arguments are `root`
    and the further ones. Fails where the script does; skips where the kernel allows no mount."""
    shell = f'mount -t tmpfs -o "$2" tmpfs "$1" || exit {REFUSED}; root="$1"; python="$3"; '
    shell += 'script="$4"; shift 4; exec "$python" -c "$script" "$root" "$@"'
    command = [
        *("unshare", "--map-root-user", "--mount", "sh", "-c", shell, "sh"),
        *(str(root), options, sys.executable, script, *arguments),
    ]
    try:
        run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare on this machine")
    if run.returncode == REFUSED or run.stderr.startswith("unshare: "):
        pytest.skip(f"mount namespaces are not allowed here: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    return run
