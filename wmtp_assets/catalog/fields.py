"""The types of single values in a catalog: names, digests, counts, dtypes, and what each may be.

The entries that have such values are in `upstream_entries.py`, `model_entries.py` and
`dataset_entries.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from wmtp_assets.storage.bounds import why_unsafe

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _without_climbing(value: str) -> str:
    if ".." in value:
        raise ValueError("'..' is not allowed")
    return value


def _inside_its_folder(path: str) -> str:
    reason = why_unsafe(path)
    if reason is not None:
        raise ValueError(f"this file name {reason}: give a path inside the repository")
    return path


def _no_word_of_datasets(split: str) -> str:
    if split == "all":
        raise ValueError("`datasets` means every split together by 'all': choose another name")
    return split


_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
RepositoryName = Annotated[
    str,
    StringConstraints(pattern=rf"^{_SEGMENT}/{_SEGMENT}$"),
    AfterValidator(_without_climbing),
]
# A commit, or a branch, tag or other ref as git allows and URLs carry.
Revision = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./+-]{0,254}$"),
    AfterValidator(_without_climbing),
]
FileName = Annotated[str, AfterValidator(_inside_its_folder)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
# An address that needs no escaping in HTML, Markdown or YAML.
Link = Annotated[
    str,
    StringConstraints(
        pattern=r"^https://[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(/[A-Za-z0-9._~/-]*)?(#[A-Za-z0-9._-]+)?$",
        max_length=500,
    ),
]
# Strict: YAML has numbers and truth values of its own, and `true` is not the number 1.
_MOST = 1 << 63  # what files of rows and receipts can hold
Count = Annotated[int, Field(ge=0, lt=_MOST, strict=True)]
Positive = Annotated[int, Field(gt=0, lt=_MOST, strict=True)]
Seed = Annotated[int, Field(ge=-_MOST, lt=_MOST, strict=True)]
Truth = Annotated[bool, Field(strict=True)]
# The longest file name that is made of both has 96 + 96 + 23 characters, and may have 255.
AssetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,95}$")]
SplitName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,95}$"), AfterValidator(_no_word_of_datasets)
]
# Whose tokenizer: that of `shared`, one's `own`, or the one of the model of that name.
TokenizerOf = AssetName
SHARED, OWN = "shared", "own"
Dtype = Literal["float16", "bfloat16", "float32"]
SourceDtype = Literal["float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"]
Status = Literal["required", "optional"]
SMALL_SEED = 42
QUALITY_SEED = 42
MAX_TOKENS = 65_535  # of a row: the row index holds token counts in 16 bits


class Entry(BaseModel):
    """Unknown fields are mistakes, and a catalog does not change once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def list_from_string(value: object) -> object:
    return [value] if isinstance(value, str) else value
