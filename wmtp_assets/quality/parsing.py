"""Whether a program's text is Python 3, by `ast.parse` in a process that may be lost.

A text that a parser has no stack, memory or time for counts as none that parses.
"""

from __future__ import annotations

import json
import sys
from typing import Final, Self

from wmtp_assets.quality.child import Child

_SECONDS: Final = 10.0  # of the processor; a megabyte takes one
_PROGRAM: Final = """
import ast, json, resource, signal, sys, warnings
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
warnings.simplefilter("ignore")
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
signal.signal(signal.SIGPROF, signal.SIG_DFL)
for line in sys.stdin.buffer:
    signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1]))
    try:
        ast.parse(json.loads(line))
        answer = b"yes"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        answer = b"no"
    signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.buffer.write(answer + b"\\n")
    sys.stdout.buffer.flush()
"""


class Parser:
    """Says of texts whether they parse. A context manager, as it has a child."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        """`seconds` of the processor are what one text may take."""
        self.child = Child([sys.executable, "-I", "-S", "-c", _PROGRAM], {}, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.child.end()

    def parses(self, text: str) -> bool:
        """Whether `text` is a program of this interpreter's Python."""
        question = json.dumps(text).encode()
        for _ in range(2):  # a child that dies of it twice did not die of something else
            try:
                return self.child.ask(question) == b"yes"
            except EOFError:
                continue
            except TimeoutError:
                break
        return False
