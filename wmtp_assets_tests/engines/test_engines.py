"""What is the same for every engine, and the one that is this process."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from wmtp_assets.engines.engine import EngineError, chosen_engine, counted
from wmtp_assets.engines.finished import Finished
from wmtp_assets.engines.forms import MEASURE, NUMBER, SHA256, Named, fits, has_form
from wmtp_assets.engines.opening import open_engine
from wmtp_assets.storage.digests import cores
from wmtp_assets_tests.engines.work import doubled, fails, refuses

TASKS = [{"number": number} for number in range(5)]


def test_the_variable_chooses_and_names_what_it_may_be() -> None:
    assert chosen_engine({}) == chosen_engine({"WMTP_ENGINE": ""}) == "local"
    assert chosen_engine({"WMTP_ENGINE": "ray"}) == "ray"
    with pytest.raises(EngineError, match=r"local or ray.*'spark'.*unset"):
        chosen_engine({"WMTP_ENGINE": "spark"})


def test_values_for_kuberay_are_yaml_with_a_token_and_without_a_dashboard() -> None:
    page = (Path(__file__).parents[2] / "docs/cluster.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.S)
    spec = yaml.safe_load(block)["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["headGroupSpec"]["rayStartParams"]["include-dashboard"] == "false"
    (workers,) = spec["workerGroupSpecs"]
    assert workers["template"] == spec["headGroupSpec"]["template"]
    pod = workers["template"]["spec"]
    assert [mount["name"] for one in pod["containers"] for mount in one["volumeMounts"]] == [
        volume["name"] for volume in pod["volumes"]
    ]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://head:10001", r"host:port, or auto\. Found: 'ray://head:10001'"),
        ("head", "host:port, or auto"),
        ("127.0.0.1:1", r"does not answer\..*refused.*`ray status`"),
        ("127.0.0.1:99999", "does not answer"),
    ],
)
def test_an_address_where_nothing_is_is_refused_at_once(
    address: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setitem(sys.modules, "ray", None)  # it is not asked
    with pytest.raises(EngineError, match=said):
        open_engine("ray").__enter__()


def test_this_process_works_with_every_core_and_tells() -> None:
    told: list[int] = []
    with open_engine("local") as engine:
        found = list(engine.map(doubled, TASKS, told.append))
        assert engine.parts == 1
        with pytest.raises(EngineError, match="No"):
            list(engine.map(refuses, TASKS))
    assert [one["twice"] for one in found] == [0, 2, 4, 6, 8]
    assert {one["cores"] for one in found} == {cores()}
    assert told == [1] * 5


def test_what_is_done_is_counted_over_all_tasks() -> None:
    told: list[int] = []
    with open_engine("local") as engine:
        assert len(list(counted(engine, doubled, TASKS[:3], lambda _: 4, told.append))) == 3
    assert told == [1, 4, 5, 8, 9, 12]


def test_a_finished_result_is_found_by_the_contents_of_its_task(tmp_path: Path) -> None:
    finished = Finished(tmp_path / "parts")
    assert finished.get(doubled, {"number": 1}) is None
    finished.put(doubled, {"number": 1}, {"twice": 2})
    finished.put(doubled, {"number": 1}, {"twice": 3})  # another attempt: the first one stands
    assert finished.get(doubled, {"number": 1}) == {"twice": 2}
    assert finished.get(doubled, {"number": 2}) is None
    assert finished.get(refuses, {"number": 1}) is None
    assert [path.suffix for path in finished.folder.iterdir()] == [".json"]


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b'{"result": {}}', b"\xff", b"[" * 5000, None], ids=repr
)
def test_a_damaged_result_is_none(tmp_path: Path, damage: bytes | None) -> None:
    finished, task = Finished(tmp_path), {"number": 1}
    finished.put(doubled, task, {"twice": 2})
    path = finished.path(doubled, task)
    if damage is None:
        stated = json.loads(path.read_bytes())
        damage = json.dumps(stated | {"result": {"twice": 4}}).encode()
    path.write_bytes(damage)
    assert finished.get(doubled, task) is None
    finished.put(doubled, task, {"twice": 2})
    assert finished.get(doubled, task) == {"twice": 2}


def test_the_result_of_another_task_is_none(tmp_path: Path) -> None:
    finished, task, other = Finished(tmp_path), {"number": 1}, {"number": 2}
    finished.put(doubled, other, {"twice": 4})
    finished.path(doubled, task).write_bytes(finished.path(doubled, other).read_bytes())
    assert finished.get(doubled, other) == {"twice": 4}
    assert finished.get(doubled, task) is None


@pytest.mark.parametrize(
    "form",
    [{"twice": "2"}, {"twice": None}, {"twice": True}, {"twice": 2.0}, {"thrice": 3}, [], None],
    ids=repr,
)
def test_a_whole_result_of_another_form_is_none(
    tmp_path: Path, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished, task = Finished(tmp_path), {"number": 1}
    with pytest.raises(TypeError, match="doubled: a result that is not of the form"):
        finished.put(doubled, task, form)
    with monkeypatch.context() as patch:  # written by another version, which had another form
        patch.setattr("wmtp_assets.engines.finished.has_form", lambda function, result: True)
        finished.put(doubled, task, form)
    assert finished.path(doubled, task).is_file()
    assert finished.get(doubled, task) is None
    finished.put(doubled, task, {"twice": 2})
    assert finished.get(doubled, task) == {"twice": 2}


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ([[1, "\ud800"], [2, "b"]], [(NUMBER, str)]),
        ([], [(NUMBER, str)]),
        ({"a": 1.5, "b": {}}, {"a": MEASURE, "b": Named(int)}),
        ("x", frozenset({"x", "y"})),
    ],
)
def test_what_has_a_form(value: Any, form: Any) -> None:
    assert fits(value, form)


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ([[1]], [(NUMBER, str)]),
        ([1, "a"], [(NUMBER, str)]),
        ({}, [str]),
        (-1, NUMBER),
        (True, NUMBER),
        (float("nan"), MEASURE),
        (-0.5, MEASURE),
        ("z", frozenset({"x", "y"})),
        ({"a": 1, "b": 1}, {"a": int}),
        ({"x": "1"}, Named(int)),
        ("A" * 64, SHA256),
    ],
)
def test_what_has_another_form(value: Any, form: Any) -> None:
    assert not fits(value, form)


def test_a_function_states_the_form_of_its_results() -> None:
    with pytest.raises(TypeError, match="fails: no form is stated"):
        has_form(fails, {})
