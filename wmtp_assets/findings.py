"""A check, and what it finds: `Check` computes one `Finding` about one subject.

A check is defined by its function, next to what it verifies (`checkpoints/checks.py`,
`corpora/checks.py`, `artifacts/checks/`). The function's name is the check's name, and severity is
stated nowhere else. Dagster's checks, `wmtp verify` and the gate all read the same findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, overload

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """What a check's function found: the expected beside the found.

    `where` names the file (and line or tensor), `hint` what to do about a failure. `details` holds
    small JSON-able extras, shown beside expected and found.
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
            out.hint,
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
