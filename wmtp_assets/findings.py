"""What a proof says: one `Finding` a question, with the expected beside the found.

Proofs live with what they prove (`checkpoints/checks.py`, `corpora/checks.py`); Dagster's checks,
`wmtp verify` and the gate all read the same findings, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """The answer to one question about one artifact.

    `name` is the check's name (snake_case, stable: Dagster's history hangs on it). `blocking` says
    whether wrong data would flow on if this were ignored. `where` names the file (and line or
    tensor). `details` holds small JSON-able extras, shown beside expected and found.
    """

    name: str
    passed: bool
    expected: object
    found: object
    where: str
    blocking: bool = True
    hint: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
