"""Where something comes from: a repository of the Hub, and the files that are taken from it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, model_validator

from wmtp_assets.catalog.fields import (
    Count,
    Entry,
    FileName,
    Link,
    Positive,
    RepositoryName,
    Revision,
    Sha256,
    Truth,
    Words,
)
from wmtp_assets.catalog.spdx import REF, expression
from wmtp_assets.hub.files import is_commit


class File(Entry):
    """A file of a repository, or a pattern (`*`) and how many files it must match.

    `sha256` is checked on arrival where it is known beforehand; what is not known is computed on
    arrival and recorded in `assets.lock`.
    """

    path: FileName
    sha256: Sha256 | None = None
    size: Count | None = None
    count: Positive = 1

    @model_validator(mode="after")
    def _pattern_and_digest_exclude_each_other(self) -> Self:
        if "*" in self.path and (self.sha256 or self.size is not None):
            raise ValueError("a pattern cannot have one digest or size: name the files instead")
        if "*" not in self.path and self.count != 1:
            raise ValueError("count belongs to a pattern: this path has no '*'")
        return self


def _file_from_string(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


FileField = Annotated[File, BeforeValidator(_file_from_string)]


class Upstream(Entry):
    """Where something comes from: a repository of the Hub, pinned to a commit.

    `licence` is an SPDX expression. A licence that is not on SPDX's list is
    `LicenseRef-<name>`, and `licence_name` and `licence_link` then identify it. Free text is
    accepted as well: `wmtp licences` says what to write instead.

    `redistribution` says whether copies may be redistributed, `noncommercial` whether only
    noncommercial use is allowed. If they are left out, both follow from a licence that
    `licences.py` knows, and are unknown otherwise.
    """

    repository: RepositoryName
    revision: Revision
    licence: Words
    licence_name: Words | None = None
    licence_link: Link | None = None
    redistribution: Words | None = None
    noncommercial: Truth | None = None
    gated: Truth = False

    @model_validator(mode="after")
    def _own_licences_are_explained(self) -> Self:
        known = expression(self.licence)
        if known is None or not known.own:
            if self.licence_name or self.licence_link:
                raise ValueError(
                    f"licence_name and licence_link explain a licence that is called {REF}<name>, "
                    f"which {self.licence!r} is not"
                )
        elif len(known.own) > 1:
            raise ValueError(
                f"licence: {' and '.join(known.own)} have one licence_name and licence_link: name "
                "one licence of your own, which says all of it"
            )
        elif not (self.licence_name and self.licence_link):
            missing = "licence_link" if self.licence_name else "licence_name"
            raise ValueError(
                f"licence: {known.own[0]} is on no list: say in {missing} what it is"
                if missing == "licence_name"
                else f"licence: {known.own[0]} is on no list: say in licence_link where it is"
            )
        return self

    @property
    def pinned(self) -> bool:
        """Whether `revision` is a commit (40 hex digits) and not a branch or a tag."""
        return is_commit(self.revision)
