"""A fetched tokenizer: its file, and the documents that say which of its tokens are special."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.artifacts.conversion import upstream_config
from wmtp_assets.artifacts.types import Fetched
from wmtp_assets.catalog import UpstreamModel
from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.json_tokenizers import CONFIG
from wmtp_assets.checkpoints.open_tokenizer import OpenTokenizer
from wmtp_assets.checkpoints.tokenizers import open_tokenizer, tokenizer_documents
from wmtp_assets.checkpoints.vocabulary import require_vocabulary


@dataclass(frozen=True)
class TokenizerSource:
    """The fetched tokenizer of a model, and the `documents` to be published beside its file.

    `config` is that of the model, as upstream has it, where that was fetched as well.
    """

    file: Path
    documents: Mapping[str, Mapping[str, object]]
    config: Mapping[str, object] | None

    @classmethod
    def of(cls, raw: Fetched, model: UpstreamModel) -> TokenizerSource:
        """The tokenizer among the files of `raw`, which are those of `model`.

        Raises TokenizerError, and CheckpointError where a document is none.
        """
        paths, files = raw.paths(), model.files
        if files.tokenizer is None:
            raise ValueError("this model has no tokenizer")  # the catalog's rules forbid it
        config = None
        if files.config.path in paths:
            config = upstream_config(model, raw)
        stated = None
        if files.tokenizer_config is not None and files.tokenizer_config.path in paths:
            named = files.tokenizer_config.path
            stated = strict_json.read_object(
                paths[named],
                f"The {named} of {model.upstream.repository}",
                "name the tokenizer_config.json of the repository as files.tokenizer_config in "
                "the catalog, or leave it out.",
            )
        file = paths[files.tokenizer.path]
        return cls(file, tokenizer_documents(file, stated, config), config)

    @property
    def opened(self) -> OpenTokenizer:
        """The tokenizer, with the special tokens that are published."""
        return open_tokenizer(self.file, self.documents.get(CONFIG, {}))

    def require_of(self, model: str) -> None:
        """VocabularyError where the config of `model`, if it is here, is of another vocabulary."""
        rows = (self.config or {}).get("vocab_size")
        if self.config is not None and isinstance(rows, int) and rows > 0:
            require_vocabulary(self.opened, self.config, rows, model)
