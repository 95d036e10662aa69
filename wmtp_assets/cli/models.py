"""The command about single models: llama."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from wmtp_assets.cli.common import DONE, add_json, open_project, show


def register(commands: Any) -> None:
    """Adds these commands to the parser."""
    llama = commands.add_parser(
        "llama",
        help="write a multi-token-prediction model's next-token head as a LLaMA, for transformers "
        "and vLLM",
    )
    llama.add_argument(
        "model",
        help="its name in the catalog, or the path of a folder with the layout of a model's folder",
    )
    llama.add_argument("directory", type=Path, help="the new folder")
    add_json(llama)
    llama.set_defaults(run=_llama, starts_over=True)


def _llama(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.as_llama import model_folder_of, write_as_llama

    source = model_folder_of(open_project(), given.model)
    written = write_as_llama(source, given.directory, lambda text: print(text, file=sys.stderr))
    value = {
        "folder": str(written.folder),
        "parameters": written.parameters,
        "size": written.size,
        "largest_difference_of_logits": written.difference,
        "largest_logit": written.largest,
    }
    text = (
        f"{written.folder} holds the next-token head of {source.name} as a LLaMA: "
        f"{written.parameters:,} parameters.\n"
        "Every value was read back and compared; logits differ by "
        f"{written.difference:.2g} at most, the largest being {written.largest:.2g}."
    )
    show(given.json, value, text)
    return DONE
