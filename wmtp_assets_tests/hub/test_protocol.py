"""What servers send that the Hub's protocol does not allow: one clear error each, in time.

Each case is a server that is right but for one thing. Afterwards the token is nowhere, and nothing
stands under the file's name.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub import remote
from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.refusals import AnotherCommitError, HubError
from wmtp_assets.hub.retry import GaveUpError
from wmtp_assets.hub.source import open_hub
from wmtp_assets.hub.transfer import ChangingUpstreamError
from wmtp_assets_tests.hub.conftest import CANARY, IMPATIENT, QUICK
from wmtp_assets_tests.hub.fetching import REPO, assert_nowhere
from wmtp_assets_tests.hub.raw import Part, Request, answer, nobody, raw_server
from wmtp_assets_tests.hub.small_hub import COMMIT, DATA, PATH, SmallHub, compressed

_LONGEST = 600.0  # seconds; what must have an end takes some six on an idle machine


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", CANARY)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Try:
    """One fetch from one server: what came of it, and who was asked what."""

    def __init__(self, into: Path, lock: Lock, patch: pytest.MonkeyPatch) -> None:
        self.into, self.lock, self.patch = into, lock, patch
        self.log: list[str] = []
        self.policy = QUICK

    def __call__(self, hub: Callable[[Request], Iterable[Part]], revision: str = COMMIT) -> object:
        with raw_server(hub) as self.server:
            return self.at(self.server.endpoint, revision)

    def impatiently(self, hub: Callable[[Request], Iterable[Part]]) -> object:
        self.policy = IMPATIENT
        return self(hub)

    def at(self, endpoint: str, revision: str = COMMIT) -> object:
        self.patch.setenv("HF_ENDPOINT", endpoint)
        began = time.monotonic()
        outcome: object
        try:
            outcome = fetch(
                open_hub(None, self.policy), REPO, revision, [WantedFile(PATH)],
                self.into, self.lock, self.log.append,
            )  # fmt: skip
        except WmtpError as error:
            outcome = error
        assert time.monotonic() - began < _LONGEST
        assert_nowhere(CANARY, outcome, self.log, self.into.parent)
        if isinstance(outcome, WmtpError):
            assert not (self.into / REPO.folder / PATH).exists()
            assert self.lock.file(REPO, PATH) is None
            assert "\n" not in str(outcome)
            assert len(str(outcome)) < 1500
        else:
            assert (self.into / REPO.folder / PATH).read_bytes() == DATA
        return outcome


@pytest.fixture
def attempt(into: Path, lock: Lock, monkeypatch: pytest.MonkeyPatch) -> Try:
    return Try(into, lock, monkeypatch)


def test_the_small_hub_is_right(attempt: Try) -> None:
    assert isinstance(attempt(SmallHub()), list)
    assert {seen.headers["authorization"] for seen in attempt.server.seen} == {f"Bearer {CANARY}"}


# The pin.

OTHER = "d" * 40


def another_sha() -> SmallHub:
    hub = SmallHub()
    hub.body["sha"] = OTHER
    return hub


ANOTHER_COMMIT = {
    "sha of the API": another_sha,
    "X-Repo-Commit of the API": lambda: SmallHub(
        api=lambda _: [answer("200 OK", {"x-repo-commit": OTHER}, SmallHub().raw())]
    ),
    "X-Repo-Commit of HEAD": lambda: SmallHub(change_head={"x-repo-commit": OTHER}),
    "X-Repo-Commit of GET": lambda: SmallHub(change_get={"x-repo-commit": OTHER}),
    "two in HEAD": lambda: SmallHub(change_head={"X-Repo-Commit": OTHER}),
    "upper case": lambda: SmallHub(change_head={"x-repo-commit": COMMIT.upper()}),
    "beyond ASCII": lambda: SmallHub(change_head={"x-repo-commit": "caf\xe9"}),
    "empty": lambda: SmallHub(change_head={"x-repo-commit": ""}),
}


@pytest.mark.parametrize("where", ANOTHER_COMMIT)
def test_another_commit_is_refused_wherever_it_is_named(where: str, attempt: Try) -> None:
    outcome = attempt(ANOTHER_COMMIT[where]())
    assert type(outcome) is AnotherCommitError, outcome
    assert COMMIT in str(outcome)


def test_a_branch_is_one_commit_in_api_and_files(attempt: Try) -> None:
    outcome = attempt(another_sha(), revision="main")
    assert type(outcome) is AnotherCommitError, outcome


@pytest.mark.parametrize(
    "sha",
    ["../../etc", "", None, 7, 1.5, True, [], {}, COMMIT.upper(), "a" * 39, "a" * 41, "a" * 64,
     COMMIT + "\n", "\uff41" * 40],
)  # fmt: skip
@pytest.mark.parametrize("revision", [COMMIT, "main"])
def test_a_sha_that_is_no_commit_is_refused(sha: object, revision: str, attempt: Try) -> None:
    hub = SmallHub()
    hub.body["sha"] = sha
    outcome = attempt(hub, revision)
    assert type(outcome) is GaveUpError, outcome
    assert "not 40 hex digits" in str(outcome)


def test_an_answer_without_a_commit_is_refused(attempt: Try) -> None:
    outcome = attempt(SmallHub(change_head={"x-repo-commit": "-"}))
    assert type(outcome) is HubError, outcome
    assert "X-Repo-Commit" in str(outcome)


def test_a_get_that_names_no_commit_is_verified_by_its_digest(attempt: Try) -> None:
    assert isinstance(attempt(SmallHub(change_get={"x-repo-commit": "-"})), list)


# Bodies of the API.


def with_siblings(change: Callable[[dict[str, object]], object]) -> bytes:
    body = SmallHub().body
    change(body["siblings"][0])
    return json.dumps(body).encode()


BODIES: dict[str, bytes] = {
    "nested lists": b"[" * 200_000,
    "nested objects": b'{"a":' * 200_000,
    "nested in a field": b'{"sha": "' + COMMIT.encode() + b'", "siblings": ' + b"[" * 200_000,
    "not UTF-8": b'{"sha": "\xff\xfe"}',
    "UTF-16": json.dumps(SmallHub().body).encode("utf-16"),
    "a BOM": b"\xef\xbb\xbf" + SmallHub().raw(),
    "a list": b"[]",
    "a text": b'"text"',
    "null": b"null",
    "nothing": b"",
    "a page": b"<!doctype html><title>Log in</title>",
    "a key twice": b'{"sha": "x", ' + SmallHub().raw()[1:],
    "siblings missing": json.dumps({"sha": COMMIT}).encode(),
    "siblings null": json.dumps({"sha": COMMIT, "siblings": None}).encode(),
    "siblings an object": json.dumps({"sha": COMMIT, "siblings": {}}).encode(),
    "a sibling that is a text": json.dumps({"sha": COMMIT, "siblings": ["x"]}).encode(),
    "a file twice": json.dumps(
        {"sha": COMMIT, "siblings": SmallHub().body["siblings"] * 2}
    ).encode(),
    "a name that is a number": with_siblings(lambda s: s.update(rfilename=7)),
    "lfs a list": with_siblings(lambda s: s.update(lfs=[])),
    "lfs with another size": with_siblings(lambda s: s.update(lfs={"sha256": "a" * 64, "size": 1})),
    "sha256 a number": with_siblings(lambda s: s.update(lfs={"sha256": 7, "size": len(DATA)})),
    "sha256 too short": with_siblings(lambda s: s.update(lfs={"sha256": "ab", "size": len(DATA)})),
    "blobId a list": with_siblings(lambda s: s.update(blobId=[])),
} | {
    f"size {size}": SmallHub().raw().replace(b": %d" % len(DATA), b": " + size.encode())
    for size in ["Infinity", "-Infinity", "NaN", "-1", "1e400", "3300.0", "true", '"3300"',
                 "[3300]", "9" * 5000, "99999999999999999999999"]
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_an_api_body_that_is_not_what_is_documented_is_one_error(case: str, attempt: Try) -> None:
    outcome = attempt(SmallHub(api=lambda _: [answer("200 OK", {}, BODIES[case])]))
    assert type(outcome) is GaveUpError, outcome
    assert "The Hub's answer is not what its API documents" in str(outcome)
    assert "Found: " in str(outcome)


def test_a_size_that_nobody_lists_is_taken_from_the_headers(attempt: Try) -> None:
    hub = SmallHub()
    del hub.body["siblings"][0]["size"]
    assert isinstance(attempt(hub), list)


def test_a_size_that_nobody_knows_is_asked_for_in_the_catalog(attempt: Try) -> None:
    hub = SmallHub(change_head={"content-length": "-", "transfer-encoding": "chunked"})
    del hub.body["siblings"][0]["size"]
    outcome = attempt(hub)
    assert isinstance(outcome, HubError), outcome
    assert re.search("The size of .* is not known", str(outcome))


def test_a_gzip_bomb_is_stopped_at_the_limit(attempt: Try) -> None:
    bomb = gzip.compress(b"[" + b" " * (400 << 20))
    assert len(bomb) < 500_000
    outcome = attempt(
        SmallHub(api=lambda _: [answer("200 OK", {"content-encoding": "gzip"}, bomb)])
    )
    assert type(outcome) is GaveUpError, outcome
    assert "at most 16,777,216 bytes of JSON. Found: more" in str(outcome)


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x" * 5000])
def test_an_api_body_in_an_encoding_that_was_not_asked_for(encoding: str, attempt: Try) -> None:
    api = answer("200 OK", {"content-encoding": encoding}, SmallHub().raw())
    outcome = attempt(SmallHub(api=lambda _: [api]))
    assert isinstance(outcome, WmtpError), outcome


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_an_api_body_whose_gzip_is_cut_off(cut: int, attempt: Try) -> None:
    packed = gzip.compress(SmallHub().raw())[:-cut]
    api = answer("200 OK", {"content-encoding": "gzip"}, packed)
    assert isinstance(attempt(SmallHub(api=lambda _: [api])), WmtpError)


def test_an_api_body_in_gzip_is_read(attempt: Try) -> None:
    assert isinstance(attempt(SmallHub(api=lambda _: [compressed(SmallHub().raw())])), list)


# Headers and bytes of files.

FILE_ANSWERS: dict[str, SmallHub] = {
    "200 compressed": SmallHub(get=lambda _: [compressed(DATA, SmallHub().headers())]),
    "encoding in capitals": SmallHub(change_get={"Content-Encoding": "GZIP"}),
    "two lengths": SmallHub(change_get={"Content-Length": "7"}),
    "a negative length": SmallHub(change_get={"content-length": "-5"}),
    "a length of 5,000 digits": SmallHub(change_get={"content-length": "9" * 5000}),
    "a huge length": SmallHub(change_get={"content-length": str(1 << 62)}),
    "a length that is no number": SmallHub(change_get={"content-length": "many"}),
    "a part that nobody asked for": SmallHub(
        get=lambda _: [
            answer(
                "206 Partial Content",
                SmallHub().headers() | {"content-range": f"bytes 0-9/{len(DATA)}"},
                DATA[:10],
            )
        ]
    ),
    "no content": SmallHub(get=lambda _: [answer("204 No Content", SmallHub().headers())]),
    "a redirect without an address": SmallHub(get=lambda _: [answer("302 Found", {})]),
    "not modified": SmallHub(get=lambda _: [answer("304 Not Modified", {})]),
    "status 999": SmallHub(get=lambda _: [answer("999 Odd", {}, DATA)]),
    "status 0": SmallHub(get=lambda _: [b"HTTP/1.1 0 Odd\r\n\r\n"]),
    "not HTTP": SmallHub(get=lambda _: [b"SSH-2.0-OpenSSH_9.2\r\n"]),
    "nothing at all": SmallHub(get=lambda _: []),
    "headers without end": SmallHub(get=lambda _: [b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 99_999]),
    "a HEAD with status 204": SmallHub(head=lambda _: [answer("204 No Content", {})]),
    "a HEAD with status 206": SmallHub(head=lambda _: [answer("206 Partial Content", {})]),
}


@pytest.mark.parametrize("case", FILE_ANSWERS)
def test_an_answer_that_is_no_file_is_one_error(case: str, attempt: Try) -> None:
    outcome = attempt(FILE_ANSWERS[case])
    if case != "a huge length":  # it looks like a line that broke: the file is resumed
        assert isinstance(outcome, WmtpError), outcome


@pytest.mark.parametrize(
    "head",
    [
        {"x-linked-size": "9" * 5000},
        {"x-linked-size": "-1"},
        {"x-linked-size": "\xb2"},
        {"etag": "-"},
        {"etag": '"caf\xe9"'},
        {"etag": '"' + "x" * 5000 + '"'},
        {"etag": 'W/"weak"'},
        {"content-encoding": "gzip", "content-length": "148"},
        {"content-encoding": "br", "content-length": "-", "transfer-encoding": "chunked"},
        {"content-length": "-", "transfer-encoding": "chunked"},
    ],
)
def test_a_head_that_says_odd_things_of_the_file_does_not_keep_it_from_being_fetched(
    head: dict[str, str], attempt: Try
) -> None:
    outcome = attempt(SmallHub(change_head=head))
    assert isinstance(outcome, list), outcome
    heads = [seen for seen in attempt.server.seen if seen.method == "HEAD"]
    assert {seen.headers["accept-encoding"] for seen in heads} == {"identity"}


def test_a_compressed_head_with_a_linked_size_that_is_wrong_is_refused(attempt: Try) -> None:
    outcome = attempt(SmallHub(change_head={"content-encoding": "gzip", "x-linked-size": "7"}))
    assert isinstance(outcome, HubError), outcome


@pytest.mark.parametrize("etag", ['"caf\xe9"', '"a b"', '"x', "x", 'W/"x"', "-", '"' + "x" * 9999])
def test_an_odd_etag_of_the_bytes_is_no_validator(etag: str, attempt: Try) -> None:
    assert isinstance(attempt(SmallHub(change_get={"etag": etag})), list)


def test_a_chunked_body_with_extensions_and_trailers_is_read(attempt: Try) -> None:
    head = answer("200 OK", SmallHub().headers() | {
        "content-length": "-", "transfer-encoding": "chunked"})  # fmt: skip
    half = len(DATA) // 2
    body = b"%x;name=value\r\n%s\r\n" % (half, DATA[:half])
    body += b"%x\r\n%s\r\n" % (len(DATA) - half, DATA[half:])
    body += b"0\r\nX-Repo-Commit: " + OTHER.encode() + b"\r\nContent-Length: 3\r\n\r\n"
    assert isinstance(attempt(SmallHub(get=lambda _: [head + body])), list)


def test_interim_answers_are_passed_over(attempt: Try) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    assert isinstance(attempt(SmallHub(get=lambda r: [early, *SmallHub()(r)])), list)


# Ranges. A partial of the file is there, so that each GET asks for the rest of it.


def broken_off(request: Request) -> Iterable[Part]:
    if "range" in request.headers:
        return [answer("503 Busy", {})]
    return [answer("200 OK", SmallHub().headers(), DATA)[:-2000], 0.05]


def ranged(span: str, body: bytes, **headers: str) -> SmallHub:
    said = SmallHub().headers() | {"content-range": span} | headers
    return SmallHub(get=lambda _: [answer("206 Partial Content", said, body)])


KEPT = len(DATA) - 2000
REST = DATA[KEPT:]
RANGES: dict[str, SmallHub] = {
    "another start": ranged(f"bytes 0-{len(DATA) - 1}/{len(DATA)}", DATA),
    "backwards": ranged(f"bytes {len(DATA) - 1}-{KEPT}/{len(DATA)}", REST),
    "beyond the end": ranged(f"bytes {KEPT}-{len(DATA)}/{len(DATA)}", REST + b"!"),
    "another length": ranged(f"bytes {KEPT}-{len(DATA) - 2}/{len(DATA)}", REST),
    "another total": ranged(f"bytes {KEPT}-{len(DATA) - 1}/{len(DATA) + 1}", REST),
    "5,000 digits": ranged("bytes " + "9" * 5000 + "-1/2", REST),
    "lines": ranged(f"lines {KEPT}-{len(DATA) - 1}/{len(DATA)}", REST),
    "unsatisfied": ranged(f"bytes */{len(DATA)}", REST),
    "missing": ranged("-", REST),
    "multipart": ranged("-", b"--x\r\n", **{"content-type": "multipart/byteranges; boundary=x"}),
}


@pytest.mark.parametrize("case", RANGES)
def test_a_range_that_was_not_asked_for_is_one_error_and_resumed_later(
    case: str, attempt: Try
) -> None:
    assert isinstance(attempt(SmallHub(get=broken_off)), WmtpError)
    outcome = attempt(RANGES[case])
    if case != "another length":  # what comes is the rest of the file all the same
        assert isinstance(outcome, WmtpError), outcome
    assert isinstance(attempt(SmallHub()), list)


def test_a_total_that_is_not_known_is_no_hindrance(attempt: Try) -> None:
    assert isinstance(attempt(SmallHub(get=broken_off)), WmtpError)
    assert isinstance(attempt(ranged(f"bytes {KEPT}-{len(DATA) - 1}/*", REST)), list)


def test_the_whole_file_in_answer_to_a_range_starts_it_over(attempt: Try) -> None:
    assert isinstance(attempt(SmallHub(get=broken_off)), WmtpError)
    whole = answer("200 OK", SmallHub().headers(), DATA)
    assert isinstance(attempt(SmallHub(get=lambda _: [whole])), list)


# Time.


def drip(data: bytes, pause: float = 0.1) -> Iterable[Part]:
    for byte in data:
        yield bytes([byte])
        yield pause


def for_ever(part: bytes, pause: float = 0.01) -> Iterable[Part]:
    while True:
        yield part
        yield pause


CHUNKED = answer("200 OK", SmallHub().headers() | {
    "content-length": "-", "transfer-encoding": "chunked"})  # fmt: skip
SLOW: dict[str, SmallHub] = {
    "headers of the API": SmallHub(api=lambda _: drip(answer("200 OK", {}, SmallHub().raw()))),
    "headers of HEAD": SmallHub(head=lambda r: drip(answer("200 OK", SmallHub().headers()))),
    "headers of GET": SmallHub(get=lambda r: drip(answer("200 OK", SmallHub().headers(), DATA))),
    "103 without end": SmallHub(head=lambda _: for_ever(b"HTTP/1.1 103 Early Hints\r\n\r\n")),
    "100 without end": SmallHub(get=lambda _: for_ever(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "102 without end, of the API": SmallHub(
        api=lambda _: for_ever(b"HTTP/1.1 102 Processing\r\n\r\n")
    ),
    "body of the API": SmallHub(
        api=lambda _: [answer("200 OK", {"content-length": "99999"}), *drip(SmallHub().raw())]
    ),
    "body of the API without end": SmallHub(
        api=lambda _: iter_then(CHUNKED, for_ever(b"1\r\n \r\n", 0.05))
    ),
    "extensions of a chunk": SmallHub(
        get=lambda _: iter_then(CHUNKED + b"5;", for_ever(b"x", 0.05))
    ),
    "trailers": SmallHub(
        get=lambda _: iter_then(
            CHUNKED + b"%x\r\n%s\r\n0\r\n" % (len(DATA), DATA), for_ever(b"a: b\r\n", 0.05)
        )
    ),
    "body byte by byte": SmallHub(
        get=lambda _: iter_then(answer("200 OK", SmallHub().headers(), DATA)[: -len(DATA)],
                                drip(DATA, 0.05))
    ),
    "silence after connecting": SmallHub(api=lambda _: [5.0]),
    "silence before a HEAD's end": SmallHub(head=lambda _: [b"HTTP/1.1 200 OK\r\n", 5.0]),
    "silence in a body": SmallHub(
        get=lambda _: [answer("200 OK", SmallHub().headers(), DATA)[:-100], 5.0]
    ),
}  # fmt: skip


def iter_then(first: bytes, rest: Iterable[Part]) -> Iterable[Part]:
    yield first
    yield from rest


@pytest.mark.parametrize("phase", SLOW)
def test_every_phase_has_an_end(phase: str, attempt: Try) -> None:
    outcome = attempt.impatiently(SLOW[phase])
    if phase != "trailers":  # by then every byte is there
        assert isinstance(outcome, (GaveUpError, ChangingUpstreamError)), outcome


# Redirects.


def redirecting(target: str, status: str = "302 Found") -> dict[str, SmallHub]:
    def onward(_: Request) -> Iterable[Part]:
        return [answer(status, {"location": target})]

    return {what: SmallHub(**{what: onward}) for what in ("api", "head", "get")}


BAD_TARGETS = [
    "http://[", "http://[::1", "http://a b/", "http://a\x7fb/",
    "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", "javascript:alert(1)", "data:,x",
    "http://user:pass@127.0.0.1/x", "http://127.0.0.1:0/", "http://127.0.0.1:99999/",
    "http://127.0.0.1:port/", "http://" + "a" * 300 + "/", "/" + "x" * 20_000, "http://a..b/",
    "http://caf\xe9/",
]  # fmt: skip


@pytest.mark.parametrize("what", ["api", "head", "get"])
@pytest.mark.parametrize("target", BAD_TARGETS, ids=lambda target: ascii(target)[:40])
def test_a_redirect_to_no_address_is_one_error(target: str, what: str, attempt: Try) -> None:
    outcome = attempt(redirecting(target)[what])
    assert isinstance(outcome, HubError), outcome
    assert "redirects to an address that is not followed" in str(outcome)
    assert "pass@" not in str(outcome)


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
@pytest.mark.parametrize("what", ["api", "head", "get"])
@pytest.mark.parametrize("target", ["", "?again=1", "/elsewhere"])
def test_redirects_in_circles_are_one_error(
    target: str, what: str, status: str, attempt: Try
) -> None:
    outcome = attempt(lambda _: [answer(status, {"location": target or "/"})])
    assert isinstance(outcome, HubError), outcome
    assert "in circles" in str(outcome)
    assert len(attempt.server.seen) <= 10
    outcome = attempt(redirecting(target or "/x", status)[what])
    assert isinstance(outcome, WmtpError), outcome


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_mirror_that_redirects_to_another_host_is_followed_without_the_token(
    status: str, attempt: Try
) -> None:
    with raw_server(SmallHub()) as hub:

        def mirror(request: Request) -> Iterable[Part]:
            return [answer(status, {"location": hub.endpoint + request.target})]

        outcome = attempt(mirror)
        assert isinstance(outcome, list), outcome
        assert hub.seen
        assert all("authorization" not in seen.headers for seen in hub.seen)
        assert all("authorization" in seen.headers for seen in attempt.server.seen)


def test_a_storage_host_that_cannot_be_reached_is_the_one_that_is_named(attempt: Try) -> None:
    with nobody() as port:
        there = f"localhost:{port}"
        where = {"x-repo-commit": COMMIT, "location": f"http://{there}/x?Signature=secret"}
        outcome = attempt(SmallHub(head=lambda _: [answer("302 Found", where)]))
    assert type(outcome) is GaveUpError, outcome
    assert f"Cannot reach {there}" in str(outcome)
    assert "secret" not in str(outcome)


# The token.


def test_a_token_that_goes_out_unencrypted_is_warned_of_once(
    attempt: Try, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    remote._warned.clear()
    with raw_server(lambda request: SmallHub()(_without_host(request))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        caplog.set_level(logging.WARNING)
        for _ in range(2):
            assert isinstance(attempt.at("http://hub.example"), list)
    said = [r.getMessage() for r in caplog.records if "without encryption" in r.getMessage()]
    assert len(said) == 1
    assert "hub.example" in said[0]
    assert CANARY not in caplog.text
    caplog.clear()
    monkeypatch.delenv("HTTP_PROXY")
    remote._warned.clear()
    assert isinstance(attempt(SmallHub()), list)
    assert caplog.records == [], "loopback is not the network"


def _without_host(request: Request) -> Request:
    """A proxy is asked for whole addresses."""
    target = "/" + request.target.split("/", 3)[3]
    return Request(request.method, target, request.headers, request.port)


def test_retry_after_in_every_form_is_waited_for_or_reported(attempt: Try) -> None:
    for value in [
        "Fri, 31 Dec 99999999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "nan",
        "-5",
        "inf",
        "1e400",
        "9" * 5000,
        "soon",
        "",
        "\xb2",
        "Mon, 99 Foo 2026",
    ]:
        api = answer("503 Busy", {"retry-after": value})
        outcome = attempt(SmallHub(api=lambda _, api=api: [api]))
        assert type(outcome) is GaveUpError, (value, outcome)
