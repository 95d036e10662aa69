"""Near-duplicates of a split's rows."""

from __future__ import annotations

from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.types import Split
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.quality.duplicates import write_duplicates
from wmtp_assets.storage.preflight import require_space

_BYTES_PER_ROW = 4  # before compression


def cluster_rows(task: Task) -> Made:
    """The cluster of each row of a split. Raises CorpusError where its files do not belong
    together."""
    (file,) = set(task.artifact.links.values())
    corpus = Corpus(task.input(task.artifact.inputs[0], Split).jsonl)
    require_space(task.folder, _BYTES_PER_ROW * len(corpus), f"Writing {file}")
    return Made(write_duplicates(corpus, task.folder / file, log=task.log.info))
