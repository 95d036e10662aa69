"""The pages of rows: which splits there are, the rows of one that meet a query, and a row whole.

A split is read in the edition that is published now, by its row index: of the JSONL only the lines
on the page are read.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_core import from_json

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.types import Split
from wmtp_assets.catalog import Catalog
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.opening import open_corpus
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.errors import WmtpError
from wmtp_assets.generations import Contract
from wmtp_assets.pages.charts_of_rows import difficulty_chart, token_chart
from wmtp_assets.pages.html import templates
from wmtp_assets.pages.language import LANGUAGES, Language, saying, words_of
from wmtp_assets.pages.row_facets import Facets, Matches, facets_of_all
from wmtp_assets.pages.row_query import (
    CLASSES,
    FLAGS,
    PAGE_ROWS,
    QueryError,
    RowQuery,
    read_language,
    read_query,
)
from wmtp_assets.storage.errors import StorageError

ROWS = "/rows"
SHOWN_CHARACTERS = 100_000  # of a field on a row's page
_SHOWN_FIELDS = 100
_SHOWN_ITEMS = 100  # of a list
_LINE_BYTES = 64 << 20  # a longer line is not read
_COLUMNS = (
    "problem",
    "is_correct",
    "difficulty",
    "instruction_tokens",
    "input_tokens",
    "output_tokens",
    "offset",
    "length",
    "flags",
)


@dataclass(frozen=True)
class Answer:
    """A page as a whole, and the HTTP status that goes with it."""

    html: str
    status: int = 200


@dataclass(frozen=True)
class SplitOfRows:
    """A split whose rows can be looked at; `dataset`, `split` and `contract` as `open_corpus` takes
    them."""

    dataset: str
    split: str
    artifact: Artifact
    max_tokens: int
    format: DatasetFormat

    @property
    def contract(self) -> Contract | None:
        """The generation whose rows these are, where it is to be named: of the first phase's, of
        small copies, and of rows that are the same in all, there is but one."""
        named = self.artifact.contract != "phase1" and not self.artifact.is_small
        return self.artifact.contract if named else None

    @property
    def name(self) -> str:
        """The dataset as the page names it, with the generation where there may be another."""
        return f"{self.dataset}@current" if self.contract == "current" else self.dataset

    @property
    def asked(self) -> str:
        """The words by which `open_corpus` finds it, as Python's source."""
        words = (self.dataset, self.split, self.contract)
        return ", ".join(f'"{word}"' for word in words if word is not None)

    @property
    def path(self) -> str:
        """The address of its rows."""
        return f"{ROWS}/{self.name}/{self.split}"

    @property
    def asset_path(self) -> str:
        """The address of its asset on Dagster's pages."""
        return f"/assets/{self.artifact.name}"

    @property
    def contract_path(self) -> str:
        """Where readers find the JSONL, below the storage."""
        return next(path for path in self.artifact.links if path.endswith(".jsonl"))


@dataclass(frozen=True)
class Field:
    """A field of a row as it is shown: one text, or the texts of a list; `left` characters and
    items are not shown."""

    name: str
    description: str
    texts: Sequence[str]
    left: int = 0
    left_items: int = 0


@dataclass(frozen=True)
class Line:
    """A row: what the index says of it, and its fields, or why its line could not be read."""

    number: int
    problem: int
    class_: str | None
    difficulty: int | None
    tokens: Mapping[str, int]
    flags: Sequence[str]
    size: int
    row: Mapping[str, Any]
    fault: str = ""
    raw: str = ""

    @property
    def total_tokens(self) -> int:
        """Tokens of instruction, input and output together."""
        return sum(self.tokens.values())

    def text(self, name: str) -> str:
        """A field of the row, if it is a text."""
        value = self.row.get(name)
        return value if isinstance(value, str) else ""


def rows_of(catalog: Catalog, artifact: Artifact) -> SplitOfRows | None:
    """The split whose rows an artifact holds; None where it holds none."""
    if artifact.split is None or not issubclass(kind_of(artifact).loaded_as, Split):
        return None
    dataset = catalog.datasets[artifact.owner]
    name = f"{artifact.owner}_small" if artifact.is_small else artifact.owner
    row_format = format_of(catalog, artifact)
    return SplitOfRows(name, artifact.split, artifact, dataset.max_tokens, row_format)


def splits_of_rows(project: Project) -> list[SplitOfRows]:
    """Every split of the catalog, whole ones and small copies, in the catalog's order."""
    every = (rows_of(project.catalog, artifact) for artifact in project.artifacts.values())
    return [split for split in every if split is not None]


def splits_page(project: Project, asked: str = "") -> Answer:
    """The list of splits, with what is made of each. `asked`: the address's query, of which the
    language is read."""
    listed = []
    for split in splits_of_rows(project):
        try:
            receipt = project.store.current(split.artifact.name)
        except StorageError:
            receipt = None
        listed.append((split, receipt.facts.get("rows") if receipt else None))
    return Answer(_rendered("splits.html", project, read_language(asked), splits=listed))


def rows_page(project: Project, dataset: str, split: str, asked: str) -> Answer:
    """A page of the rows of a split that meet a query, with their counts.

    `asked` is the query as it stands in the address.
    """
    lang = read_language(asked)
    try:
        chosen = _split(project, dataset, split, lang)
        query = read_query(asked)
        corpus = _corpus(project, chosen, lang)
        matches = Matches(corpus.row_index, query)
        facets = None if query.anything else _known_facets(project, chosen, corpus)
        facets = facets or matches.facets()
        pages = max(1, math.ceil(facets.rows / PAGE_ROWS))
        if query.page > pages:
            raise QueryError(
                "There is no such page",
                expected=f"a page from 1 to {pages:,}: {facets.rows:,} rows meet the conditions",
                found=f"{query.page:,}",
                hint="Go back to the first page.",
            )
        lines = read_lines(corpus, matches.page())
    except _AnotherAnswerError as other:
        return other.answer
    except QueryError as error:
        return message_page(project, "no_address", error, 400, lang)
    except (WmtpError, OSError) as error:
        return message_page(project, "no_rows", error, 503, lang)
    html = _rendered(
        "rows.html",
        project,
        lang,
        chosen.path,
        query,
        split=chosen,
        values=query.values(),
        facets=facets,
        lines=lines,
        pages=pages,
        total=len(corpus),
        digest=str(corpus.facts["jsonl"]["sha256"])[:12],
        classes=CLASSES,
        class_links={
            name: replace(query, class_=name, page=1).address(chosen.path) for name in CLASSES
        },
        flags=FLAGS,
        difficulty=difficulty_chart(facets, chosen.format.classed, query, chosen.path, lang),
        tokens=token_chart(facets.tokens, chosen.max_tokens, query, chosen.path, lang),
        links={
            name: replace(query, page=page).address(chosen.path)
            for name, page in {
                "first": 1,
                "previous": query.page - 1,
                "next": query.page + 1,
                "last": pages,
            }.items()
            if 1 <= page <= pages and page != query.page
        },
        without={
            "class": replace(query, class_=None, page=1).address(chosen.path),
            "difficulty": replace(query, difficulty=None, page=1).address(chosen.path),
            "tokens": replace(query, tokens=None, page=1).address(chosen.path),
            "problem": replace(query, problem=None, page=1).address(chosen.path),
            "flag": replace(query, flag=None, page=1).address(chosen.path),
        },
    )
    return Answer(html)


def row_page(project: Project, dataset: str, split: str, number: str, asked: str = "") -> Answer:
    """One row whole: every field, and what the index says of it. `asked` is the address's query, of
    which the language is read."""
    lang = read_language(asked)
    try:
        chosen = _split(project, dataset, split, lang)
        if not (number.isascii() and number.isdigit() and len(number) <= 10):
            error = QueryError(
                "A row is addressed by its number",
                expected="a whole number from 0",
                found=repr(number[:80]),
            )
            return message_page(project, "no_address", error, 400, lang)
        corpus = _corpus(project, chosen, lang)
        row = int(number)
        if row >= len(corpus):
            error = QueryError(
                f"{dataset} {split} has no row {row:,}",
                expected=f"a number from 0 to {len(corpus) - 1:,}" if len(corpus) else "no rows",
                hint=f"Choose one of {chosen.path}",
            )
            return message_page(project, "no_row", error, 404, lang)
        (line,) = read_lines(corpus, [row])
    except _AnotherAnswerError as other:
        return other.answer
    except (WmtpError, OSError) as error:
        return message_page(project, "row_unreadable", error, 503, lang)
    html = _rendered(
        "row.html",
        project,
        lang,
        f"{chosen.path}/{line.number}",
        split=chosen,
        line=line,
        fields=_fields(line.row, chosen.format),
        total=len(corpus),
        problem_link=RowQuery(problem=line.problem, lang=lang).address(chosen.path),
        difficulty_name=chosen.format.difficulty_names.get(line.difficulty or 0),
        difficulty_link=None
        if line.difficulty is None
        else RowQuery(difficulty=(line.difficulty, line.difficulty), lang=lang).address(
            chosen.path
        ),
    )
    return Answer(html)


def unknown_page(project: Project, path: str, asked: str = "") -> Answer:
    """What is answered below /rows where nothing is."""
    error = WmtpError("There is no such page", found=path[:200], hint=f"Choose a split: {ROWS}")
    return message_page(project, "no_page", error, 404, read_language(asked))


def read_lines(corpus: Corpus, rows: Sequence[int]) -> list[Line]:
    """These rows of a corpus; a line that is no JSON object is shown as it is."""
    if not rows:
        return []
    facts = corpus.row_index.take(rows, _COLUMNS).to_pylist()
    with corpus.jsonl.open("rb") as file:
        return [
            _line(number, fact, _bytes_of(file.fileno(), fact))
            for number, fact in zip(rows, facts, strict=True)
        ]


def _bytes_of(file: int, fact: Mapping[str, Any]) -> bytes | None:
    size = int(fact["length"])
    return os.pread(file, size, int(fact["offset"])) if 0 <= size <= _LINE_BYTES else None


def _line(number: int, fact: Mapping[str, Any], data: bytes | None) -> Line:
    row, fault = _parsed(data)
    names = {value: name for name, value in CLASSES.items()}
    return Line(
        number,
        int(fact["problem"]),
        None if fact["is_correct"] is None else names[int(fact["is_correct"])],
        fact["difficulty"],
        {name: int(fact[f"{name}_tokens"]) for name in ("instruction", "input", "output")},
        [name for name, bit in FLAGS.items() if bit & int(fact["flags"])],
        int(fact["length"]),
        row,
        fault,
        "" if not fault or data is None else data[:SHOWN_CHARACTERS].decode("utf-8", "replace"),
    )


def _parsed(data: bytes | None) -> tuple[Mapping[str, Any], str]:
    """The row of a line's bytes, or why there is none."""
    if data is None:
        return {}, f"longer than the {_LINE_BYTES >> 20} MiB that are read of a line"
    try:
        row = from_json(data)
    except ValueError as error:
        return {}, str(error)[:200]
    return (row, "") if isinstance(row, dict) else ({}, f"a JSON {type(row).__name__}")


def _fields(row: Mapping[str, Any], row_format: DatasetFormat) -> list[Field]:
    properties = row_schema(row_format)["properties"]
    found = []
    for name, value in list(row.items())[:_SHOWN_FIELDS]:
        described = properties.get(name, {}).get("description", "")
        listed = isinstance(value, list) and all(isinstance(item, str) for item in value)
        texts = value if listed else [value if isinstance(value, str) else _as_json(value)]
        shown = [text[:SHOWN_CHARACTERS] for text in texts[:_SHOWN_ITEMS]]
        left = sum(len(text) - len(part) for text, part in zip(texts, shown, strict=False))
        found.append(Field(name, described, shown, left, len(texts) - len(shown)))
    return found


def _as_json(value: object) -> str:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError) as error:  # a number of five thousand digits
        return f"{type(value).__name__}, which cannot be shown: {error}"


class _AnotherAnswerError(Exception):
    """There is another answer than the page that was asked for."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def _split(project: Project, dataset: str, split: str, lang: Language) -> SplitOfRows:
    every = splits_of_rows(project)
    for one in every:
        if (one.name, one.split) == (dataset, split):
            return one
    error = WmtpError(
        "The catalog has no such split",
        expected=f"one of {', '.join(f'{one.name}/{one.split}' for one in every)}",
        found=f"{dataset[:100]}/{split[:100]}",
        hint=f"Choose a split: {ROWS}",
    )
    raise _AnotherAnswerError(message_page(project, "no_split", error, 404, lang))


def _corpus(project: Project, split: SplitOfRows, lang: Language) -> Corpus:
    """The split as it is published now.

    Raises _AnotherAnswerError where nothing is, CorpusError where it is damaged.
    """
    if not os.path.lexists(project.store.root / split.contract_path):
        html = _rendered("unmade.html", project, lang, split.path, split=split)
        raise _AnotherAnswerError(Answer(html, 404))
    return open_corpus(project.store.root, split.dataset, split.split, split.contract)


def _known_facets(project: Project, split: SplitOfRows, corpus: Corpus) -> Facets | None:
    """The counts over all rows, where the statistics are those of the rows that are read."""
    receipt = project.store.current(split.artifact.name)
    stats = receipt.facts.get("stats") if receipt else None
    if not isinstance(stats, dict) or stats.get("jsonl") != dict(corpus.facts["jsonl"]):
        return None
    return facets_of_all(stats)


def message_page(
    project: Project, title: str, error: Exception, status: int, lang: Language = "en"
) -> Answer:
    """A page that says what is wrong, as every error does: expected, found, what to do.

    `title` is the name of its words; the error's own are English.
    """
    shown = error if isinstance(error, WmtpError) else WmtpError(str(error))
    return Answer(_rendered("message.html", project, lang, title=title, error=shown), status)


def _rendered(
    template: str,
    project: Project,
    lang: Language,
    place: str = ROWS,
    query: RowQuery | None = None,
    **values: object,
) -> str:
    """A template filled in. `place` and `query` are its address, which other languages have too."""
    asked = query or RowQuery()

    def to(path: str) -> str:
        """The address of a page of ours in the language of this one."""
        return RowQuery(lang=lang).address(path)

    return (
        templates()
        .get_template(template)
        .render(
            lang=lang,
            others={
                one: (words_of(one)["language"], replace(asked, lang=one).address(place))
                for one in LANGUAGES
                if one != lang
            },
            query=query,
            say=saying(lang),
            to=to,
            sample=project.catalog.is_sample,
            catalog=project.catalog.name,
            **values,
        )
    )
