"""Reads a catalog, and names every mistake in it by file, line and field."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TypeAlias

import yaml
from pydantic import ValidationError

from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.errors import WmtpError

Field: TypeAlias = tuple[str | int, ...]
SHIPPED = ("sample", "full")


class CatalogError(WmtpError):
    """A catalog cannot be read, or says something that its schema does not allow."""


def load_catalog(name_or_path: str | Path) -> Catalog:
    """Reads the shipped catalog of that name (`sample`, `full`), or the YAML file at that path.

    Raises:
        CatalogError: naming the file, and for each mistake its line, field and what was expected.
    """
    path, text = _text_of(name_or_path)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that there is not
        mark = getattr(error, "problem_mark", None)
        line = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or error
        raise CatalogError(
            "This is not YAML", found=problem, where=line, mend="correct that line."
        ) from error
    if not isinstance(root, yaml.MappingNode):
        raise CatalogError(
            "A catalog is a mapping", expected="name, tokenizer, models, datasets", where=path
        )
    lines: dict[Field, int] = {}
    mistakes = _note_lines(root, (), lines)
    if not mistakes:
        try:
            return Catalog.model_validate(value)
        except ValidationError as error:
            mistakes = [
                (_line_of(location, lines), f"{_dotted(location, lines)}: {detail['msg']}")
                for detail in error.errors()
                for location in [tuple(detail["loc"])]
            ]
    raise CatalogError(
        f"The catalog {path} has {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}",
        where="; ".join(f"{path}:{line} {text}" for line, text in sorted(mistakes)),
        mend="correct the lines named; wmtp_assets/catalog/full.yaml shows every field in use.",
    )


def _text_of(name_or_path: str | Path) -> tuple[Path, str]:
    if str(name_or_path) in SHIPPED:
        shipped = resources.files("wmtp_assets.catalog") / f"{name_or_path}.yaml"
        return Path(str(shipped)), shipped.read_text(encoding="utf-8")
    path = Path(name_or_path)
    try:
        return path, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(
            "The catalog cannot be read",
            expected="'sample', 'full', or the path of a YAML file",
            found=error,
            where=path,
            mend="set WMTP_CATALOG to one of these.",
        ) from error


def _note_lines(node: yaml.Node, at: Field, lines: dict[Field, int]) -> list[tuple[int, str]]:
    """Notes the line of every field below `node`; returns the keys that stand twice."""
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
