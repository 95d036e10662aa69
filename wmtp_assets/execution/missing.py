"""Errors that say more of this interpreter, or of the sandbox, than of the solution.

Solutions were accepted by judges of their time, on Python 3.4 to 3.8 with some packages, numpy 1
among them, and could start processes. What fails here for a module, or a name in one, that was
there and is not in this interpreter, or because no process may be started, was not tried. The names
are listed, so that a solution that imports what never was fails, and so does one that does what no
judge ever let it do.
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
    "Thread": frozenset({"isAlive"}),
    "numpy": frozenset(
        [
            *("bool", "int", "float", "complex", "object", "str", "long", "unicode"),
            *("alltrue", "asscalar", "cumproduct", "product", "rank", "sometrue"),
            *("in1d", "row_stack", "trapz"),
        ]
    ),
    "typing": frozenset({"io", "re"}),
}
_NO_MODULE: Final = re.compile(r"(?:ModuleNotFound|Import)Error: No module named '?([\w.]+)'?")
_NO_NAME: Final = re.compile(r"ImportError: cannot import name '(\w+)' from '([\w.]+)'")
_NO_ATTRIBUTE: Final = re.compile(
    r"AttributeError: (?:module )?'([\w.]+)'(?: object)? has no attribute '(\w+)'"
)
_NUMPY_2: Final = re.compile(r"AttributeError: `np\.(\w+)` was removed in the NumPy 2")
_RAGGED: Final = re.compile(r"ValueError: setting an array element with a sequence\. .*inhomogen")
_SCALAR: Final = re.compile(rb"\bnp\.(?:u?int|float|complex|bool|str)\w*\(")

_STARTERS: Final = ("multiprocessing", "concurrent.futures", "subprocess", "asyncio")
"""Modules that start processes or open sockets, which judges let solutions do."""
_IMPORT: Final = re.compile(
    rf"(?:^|;)[ \t]*(?:from[ \t]+|import[ \t]+(?:[\w. \t]+,[ \t]*)*)({'|'.join(_STARTERS)})\b"
    r"|(?:^|;)[ \t]*from[ \t]+(concurrent)[ \t]+import[ \t]+futures\b",
    re.MULTILINE,
)
_CALL: Final = re.compile(r"^[^#\n]*\bos\.(system|popen)[ \t]*\(", re.MULTILINE)
_DENIED: Final = re.compile(
    r"(?:PermissionError: \[Errno \d+\] [\w ]+|FileNotFoundError: \[Errno 2\] No such [\w ]+?)"
    # Processes, sockets and semaphores have no file name here; shared memory has one of these.
    r"(?:$| at: |: '/dev/shm(?:/pym-[^']*)?'|: '/(?:psm|wnsm)_)"
)


def what_is_missing(error: str, source: str = "") -> str | None:
    """What of another interpreter, or of a machine without a sandbox, the error of a program asks
    for; None for any other error. `error` is a traceback's line with type and message, `source` the
    program."""
    if _DENIED.match(error) and (starter := _starter_in(source)):
        return _not_allowed(starter)
    if found := _NO_MODULE.match(error):
        name = found[1]
        if name.partition(".")[0] in PACKAGES:
            return f"needs the package {name.partition('.')[0]}, which is not here"
        if name in _REMOVED_MODULES or name.partition(".")[0] in _REMOVED_MODULES:
            return f"needs an older Python: the module {name}"
        return None
    if found := _NUMPY_2.match(error):
        return f"needs an older numpy: numpy.{found[1]}"
    if _RAGGED.match(error):
        return "needs an older numpy: arrays of rows of different lengths"
    if found := _NO_NAME.match(error):
        module, name = found[2], found[1]
    elif found := _NO_ATTRIBUTE.match(error):
        module, name = found[1], found[2]
    else:
        return None
    if name not in _REMOVED_NAMES.get(module, ()):
        return None
    return f"needs an older {'numpy' if module == 'numpy' else 'Python'}: {module}.{name}"


def what_was_not_started(source: str) -> str | None:
    """What a program calls that here does nothing and raises no error: it starts a command, of
    which the sandbox lets it know a status only. None where it calls no such."""
    found = _CALL.search(source)
    return _not_allowed("os.system") if found and found[1] == "system" else None


def prints_as_numpy_2(output: bytes, expected: bytes) -> str | None:
    """Whether an output holds numbers as only numpy 2 shows them within lists, `np.int64(3)`."""
    found = _SCALAR.search(output)
    if found is None or _SCALAR.search(expected):
        return None
    return "needs an older numpy: prints its numbers as such"


def _not_allowed(what: str) -> str:
    return f"needs {what}, which the sandbox does not allow"


def _starter_in(source: str) -> str | None:
    if found := _IMPORT.search(source):
        return found[1] or "concurrent.futures"
    found = _CALL.search(source)
    return f"os.{found[1]}" if found else None
