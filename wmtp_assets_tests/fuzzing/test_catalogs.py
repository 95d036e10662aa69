"""Catalogs: YAML whose lines, words and bytes are spoiled, and whose aliases are entangled."""

from __future__ import annotations

import random
from importlib import resources
from pathlib import Path

import pytest
import yaml

from wmtp_assets.catalog import Catalog, CatalogError, load_catalog
from wmtp_assets_tests.fuzzing.harness import fuzz
from wmtp_assets_tests.fuzzing.mutations import mutate_bytes

pytestmark = pytest.mark.fuzz
SAMPLE = (resources.files("wmtp_assets.catalog") / "sample.yaml").read_text(encoding="utf-8")
WORDS = (
    "null", "~", "true", "-1", "0", "1e400", ".inf", ".nan", "9" * 400, "2024-13-01", "2024-01-01",
    "0x10", "1:2:3", "[]", "{}", "[*a, *a]", "*a", "&a", "&a x", "<<: *a", "!!python/name:os",
    "!!binary aGk=", "!!set {a}", "!x y", "'", '"', "|", ">", "- x", "? y", ": z", "# c", "---",
    "...", "%YAML 1.2", "\t", "\x00", "\ufeff", '"\\ud800"', '"\\e[2J"', "{a: {b: [c]}}", "é",
)  # fmt: skip


def _spoiled(rng: random.Random) -> bytes:
    lines = SAMPLE.splitlines()
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        way = rng.random()
        if way < 0.15:
            del lines[at]
        elif way < 0.3:
            lines.insert(rng.randrange(len(lines)), lines[at])
        elif way < 0.4:
            lines[at] = " " * rng.randrange(8) + lines[at].lstrip()
        elif way < 0.6:
            key, colon, _ = lines[at].partition(":")
            lines[at] = f"{key}{colon} {rng.choice(WORDS)}"
        elif way < 0.7:
            lines.insert(at, rng.choice(WORDS))
        elif way < 0.8:
            lines[at] = lines[at].replace(": ", ": &a ", 1)
            lines.append(f"more: {rng.choice(('*a', '[*a, *a, *a]', '{<<: *a}', '&b [*a, *b]'))}")
        elif way < 0.85:
            lines.append(f"more: {rng.choice(('[', '{a: ', '- ')) * rng.choice((10, 60, 5000))}")
        else:
            words = lines[at].split(" ")
            words[rng.randrange(len(words))] = rng.choice(WORDS)
            lines[at] = " ".join(words)
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    return mutate_bytes(rng, text) if rng.random() < 0.3 else text


def test_catalogs(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"

    def attempt(rng: random.Random) -> None:
        data = _spoiled(rng)
        path.write_bytes(data)
        found = load_catalog(path)
        assert found == Catalog.model_validate(yaml.safe_load(data.decode()))

    outcomes = fuzz(attempt, allowed=(CatalogError,))
    print(outcomes)
    assert outcomes.read + outcomes.refused > 3
