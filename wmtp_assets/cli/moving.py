"""The command `export`, and what `verify` and `doctor` do with a folder that was copied."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtp_assets.cli.buckets import verify_bucket
from wmtp_assets.cli.common import DONE, WRONG, add_json, open_project, plain, show
from wmtp_assets.errors import WmtpError

if TYPE_CHECKING:
    from wmtp_assets.export import Exported


def register(commands: Any) -> None:
    """Adds these commands to the parser."""
    export = commands.add_parser(
        "export", help="write what is published as regular files, to be copied elsewhere"
    )
    export.add_argument(
        "directory",
        type=Path,
        help="the folder to make or complete: it gets a folder for models and one for "
        "datasets, each with SHA256SUMS",
    )
    export.add_argument(
        "selection",
        nargs="*",
        default=[],
        help="asset keys, group:NAME, or names of models and datasets in the catalog "
        "(default: everything that is published)",
    )
    export.add_argument(
        "--link",
        action="store_true",
        help="hard links to the storage's own files where possible: instant, without extra space, "
        "but writing into the export then changes the storage",
    )
    add_json(export)
    export.set_defaults(run=_export)


def add_exported(parser: argparse.ArgumentParser) -> None:
    """The argument of `verify` by which it verifies an export instead of the storage."""
    parser.add_argument(
        "directory",
        nargs="?",
        help="a folder that `wmtp export` wrote, a copy of one, or one volume of it: every byte is "
        "compared with its SHA256SUMS, without the storage; or the URL of a bucket that `wmtp "
        "push` wrote (default: the storage is verified)",
    )


def _export(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.exporting import export
    from wmtp_assets.bucket import require_path

    require_path(given.directory, "`wmtp push URL` copies what is published into a bucket.")
    done = export(open_project(), given.directory, given.selection, given.link)
    value: dict[str, object] = {
        "sound": not done.wrong,
        "folder": str(done.folder),
        "volumes": list(done.volumes),
        "sets": dict(done.sets),
        "files": {
            **{str(method): count for method, count in sorted(done.made.items())},
            "names": done.names,
            "kept": done.kept,
            "removed": done.removed,
        },
        "bytes": done.bytes,
        "size": done.size,
        "wrong": {
            path: {"file": str(one.file), "expected": one.expected, "found": one.found}
            for path, one in sorted(done.wrong.items())
        },
    }
    show(given.json, value, _text(done), sound=not done.wrong)
    return WRONG if done.wrong else DONE


def _text(done: Exported) -> str:
    """How the files came to be there, what is wrong, and what verifies them elsewhere."""
    from wmtp_assets.export.files import Method
    from wmtp_assets.storage.aside import quoted
    from wmtp_assets.storage.preflight import gigabytes

    words = {
        Method.COPY: f"copied ({gigabytes(done.bytes)})",
        Method.REFLINK: "cloned (reflinks: no extra space)",
        Method.LINK: "linked (hard links: the storage's own files)",
    }
    counts = [f"{done.made[method]} files {words[method]}" for method in words if done.made[method]]
    counts += [f"{done.names} further names of these"] if done.names else []
    counts += [f"{done.kept} existed already, and were compared"] if done.kept else []
    counts += [f"{done.removed} of earlier editions removed"] if done.removed else []
    lines = [
        f"WRONG: {path}: {one.file}: expected {one.expected}; found {one.found}; what to do: "
        f"{one.hint}"
        for path, one in sorted(done.wrong.items())
    ]
    lines.append(f"{'; '.join(counts) or 'Nothing was written'}.")
    if done.made[Method.LINK]:
        lines.append(
            "Writing into these files changes the storage: mount or copy the export read-only."
        )
    if done.wrong:
        lines.append(f"{done.folder} is not complete.")
        return "\n".join(lines)
    folder = quoted(done.folder)
    lines += [
        f"{len(done.sets)} sets, {gigabytes(done.size)}, are in {done.folder}, in the volumes "
        f"{', '.join(done.volumes)}.",
        f"`rsync -aH {folder}/ HOST:DIR/` copies them (-H: what has two names is sent once).",
        "There `wmtp verify DIR` verifies them, or `sha256sum -c --quiet SHA256SUMS` in each "
        "volume.",
    ]
    return "\n".join(lines)


def verify_exported(given: argparse.Namespace) -> int:
    """`wmtp verify DIR` and `wmtp verify URL`."""
    from wmtp_assets.bucket import bucket_url
    from wmtp_assets.export import verify_export

    of_a_storage = {
        "--against-source": given.against_source,
        "--sample": given.sample is not None,
        "--seed": given.seed is not None,
        "--signatures": given.signatures,
    }
    refused = [option for option, is_given in of_a_storage.items() if is_given]
    if refused:
        raise WmtpError(
            "A copy is verified by its own sums, and these options are for a storage",
            expected="`wmtp verify DIR` or `wmtp verify URL` alone",
            found=", ".join(refused),
            hint="leave out the folder or URL to verify the storage, or the options.",
        )
    if (url := bucket_url(given.directory)) is not None:
        return verify_bucket(given, url)
    done = verify_export(_folder(Path(given.directory)))
    show(given.json, done.to_json(), done.text(), sound=done.sound)
    return DONE if done.sound else WRONG


def doctor_of_a_copy(given: argparse.Namespace) -> int:
    """`wmtp doctor DIR`."""
    from dataclasses import asdict

    from wmtp_assets.artifacts.copied_folders import examine_copy
    from wmtp_assets.artifacts.requirements import facts_text
    from wmtp_assets.bucket import require_path

    require_path(given.directory, "`wmtp verify URL` verifies what is in a bucket.")
    facts = examine_copy(_project_if_any(), _folder(given.directory))
    sound = not any(fact.state == "problem" for fact in facts)
    value = {"sound": sound, "facts": [asdict(fact) for fact in facts]}
    show(given.json, value, facts_text(facts), sound=sound)
    return DONE if sound else WRONG


def _project_if_any() -> Any:
    """The project of the environment; None where that names none that can be used: a machine to
    which files were copied need not have one."""
    try:
        return open_project()
    except WmtpError as error:
        print(plain(f"wmtp: {error}"), file=sys.stderr)
        return None


def _folder(path: Path) -> Path:
    """An existing folder, from the call."""
    if path.is_dir():
        return path.resolve()
    raise WmtpError(
        "This is not the path of a folder",
        expected="an existing folder",
        found="a file" if path.exists() else "nothing",
        where=path,
        hint="leave it out to examine the storage that WMTP_STORAGE names.",
    )
