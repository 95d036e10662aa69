"""Every benchmark of what is found out about rows, one after the other.

    python -m benchmarks.quality          # from the repository's root

Each is a process of its own, with the environment as it is (SCALE, ROUNDS, BENCH_DIR, TESTS). The
exit status is 1 when one of them misses a bar; the others are run all the same.
"""

from __future__ import annotations

import json
import subprocess
import sys

PARTS = ("benchmarks.execution", "benchmarks.quality.leaks", "benchmarks.quality.duplicates")


def main() -> int:
    """Runs the parts; what they print is printed."""
    failed = []
    for part in PARTS:
        print(json.dumps({"part": part}), flush=True)
        if subprocess.run([sys.executable, "-m", part]).returncode:
            failed.append(part)
    if failed:
        print(
            f"a bar was missed, or it could not be measured: {', '.join(failed)}", file=sys.stderr
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
