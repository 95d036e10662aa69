"""Every check of datasets, each seen to fail for the thing that it is about."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import Split
from wmtp_assets.findings import Finding
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.checks.artifacts import shown
from wmtp_assets_tests.artifact_checks.breaking import (
    Case,
    answers,
    document,
    failed,
    index,
    recommit,
    record,
    rows,
)
from wmtp_assets_tests.artifacts import test_first_phase

CODE, MBPP, HUMANEVAL = (
    "datasets/codecontests_valid",
    "datasets/mbpp_validation",
    "datasets/humaneval_test",
)
SMALL = "datasets/codecontests_small_train"
SOURCE = "rows_equal_source"  # whatever else is wrong, the rows are not upstream's
RANGE = "difficulty_in_training_range"  # the sample has difficulties beyond 1-11 on purpose
BOTH = ("record_schema", "schema_describes_rows")


def set_to(**fields: object) -> Callable[[dict[str, Any]], None]:
    return lambda value: value.update(fields)


def swap(lines: list[bytes]) -> None:
    lines[2], lines[3] = lines[3], lines[2]


def add_token(columns: dict[str, list[Any]]) -> None:
    columns["output_tokens"][7] += 1


def beyond_limit(columns: dict[str, list[Any]]) -> None:
    used = columns["instruction_tokens"][7] + columns["input_tokens"][7]
    columns["output_tokens"][7] = 2049 - used


CASES = {
    "a line gone": Case(
        CODE,
        rows(lambda lines: lines.pop(5), settle=False),
        ("row_counts", "index_describes_lines", "stats_add_up"),
        "'rows': 82",
    ),
    "the last line gone": Case(
        MBPP,
        rows(lambda lines: lines.pop(), settle=False),
        ("row_counts", "index_describes_lines", "stats_add_up"),
        "'rows': 7",
    ),
    "a line too many": Case(
        HUMANEVAL,
        rows(
            lambda lines: lines.append(lines[0].replace(b"HumanEval/0", b"HumanEval/999")),
            settle=False,
        ),
        ("row_counts", "index_describes_lines", "stats_add_up"),
        "'rows': 13",
    ),
    "a line that is not JSON": Case(
        MBPP,
        rows(lambda lines: lines.__setitem__(4, b'{"instruction": "cut sh\n')),
        ("record_schema", "class_field"),
        "line 4: not a JSON object",
    ),
    "a changed solution": Case(
        CODE,
        rows(record(5, set_to(output="print(1)")), settle=False),
        ("index_describes_lines", "stats_add_up"),
        "line 5: offset or length",
    ),
    "is_correct as a text": Case(
        CODE,
        rows(record(5, set_to(is_correct="true"))),
        ("class_field", "row_counts", *BOTH, "index_describes_lines", "stats_add_up"),
        "1 rows with an is_correct that is no boolean",
    ),
    "is_correct as a number": Case(
        CODE,
        rows(record(5, set_to(is_correct=1))),
        ("class_field", "row_counts", *BOTH, "index_describes_lines", "stats_add_up"),
        "1 rows with an is_correct that is no boolean",
    ),
    "is_correct missing": Case(
        CODE,
        rows(record(5, lambda value: value.pop("is_correct"))),
        ("class_field", "row_counts", *BOTH, "index_describes_lines", "stats_add_up"),
        "1 rows without is_correct",
    ),
    "is_correct where it does not belong": Case(
        MBPP,
        rows(record(2, set_to(is_correct=True))),
        ("class_field", *BOTH, "index_describes_lines"),
        "1 rows with is_correct true",
    ),
    "a class turned over": Case(
        CODE,
        rows(record(5, lambda value: value.update(is_correct=not value["is_correct"]))),
        ("row_counts", "index_describes_lines", "stats_add_up"),
        "correct",
    ),
    "a field of another type": Case(
        HUMANEVAL, rows(record(3, set_to(output=None))), BOTH, "line 3: output"
    ),
    "a field that no schema knows": Case(
        HUMANEVAL, rows(record(3, set_to(comment="mine"))), BOTH, "line 3: comment"
    ),
    "a difficulty that upstream does not have": Case(
        CODE,
        rows(record(9, lambda value: value["metadata"].update(difficulty=99))),
        ("difficulty_known", *BOTH, "index_describes_lines", "stats_add_up"),
        "99 in 1 row",
    ),
    "a difficulty that upstream's enumeration skips": Case(
        CODE,
        rows(record(9, lambda value: value["metadata"].update(difficulty=18))),
        ("difficulty_known", *BOTH, "index_describes_lines", "stats_add_up"),
        "18 in 1 row",
    ),
    "an index of another class": Case(
        CODE,
        index(lambda columns: columns["is_correct"].__setitem__(4, not columns["is_correct"][4])),
        ("index_describes_lines", "stats_add_up"),
        "line 4: is_correct",
    ),
    "an index of other places": Case(
        MBPP,
        index(lambda columns: columns["offset"].__setitem__(4, columns["offset"][4] + 1)),
        ("index_describes_lines",),
        "line 4: offset",
    ),
    "a task id that stands twice": Case(
        HUMANEVAL,
        rows(record(1, set_to(task_id="HumanEval/0"))),
        ("task_ids_unique",),
        "1",
    ),
    "statistics off by one": Case(
        CODE,
        document("valid_stats.json", lambda value: value.update(total=value["total"] + 1)),
        ("stats_add_up",),
        "'total': 84",
    ),
    "a histogram off by one": Case(
        CODE,
        document(
            "valid_stats.json",
            lambda value: value["difficulty_dist"].update(
                {"11": value["difficulty_dist"]["11"] + 1}
            ),
        ),
        ("stats_add_up",),
        "difficulty_dist",
    ),
    "a funnel that loses rows": Case(
        CODE,
        document("valid_stats.json", lambda value: value["funnel"].update(too_long_by_count=0)),
        ("stats_add_up",),
        "funnel.candidates",
    ),
    "a row over the limit": Case(
        CODE, index(beyond_limit), ("token_sums", "stats_add_up"), "at most 2049, 1 rows over it"
    ),
    "a row whose tokens were counted wrong": Case(
        CODE, index(add_token), ("token_sums", "stats_add_up"), "valid.jsonl"
    ),
    "a task without its test_list": Case(
        MBPP,
        rows(record(1, set_to(test_list=[]))),
        ("tests_present", *BOTH),
        "line 1: test_list",
    ),
    "a task without its test": Case(
        HUMANEVAL, rows(record(1, set_to(test=""))), ("tests_present", *BOTH), "line 1: test"
    ),
    "two lines of the small copy swapped": Case(
        SMALL, rows(swap, settle=False), ("index_describes_lines", "stats_add_up"), "line 2"
    ),
    "a line gone from the small copy": Case(
        SMALL,
        rows(lambda lines: lines.pop(), settle=False),
        ("row_counts", "index_describes_lines", "stats_add_up"),
        "'rows': 99",
    ),
}


# Only records beside the rows were changed, which have their own questions.
AS_UPSTREAM = ("an index of other places", "statistics off by one", "a histogram off by one")


def wrong(found: dict[str, Finding]) -> set[str]:
    return {
        name
        for name, finding in found.items()
        if not finding.passed and name not in (RANGE, SOURCE)
    }


@pytest.mark.parametrize("case", CASES)
def test_a_broken_split_fails_exactly_the_checks_about_what_is_broken(
    copied: Project, case: str
) -> None:
    broken = CASES[case]
    recommit(copied, broken.artifact, broken.change)
    found = answers(copied, broken.artifact)
    assert wrong(found) == set(broken.wrong)
    assert found[SOURCE].passed is (case in AS_UPSTREAM)
    first = found[broken.wrong[0]]
    assert broken.says in f"{first.found} {first.where}"
    assert first.blocking
    assert all(
        str(copied.store.path(broken.artifact)) in found[name].where for name in broken.wrong
    )


def test_a_miscounted_row_is_named_by_its_line(copied: Project) -> None:
    recommit(copied, CODE, index(add_token))
    finding = answers(copied, CODE)["token_sums"]
    assert [text.split(":")[0] for text in finding.details["first_failures"]] == ["line 7"]


def with_range(project: Project, *stated: int) -> Project:
    dataset = project.catalog.datasets["codecontests"]
    changed = dataset.model_copy(update={"training_difficulties": stated or None})
    catalog = project.catalog.model_copy(
        update={"datasets": {**project.catalog.datasets, "codecontests": changed}}
    )
    return Project(catalog, project.storage, project.hub_spec)


@pytest.mark.parametrize(
    ("name", "stated", "low", "high"),
    [(CODE, (), 1, 11), (CODE, (0, 29), 0, 29), (f"{CODE}_current", (), 6, 25)],
)
def test_difficulties_beyond_those_of_training_are_counted_by_class_and_fail_nothing(
    current_project: Project, name: str, stated: tuple[int, ...], low: int, high: int
) -> None:
    project = with_range(current_project, *stated)
    finding = answers(project, name)[RANGE]
    assert (finding.passed, finding.blocking) == (True, False)
    assert str(finding.expected).startswith(f"{low}-{high} ")
    counted = Counter(
        (str(row["metadata"]["difficulty"]), "correct" if row["is_correct"] else "incorrect")
        for row in map(json.loads, (project.store.path(name) / "valid.jsonl").open())
    )
    histogram = finding.details["histogram"]
    assert counted == {
        (value, of_class): times
        for value, counts in histogram.items()
        for of_class, times in counts.items()
    }
    rows = sum(counted.values())
    outside = sum(n for (value, _), n in counted.items() if not low <= int(value) <= high)
    assert f"{outside} of {rows} rows outside" in str(finding.found)
    picture = shown(key_of(name), finding).metadata["difficulties"]
    assert str(picture.value).startswith("![Rows by difficulty")


@pytest.mark.parametrize(
    ("split", "counts"),
    [
        ("valid", {"rows": 84, "correct": 41, "incorrect": 43}),
        ("valid", {"correct": 42, "incorrect": 41}),
    ],
)
def test_other_counts_than_the_catalog_expects_are_reported(
    project: Project, split: str, counts: dict[str, int]
) -> None:
    dataset = project.catalog.datasets["codecontests"]
    entry = Split(**{**dataset.splits[split].model_dump(), **counts})
    splits = {**dataset.splits, split: entry, "train": Split(files=entry.files, rows=83)}
    changed = dataset.model_copy(update={"splits": splits})
    datasets = {**project.catalog.datasets, "codecontests": changed}
    other = replace(project, catalog=project.catalog.model_copy(update={"datasets": datasets}))
    found = answers(other, CODE)
    assert wrong(found) == {"row_counts"}
    assert found["row_counts"].found == {"rows": 83, "correct": 41, "incorrect": 42}
    told = "as many rows of the split train" in found["row_counts"].hint
    assert told == ("rows" in counts)


def entries_swapped(value: dict[str, Any]) -> None:
    entries = value["metadata"]
    other = next(at for at, entry in enumerate(entries) if entry != entries[0])
    entries[0], entries[other] = entries[other], entries[0]


def stats_off(value: dict[str, Any]) -> None:
    value["stats"]["correct"] += 1
    value["stats"]["incorrect"] -= 1


ENTRIES = "metadata_matches_lines"
METADATA: dict[str, tuple[Callable[[dict[str, Any]], object], set[str], str]] = {
    "two entries swapped": (entries_swapped, {ENTRIES}, "entry 0"),
    "an entry gone": (lambda value: value["metadata"].pop(), {ENTRIES}, "entry 82"),
    "an entry too many": (
        lambda value: value["metadata"].append(value["metadata"][0]),
        {ENTRIES},
        "84 entries for 83 lines",
    ),
    "a class as a text": (
        lambda value: value["metadata"][7].update(is_correct="true"),
        {ENTRIES},
        "entry 7",
    ),
    "an entry without its class": (
        lambda value: value["metadata"][7].pop("is_correct"),
        {ENTRIES},
        "entry 7",
    ),
    "statistics off by one": (stats_off, {"metadata_stats_add_up"}, "'correct': 42"),
}


@pytest.mark.parametrize("case", METADATA)
def test_metadata_that_does_not_describe_its_lines_is_reported(copied: Project, case: str) -> None:
    change, questions, says = METADATA[case]
    name = f"{CODE}_metadata"
    recommit(copied, name, document("valid_metadata.json", change))
    found = answers(copied, name)
    # Other bytes than the contract's layout are told as well, so statistics alone fail both.
    wrong_structure = {"metadata_structure"} if case == "a class as a text" else set()
    assert wrong(found) - {ENTRIES} == questions - {ENTRIES} | wrong_structure
    first = found[next(iter(questions))]
    assert not first.passed
    assert says in str(first.found)
    assert first.where.endswith("valid_metadata.json")


def test_metadata_of_the_small_copy_is_held_against_its_lines(copied: Project) -> None:
    name = f"{SMALL}_metadata"
    recommit(copied, name, document("train_small_metadata.json", entries_swapped))
    assert failed(copied, name) == {ENTRIES}


def test_metadata_of_changed_lines_is_reported_though_it_is_as_its_receipt_says(
    copied: Project,
) -> None:
    recommit(copied, CODE, rows(swap_classes))
    assert failed(copied, f"{CODE}_metadata") == {"inputs_current", ENTRIES}


def swap_classes(lines: list[bytes]) -> None:
    correct = next(at for at, line in enumerate(lines) if b'"is_correct": true' in line)
    incorrect = next(at for at, line in enumerate(lines) if b'"is_correct": false' in line)
    lines[correct], lines[incorrect] = lines[incorrect], lines[correct]


def test_a_changed_schema_is_reported(copied: Project) -> None:
    def change(value: dict[str, Any]) -> None:
        value["properties"].pop("is_correct")

    recommit(copied, "datasets/codecontests_schema", document("schema.json", change))
    assert failed(copied, "datasets/codecontests_schema") == {"schema_is_ours"}


@pytest.mark.parametrize("card", ["README.md", "README_small.md"])
def test_a_card_that_declares_other_files_is_reported(copied: Project, card: str) -> None:
    def change(folder: Path) -> None:
        text = (folder / card).read_text("utf-8")
        (folder / card).write_text(text.replace("path: train", "path: ../train"), "utf-8")

    recommit(copied, "datasets/codecontests_schema", change)
    assert failed(copied, "datasets/codecontests_schema") == {"data_files_declared"}


def test_a_receipt_that_counts_other_rows_is_reported(copied: Project) -> None:
    receipt = copied.store.current(MBPP)
    assert receipt is not None
    recommit(copied, MBPP, lambda folder: None, facts={**receipt.facts, "rows": 99})
    found = answers(copied, MBPP)
    assert {name for name, one in found.items() if not one.passed} == {"receipt_facts"}
    assert "rows: 99" in str(found["receipt_facts"].found)


def test_every_check_is_named_by_a_test_that_breaks_what_it_is_about(project: Project) -> None:
    from wmtp_assets.artifacts.checks import checks_of

    asked = {check.name for a in project.artifacts.values() for check in checks_of(project, a)}
    files = [*Path(__file__).parent.glob("test_*.py"), Path(test_first_phase.__file__)]
    texts = [path.read_text("utf-8") for path in files]
    assert len(asked) > 30
    assert [name for name in sorted(asked) if not any(f'"{name}"' in text for text in texts)] == []
