"""Whether copies may be passed on: what the catalog says, else what a known licence's text allows.

Nothing is guessed: of any other licence, and of words around a known one, it is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from wmtp_assets.catalog.schema import Upstream

UNKNOWN: Final = "unknown"

# By SPDX identifier; after each, the clause that says so.
KNOWN: Final[Mapping[str, str]] = {
    # https://www.apache.org/licenses/LICENSE-2.0, section 4
    "Apache-2.0": "allowed, with the licence, its notices, and a note of what was changed",
    # https://opensource.org/license/mit, second paragraph
    "MIT": "allowed, with the copyright notice and the licence",
    # https://opensource.org/license/bsd-3-clause, clauses 1 to 3
    "BSD-3-Clause": "allowed, with the copyright notice and the licence",
    # https://creativecommons.org/licenses/by/4.0/legalcode, sections 2(a)(1) and 3(a)
    "CC-BY-4.0": "allowed, with credit, a link to the licence, and a note of what was changed",
    # https://creativecommons.org/licenses/by-sa/4.0/legalcode, sections 2(a)(1) and 3
    "CC-BY-SA-4.0": "allowed under the same licence, with credit and a note of what was changed",
    # https://creativecommons.org/licenses/by-nc/4.0/legalcode, sections 2(a)(1) and 3(a)
    "CC-BY-NC-4.0": "allowed for noncommercial purposes only, with credit and a note of changes",
    # https://creativecommons.org/publicdomain/zero/1.0/legalcode, section 2
    "CC0-1.0": "allowed without conditions",
}


def redistribution(upstream: Upstream) -> str:
    """Whether copies of what comes from `upstream` may be passed on, in words."""
    return upstream.redistribution or KNOWN.get(upstream.licence, UNKNOWN)
