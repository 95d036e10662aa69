"""Errors that say more of this interpreter than of the solution: what it lacks.

Solutions were accepted by judges of their time, on Python 3.4 to 3.8 with some packages. What
fails here for a module, or a name in one, that was there and is not in this interpreter was not
tried. The names are listed, so that a solution that imports what never was fails.
"""

from __future__ import annotations

import re
from typing import Final

PACKAGES: Final = frozenset(
    [
        "numpy",
        "scipy",
        "sympy",
        "networkx",
        "numba",
        "sklearn",
        "pandas",
        "sortedcontainers",
        "bitarray",
        "Cython",
        "cython",
        "gmpy2",
        "llvmlite",
        "decorator",
        "matplotlib",
        "six",
    ]
)
"""Packages that AtCoder, CodeChef, HackerEarth or Codeforces offered beside the library."""
_REMOVED_MODULES: Final = frozenset(
    [
        "asynchat",
        "asyncore",
        "audioop",
        "cgi",
        "cgitb",
        "chunk",
        "crypt",
        "distutils",
        "imghdr",
        "imp",
        "msilib",
        "nntplib",
        "parser",
        "pipes",
        "sndhdr",
        "smtpd",
        "spwd",
        "sunau",
        "symbol",
        "telnetlib",
        "uu",
        "xdrlib",
        "formatter",
        "macpath",
        "dummy_threading",
        "_dummy_thread",
        "binhex",
        "asyncio.compat",
    ]
)
_REMOVED_NAMES: Final = {
    "fractions": frozenset({"gcd"}),
    "time": frozenset({"clock"}),
    "collections": frozenset(
        [
            "Awaitable",
            "Coroutine",
            "AsyncIterable",
            "AsyncIterator",
            "AsyncGenerator",
            "Hashable",
            "Iterable",
            "Iterator",
            "Generator",
            "Reversible",
            "Sized",
            "Container",
            "Callable",
            "Collection",
            "Set",
            "MutableSet",
            "Mapping",
            "MutableMapping",
            "MappingView",
            "KeysView",
            "ItemsView",
            "ValuesView",
            "Sequence",
            "MutableSequence",
            "ByteString",
        ]
    ),
    "inspect": frozenset({"getargspec", "formatargspec"}),
    "sys": frozenset({"getcheckinterval", "setcheckinterval"}),
    "array.array": frozenset({"fromstring", "tostring"}),
    "base64": frozenset({"encodestring", "decodestring"}),
    "html.parser": frozenset({"HTMLParseError"}),
    "platform": frozenset({"linux_distribution", "dist"}),
    "cgi": frozenset({"escape"}),
    "os": frozenset({"errno"}),
    "typing": frozenset({"io", "re"}),
}
_NO_MODULE: Final = re.compile(r"(?:ModuleNotFound|Import)Error: No module named '?([\w.]+)'?")
_NO_NAME: Final = re.compile(r"ImportError: cannot import name '(\w+)' from '([\w.]+)'")
_NO_ATTRIBUTE: Final = re.compile(
    r"AttributeError: (?:module )?'([\w.]+)'(?: object)? has no attribute '(\w+)'"
)


def what_is_missing(last_line: str) -> str | None:
    """What of another interpreter a traceback's last line asks for; None for any other error."""
    if found := _NO_MODULE.match(last_line):
        name = found[1]
        if name.partition(".")[0] in PACKAGES:
            return f"needs the package {name.partition('.')[0]}, which is not here"
        if name in _REMOVED_MODULES or name.partition(".")[0] in _REMOVED_MODULES:
            return f"needs an older Python: the module {name}"
        return None
    if found := _NO_NAME.match(last_line):
        module, name = found[2], found[1]
    elif found := _NO_ATTRIBUTE.match(last_line):
        module, name = found[1], found[2]
    else:
        return None
    if name in _REMOVED_NAMES.get(module, ()):
        return f"needs an older Python: {module}.{name}"
    return None
