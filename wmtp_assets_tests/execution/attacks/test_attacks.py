"""Attacks in the sandbox, really run, with every combination of layers, and as users who are
allowed more and less: root, nobody, root of a container, root without capabilities.

Each attack is a program beside this file, whose docstring says what stops it and how it ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from wmtp_assets.execution import kernel
from wmtp_assets.execution.confinement import ConfinementError, Layer, available
from wmtp_assets.execution.limits import Limits
from wmtp_assets_tests.execution.attacks.canary import (
    ATTACKS,
    OTHERS,
    OTHERS_PYTHON,
    PATIENT,
    judge,
    run,
)

pytestmark = pytest.mark.skipif(not kernel.machine(), reason="no sandbox on this machine")


def skip_unless_possible(without: tuple[Layer, ...], whom: str = "this user") -> None:
    """Skips where this machine lacks what is left."""
    try:
        means = available(without=without)
    except ConfinementError as error:
        pytest.skip(str(error))
    left = {"landlock", "namespaces"} - set(without)
    there = {"landlock"} if means.landlock else set()
    there |= {"namespaces"} if means.namespaces else set()
    if left != there:
        pytest.skip(f"this machine offers {sorted(there)} only")
    if whom == "this user":
        return
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip(f"only root can become {whom}")
    if whom == "nobody":
        new = subprocess.run(
            [OTHERS_PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False
        )
        if new.returncode:
            pytest.skip(f"{OTHERS_PYTHON} is older than 3.11")


def test_attacks_end_and_get_nothing() -> None:
    skip_unless_possible(())
    found = run(set(ATTACKS) - PATIENT)
    assert found.unexpected == {}
    assert found.harm == []
    assert len(found.endings) > 60


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["this user", *OTHERS])
@pytest.mark.parametrize("without", [(), ("landlock",), ("namespaces",)], ids=" ".join)
def test_attacks_end_whatever_the_machine_offers(without: tuple[Layer, ...], whom: str) -> None:
    skip_unless_possible(without, whom)
    if (without, whom) == (("landlock",), "root without capabilities"):
        pytest.skip("the kernel refuses it a user namespace")
    found = run(set(ATTACKS), without=without, whom=whom)
    assert found.unexpected == {}
    assert found.harm == []


LIMITS = Limits(
    cpu_seconds=1,
    memory_bytes=384 << 20,
    output_bytes=1 << 20,
    file_bytes=1 << 20,
    threads=32,
    scratch_bytes=8 << 20,
    scratch_files=200,
)
# A judge makes no further file readable, and this one is no attack.
JUDGED = {name for name, one in ATTACKS.items() if '"readable"' not in one.source} - {"honest"}


def names_it(name: str, verdict: str) -> bool:
    """Whether a verdict is what the attack states."""
    expected = ATTACKS[name].states("Verdict").replace(" or failed: ", "\n").replace(" or ", "\n")
    kind, _, reason = verdict.partition(": ")
    return any(
        one.removeprefix("failed: ") in reason if kind == "failed" else one == kind
        for one in expected.splitlines()
    )


@pytest.mark.slow
@pytest.mark.parametrize("without", [(), ("landlock",), ("namespaces",)], ids=" ".join)
def test_every_verdict_names_what_ended_an_attack(without: tuple[Layer, ...]) -> None:
    skip_unless_possible(without)
    patient = set() if without else {"endless_loop", "sleeps"}  # the judge tries these twice
    expected = JUDGED - PATIENT | patient
    found = judge(expected, LIMITS, without)
    assert {one: said for one, said in found.items() if not names_it(one, said)} == {}
    assert found.keys() == expected


def test_the_page_of_the_sandbox_has_every_attack() -> None:
    page = (Path(__file__).parents[3] / "docs/sandbox.md").read_text(encoding="utf-8")
    table = [line for line in page.splitlines() if line in {one.row for one in ATTACKS.values()}]
    assert table == [one.row for name, one in ATTACKS.items() if name != "honest"]


WITHOUT_A_LAYER = {
    # what is taken out: (what else is not used, run by whom, attacks that get something then)
    "seccomp": (
        ("namespaces",),
        "this user",
        "fork_bomb fork_by_clone daemon udp unix_socket watches_files locks_what_it_reads "
        "changes_what_it_reads ptrace process_vm io_uring keyring bpf userfaultfd perf_events "
        "runs_from_memory own_namespaces filters_itself signals_by_death",
    ),
    "landlock": (
        ("namespaces",),
        "this user",
        "reads_home writes_outside writes_shared_memory empties_what_it_reads reads_neighbours",
    ),
    "limits": (
        (),
        "this user",
        "sparse_terabyte ten_gigabytes_shared many_descriptors raises_limits",
    ),
    "watch": (("namespaces",), "nobody", "many_large_files many_threads"),
}


@pytest.mark.slow
@pytest.mark.parametrize("layer", WITHOUT_A_LAYER)
def test_each_layer_stops_something_that_no_other_does(layer: str) -> None:
    without, whom, names = WITHOUT_A_LAYER[layer]
    skip_unless_possible(without, whom)
    expected = set(names.split())
    assert run(expected, without=without, whom=whom, broken=(layer,)).escaped == expected


@pytest.mark.slow
def test_an_inherited_descriptor_would_be_found() -> None:
    skip_unless_possible(())
    found = run({"writes_inherited_descriptors"}, broken=("descriptors",))
    assert any("the parent was sent" in one for one in found.harm)
