"""How every benchmark prints its figures."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A measured value; `ok` says whether it meets its bar (None: it only informs)."""

    name: str
    value: float
    bar: float | None
    ok: bool


class Report:
    """Prints figures as they come, a JSON line each, and remembers whether every bar was met."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    @property
    def ok(self) -> bool:
        """Whether every bar was met."""
        return all(figure.ok for figure in self.figures)

    def figure(
        self, name: str, value: float, bar: float | None = None, least: bool = False
    ) -> None:
        """`value` must be at most `bar` (at least, with `least`); without a bar it only informs."""
        ok = bar is None or (value >= bar if least else value <= bar)
        self.figures.append(Figure(name, round(value, 4), bar, ok))
        line = {"name": name, "value": round(value, 4), "bar": bar, "ok": ok}
        print(json.dumps(line), flush=True)
