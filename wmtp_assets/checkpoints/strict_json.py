"""JSON from strangers: UTF-8, no duplicate keys, no NaN, bounded size and depth."""

from __future__ import annotations

import json

# 4 MiB hold the names of some 38,000 tensors; the largest known model here has 358. The cap keeps
# what the worst 4 MiB expand to below 200 MB of Python objects.
MAX_BYTES = 4 << 20


class StrictJsonError(ValueError):
    """The text is not JSON of the strict kind; the message says why."""


def loads(data: bytes) -> object:
    """Parse `data`; raises StrictJsonError, whatever is wrong with it."""
    if len(data) > MAX_BYTES:
        raise StrictJsonError(f"{len(data):,} bytes of JSON, more than {MAX_BYTES:,}")
    try:
        value: object = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise StrictJsonError("nested too deeply") from None
    except StrictJsonError:
        raise
    except ValueError as error:
        raise StrictJsonError(str(error)[:200]) from None
    return value


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
    raise StrictJsonError(f"{text} is not JSON")
