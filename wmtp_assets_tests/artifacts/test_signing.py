"""A signature says what readers see, and the stock command agrees, without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.signing import SigningError, check_signature, published_files, sign
from wmtp_assets.cli import main
from wmtp_assets_tests.artifact_checks.breaking import flip

pytest.importorskip("model_signing", reason="the extra `sign` is not installed")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

WEIGHTS = "models_v2/micro-mtp/safetensors/model.safetensors"


def new_key(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return private, public


def stock(storage: Path, signature: Path, public: Path) -> subprocess.CompletedProcess[str]:
    """The stock command, without a network where this machine lets us take it away."""
    alone = ["unshare", "--user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        alone = []
    command = [*alone, sys.executable, "-m", "model_signing", "verify", "key", str(storage)]
    flags = ["--allow_symlinks", "--ignore_unsigned_files"]
    return subprocess.run(
        [*command, "--signature", str(signature), "--public_key", str(public), *flags],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stock_command_verifies_what_was_signed_and_names_what_was_changed(
    at_hand: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = new_key(tmp_path, "ours")
    _, other = new_key(tmp_path, "another")
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    monkeypatch.setenv("WMTP_STORAGE", str(at_hand.storage))
    assert main(["sign", "--key", str(private)]) == 0
    signature = at_hand.storage / "model.sig"
    assert main(["verify", "--signatures", "--public-key", str(public)]) == 0
    sound = stock(at_hand.storage, signature, public)
    assert sound.returncode == 0, sound.stderr
    assert "Verification succeeded" in sound.stdout

    assert not check_signature(at_hand, other, signature).passed
    assert stock(at_hand.storage, signature, other).returncode == 1

    flip(at_hand.storage / WEIGHTS)
    assert main(["verify", "--signatures", "--public-key", str(public)]) == 1
    broken = stock(at_hand.storage, signature, public)
    assert broken.returncode == 1
    assert WEIGHTS in broken.stderr


def test_every_path_that_a_reader_may_open_is_signed_and_no_other(at_hand: Project) -> None:
    """Also those behind a link to a folder, which the stock command's own walk passes over."""
    readable = set()
    for top in ("models_v2", "datasets_v2", "datasets_local_small"):
        waiting = [at_hand.storage / top]
        while waiting:
            for entry in waiting.pop().iterdir():
                if entry.is_dir():
                    waiting.append(entry)
                else:
                    readable.add(entry.relative_to(at_hand.storage).as_posix())
    signed = set(published_files(at_hand))
    assert signed == readable
    assert len(signed) > 90
    assert {WEIGHTS, "models_v2/ref-sheared-llama-2.7b/sharded/config.json"} <= signed


def test_a_file_that_is_missing_or_new_since_breaks_the_signature(
    at_hand: Project, tmp_path: Path
) -> None:
    private, public = new_key(tmp_path, "ours")
    signature = tmp_path / "elsewhere.sig"
    assert sign(at_hand, private, signature) == len(published_files(at_hand))
    assert check_signature(at_hand, public, signature).passed

    (at_hand.storage / WEIGHTS).resolve().unlink()
    gone = check_signature(at_hand, public, signature)
    assert not gone.passed
    assert "model.safetensors" in str(gone.found)
    assert "wmtp sign" in gone.hint
    assert not check_signature(at_hand, public, tmp_path / "absent.sig").passed
    signature.write_text("{}", encoding="utf-8")
    assert not check_signature(at_hand, public, signature).passed


EXTRAS = (
    "models_v2/micro-ref/hf/added_tokens.json",
    "models_v2/micro-ref/hf/generation_config.json",
    "models_v2/micro-ref/extra/file.json",
    "datasets_v2/humaneval/processed/.hidden",
    "datasets_v2/humaneval/stats/more.json",
)


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_file_beside_the_signed_ones_breaks_the_signature_and_is_not_signed(
    extra: str, at_hand: Project, tmp_path: Path
) -> None:
    private, public = new_key(tmp_path, "ours")
    sign(at_hand, private, tmp_path / "model.sig")
    assert check_signature(at_hand, public, tmp_path / "model.sig").passed
    (at_hand.storage / extra).parent.mkdir(exist_ok=True)
    (at_hand.storage / extra).write_text("{}", encoding="utf-8")
    told = check_signature(at_hand, public, tmp_path / "model.sig")
    assert not told.passed
    assert any(part in str(told.found) for part in (Path(extra).name, "micro-ref/extra"))
    with pytest.raises(SigningError, match="Readers would not find what is published"):
        sign(at_hand, private, tmp_path / "another.sig")
    assert not (tmp_path / "another.sig").exists()


def test_the_same_bytes_in_another_file_break_the_signature(
    at_hand: Project, tmp_path: Path
) -> None:
    """A plain file in a publication: nobody will notice when it changes after the proof."""
    private, public = new_key(tmp_path, "ours")
    sign(at_hand, private, tmp_path / "model.sig")
    published = (at_hand.storage / "models_v2/micro-ref").resolve() / "hf/config.json"
    data = published.read_bytes()
    published.unlink()
    published.write_bytes(data)
    told = check_signature(at_hand, public, tmp_path / "model.sig")
    assert not told.passed
    assert "config.json" in str(told.found)


@pytest.mark.parametrize("where", ["storage", "elsewhere"])
def test_a_signature_is_written_over_a_link_and_not_through_it(
    where: str, at_hand: Project, tmp_path: Path
) -> None:
    private, public = new_key(tmp_path, "ours")
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    out = (at_hand.storage if where == "storage" else tmp_path) / "model.sig"
    out.symlink_to(theirs)
    sign(at_hand, private, out)
    assert theirs.read_bytes() == b"theirs"
    assert not out.is_symlink()
    assert check_signature(at_hand, public, out).passed


def test_what_is_not_as_its_receipt_says_is_not_signed(at_hand: Project, tmp_path: Path) -> None:
    private, _ = new_key(tmp_path, "ours")
    flip(at_hand.storage / WEIGHTS)
    with pytest.raises(SigningError, match="not what its receipt says") as refusal:
        sign(at_hand, private, tmp_path / "model.sig")
    assert WEIGHTS in str(refusal.value)
    assert not (tmp_path / "model.sig").exists()


def test_what_is_no_key_or_an_empty_storage_is_one_clear_error(
    project: Project, tmp_path: Path
) -> None:
    private, public = new_key(tmp_path, "ours")
    for wrong in (public, tmp_path / "absent", Path(__file__)):
        with pytest.raises(SigningError, match="private key"):
            sign(project, wrong, tmp_path / "model.sig")
    with pytest.raises(SigningError, match="public key"):
        check_signature(project, Path(__file__), tmp_path / "model.sig")
    empty = Project(project.catalog, tmp_path / "empty", project.hub_spec)
    with pytest.raises(SigningError, match="nothing to sign"):
        sign(empty, private, tmp_path / "model.sig")


def test_without_the_extra_there_is_one_clear_error(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    monkeypatch.setenv("WMTP_STORAGE", str(project.storage))
    assert main(["sign", "--key", str(tmp_path / "key.pem"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "wmtp-assets[sign]" in said
    assert "Traceback" not in said
    assert main(["verify", "--signatures"]) == 2
    assert "--public-key" in capsys.readouterr().err


def test_sha256sum_verifies_the_published_sums(project: Project) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum on this machine")
    sums = sorted(project.storage.glob("models_v2/*/safetensors/SHA256SUMS"))
    assert len(sums) == 5
    for path in sums:
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", "SHA256SUMS"],
            cwd=path.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "model.safetensors: OK\n")
