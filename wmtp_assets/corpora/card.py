"""README.md of a folder of rows: it declares, as on the Hub, which files `datasets` reads.

Without it `datasets.load_dataset(folder)` takes the files of the most frequent kind, which is the
row index, and infers each field's type from the first rows that it meets. An empty split must not
be declared: `datasets` refuses one.
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.schema import row_features

_SAMPLE = "**Generated sample, not the real data.** No row is from the real dataset.\n\n"


def dataset_card(
    dataset_format: DatasetFormat, files: Mapping[str, str], *, sample: bool = False
) -> bytes:
    """The card of a folder of rows of `dataset_format`; `files` maps splits to file names.

    `sample`: the rows are generated, which the card then says first.
    """
    front = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": file} for split, file in files.items()],
            }
        ],
        "dataset_info": {"features": row_features(dataset_format)},
    }
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n"
        f"# {dataset_format.label}\n\n{_SAMPLE if sample else ''}"
        "`datasets.load_dataset` reads the rows that this file declares. Every other file of this "
        "folder is\nabout them: what each row is, and where it lies.\n"
    ).encode()
