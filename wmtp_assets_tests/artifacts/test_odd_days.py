"""A clock that went back a year, and names that would like to be markup."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.verify import verify
from wmtp_assets.findings import Finding
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.checks.artifacts import shown
from wmtp_assets.orchestration.presentation import metadata_value
from wmtp_assets.storage import receipts
from wmtp_assets_tests.artifact_checks.breaking import recommit
from wmtp_assets_tests.artifacts.editions import CHECKPOINT, SPLIT, Maker, planted, small

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://example.org/x.png)",
    "[click](javascript:alert(1))",
    "https://example.org/",
    "/etc/passwd",
    "\x1b[2J\u202eexe.txt",
)
LIVE = (
    dg.MarkdownMetadataValue,
    dg.UrlMetadataValue,
    dg.PathMetadataValue,
    dg.NotebookMetadataValue,
)


def test_a_clock_set_back_a_year_changes_no_order_and_no_answer(
    memory: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = planted(project, small(project.catalog, "optional"), memory / "storage")
    first = ours.store.current(SPLIT)
    assert first is not None
    past = datetime.now(UTC) - timedelta(days=365)
    monkeypatch.setattr(receipts, "now", lambda: past.isoformat(timespec="seconds"))

    def another_line(folder: Path) -> None:
        with (folder / "test.jsonl").open("ab") as file:
            file.write(b"{}\n")

    recommit(ours, SPLIT, another_line)
    second = ours.store.current(SPLIT)
    assert second is not None
    assert second.made_at < first.made_at
    assert [made.version for made in ours.store.history(SPLIT)] == [second.version, first.version]
    assert not verify(ours).sound, "the metadata was made from the rows before"

    # Made again, in the past: the old bytes, which are whole, and published as a set.
    assert Maker(ours).make([SPLIT, f"{SPLIT}_metadata"]).succeeded
    recommit_again = ours.store.current(SPLIT)
    assert recommit_again is not None
    ours.store.gc(keep=1)
    current = ours.store.current(SPLIT)
    assert current is not None
    assert current.version == recommit_again.version, "gc keeps what is current, not what is newest"
    assert ours.store.rollback(SPLIT, ours.store.publications(SPLIT)[0].version) is not None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text_wherever_a_page_shows_it(name: str) -> None:
    finding = Finding(
        "names_and_shapes",
        passed=False,
        expected={"tensor": name},
        found=[name] * 50,
        where=name,
        hint=name,
        details={"histogram": {name: 3}, "first": name, name: name},
    )
    result = shown(key_of(CHECKPOINT), finding)
    for label, value in result.metadata.items():
        if isinstance(value, dg.MarkdownMetadataValue):
            # The one picture is drawn from numbers: no label reaches it.
            assert label == "difficulties"
            assert name not in str(value.value)
            assert str(value.value).startswith("![Rows by difficulty](data:image/svg+xml,")
        else:
            assert not isinstance(value, LIVE), label
    said = result.description or ""
    assert said.isprintable()
    # Dagster shows it as Markdown: nothing in it is a link, a picture or an element.
    assert not re.search(r"(?<!\\)[\[\]<>`*|]|://|www\.", said.replace("\\\\", "")), said
    for value in (name, [name], {name: name}, {name: [name] * 99}):
        assert isinstance(metadata_value(value), dg.TextMetadataValue | dg.JsonMetadataValue)
