"""Reads a catalog, and names every mistake in it by file, line and field."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TypeAlias

import yaml
from pydantic import ValidationError

from wmtp_assets.catalog.consistency import mistakes_of
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.errors import WmtpError, printable

Field: TypeAlias = tuple[str | int, ...]
SHIPPED = ("sample", "full")
# The shipped catalogs have 4 KB and some 400 values, nested 7 deep.
_MAX_BYTES = 1 << 20
_MAX_NODES = 100_000
_MAX_DEPTH = 50
_MAX_SCALAR = 10_000
_SHOWN = 20  # mistakes
_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


class CatalogError(WmtpError):
    """A catalog cannot be read, or says something that its schema does not allow."""


def load_catalog(name_or_path: str | Path) -> Catalog:
    """Reads the shipped catalog of that name (`sample`, `full`), or the YAML file at that path.

    Raises:
        CatalogError: naming the file, and for each mistake its line, field and what was expected.
    """
    return read_catalog(*_text_of(name_or_path))


def read_catalog(path: Path, text: str) -> Catalog:
    """The catalog that `text` is; `path` names it in errors. Raises CatalogError."""
    root, value, mistakes = _parsed(path, text)
    if not isinstance(root, yaml.MappingNode):
        raise CatalogError(
            "A catalog is a mapping", expected="name, tokenizer, models, datasets", where=path
        )
    lines: dict[Field, int] = {}
    mistakes += _note_lines(root, (), lines)
    if not mistakes:
        try:
            catalog = Catalog.model_validate(value)
            mistakes = [
                (_line_of(location, lines), f"{_dotted(location, lines)}: {fault}")
                for location, fault in mistakes_of(catalog)
            ]
            if not mistakes:
                return catalog
        except ValidationError as error:
            mistakes = [
                (_line_of(location, lines), f"{_dotted(location, lines)}: {said}")
                for location, said in _validation_faults(error)
            ]
    shown = [f"{path}:{line} {printable(text)}" for line, text in sorted(mistakes)[:_SHOWN]]
    if len(mistakes) > _SHOWN:
        shown.append(f"and {len(mistakes) - _SHOWN:,} more")
    raise CatalogError(
        f"The catalog {path} has {len(mistakes):,} mistake{'s' if len(mistakes) > 1 else ''}",
        where="; ".join(shown),
        hint="correct the lines named; wmtp_assets/catalog/full.yaml shows every field in use.",
    )


def _validation_faults(error: ValidationError) -> Iterator[tuple[Field, str]]:
    """Each fault that the schema finds: the field, and what is wrong with it, in YAML's words."""
    found = error.errors(include_url=False, include_input=False)
    places = [tuple(detail["loc"]) for detail in found]
    for detail, place in zip(found, places, strict=True):
        # A list of which an element is refused counts as too short as well.
        within = any(one[:-1] == place for one in places)
        if not (detail["type"] == "too_short" and within):
            yield place, detail["msg"].replace("valid tuple", "valid list").replace("Tuple", "List")


class _Limit(yaml.MarkedYAMLError):
    """The document is larger, deeper or more entangled than any catalog."""


class _Loader(yaml.SafeLoader):
    """YAML's plain types, in bounded time and memory, whatever aliases make of a small text."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise _Limit(problem=f"nested deeper than {_MAX_DEPTH} levels", problem_mark=mark)
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and len(node.value) > _MAX_SCALAR:
            problem = f"a value of {len(node.value):,} characters, more than {_MAX_SCALAR:,}"
            raise _Limit(problem=problem, problem_mark=node.start_mark)
        self.depth -= 1
        return node


def _parsed(path: Path, text: str) -> tuple[yaml.Node | None, object, list[tuple[int, str]]]:
    """The document's nodes, its value, and keys that cannot be; CatalogError for what is no YAML.

    There is no value where there are such keys.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None, None, []
        _expanded(root, {})
        mistakes = _odd_keys(root, set())
        return root, None if mistakes else loader.construct_document(root), mistakes
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no such date
        mark = getattr(error, "problem_mark", None)
        line = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or error
        raise CatalogError(
            "This is not valid YAML for a catalog",
            expected=f"plain YAML of at most {_MAX_NODES:,} values, without tags",
            found=" ".join(str(problem)[:300].split()),
            where=line,
            hint="correct that line.",
        ) from error


def _expanded(node: yaml.Node, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values `node` has when each alias is written out, and how deep they nest.

    _Limit above what is allowed. Each node is counted once, so that this is quick whatever the
    aliases; a node that is met while its inside is being counted holds itself.
    """
    if id(node) in known:
        size, height = known[id(node)]
        if not size:
            raise _Limit(problem="an alias of what it is a part of", problem_mark=node.start_mark)
        return size, height
    known[id(node)] = 0, 0
    size, height = 1, 0
    for inner in _inside(node):
        more, below = _expanded(inner, known)
        size, height = size + more, max(height, below + 1)
        if size > _MAX_NODES or height > _MAX_DEPTH:
            raise _Limit(
                problem=f"aliases that stand for more than {_MAX_NODES:,} values, or more than "
                f"{_MAX_DEPTH} levels",
                problem_mark=node.start_mark,
            )
    known[id(node)] = size, height
    return size, height


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _odd_keys(node: yaml.Node, seen: set[int]) -> list[tuple[int, str]]:
    """Keys that are no texts: the catalog's fields and names all are."""
    if id(node) in seen:
        return []
    seen.add(id(node))
    odd: list[tuple[int, str]] = []
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
                kind = key.tag.rpartition(":")[2]
                odd.append((key.start_mark.line + 1, f"a key is a {kind}, not a text"))
    for inner in _inside(node):
        odd += _odd_keys(inner, seen)
    return odd


def _text_of(name_or_path: str | Path) -> tuple[Path, str]:
    if str(name_or_path) in SHIPPED:
        shipped = resources.files("wmtp_assets.catalog") / f"{name_or_path}.yaml"
        return Path(str(shipped)), shipped.read_text(encoding="utf-8")
    path = Path(name_or_path)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"more than {_MAX_BYTES:,} bytes")
        return path, data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise CatalogError(
            "The catalog cannot be read",
            expected="'sample', 'full', or the path of a YAML file in UTF-8",
            found=error,
            where=path,
            hint="set WMTP_CATALOG to one of these.",
        ) from error


def _note_lines(node: yaml.Node, at: Field, lines: dict[Field, int]) -> list[tuple[int, str]]:
    """Notes the line of every field below `node`; returns the keys that occur twice."""
    lines[at] = node.start_mark.line + 1
    twice: list[tuple[int, str]] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*at, str(key.value))
            if inner in lines:
                twice.append((key.start_mark.line + 1, f"{'.'.join(map(str, inner))}: given twice"))
            twice += _note_lines(value, inner, lines)
            lines[inner] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            twice += _note_lines(value, (*at, position), lines)
    return twice


def _known(location: Field, lines: dict[Field, int]) -> Field:
    """`location` without what pydantic adds to it (the names of union members)."""
    known: Field = ()
    for part in location:
        if (*known, part) in lines:
            known = (*known, part)
    return known


def _line_of(location: Field, lines: dict[Field, int]) -> int:
    return lines[_known(location, lines)]


def _dotted(location: Field, lines: dict[Field, int]) -> str:
    known = _known(location, lines)
    last = location[-1:] if location and location[-1] != (known[-1] if known else None) else ()
    return ".".join(str(part) for part in (*known, *last)) or "the catalog"
