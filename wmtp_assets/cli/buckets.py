"""The commands `push` and `pull`; what `verify`, `history`, `rollback`, `gc` do with a URL."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from wmtp_assets.cli.common import DONE, WRONG, add_json, counted, open_project, show
from wmtp_assets.errors import WmtpError, one_line
from wmtp_assets.interrupts import in_a_thread  # a request that stalls heeds no signal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wmtp_assets.bucket import Edition, Pushed
    from wmtp_assets.bucket.reading import Wrong

_URL = "s3://BUCKET/FOLDER, gs://..., az://... or file:///PATH"


def register(commands: Any) -> None:
    """Adds these commands to the parser."""
    push = commands.add_parser("push", help="copy what is published into a bucket, as an edition")
    push.add_argument("url", help=_URL)
    push.add_argument(
        "selection",
        nargs="*",
        default=[],
        help="asset keys, group:NAME, or names of models and datasets in the catalog, "
        "with everything that they are made from (default: everything that is "
        "published)",
    )
    push.add_argument(
        "--force",
        action="store_true",
        help="send every object again, including those that are already there",
    )
    push.add_argument(
        "--drop",
        action="store_true",
        help="push even if the bucket's edition has sets that this push does not have",
    )
    push.add_argument(
        "--layout",
        choices=["plain"],
        help="also write the contract's paths as plain keys, below URL/plain/",
    )
    add_json(push)
    push.set_defaults(run=_push)

    pull = commands.add_parser("pull", help="publish here the edition that is in a bucket")
    pull.add_argument("url", help=_URL)
    add_json(pull)
    pull.set_defaults(run=_pull)


def _push(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.bucket_copies import push

    project = open_project()
    done = in_a_thread(
        lambda: push(
            project,
            given.url,
            given.selection,
            force=given.force,
            drop=given.drop,
            plain=given.layout == "plain",
        )
    )
    value = {
        "sound": not done.wrong,
        "url": given.url,
        "edition": done.edition.digest if done.head else None,
        "number": done.head.number if done.head else None,
        "unchanged": done.unchanged,
        "sets": _sets(done.edition),
        "objects": done.objects,
        "bytes": done.bytes,
        "there": done.there,
        "plain": asdict(done.plain) if done.plain else None,
        "wrong": {
            path: {"expected": one.expected, "found": one.found}
            for path, one in sorted(done.wrong.items())
        },
    }
    show(given.json, value, _pushed(given.url, done), sound=not done.wrong)
    return WRONG if done.wrong else DONE


def _pushed(url: str, done: Pushed) -> str:
    from wmtp_assets.storage.preflight import gigabytes

    lines = [
        f"WRONG: {path}: expected {one.expected}; found {one.found}"
        for path, one in sorted(done.wrong.items())
    ]
    lines.append(
        f"{counted(done.objects, 'object')} sent, {gigabytes(done.bytes)}; "
        f"{gigabytes(done.there)} were there."
    )
    if done.head is None:
        lines.append(
            "Nothing was published: `wmtp verify --deep` says which assets to make again, and how."
        )
        return "\n".join(lines)
    number, name = done.head.number, done.head.edition[:12]
    if done.unchanged:
        lines.append(f"The bucket's edition {number} ({name}) is this already.")
    else:
        sets = counted(len(done.edition.publications), "set")
        lines.append(f"Edition {number} ({name}) is published, with {sets}.")
    if done.plain is not None:
        lines.append(
            f"{done.plain.files} plain keys written, {gigabytes(done.plain.bytes)}; "
            f"{gigabytes(done.plain.there)} were there; {done.plain.removed} removed."
        )
    quoted = shlex.quote(url)
    lines.append(f"`wmtp verify {quoted}` verifies it, `wmtp pull {quoted}` fetches it.")
    return "\n".join(lines)


def _pull(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.bucket_copies import pull
    from wmtp_assets.storage.preflight import gigabytes

    project = open_project()
    done = in_a_thread(lambda: pull(project, given.url))
    value = {
        "sound": not done.wrong,
        "url": given.url,
        "edition": done.head.edition,
        "number": done.head.number,
        "sets": _sets(done.edition),
        "bytes": done.bytes,
        "there": done.there,
        "wrong": _wrong(done.wrong),
    }
    lines = _wrong_lines(given.url, done.wrong)
    lines.append(f"{gigabytes(done.bytes)} fetched; {gigabytes(done.there)} were there.")
    if done.wrong:
        lines.append("Nothing was published here.")
    else:
        lines.append(
            f"Edition {done.head.number} ({done.head.edition[:12]}) is published in "
            f"{project.storage}, with {counted(len(done.edition.publications), 'set')}."
        )
        if done.edition.catalog != project.catalog.name:
            lines.append(
                f"It is of the catalog {done.edition.catalog}, and WMTP_CATALOG names "
                f"{project.catalog.name}: `wmtp verify` and the gate go by the latter."
            )
    show(given.json, value, "\n".join(lines), sound=not done.wrong)
    return WRONG if done.wrong else DONE


def verify_bucket(given: argparse.Namespace, url: str) -> int:
    """`wmtp verify URL`."""
    from wmtp_assets.bucket import Bucket, verify
    from wmtp_assets.storage.preflight import gigabytes

    done = in_a_thread(lambda: verify(Bucket(url)))
    value = {
        "sound": done.sound,
        "url": url,
        "edition": done.head.edition,
        "number": done.head.number,
        "files": done.files,
        "size": done.size,
        "wrong": {
            key: {**one, "paths": done.paths[key]} for key, one in _wrong(done.wrong).items()
        },
    }
    lines = _wrong_lines(url, done.wrong, done.paths)
    result = "sound" if done.sound else "NOT SOUND"
    lines.append(
        f"Edition {done.head.number} ({done.head.edition[:12]}): {done.files} files, "
        f"{gigabytes(done.size)}, {len(done.wrong)} objects wrong: {result} (every byte was read)."
    )
    show(given.json, value, "\n".join(lines), sound=done.sound)
    return DONE if done.sound else WRONG


def history_of_bucket(given: argparse.Namespace, url: str) -> int:
    """`wmtp history URL`."""
    from wmtp_assets.bucket import Bucket, history

    heads = in_a_thread(lambda: history(Bucket(url)))
    value = {
        "url": url,
        "editions": [
            {
                "number": head.number,
                "edition": head.edition,
                "published_at": head.published_at,
                "host": head.host,
                "current": head == heads[0],
            }
            for head in heads
        ],
    }
    lines = [f"{url}, the last first:" if heads else f"Nothing was pushed to {url} yet."]
    for head in heads:
        mark = "*" if head == heads[0] else " "
        when, host = one_line(head.published_at), one_line(head.host)
        lines.append(f"{mark} {head.number}  {head.edition[:12]}  {when}  {host}")
    show(given.json, value, "\n".join(lines))
    return DONE


def rollback_bucket(url: str, edition: str | None) -> int:
    """`wmtp rollback URL [EDITION]`."""
    from wmtp_assets.bucket import Bucket, rollback

    head = in_a_thread(lambda: rollback(Bucket(url), edition))
    print(f"{url} is {head.edition[:12]} again, as its edition {head.number}.")
    return DONE


def gc_of_bucket(given: argparse.Namespace) -> int:
    """`wmtp gc URL`."""
    from wmtp_assets.bucket import Bucket, gc, remove_mark
    from wmtp_assets.storage.preflight import gigabytes

    if given.raw:
        raise WmtpError(
            "--raw removes fetched weights from a storage, and this is a bucket",
            expected="`wmtp gc URL` with --keep or --dry-run",
            found="--raw",
            hint="leave it out. After `wmtp gc --raw` and `wmtp push URL` the bucket's next "
            "edition has no weights either.",
        )
    if given.ended is not None:
        in_a_thread(lambda: remove_mark(Bucket(given.url), given.ended))
        value: dict[str, object] = {"ended": given.ended}
        show(given.json, value, f"{given.ended} is removed: it keeps nobody out.")
        return DONE
    done = in_a_thread(lambda: gc(Bucket(given.url), keep=given.keep, dry_run=given.dry_run))
    word = "would be removed" if given.dry_run else "removed"
    value = {
        "dry_run": given.dry_run,
        "editions": done.editions,
        "removed": [{"key": key, "size": size} for key, size in done.objects.items()],
        "size": done.size,
    }
    what = f"{counted(done.editions, 'edition')} and {counted(len(done.objects), 'object')}"
    show(given.json, value, f"{what} {word}, {gigabytes(done.size)}.")
    return DONE


def _sets(edition: Edition) -> dict[str, str]:
    return {name: one.version for name, one in sorted(edition.publications.items())}


def _wrong(wrong: Mapping[str, Wrong]) -> dict[str, dict[str, object]]:
    return {key: dict(one._asdict()) for key, one in sorted(wrong.items())}


def _wrong_lines(
    url: str, wrong: Mapping[str, Wrong], paths: Mapping[str, list[str]] | None = None
) -> list[str]:
    lines = [
        f"WRONG: {url.rstrip('/')}/{key}: expected {one.expected}; found {one.found}"
        + (f"; it is of {', '.join(paths[key][:3])}" if paths else "")
        for key, one in sorted(wrong.items())
    ]
    if wrong:
        layout = " --layout plain" if any(key.startswith("plain") for key in wrong) else ""
        lines.append(
            f"`wmtp push {shlex.quote(url)} --force{layout}` where the storage is writes every "
            "object anew."
        )
    return lines
