"""How often labels hold: rates of executed rows by class, source and difficulty, with intervals.

Of the rows that upstream labels correct, the share that passes every test (the true positive rate);
of those it labels incorrect, the share that does not (the true negative rate). Rows of Python 3
count, of problems with one correct output for each test, that could be run here; the others are
listed apart. Rows without a class are references, of which the share that passes is given.

Everything follows from the file of verdicts and the rows that it is about. The form:

    about, protocol, executed, why     what was executed, and how; `why` not, where nothing was
    drawn                              lines of the file
    verdicts                           by class: how many of each
    rates                              by, value, class: agree of judged, rate, low, high
    apart                              several_answers, not_runnable, python2: by class
    parses                             by class: yes and no, as Python 3
    reasons                            what not_runnable rows say, the most frequent ones
    published                          figures of others, with their protocol
    failing                            rows without a class: the references that do not pass
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.annotations import VERDICTS, AnnotationFile
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.records import PYTHON3
from wmtp_assets.corpora.row_index import as_numpy

CLASSES: Final = {1: "correct", 0: "incorrect", -1: "rows"}
_Z: Final = 1.959963984540054  # of 95 %
_SHOWN: Final = 50
_DIGITS: Final = 6


def wilson(agree: int, judged: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson's score; of nothing, all from 0 to 1.

    It takes rows for independent of each other.
    """
    if not judged:
        return 0.0, 1.0
    share, z2 = agree / judged, _Z * _Z
    middle = (share + z2 / (2 * judged)) / (1 + z2 / judged)
    half = _Z * math.sqrt(share * (1 - share) / judged + z2 / (4 * judged * judged))
    half /= 1 + z2 / judged
    low = 0.0 if agree == 0 else max(0.0, middle - half)
    high = 1.0 if agree == judged else min(1.0, middle + half)
    return low, high


def rates_document(verdicts: AnnotationFile, corpus: Corpus, row_format: str) -> dict[str, Any]:
    """What is stated of a file of verdicts and the rows that it is about, in the form above.

    `row_format` is the name of the rows' format. Raises CorpusError where the file is damaged.
    """
    lines = _Lines(verdicts, corpus)
    facts = verdicts.facts
    return {
        "about": facts["about"],
        "protocol": facts.get("protocol", {}),
        "executed": facts.get("executed", True),
        "why": facts.get("why", ""),
        "drawn": len(verdicts),
        "verdicts": {
            name: {
                word: lines.count(of & (lines.verdict == at)) for at, word in enumerate(VERDICTS)
            }
            for name, of in lines.classes.items()
        },
        "rates": list(lines.rates()),
        "apart": {
            name: {word: lines.count(of & where) for word, of in lines.classes.items()}
            for name, where in (
                ("several_answers", lines.several),
                ("not_runnable", lines.is_python3 & ~lines.runnable),
                ("python2", ~lines.is_python3),
            )
        },
        "parses": {
            name: {"yes": lines.count(of & lines.parses), "no": lines.count(of & ~lines.parses)}
            for name, of in lines.classes.items()
        },
        "reasons": lines.reasons(),
        "published": [dict(one) for one in FORMATS[row_format].published_rates],
        "failing": list(lines.failing()),
    }


class _Lines:
    """The lines of a file as arrays, with what the row index says of their rows."""

    def __init__(self, verdicts: AnnotationFile, corpus: Corpus) -> None:
        self._verdicts = verdicts
        self._corpus = corpus
        table = verdicts.by_row("verdict")
        self.rows = as_numpy(table["row"])
        words = {word: at for at, word in enumerate(VERDICTS)}
        self.verdict = np.array([words[one] for one in table["verdict"].to_pylist()], np.int8)
        self.several = self._flag("several_answers")
        self.parses = self._flag("parses")
        self.runnable = self.verdict != words["not_runnable"]
        self.passed = self.verdict == words["passed"]
        self.is_python3 = self._of_rows("language") == PYTHON3
        label = self._of_rows("is_correct")
        self.classes = {
            name: label == code for code, name in CLASSES.items() if (label == code).any()
        }
        self.judged = self.runnable & self.is_python3 & ~self.several

    def _flag(self, name: str) -> NDArray[np.bool_]:
        return np.asarray(as_numpy(self._verdicts.by_row(name)[name]) != 0)

    def _of_rows(self, name: str) -> NDArray[Any]:
        return np.asarray(self._corpus.column(name)[self.rows])

    @staticmethod
    def count(where: NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(where))

    def rates(self) -> Iterator[dict[str, Any]]:
        """All rows of a class; then by source, difficulty and language, where there are several
        or it has a name."""
        everything = np.ones(self.rows.size, np.bool_)
        yield from self._rates("all", None, everything, self.judged)
        for by in ("source", "difficulty"):
            values = self._of_rows(by)
            for value in np.unique(values[values >= 0]).tolist():
                yield from self._rates(by, value, values == value, self.judged)
        languages = self._of_rows("language")
        runnable = self.runnable & ~self.several
        for value in np.unique(languages).tolist():
            yield from self._rates("language", value, languages == value, runnable)

    def _rates(
        self, by: str, value: int | None, where: NDArray[np.bool_], judged: NDArray[np.bool_]
    ) -> Iterator[dict[str, Any]]:
        for name, of in self.classes.items():
            counted = where & of & judged
            agrees = ~self.passed if name == "incorrect" else self.passed
            agree, total = self.count(counted & agrees), self.count(counted)
            if not total and by != "all":
                continue
            low, high = wilson(agree, total)
            yield {
                "by": by,
                "value": value,
                "class": name,
                "agree": agree,
                "judged": total,
                "rate": round(agree / total, _DIGITS) if total else None,
                "low": round(low, _DIGITS),
                "high": round(high, _DIGITS),
            }

    def reasons(self) -> dict[str, int]:
        """The most frequent reasons of rows that could not be run, with their numbers."""
        every = self._verdicts.by_row("reason")["reason"]
        found = Counter(every[at].as_py() for at in np.flatnonzero(~self.runnable).tolist())
        ordered = sorted(found.items(), key=lambda one: (-one[1], one[0]))
        return dict(ordered[:_SHOWN])

    def failing(self) -> Iterator[dict[str, Any]]:
        """The references that do not pass, some of them."""
        references = self.classes.get("rows")
        if references is None:
            return
        every = self._verdicts.by_row("reason")["reason"]
        for at in np.flatnonzero(references & ~self.passed).tolist()[:_SHOWN]:
            row = int(self.rows[at])
            yield {
                "row": row,
                "task_id": self._corpus[row]["task_id"],
                "verdict": VERDICTS[self.verdict[at]],
                "reason": every[at].as_py(),
            }
