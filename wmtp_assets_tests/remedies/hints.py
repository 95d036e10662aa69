"""Every hint in the package's sources that contains a command, found by reading the sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import wmtp_assets

PACKAGE = Path(wmtp_assets.__file__).parent
# A word in backticks may be a field or a file; a command has arguments or is all computed.
COMMAND = re.compile(r"`[^` ]+ [^`]+`|`\{[^`]+\}`|\bwmtp [a-z{]")


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
    return found


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
        case ast.JoinedStr(values=parts):
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
