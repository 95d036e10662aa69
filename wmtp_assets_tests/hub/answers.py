"""What the Hub's API says of repositories and files, as JSON values."""

from __future__ import annotations

from wmtp_assets_tests.hub.world import HubFile, Repo


def entry(path: str, file: HubFile) -> dict[str, object]:
    entry: dict[str, object] = {
        "type": "file",
        "path": path,
        "size": file.size,
        "oid": file.blob_id,
    }
    if file.lfs:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    return entry


def folder(path: str) -> dict[str, object]:
    return {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}


def info(
    name: str, repo: Repo, sha: str, files: dict[str, HubFile], query: object
) -> dict[str, object]:
    siblings = []
    for path, file in sorted(files.items()):
        sibling: dict[str, object] = {"rfilename": path}
        if "blobs" in str(query):
            sibling |= {"size": file.size, "blobId": file.blob_id}
            if file.lfs:
                sibling["lfs"] = {"sha256": file.sha256, "size": file.size, "pointerSize": 134}
        siblings.append(sibling)
    return {
        "_id": "0" * 24,
        "id": name,
        "modelId": name,
        "sha": sha,
        "private": False,
        "gated": "auto" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "cardData": {"license": "apache-2.0"},
        "lastModified": "2026-01-01T00:00:00.000Z",
        "siblings": siblings,
    }


def hide_digests(said: dict[str, object]) -> None:
    """As the Hub does for whoever was not let into a gated repository."""
    siblings = said["siblings"]
    assert isinstance(siblings, list)
    for sibling in siblings:
        if "lfs" in sibling:
            sibling["lfs"]["sha256"] = "*" * 64
