"""A real S3 server on loopback: OpenStack's Swift with its S3 API, four daemons in a folder."""

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from pathlib import Path

from wmtp_assets_tests.ports import reserved_port

USER, SECRET = "test:tester", "testing"
BUCKET = "wmtp"
FOLDER = Path(os.environ.get("WMTP_SWIFT") or Path(__file__).parents[2] / ".ci/swift/bin")
"""Where swift's programs are: `.ci/run` installs them there, in an environment of their own."""

_STORAGE = """
[DEFAULT]
devices = {root}/devices
mount_check = false
disable_fallocate = true
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {root}/etc
log_level = ERROR
# A busy machine may let the daemons wait for each other.
conn_timeout = 240
node_timeout = 240
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
container_update_timeout = 240
[{kind}-replicator]
[{kind}-updater]
[{kind}-auditor]
"""
_PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {root}/etc
log_level = ERROR
[pipeline:main]
pipeline = catch_errors cache listing_formats bulk s3api tempauth slo dlo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
max_bucket_listing = {page}
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
conn_timeout = 240
node_timeout = 240
"""
_RINGS = """
import sys
from swift.common.ring import RingBuilder
for one in sys.argv[1:]:
    path, port = one.rsplit(":", 1)
    ring = RingBuilder(1, 1, 0)
    device = {"id": 0, "region": 1, "zone": 1, "weight": 1, "ip": "127.0.0.1", "device": "one"}
    ring.add_dev({**device, "port": int(port)})
    ring.rebalance()
    ring.get_ring().save(path)
"""
_HASHES = """
[swift-hash]
swift_hash_path_prefix = a
swift_hash_path_suffix = b
[storage-policy:0]
name = one
default = yes
"""


def is_installed() -> bool:
    """Whether there are programs to start."""
    return (FOLDER / "swift-proxy-server").is_file()


@contextmanager
def served(root: Path, page: int = 1000) -> Iterator[dict[str, str]]:
    """For the block, a server with one empty bucket; the variables by which it is reached. An
    answer to a listing has at most `page` keys, by default as many as with S3."""
    etc = root / "etc"
    etc.mkdir(parents=True)
    (root / "devices/one").mkdir(parents=True)
    (etc / "swift.conf").write_text(_HASHES)
    with ExitStack() as held:
        proxy, *ports = (held.enter_context(reserved_port()) for _ in range(4))
        kinds = dict(zip(("account", "container", "object"), ports, strict=True))
        rings = [f"{etc}/{kind}.ring.gz:{port}" for kind, port in kinds.items()]
        subprocess.run([FOLDER / "python", "-c", _RINGS, *rings], check=True)
        for kind, port in kinds.items():
            held.enter_context(_daemon(root, kind, _STORAGE, port, page))
        held.enter_context(_daemon(root, "proxy", _PROXY, proxy, page))
        address = f"http://127.0.0.1:{proxy}"
        _make_bucket(address, root)
        yield {
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": address,
            "AWS_ALLOW_HTTP": "true",
        }


@contextmanager
def _daemon(root: Path, kind: str, settings: str, port: int, page: int) -> Iterator[None]:
    path = root / f"{kind}.conf"
    path.write_text(
        settings.format(root=root, kind=kind, port=port, user=getpass.getuser(), page=page)
    )
    with (root / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(
            [FOLDER / f"swift-{kind}-server", path],
            stdout=log,
            stderr=log,
            env={**os.environ, "SWIFT_DIR": f"{root}/etc"},
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.kill()  # what it holds goes with the test
        process.wait(240)


def put(address: str, path: str) -> None:
    """Writes an empty object, or makes a bucket, of any name: obstore makes no buckets, and not
    every name. One request, signed as of version 2 of S3's signatures."""
    date = formatdate(usegmt=True)
    text = f"PUT\n\n\n{date}\n/{path}".encode()
    signature = base64.b64encode(hmac.new(SECRET.encode(), text, hashlib.sha1).digest())
    headers = {
        "Date": date,
        "Authorization": f"AWS {USER}:{signature.decode()}",
        "Content-Length": "0",
    }
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{address}/{path}", None, headers, method="PUT"
    )
    urllib.request.urlopen(request, timeout=240).close()  # noqa: S310 - loopback


def _make_bucket(address: str, root: Path) -> None:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        try:
            put(address, BUCKET)
            return
        except OSError:
            time.sleep(0.5)
    logs = "".join(path.read_text()[-500:] for path in sorted(root.glob("*.log")))
    raise RuntimeError(f"the S3 server did not start: {logs}")
