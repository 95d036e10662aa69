"""The Dockerfile, compose.yaml, nginx.conf and units, each read by the program that it is for."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tooling.dockerfile_steps import allowed, expanded, read
from wmtp_assets.cli import _parser
from wmtp_assets.web.guard import served_hosts
from wmtp_assets_tests.orchestration.postgres import PASSWORD, needs_postgres, running_server
from wmtp_assets_tests.ports import reserved_port
from wmtp_assets_tests.web.pages import wmtp

ROOT = Path(__file__).parents[1]
UNITS = sorted((ROOT / "deploy" / "systemd").iterdir())


def tool(name: str) -> str:
    """The path of a program; the test is skipped where there is none."""
    own = Path(sys.executable).with_name(name)
    found = str(own) if own.is_file() else shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on this machine")
    return found


def call(*command: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **more
    )


def test_hadolint_has_nothing_to_say_of_the_dockerfile() -> None:
    done = call(tool("hadolint"), ROOT / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_an_account_that_owns_none_of_the_program() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    final = text.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", final, re.MULTILINE) == ["10001:10001"]
    assert "--chown" not in final
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]


def test_a_build_is_given_the_package_and_nothing_else() -> None:
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    ]
    listed = call("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0")[:-1]
    given = {name for name in listed if allowed(name, rules)}
    alone = {"pyproject.toml", "constraints.txt", "README.md"}
    assert given - alone == {name for name in listed if name.startswith("wmtp_assets/")}
    assert alone <= given
    secret = (".env", "storage/x", "deploy/secrets/key.pem", ".git/config", ".dagster/x")
    generated = ("wmtp_assets/__pycache__/x.pyc", "wmtp_assets/web/__pycache__/x.pyc")
    assert [name for name in secret + generated if allowed(name, rules)] == []


def test_instructions_are_read_as_docker_reads_them() -> None:
    text = '# no\nRUN a \\\n  # also none\n  && b\n\nENV X=1 \\\n    Y=$X\ncmd ["c"]\n'
    found = [(one.name, " ".join(one.rest.split())) for one in read(text)]
    assert found == [("RUN", "a && b"), ("ENV", "X=1 Y=$X"), ("CMD", '["c"]')]
    assert expanded("$A-${B}-$C", {"A": "1", "B": "2"}) == "1-2-"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """compose.yaml as Compose itself understands it, without any variable set."""
    folder = tmp_path_factory.mktemp("compose")
    command = tool("docker-compose"), "--file", ROOT / "compose.yaml", "config", "--format", "json"
    done = call(*command, env={"PATH": os.environ["PATH"], "HOME": str(folder)}, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    value: dict[str, Any] = json.loads(done.stdout)
    return value


def test_only_the_proxy_is_reachable_and_by_default_from_this_machine_alone(
    services: dict[str, Any],
) -> None:
    published = {
        name: [(port["host_ip"], port["target"]) for port in one.get("ports", [])]
        for name, one in services["services"].items()
    }
    assert published == {"page": [], "postgres": [], "proxy": [("127.0.0.1", 8443)]}
    networks = {name: set(one["networks"]) for name, one in services["services"].items()}
    assert networks == {"page": {"front", "back"}, "postgres": {"back"}, "proxy": {"front"}}
    assert services["networks"]["back"]["internal"] is True


def test_the_profile_bucket_has_an_s3_server_and_commands_that_reach_it(tmp_path: Path) -> None:
    """The commands of docs/deployment.md write what both read."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(secret=.*?)docker compose", text, re.DOTALL)
    (tmp_path / "deploy" / "secrets").mkdir(parents=True)
    assert call("sh", "-e", "-c", block, cwd=tmp_path).returncode == 0
    secrets = tmp_path / "deploy" / "secrets"
    command = (tool("docker-compose"), "--file", ROOT / "compose.yaml", "--profile", "bucket")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "WMTP_SECRETS": str(secrets)}
    done = call(*command, "config", "--format", "json", env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    services = json.loads(done.stdout)["services"]
    asked, server = services["bucket"], services["s3"]
    assert asked["networks"].keys() == server["networks"].keys() == {"back"}
    assert "ports" not in server
    ((identity,),) = json.loads((secrets / "s3.json").read_bytes()).values()
    (known,) = identity["credentials"]
    given = asked["environment"]
    assert given["AWS_ACCESS_KEY_ID"] == known["accessKey"]
    assert given["AWS_SECRET_ACCESS_KEY"] == known["secretKey"]
    assert len(known["secretKey"]) == 32
    assert (given["AWS_ENDPOINT_URL"], given["AWS_ALLOW_HTTP"]) == ("http://s3:8333", "true")
    for words in re.findall(r"run --rm bucket (.*)", text):
        _parser().parse_args(words.split())


def test_compose_and_the_commands_of_the_page_share_image_extras_and_volumes(
    services: dict[str, Any],
) -> None:
    page = services["services"]["page"]
    file = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    arguments = dict(re.findall(r"^ARG (\w+)=(.*)$", file, re.MULTILINE))
    assert page["build"]["args"]["EXTRAS"] == arguments["EXTRAS"]
    volumes = {one["source"]: one["target"] for one in page["volumes"]}
    mounted = [f"-v {services['volumes'][name]['name']}:{to}" for name, to in volumes.items()]
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    runs = re.findall(r"docker run --rm(?: --env-file \S+)? (-v \S+ -v \S+) (\S+) \w+", text)
    assert len(runs) == 3
    assert set(runs) == {(" ".join(mounted), page["image"])}


def test_compose_knows_the_commands_of_the_page(services: dict[str, Any]) -> None:
    """Every `docker compose` of docs/deployment.md: its options, and the services that it names."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    shell = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    found = re.findall(r"docker compose (?:--profile \w+ )?(\w+)([^#\n|]*)", shell)
    assert len(found) >= 9
    known = {*services["services"], "bucket", "s3"}
    helps = {
        name: call(tool("docker-compose"), name, "--help").stdout for name in {n for n, _ in found}
    }
    for name, rest in found:
        words = rest.split()
        options = [word for word in words if word.startswith("-")]
        assert [one for one in options if not re.search(rf"{one}\b", helps[name])] == []
        named = [word for word in words if not word.startswith("-")][:1]
        assert set(named) <= known, (name, named)


def test_the_files_that_compose_mounts_are_here(services: dict[str, Any]) -> None:
    files = [Path(one["file"]) for one in services["configs"].values()]
    assert [one for one in files if not one.is_file()] == []
    assert {Path(one["file"]).parent for one in services["secrets"].values()} == {
        ROOT / "deploy" / "secrets"
    }


def test_the_services_start_commands_that_there_are(services: dict[str, Any]) -> None:
    page = services["services"]["page"]
    given = _parser().parse_args(page["command"])
    assert (given.host, given.port, given.no_token) == ("0.0.0.0", 3000, True)  # noqa: S104
    hosts = served_hosts(given.host, given.port, page["environment"]["WMTP_UI_HOSTS"])
    assert "localhost:8443" in hosts
    assert (page["read_only"], page["cap_drop"]) == (True, ["ALL"])
    # The health check runs as it is: nothing listens on that port of a network of its own.
    program = page["healthcheck"]["test"]
    assert program[:3] == ["CMD", "python", "-c"]
    compile(program[3], "healthcheck", "exec")


def test_no_password_is_in_an_environment(services: dict[str, Any]) -> None:
    given = [one.get("environment", {}) for one in services["services"].values()]
    assert [name for one in given for name in one if name.endswith("PASSWORD")] == []
    base = {"/run/secrets/" + name for one in services["services"].values() for name in names(one)}
    files = [one[name] for one in given for name in one if one[name].startswith("/run/")]
    assert set(files) <= base
    assert len(files) == 2


def names(service: dict[str, Any]) -> set[str]:
    return {one["source"] for one in service.get("secrets", [])}


@needs_postgres
def test_the_page_keeps_its_history_in_the_postgres_of_compose(
    services: dict[str, Any], tmp_path: Path
) -> None:
    """With the page's variables, configuration and password file, against a server that is here."""
    pytest.importorskip("dagster_postgres", reason="pip install 'wmtp-assets[postgres]'")
    page, other = services["services"]["page"], services["services"]["postgres"]
    environment = {
        name: value for name, value in page["environment"].items() if name.startswith("PG")
    }
    asked = {name.removeprefix("POSTGRES_"): value for name, value in other["environment"].items()}
    assert (environment["PGDATABASE"], environment["PGUSER"]) == (asked["DB"], asked["USER"])
    assert environment["PGHOST"] == "postgres"  # the service's name
    ((config, home),) = [
        (services["configs"][one["source"]]["file"], one["target"]) for one in page["configs"]
    ]
    assert home == page["environment"]["DAGSTER_HOME"] + "/dagster.yaml"
    (tmp_path / "home").mkdir()
    shutil.copy(config, tmp_path / "home" / "dagster.yaml")
    with running_server() as server:
        server.sql(f"CREATE DATABASE {asked['DB']}")
        secret = tmp_path / "pgpass"
        line = f"127.0.0.1:{server.port}:{asked['DB']}:{asked['USER']}:{as_in_pgpass(PASSWORD)}\n"
        secret.write_text(line, encoding="utf-8")
        secret.chmod(0o400)
        environment |= {"PGHOST": "127.0.0.1", "PGPORT": str(server.port)}
        environment |= {
            "PGPASSFILE": str(secret),
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
        }
        environment |= {"DAGSTER_HOME": str(tmp_path / "home"), "WMTP_STORAGE": str(tmp_path / "s")}
        done = call(wmtp(), "validate", env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the history in Postgres can be used." in done.stdout
        tables = server.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "wmtp")
        assert {"runs", "event_logs", "instigators"} <= set(tables.split())


def as_in_pgpass(password: str) -> str:
    return password.replace("\\", "\\\\").replace(":", "\\:")


@pytest.mark.parametrize("unit", UNITS, ids=lambda one: str(one.name))
def test_systemd_understands_the_units(unit: Path, tmp_path: Path) -> None:
    program = tool("systemd-analyze")
    for one in UNITS:  # the program's path here, and an account that this machine has
        text = one.read_text(encoding="utf-8").replace("/opt/wmtp/bin/wmtp", wmtp())
        (tmp_path / one.name).write_text(text, encoding="utf-8")
    done = call(program, "verify", "--man=no", tmp_path / unit.name)
    ours = [line for line in done.stderr.splitlines() if str(tmp_path) in line]
    assert (done.returncode, ours) == (0, [])
    # A setting that it does not know would be ignored, with a warning alone.
    with (tmp_path / unit.name).open("a", encoding="utf-8") as broken:
        broken.write("Unknown=yes\n")
    assert "Unknown" in call(program, "verify", "--man=no", tmp_path / unit.name).stderr


@pytest.mark.parametrize("name", ["wmtp-page", "wmtp-verify"])
def test_the_units_start_commands_that_there_are(name: str) -> None:
    text = (ROOT / "deploy" / "systemd" / f"{name}.service").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=/opt/wmtp/bin/wmtp (.*)$", text, re.MULTILINE)
    _parser().parse_args(command.replace("$WMTP_UI_OPTIONS", "").split())


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, list[bytes]]]:
    """nginx with the file of this repository before a socket that keeps what it is asked: its port,
    and what came through."""
    nginx, openssl = tool("nginx"), tool("openssl")
    folder = tmp_path_factory.mktemp("proxy")
    folder.chmod(0o755)
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = (openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
    command += ("-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate)
    assert call(*command).returncode == 0
    hashed = call(openssl, "passwd", "-6", "open sesame").stdout.strip()
    (folder / "htpasswd").write_text(f"ada:{hashed}\n", encoding="utf-8")
    (folder / "htpasswd").chmod(0o644)
    seen: list[bytes] = []
    with reserved_port() as port, socket.create_server(("127.0.0.1", 0)) as page:
        page.settimeout(0.2)  # how soon it is seen that it was closed
        text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
        for ours, here in (
            ("/run/secrets/", f"{folder}/"),
            ("http://page:3000", f"http://127.0.0.1:{page.getsockname()[1]}"),
            ("listen 8443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ):
            assert ours in text
            text = text.replace(ours, here)
        paths = "".join(
            f"{name}_temp_path {folder}/{name};"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        # Its workers would be another account's, to whom pytest's folders are closed.
        who = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"{who} daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{}} http {{ access_log off; {paths}\n{text}\n}}\n",
            encoding="utf-8",
        )
        arguments = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        tested = call(*arguments, "-t")
        assert tested.returncode == 0, tested.stderr
        with subprocess.Popen(arguments) as process:
            answering = answer_all(page, seen)
            try:
                until = time.monotonic() + 240
                while socket.socket().connect_ex(("127.0.0.1", port)):
                    assert process.poll() is None, (folder / "error.log").read_text()
                    assert time.monotonic() < until
                    time.sleep(0.05)
                yield port, seen
            finally:
                process.terminate()
                process.wait(240)
                page.close()
                answering.join(240)


def answer_all(page: socket.socket, seen: list[bytes]) -> threading.Thread:
    """A thread that answers each request with 200, and keeps its head."""

    def serve() -> None:
        while True:
            try:
                line, _ = page.accept()
            except TimeoutError:
                continue
            except OSError:  # it was closed
                return
            with line:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += line.recv(65536)
                seen.append(head)
                line.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage"
                )

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def ask(port: int, **headers: str) -> int:
    context = ssl._create_unverified_context()  # noqa: S323 - a certificate of this test's own
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=240)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", "/asset-groups", headers=sent)
    status = connection.getresponse().status
    connection.close()
    return status


def password(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_the_proxy_lets_nobody_through_without_a_password(proxy: tuple[int, list[bytes]]) -> None:
    port, seen = proxy
    seen.clear()
    for headers in ({}, {"Authorization": password("ada:guess")}, {"Authorization": "Basic x"}):
        assert ask(port, **headers) == 401
    assert seen == []


def test_the_proxy_hands_on_the_host_and_keeps_the_password(
    proxy: tuple[int, list[bytes]],
) -> None:
    port, seen = proxy
    seen.clear()
    known = {"Authorization": password("ada:open sesame"), "Host": "wmtp.example.org:8443"}
    assert ask(port, **known) == 200
    assert ask(port, **known, Upgrade="websocket", Connection="Upgrade") == 200
    plain, upgrading = (head.lower().decode().split("\r\n") for head in seen)
    assert "host: wmtp.example.org:8443" in plain
    assert not any(line.startswith("authorization") for line in plain + upgrading)
    assert {"upgrade: websocket", "connection: upgrade"} <= set(upgrading)
    assert not any(line.startswith("upgrade") for line in plain)


def test_compose_and_the_proxy_agree() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    conf = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
    named = set(re.findall(r"/run/secrets/([\w.]+)", conf))
    assert named == set(services["services"]["proxy"]["secrets"]) <= set(services["secrets"])
    assert "proxy_pass http://page:3000;" in conf
