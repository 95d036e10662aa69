"""A certificate authority made by openssl for one test, and a server's TLS under it."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """`certificate` is the PEM file to trust; `server` answers for 127.0.0.1 and the names."""

    certificate: Path
    server: ssl.SSLContext


def make_authority(folder: Path, *names: str, days: int = 1) -> Authority:
    folder.mkdir(parents=True)
    alternatives = ",".join(["IP:127.0.0.1", *(f"DNS:{name}" for name in names)])
    (folder / "extensions").write_text(f"subjectAltName={alternatives}\n")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", f"/CN=CA {folder.name}", "-days", "2",
            "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-extfile", "extensions", "-days", str(days), "-out", "server.pem")  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return Authority(folder / "ca.pem", context)
