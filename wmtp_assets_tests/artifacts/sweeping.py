"""One publishing path, struck at any of its disk operations, and what must hold after each."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import published, quick, run_checks
from wmtp_assets.artifacts.gate import evaluate, judge
from wmtp_assets.artifacts.unneeded_files import orphans
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.errors import WmtpError
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets.storage.versions import version_folders
from wmtp_assets_tests.artifacts.editions import (
    CHECKPOINT,
    SPLIT,
    leftovers,
    model_alone,
    newer,
    planted,
    seen,
    small,
)
from wmtp_assets_tests.artifacts.workbench import Workbench
from wmtp_assets_tests.storage.faults import FaultyDisk, Killed

ROWS = (
    f"{SPLIT}_raw",
    SPLIT,
    f"{SPLIT}_metadata",
    "datasets/humaneval_schema",
    "datasets/humaneval_card",
)
MODEL = (CHECKPOINT, *(f"{CHECKPOINT}_{part}" for part in ("config", "certificate", "adapter")))
FAULTS: dict[str, tuple[int | None, bool]] = {
    "killed": (None, False),
    "EIO once": (errno.EIO, False),
    "disk full for good": (errno.ENOSPC, True),
}


def roll_back(project: Project) -> None:
    """To the first edition, whichever is current."""
    project.store.rollback(SPLIT, project.store.publications(SPLIT)[-1].version)


def collect(project: Project) -> None:
    """As `wmtp gc --keep 1` does."""
    project.store.gc(keep=1, also=orphans(project))


@dataclass(frozen=True)
class Step:
    """What was made of the new edition `before`, and the change: the artifact that is made then,
    or something that is `done` to the storage."""

    before: tuple[str, ...] = ()
    artifact: str = ""
    done: Callable[[Project], None] | None = None

    @property
    def rows_only(self) -> bool:
        """Whether the model has no part in it."""
        return not self.artifact.startswith("models/")


STEPS = {
    "fetch": Step((), ROWS[0]),
    "split": Step(ROWS[:1], ROWS[1]),
    "metadata, which publishes the split": Step(ROWS[:2], ROWS[2]),
    "schema": Step(ROWS[:3], ROWS[3]),
    "card, which completes the edition": Step(ROWS[:4], ROWS[4]),
    "convert": Step((), MODEL[0]),
    "document": Step(MODEL[:1], MODEL[1]),
    "metadata, which publishes the model": Step(MODEL, f"{CHECKPOINT}_metadata"),
    "rollback": Step(ROWS, done=roll_back),
    "gc": Step(ROWS, done=collect),
}


class Sweep:
    """A step in two editions of a small catalog, with a storage to strike as often as one likes."""

    def __init__(self, step: Step, folder: Path, made: Project, new_hub: Path) -> None:
        self._step = step
        self._template, self._world = folder / "template", folder / "world"
        catalog = small(made.catalog, "optional") if step.rows_only else model_alone(made.catalog)
        planted(made, catalog, self._template)
        now = newer(catalog)
        before = Project(now, self._template, str(new_hub))
        with FaultyDisk():
            Workbench(before).make(step.before)
        if step.done is collect:
            litter(before)
        self._sealed = digest_of_tree(self._template)
        self._project = Project(now, self._world, str(new_hub))
        self._bench = Workbench(self._project)
        self._open: dict[tuple[object, ...], bool] = {}
        self._proven: set[tuple[object, ...]] = set()
        self._whole: set[tuple[object, ...]] = set()

        self._begin()
        self._old = seen(self._project)
        self._sound(self._standing())
        with FaultyDisk() as counted:
            self._change()
        self.operations = counted.log
        self._new = seen(self._project)
        self._made = self._standing()
        self._sound(self._made)

    def strike(self, at: int, fault: str) -> bool:
        """Strikes operation `at` (from 1), then looks at everything, tries again, and looks again.

        False when a kill there is none of its own: before an fsync it is the same as before what
        comes after the fsync.
        """
        code, for_good = FAULTS[fault]
        if code is None and self.operations[at - 1][0] == "fsync":
            return False
        self._begin()
        project, said = self._project, ""
        with FaultyDisk(at, code, for_good=for_good) as faulty:
            try:
                self._change()
            except Killed:
                assert code is None
            except (WmtpError, dg.Failure) as error:
                said = str(error)
        where = f"{fault} at operation {at}: {faulty.log[-3:]}"
        assert faulty.struck, where
        if code is not None and said:
            assert errno.errorcode[code] in said, where
        there = seen(project)
        assert there in (self._old, self._new), f"a mix, {where}"
        assert self._halves() == [], where
        self._the_gate_tells_the_truth(where)
        with FaultyDisk():
            if at % 2:  # gc before the second try, or after it only
                assert leftovers(project) == [], where
                assert seen(project) == there, where
            self._change()
            assert seen(project) == self._new, f"no convergence, {where}"
            assert self._standing() == self._made, where
            assert leftovers(project) == [], where
        assert self._halves() == [], where
        self._the_gate_tells_the_truth(where)
        return True

    def finish(self) -> None:
        """Makes the rest of the edition on what the last fault and its second try left, and looks
        whether the template, whose files the worlds share, is what it was."""
        names = self._project.artifacts
        rest = [name for name in names if name in ROWS or not self._step.rows_only]
        with FaultyDisk():
            self._bench.make(rest)
        assert evaluate(self._project).open
        assert digest_of_tree(self._template) == self._sealed, "a file was written in place"

    def _begin(self) -> None:
        shutil.rmtree(self._world, ignore_errors=True)
        share(self._template, self._world)

    def _change(self) -> None:
        if self._step.done is not None:
            self._step.done(self._project)
        else:
            self._bench.make([self._step.artifact])

    def _standing(self) -> tuple[object, ...]:
        """What is current of everything, what it was made of, and what is published."""
        store = self._project.store
        receipts = [store.current(name) for name in self._project.artifacts]
        publications = [store.publication(name) for name in self._project.sets]
        return (
            *((one.digest, one.entry_digest, *one.inputs.values()) for one in receipts if one),
            *(one.version for one in publications if one),
        )

    def _sound(self, standing: tuple[object, ...]) -> None:
        """Notes what the whole gate, every check of it, says of a standing that nothing struck."""
        self._open[standing] = evaluate(self._project).open

    def _the_gate_tells_the_truth(self, where: str) -> None:
        """It is open where the edition is whole and proven, and nowhere between.

        Asked are all checks of what was changed and a quick look at the rest: loading the model at
        every point would take an hour, and what it adds is proven when the sweep ends.
        """
        # What stood before with the same digests is not read again: `_halves` has compared digests
        # and bytes.
        standing, findings = self._standing(), {}
        for name, artifact in self._project.artifacts.items():
            if artifact.status == "required":
                changed = name == self._step.artifact and artifact.kind is not Kind.CHECKPOINT
                deep = changed and standing not in self._proven
                findings[name] = (run_checks if deep else quick)(self._project, artifact)
        verdict = judge(self._project, findings, published(self._project))
        assert verdict.open == self._open.get(standing, False), where
        self._proven.add(standing)

    def _halves(self) -> list[str]:
        """As `halves`, reading each file once: the worlds share those that nothing changed."""
        store = self._project.store
        for name in self._project.artifacts:
            for version in version_folders(store.versions.home(name)):
                identity = tuple(
                    (path.relative_to(version), *_identity(path.lstat()))
                    for path in sorted(version.rglob("*"))
                )
                if identity not in self._whole:
                    wrong = store.versions.mismatches(name, deep=True, version=version.name)
                    if wrong:
                        return [f"{one.file}: {one.found}" for one in wrong]
                    self._whole.add(identity)
        return []


def litter(project: Project) -> None:
    """What killed processes may have left: for `gc` to find."""
    root = project.storage
    for folder in (f"versions/{SPLIT}/.staging-0", f"published/{SPLIT}/.staging-1"):
        (root / folder / "deep").mkdir(parents=True)
        (root / folder / "deep" / "file").write_bytes(b"left")
    (root / ".tmp-00000000000b").write_bytes(b"left")
    gone = root / "upstream" / ".partial" / "models" / "org" / "gone"
    gone.mkdir(parents=True)
    for name in ("weights.bin-000000000000.bytes", "weights.bin-000000000000.journal"):
        (gone / name).write_bytes(b"left")


def share(template: Path, world: Path) -> None:
    """A copy of a storage whose files are the template's own, under a second name each.

    Nothing here writes into a file that has its name already, but for the locks, which a world
    begins without; `digest_of_tree` says whether that holds.
    """
    for folder, folders, files in os.walk(template):
        if ".locks" in folders:
            folders.remove(".locks")
        here = world / Path(folder).relative_to(template)
        here.mkdir()
        for name in (*folders, *files):
            source = Path(folder, name)
            if source.is_symlink():
                (here / name).symlink_to(source.readlink())
            elif name in files:
                (here / name).hardlink_to(source)


def digest_of_tree(root: Path) -> dict[str, str]:
    """What every file and link of a storage is, its mode with it."""
    found = {}
    for path in sorted(root.rglob("*")):
        if ".locks" in path.parts:
            continue
        mode = stat.filemode(path.lstat().st_mode)
        if path.is_symlink():
            found[str(path)] = f"{mode} {path.readlink()}"
        elif path.is_file():
            found[str(path)] = f"{mode} {sha256_file(path)}"
    return found


def _identity(found: os.stat_result) -> Iterable[int]:
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns
