"""The documents agree with the code: links, commands, fields, checks, messages, translation.

The Python of README.md and docs/reading.md is executed; that of the how-tos has tests of its own.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import dataset_entries, model_entries, schema, upstream_entries
from wmtp_assets.catalog.fields import Entry
from wmtp_assets.cli import _parser
from wmtp_assets_tests.remedies.hints import PACKAGE

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# Not of this repository: files of a storage, of upstream, and of the examples.
ELSEWHERE = {
    "submit.sh",
    "meta_adapter.yaml",
    "my.yaml",
    "catalog.yaml",
    "mine.yaml",
    "README_small.md",
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks: language and contents."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors of headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def headings(text: str) -> list[str]:
    return re.findall(r"^(#+) ", prose(text), re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_relative_links_lead_somewhere(name: str) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text_of(name))):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        if not file.exists() or (anchor and anchor not in anchors(file.read_text("utf-8"))):
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize("name", NAMES)
def test_files_that_are_named_exist(name: str) -> None:
    named = set(re.findall(r"`([\w./-]+\.(?:py|md|yaml|toml|sh|txt))`", prose(text_of(name))))
    tests = [path.name for path in (ROOT / "wmtp_assets_tests").rglob("*.py")]
    roots = (ROOT, PACKAGE, ROOT / "docs", ROOT / "wmtp_assets_tests", *PACKAGE.glob("*/"))
    roots += ((ROOT / name).parent, ROOT / "benchmarks")
    roots += tuple(PACKAGE.glob("*/layouts")) + tuple(PACKAGE.glob("*/formats"))
    missing = {
        one
        for one in named - ELSEWHERE
        if one not in tests and not any((root / one).exists() for root in roots)
    }
    assert missing == set()


def commands(text: str) -> Iterator[str]:
    """The command lines of `wmtp` in a page, in blocks and in backticks."""
    for language, block in blocks(text):
        if language == "sh":
            for line in block.splitlines():
                yield from re.findall(r"(?:^|bin/)(wmtp .+?)\s*$", line.partition(" # ")[0])
    for command in re.findall(r"`(?:[\w./=-]+[ /])*?(wmtp [^`]+)`", prose(text)):
        name_alone = re.fullmatch(r"wmtp \w+", command)
        yield f"{command} --help" if name_alone else command


def variants(command: str) -> list[list[str]]:
    """A command's arguments; of a usage (`[OPTION]`, `en|ko`, `WORD|WORD`) with and without."""
    command = re.sub(r"\b(\w+)(?:\|\w+)+", r"\1", command).rstrip()
    forms = {re.sub(r"\s*\[[^]]*\]", "", command), re.sub(r"[\[\]]", "", command)}
    return [shlex.split(form)[1:] for form in sorted(forms)]


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_ones_that_wmtp_has(name: str) -> None:
    parser, wrong = _parser(), []
    for command in commands(text_of(name)):
        for arguments in variants(command):
            said = io.StringIO()
            try:
                with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                    parser.parse_args(arguments)
            except SystemExit as end:
                if end.code:
                    wrong.append(f"{command}: {said.getvalue().splitlines()[-1]}")
    assert wrong == []


def test_commands_are_found_in_the_readme() -> None:
    found = list(commands(text_of("README.md")))
    assert "wmtp pin facebook/multi-token-prediction main" in found
    assert "wmtp ui --link" in found


def test_the_page_of_commands_has_every_command_with_its_options() -> None:
    (subparsers,) = (one for one in _parser()._actions if isinstance(one.choices, dict))
    assert isinstance(subparsers.choices, dict)
    rows = re.findall(
        r"^\| `wmtp (\w+).*?` \| .*? \| (.*?) ?\|$", text_of("docs/commands.md"), re.M
    )
    assert {name: set(re.findall(r"--[\w-]+", options)) for name, options in rows} == {
        name: {
            option
            for action in command._actions
            for option in action.option_strings
            if option.startswith("--") and option != "--help"
        }
        for name, command in subparsers.choices.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_exist(name: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", text_of("Makefile"), re.MULTILINE))
    text = text_of(name)
    found = re.findall(r"`(?:\w+=\w+ )*make ([\w-]+)", prose(text))
    for language, block in blocks(text):
        if language == "sh":
            found += re.findall(r"^make ([\w-]+)", block, re.MULTILINE)
    assert set(found) - targets == set()


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 150


def test_the_translation_has_the_same_headings_blocks_and_links() -> None:
    english, korean = text_of("README.md"), text_of("README.ko.md")
    assert headings(korean) == headings(english)
    assert blocks(korean) == blocks(english)
    links = [set(re.findall(r"\]\(([^)]+)\)", text)) for text in (english, korean)]
    assert links[0] ^ links[1] == {"README.md", "README.ko.md"}


def entries() -> dict[str, type[BaseModel]]:
    """The mappings of a catalog, by the name of their class."""
    return {
        name: one
        for module in (schema, model_entries, dataset_entries, upstream_entries)
        for name, one in vars(module).items()
        if isinstance(one, type) and issubclass(one, Entry) and one is not Entry
    }


def test_the_catalogs_page_has_every_field_with_its_default() -> None:
    page = text_of("docs/catalog.md")
    documented: dict[str, dict[str, str]] = {}
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| \S", section, re.MULTILINE)
        documented[section.splitlines()[0]] = dict(rows)
    assert documented == {
        name: {field: _default(info) for field, info in entry.model_fields.items()}
        for name, entry in entries().items()
    }


def _default(field: Any) -> str:
    return (
        ""
        if field.is_required()
        else f"`{json.dumps(field.default)}`".replace('`"', "`")
        .replace('"`', "`")
        .replace("``", '`""`')
    )


def test_the_page_of_checks_is_what_the_checks_say() -> None:
    page = runpy.run_path(str(ROOT / "tooling" / "reference.py"))["checks_page"]()
    assert text_of("docs/checks.md") == page, "python tooling/reference.py writes it"


def test_the_page_of_checks_names_the_conditions_of_the_gate() -> None:
    gate = (PACKAGE / "artifacts" / "gate.py").read_text(encoding="utf-8")
    table = text_of("docs/checks.md").partition("| condition |")[2]
    named = re.findall(r"^\| `([\w<>]+)` \|", table, re.MULTILINE)
    asked = re.findall(r"(?:condition|Condition)\(\s*f?\"([\w{}]+)\"", gate)
    assert sorted(named) == sorted(name.replace("{owner}", "<name>") for name in asked)


def messages() -> str:
    """Every text of the sources, `…` for what is computed; one per line."""
    texts = [(ROOT / "tooling" / "setup.sh").read_text(encoding="utf-8")]
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(_part(part) for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def _part(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "…"


def test_the_messages_that_are_explained_are_still_given() -> None:
    page = text_of("docs/troubleshooting.md")
    explained = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(explained) > 40
    given = messages()
    missing = [one for one in explained if one not in given]
    assert missing == []


def test_what_is_shown_of_reading_works(
    current_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(current_project.storage.parent)
    page: dict[str, Any] = {}
    for name in ("README.md", "docs/reading.md"):
        for language, block in blocks(text_of(name)):
            if language == "python":
                exec(compile(block, name, "exec"), page)  # noqa: S102 - our own page
    assert page["logits"].shape[:2] == (1, 4)
    assert page["scores"].shape == (1,)
    assert page["pairs"].shape == (20, 2)
    assert len(page["rows"]) == 25
    assert page["inputs"]
