"""Work done by an account that is not root: root may read everything, and would see no refusal."""

from __future__ import annotations

import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
NOBODY = 65534


def hand_over(folder: Path) -> None:
    """Makes all of `folder` the property of the account that `unprivileged` works as, and lets it
    search the folders above."""
    if os.geteuid() != 0:
        return
    for above in folder.resolve().parents:
        if above.stat().st_uid == 0 and not above.stat().st_mode & 0o001 and above != Path("/"):
            above.chmod(above.stat().st_mode | 0o011)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def unprivileged(work: Callable[[], T]) -> T:
    """What `work` returns, of which a copy is made; root does it in a child, as nobody.

    What the work imports has to be imported before: nobody may be unable to read it.
    """
    if os.geteuid() != 0:
        return work()
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(here)
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            answer = pickle.dumps((work(), ""))
        except BaseException:
            answer = pickle.dumps((None, traceback.format_exc()))
        with os.fdopen(there, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as pipe:
        result, wrong = pickle.loads(pipe.read())  # noqa: S301  (of a child of this process)
    os.waitpid(pid, 0)
    assert not wrong, wrong
    return result  # type: ignore[no-any-return]
