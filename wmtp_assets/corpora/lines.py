"""From a line of the JSONL back to a row: what `json.loads` gives, in a fraction of its time.

Rows of one problem share instruction and input, which are most of a line, so these are parsed once
a problem; and there are only as many different ends of lines (class and metadata) as there are
difficulties.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

Row = dict[str, Any]
Head = tuple[int, str, str]  # bytes of a line before its output; instruction; input

_KEPT_BYTES = 64 << 20  # of problems' texts
# Within a JSON string a quote has a backslash before it, so no text can hold these.
_OUTPUT: Final = b'", "output": "'
_TASK: Final = ', "task_id": "'
_ENDING = {"is_correct", "metadata"}
# The standard library's own scanner of strings; its stubs leave it out.
_scan: Final[Callable[[str, int], tuple[str, int]]] = vars(json.decoder)["scanstring"]


class LineParser:
    """Parses lines of one corpus. `heads` says of which problems only the rest of a line need be
    read."""

    def __init__(self) -> None:
        self.heads: dict[int, Head] = {}
        self._bytes = 0
        self._endings: dict[str, Row] = {}
        self._decode = json.JSONDecoder().raw_decode

    def row(self, problem: int, line: bytes) -> Row:
        """The row of a whole line."""
        head = self.heads.get(problem)
        if head is not None:
            known = self.joined(head, line[head[0] :])
            if known is not None:
                return known
        row: Row = self._decode(line.decode("ascii"))[0]
        if self._bytes > _KEPT_BYTES:
            self.heads.clear()
            self._bytes = 0
        size = line.find(_OUTPUT)
        self.heads[problem] = (size, row["instruction"], row["input"])
        self._bytes += size
        return row

    def joined(self, head: Head, rest: bytes) -> Row | None:
        """The row of `head` and of what follows it in its line; None if that is something else."""
        if not rest.startswith(_OUTPUT):
            return None
        text = rest.decode("ascii")
        output, end = _scan(text, len(_OUTPUT))
        if not text.startswith(_TASK, end):
            return None
        task_id, end = _scan(text, end + len(_TASK))
        row: Row = {
            "instruction": head[1],
            "input": head[2],
            "output": output,
            "task_id": task_id,
        }
        ending = text[end:]
        known = self._endings.get(ending)
        if known is None:
            known = self._decode("{" + ending[2:])[0]
            if known.keys() != _ENDING:  # an evaluation set: each line has tests of its own
                row.update(known)
                return row
            self._endings[ending] = known
        row["is_correct"] = known["is_correct"]
        row["metadata"] = known["metadata"].copy()
        return row
