"""What the loopback Hub serves: repositories, commits, files, accounts, and faults by path.

State only; how it is spoken over HTTP is in `loopback.py`.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

# Faults of the answer to a resolve request, whichever its method.
Refusal = Literal[
    "401", "403 gated", "403 bare", "404 repo", "404 revision", "404 file", "404 bare"
]
# Faults of the HEAD alone, and of the bytes alone.
HeadFault = Literal["500 on HEAD", "stall on HEAD", "another commit", "size that lies", "no commit"]
BodyFault = Literal[
    "flip",  # one bit is another, the size is right
    "truncate",  # the connection closes before the announced end
    "short",  # a whole answer that is too short
    "overrun",  # more bytes than the file has, without an announced length
    "long",  # more bytes than the file has, and announced
    "reset",  # RST after `at` bytes
    "stall",  # silence after `at` bytes, the connection stays open
    "trickle",  # a byte now and then
    "416",
    "range ignored",
    "429",  # with Retry-After
    "503",
    "expired",  # the storage host's 403 for a signed address that is too old
    "new etag",  # breaks off at `at`, and from then on the same bytes have another ETag
    "replaced",  # breaks off at `at`, and from then on it is another file
    "gzip",
]
FaultKind = Refusal | HeadFault | BodyFault


_PATIENCE = 300.0  # seconds; only for a request that never ends


@dataclass
class Fault:
    """What goes wrong with one path; `times` is how often, None for as long as it stands."""

    kind: FaultKind
    times: int | None = None
    at: int = 0
    retry_after: str = "0.05"


@dataclass(frozen=True)
class HubFile:
    """A file in a commit: in memory or on disk; `lfs` files are redirected to the storage host."""

    content: bytes | Path
    lfs: bool
    sha256: str
    blob_id: str
    size: int
    etag_suffix: str = ""

    @classmethod
    def of(cls, content: bytes | Path, *, lfs: bool) -> HubFile:
        sha256 = hashlib.sha256()
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as handle:
            while chunk := handle.read(1 << 20):
                sha256.update(chunk)
                blob.update(chunk)
        return cls(content, lfs, sha256.hexdigest(), blob.hexdigest(), size)

    @property
    def etag(self) -> str:
        """What the host that sends the bytes calls them."""
        return f'"{self.sha256[:32]}{self.etag_suffix}"' if self.lfs else f'"{self.blob_id}"'

    def read(self, start: int, count: int) -> bytes:
        if isinstance(self.content, bytes):
            return self.content[start : start + count]
        with self.content.open("rb", buffering=0) as handle:
            handle.seek(start)
            return handle.read(count)


@dataclass
class Repo:
    """A repository: commits by sha, and the branches that point at them."""

    commits: dict[str, dict[str, HubFile]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    disabled: bool = False

    def at(self, revision: str) -> tuple[str, dict[str, HubFile]] | None:
        sha = self.refs.get(revision, revision)
        return (sha, self.commits[sha]) if sha in self.commits else None


@dataclass(frozen=True)
class Seen:
    """A request that was answered; `sent` counts body bytes handed to the socket."""

    method: str
    host: str
    path: str
    authorization: str | None
    range: str | None
    if_range: str | None
    status: int
    sent: int


class World:
    """Everything that the loopback Hub knows. Tests change it while it serves.

    A client has its last byte before the server has noted that it sent it. So whoever asks what
    was sent waits until every request is answered.
    """

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.renamed: dict[tuple[str, str], str] = {}
        self.tokens: dict[str, set[str]] = {}  # token -> gated repositories it was let into
        self.faults: dict[str, Fault] = {}
        self._seen: list[Seen] = []
        self._answering = 0
        self.xet = False  # whether LFS files are announced as the public Hub's Xet-backed ones are
        self.etag: str | None = None  # instead of every file's own, from the storage host
        self.hides = False  # whether digests of gated repositories are shown to outsiders
        self.sha: str | None = None  # the commit that the API names, whichever it serves
        self.pace: float = 0.0  # seconds to sleep before each chunk of a body
        self.chunk: int = 256 << 10
        self.limit: int | None = None  # bytes of bodies after which all stand still
        self._sent = 0
        self._guard = threading.Condition()

    def commit(
        self,
        kind: str,
        name: str,
        files: Mapping[str, bytes | Path],
        *,
        lfs: tuple[str, ...] = (".bin", ".pth", ".parquet", ".model"),
        branch: str = "main",
        gated: bool = False,
    ) -> str:
        """A new commit of a repository with exactly these files; its sha."""
        repo = self.repos.setdefault((kind, name), Repo())
        repo.gated = gated
        made = {path: HubFile.of(data, lfs=path.endswith(lfs)) for path, data in files.items()}
        text = "".join(f"{path} {file.sha256}\n" for path, file in sorted(made.items()))
        named = f"{kind} {name} {len(repo.commits)}\n{text}".encode()
        sha = hashlib.sha1(named, usedforsecurity=False).hexdigest()
        repo.commits[sha] = made
        repo.refs[branch] = sha
        return sha

    def fault(self, path: str, *kinds: str) -> Fault | None:
        """The fault of a path when it is one of `kinds`; uses up one of its times."""
        with self._guard:
            fault = self.faults.get(path)
            if fault is None or fault.kind not in kinds or fault.times == 0:
                return None
            if fault.times is not None:
                fault.times -= 1
            return replace(fault)

    def files(self, kind: str, name: str) -> dict[str, HubFile]:
        """What the main branch of a repository holds; changing it changes the commit."""
        repo = self.repos[kind, name]
        return repo.commits[repo.refs["main"]]

    def replace(self, path: str, change: HubFile) -> None:
        """Let every commit that has `path` have it as `change` from now on."""
        for repo in self.repos.values():
            for files in repo.commits.values():
                if path in files:
                    files[path] = change

    def find(self, sha256: str) -> tuple[str, HubFile] | None:
        """The path and file that the storage host knows by this digest."""
        for repo in self.repos.values():
            for files in repo.commits.values():
                for path, file in files.items():
                    if file.lfs and file.sha256 == sha256:
                        return path, file
        return None

    def may_send(self, count: int) -> bool:
        """Whether these bytes may go now; then they count."""
        with self._guard:
            if self.limit is not None and self._sent + count > self.limit:
                return False
            self._sent += count
            return True

    @contextmanager
    def answering(self) -> Iterator[None]:
        """For the server: the block answers one request."""
        with self._guard:
            self._answering += 1
        try:
            yield
        finally:
            with self._guard:
                self._answering -= 1
                self._guard.notify_all()

    def _settle(self) -> None:
        """Wait, with the lock held, until no request is being answered."""
        assert self._guard.wait_for(lambda: not self._answering, _PATIENCE), self._answering

    @property
    def seen(self) -> list[Seen]:
        """Every request, in the order in which they were answered."""
        with self._guard:
            self._settle()
            return list(self._seen)

    def forget(self) -> None:
        """Begin anew to count requests."""
        with self._guard:
            self._settle()
            self._seen.clear()

    @property
    def sent(self) -> int:
        """Bytes of bodies so far."""
        with self._guard:
            self._settle()
            return self._sent

    def record(self, seen: Seen) -> None:
        with self._guard:
            self._seen.append(seen)

    def bodies(self, path: str) -> list[Seen]:
        """The requests for bytes of one file, wherever they were answered."""
        return [seen for seen in self.seen if seen.method == "GET" and seen.path == path]
