"""A whole run, struck at every disk operation of it, and the plain rerun that has to heal it.

One process makes the run. Each time it is about to make or publish something (a *boundary*) it
forks, and the child's world is a copy, in which the child is struck. So a point costs the work of
one boundary and not a run, and no import.

What came of a point is followed only where it is new:

- A killed process leaves what is on the disk. Kills that leave the same disk are one case, and one
  rerun. So one child does the boundary's work without a fault and keeps a copy of the disk before
  each operation, and amid each write.
- After an error the run goes on. Errors after which a boundary ends in the same way and leaves the
  same disk are one case, since what follows depends on nothing else: the first of them runs to its
  end, and what it leaves is healed if no run left the same before.

"The same disk" means equal bytes under equal names, but for times and random names, and but for
what lies in `.staging-*`, `.trash-*` and `.tmp-*`, which nothing reads: it is removed as a whole
(`storage/test_crash_sweep.py` removes it at each stage). `.locks` holds notes only.

The code tells ENOSPC, EDQUOT and EIO apart in the hint alone (a test of the sources says so), so
that one that passes and one that stays are enough.

Reads are struck once for each place in this package that reads in a boundary (function, kind of
artifact, suffix of the file): a read that fails leaves the disk alone, and what handles the error
is the same code for each further file.
"""

from __future__ import annotations

import errno
import gc
import hashlib
import io
import json
import os
import pickle
import random
import re
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.errors import WmtpError
from wmtp_assets.orchestration import run as runs
from wmtp_assets.orchestration.assets import artifacts as assets
from wmtp_assets.orchestration.assets import readiness
from wmtp_assets.orchestration.checks import artifacts as checks
from wmtp_assets.orchestration.io_manager import ArtifactIOManager
from wmtp_assets.orchestration.run import run
from wmtp_assets.storage import disk
from wmtp_assets_tests.artifacts.editions import halves, leftovers, seen
from wmtp_assets_tests.storage.faults import FaultyDisk

ERRORS: dict[str, tuple[int, bool]] = {
    "EIO once": (errno.EIO, False),
    "disk full for good": (errno.ENOSPC, True),
}
RECORDS = {"receipt.json", "publication.json", "assets.lock"}
UNREAD = re.compile(r"(\.staging-|\.trash-|\.tmp-)[0-9a-f]{12}")
TIMES = re.compile(rb'"(made_at|seconds|seal|fetched_at|sequence)": ("[^"]*"|[0-9.e-]+)')


# The run did not come to the operation (threads take turns), or its history of runs failed, which
# is a database in memory here.
OF_THE_TEST = re.compile(r"^not reached$|sqlite3\.")


@dataclass(frozen=True)
class Point:
    """Where a run is struck: at which boundary, at which operation (from 1) of it, and how."""

    boundary: str
    fault: str
    at: int | str
    operation: str

    def __str__(self) -> str:
        return f"{self.boundary}: {self.fault} at {self.at}: {self.operation}"


@dataclass
class Outcome:
    """What came of the points: how many there were, how many cases were told apart, how many
    reruns healed one, and what went wrong.

    `left_out` counts the points of loops that were not drawn. `untried` are those that failed for
    a reason of the test's own (`OF_THE_TEST`), though tried twice where that can be.
    """

    points: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    followed: int = 0
    healed: int = 0
    failures: list[str] = field(default_factory=list)
    boundaries: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)
    left_out: int = 0

    def count(self, fault: str) -> None:
        """One more point of this fault."""
        self.points[fault] = self.points.get(fault, 0) + 1

    @property
    def summary(self) -> str:
        """The figures, in a line."""
        return (
            f"{sum(self.points.values())} points in {len(self.boundaries)} boundaries of a run of "
            f"{self.operations} operations ({self.points}); {self.followed} cases followed, "
            f"{self.healed} reruns healed one, {len(self.failures)} failures; {self.left_out} "
            f"points left out of loops of equal operations, {len(self.untried)} points that the "
            f"test itself could not try: {self.untried}"
        )


class StruckRun:
    """One run of `selection`, over and over from the world that `prepare` left.

    `wanted` chooses the points; `about` the boundaries, by name. With `of_loop`, no more than that
    many points are taken of operations that are equal but for numbers: the first, the last, and
    others that `chance` draws.
    """

    def __init__(
        self,
        project: Project,
        selection: str | None,
        folder: Path,
        *,
        wanted: Callable[[Point], bool] = lambda point: True,
        about: Callable[[str], bool] = lambda boundary: True,
        of_loop: int | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._of_loop, self._chance = of_loop, chance or random.Random()
        self._project, self._selection = project, selection
        self._world, self._folder = project.storage, folder
        self._wanted, self._about = wanted, about
        self._roots = (str(project.storage), str(project.store.root), str(project.hub_spec))
        self._reads: set[tuple[str, ...]] = set()
        self._patch = pytest.MonkeyPatch()
        self._digests: dict[tuple[int, ...], str] = {}
        self._ended: dict[tuple[str, ...], str] = {}
        self._healed: set[str] = set()
        self._child: _Child | None = None
        self.outcome = Outcome()

    def sweep(self) -> Outcome:
        """Makes the run once to know what it gives, then once more, struck everywhere."""
        torch.set_num_threads(1)  # before any fork
        gc.collect()
        gc.freeze()  # else collecting in a child copies every page
        start = self._folder / "start"
        self._broken = set(halves(self._project))  # the run that is struck is to repair it
        shutil.copytree(
            self._world, start, symlinks=True
        ) if self._world.exists() else start.mkdir()
        try:
            with _without_history(self._patch):
                with FaultyDisk() as counted:
                    made = run(self._project, self._selection, force=False)
                assert made.succeeded, made.failures
                self._expected = seen(self._project)
                clean = self.names(self._world)
                self._healer = _Healer(self._heal)
                try:
                    shutil.rmtree(self._world)
                    start.rename(self._world)
                    self._watch()
                    again = run(self._project, self._selection, force=False)
                    if self._child is not None:
                        self._child.end(self.state(self._world))
                finally:
                    if self._child is not None:  # whatever happened: a child goes no further
                        self._child.end(self.state(self._world))
                    self._healer.end()
                assert again.succeeded, again.failures
                assert self.names(self._world) == clean, "the run itself was disturbed"
        finally:
            self._patch.undo()
            gc.unfreeze()
        self.outcome.operations = counted.count
        return self.outcome

    # Boundaries.

    def _watch(self) -> None:
        """Asks before each call that makes or publishes something."""
        making, storing = assets.make_artifact, ArtifactIOManager.handle_output
        publishing, judging = runs._publish, readiness.verdict_of_run

        def make(project: Any, artifact: Any, *rest: Any, **named: Any) -> Any:
            where = f"make {artifact.name}"
            return self._at(where, artifact.kind, lambda: making(project, artifact, *rest, **named))

        def store(manager: Any, context: Any, obj: Any) -> None:
            name = obj.receipt.artifact
            kind = self._project.artifacts[name].kind
            self._at(f"store {name}", kind, lambda: storing(manager, context, obj))

        def publish(project: Any, sets: Any) -> Any:
            return self._at("publish", "publish", lambda: publishing(project, sets))

        def judge(*given: Any) -> Any:
            return self._at("report", "report", lambda: judging(*given))

        self._patch.setattr(assets, "make_artifact", make)
        self._patch.setattr(ArtifactIOManager, "handle_output", store)
        self._patch.setattr(runs, "_publish", publish)
        self._patch.setattr(readiness, "verdict_of_run", judge)

    def _at(self, boundary: str, kind: str, work: Callable[[], Any]) -> Any:
        if self._child is None and self._about(boundary):
            log, reads = self._kill_everywhere(boundary, work)
            points = [
                Point(boundary, fault, at, operation)
                for fault in ERRORS
                for at, operation in enumerate(log, 1)
            ]
            for site in reads:
                if (str(kind), *site) not in self._reads:
                    points.append(Point(boundary, "EIO of a read", "/".join(site), "read"))
                    if self._wanted(points[-1]):
                        self._reads.add((str(kind), *site))
            if log:
                self.outcome.boundaries.append(boundary)
            for point in self._drawn(list(filter(self._wanted, points))):
                self.outcome.count(point.fault)
                for is_last in (False, True):
                    wrong = self._fail_at(point)
                    if wrong is None:
                        return self._struck(point, work)  # this is the child
                    if not OF_THE_TEST.search(wrong):
                        break
                    if is_last:
                        self.outcome.untried.append(f"{point}: {wrong[-200:]}")
        return work()

    def _drawn(self, points: list[Point]) -> list[Point]:
        """The points, without some of those of loops."""
        if self._of_loop is None:
            return points
        loops: dict[tuple[str, str], list[Point]] = {}
        for point in points:
            if point.operation != "read":  # of those there is one for each place
                equal = re.sub(r"\d+", "#", point.operation)
                loops.setdefault((point.fault, equal), []).append(point)
        left: set[Point] = set()
        for loop in loops.values():
            amid = loop[1:-1]
            kept = self._chance.sample(amid, min(len(amid), self._of_loop - 2))
            left.update(set(amid) - set(kept))
        self.outcome.left_out += len(left)
        return [point for point in points if point not in left]

    # Kills.

    def _kill_everywhere(
        self, boundary: str, work: Callable[[], Any]
    ) -> tuple[list[str], list[tuple[str, ...]]]:
        """Heals what a kill at each operation of a boundary leaves; the operations, and the places
        that read."""
        kept = self._folder / "kept"
        with self._copied_world():
            sure = _forked(lambda: self._record(boundary, work, kept))
        log, reads, cases = sure
        for point, state, copy in cases:
            self.outcome.count("killed")
            if state in self._healed:
                continue
            self._healed.add(state)
            self.outcome.followed += 1
            with self._copied_world(kept / copy):
                healed = self._healer.heal()
            if OF_THE_TEST.search(healed):
                self.outcome.untried.append(f"{point}: {healed[-200:]}")
            else:
                self._report(point, healed)
        shutil.rmtree(kept, ignore_errors=True)
        return log, reads

    def _record(self, boundary: str, work: Callable[[], Any], kept: Path) -> Any:
        cases: list[tuple[Point, str, str]] = []
        known = set(self._healed)
        kept.mkdir()

        def before(number: int, name: str, named: Any) -> None:
            # Before an fsync a process that dies leaves what it leaves after what came before.
            point = Point(boundary, "killed", number, f"{name} {named}")
            if name == "fsync" or not self._wanted(point):
                return
            with sites.not_ours():
                state = self.state(self._world)
                cases.append((point, state, str(len(cases))))
                if state not in known:
                    known.add(state)
                    _copy(self._world, kept / cases[-1][2])

        with _Sites(self._roots) as sites, _Recorded(before) as recorded:
            work()
        return recorded.log, sites.found, cases

    # Errors.

    def _fail_at(self, point: Point) -> str | None:
        """Forks a child that goes on with the run and fails at `point`. None in the child; what
        went wrong, if anything, which is noted unless it is of the test's own making."""
        saved = self._swap_in()
        here, there = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(here)
            self._child = _Child(there)
            return None
        os.close(there)
        with os.fdopen(here, "rb") as pipe:
            text = pipe.read()
        os.waitpid(pid, 0)
        wrong: str
        try:
            answer = pickle.loads(text) if text else (None, None, "the process died")  # noqa: S301
            ended, state, wrong = answer
            if state is not None and state not in self._healed and not OF_THE_TEST.search(wrong):
                healed = self._healer.heal()
                if OF_THE_TEST.search(healed):
                    return healed
                self._healed.add(state)
                self._report(point, healed)
            if OF_THE_TEST.search(wrong):
                return wrong
            if wrong:
                self.outcome.failures.append(f"{point}: {wrong}")
            if ended is not None:
                self._ended[ended] = str(point)
                self.outcome.followed += 1
            return wrong
        finally:
            self._swap_out(saved)

    def _struck(self, point: Point, work: Callable[[], Any]) -> Any:
        """In the child: the boundary's work with the fault; goes on where that ends as no point's
        did before."""
        assert self._child is not None
        if point.fault == "EIO of a read":
            fault: Any = _Sites(self._roots, tuple(str(point.at).split("/")))
            code, for_good = errno.EIO, False
        else:
            code, for_good = ERRORS[point.fault]
            assert isinstance(point.at, int)
            fault = FaultyDisk(point.at, code, for_good=for_good)
        fault.__enter__()  # until the child ends
        result, error = None, None
        try:
            result = work()
        except Exception as raised:
            error = raised
            if not isinstance(raised, (WmtpError, dg.Failure)):
                where = "".join(traceback.format_exception(raised))
                self._child.end(None, wrong=f"not an error of this package: {where}")
            if errno.errorcode[code] not in str(raised) and point.fault != "EIO of a read":
                self._child.end(None, wrong=f"the errno is not named: {raised}")
        if not fault.struck:
            self._child.end(None, wrong="not reached")
        way = (
            point.boundary,
            f"{code}" if for_good else "",
            type(error).__name__,
            self.state(self._world),
        )
        if way in self._ended:
            self._child.end(None)
        self._child.ended = way
        if error is not None:
            raise error
        return result

    # Healing.

    def _report(self, point: Point, wrong: str) -> None:
        self.outcome.healed += not wrong
        if wrong:
            self.outcome.failures.append(f"{point}: {wrong}")

    def _heal(self) -> str:
        """One plain rerun; what is not as it should be after it, if anything."""
        project = self._project
        if broken := set(halves(project)) - self._broken:
            return f"half a version: {broken}"
        again = run(project, self._selection, force=False)
        if not again.succeeded:
            return f"the rerun failed: {again.failures}"
        report = json.loads(project.report.read_bytes())
        if not report["open"]:
            return f"the gate is closed: {[c for c in report['conditions'] if not c['met']]}"
        there = seen(project)
        if there != self._expected:
            differ = [p for p in self._expected if there.get(p) != self._expected[p]]
            return f"other bytes at {differ or there.keys() - self._expected.keys()}"
        if wrong := [w.name for w in project.sets.values() if self._is_not_published(w)]:
            return f"not published: {wrong}"
        if left := [*leftovers(project), *halves(project)]:
            return f"left behind: {left}"
        made = [name for name in project.artifacts if project.store.current(name) is not None]
        if stale := stale_artifacts(project, made):
            return f"still stale: {stale}"
        return ""

    def _is_not_published(self, wanted: Any) -> bool:
        present = all(path in self._expected for path in wanted.links if "." in path)
        return present and bool(self._project.store.unpublished(wanted))

    # Worlds.

    @contextmanager
    def _copied_world(self, source: Path | None = None) -> Iterator[None]:
        saved = self._swap_in(source)
        try:
            yield
        finally:
            self._swap_out(saved)

    def _swap_in(self, source: Path | None = None) -> Path:
        """Puts a copy (of `source`) in the world's place; where the world itself is meanwhile."""
        saved = self._folder / "saved"
        self._world.rename(saved)
        if source is None:
            _copy(saved, self._world)
        else:
            source.rename(self._world)
        return saved

    def _swap_out(self, saved: Path) -> None:
        shutil.rmtree(self._world)
        saved.rename(self._world)

    def state(self, storage: Path) -> str:
        """A digest of what is on the disk; see above for what does not count."""
        return hashlib.sha256(repr(self.names(storage)).encode()).hexdigest()

    def names(self, storage: Path) -> list[tuple[str, str]]:
        """What `state` is a digest of: each name with what is there."""
        found: list[tuple[str, str]] = []
        self._describe(str(storage), "", found)
        return sorted(found)

    def _describe(self, folder: str, within: str, found: list[tuple[str, str]]) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not within and entry.name == ".locks":
                    continue
                path = f"{within}/{entry.name}"
                if UNREAD.fullmatch(entry.name):
                    found.append((UNREAD.sub(r"\1", path), "unread"))
                elif entry.name.startswith("report.") and entry.name.endswith(".html"):
                    found.append((path, "for a person"))  # with times; no run reads it
                elif entry.is_symlink():
                    found.append((path, f"-> {Path(entry.path).readlink()}"))
                elif entry.is_dir():
                    found.append((path, "folder"))
                    self._describe(entry.path, path, found)
                else:
                    found.append((path, self._digest(entry)))

    def _digest(self, entry: os.DirEntry[str]) -> str:
        status = entry.stat()
        key = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if key not in self._digests:
            data = Path(entry.path).read_bytes()
            if entry.name in RECORDS:
                data = TIMES.sub(rb"\1", data)
            elif entry.name == self._project.report.name:
                data = _judged(data)
            self._digests[key] = hashlib.sha256(data).hexdigest()
        return self._digests[key]


class _Child:
    """The end of the pipe on which a child says what came of it, once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.ended: tuple[str, ...] | None = None

    def end(self, state: str | None, wrong: str = "") -> None:
        with os.fdopen(self._descriptor, "wb") as pipe:
            pickle.dump((self.ended, state, wrong), pipe)
        os._exit(0)


class _Healer:
    """A process in which no run is under way: it forks one that makes the rerun, when asked."""

    def __init__(self, heal: Callable[[], str]) -> None:
        mine, its = os.pipe()
        answers, said = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(its)
            os.close(answers)
            while os.read(mine, 1):
                pickled = pickle.dumps(_forked(lambda: _caught(heal)))
                os.write(said, len(pickled).to_bytes(4, "big") + pickled)
            os._exit(0)
        os.close(mine)
        os.close(said)
        self._ask, self._answers = its, os.fdopen(answers, "rb")

    def heal(self) -> str:
        os.write(self._ask, b"?")
        size = int.from_bytes(self._answers.read(4), "big")
        answer: str = pickle.loads(self._answers.read(size))  # noqa: S301
        return answer

    def end(self) -> None:
        os.close(self._ask)
        self._answers.close()
        os.waitpid(self._pid, 0)


class _Recorded(FaultyDisk):
    """No fault: calls `before` ahead of each operation, and once more amid each write."""

    def __init__(self, before: Callable[[int, str, Any], None]) -> None:
        super().__init__()
        self.log: list[str] = []  # type: ignore[assignment]
        self._before = before
        self._turn = threading.RLock()

    def _wrapped(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any) -> Any:
            with self._turn:
                self.count += 1
                what = _what(arguments[0])
                self._before(self.count, name, what)
                self.log.append(f"{name} {what}")
                if name in ("write", "pwrite") and len(arguments[1]) > 1:
                    descriptor, data, *place = arguments
                    half = len(data) // 2
                    done: int = original(descriptor, data[:half], *place)
                    self._before(self.count, name, f"half of {what}")
                    rest = [place[0] + done] if place else []
                    return done + original(descriptor, data[done:], *rest)
                return original(*arguments)

        return operation


def _what(first: Any) -> str:
    path = Path(f"/proc/self/fd/{first}").readlink() if isinstance(first, int) else first
    return UNREAD.sub(r"\1", "/".join(Path(path).parts[-3:]))


class _Sites:
    """Where this package reads files below `roots`, storage and hub; with `strike` the first read
    there fails with EIO. Files of installed packages are none of them."""

    def __init__(self, roots: tuple[str, ...], strike: tuple[str, ...] | None = None) -> None:
        self._roots = roots
        self.found: list[tuple[str, ...]] = []
        self.struck = False
        self._strike = strike
        self._looking = threading.local()
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> _Sites:
        for name in ("open_existing", "listing", "status"):
            self._patch.setattr(disk, name, self._wrapped(getattr(disk, name)))
        for module, name in ((os, "open"), (os, "scandir"), (os, "listdir"), (io, "open")):
            self._patch.setattr(module, name, self._wrapped(getattr(module, name)))
        return self

    def __exit__(self, *reason: object) -> None:
        self._patch.undo()

    @contextmanager
    def not_ours(self) -> Iterator[None]:
        """What this thread reads in the block is no read of the package's."""
        self._looking.on = True
        yield
        self._looking.on = False

    def _wrapped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def reading(*arguments: Any, **named: Any) -> Any:
            ours = not getattr(self._looking, "on", False)
            site = _site(arguments, named, self._roots) if ours else None
            if site is not None:
                if site not in self.found:
                    self.found.append(site)
                if site == self._strike and not self.struck:
                    self.struck = True
                    raise OSError(errno.EIO, os.strerror(errno.EIO), str(arguments[0]))
            return original(*arguments, **named)

        return reading


def _site(
    arguments: tuple[Any, ...], named: dict[str, Any], roots: tuple[str, ...]
) -> tuple[str, ...] | None:
    """The function of this package that reads, and what kind of file; None for what is written, or
    is no path below one of `roots`."""
    first = arguments[0] if arguments else None
    if "dir_fd" in named or not isinstance(first, (str, os.PathLike)):
        return None
    how = arguments[1] if len(arguments) > 1 else named.get("mode", 0)
    writes = how & (os.O_WRONLY | os.O_RDWR) if isinstance(how, int) else set(how) & set("wax+")
    text = str(first)
    if writes or not any(Path(text).is_relative_to(root) for root in roots):
        return None
    frame, where = sys._getframe(2), ""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("wmtp_assets.") and module != disk.__name__:
            where = f"{module.removeprefix('wmtp_assets.')}.{frame.f_code.co_name}"
            break
        frame = frame.f_back  # type: ignore[assignment]
    if not where:
        return None
    return where, Path(first).suffix


def _judged(data: bytes) -> bytes:
    """What a rerun reads in the gate's report."""
    try:
        report = json.loads(data)
        return repr(
            [
                (c["name"], c["required"], sorted(r["artifact"] for r in c["reasons"]))
                for c in report["conditions"]
            ]
        ).encode()
    except (ValueError, KeyError):
        return data


def _copy(source: Path, target: Path) -> None:
    """A copy that shares the files that have a second name already, and copies the others, which
    may still be written to."""
    target.mkdir()
    with os.scandir(source) as entries:
        for entry in entries:
            place = target / entry.name
            if entry.is_symlink():
                place.symlink_to(Path(entry.path).readlink())
            elif entry.is_dir():
                _copy(Path(entry.path), place)
            elif "versions" in place.parts and not UNREAD.search(entry.path):
                os.link(entry.path, place)  # a version's files are never written to
            else:
                shutil.copyfile(entry.path, place)
                shutil.copymode(entry.path, place)


def _forked(work: Callable[[], Any]) -> Any:
    """What `work` returns in a child of this process."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(here)
        try:
            answer = pickle.dumps(work())
        except BaseException:
            answer = pickle.dumps(RuntimeError(traceback.format_exc()))
        with os.fdopen(there, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(there)
    with os.fdopen(here, "rb") as pipe:
        answer = pickle.loads(pipe.read())  # noqa: S301
    os.waitpid(pid, 0)
    if isinstance(answer, RuntimeError):
        raise answer
    return answer


def _caught(heal: Callable[[], str]) -> str:
    try:
        return heal()
    except BaseException:
        return traceback.format_exc()


@contextmanager
def _without_history(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs keep their history in memory, and verify nothing in threads behind a fork's back."""

    @contextmanager
    def in_memory() -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance

    def in_the_foreground(project: Project, artifacts: Iterable[Any], run_id: str) -> None:
        """What was not verified in advance is verified when its findings are asked for."""

    patch.setattr(runs, "open_instance", in_memory)
    patch.setattr(runs, "enter_home", lambda project: None)
    patch.setattr(checks, "start", in_the_foreground)
    yield
