"""The terms of a model or dataset: those of every repository that contributed to its files.

Nothing is guessed: what neither the catalog nor a known licence's text says is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from wmtp_assets.catalog import spdx
from wmtp_assets.catalog.artifact import Artifact, Kind
from wmtp_assets.catalog.model_entries import MicroModel
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.catalog.tokenizers import origin_of, raw_of, tokenizer_of
from wmtp_assets.catalog.upstream_entries import Upstream

UNKNOWN: Final = "unknown"

# By SPDX identifier; after each, the clause that says so.
KNOWN: Final[Mapping[str, str]] = {
    # https://www.apache.org/licenses/LICENSE-2.0, section 4
    "Apache-2.0": "allowed, with the licence, its notices, and a note of what was changed",
    # https://opensource.org/license/mit, second paragraph
    "MIT": "allowed, with the copyright notice and the licence",
    # https://opensource.org/license/bsd-3-clause, clauses 1 to 3
    "BSD-3-Clause": "allowed, with the copyright notice and the licence",
    # https://creativecommons.org/licenses/by/4.0/legalcode, sections 2(a)(1) and 3(a)
    "CC-BY-4.0": "allowed, with credit, a link to the licence, and a note of what was changed",
    # https://creativecommons.org/licenses/by-sa/4.0/legalcode, sections 2(a)(1) and 3
    "CC-BY-SA-4.0": "allowed under the same licence, with credit and a note of what was changed",
    # https://creativecommons.org/licenses/by-nc/4.0/legalcode, sections 2(a)(1) and 3(a)
    "CC-BY-NC-4.0": "allowed for noncommercial purposes only, with credit and a note of changes",
    # https://creativecommons.org/publicdomain/zero/1.0/legalcode, section 2
    "CC0-1.0": "allowed without conditions",
}
_NONCOMMERCIAL: Final = frozenset({"CC-BY-NC-4.0"})


def redistribution(upstream: Upstream) -> str:
    """Whether copies of what comes from `upstream` may be passed on, in words."""
    return upstream.redistribution or KNOWN.get(upstream.licence, UNKNOWN)


def noncommercial(upstream: Upstream) -> bool | None:
    """Whether what comes from `upstream` is for noncommercial use alone; None where it is unknown.

    Of the licences that are known, what their text says (`KNOWN` names where).
    """
    if upstream.noncommercial is not None:
        return upstream.noncommercial
    return upstream.licence in _NONCOMMERCIAL if upstream.licence in KNOWN else None


def link_of(upstream: Upstream) -> str | None:
    """Where the text of a licence is: the catalog's link, or SPDX's page of an identifier; None of
    words and of several licences."""
    if upstream.licence_link:
        return upstream.licence_link
    known = spdx.expression(upstream.licence)
    if known is None or known.licences != (known.text,):
        return None
    return f"https://spdx.org/licenses/{known.text}.html"


What = Literal["weights", "tokenizer", "rows", "difficulties", "excerpts"]


@dataclass(frozen=True)
class Terms:
    """What one repository gives to a model or dataset, and on which terms.

    `what` is what of it is in the files; `artifacts` are the assets that hold it. `spdx` says
    whether `licence` is an SPDX expression, and not words. `noncommercial` is None where nobody
    says.
    """

    what: What
    repository: str
    revision: str
    licence: str
    spdx: bool
    name: str | None
    link: str | None
    redistribution: str
    noncommercial: bool | None
    gated: bool
    artifacts: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The licence, with its name where it is on no list."""
        return f"{self.licence} ({self.name})" if self.name else self.licence

    @property
    def use(self) -> str:
        """Whether commercial use is allowed, in words."""
        if self.noncommercial is None:
            return "commercial use unknown"
        return "noncommercial use only" if self.noncommercial else "commercial use not excluded"

    def to_json(self) -> dict[str, object]:
        """As a JSON object."""
        return {**asdict(self), "artifacts": list(self.artifacts)}


@dataclass(frozen=True)
class OwnerTerms:
    """The terms of one model or dataset: those of `parts` together.

    `licence` is the SPDX expression that holds for the whole folder; None where one of the parts
    has words for a licence.
    """

    owner: str
    kind: Literal["model", "dataset"]
    licence: str | None
    parts: tuple[Terms, ...]

    def to_json(self) -> dict[str, object]:
        """As a JSON object."""
        return {
            "name": self.owner,
            "kind": self.kind,
            "licence": self.licence,
            "parts": [part.to_json() for part in self.parts],
        }


def terms_of(catalog: Catalog, owner: str) -> OwnerTerms:
    """Under which terms the model or dataset `owner` is.

    A slice is under its base's, and a model also under those of the tokenizer that is published
    with it. A dataset's rows are counted with a tokenizer, of which nothing is in them.
    """
    upstreams = catalog.upstreams()
    parts = tuple(_terms(what, upstreams[origin]) for what, origin in _origins(catalog, owner))
    kind: Literal["model", "dataset"] = "dataset" if owner in catalog.datasets else "model"
    return OwnerTerms(owner, kind, spdx.combined([part.licence for part in parts]), parts)


def every_terms(catalog: Catalog, artifacts: Iterable[Artifact]) -> list[OwnerTerms]:
    """The terms of every model and dataset, with those of its `artifacts` that are under them.

    Beside what is in its own files, a dataset has excerpts of those that its rows are compared with
    in its files on leaks.
    """
    every = list(artifacts)
    owner_of = {one.name: one.owner for one in every}
    tokenizers = {name for one in every if one.is_shared for name in (one.name, raw_of(one.name))}
    found = []
    for owner in (*catalog.models, *catalog.datasets):
        terms = terms_of(catalog, owner)
        own = [one for one in every if one.owner == owner and one.name not in tokenizers]
        tokenizer = tokenizer_of(catalog, owner)
        held = {
            "weights": tuple(one.name for one in own),
            "rows": tuple(one.name for one in own),
            "difficulties": tuple(one.name for one in own if not one.is_fetched),
            "tokenizer": (raw_of(tokenizer), tokenizer),
        }
        parts = tuple(replace(part, artifacts=held[part.what]) for part in terms.parts)
        parts += tuple(_excerpts(catalog, own, owner_of))
        licence = spdx.combined([part.licence for part in parts])
        found.append(replace(terms, licence=licence, parts=parts))
    return found


def _excerpts(
    catalog: Catalog, own: Iterable[Artifact], owner_of: Mapping[str, str]
) -> Iterator[Terms]:
    """The terms of other datasets' texts, by the artifacts of a dataset that quote them."""
    quoting: dict[str, list[str]] = {}
    for artifact in own:
        if artifact.kind is Kind.LEAKS:
            quoted = dict.fromkeys(owner_of[name] for name in artifact.inputs)
            for other in quoted:
                if other != artifact.owner:
                    quoting.setdefault(other, []).append(artifact.name)
    for other, names in quoting.items():
        yield replace(_terms("excerpts", catalog.datasets[other].upstream), artifacts=tuple(names))


def _origins(catalog: Catalog, owner: str) -> list[tuple[What, str]]:
    """What is in the files of a model or dataset, and the entry whose repository it comes from."""
    if owner in catalog.datasets:
        graded_by = catalog.datasets[owner].difficulties_from
        rows: list[tuple[What, str]] = [("rows", owner)]
        return [*rows, ("difficulties", graded_by)] if graded_by else rows
    model = catalog.models[owner]
    weights = model.slice_of if isinstance(model, MicroModel) else owner
    return [("weights", weights), ("tokenizer", origin_of(catalog, owner))]


def _terms(what: What, upstream: Upstream) -> Terms:
    known = spdx.expression(upstream.licence)
    return Terms(
        what,
        upstream.repository,
        upstream.revision,
        upstream.licence if known is None else known.text,
        known is not None,
        upstream.licence_name,
        link_of(upstream),
        redistribution(upstream),
        noncommercial(upstream),
        upstream.gated,
    )


def words_of(upstream: Upstream) -> str:
    """What is to be written in the place of a licence in words; empty where it is an expression."""
    known = spdx.expression(upstream.licence)
    if known is None:
        return spdx.advice(upstream.licence)
    return "" if known.text == upstream.licence else f"SPDX spells it `licence: {known.text}`"
