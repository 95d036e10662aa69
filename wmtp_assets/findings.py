"""A check, and what it finds: `Check` computes one `Finding` about one subject.

A check is defined by its function, next to what it verifies (in `artifacts/checks/`,
`checkpoints/`, `corpora/` and `mtp/`). The function's name is the check's name, and severity is
stated nowhere else: a check blocks unless its decorator says `blocking=False`. Dagster's checks,
`wmtp verify` and the gate all read the same findings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar, overload

from wmtp_assets.errors import printable

S = TypeVar("S")
T = TypeVar("T")

AS_EXPECTED: Final = "as expected"
"""What is found where `expected` says all that there is to say."""

SENTENCE: Final = 240  # characters, at most
_DIGEST = re.compile(r"\b([0-9a-f]{12})(?:[0-9a-f]{28}|[0-9a-f]{52})\b")  # of a commit, SHA-256


@dataclass(frozen=True)
class Outcome:
    """What a check's function found: the expected beside the found.

    Both are of one kind: two numbers, two mappings or two sentences. `where` names the file (and
    line or tensor), `hint` what to do about a failure. `details` holds small JSON-able extras,
    shown beside expected and found.
    """

    passed: bool
    expected: object
    found: object
    where: str
    hint: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """The outcome of one check of one artifact.

    `name` is the check's name (snake_case, stable: Dagster's history hangs on it). `blocking` says
    whether wrong data would flow on if this were ignored. The other fields are as in `Outcome`.
    """

    name: str
    passed: bool
    expected: object
    found: object
    where: str
    blocking: bool = True
    hint: str = ""
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """What was found, in one line of at most `SENTENCE` characters, as a list of checks shows
        it: numbers beside their names, digests with twelve digits, nothing that is not printable.
        """
        expected, found = in_words(self.expected), in_words(self.found)
        # A number, a digest or a dtype says nothing without a name.
        bare = not isinstance(self.expected, str) or " " not in expected + found
        name = self.name.replace("_", " ")
        if not self.passed:
            said = f"{f'{name}: ' if bare else ''}{found}; expected: {expected}"
        elif bare:
            asked, there_is = self.expected, self.found
            if isinstance(asked, Mapping) and isinstance(there_is, Mapping):
                there_is = {key: there_is.get(key) for key in asked}
            said = f"{found if isinstance(self.found, Mapping) else f'{name}: {found}'}"
            said += f", {AS_EXPECTED}" if asked == there_is else f"; expected: {expected}"
        else:
            said = f"{expected}, {AS_EXPECTED}" if found == expected else f"{expected}: {found}"
        line = short_digests(" ".join(printable(said).split()))
        # A name such as is_correct or model.safetensors is not to be changed.
        if line.partition(" ")[0].isalpha():
            line = line[0].upper() + line[1:]
        return line if len(line) <= SENTENCE else f"{line[: SENTENCE - 1]}…"


def in_words(value: object) -> str:
    """A value of a finding as text: numbers with separators, a mapping as names and values."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(one)}" for name, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(in_words, value))})"
    return str(value)


def short_digests(text: str) -> str:
    """The text with the digests and commits in it cut to twelve digits, as versions are named."""
    return _DIGEST.sub(r"\1", text)


@dataclass(frozen=True)
class CheckResult:
    """A finding on one artifact as text, as reports, tables and messages show it.

    `artifact` is the artifact's name, or that of what is published as a whole.
    """

    artifact: str
    check: str
    passed: bool
    expected: str
    found: str
    where: str
    hint: str
    blocking: bool

    @classmethod
    def of(cls, artifact: str, finding: Finding) -> CheckResult:
        """The finding on `artifact`."""
        return cls(
            artifact,
            finding.name,
            finding.passed,
            str(finding.expected),
            str(finding.found),
            finding.where,
            finding.hint,
            finding.blocking,
        )

    def __str__(self) -> str:
        return f"{self.artifact}: {self.check}: {self.found}"


@dataclass(frozen=True, eq=False)
class Check(Generic[S]):
    """One check: what it is called, what it says, how severe it is, and how it is computed.

    `quick` checks read no contents beyond headers and records; `wmtp verify` runs only those.
    `apart` are checks that share nothing with the others of their subject: they run beside them.
    """

    name: str
    description: str
    compute: Callable[[S], Outcome | Finding]
    blocking: bool = True
    quick: bool = False
    apart: bool = False

    def of(self, subject: S) -> Finding:
        """The finding on `subject`. Raises what reading it raises."""
        out = self.compute(subject)
        return Finding(
            self.name,
            out.passed,
            out.expected,
            out.found,
            out.where,
            self.blocking,
            "" if out.passed else out.hint,
            out.details,
        )

    def on(self, part: Callable[[T], S]) -> Check[T]:
        """The same check of a larger subject, of which `part` gives what this one looks at."""
        compute = self.compute
        return Check(
            self.name,
            self.description,
            lambda subject: compute(part(subject)),
            self.blocking,
            self.quick,
            self.apart,
        )


def check(
    description: str, *, blocking: bool = True, quick: bool = False, apart: bool = False
) -> Callable[[Callable[[S], Outcome | Finding]], Check[S]]:
    """Makes a function a check of the function's name. `blocking`: wrong data would flow on."""

    def made(compute: Callable[[S], Outcome | Finding]) -> Check[S]:
        return Check(compute.__name__, description, compute, blocking, quick, apart)

    return made


class lazy(Generic[T]):  # noqa: N801 - used like `property`
    """A property that is computed when it is first needed, once: its value, or what it raised.

    Not locked: one thread at a time works on a subject.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, subject: None, owner: type) -> lazy[T]: ...
    @overload
    def __get__(self, subject: object, owner: type | None = None) -> T: ...
    def __get__(self, subject: object | None, owner: type | None = None) -> lazy[T] | T:
        if subject is None:
            return self
        failed: dict[str, Exception] = subject.__dict__.setdefault("_failed", {})
        if self._name in failed:
            raise failed[self._name]
        try:
            value = self._compute(subject)
        except Exception as error:
            failed[self._name] = error
            raise
        subject.__dict__[self._name] = value  # found there before this descriptor from now on
        return value


def is_computed(subject: object, name: str) -> bool:
    """Whether a `lazy` part of `subject` has its value already."""
    return name in subject.__dict__
