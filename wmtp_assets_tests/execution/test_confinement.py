"""What a machine offers, servers and what becomes of them, and programs that only read more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wmtp_assets.execution import confinement, kernel, landlock, seccomp
from wmtp_assets.execution.confinement import ConfinementError, Means, available, confine
from wmtp_assets.execution.limits import Limits
from wmtp_assets_tests.execution.serving import ENVIRONMENT, command, serve

pytestmark = pytest.mark.skipif(not kernel.machine(), reason="no sandbox on this machine")

ALL = [(), ("landlock",), ("namespaces",)]


def means_without(without: tuple[str, ...]) -> Means:
    try:
        return available(without=without)  # type: ignore[arg-type]
    except ConfinementError as error:
        pytest.skip(str(error))


def test_nothing_is_run_where_files_cannot_be_confined() -> None:
    with pytest.raises(ConfinementError, match="so none is run") as caught:
        available(without=["landlock", "namespaces"])
    assert "Landlock: not to be used; namespaces: not to be used" in str(caught.value)
    assert "`python -m wmtp_assets.execution`" in str(caught.value)


def test_what_the_hint_says_can_be_done() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wmtp_assets.execution"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        "Landlock",
        "namespaces",
        "programs run as",
    ]


def test_a_kernel_without_landlock_and_namespaces_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_landlock() -> int:
        raise OSError(95, "landlock_create_ruleset: Operation not supported")

    monkeypatch.setattr(landlock, "version", no_landlock)
    with pytest.raises(ConfinementError, match="Operation not supported; namespaces: not to be"):
        available(without=["namespaces"])


def test_a_kernel_without_filters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "why_not", lambda: "seccomp: Function not implemented")
    with pytest.raises(ConfinementError, match="accepts no system call filter"):
        available()


def test_an_unknown_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel.platform, "machine", lambda: "riscv64")
    with pytest.raises(ConfinementError, match=r"Expected: Linux on aarch64 or x86_64, 64 bits"):
        available()


def test_no_program_is_confined_by_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfinementError, match="was not called"):
        confine(tmp_path, Limits(), Means(landlock=0, namespaces="plain"))


def test_means_travel_as_text() -> None:
    means = Means(7, "user", enclosed=True, users="own", server=12)
    assert Means.from_json(means.to_json()) == means


def test_a_server_needs_an_empty_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": "/bin", "HF_TOKEN": "hf_x", "LC_ALL": "C"})
    with pytest.raises(ConfinementError, match="Found: HF_TOKEN"):
        confinement.isolate(Means(7, ""), tmp_path)


def test_a_server_needs_a_single_thread(tmp_path: Path) -> None:
    said = serve(
        """
        import threading
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        try:
            isolate(available(), scratch)
        except confinement.ConfinementError as error:
            print(error)
        """,
        tmp_path,
    )
    assert said.startswith("The server of confined programs has more than one thread")
    assert "OPENBLAS_NUM_THREADS" in ENVIRONMENT


@pytest.mark.parametrize("without", ALL, ids=" ".join)
def test_what_cannot_be_confined_is_not_run(tmp_path: Path, without: tuple[str, ...]) -> None:
    means = means_without(without)
    said = serve(
        """
        means = isolate(Means.from_json(given["means"]), scratch)
        seccomp.NUMBERS["x86_64"]["seccomp"] = seccomp.NUMBERS["aarch64"]["seccomp"] = 9999
        os.waitpid(child(lambda: print("it ran"), means), 0)
        """,
        tmp_path,
        means=means.to_json(),
    )
    assert said.startswith("ConfinementError: A program could not be confined, and was not run")


@pytest.mark.parametrize("abi", range(1, 8))
def test_every_version_of_landlock_refuses_what_it_can(tmp_path: Path, abi: int) -> None:
    if means_without(("namespaces",)).landlock < abi:
        pytest.skip("this kernel's Landlock is older")
    (tmp_path / "scratch").mkdir()
    (tmp_path / "file").write_text("text")
    said = serve(
        """
        def program():
            with open("a", "w") as file:
                file.write("b")
            os.mkdir("c")
            for do in (
                lambda: os.remove("a"),
                lambda: os.rename("a", "b"),
                lambda: open(given["file"]).read(),
                lambda: open(given["file"], "a"),
                lambda: os.open(given["file"], os.O_RDONLY | os.O_TRUNC),
                lambda: os.truncate(given["file"], 0),
                lambda: os.listdir("/"),
            ):
                try:
                    print("got", do())
                except OSError as error:
                    print(error.errno, end=" ")
            print(open("a").read())

        means = isolate(Means(given["abi"], "", users=available().users), scratch)
        os.waitpid(child(program, means), 0)
        """,
        tmp_path / "scratch",
        abi=abi,
        file=str(tmp_path / "file"),
    )
    refused = {"1", "13"}
    *numbers, last = said.split()
    assert (set(numbers) <= refused, len(numbers), last) == (True, 7, "b"), said
    assert (tmp_path / "file").read_text() == "text"


def test_landlock_is_asked_by_name() -> None:
    files, ports, scope = landlock.handled(1)
    assert landlock.Files.MAKE_SYM in files
    assert landlock.Files.REFER not in files
    assert (int(ports), int(scope)) == (0, 0)
    files, ports, scope = landlock.handled(99)
    assert set(landlock.Files) == set(files)
    assert set(landlock.Ports) == set(ports)
    assert set(landlock.Scope) == set(scope)


@pytest.mark.parametrize("without", ALL, ids=" ".join)
@pytest.mark.parametrize("whom", ["server", "judge"])
def test_programs_die_with_whom_they_depend_on(
    tmp_path: Path, without: tuple[str, ...], whom: str
) -> None:
    """A judge starts a server, which starts a program that ignores signals; one is killed."""
    means = means_without(without)
    script = """
        import ctypes
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        means = isolate(Means.from_json(given["means"]), scratch)

        def program():
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            print("runs", flush=True)
            while True:
                time.sleep(100)

        child(program, means)
        while True:
            time.sleep(100)
        """
    server = command(script, tmp_path, means=means.to_json())
    judge = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import json, subprocess, sys\n"
            "server = subprocess.Popen(json.loads(sys.argv[1]))\n"
            "print(server.pid, flush=True)\n"
            "server.wait()",
            json.dumps(server),
        ],
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert judge.stdout is not None
    seen = [judge.stdout.readline().split()[0] for _ in range(2)]
    pid = int(next(one for one in seen if one != b"runs"))
    os.kill(pid if whom == "server" else judge.pid, signal.SIGKILL)
    # The program's end of this pipe is closed when it has died, whatever its number was.
    os.set_blocking(judge.stdout.fileno(), False)
    until = time.monotonic() + 240
    while judge.stdout.read() != b"" and time.monotonic() < until:
        time.sleep(0.01)
    assert judge.stdout.read() == b""
    judge.wait()


@pytest.mark.parametrize("without", ALL, ids=" ".join)
def test_what_a_server_has_imported_can_be_made_readable(
    tmp_path: Path, without: tuple[str, ...]
) -> None:
    import numpy as np

    means = means_without(without)
    folder = Path(np.__file__).parent
    given = [str(folder), str(folder.parent / "numpy.libs")]
    said = serve(
        """
        readable = [Path(one) for one in given["readable"]]
        sys.path.append(str(readable[0].parent))
        import numpy
        means = isolate(Means.from_json(given["means"]), scratch, readable=readable)

        def program():
            assert "numpy.polynomial" not in sys.modules
            import numpy.polynomial
            print(numpy.arange(4).reshape(2, 2) @ numpy.ones((2, 2)))

        bounds = Limits(memory_bytes=2 << 30)
        os.waitpid(child(program, means, bounds, readable=readable), 0)
        """,
        tmp_path,
        readable=given,
        means=means.to_json(),
    )
    assert said == "[[1. 1.]\n [5. 5.]]\n"


def python2() -> Path | None:
    """A Python 2.7 that really starts; links of that name may lead to nothing."""
    found = [Path(name) for name in ("/usr/bin/python2.7", "/usr/local/bin/python2.7")]
    for one in [*found, *Path("/root/.pyenv/versions").glob("2.7*/bin/python2.7")]:
        if one.exists():
            return one
    return None


@pytest.mark.skipif(os.getuid() != 0 or python2() is None, reason="no Python 2.7 here")
@pytest.mark.parametrize("without", ALL, ids=" ".join)
def test_another_interpreter_can_be_started_and_nothing_else(
    tmp_path: Path, without: tuple[str, ...]
) -> None:
    means = means_without(without)
    program = """
import os, sys, ctypes, decimal, hashlib, json, sqlite3, zlib
print sys.version_info[:2], 7 / 2, raw_input()
for do in (lambda: os.fork(), lambda: open(%r), lambda: os.execv("/bin/sh", ["sh"])):
    try:
        do()
        print "ESCAPED"
    except EnvironmentError as error:
        print error.errno
"""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "scratch").mkdir()
    said = serve(
        """
        interpreter = library.Interpreter.at(Path(given["python"]))
        means = Means.from_json(given["means"])
        means = isolate(means, scratch, readable=interpreter.files)

        def program():
            Path("program.py").write_text(given["program"])
            reading, writing = os.pipe()
            os.write(writing, b"input\\n")
            os.dup2(reading, 0)
            os.execve(interpreter.executable, ["python2", "-S", "program.py"], {})

        os.waitpid(child(program, means, interpreter=interpreter), 0)
        """,
        tmp_path / "scratch",
        python=str(python2()),
        program=program % str(tmp_path / "secret"),
        means=means.to_json(),
    )
    lines = said.splitlines()
    assert lines[0] == "(2, 7) 3 input"
    assert len(lines) == 4
    assert set(lines[1:]) <= {"1", "2", "13"}
