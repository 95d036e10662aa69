"""What the Hub's API says of a repository, read strictly: a commit, and files with their digests.

Everything comes in one answer; nothing is paged. A field that is not what the API documents makes
the answer unusable, because half of a listing would look like a repository with fewer files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wmtp_assets.hub.files import RemoteFile, is_commit

LARGEST = 16 << 20
"""Bytes of an answer, decompressed: some 50,000 files; what it expands to stays below 500 MB."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HIDDEN = re.compile(r"\*+")  # how the Hub shows digests of a gated repository to outsiders
_LARGEST_FILE = 1 << 62


class UnreadableAnswerError(ValueError):
    """The answer is not what the API documents; the message says where."""


@dataclass(frozen=True)
class Listing:
    """A repository at one commit."""

    commit: str
    files: tuple[RemoteFile, ...]


def read_listing(body: bytes) -> Listing:
    """The answer of `GET /api/models/<name>/revision/<revision>?blobs=true`.

    Raises UnreadableAnswerError.
    """
    top = _object(_strict(body), "the answer")
    commit = top.get("sha")
    if not isinstance(commit, str) or not is_commit(commit):
        raise UnreadableAnswerError(f"sha is {_shown(commit)}, not 40 hex digits")
    siblings = top.get("siblings")
    if not isinstance(siblings, list):
        raise UnreadableAnswerError(f"siblings is {_shown(siblings)}, not a list")
    files: dict[str, RemoteFile] = {}
    for index, sibling in enumerate(siblings):
        file = _file(_object(sibling, f"siblings[{index}]"), f"siblings[{index}]")
        if file.path in files:
            raise UnreadableAnswerError(f"{_shown(file.path)} is listed twice")
        files[file.path] = file
    return Listing(commit, tuple(files.values()))


def _file(entry: Mapping[str, object], where: str) -> RemoteFile:
    path = entry.get("rfilename")
    if not isinstance(path, str) or not path:
        raise UnreadableAnswerError(f"{where}.rfilename is {_shown(path)}, not a name")
    size, sha256, hidden = _size(entry.get("size"), f"{where}.size"), None, False
    lfs = entry.get("lfs")
    if lfs is not None:
        large = _object(lfs, f"{where}.lfs")
        sha256, hidden = _digest(large.get("sha256"), _SHA256, f"{where}.lfs.sha256")
        inner = _size(large.get("size"), f"{where}.lfs.size")
        if None not in (size, inner) and size != inner:
            raise UnreadableAnswerError(f"{where} has two sizes, {size} and {inner}")
        size = size if size is not None else inner
    blob, blob_hidden = _digest(entry.get("blobId"), re.compile(r"[0-9a-f]{40}"), f"{where}.blobId")
    hidden = hidden or blob_hidden
    # The blob of a file in LFS is its pointer, which is not what is fetched.
    return RemoteFile(path, size, sha256, blob if lfs is None else None, hidden)


def _digest(value: object, form: re.Pattern[str], where: str) -> tuple[str | None, bool]:
    """A digest, or None; and whether there is one that is not shown to this reader."""
    if value is None:
        return None, "sha256" in where
    if isinstance(value, str):
        if form.fullmatch(value):
            return value, False
        if _HIDDEN.fullmatch(value):
            return None, True
    raise UnreadableAnswerError(f"{where} is {_shown(value)}, not hex digits")


def _size(value: object, where: str) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < _LARGEST_FILE:
        raise UnreadableAnswerError(f"{where} is {_shown(value)}, not a number of bytes")
    return value


def _object(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise UnreadableAnswerError(f"{where} is {_shown(value)}, not an object")
    return value


def _shown(value: object) -> str:
    """A value for a message: its type, and no more of it than a line holds."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) > 1 << 80:
        return "a number of many digits"
    return ascii(value)[:60]


def _strict(body: bytes) -> object:
    try:
        value: object = json.loads(
            body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise UnreadableAnswerError(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise UnreadableAnswerError("JSON nested too deeply") from None
    except UnreadableAnswerError:
        raise
    except ValueError as error:
        raise UnreadableAnswerError(f"no JSON: {str(error)[:80]}") from None
    return value


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableAnswerError("an object names a field twice")
    return found


def _no_constant(text: str) -> object:
    raise UnreadableAnswerError(f"{text} is not JSON")
