"""Hostile YAML in place of a catalog: one error that names file and line, in bounded time."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from wmtp_assets.catalog import CatalogError, load_catalog

SAMPLE = (resources.files("wmtp_assets.catalog") / "sample.yaml").read_text(encoding="utf-8")


def bomb(levels: int, form: str) -> str:
    """Aliases that stand for 10 to the power of `levels` values."""
    lines = [f"a0: &a0 {form.replace('*', 'x')}"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} {form.replace('*', f'*a{level - 1}')}")
    return "\n".join(lines)


LIST = "[*, *, *, *, *, *, *, *, *, *]"
MAPPING = "{a: *, b: *, c: *, d: *, e: *, f: *, g: *, h: *, i: *, j: *}"

# The text, the line that must be named (None: the file alone), and what the message must say.
HOSTILE: dict[str, tuple[str, int | None, str]] = {
    "alias bomb of lists": (bomb(9, LIST), 5, "aliases that stand for"),
    "alias bomb of mappings": (bomb(9, MAPPING), 5, "aliases that stand for"),
    "alias bomb in a catalog": (f"{SAMPLE}\n{bomb(30, LIST)}", None, "aliases that stand for"),
    "alias bomb of merges": (
        "a0: &a0 {x: 1}\n"
        + "\n".join(
            f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], y{n}: 1}}" for n in range(1, 12)
        ),
        None,
        "aliases that stand for",
    ),
    "list in itself": ("name: x\nmodels: &m [*m]", 2, "an alias of what it is a part of"),
    "mapping in itself": ("&m {name: *m}", 1, "an alias of what it is a part of"),
    "mapping merged into itself": ("&m\n<<: *m", 1, "an alias of what it is a part of"),
    "key in itself": ("&m {? *m : 1}", 1, "an alias of what it is a part of"),
    "through two": ("a: &a {b: &b {c: *a}}", 1, "an alias of what it is a part of"),
    "long chain of aliases": (
        "c0: &c0 [x]\n" + "\n".join(f"c{n}: &c{n} [*c{n - 1}]" for n in range(1, 400)),
        None,
        "levels",
    ),
    "nested lists": ("name: " + "[" * 5_000, 1, "nested deeper"),
    "nested mappings": ("{a: " * 5_000, 1, "nested deeper"),
    "nested by indentation": (
        "\n".join(f"{' ' * n}a:" for n in range(400)),
        None,
        "nested deeper",
    ),
    "nested sequences in block form": ("- " * 5_000, 1, "nested deeper"),
    "python object": ("name: !!python/object/apply:os.system ['id']", 1, "constructor"),
    "python name": ("name: !!python/name:os.system", 1, "constructor"),
    "unknown tag": ("name: !secret x", 1, "constructor"),
    "duplicate key": (SAMPLE.replace("name: sample", "name: a\nname: b"), None, "given twice"),
    "key that is a number": (f"{SAMPLE}\n7: x", None, "a key is a int, not a text"),
    "key that is null": (f"{SAMPLE}\n~: x", None, "a key is a null, not a text"),
    "key that is a list": (f"{SAMPLE}\n? [a, b]\n: x", None, "a key is a seq, not a text"),
    "undefined alias": ("name: *nobody", 1, "undefined alias"),
    "two documents": ("name: a\n---\nname: b", None, "document"),
    "a tab": ("name:\n\t- a", 2, "cannot start any token"),
    "a NUL": ("name: a\x00b", None, "special characters"),
    "a directive": ("%YAML 9.9\n---\nname: a", None, "incompatible"),
    "a date that is none": ("name: 2024-13-45", None, "month must be in"),
    "five thousand digits": ("name: " + "9" * 5_000, None, "digits"),
    "base sixty": ("name: 1" + ":59" * 100_000, None, "a value of"),
    "half a surrogate pair": (SAMPLE.replace("name: sample", 'name: "\\ud800"'), None, "name"),
    "escape codes": (SAMPLE.replace("name: sample", 'name: x\n"\\e[2J\\u202e": y'), None, "Extra"),
    "HTML": ("<!DOCTYPE html>\n<html><body>404</body></html>", None, "mapping"),
    "nothing": ("", None, "mapping"),
    "a comment": ("# x", None, "mapping"),
    "a list": ("[]", None, "mapping"),
    "infinity": (SAMPLE.replace("parameters: 468032", "parameters: .inf"), None, "valid int"),
    "not a number": (SAMPLE.replace("parameters: 468032", "parameters: .nan"), None, "valid int"),
    "too large": ("#" * (1 << 20) + "\nname: x", None, "more than 1,048,576 bytes"),
    "many mistakes": (
        SAMPLE + "\n" + "\n".join(f"field{n}: x" for n in range(5_000)),
        None,
        "and 4,980 more",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_is_refused_by_file_and_line(tmp_path: Path, case: str) -> None:
    text, line, says = HOSTILE[case]
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError) as refused:
        load_catalog(path)
    message = str(refused.value)
    assert says in message
    assert (f"{path}:{line}" if line else str(path)) in message
    assert message.isprintable()
    assert len(message) < 6_000


@pytest.mark.parametrize("data", [b"\xff\xfe", b"name: \xe9", SAMPLE.encode("utf-16"), b"\x80"])
def test_what_is_not_utf_8_is_refused_by_file(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(data)
    with pytest.raises(CatalogError, match="cannot be read") as refused:
        load_catalog(path)
    assert str(path) in str(refused.value)


def test_aliases_and_merge_keys_are_read_as_what_they_stand_for(tmp_path: Path) -> None:
    """The sample with what is written twice written once."""
    path = tmp_path / "mine.yaml"
    upstreams = SAMPLE.count("licence: ")
    assert upstreams > 3
    named = SAMPLE.replace("source_dtype: float32", "source_dtype: &wide float32", 1)
    named = named.replace("source_dtype: float32", "source_dtype: *wide")
    small = "rows: {train: 100, valid: 32, test: 32}"
    assert small in named
    named = named.replace(small, "rows: {<<: &two {valid: 32, test: 32}, train: 100}")
    path.write_text(named, encoding="utf-8")
    assert load_catalog(path) == load_catalog("sample")


MEASURE = """
import resource, sys
from wmtp_assets.catalog import CatalogError, load_catalog

load_catalog("sample")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        load_catalog(path)
    except CatalogError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
def test_no_hostile_catalog_takes_much_memory(tmp_path: Path) -> None:
    paths = []
    for number, (text, _, _) in enumerate(HOSTILE.values()):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert int(done.stdout) < 300
