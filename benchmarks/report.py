"""How every benchmark prints its figures."""

from __future__ import annotations

import json


class Report:
    """Prints figures as they come, a JSON line each, and remembers whether every bar was met."""

    def __init__(self) -> None:
        self.ok = True

    def figure(
        self, name: str, value: float, bar: float | None = None, least: bool = False
    ) -> None:
        """`value` must be at most `bar` (at least, with `least`); without a bar it only informs."""
        ok = bar is None or (value >= bar if least else value <= bar)
        self.ok = self.ok and ok
        line = {"name": name, "value": round(value, 4), "bar": bar, "ok": ok}
        print(json.dumps(line), flush=True)
