"""One signature over what readers see, in OpenSSF's model-signing format, with a local key.

The signed manifest names every file by its path under the contract (`models_v2/...`), and holds the
SHA-256 of the bytes that a reader of that path gets. Those paths lead through links, which
model-signing follows only when told, and folders behind a link it passes over in silence. So the
list of files is made here, and the stock command is given two flags:

    model_signing verify key STORAGE --signature STORAGE/model.sig --public_key KEY \\
        --allow_symlinks --ignore_unsigned_files
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtp_assets.artifacts import Project
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding
from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.errors import storage_errors
from wmtp_assets.storage.receipts import Mismatch
from wmtp_assets.storage.scratch import scratch_folder

if TYPE_CHECKING:
    from model_signing.hashing import Config, PathLike
    from model_signing.manifest import Manifest

_SHOWN = 5

_SIGNATURE = "model.sig"
"""The signature's name in the storage's root: the one that the stock command writes."""


class SigningError(WmtpError):
    """What is published cannot be signed, or not with this key."""


def signature_path(project: Project) -> Path:
    """Where the signature lies unless another place is named."""
    return project.storage / _SIGNATURE


def published_files(project: Project) -> dict[str, str]:
    """SHA-256 by the path below the storage's root of every file that is published.

    The digests are those that the receipts state. Raises StorageError when a record is damaged.
    """
    store = project.store
    files: dict[str, str] = {}
    for name in project.sets:
        publication = store.publication(name)
        if publication is None:
            continue
        for path, (artifact, file) in publication.links.items():
            receipt = store.versions.receipt(artifact, publication.members[artifact].version)
            for known, record in receipt.files.items():
                if known == file:
                    files[path] = record.sha256
                elif known.startswith(f"{file}/"):
                    files[f"{path}{known.removeprefix(file)}"] = record.sha256
    return files


def _misled(project: Project) -> list[Mismatch]:
    """Where readers would not get the files that a signature is over, or would find others beside
    them: a signature says nothing of what it does not list. Raises StorageError."""
    sets = [name for name in project.sets if project.store.publication(name) is not None]
    wrong = [mismatch for name in sets for mismatch in project.store.misplaced(name)]
    return wrong + project.store.unexpected(project.sets.values()).inside


def sign(project: Project, private_key: Path, out: Path) -> int:
    """Reads and signs every published file; how many there are.

    `private_key` is an unencrypted PEM file with an elliptic-curve key (P-256, P-384 or P-521).
    Raises SigningError when model-signing is not installed, the key is no such key, nothing is
    published, or a file is not what its receipt says: what is wrong is not signed.
    """
    signing = _library().signing
    stated = published_files(project)
    if not stated:
        raise SigningError(
            "There is nothing to sign", where=project.storage, hint="`wmtp materialize` makes it."
        )
    for wrong in _misled(project):
        raise SigningError(
            "Readers would not find what is published, so nothing is signed",
            expected=wrong.expected,
            found=wrong.found,
            where=wrong.file,
            hint=wrong.hint or "`wmtp verify` lists everything that is wrong.",
        )
    root = project.store.root
    config = _what_readers_see(root, stated)
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
    except (OSError, ValueError, TypeError) as error:
        raise _key_error(private_key, error, "private") from error
    # The library writes by itself, through whatever link lies at `out`: it writes elsewhere.
    with storage_errors("Signing", out), scratch_folder("wmtp-sign-") as folder:
        signature = folder / _SIGNATURE
        signer.set_hashing_config(config).sign(root, signature)
        within = out.absolute().parent in (project.storage, root)
        place = root if within else out.parent.resolve()
        write_bytes(place / out.name, signature.read_bytes())
    return len(stated)


def check_signature(project: Project, public_key: Path, signature: Path) -> Finding:
    """Whether the signature is this key's, and over exactly what is published now.

    Raises SigningError when model-signing is not installed or the key is none.
    """
    verifying = _library().verifying
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (OSError, ValueError, TypeError) as error:
        raise _key_error(public_key, error, "public") from error
    problem = ""
    count = 0
    try:
        stated = published_files(project)
        count = len(stated)
        root = project.store.root
        config = _what_readers_see(root, stated, compare=False)
        verifier.set_hashing_config(config).verify(root, signature)
        # The bytes are the signed ones; now that they are all that readers find.
        problem = "; ".join(f"{wrong.file}: {wrong.found}" for wrong in _misled(project)[:_SHOWN])
    except FileNotFoundError as error:
        problem = f"no such file: {error.filename}"
    # The library raises what its own libraries raise: a signature that cannot be read, for any
    # reason, is not one that holds.
    except Exception as error:  # noqa: BLE001, RUF100
        problem = str(error) or type(error).__name__
    return Finding(
        "signature_holds",
        not problem,
        f"a signature over {count} published files by the key in {public_key}",
        problem or "as expected",
        str(signature),
        hint="if you changed what is published, sign it again: `wmtp sign --key KEY`; else find "
        "out who did."
        if problem
        else "",
    )


def _what_readers_see(root: Path, stated: dict[str, str], compare: bool = True) -> Config:
    """How model-signing is to read the storage: the published files, through their links.

    With `compare`, hashing raises SigningError at a file that is not what its receipt says.
    """
    hashing = _library().hashing

    class Readers(hashing.Config):  # type: ignore[misc, name-defined]  # only known when imported
        def hash(
            self, model_path: PathLike, *, files_to_hash: Iterable[PathLike] | None = None
        ) -> Manifest:
            files = [root / path for path in stated]
            for file in files:
                file.stat()  # a link to nowhere would be passed over
            manifest: Manifest = super().hash(model_path, files_to_hash=files)
            for path, found in _digests(manifest):
                if compare and found != stated[path]:
                    raise SigningError(
                        "A published file is not what its receipt says, so nothing is signed",
                        expected=f"SHA-256 {stated[path]}",
                        found=f"SHA-256 {found}",
                        where=root / path,
                        hint="`wmtp verify --deep` lists everything that is wrong.",
                    )
            return manifest

    config: Config = Readers().set_ignored_paths(paths=(), ignore_git_paths=False)
    return config.set_allow_symlinks(True)


def _digests(manifest: Manifest) -> Iterator[tuple[str, str]]:
    for resource in manifest.resource_descriptors():
        yield resource.identifier, resource.digest.digest_hex


def _library() -> Any:
    """model-signing, which is an extra; raises SigningError where it is not installed."""
    try:
        import model_signing
    except ImportError as error:
        raise SigningError(
            "Signatures need a package that is not installed",
            expected="model-signing",
            found=str(error),
            hint="pip install 'wmtp-assets[sign]' (in a checkout: .venv/bin/pip install -c "
            "constraints.txt -e '.[sign]').",
        ) from error
    return model_signing


def _key_error(path: Path, error: Exception, kind: str) -> SigningError:
    command = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
    if kind == "public":
        command = "openssl ec -in key.pem -pubout -out key.pub"
    return SigningError(
        f"This is not a {kind} key that can be used",
        expected=f"a PEM file with an unencrypted {kind} key on P-256, P-384 or P-521",
        found=str(error).splitlines()[0] if str(error) else type(error).__name__,
        where=path,
        hint=f"make one with `{command}`.",
    )
