"""Real processes: waiting for each other, killed with -9, and on disks that really refuse."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from wmtp_assets.storage import Store
from wmtp_assets_tests.storage.namespaces import in_a_mount_namespace
from wmtp_assets_tests.storage.worlds import MODEL, SET, make, materialize, orphans, seen

REPOSITORY = Path(__file__).parents[2]
IMPORTS = """
import os, sys, time
from pathlib import Path
from wmtp_assets.storage import Store, StorageError
from wmtp_assets_tests.storage.namespaces import in_a_mount_namespace
from wmtp_assets_tests.storage.worlds import MODEL, make, materialize, seen
store = Store(Path(sys.argv[1]))
"""


def started(script: str, root: Path) -> subprocess.Popen[str]:
    """A Python process that runs `script` on a store, its output read through a pipe."""
    return subprocess.Popen(
        [sys.executable, "-c", IMPORTS + textwrap.dedent(script), str(root)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_of_eight_processes_one_works_and_seven_wait_and_reuse(tmp_path: Path) -> None:
    script = """
    given = dict(inputs={}, code_version="1", entry_digest="entry")
    with store.stage(MODEL) as staging:
        if staging.reuse(**given):
            print("reused")
        else:
            (staging.path / "a").write_bytes(b"1")
            time.sleep(0.3)
            staging.commit(**given, seconds=0)
            print("made")
    """
    processes = [started(script, tmp_path) for _ in range(8)]
    said = sorted(first_line(process) for process in processes)
    assert [process.wait() for process in processes] == [0] * 8
    assert said == ["made"] + ["reused"] * 7
    assert len(Store(tmp_path).history(MODEL)) == 1
    assert orphans(tmp_path) == []


def test_who_waits_is_told_for_whom(tmp_path: Path) -> None:
    root = tmp_path / "storage"
    holder = started(
        """
        with store.stage(MODEL) as staging:
            print("holding", flush=True)
            for _ in range(24_000):
                if (store.root.parent / "told").exists():
                    break
                time.sleep(0.01)
        """,
        root,
    )
    assert first_line(holder) == "holding"
    told: list[str] = []

    def tell(whom: str) -> None:
        told.append(whom)
        (tmp_path / "told").touch()

    with Store(root).stage(MODEL, on_wait=tell):
        assert holder.wait() == 0
    assert len(told) == 1
    assert f"process {holder.pid} on " in told[0]


def test_a_killed_holder_is_recovered_even_if_its_forked_workers_live_on(tmp_path: Path) -> None:
    holder = started(
        """
        with store.stage(MODEL) as staging:
            (staging.path / "half").write_bytes(b"1")
            worker = os.fork()
            if worker == 0:
                time.sleep(600)
                os._exit(0)
            print(worker, flush=True)
            time.sleep(600)
        """,
        tmp_path,
    )
    worker = int(first_line(holder))
    try:
        holder.kill()
        holder.wait()
        made = make(Store(tmp_path), MODEL, {"a": b"1"})
        state = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0]
        assert state not in "ZX", "it was not waited for"
    finally:
        os.kill(worker, signal.SIGKILL)
    assert Store(tmp_path).current(MODEL) == made
    assert orphans(tmp_path) == []


def test_kill_9_at_random_moments_never_shows_a_mix(tmp_path: Path) -> None:
    store = Store(tmp_path)
    editions = {}
    for edition in ("one", "two", "three"):
        materialize(store, edition)
        editions[edition] = seen(tmp_path)
    script = """
    print("ready", flush=True)
    while True:
        for edition in ("one", "two", "three"):
            materialize(store, edition)
            store.gc(keep=2)
    """
    chance = random.Random(6)
    for _ in range(12):
        process = started(script, tmp_path)
        assert first_line(process) == "ready"
        deadline = time.monotonic() + chance.uniform(0.005, 0.25)
        while time.monotonic() < deadline:  # a reader, meanwhile, sees every path
            assert all((tmp_path / path).exists() for path in SET.links)
        process.kill()
        process.wait()
        assert seen(tmp_path) in editions.values()
    materialize(store, "one")
    assert seen(tmp_path) == editions["one"]
    assert store.unpublished(SET) == []
    store.gc(keep=1)
    assert orphans(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("call", ["rename", "symlink", "mkdir", "write", "fsync"])
def test_a_kill_at_a_system_call_never_shows_a_mix(call: str, tmp_path: Path) -> None:
    """The sweep again with a real process and the kernel's own calls, at every fourth of them."""
    if shutil.which("strace") is None:
        pytest.skip("no strace on this machine")
    point, finished = 1, False
    while not finished:
        root = tmp_path / str(point)
        materialize(Store(root), "one")
        one = seen(root)
        run = subprocess.run(
            [
                *("strace", "-f", "-qq", "-o", tmp_path / "trace", "-e", f"trace=/^{call}(at2?)?$"),
                *("-e", f"inject=/^{call}(at2?)?$:signal=KILL:when={point}"),
                *(sys.executable, "-c", IMPORTS + 'materialize(store, "two")', root),
            ],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if "ptrace" in run.stderr.lower():
            pytest.skip(f"strace may not trace here: {run.stderr}")
        finished = run.returncode == 0
        assert finished or run.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), run.stderr
        between = seen(root)
        materialize(Store(root), "two")
        assert between in ((seen(root),) if finished else (one, seen(root)))
        Store(root).gc(keep=9)
        assert orphans(root) == []
        point += 4
    assert point > 5


def said_on_a_small_disk(script: str, root: Path, options: str) -> str:
    """What `script` says of a store on a disk of its own."""
    return in_a_mount_namespace(IMPORTS + textwrap.dedent(script), root, options).stdout


def test_a_disk_that_is_really_full_keeps_the_old_version(tmp_path: Path) -> None:
    said = said_on_a_small_disk(
        """
        materialize(store, "one")
        before = seen(store.root)
        for size in (1 << 19, 1 << 21, 100_000):
            try:
                for number in range(40):
                    make(store, MODEL, {"model.safetensors": os.urandom(size)}, {"n": str(number)})
            except StorageError as error:
                print(error)
            assert seen(store.root) == before
        store.gc(keep=1)
        materialize(store, "two")
        print(seen(store.root)["models_v2/mtp/configs/params.json"])
        """,
        tmp_path,
        "size=1m",
    ).splitlines()
    assert len(said) == 4
    assert all("No space left on device (ENOSPC)" in line for line in said[:3])
    assert all("wmtp gc" in line for line in said[:3])
    assert said[3] == "b'\"two\"'"


def test_a_read_only_disk_is_read_and_refused_for_writing(tmp_path: Path) -> None:
    said = said_on_a_small_disk(
        """
        import subprocess
        materialize(store, "one")
        whole = seen(store.root)
        subprocess.run(["mount", "-o", "remount,ro", str(store.root)], check=True)
        assert seen(store.root) == whole
        with store.reading(MODEL) as folder, store.reading_set("mtp"):
            print((folder / "SHA256SUMS").read_text())
        for attempt in (lambda: materialize(store, "two"), store.gc, lambda: store.rollback("mtp")):
            try:
                attempt()
            except StorageError as error:
                print(error)
        """,
        tmp_path,
        "size=1m",
    ).splitlines()
    assert said[0] == "one"
    assert len(said) == 4
    assert all("Read-only file system (EROFS)" in line for line in said[1:])


def test_a_mount_inside_the_storage_is_named_with_a_command_that_helps(tmp_path: Path) -> None:
    said = said_on_a_small_disk(
        """
        import re, subprocess
        from wmtp_assets.storage import write_json
        from wmtp_assets_tests.storage.worlds import orphans
        def shell(command):
            subprocess.run(command, shell=True, check=True)
        def tried(attempt, mount):
            shell(mount)
            before = seen(store.root)
            try:
                attempt()
            except StorageError as error:
                print(error.where)
                assert "XDEV)" in str(error) or "EBUSY)" in str(error), error
                remedy = re.search("`(umount .*?)`", error.hint)[1]
            else:
                raise AssertionError("not refused")
            assert seen(store.root) == before
            assert orphans(store.root) == []
            shell(remedy)
            attempt()
        os.chdir(store.root)
        materialize(store, "one")
        (store.root / "datasets_v2/code/processed/train.jsonl").unlink()
        tried(lambda: materialize(store, "one"), "mount -t tmpfs tmpfs datasets_v2/code/processed")
        extra = store.path(MODEL) / "extra"
        def repaired():
            extra.write_bytes(b"")
            with store.stage(MODEL) as staging:
                for name in ("model.safetensors", "SHA256SUMS"):
                    (staging.path / name).write_bytes((store.path(MODEL) / name).read_bytes())
                staging.commit(inputs={"upstream": "one"}, code_version="1", entry_digest="entry",
                               seconds=0)
        tried(repaired, "mount --bind versions versions")  # the same device on either side
        write_json(store.root / "document.json", 1)
        tried(lambda: write_json(store.root / "document.json", 2),
              "mount --bind document.json document.json")
        """,
        tmp_path,
        "size=1m",
    ).splitlines()
    places = ["datasets_v2/code/processed", "versions", "document.json"]
    assert said == [str(tmp_path / place) for place in places]
