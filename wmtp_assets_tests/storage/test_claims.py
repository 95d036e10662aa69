"""Locks where each machine's kernel grants flock for itself: one writer all the same.

"Machines" are processes for which flock is always granted, with a boot and a host of their own;
and, where bindfs is installed, two mounts of one folder, each with its own locks, by the kernel.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.storage import StorageError, Store, claims, disk, garbage, holders, locks
from wmtp_assets.storage.locks import Hold, exclusive, exclusive_now, shared
from wmtp_assets.storage.publishing import Published
from wmtp_assets.storage.versions import Versions
from wmtp_assets_tests.storage.worlds import MODEL, materialize, orphans, seen

REPOSITORY = Path(__file__).parents[2]


class Network:
    """A file system that several machines may have mounted."""

    is_local = False


MACHINE = """
import fcntl, os, sys, time
from pathlib import Path
from wmtp_assets.storage import Store, StorageError, claims, holders, locks
from wmtp_assets.storage.locks import Hold, exclusive, exclusive_now, shared
from wmtp_assets_tests.storage.worlds import MODEL, make, materialize
root = Path(sys.argv[1])
if sys.argv[2]:  # a machine of its own
    fcntl.flock = lambda descriptor, kind: None
    holders.boot = claims.boot = lambda: f"boot of {sys.argv[2]}"
    holders.platform.node = lambda: sys.argv[2]
    holders.machine = lambda: f"machine {sys.argv[2]}"
"""


def started(script: str, root: Path, machine: str = "") -> subprocess.Popen[str]:
    """A process that runs `script` on the folder, on a machine of that name."""
    return subprocess.Popen(
        [sys.executable, "-c", MACHINE + textwrap.dedent(script), str(root), machine],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def granted(monkeypatch: pytest.MonkeyPatch) -> None:
    """flock is granted to everybody."""
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, kind: None)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who shows no sign of life is waited for half a second."""
    monkeypatch.setattr(claims, "LEASE", 0.5)
    monkeypatch.setattr(claims, "REFRESH", 0.05)
    monkeypatch.setattr(claims, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(claims, "_refreshing", [])  # of an earlier test, which sleeps for longer


COUNTING = """
for _ in range(40):
    with exclusive(root / "a.lock"):
        number = int((root / "count").read_text())
        (root / "count").write_text("")  # whoever reads it now fails
        time.sleep(0.0005)
        (root / "count").write_text(str(number + 1))
"""


@pytest.mark.parametrize("machines", [("", ""), ("one", "two", "three")])
def test_of_processes_that_are_all_granted_flock_one_at_a_time_works(
    machines: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "count").write_text("0", encoding="ascii")
    script = COUNTING
    if not any(machines):  # of one machine, with a kernel that grants everything
        script = "fcntl.flock = lambda descriptor, kind: None\n" + COUNTING
    workers = [started(script, tmp_path, machine) for machine in machines]
    assert [worker.wait() for worker in workers] == [0] * len(workers)
    assert (tmp_path / "count").read_text(encoding="ascii") == str(40 * len(machines))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.lock", "count"]


def test_threads_exclude_each_other_too(tmp_path: Path, granted: None) -> None:
    import threading

    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(10):
            with exclusive(tmp_path / "a.lock"):
                inside += 1
                most = max(most, inside)
                time.sleep(0.001)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_an_artifact_is_made_once_by_three_machines(tmp_path: Path) -> None:
    script = """
    given = dict(inputs={}, code_version="1", entry_digest="entry")
    with Store(root).stage(MODEL) as staging:
        if staging.reuse(**given):
            print("reused")
        else:
            (staging.path / "a").write_bytes(b"1")
            time.sleep(0.3)
            staging.commit(**given, seconds=0)
            print("made")
    """
    processes = [started(script, tmp_path, name) for name in ("one", "two", "three")]
    said = sorted(first_line(process) for process in processes)
    assert [process.wait() for process in processes] == [0] * 3
    assert said == ["made", "reused", "reused"]
    assert orphans(tmp_path) == []


HOLDING = """
with exclusive(root / "a.lock"):
    print("holding", flush=True)
    time.sleep(600)
"""


@contextmanager
def holding(root: Path, machine: str, script: str = HOLDING) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    process = started(script, root, machine)
    try:
        assert first_line(process) == "holding"
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("granted")
def test_who_waits_for_another_machine_is_told_for_whom(tmp_path: Path, hurried: None) -> None:
    told: list[str] = []
    with holding(tmp_path, "far", "claims.REFRESH = 0.05" + HOLDING) as other:
        with exclusive_now(tmp_path / "a.lock") as alone:
            assert not alone
        assert f"process {other.pid} on far since " in locks.holder(tmp_path / "a.lock")

        def tell(whom: str) -> None:
            told.append(whom)
            time.sleep(0.8)  # longer than the lease: it is alive
            other.kill()

        with exclusive(tmp_path / "a.lock", tell):
            pass
    assert told == [whom for whom in told if whom.startswith(f"process {other.pid} on far since ")]
    assert len(told) == 1


@pytest.mark.usefixtures("granted")
def test_a_killed_process_of_this_machine_holds_nothing(tmp_path: Path) -> None:
    with holding(tmp_path, "") as other:
        with exclusive_now(tmp_path / "a.lock") as alone:
            assert not alone
        other.kill()
        other.wait()
        with exclusive_now(tmp_path / "a.lock") as alone:
            assert alone
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]


@pytest.mark.usefixtures("granted")
def test_a_killed_process_that_nobody_has_waited_for_holds_nothing(tmp_path: Path) -> None:
    """As in a container whose first process collects no dead ones."""
    with holding(tmp_path, "") as other:
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        with exclusive_now(tmp_path / "a.lock") as alone:
            assert alone


@pytest.mark.usefixtures("granted", "hurried")
@pytest.mark.parametrize(
    "change",
    [
        lambda claim: "[" * 4000,
        lambda claim: json.dumps({**claim, "pid": 10**30}),
        lambda claim: json.dumps({**claim, "pid": 0}),
        lambda claim: json.dumps({**claim, "pid": 1e400}),
        lambda claim: json.dumps({**claim, "nonce": "../../elsewhere", "boot": "another"}),
        lambda claim: json.dumps({**claim, "host": None}),
    ],
)
def test_a_claim_that_cannot_be_read_is_waited_for_as_one_of_elsewhere(
    change: Callable[[dict[str, Any]], str], tmp_path: Path
) -> None:
    claim = dict(vars(holders.this_process("0" * 12)), pid=1, started=1)
    (tmp_path / "a.lock.owner").write_text(change(claim), encoding="utf-8")
    with exclusive_now(tmp_path / "a.lock") as alone:
        assert not alone
    began = time.monotonic()
    with exclusive(tmp_path / "a.lock"):
        assert time.monotonic() - began > claims.LEASE
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]


@pytest.mark.usefixtures("granted", "hurried")
def test_a_killed_machine_is_taken_over_when_it_shows_no_sign_of_life(tmp_path: Path) -> None:
    with holding(tmp_path, "far") as other:
        other.kill()
        other.wait()
        with exclusive_now(tmp_path / "a.lock") as alone:
            assert not alone, "who cannot wait does not know"
        began = time.monotonic()
        with exclusive(tmp_path / "a.lock"):
            assert time.monotonic() - began > claims.LEASE
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]


@pytest.mark.usefixtures("granted")
def test_a_claim_that_was_untouched_for_an_hour_holds_up_nobody(tmp_path: Path) -> None:
    with holding(tmp_path, "far") as other:
        other.kill()
        other.wait()
        (owner,) = tmp_path.glob("*.owner")
        past = time.time() - claims.FORGOTTEN - 60
        os.utime(owner, (past, past))
        with exclusive_now(tmp_path / "a.lock") as alone:
            assert alone


@pytest.mark.usefixtures("granted")
def test_a_machine_that_was_started_anew_holds_nothing_on_a_disk_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding(tmp_path, "far") as other:
        other.kill()
        other.wait()
        monkeypatch.setattr(holders.platform, "node", lambda: "far")
        monkeypatch.setattr(holders, "machine", lambda: "machine far")
        with monkeypatch.context() as patch:  # copies of a container may have both in common
            patch.setattr(claims, "file_system_of", lambda path: Network)
            with exclusive_now(tmp_path / "a.lock") as alone:
                assert not alone
        with exclusive_now(tmp_path / "a.lock") as alone:
            assert alone


def test_a_container_of_this_machine_that_was_killed_holds_nothing_on_a_disk_of_its_own(
    tmp_path: Path,
) -> None:
    """Its processes cannot be seen from here, but here the kernel keeps flock for both."""
    script = "holders._space = lambda: 7\n" + HOLDING
    with holding(tmp_path, "", script) as other:
        with exclusive_now(tmp_path / "a.lock") as alone:
            assert not alone
        other.kill()
        other.wait()
        with exclusive_now(tmp_path / "a.lock") as alone:
            assert alone


HASTY_WITH_THE_DEAD = """
patient = claims._Patience.is_dead
def hasty(self, path, seen, lock):
    claims.LEASE = 0.3 if seen.claim is not None and seen.claim.host == "dead" else 600.0
    return patient(self, path, seen, lock)
claims._Patience.is_dead = hasty
"""


def test_many_find_one_dead_at_once_and_one_at_a_time_follows(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("0", encoding="ascii")
    with holding(tmp_path, "dead") as other:
        other.kill()
        other.wait()
    # The dead one's lease is short, and not that of the living, which a busy machine may stop.
    script = HASTY_WITH_THE_DEAD + "claims._LONGEST_PAUSE = 0.03\n" + COUNTING
    workers = [started(script, tmp_path, f"machine-{number}") for number in range(5)]
    assert [worker.wait() for worker in workers] == [0] * 5
    assert (tmp_path / "count").read_text(encoding="ascii") == "200"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.lock", "count"]


@pytest.mark.usefixtures("granted")
def test_who_dies_while_it_removes_a_dead_claim_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DiedError(BaseException):
        pass

    lock = tmp_path / "a.lock"
    for moment in range(1, 12):
        with holding(tmp_path, "") as other:
            other.kill()
            other.wait()
        count = 0

        def dying(original: Callable[..., Any], moment: int = moment) -> Callable[..., Any]:
            def operation(*arguments: Any) -> Any:
                nonlocal count
                count += 1
                if count >= moment:
                    raise DiedError
                return original(*arguments)

            return operation

        with monkeypatch.context() as patch:
            for name in ("create", "write", "hardlink", "unlink"):
                patch.setattr(disk, name, dying(getattr(disk, name)))
            with suppress(DiedError), exclusive(lock):
                pass
        with exclusive_now(lock) as alone:
            assert alone, moment
        with exclusive(lock):
            pass
        for path in tmp_path.iterdir():
            if path.name.startswith(".tmp-") or ".owner." in path.name:
                path.unlink()  # gc does
        assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]


@pytest.mark.usefixtures("granted")
def test_a_late_comer_does_not_remove_a_claim_that_was_made_since(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    with holding(tmp_path, "") as other:
        other.kill()
        other.wait()
    dead = claims.read(tmp_path / "a.lock.owner")
    assert dead is not None
    with exclusive(lock):  # the dead one's is gone, and this one's there
        with claims._Written(lock) as late:
            patience = claims._Patience()
            assert claims._removed(tmp_path / "a.lock.owner", dead, late, patience, lock)
        now = claims.owner(lock)
        assert now is not None
        assert now.pid == os.getpid()


@pytest.mark.usefixtures("granted")
def test_who_was_stopped_for_too_long_publishes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    before = seen(tmp_path)
    owner = store.versions.lock(MODEL).with_name("mtp.lock.owner")
    with store.stage(MODEL) as staging:
        (staging.path / "a").write_bytes(b"1")
        owner.unlink()  # as by a process that waited for the lease
        with pytest.raises(StorageError, match="another one took over its lock"):
            staging.commit(inputs={}, code_version="9", entry_digest="e", seconds=0)
    assert seen(tmp_path) == before
    assert store.history(MODEL)[0].code_version == "1"
    assert orphans(tmp_path) == []


@pytest.mark.usefixtures("granted")
@pytest.mark.parametrize(
    ("work", "module", "moment", "lock"),
    [
        ("rollback", Published, "_rollback_target", "published.lock"),
        ("gc", garbage, "_kept", "published.lock"),
        ("reuse", Versions, "mismatches", f"{MODEL}.lock"),
    ],
)
def test_who_was_stopped_for_too_long_moves_and_removes_nothing(
    work: str,
    module: Any,
    moment: str,
    lock: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(tmp_path)
    for edition in ("one", "two", "three"):
        materialize(store, edition)
    owner = next((tmp_path / ".locks").rglob(lock.rpartition("/")[2])).with_suffix(".lock.owner")
    original = getattr(module, moment)

    def stopped(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        with suppress(FileNotFoundError):
            owner.unlink()  # as by a process that waited for the lease
        return result

    def reuse() -> None:
        with store.stage(MODEL) as staging:
            staging.reuse(inputs={"upstream": "one"}, code_version="1", entry_digest="entry")

    doing = {"rollback": lambda: store.rollback("mtp"), "gc": lambda: store.gc(keep=1)}
    monkeypatch.setattr(module, moment, stopped)
    before = paths_and_links(tmp_path)
    with pytest.raises(StorageError, match="another one took over its lock"):
        doing.get(work, reuse)()
    assert paths_and_links(tmp_path) == before


def paths_and_links(root: Path) -> dict[str, str]:
    """Everything below a storage, but for its locks, with the targets of links."""
    return {
        str(path): str(path.readlink()) if path.is_symlink() else ""
        for path in root.rglob("*")
        if ".locks" not in path.parts
    }


def test_a_long_holder_touches_its_claim(tmp_path: Path, hurried: None) -> None:
    with exclusive(tmp_path / "a.lock"):
        owner = tmp_path / "a.lock.owner"
        before = owner.stat().st_mtime_ns
        deadline = time.monotonic() + 240
        while owner.stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert owner.stat().st_mtime_ns > before


READING = """
claims_local = type("F", (), {"is_local": False})
locks.file_system_of = lambda path: claims_local
hold = Hold(Store(root).published.readers("mtp"))
print("holding", flush=True)
time.sleep(600)
"""


@pytest.mark.usefixtures("granted")
def test_gc_leaves_alone_what_a_reader_on_another_machine_holds(tmp_path: Path) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    with holding(tmp_path, "far", READING) as reader:
        for edition in ("two", "three"):
            materialize(store, edition)
        done = store.gc(keep=1)
        assert done.held == {"mtp": "a process is reading it"}
        assert len(store.publications("mtp")) == 3
        reader.kill()
        reader.wait()
        (entry,) = (tmp_path / ".locks/sets").glob("*.reader-*")
        past = time.time() - claims.FORGOTTEN - 60
        os.utime(entry, (past, past))
        assert store.gc(keep=1).held == {}
        assert not entry.exists()
    assert len(store.publications("mtp")) == 1


@pytest.mark.usefixtures("granted")
def test_readers_leave_nothing_and_wait_while_gc_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "file_system_of", lambda path: Network)
    lock = tmp_path / "a.readers"
    with shared(lock), shared(lock):
        assert len(list(tmp_path.glob("*.reader-*"))) == 2
        with exclusive_now(lock) as alone:
            assert not alone
    hold = Hold(lock)
    with exclusive_now(lock) as alone:
        assert not alone
    hold.release()
    assert [path.name for path in tmp_path.iterdir()] == ["a.readers"]
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(BaseException), exclusive_now(lock) as alone:
            status = 0 if alone else 2
            os.write(there, b"at work")
            time.sleep(0.4)
            (tmp_path / "over").touch()
        os._exit(status)
    os.close(there)
    assert os.read(here, 9) == b"at work"
    os.close(here)
    with shared(lock):
        assert (tmp_path / "over").exists()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.usefixtures("granted", "hurried")
def test_a_dead_reader_elsewhere_holds_up_a_publication_for_the_lease_alone(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    materialize(store, "one")
    script = READING.replace('.published.readers("mtp")', ".published.lock")
    with holding(tmp_path, "far", script) as reader:
        reader.kill()
        reader.wait()
    began = time.monotonic()
    materialize(store, "two")
    assert claims.LEASE < time.monotonic() - began < claims.FORGOTTEN / 10
    assert b"two" in seen(tmp_path)["models_v2/mtp/safetensors/model.safetensors"]


@pytest.mark.parametrize("code", ["ENOSPC", "EACCES", "EROFS"])
def test_who_can_write_no_claim_heeds_those_of_others(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granted: None
) -> None:
    import errno

    def refuse(path: Path) -> int:
        raise OSError(getattr(errno, code), code, str(path))

    lock = tmp_path / "a.lock"
    lock.touch()
    with holding(tmp_path, "far"):
        monkeypatch.setattr(disk, "create", refuse)
        with exclusive_now(lock) as alone:
            assert not alone
    (tmp_path / "a.lock.owner").unlink()
    with exclusive_now(lock) as alone, exclusive(tmp_path / "b.lock"):
        assert alone


def test_where_a_file_has_one_name_only_claims_are_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granted: None
) -> None:
    import errno

    def refuse(source: Path, path: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, "no hard links", str(path))

    monkeypatch.setattr(disk, "hardlink", refuse)
    lock = tmp_path / "a.lock"
    with exclusive(lock), exclusive_now(lock) as alone:
        assert not alone
    assert [path.name for path in tmp_path.iterdir()] == ["a.lock"]


@pytest.fixture
def mounts(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """One folder, mounted twice by FUSE: each mount has locks of its own."""
    if shutil.which("bindfs") is None or not Path("/dev/fuse").exists():
        pytest.skip("no bindfs on this machine")
    backing, one, two = (tmp_path / name for name in ("backing", "one", "two"))
    for folder in (backing, one, two):
        folder.mkdir()
    done = [subprocess.run(["bindfs", backing, mount], check=False) for mount in (one, two)]
    if any(one.returncode for one in done):
        pytest.skip("FUSE mounts are not allowed here")
    yield one, two
    for mount in (one, two):
        subprocess.run(["fusermount", "-u", "-z", mount], check=True)


def test_on_two_real_mounts_that_do_not_share_flock_one_at_a_time_works(
    mounts: tuple[Path, Path],
) -> None:
    one, two = mounts
    descriptors = [os.open(mount / "probe", os.O_RDWR | os.O_CREAT) for mount in mounts]
    for descriptor in descriptors:  # the premise: both are granted
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
    (one / "count").write_text("0", encoding="ascii")
    workers = [started(COUNTING, mount) for mount in (one, two)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert (one / "count").read_text(encoding="ascii") == "80"

    materialize(Store(one), "one")
    script = 'Store_ = Store(root)\nhold = Hold(Store_.published.readers("mtp"))\n'
    script += 'print("holding", flush=True)\ntime.sleep(600)'
    with holding(two, "", script) as reader:
        for edition in ("two", "three"):
            materialize(Store(one), edition)
        assert Store(one).gc(keep=1).held == {"mtp": "a process is reading it"}
        reader.send_signal(signal.SIGKILL)
        reader.wait()
        assert Store(one).gc(keep=1).held == {}
    assert orphans(one) == []
