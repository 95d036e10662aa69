"""The one shape of an error that a user reads: expected, found, where, and what to do next."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with escapes for whatever could not be printed, or would rewrite a terminal or page.

    Errors quote text from untrusted input. Line breaks stay.
    """
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def one_line(text: object) -> str:
    """As `printable`, of a name or path: a line break in it is escaped, too."""
    return printable(str(text)).replace("\n", "\\n")


class WmtpError(Exception):
    """Something is wrong with input, upstream or storage, and a person must act.

    Every failure that is not a bug in this package is raised as a subclass of this, so that the
    command line prints it without a traceback and Dagster does not retry it.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: object = None,
        found: object = None,
        where: object = None,
        hint: str | None = None,
    ) -> None:
        self.problem = problem
        self.expected = expected
        self.found = found
        self.where = where
        self.hint = hint
        parts = [self.what()]
        if where is not None:
            parts.append(f"Where: {where}.")
        if hint is not None:
            parts.append(f"What to do: {hint}")
        super().__init__(printable(" ".join(parts)))

    def what(self) -> str:
        """The problem, what was expected and what was found; not where, nor what to do."""
        parts = [self.problem if self.problem.endswith((".", "!", "?")) else f"{self.problem}."]
        if self.expected is not None:
            parts.append(f"Expected: {self.expected}.")
        if self.found is not None:
            parts.append(f"Found: {self.found}.")
        return printable(" ".join(parts))


class TransientError(WmtpError):
    """Worth another try later without a person's help (a reset connection, a busy server)."""
