"""Fetching: the files that an artifact takes from upstream, and the listing that stands for them.

The files are stored below storage/upstream, where several artifacts share a repository's folder;
`raw/` of a model's or dataset's folder shows them there.
"""

from __future__ import annotations

from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.raw_view import FOLDER, shown_files
from wmtp_assets.artifacts.types import LISTING, Fetched
from wmtp_assets.artifacts.upstream_files import UpstreamFiles, fetch_upstream, listing_of
from wmtp_assets.storage.atomic import write_json
from wmtp_assets.storage.disk import hardlink, make_folders
from wmtp_assets.storage.errors import StorageError


def fetch_files(task: Task) -> Made:
    """fetched.json, once every file was fetched and verified. Raises HubError."""
    project, wanted = task.project, UpstreamFiles.of(task.artifact)
    hub = task.hub or project.hub()
    commit, files = fetch_upstream(hub, wanted, project.store.upstream, project.lock, task.log.info)
    write_json(task.folder / LISTING, listing_of(files))
    facts = {
        "folder": wanted.repo.folder,
        "revision": commit,
        "fetched_bytes": sum(file.received for file in files),
        "resumed_from": sum(file.resumed_from for file in files),
        "retries": sum(file.retries for file in files),
        "seconds": round(sum(file.seconds for file in files), 3),
    }
    return Made(facts)


def show_files(task: Task) -> Made:
    """The files under names of their own; their bytes are stored once. Raises StorageError where
    one is not there any more."""
    files = shown_files(task.project, task.artifact)
    for name in task.artifact.inputs:
        for lost, problem in task.input(name, Fetched).lost().items():
            if f"{FOLDER}/{lost}" in files:
                raise StorageError(
                    "A fetched file is not what arrived",
                    found=problem,
                    where=files[f"{FOLDER}/{lost}"][0],
                    hint=f"wmtp materialize {name} --force",
                )
    make_folders(task.folder / FOLDER)
    for name, (path, _) in files.items():
        make_folders((task.folder / name).parent)
        hardlink(path, task.folder / name)
    digests = {name: str(record["sha256"]) for name, (_, record) in files.items()}
    return Made({"files": len(files)}, digests)
