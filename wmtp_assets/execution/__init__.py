"""Runs Python programs of unknown authors, confined, and judges them by their tests.

`judge.Judge` hands tasks (`tasks`) to workers, processes of this package (`worker`), which reach
verdicts (`judging`, `comparison`); `cache` keeps them. Each worker has fork servers, bare
interpreters that have imported the standard library (`fork_server`) and fork one child per test,
which confines itself and only then becomes the program (`harness`). Foreign code runs in those
children alone. They have no expected output; and tests that call a solution's functions run in a
child of their own, to which the solution's child answers with plain data (`plain_data`).

`confinement.py` is the sandbox: what a program can do once it has been confined, and what this
machine offers for that; the modules that it combines are `landlock.py` (files), `seccomp.py` and
`syscalls.py` (system calls), `namespaces.py` (a view of its own), `privileges.py` (whose rights it
has), `limits.py` (how much of anything) and `library.py` (what it may read). docs/sandbox.md says
what each of them stops, and what none of them promises.
"""
