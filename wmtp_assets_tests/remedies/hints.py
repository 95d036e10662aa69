"""Every command that the package's sources tell a person to run, found by reading the sources.

That is every hint with a command, and whatever else looks like a command for this package's user:
a hint may be computed elsewhere than where it is given. Docstrings and the texts of the command
line's help are none.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import wmtp_assets

PACKAGE = Path(wmtp_assets.__file__).parent
# A word in backticks may be a field or a file; a command has arguments or is all computed.
COMMAND = re.compile(r"`[^` ]+ [^`]+`|`\{[^`]+\}`|\bwmtp [a-z{]")
PROGRAMS = "wmtp|cp|mv|rm|env|export|openssl|pip|hf|python|mkdir|unset"
ELSEWHERE = re.compile(rf"`({PROGRAMS}) [^`]*|\bwmtp [a-z]+ (--|\{{)")


def hints() -> dict[str, list[str]]:
    """Hints with a command by place (`module.function`); of what is computed, its expression."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: statement.value
            for statement in tree.body
            if isinstance(statement, ast.Assign)
            for target in statement.targets
            if isinstance(target, ast.Name)
        }
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for place, value in _mends(tree, module.removesuffix(".__init__")):
            text = _text(value, constants)
            if COMMAND.search(text):
                found.setdefault(place, []).append(text)
        for place, text in _other_texts(tree, module.removesuffix(".__init__")):
            if ELSEWHERE.search(text):
                found.setdefault(place, []).append(text)
    return found


def _other_texts(node: ast.AST, place: str) -> Iterator[tuple[str, str]]:
    """Texts that are neither given as a hint where they stand, nor docstrings or help."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.keyword) and child.arg in ("hint", "help", "epilog"):
            continue
        if isinstance(child, ast.JoinedStr | ast.Constant):
            yield place, _text(child, {})
            continue
        named = isinstance(child, ast.FunctionDef | ast.ClassDef)
        yield from _other_texts(child, f"{place}.{child.name}" if named else place)


def _mends(node: ast.AST, place: str) -> Iterator[tuple[str, ast.expr]]:
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.FunctionDef | ast.ClassDef)
        below = f"{place}.{child.name}" if named else place
        if isinstance(child, ast.keyword) and child.arg == "hint":
            yield below, child.value
        yield from _mends(child, below)


def _text(value: ast.expr, constants: dict[str, ast.expr]) -> str:
    match value:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts) | ast.BoolOp(values=parts):
            return "".join(_text(part, constants) for part in parts)
        case ast.FormattedValue(value=inner):
            return f"{{{ast.unparse(inner)}}}"
        case ast.BinOp(left=left, right=right):
            return _text(left, constants) + _text(right, constants)
        case ast.IfExp(body=body, orelse=other):
            return _text(body, constants) + _text(other, constants)
        case ast.Name(id=name) if name in constants:
            return _text(constants[name], {})
    return ""
