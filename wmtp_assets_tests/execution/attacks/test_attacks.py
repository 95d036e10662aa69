"""Attacks in the sandbox, really run: as this user and as nobody, with every combination of layers.

Each attack is a program beside this file, whose docstring says what stops it and how it ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from wmtp_assets.execution import kernel
from wmtp_assets.execution.confinement import ConfinementError, available
from wmtp_assets_tests.execution.attacks.canary import ATTACKS, PATIENT, run

pytestmark = pytest.mark.skipif(not kernel.machine(), reason="no sandbox on this machine")

OTHERS_PYTHON = "/usr/bin/python3"


def skip_unless_possible(without: tuple[str, ...], nobody: bool) -> None:
    """Skips where this machine lacks what is left."""
    try:
        means = available(without=without)  # type: ignore[arg-type]
    except ConfinementError as error:
        pytest.skip(str(error))
    left = {"landlock", "namespaces"} - set(without)
    there = {"landlock"} if means.landlock else set()
    there |= {"namespaces"} if means.namespaces else set()
    if left != there:
        pytest.skip(f"this machine offers {sorted(there)} only")
    if nobody:
        if os.getuid() or not shutil.which("setpriv"):
            pytest.skip("only root can become nobody")
        new = subprocess.run(
            [OTHERS_PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False
        )
        if new.returncode:
            pytest.skip(f"{OTHERS_PYTHON} is older than 3.11")


def test_attacks_end_and_get_nothing() -> None:
    skip_unless_possible((), nobody=False)
    found = run(set(ATTACKS) - PATIENT)
    assert found.unexpected == {}
    assert found.harm == []
    assert len(found.endings) > 60


@pytest.mark.slow
@pytest.mark.parametrize("nobody", [False, True], ids=["this user", "nobody"])
@pytest.mark.parametrize("without", [(), ("landlock",), ("namespaces",)], ids=" ".join)
def test_attacks_end_whatever_the_machine_offers(without: tuple[str, ...], nobody: bool) -> None:
    skip_unless_possible(without, nobody)
    found = run(set(ATTACKS), without=without, nobody=nobody)
    assert found.unexpected == {}
    assert found.harm == []


WITHOUT_A_LAYER = {
    # what is taken out: (what else is not used, as nobody?, attacks that get something then)
    "seccomp": (
        ("namespaces",),
        False,
        "fork_bomb fork_by_clone daemon udp unix_socket watches_files locks_what_it_reads "
        "changes_what_it_reads ptrace process_vm io_uring keyring bpf userfaultfd perf_events "
        "runs_from_memory own_namespaces filters_itself signals_by_death",
    ),
    "landlock": (
        ("namespaces",),
        False,
        "reads_home writes_outside writes_shared_memory empties_what_it_reads reads_neighbours",
    ),
    "limits": (
        (),
        False,
        "sparse_terabyte ten_gigabytes_shared many_descriptors raises_limits",
    ),
    "watch": (("namespaces",), True, "many_large_files many_threads"),
}


@pytest.mark.slow
@pytest.mark.parametrize("layer", WITHOUT_A_LAYER)
def test_each_layer_stops_something_that_no_other_does(layer: str) -> None:
    without, nobody, names = WITHOUT_A_LAYER[layer]
    skip_unless_possible(without, nobody)
    expected = set(names.split())
    assert run(expected, without=without, nobody=nobody, broken=(layer,)).escaped == expected


@pytest.mark.slow
def test_an_inherited_descriptor_would_be_found() -> None:
    skip_unless_possible((), nobody=False)
    found = run({"writes_inherited_descriptors"}, broken=("descriptors",))
    assert any("the parent was sent" in one for one in found.harm)
