"""The contract's paths as plain keys: `wmtp push --layout plain`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from wmtp_assets.bucket import Bucket, BucketError, verify
from wmtp_assets.bucket.edition import PIECE
from wmtp_assets_tests.bucket.small import Small, small

M = ("models_v2/m/a.bin", "models_v2/m/empty", "models_v2/m/all/inner")


@pytest.fixture
def made(tmp_path: Path) -> Small:
    return small(tmp_path / "storage", PIECE + 5)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


def test_files_are_at_their_paths_with_sums_and_only_what_is_new_is_sent(
    made: Small, tmp_path: Path, url: str
) -> None:
    plain = tmp_path / "bucket/plain"
    done = made.push(url, plain=True).plain
    assert done is not None
    size = PIECE + 5 + len(b'{"row": 1}\n') * 40 + len(b"inner")
    assert (done.files, done.bytes, done.there) == (4, size, 0)
    for path in (*M, "datasets_v2/r/r.jsonl"):
        assert (plain / path).read_bytes() == (made.root / path).read_bytes()
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=plain, check=True)
    assert verify(Bucket(url)).sound

    again = made.push(url, plain=True).plain
    assert again is not None
    assert (again.files, again.there) == (0, size)
    made.make("r", r_jsonl=b"new\n")
    made.push(url)
    assert (plain / "datasets_v2/r/r.jsonl").read_bytes() != b"new\n", "it was not asked for"
    done = made.push(url, plain=True).plain
    assert done is not None
    assert (done.files, done.bytes) == (1, len(b"new\n"))
    done = made.push(url, "rows", drop=True, plain=True).plain
    assert done is not None
    assert (done.files, done.removed) == (0, 3)
    assert [path.name for path in plain.rglob("*") if path.is_file()] == ["SHA256SUMS", "r.jsonl"]


def test_damage_at_plain_keys_is_found_and_repaired(made: Small, tmp_path: Path, url: str) -> None:
    made.push(url, plain=True)
    plain = tmp_path / "bucket/plain"
    (plain / "models_v2/m/a.bin").write_bytes(b"x" * (PIECE + 5))
    (plain / "datasets_v2/r/r.jsonl").unlink()
    (plain / "of-somebody-else").write_bytes(b"x")
    found = verify(Bucket(url))
    assert {key: one for key, (one,) in found.paths.items()} == {
        f"plain/{path}": path
        for path in ("models_v2/m/a.bin", "datasets_v2/r/r.jsonl", "of-somebody-else")
    }
    made.push(url, plain=True, force=True)
    assert verify(Bucket(url)).sound
    (plain.parent / "plain.json").write_bytes(b"{}\n\n")
    with pytest.raises(BucketError, match=r"damaged.*wmtp push '?file:.* --layout plain --force"):
        made.push(url, plain=True)
    made.push(url, plain=True, force=True)
    assert verify(Bucket(url)).sound


def test_a_push_that_was_killed_leaves_no_sums_and_continues(
    made: Small, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.push(url, plain=True)
    made.make("m", a_bin=b"n" * (PIECE + 5), empty=b"")  # of the same size
    put_parts = Bucket.put_parts

    class Killed(BaseException):
        pass

    def put_and_die(*given: object) -> None:
        put_parts(*given)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(Bucket, "put_parts", put_and_die)
    with pytest.raises(Killed):
        made.push(url, plain=True)
    monkeypatch.undo()
    assert "plain/SHA256SUMS" in verify(Bucket(url)).wrong
    made.make(
        "m", a_bin=(tmp_path / "bucket/plain/models_v2/m/a.bin").read_bytes()[::-1], empty=b""
    )
    made.push(url, plain=True)
    assert verify(Bucket(url)).sound


def test_a_file_that_is_not_what_its_receipt_says_has_no_plain_key(
    made: Small, tmp_path: Path, url: str
) -> None:
    made.push(url)  # all is there, and no file is read
    path = made.store.path("m") / "a.bin"
    path.chmod(0o644)
    path.write_bytes(b"x" * (PIECE + 5))
    with pytest.raises(BucketError, match=r"not what its receipt says.*wmtp verify --deep"):
        made.push(url, plain=True)
    assert not (tmp_path / "bucket/plain/models_v2/m/a.bin").exists()
    assert not (tmp_path / "bucket/plain/SHA256SUMS").exists()
