"""JSON from strangers: UTF-8, no duplicate keys, only finite numbers, bounded size and depth."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

from wmtp_assets.checkpoints.errors import CheckpointError

# 4 MiB hold the names of some 38,000 tensors; the largest known model here has 358. The cap keeps
# what the worst 4 MiB expand to below 200 MB of Python objects.
MAX_BYTES = 4 << 20
BOM = b"\xef\xbb\xbf"
_MAX_DEPTH = 200  # far below what any recursion over the value runs into
_MAX_DIGITS = 400  # of a whole number: Python's own limit depends on how it was started
# A bracket, or a text whole (possessive, so that what never ends is scanned once).
_TOKEN = re.compile(r'[\[\]{}]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)


class StrictJsonError(ValueError):
    """The text is not JSON of the strict kind; the message says why, `found` what it is instead."""

    def __init__(self, why: str, found: str | None = None) -> None:
        super().__init__(why)
        self.found = found


class JsonFileError(CheckpointError):
    """A file that must hold a JSON object holds something else."""


def loads(data: bytes, limit: int = MAX_BYTES) -> object:
    """Parse `data`; raises StrictJsonError, whatever is wrong with it."""
    if len(data) > limit:
        raise StrictJsonError(f"it has more than {limit:,} bytes")
    if data.startswith(BOM):
        raise StrictJsonError("it begins with a byte order mark", "a byte order mark (EF BB BF)")
    try:
        text = data.decode("utf-8")
        _check_depth(text)
        value: object = json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_short,
        )
        if "\\ud" in text or "\\uD" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise StrictJsonError("nested too deeply") from None
    except StrictJsonError:
        raise
    except UnicodeDecodeError as error:
        problem = f"byte {error.start:,} is not UTF-8"
        raise StrictJsonError(problem, describe(data)) from None
    except UnicodeEncodeError:
        raise StrictJsonError("a text in it holds half of a surrogate pair") from None
    except ValueError as error:
        raise StrictJsonError(str(error)[:200], describe(data)) from None
    return value


def loads_object(data: bytes, limit: int = MAX_BYTES) -> dict[str, object]:
    """As `loads`, of a JSON object; StrictJsonError for any other value."""
    value = loads(data, limit)
    if not isinstance(value, dict):
        raise StrictJsonError("it is not a JSON object", kind_of(value))
    return value


def read_object(path: Path, what: str, hint: str, limit: int = MAX_BYTES) -> dict[str, object]:
    """The JSON object in the file `path`, which is `what` ("The config").

    Raises JsonFileError, which names the file, for a file that is missing, larger than `limit`
    bytes or anything else than strict JSON; `hint` says what to do.
    """
    try:
        with path.open("rb") as file:
            return loads_object(file.read(limit + 1), limit)
    except StrictJsonError as error:
        raise JsonFileError(
            f"{what} cannot be read: {error}",
            expected="a JSON object",
            found=error.found,
            where=path,
            hint=hint,
        ) from None
    except OSError as error:
        raise JsonFileError(
            f"{what} cannot be read",
            expected="a JSON object",
            found=error.strerror or error,
            where=path,
            hint=hint,
        ) from error


def kind_of(value: object) -> str:
    """What a JSON value is, in words: "a list", "null"."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return "a number"
        case str():
            return f"the text {value[:40]!a}"
        case list():
            return "a list"
        case _:
            return "an object"


def describe(data: bytes) -> str:
    """What a file that is not JSON looks like."""
    start = data[:256].lstrip()
    if not start:
        return "nothing but white space" if data else "an empty file"
    if start[:1] == b"<":
        return f"HTML or XML, which begins with {start[:40].decode('ascii', 'replace')!a}"
    if data.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself"
    return f"text that begins with {start[:40].decode('ascii', 'replace')!a}"


def _check_depth(text: str) -> None:
    """StrictJsonError where brackets nest deeper than any recursion over the value should go."""
    depth = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in "[{":
            depth += 1
            if depth > _MAX_DEPTH:
                raise StrictJsonError("nested too deeply")
        elif first in "]}":
            depth -= 1


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise StrictJsonError(f"{text[:40]} is too large for a number")
    return value


def _short(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise StrictJsonError(f"a number of {len(text):,} digits")
    return int(text)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise StrictJsonError(f"the key {key[:80]!a} occurs twice")
            seen.add(key)
    return found


def _refuse_constant(text: str) -> object:
    raise StrictJsonError(f"{text} is not JSON", text)
