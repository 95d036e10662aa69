"""README.md of a folder of rows: it declares, as on the Hub, which files `datasets` reads.

Without it `datasets.load_dataset(folder)` takes the files of the most frequent kind, which is the
row index, and infers each field's type from the first rows that it meets. An empty split must not
be declared: `datasets` refuses one.

`datasets` caches rows by the folder's name and by what its card declares, whatever the files hold:
of two folders called `processed`, or of a file that was made again, it would give the rows that it
read first. So each card states which rows it is about.
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.schema import row_features

_SAMPLE = "**Generated sample, not the real data.** No row is from the real dataset.\n\n"


def dataset_card(
    dataset_format: DatasetFormat, files: Mapping[str, str], rows: str, *, sample: bool = False
) -> bytes:
    """The card of a folder of rows of `dataset_format`; `files` maps splits to file names.

    `rows`: a digest that is another one when the rows are others. `sample`: the rows are generated,
    which the card then says first.
    """
    front = {
        "configs": [
            {
                "config_name": "default",
                "description": f"Rows {rows}",
                "data_files": [{"split": split, "path": file} for split, file in files.items()],
            }
        ],
        "dataset_info": {"features": row_features(dataset_format)},
    }
    return (
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n"
        f"# {dataset_format.label}\n\n{_SAMPLE if sample else ''}"
        "`datasets.load_dataset` reads the rows that this file declares. Every other file of this "
        "folder is\nabout them: what each row is, and where it lies. The description is the rows' "
        "digest: `datasets` caches\nby what this file declares, and so reads other rows anew.\n"
    ).encode()
