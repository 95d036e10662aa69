"""The commands about versions: history, rollback, gc."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from wmtp_assets.cli.buckets import gc_of_bucket, history_of_bucket, rollback_bucket
from wmtp_assets.cli.common import DONE, add_json, open_project, show
from wmtp_assets.errors import WmtpError, one_line

if TYPE_CHECKING:
    from wmtp_assets.artifacts import Project


def register(commands: Any) -> None:
    """Adds these commands to the parser."""
    history = commands.add_parser("history", help="list the versions of an asset in the storage")
    history.add_argument(
        "asset", help="an asset's key, as `wmtp list` prints it, or the URL of a bucket"
    )
    add_json(history)
    history.set_defaults(run=_history, starts_over=True)

    rollback = commands.add_parser(
        "rollback",
        help="publish an older version of an asset again, with everything published "
        "together with it",
    )
    rollback.add_argument(
        "asset", help="an asset's key, as `wmtp list` prints it, or the URL of a bucket"
    )
    rollback.add_argument(
        "version",
        nargs="?",
        help="a version of the asset, or an edition of the bucket (default: the previous one)",
    )
    rollback.set_defaults(run=_rollback)

    gc = commands.add_parser("gc", help="remove leftovers and old versions")
    gc.add_argument("url", nargs="?", help="the URL of a bucket to clean up (default: the storage)")
    gc.add_argument(
        "--keep",
        type=int,
        default=2,
        help="number of versions of each artifact to keep (default 2)",
    )
    gc.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    gc.add_argument(
        "--ended",
        metavar="KEY",
        help="only remove the mark, in a bucket, of a process that was killed; a push or `gc` that "
        "is kept out by it names KEY",
    )
    gc.add_argument(
        "--raw",
        action="store_true",
        help="also remove fetched weights, after verifying every value of their "
        "conversion; a run that needs them fetches them again",
    )
    add_json(gc)
    gc.set_defaults(run=_gc)


def _history(given: argparse.Namespace) -> int:
    from wmtp_assets.bucket import bucket_url

    if (url := bucket_url(given.asset)) is not None:
        return history_of_bucket(given, url)
    project = open_project()
    name = _set_of(project, given.asset)
    store = project.store
    current = store.publication(name)
    versions = [
        {
            "version": one.version,
            "published_at": one.made_at,
            "current": current is not None and one.version == current.version,
            "members": {artifact: member.version for artifact, member in one.members.items()},
        }
        for one in store.publications(name)
    ]
    lines = [f"{name}, published as a whole:"]
    for one in versions:
        mark = "*" if one["current"] else " "
        lines.append(f"{mark} {one['version']}  {one['published_at']}")
    show(given.json, {"set": name, "versions": versions}, "\n".join(lines))
    return DONE


def _rollback(given: argparse.Namespace) -> int:
    from wmtp_assets.bucket import bucket_url
    from wmtp_assets.storage.preflight import require_storage

    if (url := bucket_url(given.asset)) is not None:
        return rollback_bucket(url, given.version)
    project = open_project()
    require_storage(project.storage, "Going back")
    name = _set_of(project, given.asset)
    publication = project.store.rollback(name, given.version)
    print(f"{name} is {publication.version} again, with all that is published with it.")
    return DONE


def _gc(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.unneeded_files import joined_parts, orphans, release_weights
    from wmtp_assets.bucket.pull import abandoned
    from wmtp_assets.storage.preflight import gigabytes, require_storage

    if given.url is not None:
        return gc_of_bucket(given)
    if given.ended is not None:
        raise WmtpError(
            "--ended is for a mark in a bucket, and no bucket is named",
            expected="`wmtp gc URL --ended KEY`",
            found=f"--ended {one_line(given.ended)}",
            hint="give the URL of the bucket, or leave it out.",
        )
    project = open_project()
    require_storage(project.storage, "Removing what is not needed")
    guarded = [*abandoned(project.store), *joined_parts(project)]
    guarded += release_weights(project, given.dry_run) if given.raw else []
    done = project.store.gc(
        keep=given.keep, dry_run=given.dry_run, also=orphans(project), guarded=guarded
    )
    word = "would be removed" if given.dry_run else "removed"
    lines = [f"{one.path}: {gigabytes(one.size)}, {one.reason}" for one in done.removed]
    lines += [f"{name}: left alone, {reason}" for name, reason in done.held.items()]
    lines += [
        f"{path}: {gigabytes(size)}, set aside once, and yours to keep or delete"
        for path, size in done.set_aside.items()
    ]
    lines.append(f"{len(done.removed)} {word}, {gigabytes(done.size)}.")
    value = {
        "dry_run": given.dry_run,
        "removed": [
            {"path": str(one.path), "size": one.size, "reason": one.reason} for one in done.removed
        ],
        "held": done.held,
        "set_aside": {str(path): size for path, size in done.set_aside.items()},
        "size": done.size,
    }
    show(given.json, value, "\n".join(lines))
    return DONE


def _set_of(project: Project, asset: str) -> str:
    """The set that an asset is published in, or the set of that name."""
    for name, published in project.sets.items():
        if asset == name or (asset in published.artifacts and asset not in project.sets):
            return name
    raise WmtpError(
        "This asset is not published",
        expected=f"one of {', '.join(project.sets)}",
        found=asset,
        hint="`wmtp list` shows every asset with its paths.",
    )
