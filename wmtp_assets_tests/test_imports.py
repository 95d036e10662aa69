"""Who imports whom: no cycles, one direction between packages, and nothing that is not declared.

All imports are read with `ast`, those within functions too; only what stands under TYPE_CHECKING
does not count, for it is never executed.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "wmtp_assets"

# From the bottom up: a package imports from its own row and the rows above it, never from below.
LAYERS = (
    ("errors", "findings", "generations", "interrupts", "markdown"),
    ("storage",),
    ("progress",),
    ("bucket", "export", "execution", "engines"),
    ("hub",),
    ("catalog", "checkpoints", "corpora", "mtp", "notify", "sample"),
    ("quality",),
    ("artifacts",),
    ("pages",),
    ("orchestration",),
    ("web", "cli", "definitions"),
)
# Dagster's side of the house; everything else is plain Python that a training job can import.
FACES = frozenset({"orchestration", "definitions", "web", "cli"})
DAGSTER = frozenset({"dagster", "dagster_webserver", "dagster_graphql", "dagster_shared"})


def name_of(path: Path) -> str:
    """The module that a file is."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}


def executed(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import below a node that can be executed."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from executed(other)
        else:
            yield from executed(child)


def imported(module: str, path: Path, known: set[str]) -> Iterator[str]:
    """The modules that a module imports, by their full names."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
            continue
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([base] if base else [])])
        for one in node.names:
            full = f"{base}.{one.name}"
            yield full if full in known else base


@pytest.fixture(scope="module")
def imports() -> dict[str, frozenset[str]]:
    """What each module imports. Not worked out before a test needs it: seconds for each worker."""
    return {
        module: frozenset(imported(module, path, set(MODULES))) - {module}
        for module, path in MODULES.items()
    }


@pytest.fixture(scope="module")
def edges(imports: dict[str, frozenset[str]]) -> list[tuple[str, str]]:
    """Which module of ours imports which other."""
    return [
        (module, other)
        for module, others in imports.items()
        for other in others
        if other in MODULES
    ]


def part_of(module: str) -> str:
    """The package or top-level module that a module belongs to; the package itself is ''."""
    return module.partition(".")[2].partition(".")[0]


def test_the_reader_of_imports_sees_what_is_there(
    edges: list[tuple[str, str]], tmp_path: Path
) -> None:
    source = tmp_path / "__init__.py"
    source.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import never\n"
        "def f():\n    from .inner import deep\n    import json.decoder\n"
        "from . import sibling\nfrom ..other import thing\n"
    )
    known = {"a.b.inner", "a.b.sibling", "a.other.thing"}
    found = set(imported("a.b", source, known))
    assert found == {"typing", "json.decoder", *known}
    assert len(edges) > 500


def test_no_module_imports_itself_by_way_of_others(
    imports: dict[str, frozenset[str]],
) -> None:
    graph = {
        module: [one for one in others if one in MODULES] for module, others in imports.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' -> '.join(error.args[1])}")


def test_packages_import_downwards_only(edges: list[tuple[str, str]]) -> None:
    row = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    assert set(row) == {part_of(module) for module in MODULES} - {""}
    # The package itself hands on what training code opens, lazily.
    handed_on = {"corpora.opening", "corpora.tests_file", "mtp.loading"}
    assert {b for a, b in edges if not part_of(a)} <= {f"{PACKAGE}.{one}" for one in handed_on}
    upward = [
        f"{module} -> {other}"
        for module, other in edges
        if part_of(module) and part_of(other) and row[part_of(other)] > row[part_of(module)]
    ]
    assert upward == []


def test_domain_code_imports_no_dagster(imports: dict[str, frozenset[str]]) -> None:
    found = [
        f"{module} -> {other}"
        for module, others in imports.items()
        if part_of(module) not in FACES
        for other in others
        if other.partition(".")[0] in DAGSTER
    ]
    assert found == []
    assert any("dagster" in others for others in imports.values())


def test_every_distribution_that_is_imported_is_declared(
    imports: dict[str, frozenset[str]],
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = {
        _plain(line)
        for line in [
            *project["dependencies"],
            *(one for name in ("sign", "lineage", "postgres", "ray") for one in extras[name]),
        ]
    }
    distributions = packages_distributions()
    missing = {
        f"{module} imports {top}"
        for module, others in imports.items()
        for top in {other.partition(".")[0] for other in others}
        if top != PACKAGE
        and top not in sys.stdlib_module_names
        and not declared & {_plain(name) for name in distributions.get(top, [top])}
    }
    assert missing == set()
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert declared - {_plain(line) for line in pinned} == set(), "constraints.txt pins every one"


def _plain(requirement: str) -> str:
    """The name of a requirement, as PEP 503 writes it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_one_module_locks_files() -> None:
    found = [
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "flock"
    ]
    assert set(found) == {f"{PACKAGE}.storage.locks"}
