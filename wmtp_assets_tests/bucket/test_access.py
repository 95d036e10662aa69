"""How buckets are reached: variables with invalid values, and the errors that name them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from typing import ClassVar

import pytest

import wmtp_assets
from wmtp_assets.artifacts.bucket_copies import require_elsewhere
from wmtp_assets.bucket import Bucket, BucketError, Head, bucket_url, verify
from wmtp_assets.bucket.access import brief, checked_url, plain_http
from wmtp_assets.cli import _parser, main
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.mtp.errors import LoadError
from wmtp_assets_tests.bucket.small import small

SECRET = "-".join(("not", "to", "be", "shown"))
LOCAL = "http://127.0.0.1:1"


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"])
@pytest.mark.parametrize("value", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}\x00", f"{SECRET}é"])
def test_what_cannot_be_a_header_is_refused_and_not_shown(name: str, value: str) -> None:
    assert not plain_http("s3", {name: SECRET})
    assert not plain_http("gs", {name: value})
    with pytest.raises(BucketError, match=f"{name} contains characters") as raised:
        plain_http("s3", {name: value})
    assert SECRET not in str(raised.value)


def test_a_path_is_named_by_the_url_that_it_has() -> None:
    with pytest.raises(BucketError, match=r"Found: /data/a bucket\.") as raised:
        checked_url("/data/a bucket")
    (url,) = re.findall(r"a folder is named by (\S+)\.$", str(raised.value))
    assert checked_url(url).path == "/data/a%20bucket"


@pytest.mark.parametrize(("command", "missing"), [("push", "url"), ("export", "directory")])
def test_the_argument_that_is_missing_is_named_and_no_other(
    command: str, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args([command])
    assert capsys.readouterr().err.endswith(f"required: {missing}\n")


def test_a_variable_with_a_line_break_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key\n")
    with pytest.raises(BucketError, match="AWS_ACCESS_KEY_ID contains characters"):
        Bucket("s3://bucket/folder").listing("heads")


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("127.0.0.1:80", "another text"),
        ("not an address", "another text"),
        (f"{LOCAL}\n", "another text"),
        ("https://host:port", "another text"),
        ("ftp://host", "another text"),
        (f"https://me:{SECRET}@host", "credentials in it"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, found: str) -> None:
    with pytest.raises(BucketError, match=f"Found: {found}") as raised:
        plain_http("s3", {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"})
    assert SECRET not in str(raised.value)


def test_http_is_to_be_allowed() -> None:
    with pytest.raises(BucketError, match="AWS_ALLOW_HTTP is not set"):
        plain_http("s3", {"AWS_ENDPOINT_URL": LOCAL})
    assert plain_http("s3", {"AWS_ENDPOINT_URL": LOCAL, "AWS_ALLOW_HTTP": "true\n"})
    assert not plain_http("s3", {"AWS_ENDPOINT_URL": "https://host/path/"})


def test_a_panic_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setattr("wmtp_assets.bucket.access._ENDPOINTS", ())  # it is not looked at
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no address")
    with pytest.raises(BucketError, match="Listing in the bucket did not succeed"):
        Bucket("s3://bucket/folder").listing("heads")


@pytest.mark.parametrize("url", ["s3://bucket:80/x", "s3://bucket/x\ny", " s3://bucket/x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BucketError, match="not the URL"):
        checked_url(url)


def test_what_the_server_says_is_told_without_credentials() -> None:
    xml = "<?xml version='1.0'?>\n<Error><Code>ExpiredToken</Code><Message>It ended.</Message>"
    said = brief(
        OSError(f"GET https://me:{SECRET}@host/x: 403 Forbidden: {xml}\n\nDebug: {SECRET}")
    )
    assert said == "GET https://host/x: 403 Forbidden: ExpiredToken It ended."


def test_a_folder_is_not_reached_by_credentials(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BucketError, match="whether the folder is there") as raised:
        Bucket(f"file://{tmp_path}/file/x")
    assert "AWS" not in str(raised.value)


def test_a_storage_is_not_pushed_into_itself(tmp_path: Path) -> None:
    storage = tmp_path / "a storage"
    storage.mkdir()
    (tmp_path / "link").symlink_to(storage)
    for inside in ("a%20storage", "a%20storage/bucket", "link/bucket", "x/../a%20storage/b"):
        with pytest.raises(BucketError, match="not pushed into itself"):
            require_elsewhere(f"file://{tmp_path}/{inside}", storage)
    require_elsewhere(f"file://{tmp_path}/a%20storage2", storage)
    require_elsewhere("s3://bucket/folder", storage)


class Refusing(Bucket):
    """As S3 where another request is on its way: it refuses to create, and nothing is there."""

    refusals = 0

    def create(self, key: str, data: bytes) -> bool:
        self.refusals -= 1
        return False if self.refusals >= 0 else super().create(key, data)


def test_a_refusal_without_another_writer_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wmtp_assets.bucket.heads._PAUSE", 0.0)
    url = f"file://{tmp_path}/bucket"
    edition = small(tmp_path / "storage").push(url).edition.digest
    bucket = Refusing(url)
    bucket.refusals = 2
    head = Head.publish(bucket, edition, 1)
    assert head is not None
    assert Head.latest(bucket) == head
    bucket.refusals = 99
    with pytest.raises(BucketError, match="nothing was published"):
        Head.publish(bucket, edition, 2)


class _Stalled(BaseHTTPRequestHandler):
    """An S3 server that takes objects and removes them, and never answers who lists or reads."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[SimpleQueue[str]] = SimpleQueue()
    over: ClassVar[threading.Event] = threading.Event()

    def log_message(self, format: str, *given: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.asked.put(f"GET {self.path}")
        self.over.wait(600)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.put(f"{self.command} {self.path} {body.decode(errors='replace')}")
        answer = b"<DeleteResult></DeleteResult>"
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_POST(self) -> None:
        self.do_PUT()


# A busy machine may take longer than an interrupted command waits for its mark to be removed.
PATIENT = """
import sys
from wmtp_assets import interrupts
interrupts._PATIENCE_SECONDS = 600.0
from wmtp_assets.cli import main
sys.exit(main())
"""


def test_a_signal_ends_a_command_whose_server_does_not_answer_and_its_mark() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Stalled) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ALLOW_HTTP": "true",
        }
        command = [sys.executable, "-c", PATIENT, "gc", "s3://bucket/folder"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
            mark = _Stalled.asked.get(timeout=600)
            assert _Stalled.asked.get(timeout=600).startswith("GET")
            process.send_signal(signal.SIGINT)
            assert process.wait(240) == 130
        _Stalled.over.set()
        key = re.search(r"at-work/gc-[0-9a-f]+\.json", mark)
        assert key is not None
        while (said := _Stalled.asked.get(timeout=240)).startswith("GET"):
            pass  # asked again, of a machine that stood still for as long as an answer may take
        assert key[0] in said
        server.shutdown()


def test_a_url_that_became_a_path_is_told_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WMTP_CACHE", str(tmp_path / "cache"))
    small(tmp_path / "storage").push(f"file://{tmp_path}/bucket")
    given = Path(f"file://{tmp_path}/bucket")
    for use in (
        lambda url: wmtp_assets.open_corpus(url, "r", "r"),
        lambda url: wmtp_assets.from_pretrained(url / "models_v2/m" if url is given else url),
        Bucket,
    ):
        with pytest.raises(BucketError, match="lost a slash") as raised:
            use(given)
        (told,) = re.findall(r'give "(\S+)", as a str\.$', str(raised.value))
        if use is Bucket:
            assert verify(use(told)).sound
        else:  # that bucket is found, and has none of these
            with pytest.raises((CorpusError, LoadError), match=r"no such (split|model) in the"):
                use(told)
    for command in ("verify", "pull", "push", "gc", "history", "rollback"):
        assert main([command, f"s3:/me:{SECRET}@bucket/wmtp"]) == 2
        said = capsys.readouterr().err
        assert 'give "s3://bucket/wmtp", as a str.' in said
        assert SECRET not in said


def test_a_folder_of_such_a_name_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:/bucket").mkdir(parents=True)
    assert bucket_url(Path("s3://bucket")) is None
    assert bucket_url("s3://bucket") == "s3://bucket"
    assert bucket_url("storage/models_v2/m") is None


def test_where_paths_are_needed_a_url_is_told_what_to_do_instead(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for given in ("s3://bucket/wmtp", Path("s3://bucket/wmtp")):
        with pytest.raises(BucketError, match=r"where a path is needed.*wmtp pull URL"):
            wmtp_assets.open_tests(given, "codecontests", "test")
    for command, remedy in (("export", "push"), ("doctor", "verify")):
        assert main([command, "s3://bucket/wmtp"]) == 2
        assert f"`wmtp {remedy} URL`" in capsys.readouterr().err


class _Cut(BaseHTTPRequestHandler):
    """An S3 server that ends its first `cuts` answers in their middle."""

    cuts: ClassVar[int] = 0
    asked: ClassVar[int] = 0

    def log_message(self, format: str, *given: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._answer(LISTED)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b"<DeleteResult><Deleted><Key>folder/a</Key></Deleted></DeleteResult>")

    def _answer(self, body: bytes) -> None:
        type(self).asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.asked <= self.cuts else body)


LISTED = b"""<ListBucketResult><Name>bucket</Name><Prefix>folder/heads/</Prefix>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents>
<Key>folder/heads/1</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>"1"</ETag>
<Size>3</Size></Contents></ListBucketResult>"""


@pytest.mark.parametrize("cuts", [2, 1000])
def test_an_answer_that_is_cut_is_asked_for_again(
    cuts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Cut, "cuts", cuts)
    monkeypatch.setattr("wmtp_assets.bucket.place.time.sleep", lambda seconds: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Cut) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        bucket = Bucket("s3://bucket/folder")
        for use, whole in (
            (lambda: list(bucket.listing("heads")), ["heads/1"]),
            (lambda: bucket.remove(["a"]), None),
        ):
            monkeypatch.setattr(_Cut, "asked", 0)
            if cuts < 3:
                assert use() == whole
                assert _Cut.asked == 3
            else:
                with pytest.raises(BucketError, match="ends connections before an answer is whole"):
                    use()
                assert _Cut.asked == 6
        server.shutdown()
