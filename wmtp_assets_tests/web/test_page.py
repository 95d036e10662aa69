"""`wmtp ui` as it runs: who is let in, and what nobody gets out of it or does with it.

What may be configured and which mutations there are is read from the server's own description, so
that what a new version adds is tried too.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLObjectType
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from wmtp_assets.catalog import load_catalog
from wmtp_assets.web.application import MUTATIONS
from wmtp_assets_tests.artifacts.editions import small
from wmtp_assets_tests.hub.secrets import leaking_files, leaks
from wmtp_assets_tests.living import below, content
from wmtp_assets_tests.notify.receiver import SECRET as WEBHOOK
from wmtp_assets_tests.notify.receiver import Receiver, receiving
from wmtp_assets_tests.orchestration.tiny import catalog_text
from wmtp_assets_tests.web.asking import (
    Hand,
    accepted,
    config_fields,
    config_with,
    jobs_of,
    mutation_text,
    schema_of,
    selector,
)
from wmtp_assets_tests.web.pages import (
    CHECKOUT,
    Page,
    listening_ports,
    make,
    printed_link,
    processes_of,
    running_page,
    wmtp,
)

pytestmark = pytest.mark.slow
SECRETS = {
    "HF_TOKEN": "hf_CANARYcanaryCANARYcanaryCANARYcanary",
    "AWS_SECRET_ACCESS_KEY": "ZwEiTeRkAnArIeNvOgElZwEiTeRkAnArIe",
    "WMTP_SOME_PASSWORD": "dritterVOGELdritterVOGELdritterVOGEL",
}
ASSET = "models/tokenizer_raw"
LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on PythonError { message stack }
} }"""
RUNS = (
    "{ runsOrError { ... on Runs { results { runId status runConfigYaml tags { key value } } } } }"
)
WHERE = {"repositoryLocationName": "wmtp_assets", "repositoryName": "__repository__"}
START = """mutation Start($sensor: SensorSelector!) {
  startSensor(sensorSelector: $sensor) { __typename } }"""
TICKS = """query Ticks($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) {
  ... on Sensor { sensorState { ticks(limit: 1000) {
    status skipReason error { message } } } } } }"""
EVENTS = """query Events($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  __typename ... on MessageEvent { message eventType }
  ... on RunFailureEvent { error { message stack } }
  ... on ExecutionStepFailureEvent { error { message stack } } } } } }"""
OVER = {"SUCCESS", "FAILURE", "CANCELED"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """The webhook that the page is told of."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Page]:
    """A page with secrets in its environment, its session, and the sensor `notify` at work.

    Of the sample's catalog a part: every further asset is one more of what is tried already.
    """
    root = tmp_path_factory.mktemp("page")
    catalog = root / "catalog.yaml"
    catalog.write_text(catalog_text(small(load_catalog("sample"))), encoding="utf-8")
    environment = {**SECRETS, **receiver.environment(), "WMTP_CATALOG": str(catalog)}
    with running_page(root, command=make("ui"), **environment) as page:
        assert page.enter(printed_link(page)).status == 303
        started = page.graphql(START, sensor={**WHERE, "sensorName": "notify"})
        assert started["data"]["startSensor"]["__typename"] == "Sensor", started
        until = time.monotonic() + 240
        while not ticks_of_notify(page):
            assert time.monotonic() < until, page.said()
            time.sleep(1)
        yield page


def ticks_of_notify(page: Page) -> list[dict[str, Any]]:
    """The finished ticks of the sensor `notify`, from the last to the first."""
    answer = page.graphql(TICKS, sensor={**WHERE, "sensorName": "notify"})
    ticks: list[dict[str, Any]] = answer["data"]["sensorOrError"]["sensorState"]["ticks"]
    return [tick for tick in ticks if tick["status"] != "STARTED"]


def test_the_printed_link_works_once_and_another_is_printed_when_asked_for(page: Page) -> None:
    first = printed_link(page)
    cookie = page.cookie
    assert page.request("GET", first, cookie="").status == 401, "it was used by the fixture"
    second = page.link()
    assert second not in (first, "")
    assert second == page.link(), "printing uses nothing up"
    answer = page.enter(second)
    assert (answer.status, answer.headers["location"]) == (303, ["/asset-groups"])
    assert page.cookie != cookie
    assert page.link() != second
    for one in (cookie, page.cookie):
        assert page.request("GET", "/runs", cookie=one).status == 200
    page.told.clear()


def test_the_address_alone_leads_to_the_lineage(page: Page) -> None:
    answer = page.request("GET", "/")
    assert (answer.status, answer.headers["location"]) == (303, ["/asset-groups"])


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/runs", "/server_info", "/graphql", "/favicon.svg", "/logs/x/y.err"),
        *("/download_debug/x", "/notebook?path=x.ipynb&repoLocName=wmtp_assets", "/robots.txt"),
        *("/vendor/graphiql/graphiql.min.css", "/?token=wrong", "/dagit_info"),
        *("/report", "/rows", "/rows/humaneval/test", "/rows/humaneval/test/0"),
    ],
)
def test_without_a_session_there_is_nothing_but_the_way_in(page: Page, target: str) -> None:
    answer = page.request("GET", target, cookie="")
    assert answer.status == 401
    assert answer.headers["content-type"] == ["text/plain; charset=utf-8"]
    assert b"open the link that `wmtp ui` printed" in answer.body
    assert b"dagster" not in answer.body.lower()
    assert not {"server", "set-cookie"} & set(answer.headers)
    posted = page.request(
        "POST", "/graphql", b'{"query":"{version}"}', cookie="", content_type="application/json"
    )
    assert posted.status == 401


def test_every_answer_forbids_frames_and_the_pages_own_policy_stays(page: Page) -> None:
    page.request("GET", "/runs")
    tries = {
        ("GET", "/runs"): 200,
        ("HEAD", "/runs"): 200,
        ("GET", "/server_info"): 200,
        ("GET", "/graphql"): 400,
        ("GET", "/vendor/graphiql/graphiql.min.css"): 200,
        ("GET", "/vendor/no-such-file"): 404,
        ("GET", "/logs/x/y.err"): 404,
        ("GET", "/download_debug/x"): 500,
        ("GET", "/graphql?query={version}"): 403,
        ("DELETE", "/"): 403,
        ("GET", "/report"): 200,
        ("HEAD", "/rows"): 200,
        ("GET", "/rows/humaneval/test"): 404,  # nothing is made here
        ("GET", "/rows/humaneval/test?x=1"): 400,
        ("POST", "/rows/humaneval/test"): 403,
    }
    for (method, target), status in tries.items():
        answer = page.request(method, target)
        assert answer.status == status, target
        check_headers(answer.headers)
        check_headers(page.request(method, target, cookie="").headers)
    (policy,) = page.request("GET", "/runs").headers["content-security-policy"]
    assert "script-src 'nonce-" in policy
    assert "base-uri 'none'" in policy


def check_headers(headers: Any) -> None:
    assert headers["x-frame-options"] == ["DENY"]
    assert headers["x-content-type-options"] == ["nosniff"]
    assert headers["referrer-policy"] == ["same-origin"]
    (policy,) = headers["content-security-policy"]
    assert policy.startswith("frame-ancestors 'none'")


@pytest.mark.parametrize(
    "target",
    [
        *("http://evil.example/graphql?query={version}", "/%67raphql?query={version}"),
        *("http://evil.example/report_asset_check/x?check_name=y&passed=true",),
        *("/report_asset_check/x?passed=true", "//report_asset_check/x", "/a/report_asset_check/x"),
        *("/%72eport%5Fasset_check/x", "/x/../report_asset_check/x", "/report_asset_check%2Fx"),
        *("/REPORT_asset_check/x",),
    ],
)
def test_no_way_of_writing_a_target_gets_past_the_guard(page: Page, target: str) -> None:
    head = f"Host: {page.host}\r\nCookie: {page.cookie}\r\nConnection: close\r\n\r\n"
    for method in ("GET", "POST", "HEAD"):
        reply = page.raw(f"{method} {target} HTTP/1.1\r\n{head}".encode())
        assert reply.split(b" ", 2)[1] in (b"403", b"400", b"404"), reply[:200]
        assert b'"version"' not in reply


@pytest.mark.parametrize(
    "head",
    [
        *("Host: evil.example", "Host: 127.0.0.1.:{port}", "Host: LOCALHOST.:{port}", "X: y"),
        *("Host: {host}\r\nHost: evil.example", "Host: evil.example\r\nX-Forwarded-Host: {host}"),
        *("Host: evil.example\r\nForwarded: host={host}", "Host: {host}@evil.example"),
    ],
)
def test_no_other_host_is_answered(page: Page, head: str) -> None:
    sent = head.format(host=page.host, port=page.port)
    request = f"GET / HTTP/1.1\r\n{sent}\r\nCookie: {page.cookie}\r\nConnection: close\r\n\r\n"
    assert page.raw(request.encode()).split(b" ", 2)[1] in (b"403", b"400")


@pytest.mark.parametrize(
    ("headers", "enters"),
    [
        ({}, True),
        ({"Origin": "http://{host}"}, True),
        ({"Origin": "http://{host}", "Sec-Fetch-Site": "same-origin"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://{host}", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": "http://{host}", "Cookie": ""}, False),
        ({"Cookie": "wmtp_{port}=x"}, False),
    ],
    ids=str,
)
def test_a_websocket_needs_session_and_origin(
    page: Page, headers: dict[str, str], enters: bool
) -> None:
    given = {n: value.format(host=page.host, port=page.port) for n, value in headers.items()}
    given = {"Cookie": page.cookie} | given
    url = f"ws://{page.host}/graphql"

    def ask() -> str:
        with connect(
            url,
            additional_headers=given,
            subprotocols=["graphql-ws"],
            open_timeout=240,  # type: ignore[list-item]
        ) as line:
            line.send(json.dumps({"type": "connection_init"}))
            return str(json.loads(line.recv())["type"])

    if enters:
        assert ask() == "connection_ack"
    else:
        with pytest.raises(InvalidStatus) as refused:
            ask()
        assert refused.value.response.status_code == 403


def test_no_file_but_a_log_is_read_through_the_logs(page: Page) -> None:
    link = page.link()
    for path in (
        *("../../dagster.yaml", "..%2f..%2fdagster.yaml", "%2e%2e/%2e%2e/dagster.yaml"),
        *("..%5c..%5cdagster.yaml", "%2fetc%2fpasswd", "/etc/passwd", "....//....//dagster.yaml"),
        *("..%252f..%252fdagster.yaml", "x/../../../dagster.yaml", "%00/dagster.yaml"),
        *(f"../page/127.0.0.1-{page.port}.link", f"..%2fpage%2f127.0.0.1-{page.port}.link"),
    ):
        request = f"GET /logs/{path} HTTP/1.1\r\nHost: {page.host}\r\n"
        reply = page.raw(f"{request}Cookie: {page.cookie}\r\nConnection: close\r\n\r\n".encode())
        assert b"telemetry" not in reply, path
        assert b"root:" not in reply, path
        assert link.encode() not in reply, path
        assert reply.split(b" ", 2)[1] in (b"404", b"500", b"400"), (path, reply[:300])


@pytest.mark.parametrize("path", ["/notebook", "/dagit/notebook", "//notebook", "/%6eotebook"])
def test_no_file_is_read_as_a_notebook(page: Page, path: str) -> None:
    (page.root / "outside" / "secret.ipynb").write_text(SECRETS["HF_TOKEN"])
    for file in (page.root / "outside" / "secret.ipynb", "../outside/secret.ipynb"):
        answer = page.request("GET", f"{path}?repoLocName=wmtp_assets&path={file}")
        assert answer.status in (200, 404)
        assert answer.body == page.request("GET", "/runs").body or b"nbconvert" not in answer.body
        assert not leaks(SECRETS["HF_TOKEN"], [answer.body])
    (page.root / "outside" / "secret.ipynb").unlink()


def test_only_listed_mutations_are_served(page: Page) -> None:
    mutations = schema_of(page).mutation_type
    assert mutations is not None
    assert set(mutations.fields) >= MUTATIONS, "one that is listed is gone from Dagster"
    forms = (
        "mutation {{ {0} {{ __typename }} }}",
        "mutation {{ a: {0} {{ __typename }} }}",
        "mutation {{ ...F }} fragment F on Mutation {{ {0} {{ __typename }} }}",
        "mutation {{ ... on Mutation {{ ... {{ {0} {{ __typename }} }} }} }}",
        "query {{ __typename }} mutation M {{ {0} {{ __typename }} }}",
    )
    for name in sorted(set(mutations.fields) - MUTATIONS):
        for form in forms:
            answer = page.graphql(form.format(name))
            assert answer["data"] is None
            said = [error["message"] for error in answer["errors"]]
            assert any(f"{name} is not served here" in message for message in said), said
    report = "reportAssetCheckEvaluations"
    assert report in mutations.fields
    assert report not in MUTATIONS


def test_a_batch_and_a_form_change_nothing(page: Page) -> None:
    wipe = '{"query":"mutation{wipeAssets(assetPartitionRanges:[]){__typename}}"}'
    batch = page.request("POST", "/graphql", f"[{wipe}]".encode(), content_type="application/json")
    assert batch.status >= 400
    form = (
        '--x\r\nContent-Disposition: form-data; name="operations"\r\n\r\n' + wipe + "\r\n--x--\r\n"
    ).encode()
    for kind in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""):
        assert page.request("POST", "/graphql", form, content_type=kind).status == 403


def run_ids(page: Page, over: bool) -> list[str]:
    """The runs so far; waits until all are `over`."""
    before, until = None, 0.0
    while True:
        found = page.graphql(RUNS)["data"]["runsOrError"]["results"]
        if not over or all(run["status"] in OVER for run in found):
            return [run["runId"] for run in found]
        if found != before:  # one goes on
            before, until = found, time.monotonic() + 400
        assert time.monotonic() < until, found
        time.sleep(2)


def launch(page: Page, job: str, config: dict[str, Any]) -> dict[str, Any]:
    """Launches a run of one small asset."""
    params = {"selector": selector(job, ASSET), "runConfigData": config, "mode": "default"}
    answer: dict[str, Any] = page.graphql(LAUNCH, params=params)["data"]["launchRun"]
    return answer


def events(page: Page, run_id: str) -> str:
    return json.dumps(page.graphql(EVENTS, id=run_id))


# Which may begin to write them meanwhile: `.dagster/homes` where they set no DAGSTER_HOME.
OF_OTHER_TESTS = {".hypothesis", ".pytest_cache", ".dagster", "homes"}


def outside(page: Page) -> dict[str, str]:
    """Every file outside of the storage, Dagster's home and temporary files, with its digest."""
    held = {page.home, page.root / "storage", page.root / "tmp"}
    found = {}
    for path in below(page.root):
        if not held & {path, *path.parents} and path.name != "said":
            found[str(path)] = hashlib.sha256(content(path) or b"").hexdigest()
    for name in ("", "storage", ".dagster"):  # what a relative path might lead to
        folder = CHECKOUT / name
        every = folder.iterdir() if folder.is_dir() else ()
        found |= {str(path): "" for path in every if path.name not in OF_OTHER_TESTS}
    return found


def test_force_works_from_the_launchpad_and_an_unknown_name_does_not(page: Page) -> None:
    made = page.root / "storage" / "versions" / "models" / "tokenizer_raw"
    operation = ASSET.replace("/", "__")
    for config, status in (
        ({}, "SUCCESS"),
        ({"ops": {operation: {"config": {"force": False}}}}, "SUCCESS"),
        ({"ops": {operation: {"config": {"force": True}}}}, "SUCCESS"),
        ({"ops": {operation + "s": {"config": {"force": True}}}}, "FAILURE"),
    ):
        run_id = launch(page, "__ASSET_JOB", config)["run"]["runId"]
        run_ids(page, over=True)
        told = events(page, run_id)
        found = page.graphql(RUNS)["data"]["runsOrError"]["results"]
        assert {run["runId"]: run["status"] for run in found}[run_id] == status, told
        forced = config == {"ops": {operation: {"config": {"force": True}}}}
        assert ("unchanged, nothing was made again" in told) is (
            status == "SUCCESS" and bool(config) and not forced
        )
        if status == "FAILURE":
            assert "unknown ops" in told
            assert "use the names that the launchpad offers" in told
    assert made.exists()


def test_the_sensor_sends_a_run_that_failed_to_the_webhook(page: Page, receiver: Receiver) -> None:
    """The run of the test before, with an unknown name."""
    until = time.monotonic() + 240
    while not receiver.posted:
        assert time.monotonic() < until, ticks_of_notify(page)
        time.sleep(1)
    assert receiver.texts[0].startswith("The run of chosen assets failed. ")
    assert "unknown ops" in receiver.posted[0].decode()
    ticks = ticks_of_notify(page)
    assert {tick["status"] for tick in ticks} == {"SKIPPED"}, ticks
    assert "from now on is sent to Slack, at 127.0.0.1" in ticks[-1]["skipReason"]


def test_no_configuration_and_no_mutation_tells_the_environment_or_writes_elsewhere(
    page: Page,
) -> None:
    before = outside(page)
    elsewhere = str(page.root / "outside" / "injected")
    values: list[Any] = [
        *({"env": name} for name in SECRETS),
        elsewhere,
        "../outside/injected",
        {"config": {"env": "HF_TOKEN"}},
    ]
    tried, refused = 0, []
    for job in jobs_of(page):
        fields = config_fields(page, job)
        shapes = {one.path for one in fields if one.kind == "CompositeConfigType"}
        assert ("resources", "storage", "config") in shapes, job
        leaves = [one.path for one in fields if one.path not in shapes]
        unknown = [(*path, "injected") for path in sorted(shapes)]
        for value in values:
            for places in (leaves, unknown):
                taken = accepted(page, job, places, value)
                tried += len(places)
                # Dagster's own job passes over unknown names; our executor does not.
                allowed = {("ops", "injected"), ("resources", "injected")}
                assert set(taken) <= (allowed if job == "__ASSET_JOB" else set()), (job, value)
                if taken and value in ({"env": "HF_TOKEN"}, elsewhere):
                    answer = launch(page, job, config_with(taken, value))
                    assert answer["__typename"] == "LaunchRunSuccess", answer
                    refused.append(answer["run"]["runId"])
    assert tried > 1000
    run_ids(page, over=True)
    for run_id in refused:
        assert "unknown ops" in events(page, run_id)

    mutations = schema_of(page).mutation_type
    assert mutations is not None
    # First what starts things, last what would remove the evidence.
    late = ("terminate", "delete", "wipe", "shutdown", "reload")
    names = sorted(mutations.fields, key=lambda name: (name.startswith(late), name))
    resources = {"hub": {"config": {"spec": {"env": "HF_TOKEN"}, "sample": elsewhere}}}
    resources |= {"storage": {"config": {"root": elsewhere}}}
    run_id = run_ids(page, over=True)[0]
    hands = [
        Hand(elsewhere, {"resources": resources}, run_id, ASSET),
        Hand(
            '{"env": "HF_TOKEN"}',
            {"loggers": {"console": {"config": {"env": "HF_TOKEN"}}}},
            run_id,
            ASSET,
        ),
        Hand("${HF_TOKEN} $HF_TOKEN {{ env.HF_TOKEN }} {{ env('HF_TOKEN') }}", {}, run_id, ASSET),
        Hand(
            "../../outside/injected",
            {"execution": {"config": {"env": "HF_TOKEN"}}},
            run_id,
            "doctor",
        ),
    ]
    called: set[str] = set()
    looked_through: set[str] = set()
    for word, some in groupby(names, lambda name: next(filter(name.startswith, late), "")):
        if word:  # before what removes, or ends, another sort of thing
            check_nothing_leaked(page, looked_through)
        called |= tried_out(page, mutations, list(some), hands)
    assert called >= MUTATIONS - {"launchMultipleRuns"}, "some were never really called"
    check_nothing_leaked(page, looked_through)
    for secret in (SECRETS["HF_TOKEN"], WEBHOOK):
        assert leaks(secret, [page.said()]) == []
    assert outside(page) == before


def tried_out(
    page: Page, mutations: GraphQLObjectType, names: list[str], hands: list[Hand]
) -> set[str]:
    """Calls these mutations with what each hand holds; those that were really called."""
    called = set()
    for name in names:
        asked: list[dict[str, Any]] = []
        # Of an old name one try shows that it is served: it leads to the same code as the new one.
        for hand in hands[:1] if "Pipeline" in name else hands:
            for given in hand.arguments(mutations.fields[name]):
                if given in asked:  # it takes no text
                    continue
                asked.append(given)
                answer = page.graphql(mutation_text(name, mutations.fields[name], given), **given)
                if answer.get("data") is None and name in MUTATIONS:
                    assert "not served here" not in json.dumps(answer), answer
                if "extensions" in json.dumps(answer.get("errors", [])) or answer.get("data"):
                    called.add(name)
    return called


def check_nothing_leaked(page: Page, looked_through: set[str]) -> None:
    """Looks through what the page answers about runs, all it answered, and every file. What it says
    of a run that is over does not change: it is asked for once."""
    for run_id in set(run_ids(page, over=True)) - looked_through:
        events(page, run_id)
        page.request("GET", f"/download_debug/{run_id}", accept_encoding="identity")
        looked_through.add(run_id)
    page.graphql("{ instance { info } }")
    # Compressed bodies would hide it.
    told = [gunzip(body) for body in page.told]
    for secret in (*SECRETS.values(), WEBHOOK):
        assert leaks(secret, told) == []
        assert leaking_files(secret, page.root) == []


def gunzip(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def test_token_and_session_are_in_no_log_argument_or_environment(page: Page) -> None:
    link = page.link()
    page.enter(link)
    token, session = link.partition("token=")[2], page.cookie.partition("=")[2]
    after = page.link().partition("token=")[2]
    page.request("GET", f"/runs?token={token}")
    page.request("GET", f"/?token={token}", cookie="")
    assert content(Path(f"/proc/{page.process.pid}/environ")), "this user may read it"
    for process in processes_of(page):
        told = [content(process / name) or b"" for name in ("cmdline", "environ")]
        for secret in (token, session, after):
            assert leaks(secret, told) == [], process
    assert leaking_files(token, page.root) == []
    assert leaking_files(session, page.root) == []
    link_file = page.home / ".dagster" / "page" / f"127.0.0.1-{page.port}.link"
    assert {path for path, _ in leaking_files(after, page.root)} == {str(link_file)}


def test_nothing_listens_but_the_page_and_that_on_the_loopback_only(page: Page) -> None:
    assert listening_ports(page) == {("0100007F", page.port)}


def test_dagsters_sockets_lie_where_only_this_user_gets(page: Page) -> None:
    until = time.monotonic() + 240  # a code server may be starting again
    while not (sockets := [path for path in below(page.root / "tmp") if path.is_socket()]):
        assert time.monotonic() < until
        time.sleep(0.2)
    for path in sockets:
        with contextlib.suppress(FileNotFoundError):  # a run's, which has ended
            assert path.parent.stat().st_mode & 0o077 == 0, path


def started_by_systemd(**variables: str) -> tuple[str, ...]:
    """What wmtp-page.service starts; a variable is split at blanks, as systemd does."""
    unit = (CHECKOUT / "deploy/systemd/wmtp-page.service").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ExecStart=/opt/wmtp/bin/wmtp (.*)$", unit, re.MULTILINE)
    for name, value in variables.items():
        assert f"${name}" in line.split()
        line = line.replace(f"${name}", value)
    return (wmtp(), *line.split())


@pytest.mark.parametrize("read_only", [False, True], ids=["writable", "read-only"])
def test_a_page_without_a_token_says_so_and_ends_without_a_trace(
    tmp_path: Path, read_only: bool
) -> None:
    """Read-only pages ask for the token too; only --no-token lets everyone in."""
    options, command = ("--read-only",), None
    if not read_only:
        command = started_by_systemd(WMTP_UI_OPTIONS="--no-token")
        options = ()
    host = "wmtp.example.org"
    with running_page(tmp_path, *options, command=command, WMTP_UI_HOSTS=host) as page:
        if not read_only:
            assert "NO TOKEN" in page.said()
            assert page.request("GET", "/runs").status == 200
            assert page.request("GET", "/runs", host="wmtp.example.org").status == 200
            assert page.request("GET", "/runs", host="evil.example").status == 403
            check_headers(page.request("GET", "/runs").headers)
        else:
            assert page.request("GET", "/runs").status == 401, "WMTP_UI_HOSTS switches nothing off"
            page.enter(printed_link(page))
            assert page.request("GET", "/runs").status == 200
            refused = page.graphql(
                "mutation { wipeAssets(assetPartitionRanges: []) { __typename } }"
            )
            assert refused["data"]["wipeAssets"]["__typename"] == "UnauthorizedError"
            lines = [content(one / "cmdline") for one in processes_of(page)]
            assert not any(b"daemon" in (line or b"") for line in lines), "it would start runs"
    assert not list((tmp_path / "home" / ".dagster" / "page").glob("*"))
    assert not list((tmp_path / "tmp").iterdir())
    done = subprocess.run(
        [wmtp(), "ui", "--link", "--port", str(page.port)],
        env=dict(page.environment),
        cwd=page.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "There is no link to print" in done.stderr
