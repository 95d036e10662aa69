"""JSON from strangers: one clear error for what is not one plain object, wherever it is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wmtp_assets.artifacts.conversion import upstream_config
from wmtp_assets.artifacts.types import Checkpoint, Document, Fetched
from wmtp_assets.catalog import load_catalog
from wmtp_assets.checkpoints import strict_json
from wmtp_assets.errors import WmtpError
from wmtp_assets.mtp.loading import read_json
from wmtp_assets.storage.receipts import FileRecord, Receipt

# The bytes, and what the message must say of them.
HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "an empty file"),
    "white space": (b" \n\t ", "white space"),
    "HTML": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "HTML"),
    "HTML in capitals": (b"\n  <HTML><TITLE>Sign in</TITLE>", "HTML"),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
    "plain text": (b"Entry not found", "text that begins with 'Entry not found'"),
    "YAML": (b"hidden_size: 64\n", "text that begins with 'hidden_size: 64"),
    "a list": (b"[1, 2]", "Found: a list"),
    "a text": (b'"config"', "Found: the text 'config'"),
    "a number": (b"7", "Found: a number"),
    "null": (b"null", "Found: null"),
    "true": (b"true", "Found: true"),
    "Infinity": (b'{"a": Infinity}', "Infinity is not JSON"),
    "-Infinity": (b'{"a": [-Infinity]}', "-Infinity is not JSON"),
    "NaN": (b'{"a": {"b": NaN}}', "NaN is not JSON"),
    "a float beyond all": (b'{"a": 1e999}', "1e999 is too large"),
    "a negative one": (b'{"a": -1e400}', "-1e400 is too large"),
    "5,000 digits": (b'{"a": ' + b"9" * 5_000 + b"}", "a number of 5,000 digits"),
    "4,000 digits": (b'{"a": ' + b"9" * 4_000 + b"}", "a number of 4,000 digits"),
    "a million digits": (b'{"a": 0.' + b"9" * 1_000_000 + b"e999}", "too large"),
    "a key twice": (b'{"hidden_size": 1, "hidden_size": 2}', "'hidden_size' occurs twice"),
    "a key twice inside": (b'{"a": [{"b": 1, "b": 1}]}', "'b' occurs twice"),
    "a key twice by escapes": (b'{"a": 1, "\\u0061": 2}', "'a' occurs twice"),
    "deep lists": (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "deep objects": (b'{"a":' * 900 + b"1" + b"}" * 900, "nested too deeply"),
    "deep and cut": (b"[" * 4_000_000, "nested too deeply"),
    "not UTF-8": (b'{"a": "\xe9"}', "byte 7 is not UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "UTF-16 without a mark": ('{"a": 1}'.encode("utf-16-le"), "begins with"),
    "a byte order mark": (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
    "half a surrogate pair": (b'{"a": "\\ud800"}', "surrogate"),
    "half of one as a key": (b'{"\\uDFFF": 1}', "surrogate"),
    "a NUL": (b'{"a": "\x00"}', "control character"),
    "two objects": (b'{"a": 1}{"a": 1}', "Extra data"),
    "a comment": (b'{"a": 1} // x', "Extra data"),
    "cut short": (b'{"a": [1, 2', "Expecting"),
    "a text that never ends": (b'{"a": "' + b'\\"' * 1_000_000, "Unterminated"),
    "escape codes": (b"\x1b[2J\x1b[31m{", "text that begins with"),
}
MODEL = load_catalog("sample").upstream_models()["ref-sheared-llama-2.7b"]


def _config(path: Path) -> object:
    """As the config of a model that was fetched."""
    folder = path.parent
    (folder / "fetched.json").write_text(json.dumps({"files": {MODEL.files.config.path: {}}}))
    assert path == folder / MODEL.files.config.path
    return upstream_config(MODEL, Fetched(folder, receipt("models/x_raw"), folder))


def receipt(name: str, *files: str) -> Receipt:
    records = {file: FileRecord(0, "0" * 64) for file in files}
    return Receipt(name, records, {}, "1", "", {}, 1, "2026-01-01T00:00:00Z", "here", 0.0)


def _named(path: Path, name: str) -> Path:
    """The folder of `path`, which gets a second name there."""
    if path.exists():
        (path.parent / name).symlink_to(path)
    return path.parent


READERS: dict[str, Callable[[Path], object]] = {
    "config": _config,
    "loading": read_json,
    "document": lambda path: Document(path.parent, receipt("models/x", path.name)).value(),
    "slice": lambda path: Checkpoint(_named(path, "slice.json"), receipt("models/x")).slice(),
    "fetched": lambda path: Fetched(
        _named(path, "fetched.json"), receipt("models/x_raw"), path.parent
    ).files(),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", HOSTILE)
def test_is_refused_by_name(tmp_path: Path, case: str, reader: str) -> None:
    data, says = HOSTILE[case]
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(WmtpError) as refused:
        READERS[reader](path)
    message = str(refused.value)
    name = {"slice": "slice.json", "fetched": "fetched.json"}.get(reader, "config.json")
    for part in (says, name, "Expected: a JSON object", "What to do: "):
        assert part in message
    assert message.isprintable()
    assert len(message) < 1000


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_too_large_is_refused_by_name(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "config.json"
    path.touch()
    os.truncate(path, 10 << 30)  # 10 GiB that take no room
    with pytest.raises(WmtpError, match="it has more than"):
        READERS[reader](path)


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_missing_is_refused_by_name(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(WmtpError, match=r"No such file.*\.json"):
        READERS[reader](path)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": [1, -2, 0.5, 1e-400, 1e308, None, True, "é\u2028", {"b": {}}], "10": 10**300},
        {"a": "[[[{{{" * 500, 'quo"te\\': '\\"[', "c": "\\", "d": ["\\\\", '"']},
        {"smile": "\U0001f600"},
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_what_json_reads_is_read_the_same(tmp_path: Path, value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    assert strict_json.loads(text.encode()) == json.loads(text)
    assert read_json(path) == json.loads(text)
