"""evalplus/humanevalplus: HumanEval's functions with eighty times as many tests.

Its Parquet has HumanEval's columns (https://huggingface.co/datasets/evalplus/humanevalplus); its
`test.jsonl` is what the package evalplus reads, with inputs in place of a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from wmtp_assets.corpora.dataset_format import Relative
from wmtp_assets.corpora.formats.humaneval import HumanEval
from wmtp_assets.corpora.package_file import EVALPLUS_FIELDS, PackageFile


class HumanEvalPlus(HumanEval):
    """Rows as HumanEval's. A test is up to megabytes of inputs and results."""

    name = "humaneval-plus"
    label = "humaneval-plus"
    source = "humaneval-plus"
    relatives: ClassVar[Sequence[Relative]] = (
        Relative(
            "HumanEval+ as the package evalplus reads it, with inputs in place of tests",
            frozenset({"base_input", "plus_input"}),
            "Name data/test-*.parquet among the files of the split, and the JSONL as the dataset's "
            "package_file.",
        ),
    )
    package = PackageFile("evalplus", "HUMANEVAL_OVERRIDE_PATH", EVALPLUS_FIELDS)
    version = ""
    growth = 12  # 164 rows of 67 kB in 2.9 MB of Parquet, each test twice
    row_bytes = 134_000


FORMAT = HumanEvalPlus()
