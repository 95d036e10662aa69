"""The commands about signatures: sign, and what `verify` needs for --signatures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtp_assets.cli.common import DONE, open_project
from wmtp_assets.errors import WmtpError

if TYPE_CHECKING:
    from wmtp_assets.artifacts import Project
    from wmtp_assets.findings import Finding


def register(commands: Any) -> None:
    """Adds these commands to the parser."""
    sign = commands.add_parser("sign", help="sign what is published, with a key of your own")
    sign.add_argument("--key", type=Path, required=True, metavar="KEY", help="private key (PEM)")
    sign.add_argument(
        "--out", type=Path, metavar="FILE", help="the signature (default: model.sig in the storage)"
    )
    sign.set_defaults(run=_sign)


def add_signatures(verify: argparse.ArgumentParser) -> None:
    """The flags of `wmtp verify` that are about signatures."""
    verify.add_argument(
        "--signatures", action="store_true", help="also verify the signature with --public-key"
    )
    verify.add_argument("--public-key", type=Path, metavar="KEY", help="the signer's key (PEM)")
    verify.add_argument(
        "--signature", type=Path, metavar="FILE", help="default: model.sig in the storage"
    )


def signature_findings(project: Project, given: argparse.Namespace) -> list[Finding]:
    """What the signature says, where that was asked for. Raises WmtpError without a key."""
    if not given.signatures:
        return []
    if given.public_key is None:
        raise WmtpError(
            "A signature is verified against a key that you trust",
            expected="--public-key KEY",
            found="no key",
            hint="name the signer's public key; a key from the storage itself proves nothing.",
        )
    from wmtp_assets.artifacts.signing import check_signature, signature_path

    return [check_signature(project, given.public_key, given.signature or signature_path(project))]


def _sign(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.signing import sign, signature_path

    project = open_project()
    out = given.out or signature_path(project)
    count = sign(project, given.key, out)
    print(f"{count} published files are signed in {out}. With your public key, verify them by:")
    print(f"    wmtp verify --signatures --public-key KEY.pub --signature {out}")
    print(f"    model_signing verify key {project.storage} --signature {out} \\")
    print("        --public_key KEY.pub --allow_symlinks --ignore_unsigned_files")
    return DONE
