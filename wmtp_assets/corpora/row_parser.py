"""From a line of the JSONL back to a row: what `json.loads` gives, in a fraction of its time.

Rows of one problem share instruction and input, which are most of a line, so these are parsed once
a problem; what follows them is parsed by pydantic's JSON parser, which the catalog's schema brings
with it anyway.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import from_json

Row = dict[str, Any]
Head = tuple[int, str, str]  # bytes of a line before its output; instruction; input

_KEPT_BYTES = 64 << 20  # of problems' texts
# Within a JSON string a quote has a backslash before it, so no text can hold this.
_OUTPUT: Final = b'"output": "'
_FIELDS: Final = ["instruction", "input", "output"]
_OPENING: Final = b'{"instruction": 0, "input": 0, '  # so that a row's fields keep their order


class LineParser:
    """Parses lines of one corpus. `heads` says of which problems only the rest of a line need be
    read."""

    def __init__(self) -> None:
        self.heads: dict[int, Head] = {}
        self._bytes = 0

    def row(self, problem: int, line: bytes) -> Row:
        """The row of a whole line."""
        head = self.heads.get(problem)
        if head is not None:
            known = self.joined(head, line[head[0] :])
            if known is not None:
                return known
        row: Row = from_json(line)
        size = line.find(_OUTPUT)
        if size >= 0 and list(row)[:3] == _FIELDS:
            if self._bytes > _KEPT_BYTES:
                self.heads.clear()
                self._bytes = 0
            self.heads[problem] = (size, row["instruction"], row["input"])
            self._bytes += size
        return row

    def joined(self, head: Head, rest: bytes) -> Row | None:
        """The row of `head` and of what follows it in its line; None if that is something else."""
        if not rest.startswith(_OUTPUT):
            return None
        row: Row = from_json(_OPENING + rest, cache_strings="keys")
        row["instruction"], row["input"] = head[1], head[2]
        return row
