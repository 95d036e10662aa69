"""The commands that make and verify: run, materialize, verify, gate, ui, list, sample, validate."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wmtp_assets.cli.common import DONE, REFUSED, WRONG, add_json, open_project, plain, show
from wmtp_assets.cli.moving import add_exported, verify_exported
from wmtp_assets.cli.signing import add_signatures, signature_findings

if TYPE_CHECKING:
    from wmtp_assets.artifacts import Project
    from wmtp_assets.artifacts.settings import Settings


def register(commands: Any) -> None:
    """Adds these commands to the parser."""
    run = commands.add_parser("run", help="materialize, then serve the page")
    _serving(run)
    run.set_defaults(run=_run, serves=True)

    make = commands.add_parser("materialize", help="make what is stale, verify everything")
    make.add_argument(
        "selection",
        nargs="?",
        help="an asset key, group:NAME, or +KEY for KEY and everything that it is made "
        "from; `wmtp list` shows keys and groups (default: all). Selected assets are "
        "made if they are stale, and so are stale inputs of them",
    )
    make.add_argument("--force", action="store_true", help="make the selected assets again")
    add_json(make)
    make.set_defaults(run=_materialize)

    verify = commands.add_parser("verify", help="verify what is stored; makes nothing")
    add_exported(verify)
    verify.add_argument("--deep", action="store_true", help="recompute every digest and value")
    verify.add_argument(
        "--against-source",
        action="store_true",
        help="make everything again in memory from the fetched files, and compare every byte",
    )
    verify.add_argument(
        "--sample",
        type=_nth,
        metavar="1/N",
        help="read one Nth of the artifacts completely, a different one each day, so that "
        "N days cover all of them",
    )
    verify.add_argument(
        "--seed",
        type=int,
        help="repeat the random sample of --deep with the seed that a finding reported",
    )
    add_signatures(verify)
    add_json(verify)
    verify.set_defaults(run=_verify, starts_over=True)

    gate = commands.add_parser(
        "gate", help="say whether the next phase may start; exit status 1 if not"
    )
    add_json(gate)
    gate.set_defaults(run=_gate, starts_over=True)

    ui = commands.add_parser("ui", help="serve the page")
    _serving(ui)
    ui.add_argument(
        "--link", action="store_true", help="print a link to the page that is running, and exit"
    )
    ui.set_defaults(run=_ui, serves=True)

    listing = commands.add_parser(
        "list", help="list every asset with its group, its inputs and its paths"
    )
    add_json(listing)
    listing.set_defaults(run=_list, starts_over=True)

    sample = commands.add_parser("sample", help="write the sample as a directory mirror")
    sample.add_argument("directory", type=Path, help="the folder to write it to")
    sample.set_defaults(run=_sample)

    validate = commands.add_parser("validate", help="check the catalog and Dagster's definitions")
    validate.set_defaults(run=_validate, starts_over=True)


def _nth(text: str) -> int:
    """The N of "1/N"."""
    first, _, number = text.partition("/")
    if first != "1" or not number.isdigit() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"expected 1/N such as 1/7, found {text!r}")
    return int(number)


def _port(text: str) -> int:
    """A port's number, from the call or from PORT; for 0 one that is free."""
    if not text.isdecimal() or not int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port, 0 to 65535, found {text!r}")
    if int(text):
        return int(text)
    with socket.socket() as free:  # the page's three processes must know it before they start
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1: this machine only")
    parser.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("PORT") or "3000",
        help="default: the variable PORT, else 3000; 0: any that is free",
    )
    parser.add_argument(
        "--read-only",
        action="store_true",
        help="serve a page that can start and change nothing, for example for a shared screen",
    )
    parser.add_argument(
        "--no-token",
        action="store_true",
        help="let everyone in: only for use behind a proxy with a login of its own",
    )


def _run(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.settings import Settings
    from wmtp_assets.interrupts import in_a_thread
    from wmtp_assets.orchestration.home import home
    from wmtp_assets.web.processes import check_alone, check_port

    # Reported before the work, not after it.
    check_port(given.host, given.port)
    settings = Settings.from_environment()  # before Dagster's home is entered
    if not given.read_only:
        check_alone(home(open_project(settings)), given.port)
    status = in_a_thread(lambda: _make(open_project(settings), None, force=False, as_json=False))
    print(flush=True)
    return _serve(given, settings) or status


def _materialize(given: argparse.Namespace) -> int:
    return _make(open_project(), given.selection, given.force, given.json)


def _make(project: Project, selection: str | None, force: bool, as_json: bool) -> int:
    from wmtp_assets.artifacts.gate import verdict_of_run
    from wmtp_assets.cli.report import rows, run_text
    from wmtp_assets.orchestration.gate_status import CHECK, show_verdict
    from wmtp_assets.orchestration.run import run
    from wmtp_assets.pages.report import keep_reports_true

    result = run(project, selection, force)
    verdict = verdict_of_run(project, result.run_id)
    keep_reports_true(project, verdict)
    if not any(check.check == CHECK for check in result.checks):
        show_verdict(project, verdict)  # the run itself did not ask
    shown = {check.artifact for check in result.checks} | set(result.made)
    summary = [row for row in rows(project, result.checks) if row.asset in shown]
    value = {
        "run_id": result.run_id,
        "succeeded": result.succeeded,
        "made": result.made,
        "published": result.published,
        "failures": [str(failure) for failure in result.failures],
        "artifacts": [asdict(row) for row in summary],
        "checks": [asdict(check) for check in result.checks],
        "gate": verdict.to_json(),
    }
    text = run_text(project, result, summary, verdict)
    show(as_json, value, text, sound=result.succeeded)
    if result.succeeded:
        return DONE
    wrong = any(not check.passed and check.blocking for check in result.checks)
    refused = any(failure.could_not_try for failure in result.failures)
    return REFUSED if refused and not wrong else WRONG


def _verify(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.verify import verify

    if given.directory is not None:
        return verify_exported(given)
    project = open_project()
    signed = signature_findings(project, given)
    report = verify(project, given.deep, given.against_source, given.sample, signed, given.seed)
    show(given.json, report.to_json(), report.text(), sound=report.sound)
    return DONE if report.sound else WRONG


def _gate(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.gate import evaluate, write_report
    from wmtp_assets.cli.report import scorecard_text
    from wmtp_assets.pages.report import keep_reports_true
    from wmtp_assets.storage.errors import StorageError
    from wmtp_assets.storage.preflight import require_storage

    project = open_project()
    require_storage(project.storage, "The gate")
    verdict = evaluate(project)
    try:
        write_report(project, verdict)
        keep_reports_true(project, verdict)
    except StorageError as error:  # a read-only disk: the verdict is printed without its report
        print(plain(f"wmtp: {error}"), file=sys.stderr)
    show(given.json, verdict.to_json(), scorecard_text(verdict), sound=verdict.open)
    return DONE if verdict.open else WRONG


def _ui(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.settings import Settings

    if not given.link:
        return _serve(given, Settings.from_environment())
    from wmtp_assets.orchestration.home import home
    from wmtp_assets.web.processes import running_link

    print(running_link(home(open_project()), given.host, given.port))
    return DONE


def _serve(given: argparse.Namespace, settings: Settings) -> int:
    from wmtp_assets.orchestration.home import home
    from wmtp_assets.web.processes import serve

    project = open_project(settings)  # reports a mistake in the catalog before Dagster starts
    os.environ.update(settings.environment())  # Dagster's processes work in another folder
    serve(home(project), given.host, given.port, given.read_only, not given.no_token)
    return DONE


def _list(given: argparse.Namespace) -> int:
    from wmtp_assets.artifacts.requests import ON_REQUEST

    artifacts = open_project().artifacts.values()
    if given.json:
        print(json.dumps([asdict(artifact) for artifact in artifacts], indent=2))
        return DONE
    for artifact in artifacts:
        when = f", made {ON_REQUEST}" if artifact.on_request else ""
        print(f"{artifact.name}  (group {artifact.group}{when})")
        if artifact.inputs:
            print(f"    made from {', '.join(artifact.inputs)}")
        for path in artifact.links:
            print(f"    {path}")
    return DONE


def _sample(given: argparse.Namespace) -> int:
    from wmtp_assets.sample import write_sample

    write_sample(given.directory.resolve())
    print(f"The sample is in {given.directory}; use it with WMTP_HUB={given.directory.absolute()}")
    return DONE


def _validate(given: argparse.Namespace) -> int:
    import tempfile

    from wmtp_assets.artifacts.settings import Settings
    from wmtp_assets.orchestration.home import enter_home, open_instance

    settings = Settings.from_environment()
    enter_home(open_project(settings))
    with open_instance() as instance:  # dagster.yaml can be used
        kinds = type(instance.event_log_storage).__mro__
    in_postgres = any(kind.__module__.startswith("dagster_postgres") for kind in kinds)
    # Named here: a home need not hold a workspace.yaml.
    command = [sys.executable, "-m", "dagster", "definitions", "validate"]
    command += ["--module-name", "wmtp_assets.definitions"]
    environment = {**os.environ, **settings.environment()}
    del environment["DAGSTER_HOME"]
    # In an empty folder: Dagster's commands read a `.env` in theirs, and other settings from it.
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
            command, cwd=empty, env=environment, check=False
        )
    if done.returncode:
        return WRONG
    history = "the history in Postgres" if in_postgres else "the history"
    print(f"The catalog, Dagster's definitions and {history} can be used.")
    return DONE
