"""Runs Python programs of unknown authors, confined, and says how each of them ended.

`confinement.py` is the sandbox: what a program can do once it has been confined, and what this
machine offers for that; the modules that it combines are `landlock.py` (files), `seccomp.py` and
`syscalls.py` (system calls), `namespaces.py` (a view of its own), `privileges.py` (whose rights it
has), `limits.py` (how much of anything) and `library.py` (what it may read). docs/sandbox.md says
what each of them stops, and what none of them promises.
"""
