"""Digests are SHA-256, and `sha256sum -c` agrees with every SHA256SUMS we write."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmtp_assets.storage import (
    StorageError,
    digest_of,
    page_cache,
    read_sha256sums,
    sha256_file,
    sha256_files,
    write_sha256sums,
)

ODD_NAMES = [
    "plain.safetensors",
    "two  spaces",
    " leading and trailing ",
    "*star",
    "back\\slash",
    "\\leading backslash",
    "back\\nslash-n",
    "new\nline",
    "carriage\rreturn",
    "trailing\r",
    "tab\tquote\"'$`;&|",
    "-dash",
    "한글 é ☃",
    os.fsdecode(b"not utf-8 \xff\xfe"),
    "sub folder/file",
]


def test_a_file_is_hashed_whatever_its_size(tmp_path: Path) -> None:
    for size in (0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 3_000_000):
        path = tmp_path / str(size)
        path.write_bytes(os.urandom(size))
        assert sha256_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_many_files_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "cab"]
    for size, path in enumerate(paths):
        path.write_bytes(b"x" * size)
    found = sha256_files(paths)
    assert list(found) == paths
    assert found == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_a_large_file_takes_little_memory_and_leaves_the_page_cache_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large"
    block = os.urandom(1 << 20)
    with path.open("wb") as stream:
        for _ in range(80):
            stream.write(block)
        os.fsync(stream.fileno())
    tracemalloc.start()
    try:
        found = sha256_file(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == hashlib.sha256(block * 80).hexdigest()
    assert peak < 1 << 20
    cached = [pages_in_cache(path)]
    while cached[-1] >= 0.2 and len(cached) < 4:
        # Pages that another core is just putting on its list cannot be forgotten: ask again.
        sha256_file(path)
        cached.append(pages_in_cache(path))
    assert min(cached) < 0.2, cached
    # What is read again soon is kept, as long as there is room for it.
    monkeypatch.setattr(page_cache, "room", lambda: 3 * len(block) * 80)
    sha256_file(path, keep=True)
    assert pages_in_cache(path) < 0.9
    monkeypatch.setattr(page_cache, "room", lambda: 4 * len(block) * 80)
    kept = [0.0]
    while kept[-1] <= 0.9 and len(kept) < 5:  # other processes may need the memory just then
        sha256_file(path, keep=True)
        kept.append(pages_in_cache(path))
    assert max(kept) > 0.9, kept


def pages_in_cache(path: Path) -> float:
    """The share of a file's mebibytes whose first page is in memory; skips where not known."""
    if not hasattr(os, "RWF_NOWAIT"):
        pytest.skip("this system cannot say what is in the page cache")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        count = path.stat().st_size >> 20
        hits = 0
        for number in range(count):
            try:
                hits += bool(os.preadv(descriptor, [bytearray(1)], number << 20, os.RWF_NOWAIT))
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                    pytest.skip("this file system cannot say what is in the page cache")
                raise
        return hits / count
    finally:
        os.close(descriptor)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"No such file.*absent"):
        sha256_file(tmp_path / "absent")


def test_sha256sum_verifies_names_with_odd_characters(tmp_path: Path) -> None:
    sums = {}
    for number, name in enumerate(ODD_NAMES):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(str(number).encode())
        sums[name] = sha256_file(path)
    write_sha256sums(tmp_path / "SHA256SUMS", sums)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    run = subprocess.run(check, cwd=tmp_path, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(b": OK") == len(ODD_NAMES)
    (tmp_path / "new\nline").write_bytes(b"other")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_what_sha256sum_writes_is_read(tmp_path: Path) -> None:
    names = [name for name in ODD_NAMES if "/" not in name]
    for name in names:
        (tmp_path / name).write_bytes(name.encode(errors="surrogateescape"))
    command = ["sha256sum", "--binary", "--", *names]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / "SUMS").write_bytes(output)
    assert read_sha256sums(tmp_path / "SUMS") == {
        name: sha256_file(tmp_path / name) for name in names
    }


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
        st.binary(min_size=32, max_size=32).map(bytes.hex),
    )
)
def test_sums_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, sums: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "SHA256SUMS"
    write_sha256sums(path, sums)
    assert read_sha256sums(path) == sums


@pytest.mark.parametrize(
    "line",
    [
        "",
        "0" * 63 + "  name\n",
        "0" * 64 + " name\n",
        "0" * 64 + "  \n",
        "A" * 64 + "  name\n",
        "0" * 64 + "  cut off",
        "\\" + "0" * 64 + "  bad \\x escape\n",
        "\\" + "0" * 64 + "  ends in \\\n",
        "0" * 64 + "  first\n",
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "SHA256SUMS"
    path.write_text("0" * 64 + "  first\n" + (line or "\n"))
    with pytest.raises(StorageError, match="SHA256SUMS, line 2"):
        read_sha256sums(path)


def test_a_name_that_no_line_can_hold_is_refused(tmp_path: Path) -> None:
    for name in ("", "nul\0"):
        with pytest.raises(StorageError, match="cannot be a line"):
            write_sha256sums(tmp_path / "SHA256SUMS", {name: "0" * 64})
    assert list(tmp_path.iterdir()) == []


def test_the_digest_of_a_value_does_not_depend_on_the_order_of_its_keys() -> None:
    assert digest_of({"a": [1, "é"], "b": None}) == digest_of({"b": None, "a": [1, "é"]})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
    assert digest_of("x") == hashlib.sha256(b'"x"').hexdigest()
    with pytest.raises(ValueError, match="JSON"):
        digest_of(float("nan"))
