"""openai/gsm8k, config main: word problems whose answers are calculations; rows without a class.

The columns are those of https://huggingface.co/datasets/openai/gsm8k: `question` and `answer`,
which ends with `#### ` and the number asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from wmtp_assets.corpora import records
from wmtp_assets.corpora.columns import Kind, Text
from wmtp_assets.corpora.dataset_format import TASK_ID, Rule
from wmtp_assets.corpora.solved_tasks import Raw, SolvedTasks, Test

_MARK: Final = "####"


class Gsm8k(SolvedTasks):
    """Upstream's `question` is the instruction and `answer` the output; no row has tests. A row
    whose answer states no final answer is refused."""

    name = "gsm8k"
    label = "gsm8k"
    citation = (
        "K. Cobbe et al., Training Verifiers to Solve Math Word Problems, 2021, "
        "https://arxiv.org/abs/2110.14168"
    )
    source = "gsm8k"
    columns: ClassVar[Mapping[str, Kind]] = {"question": Text(), "answer": Text()}
    instruction = "question"
    solution = "answer"
    id_column = None
    fields: ClassVar[Mapping[str, Rule]] = {"task_id": TASK_ID}
    metadata_fields: ClassVar[Mapping[str, Rule]] = {
        "final_answer": {
            "type": "string",
            "minLength": 1,
            "description": f"What follows {_MARK} in the output.",
        }
    }
    tested = False
    checks = ()
    growth = 6  # some 4.7 MB of rows from the published 2.7 MB, index and statistics on top
    row_bytes = 700

    def in_metadata(self, raw: Raw) -> dict[str, Test]:
        _, mark, final = records.plain_text(raw["answer"]).rpartition(_MARK)
        return {"final_answer": final.strip().encode() if mark else b""}


FORMAT = Gsm8k()
