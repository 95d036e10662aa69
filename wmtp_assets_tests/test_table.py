"""The table at the end of `wmtp materialize`, for terminals of every width."""

from __future__ import annotations

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.cli.report import Row, table


def row(asset: str, amount: str = "", failed: int = 0, warned: int = 0) -> Row:
    return Row(asset, "a/path", amount, 27_000_000_000, "0123456789ab", 13, failed, warned)


def of_full(tmp_path: object) -> list[Row]:
    """What the full catalog would show, at its worst."""
    from pathlib import Path

    artifacts = Project(load_catalog("full"), Path(str(tmp_path))).artifacts
    return [
        row(
            name,
            "6,738,415,616 parameters" if artifact.is_checkpoint else "3,700,000 rows",
            warned=1,
        )
        for name, artifact in artifacts.items()
    ]


def test_it_fits_100_columns_with_the_full_catalog(tmp_path: object) -> None:
    given = of_full(tmp_path)
    lines = table(given).splitlines()
    assert len(lines) == len(given) + 1
    assert max(map(len, lines)) <= 100
    assert lines[0].split() == ["artifact", "rows/params", "size", "digest", "checks"]
    for one, line in zip(given, lines[1:], strict=True):
        name, amount, size, unit, digest, *checks = line.split()
        assert (name, amount, f"{size} {unit}") == (one.asset, one.amount.split()[0], "27.00 GB")
        assert (digest, " ".join(checks)) == ("0123456789ab", "13 ok, 1 warned")


@pytest.mark.parametrize("columns", [80, 60, 40])
def test_on_a_narrow_terminal_each_has_lines_of_its_own(tmp_path: object, columns: int) -> None:
    given = of_full(tmp_path)
    text = table(given, columns)
    lines = text.splitlines()
    names = {one.asset for one in given}
    assert [line for line in lines if line in names] == [one.asset for one in given]
    assert max(len(line) for line in lines if line not in names) <= columns
    assert "6,738,415,616 parameters" in " ".join(text.split())
    assert text.count("0123456789ab") == len(given)


@pytest.mark.parametrize("columns", [100, 60])
def test_a_name_of_any_length_stays_whole(columns: int) -> None:
    long = "datasets/" + "x" * 180
    lines = table([row(long, "381 rows", failed=1), row("models/y")], columns).splitlines()
    assert long in lines
    assert "381 rows, 27.00 GB, 0123456789ab, 13 ok, 1 FAILED" in "\n".join(lines)


def test_few_short_rows_are_a_table_on_60_columns_too() -> None:
    lines = table([row("models/y", "12 rows")], 60).splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 60


def test_an_artifact_that_is_missing_has_no_size() -> None:
    (_, line) = table([Row("models/y", "", "", 0, "missing", 0, 2, 0)]).splitlines()
    assert line.split() == ["models/y", "missing", "2", "FAILED"]
