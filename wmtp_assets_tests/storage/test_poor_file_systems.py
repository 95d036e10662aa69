"""File systems without symbolic links or locks: one error that says so, and what to do.

None of these can be mounted in a test; what their drivers answer is put under the system calls.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from wmtp_assets.sample import write_sample
from wmtp_assets.storage import StorageError, Store, write_json
from wmtp_assets.storage.locks import Hold
from wmtp_assets_tests.storage.worlds import MODEL, make


def answering(code: int) -> Any:
    def call(*arguments: object, **options: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_links_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(os, "symlink", answering(code))
    with pytest.raises(StorageError, match="no symbolic links") as refused:
        make(Store(tmp_path), MODEL, {"a": b"1"})
    assert "WMTP_STORAGE" in str(refused.value)
    assert "give this user the right" not in str(refused.value)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".staging-")]


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = Store(tmp_path)
    make(store, MODEL, {"a": b"1"})
    monkeypatch.setattr(fcntl, "flock", answering(code))
    with pytest.raises(StorageError, match="no locks") as refused:
        make(store, MODEL, {"a": b"2"})
    assert "WMTP_STORAGE" in str(refused.value)
    with store.reading(MODEL) as folder:  # a reader needs none
        assert (folder / "a").read_bytes() == b"1"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_documents_and_the_sample_name_it_too_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", answering(code))
    with pytest.raises(StorageError, match="no locks"):
        write_json(tmp_path / "document.json", {})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError, match="no locks"):
        write_sample(tmp_path / "sample")
    assert list((tmp_path / "sample").iterdir()) == []
    Hold(tmp_path / "readers").release()  # a reader goes without
