"""Recurses through C code, without the interpreter's limit, until the stack overflows.

Stopped by: limits (stack, address space)
Says: SIGSEGV|MemoryError|RecursionError|SystemError|time:
Verdict: memory or failed: ended by SIGSEGV or failed: RecursionError or failed: SystemError or time
"""

import sys

sys.setrecursionlimit(1 << 30)


class Deep:
    def __getattr__(self, name):
        return getattr(self, name + "x")


Deep().x  # noqa: B018
