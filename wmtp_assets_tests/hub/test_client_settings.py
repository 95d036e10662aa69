"""Certificates, proxies and tokens that are wrong: said once, at once, with a remedy that works."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub import client_settings
from wmtp_assets.hub.doctor import diagnose
from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import WantedFile, WantedRepo
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.refusals import ClientSetupError, HubError, NoTokenError
from wmtp_assets.hub.retry import GaveUpError
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.authorities import Authority, make_authority
from wmtp_assets_tests.hub.conftest import CANARY, IMPATIENT, QUICK
from wmtp_assets_tests.hub.fetching import REPO, assert_nowhere
from wmtp_assets_tests.hub.raw import Part, RawServer, Request, answer, nobody, raw_server
from wmtp_assets_tests.hub.small_hub import COMMIT, DATA, PATH, SmallHub

VARIABLES = [
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY",
    "ALL_PROXY", "NO_PROXY", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_IMPLICIT_TOKEN",
]  # fmt: skip


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HF_TOKEN", CANARY)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("ca") / "a", "huggingface.co", "hub.example")


class Taking:
    """Fetches the small Hub's file from an endpoint."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.patch, self.log = root, patch, list[str]()
        self.into, self.lock = root / "upstream", Lock(root / "assets.lock")
        self.policy = QUICK

    def __call__(self, endpoint: str) -> Any:
        self.patch.setenv("HF_ENDPOINT", endpoint)
        shutil.rmtree(self.into, ignore_errors=True)
        try:
            outcome: object = fetch(
                open_hub(None, self.policy), REPO, COMMIT, [WantedFile(PATH)],
                self.into, self.lock, self.log.append,
            )  # fmt: skip
        except WmtpError as error:
            outcome = error
        else:
            assert (self.into / REPO.folder / PATH).read_bytes() == DATA
        assert_nowhere(CANARY, outcome, self.log, self.root)
        return outcome

    def doctor(self) -> str:
        wanted = [WantedRepo(REPO, COMMIT, (WantedFile(PATH),))] * 3
        facts = diagnose(None, wanted, {}, 0)
        assert_nowhere(CANARY, facts, [], self.root)
        problems = [f for f in facts if f.state == "problem"]
        own = [f for f in problems if f.name != "repository"]
        assert len(own) <= 1, "reported once, not once per repository"
        return " ".join(f"{f.name}: {f.found} {f.expected} {f.hint}" for f in problems)


@pytest.fixture
def take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Taking:
    return Taking(tmp_path / "storage", monkeypatch)


# Certificates.


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_an_untrusted_authority_is_one_error_and_its_remedy_works(
    variable: str, authority: Authority, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_server(SmallHub(), authority.server) as server:
        error = take(server.endpoint)
        assert type(error) is ClientSetupError, error
        assert "is not trusted" in str(error)
        assert "SSL_CERT_FILE (or REQUESTS_CA_BUNDLE)" in str(error)
        assert take.log == [], "nothing is tried again"
        assert server.seen == []
        assert "SSL_CERT_FILE" in take.doctor()
        monkeypatch.setenv(variable, str(authority.certificate))
        assert isinstance(take(server.endpoint), list)
        assert take.doctor() == ""


def test_both_variables_count_and_a_folder_of_certificates_too(
    authority: Authority, take: Taking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = make_authority(tmp_path / "other")
    folder = tmp_path / "certificates"
    folder.mkdir()
    shutil.copy(authority.certificate, folder)
    subprocess.run(["openssl", "rehash", folder], check=True)
    with raw_server(SmallHub(), authority.server) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(other.certificate))
        assert type(take(server.endpoint)) is ClientSetupError
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))
        assert isinstance(take(server.endpoint), list)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder))
        assert isinstance(take(server.endpoint), list)
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        monkeypatch.setenv("SSL_CERT_DIR", str(folder))
        assert isinstance(take(server.endpoint), list)


def test_a_certificate_for_another_name_is_not_trusted(
    authority: Authority, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with raw_server(SmallHub(), authority.server) as server:
        error = take(f"https://localhost:{server.port}")
    assert type(error) is ClientSetupError, error
    assert "localhost" in str(error)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
@pytest.mark.parametrize("what", ["missing", "empty", "text", "key", "binary", "cut"])
def test_a_variable_that_names_no_certificates_is_named(
    what: str, variable: str, authority: Authority, take: Taking, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = tmp_path / "bundle.pem"
    pem = authority.certificate.read_bytes()
    contents = {
        "empty": b"",
        "text": b"not a certificate\n",
        "key": (authority.certificate.parent / "ca.key").read_bytes(),
        "binary": bytes(range(256)),
        "cut": pem[: len(pem) // 2],
    }
    if what != "missing":
        path.write_bytes(contents[what])
    monkeypatch.setenv(variable, str(path))
    with raw_server(SmallHub(), authority.server) as server:
        error = take(server.endpoint)
        assert type(error) is ClientSetupError, error
        assert variable in error.problem
        assert str(path) in str(error)
        assert take.log == []
        assert variable in take.doctor()
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        if variable != "SSL_CERT_FILE":
            monkeypatch.delenv(variable)
        assert isinstance(take(server.endpoint), list)


def test_certificates_are_of_no_concern_without_tls(
    take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at/all.pem")
    with raw_server(SmallHub()) as server:
        assert isinstance(take(server.endpoint), list)


def test_a_handshake_that_takes_for_ever_has_an_end(
    take: Taking, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            for byte in b"\x16\x03\x03\x40\x00" + bytes(10_000):  # a quarter of an hour
                connection.sendall(bytes([byte]))
                time.sleep(0.1)

    with listening(drip) as port:
        take.policy = IMPATIENT
        error = take(f"https://127.0.0.1:{port}")
    assert type(error) is GaveUpError, error


def test_a_name_server_that_hangs_has_an_end(take: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    real, over = socket.getaddrinfo, threading.Event()

    def hang(host: Any, *rest: Any, **more: Any) -> Any:
        if host == "hub.example":
            over.wait()
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    take.policy = IMPATIENT
    try:
        error = take("http://hub.example")
    finally:
        over.set()  # no look-up outlives the test
    assert type(error) is GaveUpError, error
    assert "the name server does not answer" in str(error)


@contextmanager
def listening(serve: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_quietly, args=(serve, connection), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]


def _quietly(serve: Any, connection: socket.socket) -> None:
    try:
        serve(connection)
    except OSError:
        connection.close()


# Proxies. One that tunnels every name to a server of ours also stands in for the real Hub.


class Tunnel:
    """What a CONNECT proxy was asked for; `status` other than 200 refuses."""

    def __init__(self, to: int, status: str = "200 OK") -> None:
        self.to, self.status = to, status
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            lines = head.decode().split("\r\n")
            sent = [line.partition(": ")[2] for line in lines if line.lower().startswith("proxy-a")]
            self.asked.append((lines[0].split(" ")[1], sent[0] if sent else None))
            connection.sendall(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
            if not self.status.startswith("200"):
                return
            with socket.create_connection(("127.0.0.1", self.to)) as there:
                back = threading.Thread(target=_quietly, args=(_copy_from(there), connection))
                back.start()
                _copy_from(connection)(there)
                back.join()


def _copy_from(source: socket.socket) -> Any:
    def copy(target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        finally:
            target.shutdown(socket.SHUT_WR)

    return copy


@pytest.fixture
def real_hub(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[RawServer]:
    with (
        raw_server(SmallHub(), authority.server) as server,
        listening(Tunnel(server.port)) as port,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        yield server


@pytest.mark.parametrize("status", ["301 M", "302 F", "307 T", "308 P"])
def test_a_mirror_that_redirects_to_the_hub_itself_is_followed_with_the_token(
    status: str, real_hub: RawServer, take: Taking
) -> None:
    def mirror(request: Request) -> Iterable[Part]:
        return [answer(status, {"location": f"https://huggingface.co{request.target}"})]

    with raw_server(mirror) as server:
        assert isinstance(take(server.endpoint), list)
    assert {seen.headers["host"] for seen in real_hub.seen} == {"huggingface.co"}
    assert {seen.headers["authorization"] for seen in real_hub.seen} == {f"Bearer {CANARY}"}


@pytest.mark.parametrize(
    "there", ["https://hub.example", "https://huggingface.co:8443", "https://huggingface.co.evil",
              "https://xhuggingface.co", "https://hf.co"]
)  # fmt: skip
def test_no_other_host_gets_the_token(
    there: str, real_hub: RawServer, take: Taking, authority: Authority
) -> None:
    def mirror(request: Request) -> Iterable[Part]:
        return [answer("308 P", {"location": there + request.target})]

    with raw_server(mirror) as server:
        take(server.endpoint)
    assert all("authorization" not in seen.headers for seen in real_hub.seen)


def test_a_redirect_from_https_to_http_is_refused(
    take: Taking, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with raw_server(SmallHub()) as plain_server:

        def down(request: Request) -> Iterable[Part]:
            return [answer("302 F", {"location": plain_server.endpoint + request.target})]

        with raw_server(down, authority.server) as server:
            error = take(server.endpoint)
        assert plain_server.seen == []
    assert type(error) is HubError, error
    assert "without encryption" in str(error)


def test_a_proxy_is_given_its_credentials_and_no_message_shows_them(
    take: Taking, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with raw_server(SmallHub(), authority.server) as server:
        tunnel = Tunnel(server.port)
        with listening(tunnel) as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:p%40ss@127.0.0.1:{port}")
            assert isinstance(take("https://hub.example"), list)
            assert {host for host, _ in tunnel.asked} == {"hub.example:443"}
            assert {sent for _, sent in tunnel.asked} == {"Basic dXNlcjpwQHNz"}
            tunnel.status = "407 Proxy Authentication Required"
            error = take("https://other.example")
            assert type(error) is ClientSetupError, error
            assert "407" in str(error)
            assert "p@ss" not in str(error)
            assert "p%40ss" not in str(error)
            assert "refuses" in take.doctor()
            tunnel.status = "502 Bad Gateway"
            assert type(take("https://third.example")) is GaveUpError


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_is_not_there_is_named_by_its_variable_and_the_remedy_works(
    variable: str, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nobody() as port, raw_server(SmallHub()) as server:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        error = take(server.endpoint)
        assert type(error) is GaveUpError
        assert f"through the proxy that {variable} names" in str(error)
        assert f"check the network, HF_ENDPOINT and {variable};" in str(error)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert isinstance(take(server.endpoint), list)


@pytest.mark.parametrize(
    ("exempt", "direct"),
    [("127.0.0.1", True), ("127.0.0.0/8", True), ("*", True), ("example.org, 127.0.0.1 ", True),
     ("127.0.0.1:1", False), ("27.0.0.1", False), ("10.0.0.0/8", False), ("", False), (",", False)],
)  # fmt: skip
@pytest.mark.parametrize("spelling", ["NO_PROXY", "no_proxy"])
def test_no_proxy_is_honoured(
    exempt: str, direct: bool, spelling: str, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(spelling, exempt)
    with nobody() as port, raw_server(SmallHub()) as server:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
        outcome = take(server.endpoint)
    assert isinstance(outcome, list) if direct else type(outcome) is GaveUpError


@pytest.mark.parametrize(
    ("entry", "host", "port", "exempt"),
    [("example.org", "a.example.org", 443, True), (".example.org", "a.example.org", 443, True),
     ("example.org", "badexample.org", 443, False), ("example.org:80", "example.org", 443, False),
     ("EXAMPLE.org:443", "example.org", 443, True), ("::1", "::1", 80, True),
     ("[::1]:80", "::1", 80, True), ("[::1]:81", "::1", 80, False),
     ("fe80::/10", "fe80::1", 1, True),
     ("a b", "example.org", 443, False), ("]:5", "example.org", 5, False)],
)  # fmt: skip
def test_what_no_proxy_names(
    entry: str, host: str, port: int, exempt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:3128")
    monkeypatch.setenv("NO_PROXY", entry)
    assert (client_settings.proxy_for("http", host, port) is None) is exempt


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("variable", ["ALL_PROXY", "all_proxy", "HTTP_PROXY"])
def test_a_socks_proxy_without_its_package_is_one_error_and_each_remedy_works(
    variable: str, scheme: str, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpcore2")
    if client_settings.find_spec("socksio") is not None:
        pytest.skip("socksio is installed: the proxy is used")
    monkeypatch.setenv(variable, f"{scheme}://user:secret@127.0.0.1:1080")
    with raw_server(SmallHub()) as server:
        error = take(server.endpoint)
        assert type(error) is ClientSetupError, error
        assert f"{variable} names a SOCKS proxy" in str(error)
        assert "pip install socksio" in str(error)
        assert "secret" not in str(error)
        assert take.log == []
        assert "SOCKS" in take.doctor()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert isinstance(take(server.endpoint), list)
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.delenv(variable)
        assert isinstance(take(server.endpoint), list)


@pytest.mark.parametrize(
    "value",
    ["http://[", "ftp://127.0.0.1", "http://", "http://h:99999", "http://h:x", "://", "a b:c"],
)
def test_a_proxy_that_is_no_address_is_named_by_its_variable(
    value: str, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", value)
    with raw_server(SmallHub()) as server:
        error = take(server.endpoint)
    assert type(error) is ClientSetupError, error
    assert "HTTP_PROXY is not the address of a proxy" in str(error)


# Tokens.


@pytest.mark.parametrize(
    ("token", "what"),
    [("hf_caf\xe9" + CANARY, "beyond ASCII"), (CANARY + "\u200b", "beyond ASCII"),
     (f"{CANARY} {CANARY}", "white space"), (f"{CANARY}\t{CANARY}", "white space"),
     (f"{CANARY}\x07", "a control character"), (f"\ufeff{CANARY}", "beyond ASCII"),
     (f"\u201c{CANARY}\u201d", "beyond ASCII")],
)  # fmt: skip
@pytest.mark.parametrize("stored", [False, True])
def test_a_token_that_cannot_be_sent_is_said_to_be_so_and_not_shown(
    token: str, what: str, stored: bool, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(huggingface_hub.constants.HF_TOKEN_PATH)
    if stored:
        monkeypatch.delenv("HF_TOKEN")
        path.write_text(token, encoding="utf-8")
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with raw_server(SmallHub()) as server:
        error = take(server.endpoint)
        assert type(error) is ClientSetupError, error
        assert what in str(error)
        assert (str(path) if stored else "HF_TOKEN") in str(error)
        assert take.log == []
        assert server.seen == []
        assert what in take.doctor()
        monkeypatch.setenv("HF_TOKEN", CANARY)
        assert isinstance(take(server.endpoint), list)


@pytest.mark.parametrize("token", [f"{CANARY}\n", f"\r\n{CANARY}", f" {CANARY} "])
def test_white_space_around_a_token_is_no_part_of_it(
    token: str, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with raw_server(SmallHub()) as server:
        assert isinstance(take(server.endpoint), list)
        assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {CANARY}"}


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_a_stored_token_that_cannot_be_read_is_named(
    content: bytes | None, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    path = Path(huggingface_hub.constants.HF_TOKEN_PATH)
    path.mkdir() if content is None else path.write_bytes(content)
    with raw_server(SmallHub()) as server:
        error = take(server.endpoint)
        assert type(error) is ClientSetupError, error
        assert str(path) in str(error)
        monkeypatch.setenv("HF_TOKEN", CANARY)
        assert isinstance(take(server.endpoint), list)


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_no_token_is_sent_where_that_is_switched_off_and_a_refusal_says_why(
    value: str, take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", value)

    def gated(request: Request) -> Iterable[Part]:
        if "authorization" in request.headers:
            return SmallHub()(request)
        return [answer("401 No", {"x-error-code": "GatedRepo"})]

    with raw_server(gated) as server:
        error = take(server.endpoint)
        assert type(error) is NoTokenError, error
        assert "HF_HUB_DISABLE_IMPLICIT_TOKEN is set" in str(error)
        assert "HF_HUB_DISABLE_IMPLICIT_TOKEN" in take.doctor()
        monkeypatch.delenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")
        assert isinstance(take(server.endpoint), list)


def test_offline_is_said_and_its_remedy_works(
    take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with raw_server(SmallHub()) as server:
        error = take(server.endpoint)
        assert type(error) is ClientSetupError, error
        assert "HF_HUB_OFFLINE is set" in str(error)
        assert server.seen == []
        assert "HF_HUB_OFFLINE" in take.doctor()
        monkeypatch.delenv("HF_HUB_OFFLINE")
        assert isinstance(take(server.endpoint), list)


def test_the_doctor_warns_of_a_token_that_would_go_out_unencrypted(
    take: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    facts = diagnose(None, [WantedRepo(REPO, COMMIT, ())], {}, 0)
    (warning,) = [fact for fact in facts if fact.state == "warning"]
    assert "hub.example" in warning.found
    assert "without encryption" in warning.found


# Hidden digests of a gated repository are in catalog/test_pin.py; how they are fetched is here.


@pytest.mark.parametrize("shown", ["*" * 64, None])
@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_digest_that_is_hidden_counts_as_unknown(
    shown: str | None, size: int | None, take: Taking
) -> None:
    hub = SmallHub()
    hub.body["siblings"][0] |= {
        "size": size, "blobId": None, "lfs": {"sha256": shown, "size": size}
    }  # fmt: skip
    with raw_server(hub) as server:
        assert isinstance(take(server.endpoint), list)
        hub.change_get = {"content-length": "3", "connection": "close"}
        error = take(server.endpoint)
        assert isinstance(error, WmtpError), error
