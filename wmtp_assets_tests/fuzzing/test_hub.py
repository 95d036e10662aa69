"""Answers of a Hub that are right but for a few bytes or values: the right file, or our error."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.retry import Policy
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.fuzzing.harness import fuzz
from wmtp_assets_tests.fuzzing.mutations import json_bytes, mutate_bytes, mutate_value
from wmtp_assets_tests.hub.raw import Part, Request, answer, raw_server
from wmtp_assets_tests.hub.small_hub import COMMIT, DATA, PATH, SmallHub

REPO = RepoId("model", "org/name")
HASTY = Policy(
    tries=2,
    first_wait=0.0,
    widest_wait=0.0,
    longest_wait=0.05,
    connect=2.0,
    stall=10.0,
    answer=20.0,
)


class Spoiling:
    """A Hub that spoils its answers as one random generator says; LFS when `redirects`."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.right = SmallHub()
        self.redirects = rng.random() < 0.5
        self.spoils = {"api", "head", "get"} if rng.random() < 0.3 else {
            rng.choice(("api", "body", "head", "get"))
        }  # fmt: skip
        if self.redirects:
            lfs = {"sha256": hashlib.sha256(DATA).hexdigest(), "size": len(DATA)}
            self.right.body["siblings"][0]["lfs"] = lfs
        if "body" in self.spoils:
            for _ in range(rng.randint(1, 3)):
                self.right.body = mutate_value(rng, self.right.body)  # type: ignore[assignment]

    def __call__(self, request: Request) -> Iterable[Part]:
        kind = "api" if request.path.startswith("/api/") else request.method.lower()
        if kind == "api":
            changed = "body" in self.spoils
            body = json_bytes(self.rng, self.right.body) if changed else self.right.raw()
            parts = [answer("200 OK", {}, body)]
        elif kind == "head" and self.redirects:
            headers = self.right.headers() | {
                "x-linked-size": str(len(DATA)),
                "x-linked-etag": f'"{hashlib.sha256(DATA).hexdigest()}"',
                "location": f"http://127.0.0.1:{request.port}/storage/x?Signature=y",
            }
            parts = [answer("302 Found", headers)]
        else:
            parts = list(self.right(request))  # type: ignore[arg-type]
        for part in parts:
            if kind not in self.spoils or self.rng.random() < 0.2:
                yield part
                continue
            head, _, body = part.partition(b"\r\n\r\n")
            if self.rng.random() < 0.7:
                head = mutate_bytes(self.rng, head)
            else:
                body = mutate_bytes(self.rng, body)
            yield head + b"\r\n\r\n" + body


@pytest.mark.fuzz
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_answers_of_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_fuzzfuzzfuzzfuzzfuzzfuzz")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    root = tmp_path / "storage"
    wanted = [WantedFile(PATH, hashlib.sha256(DATA).hexdigest())]

    def attempt(rng: random.Random) -> None:
        shutil.rmtree(root, ignore_errors=True)
        file = root / "upstream" / REPO.folder / PATH
        with raw_server(Spoiling(rng)) as server:
            monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
            try:
                fetch(
                    open_hub(None, HASTY), REPO, rng.choice((COMMIT, "main")), wanted,
                    root / "upstream", Lock(root / "assets.lock"), lambda line: None,
                )  # fmt: skip
            finally:
                assert not file.exists() or file.read_bytes() == DATA
        assert file.read_bytes() == DATA

    outcomes = fuzz(attempt)
    assert outcomes.read
    assert outcomes.refused
