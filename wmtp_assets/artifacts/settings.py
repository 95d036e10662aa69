"""Where a run reads its catalog and keeps its files: the environment, read when asked for.

| variable | meaning | default |
| --- | --- | --- |
| WMTP_CATALOG | `sample`, `full`, or the path of a catalog | `sample` |
| WMTP_STORAGE | the root of the files | `storage` |
| WMTP_HUB | a directory mirror to fetch from | the Hub; for `sample`, the generated sample |
| WMTP_ENGINE | where heavy, divisible work runs: `local` or `ray` | `local` |

Paths are made absolute here, once: Dagster's processes work in another folder than the user does.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.catalog.reader import SHIPPED
from wmtp_assets.engines.engine import SETTING as ENGINE
from wmtp_assets.engines.engine import EngineName, chosen_engine
from wmtp_assets.errors import WmtpError

# Bytes. Linux takes paths of 4,095, and what is made below needs some of them.
_LONGEST, _LONGEST_NAME = 3072, 255
_CONTROLS = frozenset({"Cc", "Zl", "Zp"})  # Unicode's categories: they end a line, or do worse


class SettingsError(WmtpError):
    """A variable of the environment cannot be what it says."""


@dataclass(frozen=True)
class Settings:
    """What the environment says. `hub` is None for the catalog's own default.

    Paths are absolute.
    """

    catalog: str
    storage: Path
    hub: str | None = None
    engine: EngineName = "local"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Reads WMTP_CATALOG, WMTP_STORAGE, WMTP_HUB and WMTP_ENGINE; an empty value counts as
        unset.

        `~` is the user's home folder, in a shell or not. Raises SettingsError, EngineError.
        """
        values = os.environ if environment is None else environment
        catalog = values.get("WMTP_CATALOG") or "sample"
        hub = values.get("WMTP_HUB")
        return cls(
            catalog=catalog if catalog in SHIPPED else str(absolute(catalog, "WMTP_CATALOG")),
            storage=absolute(values.get("WMTP_STORAGE") or "storage", "WMTP_STORAGE"),
            hub=str(absolute(hub, "WMTP_HUB")) if hub else None,
            engine=chosen_engine(values),
        )

    def environment(self) -> dict[str, str]:
        """The variables that make another process read the same, wherever it works."""
        given = {"WMTP_CATALOG": self.catalog, "WMTP_STORAGE": str(self.storage)}
        given |= {"WMTP_HUB": self.hub} if self.hub else {}
        return given | ({ENGINE: self.engine} if self.engine != "local" else {})


def absolute(path: str, variable: str) -> Path:
    """`path`, which `variable` of the environment holds, from the root. Raises SettingsError."""
    found: str | None = None
    if any(unicodedata.category(char) in _CONTROLS for char in path):
        # Messages and commands that are printed hold paths: one line each, to be copied.
        found = f"a line break, NUL or another control character: {path!a}"
    elif "://" in path:
        found = f"a URL: {path.partition('://')[0]}://..."
    else:
        try:
            whole = Path(path).expanduser().absolute()
            size, longest = len(str(whole).encode()), max(len(os.fsencode(p)) for p in whole.parts)
        except UnicodeEncodeError:  # no document, database or page could name it
            found = f"bytes that are not UTF-8: {str(whole)!a}"
        except (RuntimeError, OSError) as error:
            found = f"{path}: {error}"
        else:
            if size <= _LONGEST and longest <= _LONGEST_NAME:
                return whole
            found = f"a path of {size:,} bytes, the longest name of which has {longest:,}"
    raise SettingsError(
        f"{variable} is not the path of a file or folder",
        expected=f"a path such as /data/wmtp or ~/wmtp, of at most {_LONGEST:,} bytes, with names "
        f"of at most {_LONGEST_NAME}",
        found=found,
        where=f"the variable {variable} of the environment",
        hint=f"correct {variable}, or unset it.",
    )
