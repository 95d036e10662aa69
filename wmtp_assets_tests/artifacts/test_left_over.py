"""A generation that a catalog serves no more: what it published is named, and can be removed."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import published
from wmtp_assets.corpora.opening import open_corpus
from wmtp_assets.findings import Finding
from wmtp_assets.generations import Contract


def served(project: Project, contract: Contract) -> Project:
    """The project for one generation, with what it has in common with both published."""
    catalog = project.catalog.model_copy(update={"contract": (contract,)})
    found = Project(catalog, project.storage, project.hub_spec)
    for one in found.sets.values():
        found.store.publish(one)
    return found


def wrong(project: Project) -> dict[Path, Finding]:
    return {Path(one.where): one for one in published(project) if not one.passed}


def test_what_another_generation_left_is_named_and_its_removal_leaves_the_rest(
    copied_current: Project,
) -> None:
    project = served(copied_current, "current")
    root = project.storage
    found = wrong(project)
    # Rows that are the same in both generations are one set: their older paths went with it.
    assert set(found) == {root / "datasets_v2/codecontests", root / "datasets_v2/mbpp"}
    assert not any(one.blocking for one in found.values())
    stale = found[root / "datasets_v2/codecontests"]
    assert "24 paths" in str(stale.found)
    assert open_corpus(root, "codecontests", "train").jsonl.is_relative_to(
        root / "published/datasets/codecontests_train"
    )
    for one in found.values():
        subprocess.run(shlex.split(one.hint.strip("`")), check=True)
    assert wrong(project) == {}
    assert len(open_corpus(root, "codecontests", "train")) == 389


def test_files_of_others_among_them_are_not_removed(copied_current: Project) -> None:
    project = served(copied_current, "current")
    notes = project.storage / "datasets_v2/mbpp/notes.txt"
    notes.write_text("mine", encoding="utf-8")
    hint = wrong(project)[notes.parent].hint
    assert "rm -r" not in hint
    subprocess.run(["sh", "-c", hint.strip("`")], check=True)
    assert notes.parent not in wrong(project)
    (kept,) = (project.storage / ".set-aside").rglob("notes.txt")
    assert kept.read_text(encoding="utf-8") == "mine"


def test_a_folder_of_someone_else_is_nobodys_business(copied: Project) -> None:
    (copied.storage / "datasets/codecontests").mkdir(parents=True)
    (copied.storage / "datasets/codecontests/mine.txt").touch()
    assert wrong(copied) == {}
