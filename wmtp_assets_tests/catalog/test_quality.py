"""The catalog's block `quality`: what it asks for, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.artifacts import artifacts_of
from wmtp_assets.catalog.dataset_entries import Dataset, Execution, Quality


def dataset(layout: str, quality: dict[str, Any]) -> Dataset:
    return Dataset.model_validate(
        {
            "layout": layout,
            "upstream": {"repository": "org/name", "revision": "main", "licence": "MIT"},
            "splits": {"train": {"files": ["a.parquet"]}, "test": {"files": ["b.parquet"]}},
            "quality": quality,
        }
    )


@pytest.mark.parametrize(
    ("layout", "quality", "words"),
    [
        ("gsm8k", {"execute": {"rows": {"test": "all"}}}, "gsm8k has no tests .* code-contests"),
        ("mbpp", {"execute": {"rows": {"valid": 3}}}, "the split 'valid', .*train, test"),
        ("mbpp", {"execute": {"rows": {"test": 0}}}, "greater than 0"),
        ("mbpp", {"execute": {"rows": {"test": "some"}}}, "'all'"),
        ("mbpp", {"execute": {"rows": {}}}, "at least 1"),
        ("mbpp", {"execute": {"rows": {"test": 1 << 63}}}, "less than 9223372036854775808"),
        ("mbpp", {"execute": {"rows": {"test": 1}, "seed": 1 << 63}}, "less than 92233720"),
        ("mbpp", {"leaks": ["train", "train"]}, "named twice"),
        ("mbpp", {"duplicates": ["train", "train"]}, "named twice"),
        ("mbpp", {"execute": {"rows": {"test": "all"}, "on_request": 1}}, "valid boolean"),
    ],
)
def test_what_cannot_be_executed_is_refused(
    layout: str, quality: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=f"(?s){words}"):
        dataset(layout, quality)


def test_what_is_asked_for_is_an_artifact_that_the_gate_does_not_wait_for() -> None:
    asked = Quality(execute=Execution(rows={"train": 20, "test": "all"}, on_request=True))
    catalog = load_catalog("sample")
    codecontests = catalog.datasets["codecontests"].model_copy(update={"quality": asked})
    datasets = {"codecontests": codecontests}
    both = {"datasets": datasets, "contract": ("phase1", "current")}
    found = artifacts_of(catalog.model_copy(update=both))
    made = {name: one for name, one in found.items() if one.executes_rows}
    assert list(made) == [
        "datasets/codecontests_train_verdicts",
        "datasets/codecontests_test_verdicts",
        "datasets/codecontests_train_current_verdicts",
        "datasets/codecontests_test_current_verdicts",
    ]
    one = made["datasets/codecontests_train_verdicts"]
    assert one.status == "optional"
    assert one.on_request
    assert one.inputs == ("datasets/codecontests_train", "datasets/codecontests_train_raw")
    assert one.settings == {"layout": "code-contests", "rows": 20, "seed": 42}
    assert list(one.links) == [
        "datasets_v2/codecontests/quality/train_verdicts.parquet",
        "datasets_v2/codecontests/quality/train_verdicts.json",
    ]
