"""Programs compared by their syntax trees: the same but for layout, comments, docstrings,
annotations, and, where asked, names.

Nothing is executed. Upstream's programs are read by `ast.parse`, in a process of its own
(`parser`): a text that is made for it can make it crash.
"""

from __future__ import annotations

import ast
import builtins
import copy
import hashlib
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

MOST_BYTES: Final = 64 << 10  # of a program that is parsed
MOST_NODES: Final = 20_000
_LONG_TEXT: Final = 20  # characters of a text that say as much as ten nodes
_MOST_PIECES = 200  # functions of a program that is parsed piece by piece
_BUILTINS: Final = frozenset(dir(builtins))
_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS: Final = (ast.Import, ast.ImportFrom)
# Of no importance to what a program does, or written anew by a formatter.
_PASSED_OVER: Final = frozenset(
    {"ctx", "type_comment", "kind", "annotation", "returns", "type_ignores", "type_params"}
)
# Fields that hold a name that may be another.
_NAMES: Final = {
    ast.Name: "id",
    ast.arg: "arg",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ClassDef: "name",
    ast.ExceptHandler: "name",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.MatchMapping: "rest",
}


@dataclass(frozen=True)
class Part:
    """A program, or a function or class in it: digests of its tree with its names (`exact`) and
    with names numbered as they come (`renamed`), and its `size`: its nodes, and half of the
    characters of its texts. Lines count from 1. `outermost` of what stands on the program's own
    level."""

    exact: str
    renamed: str
    size: int
    first: int
    last: int
    outermost: bool = False


@dataclass(frozen=True)
class Program:
    """What is compared of a program: all of it, every function and class, and what else stands on
    its own level but imports and calls. `bare` is its text
    without docstrings and annotations; `rebound` are built-in names that it gives a meaning of its
    own."""

    whole: Part | None
    parts: list[Part] = field(default_factory=list)
    bare: str = ""
    rebound: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Program:
        """From what `document` gives."""
        whole = document["whole"]
        parts = [Part(**part) for part in document["parts"]]
        return cls(**{**document, "whole": Part(**whole) if whole else None, "parts": parts})


def read_program(text: str) -> Program | None:
    """The program of a text; where it is no Python 3 as a whole, those of its functions that are.
    None where nothing of it is, or it is longer than is parsed."""
    if len(text) > MOST_BYTES:
        return None
    tree = _parsed(text)
    if tree is not None:
        return _program(tree)
    parts: list[Part] = []
    for first, piece in _pieces(text):
        tree = _parsed(piece)
        found = _program(tree) if tree is not None else None
        for part in found.parts if found is not None else ():
            lines = {"first": part.first + first, "last": part.last + first}
            parts.append(Part(**{**asdict(part), **lines}))
    return Program(None, parts) if parts else None


def _parsed(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """The functions and classes of a text by their indentation, each with its first line from 0."""
    lines = text.splitlines()
    begins = [at for at, line in enumerate(lines) if line.lstrip().startswith(("def ", "class "))]
    for begin in begins[:_MOST_PIECES]:
        depth = len(lines[begin]) - len(lines[begin].lstrip())
        end = begin + 1
        while end < len(lines):
            bare = lines[end].strip()
            if bare and bare[0] not in "#)]}" and lines[end].find(bare[0]) <= depth:
                break
            end += 1
        yield begin, textwrap.dedent("\n".join(lines[begin:end]))


def _every(unit: ast.AST) -> list[ast.AST]:
    """As `ast.walk`, in a third of its time."""
    found = [unit]
    for node in found:  # which grows meanwhile
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                found.append(value)
            elif isinstance(value, list):
                found += [one for one in value if isinstance(one, ast.AST)]
    return found


def _program(tree: ast.Module) -> Program | None:
    every = _every(tree)
    if len(every) > MOST_NODES:
        return None
    scope = _Scope.of(tree, every)
    outermost = {id(node) for node in tree.body if not _only_shows(node)}
    beside = {id(node) for node in _beside_definitions(tree, every) if not _only_shows(node)}
    parts = []
    for node in every:
        if isinstance(node, ast.stmt) and (isinstance(node, _DEFINITIONS) or id(node) in beside):
            lines = (node.lineno, node.end_lineno or node.lineno)
            parts.append(scope.part(node, *lines, outermost=id(node) in outermost))
            if own := scope.within(node):
                parts.append(own.part(node, *lines))
        if isinstance(node, ast.ClassDef):
            for method in _as_functions(node):
                lines = (method.lineno, method.end_lineno or method.lineno)
                parts.append(scope.part(method, *lines))
    ends = [node.end_lineno or 1 for node in tree.body]
    whole = scope.part(tree, 1, max(ends, default=1))
    rebound = sorted((scope.given - scope.modules.keys()) & _BUILTINS)
    return Program(whole, parts, _bare(tree), rebound)


def _beside_definitions(tree: ast.Module, every: Sequence[ast.AST]) -> Iterator[ast.stmt]:
    """The statements of a program's own level, and those that stand beside functions in another
    one, as of a program that is written as a function."""
    yield from tree.body
    for node in every:
        body = getattr(node, "body", None)
        if isinstance(body, list) and any(isinstance(one, _DEFINITIONS) for one in body):
            yield from body


def _as_functions(unit: ast.ClassDef) -> Iterator[ast.FunctionDef]:
    """The methods that are functions but for where they stand: of their object, they use other
    methods at most."""
    methods = [node for node in unit.body if isinstance(node, ast.FunctionDef)]
    names = {method.name for method in methods}
    for method in methods:
        decorators = [node.id for node in method.decorator_list if isinstance(node, ast.Name)]
        static = "staticmethod" in decorators
        if len(decorators) < len(method.decorator_list) or not (static or method.args.args):
            continue
        changed = copy.deepcopy(method)
        changed.decorator_list = []
        of = {unit.name} if static else {unit.name, changed.args.args.pop(0).arg}
        changed.body = [_Unbound(of, names).visit(node) for node in changed.body]
        left = {node.id for node in _every(changed) if isinstance(node, ast.Name)}
        if set(decorators) <= {"staticmethod", "classmethod"} and not left & of:
            yield changed


class _Unbound(ast.NodeTransformer):
    """Puts `name` in place of `self.name`, where it is a method."""

    def __init__(self, of: set[str], names: set[str]) -> None:
        self._of, self._names = of, names

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        of = node.value
        if isinstance(of, ast.Name) and of.id in self._of and node.attr in self._names:
            return ast.copy_location(ast.Name(node.attr, node.ctx), node)
        return self.generic_visit(node)


def _imported(every: Sequence[ast.AST]) -> dict[str, str]:
    """What names of the program stand for that it imports."""
    found = {}
    for node in every:
        if isinstance(node, _IMPORTS):
            of = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for one in node.names:
                found[one.asname or one.name.partition(".")[0]] = of + one.name
    return found


def _members(every: Sequence[ast.AST]) -> set[str]:
    """The functions and classes that a program defines, by what it may have after a point."""
    return {node.name for node in every if isinstance(node, _DEFINITIONS)}


def _bound(every: Sequence[ast.AST]) -> set[str]:
    """The names that a unit gives a meaning: parameters, targets, functions, classes."""
    found = set()
    for node in every:
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                found.add(node.id)
        elif type(node) in _NAMES:
            name = getattr(node, _NAMES[type(node)])
            if name is not None:
                found.add(name)
    return found


@dataclass(frozen=True)
class _Scope:
    """What names are in a program: what those stand for that it imports, its functions and classes,
    its parameters, and all that it gives a meaning."""

    modules: dict[str, str]
    members: set[str]
    parameters: set[str]
    given: set[str]

    @classmethod
    def of(cls, tree: ast.Module, every: Sequence[ast.AST]) -> _Scope:
        return cls(
            _imported(every),
            _members(every),
            {node.arg for node in every if isinstance(node, ast.arg)},
            _bound(every),
        )

    def within(self, unit: ast.AST) -> _Scope | None:
        """What names are for a unit that stands in a program by chance, whose methods have other
        objects' names (`append`), and its parameters those of other functions (`key`). None where
        that makes no difference."""
        every = _every(unit)
        used = {node.attr for node in every if isinstance(node, ast.Attribute)} & self.members
        given = {node.arg for node in every if isinstance(node, ast.keyword)} & self.parameters
        members, parameters = _members(every), {n.arg for n in every if isinstance(n, ast.arg)}
        if used <= members and given <= parameters:
            return None
        return replace(self, members=members, parameters=parameters)

    def part(self, unit: ast.AST, first: int, last: int, outermost: bool = False) -> Part:
        """What a unit is compared by."""
        bound = _bound(_every(unit))
        numbers: dict[str, str] = {}
        exact: list[bytes] = []
        renamed: list[bytes] = []
        size = 0

        def put(text: str, other: str | None = None) -> None:
            exact.append(_with_length(text))
            renamed.append(exact[-1] if other is None else _with_length(other))

        stack: list[object] = [unit]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.AST):
                size += 1
                put("Assign" if isinstance(node, ast.AnnAssign) else type(node).__name__)
                stack += reversed(list(self._fields(node)))
            elif isinstance(node, list):
                kept = [one for one in node if not _means_nothing(one)]
                put(f"[{len(kept)}")
                stack += reversed(kept)
            elif isinstance(node, _Name):
                fixed = self._elsewhere(node.name, bound)
                put(node.exact, fixed or numbers.setdefault(node.name, f"#{len(numbers)}"))
            else:
                if isinstance(node, (str, bytes)):
                    size += min(len(node), _LONG_TEXT) // 2
                put(f"{type(node).__name__} {node!r}")
        digests = (_digest(exact), _digest(renamed))
        return Part(*digests, size, first, last, outermost)

    def _elsewhere(self, name: str, bound: set[str]) -> str:
        """What a name stands for that the program takes from elsewhere, where it cannot be called
        otherwise; "" of any other."""
        if name in bound:
            return ""
        if name in self.modules:
            return f"={self.modules[name]}"
        return f"={name}" if name in _BUILTINS or name not in self.given else ""

    def _fields(self, node: ast.AST) -> Iterator[object]:
        """What a node holds, in order, as far as it counts."""
        if isinstance(node, ast.AnnAssign):
            yield [node.target]
            yield node.value
            return
        for name, value in ast.iter_fields(node):
            if name in _PASSED_OVER:
                continue
            if isinstance(value, str) and _NAMES.get(type(node)) == name:
                yield _Name(value, value)
            # A method of a class of the program, an argument of a function of it.
            elif isinstance(value, str) and (
                (isinstance(node, ast.Attribute) and value in self.members)
                or (isinstance(node, ast.keyword) and value in self.parameters)
            ):
                yield _Name(value, f"str {value!r}")
            elif isinstance(node, ast.Delete):  # which formatters write without parentheses
                yield [part for one in node.targets for part in getattr(one, "elts", [one])]
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                yield [_Name(one, one) for one in value]
            else:
                yield value


def _with_length(text: str) -> bytes:
    """The text with its length first: no two sequences of texts are the same bytes."""
    encoded = text.encode(errors="surrogatepass")
    return b"%d:%b" % (len(encoded), encoded)


def _digest(parts: Sequence[bytes]) -> str:
    return hashlib.blake2b(b"".join(parts), digest_size=16).hexdigest()


@dataclass(frozen=True)
class _Name:
    """A name, and what it is with its spelling: the same as where it must not change."""

    name: str
    exact: str


def _means_nothing(statement: object) -> bool:
    """Whether a statement says nothing: a string, `pass`, a bare annotation. Imports are seen in
    what their names stand for."""
    if isinstance(statement, ast.Expr):
        value = statement.value
        return isinstance(value, ast.Constant) and isinstance(value.value, str)
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    return isinstance(statement, (ast.Pass, *_IMPORTS))


def _only_shows(statement: ast.stmt) -> bool:
    """Whether a statement of a program's own level is none of its logic: it imports, or calls what
    was defined, say to print it."""
    return isinstance(statement, ast.Expr) or _means_nothing(statement)


class _Bare(ast.NodeTransformer):
    """Leaves out docstrings and annotations."""

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.AnnAssign):
            given = ast.Pass() if node.value is None else ast.Assign([node.target], node.value)
            return self.generic_visit(ast.copy_location(given, node))
        for name in ("annotation", "returns"):
            if getattr(node, name, None) is not None:
                setattr(node, name, None)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [one for one in body if isinstance(one, _IMPORTS) or not _means_nothing(one)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        return self.generic_visit(node)


def _bare(tree: ast.Module) -> str:
    """The text of a program without what counts for nothing. Changes the tree."""
    try:
        return ast.unparse(ast.fix_missing_locations(_Bare().visit(tree)))
    except (RecursionError, ValueError):
        return ""
