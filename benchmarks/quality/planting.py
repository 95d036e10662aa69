"""Programs written differently, by other means than those that find them: ruff's formatter,
Python's tokenizer, and its symbol tables."""

from __future__ import annotations

import io
import keyword
import random
import subprocess
import symtable
import sys
import tokenize
import warnings
from collections.abc import Sequence
from pathlib import Path

_RUFF = Path(sys.executable).with_name("ruff")


def reformatted(programs: Sequence[str], folder: Path, draw: random.Random) -> list[str]:
    """Each as ruff formats it with other settings than most, with remarks added and a docstring
    for every function that has none."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, text in enumerate(programs):
        (folder / f"p{at}.py").write_text(text, encoding="utf-8", newline="\n")
    config = "format.quote-style='single'"
    command = [str(_RUFF), "format", "--isolated", "--line-length=50", "--config", config, "."]
    subprocess.run(
        [*command, "--config", "indent-width=3"], cwd=folder, check=True, capture_output=True
    )
    found = []
    for at in range(len(programs)):
        text = (folder / f"p{at}.py").read_text(encoding="utf-8")
        found.append(_with_remarks(text, draw))
    return found


def _with_remarks(text: str, draw: random.Random) -> str:
    """Remarks at the ends of lines and between them, where the tokenizer ends a line."""
    lines = text.splitlines()
    ends = {
        token.start[0] - 1
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.NEWLINE
    }
    found = []
    for at, line in enumerate(lines):
        found.append(f"{line}  # step {at}" if at in ends and draw.random() < 0.3 else line)
        if at in ends and draw.random() < 0.2:
            found.append("# so far, so good")
    return "\n".join(found) + "\n"


def renamed(text: str, draw: random.Random) -> str:
    """The program with every name that it gives a meaning changed: functions, parameters,
    variables; not what it imports, and no attribute."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that mean nothing
        names = sorted(_own_names(symtable.symtable(text, "program", "exec")))
    letters = list("bcdfghjklmnpqrstvwxz")
    new = {}
    for name in names:
        made = "".join(draw.choices(letters, k=5)) + draw.choice(("", "_1", "Of"))
        while keyword.iskeyword(made) or made in new.values():
            made += "z"
        new[name] = made
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    changed = []
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token.string in "([{") - (token.string in ")]}") if token.string else 0
        is_name = token.type == tokenize.NAME and token.string in new
        # `key` of `sorted(a, key=b)` is sorted's own name.
        keyword_of_call = depth and tokens[at + 1].string == "=" if is_name else False
        attribute = at and tokens[at - 1].string == "."
        if is_name and not attribute and not keyword_of_call:
            changed.append((token.type, new[token.string]))
        else:
            changed.append((token.type, token.string))
    return tokenize.untokenize(changed)


def _own_names(table: symtable.SymbolTable) -> set[str]:
    found = {
        symbol.get_name()
        for symbol in table.get_symbols()
        if (symbol.is_assigned() or symbol.is_parameter() or symbol.is_namespace())
        and not symbol.is_imported()
        and not symbol.get_name().startswith((".", "__"))
    }
    return found.union(*map(_own_names, table.get_children()))


def embedded(program: str, draw: random.Random) -> str:
    """The program within a longer one, as somebody who solves another problem has it."""
    indent = " " * draw.choice((2, 4))
    before = f"import sys\nfrom collections import deque\n\nlimit{draw.randrange(99)} = 10 ** 6\n\n"
    after = (
        f"\n\ndef main{draw.randrange(99)}():\n{indent}n = int(sys.stdin.readline())\n"
        f"{indent}queue = deque(range(n + {draw.randrange(9)}))\n{indent}while queue:\n"
        f"{indent * 2}print(queue.popleft() * {draw.randrange(2, 9)})\n"
    )
    return before + program + after
