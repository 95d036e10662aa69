"""The process that parses upstream's programs: a line of JSON in, a line of JSON out.

    python -m wmtp_assets.quality.leaks.parser SECONDS

A request is a text; the answer what `trees.read_program` makes of it, or null. SECONDS of the
processor are what one may take: SIGPROF ends the process then.
"""

from __future__ import annotations

import json
import resource
import signal
import sys

from wmtp_assets.quality.leaks.trees import read_program

_MEMORY = 1 << 30


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1]))
        try:
            program = read_program(json.loads(line))
        except (RecursionError, MemoryError):
            program = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        answer = json.dumps(None if program is None else program.document())
        sys.stdout.buffer.write(answer.encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
