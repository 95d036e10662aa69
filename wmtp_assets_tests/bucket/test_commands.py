"""The commands, with the sample: what was pushed and pulled is a storage that the gate accepts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.cli import main

ROOT = Path(__file__).parents[2]
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def ask(
    sample: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Runs a command with --json in a storage; its value, when it ended with `status`."""
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    monkeypatch.setenv("WMTP_HUB", str(sample / "hub"))

    def run(*command: str, storage: Path = sample / "storage", status: int = 0) -> dict[str, Any]:
        monkeypatch.setenv("WMTP_STORAGE", str(storage))
        assert main([*command, "--json"]) == status, capsys.readouterr()
        value: dict[str, Any] = json.loads(capsys.readouterr().out)
        return value

    return run


@pytest.mark.slow
def test_the_page_on_buckets_does_as_it_says_and_the_gate_accepts_what_was_pulled(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command and all Python of docs/buckets.md, in the page's order."""
    url, pulled = f"file://{tmp_path}/bucket", tmp_path / "pulled"
    page = (ROOT / "docs/buckets.md").read_text("utf-8").replace("s3://BUCKET/wmtp", url)
    monkeypatch.setenv("WMTP_CACHE", str(tmp_path / "cache"))
    first = ask("push", url, "micro-ref")  # an edition to go back to
    said: dict[str, str] = {}
    for language, block in re.findall(r"^```(sh|python)\n(.*?)^```$", page, re.M | re.S):
        if language == "python":
            exec(compile(block, "docs/buckets.md", "exec"), {})  # noqa: S102 - our own page
        for command in block.splitlines() if language == "sh" else []:
            words = shlex.split(command, comments=True)
            if words[1] == "pull":
                monkeypatch.setenv("WMTP_STORAGE", str(pulled))
            assert main(words[1:]) == 0, (command, capsys.readouterr())
            said[" ".join(words[1:])] = capsys.readouterr().out
    assert "The gate is OPEN" in said["gate"]
    assert f"* 2  {first['edition'][:12]}" not in said[f"history {url}"]
    assert f"{first['edition'][:12]} again" in said[f"rollback {url}"]
    for path in (tmp_path / "bucket/plain").rglob("*"):
        here = pulled / path.relative_to(tmp_path / "bucket/plain")
        assert path.is_dir() or path.name == "SHA256SUMS" or here.read_bytes() == path.read_bytes()


def test_a_part_is_pushed_with_what_it_was_made_from(ask: Ask, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/bucket"
    pushed = ask("push", url, "micro-mtp")
    assert list(pushed["sets"]) == ["models/micro-mtp"]
    pulled = tmp_path / "pulled"
    ask("pull", url, storage=pulled)
    assert (pulled / "models_v2/micro-mtp/safetensors/model.safetensors").is_file()
    base = [path.name for path in (pulled / "versions/models").iterdir()]
    assert any("meta-llama-mtp" in name for name in base), "what it was cut from"
    assert not (pulled / "versions/datasets").exists()


def test_damage_in_a_bucket_is_reported_with_what_repairs_it(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a bucket"
    url = f"file://{folder}"
    ask("push", url, "micro-mtp")
    objects = sorted((folder / "objects").iterdir(), key=lambda path: path.stat().st_size)
    objects[-1].write_bytes(b"rubbish")
    objects[-2].unlink()
    found = ask("verify", url, status=1)
    assert set(found["wrong"]) == {f"objects/{path.name}" for path in objects[-2:]}
    assert all(one["paths"] for one in found["wrong"].values())
    assert ask("pull", url, storage=tmp_path / "pulled", status=1)["wrong"] == {
        key: {"expected": one["expected"], "found": one["found"]}
        for key, one in found["wrong"].items()
    }
    assert not (tmp_path / "pulled/published").exists()

    assert main(["verify", url]) == 1
    proposed = f"wmtp push {shlex.quote(url)} --force"
    assert f"`{proposed}`" in capsys.readouterr().out
    assert ask("push", url, "micro-mtp", "--force")["sound"]
    assert main(["verify", url]) == 0
    assert "every byte was read" in capsys.readouterr().out


def test_history_and_rollback_of_a_bucket(
    ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"file://{tmp_path}/bucket"
    both = ask("push", url, "micro-mtp", "micro-ref")
    ask("push", url, "micro-mtp", "--drop")
    assert main(["history", url]) == 0
    assert "* 2" in capsys.readouterr().out
    assert main(["rollback", url]) == 0
    assert both["edition"][:12] in capsys.readouterr().out
    assert ask("history", url)["editions"][0]["edition"] == both["edition"]
    assert main(["gc", url, "--dry-run"]) == 0
    assert "0 objects would be removed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["push", "http://host/bucket"], "not the URL of a bucket"),
        (["pull", "file:///nowhere/at-all"], "cannot be opened"),
        (["gc", "s3://bucket", "--raw"], "--raw removes fetched weights"),
        (["verify", "s3://bucket", "--against-source"], "leave out the folder or URL"),
        (["push", "file:///tmp/unused", "no-such-model"], "`wmtp list` names"),
    ],
)
def test_what_cannot_be_tried_is_refused(
    command: list[str],
    said: str,
    ask: Ask,
    sample: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WMTP_STORAGE", str(sample / "storage"))
    assert main(command) == 2
    assert said in capsys.readouterr().err
