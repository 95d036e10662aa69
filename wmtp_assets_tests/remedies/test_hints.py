"""Each hint that contains a command is executed as it is printed, and the problem is gone.

`wmtp` is called in this process, any other command in a shell.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import source
from wmtp_assets.cli import main
from wmtp_assets.errors import WmtpError
from wmtp_assets.pages.facts import facts_of
from wmtp_assets_tests.artifact_checks.breaking import flip
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.tiny import Tiny
from wmtp_assets_tests.remedies.hints import hints

SPLIT, MODEL = "datasets/humaneval_test", "models/meta-llama-mtp"
LINES = "datasets_v2/humaneval/processed/test.jsonl"
COMMAND = re.compile(r"`([^`]+)`|\b(wmtp [a-z]+(?: [\w./+:-]+| --[\w-]+)*)")


@dataclass
class Shell:
    """The shell of a person who copies commands from the terminal: what they export, lasts."""

    world: Tiny
    monkeypatch: pytest.MonkeyPatch
    variables: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.variables = {**self.world.variables, "HOME": str(self.world.folder)}

    def run(self, command: str) -> tuple[int, str]:
        """Exit status and output of a command."""
        for name in tiny.VARIABLES:
            self.monkeypatch.delenv(name, raising=False)
        for name, value in self.variables.items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.chdir(self.world.folder)
        if not re.fullmatch(r"wmtp [^&;|<>$`]*", command):
            return self._in_bash(command)
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = main(shlex.split(command)[1:])
        return status, said.getvalue()

    def _in_bash(self, command: str) -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/bash", "-c", f"{command}\nstatus=$?; env -0 > exported; exit $status"],
            cwd=self.world.folder,
            env=self.world.environment(**self.variables),
            capture_output=True,
            text=True,
            check=False,
        )
        exported = self.world.folder / "exported"
        for line in exported.read_text(encoding="utf-8").split("\0"):
            name, _, value = line.partition("=")
            if name in tiny.VARIABLES:
                self.variables[name] = value
        return done.returncode, done.stdout + done.stderr


def printed_commands(text: str) -> list[str]:
    """What a person would copy from a message: what its hints say after "what to do", in order."""
    commands = []
    for hint in re.findall(r"(?:[Ww]hat to do|hint): (.*)", text):
        commands += [one or other for one, other in COMMAND.findall(hint)]
    return list(dict.fromkeys(commands))


@dataclass(frozen=True)
class Scenario:
    """What is broken, the command that meets it and prints the hint, and a part of the command
    that the hint must contain."""

    place: str
    broken: Callable[[Path], object]
    met_by: str
    hint: str
    status: int = 1
    # What works once it is repaired.
    then: str = "wmtp gate"
    # What the person puts in place of a word that stands for something of theirs.
    own: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False


def truncated(pattern: str) -> Callable[[Path], object]:
    def change(storage: Path) -> None:
        (path,) = storage.glob(pattern)
        path.write_bytes(path.read_bytes()[:-1])

    return change


def flipped(pattern: str) -> Callable[[Path], object]:
    def change(storage: Path) -> None:
        (path,) = storage.glob(pattern)
        flip(path)

    return change


def taken(storage: Path) -> None:
    (storage / LINES).unlink()
    (storage / LINES).write_text("mine", encoding="utf-8")


def copied_by_following(storage: Path) -> None:
    link = storage / "versions" / SPLIT / "current"
    target = link.resolve()
    link.unlink()
    shutil.copytree(target, link)


def link_out(storage: Path) -> None:
    outside = storage.parent / "other disk"
    shutil.move(storage / "versions", outside)
    (storage / "versions").symlink_to(outside)


def nothing(storage: Path) -> None:
    pass


def unpublished(storage: Path) -> None:
    shutil.rmtree(storage / "published")
    shutil.rmtree(storage / "datasets_v2")


def without_home(storage: Path) -> None:
    shutil.rmtree(storage.parent / "home")
    (storage.parent / "home").write_text("not a folder", encoding="utf-8")


def lock_is_a_folder(storage: Path) -> None:
    (storage / "assets.lock").unlink()
    (storage / "assets.lock").mkdir()


def lock_disagrees(storage: Path) -> None:
    path = storage / "assets.lock"
    lock = json.loads(path.read_bytes())
    for record in lock["repos"]["datasets/openai/openai_humaneval"]["files"].values():
        record["sha256"] = "0" * 64
    path.write_text(json.dumps(lock), encoding="utf-8")


def lock_is_a_link(storage: Path) -> None:
    lock = storage / ".locks" / "artifacts" / f"{SPLIT}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.unlink(missing_ok=True)
    lock.symlink_to(storage.parent / "elsewhere")


def reworded(storage: Path) -> None:
    """The catalog takes other words for the split than it was made by."""
    path = storage.parent / "catalog.yaml"
    text = path.read_text(encoding="utf-8")
    said = "  humaneval:\n"
    path.write_text(text.replace(said, f"{said}    max_tokens: 1024\n"), encoding="utf-8")


VERSION = "[0-9a-f]" * 12
COMMIT = "7d" * 20  # a pin is written down whether or not the mirror has it
SCENARIOS = [
    Scenario(
        "artifacts.types.demand",
        truncated(f"versions/{SPLIT}/{VERSION}/test.jsonl"),
        "wmtp gate",
        f"wmtp materialize {SPLIT} --force",
    ),
    Scenario(  # a quick look does not see it: the run that verifies it names the command
        "artifacts.checks.common.files_unchanged",
        flipped(f"versions/{SPLIT}/{VERSION}/test.jsonl"),
        f"wmtp materialize {SPLIT}",
        f"wmtp materialize {SPLIT} --force",
    ),
    Scenario(
        "artifacts.types.demand",
        lambda storage: shutil.rmtree(storage / "versions" / SPLIT),
        "wmtp gate",
        f"wmtp materialize {SPLIT}",
    ),
    Scenario(
        "artifacts.checks.publication._not_published",
        lambda storage: (storage / LINES).unlink(),
        "wmtp gate",
        f"wmtp materialize {SPLIT}",
    ),
    Scenario(
        "artifacts.checks.common.files_unchanged",
        flipped(f"versions/{SPLIT}/{VERSION}/test_stats.json"),
        "wmtp gate",
        f"wmtp materialize {SPLIT} --force",
    ),
    Scenario(
        "artifacts.checks.subject.Subject.again",
        flipped("upstream/datasets/openai/**/test-*.parquet"),
        "wmtp gate",
        f"wmtp materialize {SPLIT}_raw --force",
    ),
    Scenario(
        "artifacts.checks.subject.Subject.again",
        lambda storage: (storage / "assets.lock").unlink(),
        "wmtp gate",
        f"wmtp materialize {SPLIT}_raw --force",
    ),
    Scenario(
        "artifacts.checks.common.inputs_current",
        reworded,
        "wmtp gate",
        f"wmtp materialize {SPLIT}",
    ),
    Scenario(
        "storage.receipts.damaged",
        flipped(f"versions/{SPLIT}/{VERSION}/receipt.json"),
        "wmtp gate",
        "wmtp materialize",
    ),
    Scenario("storage.publishing._not_ours", taken, f"wmtp materialize {SPLIT}", "mv "),
    Scenario(
        "storage.versions.current_version",
        copied_by_following,
        f"wmtp materialize {SPLIT}",
        "mv ",
    ),
    Scenario(
        "storage.bounds.in_the_way", link_out, f"wmtp materialize {SPLIT} --force", "rm ", status=2
    ),
    Scenario(
        "storage.errors",
        lock_is_a_link,
        f"wmtp materialize {SPLIT} --force",
        "rm ",
        status=2,
        then=f"wmtp materialize {SPLIT} --force",
    ),
    Scenario(
        "hub.fetch._how_to_agree",
        lock_disagrees,
        f"wmtp materialize {SPLIT}_raw --force",
        "mv ",
        status=2,
    ),
    Scenario(
        "artifacts.checks.inputs.locked",
        lock_is_a_folder,
        "wmtp gate",
        "mv ",
    ),
    Scenario(
        "artifacts.checks.against_source.check_against_source",
        truncated("upstream/datasets/openai/**/test-*.parquet"),
        "wmtp verify --against-source",
        f"wmtp materialize {SPLIT} --force",
        then="wmtp verify --against-source",
    ),
    Scenario(
        "orchestration.home._locked",
        without_home,
        f"wmtp materialize {SPLIT}",
        "export DAGSTER_HOME=",
        status=2,
        then=f"wmtp materialize {SPLIT}",
    ),
    Scenario(
        "cli.versions._set_of",
        nothing,
        "wmtp history nonsense",
        "wmtp list",
        status=2,
        then=f"wmtp history {SPLIT}",
    ),
    Scenario(
        "artifacts.exporting.chosen_sets",
        nothing,
        "wmtp export out nonsense",
        "wmtp list",
        status=2,
        then=f"wmtp export out {SPLIT}",
    ),
    Scenario(
        "artifacts.exporting.export",
        lambda storage: shutil.rmtree(storage / "published"),
        "wmtp export out",
        "wmtp materialize",
        status=2,
        then="wmtp export out",
    ),
    Scenario(
        "export.writer._Export._write",
        flipped(f"versions/{SPLIT}/{VERSION}/test.jsonl"),
        "wmtp export out",
        f"wmtp materialize {SPLIT} --force",
        then="wmtp export out",
    ),
    Scenario(
        "orchestration.run._selected",
        nothing,
        "wmtp materialize nonsense",
        "wmtp list",
        status=2,
        then=f"wmtp materialize {SPLIT}",
    ),
]

# As the scenarios above, of a world with keys of its own.
SIGNING = [
    Scenario(
        "artifacts.signing._key_error",
        nothing,
        "wmtp sign --key none.pem",
        "openssl ecparam ",
        status=2,
        then="wmtp sign --key key.pem",
    ),
    Scenario(
        "artifacts.signing._key_error",
        nothing,
        "wmtp verify --signatures --public-key none.pub",
        "openssl ec ",
        status=2,
        then="wmtp verify --signatures --public-key key.pub",
    ),
    Scenario(
        "artifacts.signing.check_signature",
        truncated("model.sig"),
        "wmtp verify --signatures --public-key key.pub",
        "wmtp sign ",
        then="wmtp verify --signatures --public-key key.pub",
        own={"KEY": "key.pem"},
    ),
    Scenario(
        "artifacts.signing.sign",
        unpublished,
        "wmtp sign --key key.pem",
        "wmtp materialize",
        status=2,
        then="wmtp sign --key key.pem",
    ),
    Scenario(
        "artifacts.signing._what_readers_see.Readers.hash",
        flipped(f"versions/{SPLIT}/{VERSION}/test.jsonl"),
        "wmtp sign --key key.pem",
        "wmtp verify --deep",
        status=2,
        then="wmtp sign --key key.pem",
    ),
]

# Said to programs that read the storage, never by `wmtp`: what breaks it, and what is called.
CALLS: dict[str, tuple[Callable[[Path], object], Callable[[Project], object], str]] = {
    "storage.versions.Versions.path": (
        lambda storage: shutil.rmtree(storage / "versions" / SPLIT),
        lambda project: project.store.path(SPLIT),
        f"wmtp materialize {SPLIT}",
    ),
    "storage.publishing.Published.reading": (
        lambda storage: (storage / "published" / SPLIT / "current").unlink(),
        lambda project: project.store.reading_set(SPLIT).__enter__(),
        "wmtp materialize",
    ),
    "artifacts.checks.inputs.source": (
        truncated("upstream/datasets/openai/**/test-*.parquet"),
        lambda project: source(project, f"{SPLIT}_raw"),
        f"wmtp materialize {SPLIT}_raw --force",
    ),
    "pages.facts._split": (
        lambda storage: shutil.rmtree(storage / "versions" / SPLIT),
        lambda project: raised(facts_of(project).datasets[0].splits[0].trouble),
        f"wmtp materialize {SPLIT}",
    ),
}


def raised(error: WmtpError | None) -> None:
    if error is not None:
        raise error


# In worlds of their own, each with its test.
OTHERS = [
    Scenario(
        "hub.directory.DirectoryHub.completion",
        nothing,
        f"wmtp materialize {SPLIT}",
        "env -u WMTP_HUB wmtp mirror ",
        status=2,
        then=f"wmtp materialize {SPLIT}",
    ),
    Scenario(
        "catalog.pin.check_own",
        nothing,
        f"wmtp pin openai/openai_humaneval {COMMIT}",
        "cp ",
        status=2,
        then=f"wmtp pin openai/openai_humaneval {COMMIT}",
    ),
    Scenario(
        "artifacts.checks.checkpoints.check_converted_again",
        nothing,
        "wmtp verify --against-source",
        f"wmtp materialize {MODEL}_raw --force",
        then="wmtp verify --against-source",
        whole=True,
    ),
    Scenario(
        "storage.publishing.Published._rollback_target",
        nothing,
        f"wmtp rollback {SPLIT} 0123456789ab",
        "wmtp history",
        status=2,
    ),
    Scenario(
        "storage.preflight.require_storage",
        nothing,
        "wmtp gc",
        "wmtp materialize",
        status=2,
        then="wmtp gc",
    ),
]

# Places whose hint is not executed here, and why.
ELSEWHERE = {
    "artifacts.divided._gone": "nothing is left to do: the asset was made",
    "artifacts.plans.origin_of": "as artifacts.plans.written_anew",
    "artifacts.plans.written_anew": "engines/test_slurm.py executes `wmtp slurm`",
    "artifacts.slurm._fetched_anew": "as artifacts.types.demand, then artifacts.plans.written_anew",
    "bucket.ranges.Reader._require_there": "bucket/test_in_bucket opens it again",
    "engines.inputs.require_recorded": "as artifacts.plans.written_anew",
    "engines.whole": "as artifacts.plans.written_anew",
    "artifacts.slurm._divisible": "what a run is, and `wmtp list`: engines/test_slurm.py",
    "cli.cluster._slurm": "no error: what comes next, which engines/test_slurm.py executes",
    "engines.on_ray._unreachable": "engines/test_on_ray.py executes `ray status`",
    "engines.on_ray.RayEngine._received": "a cluster of the person's; engines/test_on_ray.py",
    "engines.on_ray._imported": "a package that is missing; engines/test_on_ray.py",
    "corpora.shard_parts._damaged": "corpora/test_shard_parts.py executes it",
    "engines.whole.Plan.write": "engines/test_slurm.py executes it",
    "engines.whole.Plan.require": "engines/test_slurm.py executes it",
    "engines.whole._other_list": "engines/test_plans.py executes it",
    "engines.whole._no_list": "engines/test_slurm.py executes it",
    "corpora.row_index.RowIndex.__init__": "corpora/test_reader.py executes it",
    "export.verify._of_one_edition": "export/test_writer.py exports again, as it says",
    "corpora.resume.Order._advance": "Python, not a command: a new loop over the stream",
    "artifacts.as_llama.model_folder_of": "artifacts/test_as_llama.py executes it",
    "artifacts.make.fetched.show_files": "artifact_checks/test_evaluation.py executes it",
    "artifacts.as_llama._require_digest": "artifacts/test_as_llama.py executes it",
    "orchestration.home._refuse_environment_file": "orchestration/test_home.py executes it",
    "orchestration.home._claim": "orchestration/test_home.py executes it",
    "orchestration.home._remedy": "orchestration/test_home.py executes it",
    "orchestration.home._of_another_home": "orchestration/test_postgres.py executes both",
    "orchestration.home._unusable": "a package that is missing; orchestration/test_postgres.py",
    "orchestration.lineage.tell_lineage": "a missing package: orchestration/test_lineage.py",
    "checkpoints.libtorch.load": "a broken installation of torch, which this one is not",
    "hub.client_settings._token_problem": "the token is the person's",
    "hub.client_settings._proxy": "a package or a proxy of the person's choice",
    "hub.remote._unreachable": "without a network nothing here can repair it",
    "storage.errors.mounted_alone": "a mount: storage/test_processes.py executes it",
    "storage.preflight.require_writable": "read-only: artifacts/test_hostile_storage.py",
    "storage.preflight.require_space": "a full disk: artifacts/test_real_disks.py",
    "web.processes.check_port": "starts the page: web/test_real_server.py",
    "web.processes.running_link": "starts the page: web/test_real_server.py",
    "web.processes._not_alone": "starts the page: web/test_recovery.py",
    "web.processes._ended": "`wmtp validate` shows what is wrong, and repairs nothing",
    "web.session.read_link": "starts the page: web/test_real_server.py",
    "export.record._damaged": "export/test_moved.py executes it",
    "export.target.require_no_strangers": "export/test_moved.py executes it",
    "export.verify._record": "export/test_moved.py executes it",
    "export.verify._verified": "export/test_moved.py executes each",
    "artifacts.checks.fetched._links": "artifact_checks/test_fetched.py executes it",
    "artifacts.checks.fetched.weights_kept": "as check_converted_again, above",
    # Computed elsewhere than where it is printed.
    "artifacts.gate._Judge._condition": "of a check without a hint; all have one: test_checks.py",
    "artifacts.types.Handle._again": "as artifacts.checks.common.files_unchanged",
    "artifacts.conversion.upstream_config": "as artifacts.checks.subject.Subject.again",
    "artifacts.upstream_files.how_to_pin": "which commit, a person decides: hub/test_commands.py",
    "orchestration.assets.sources._drift_text": "as how_to_pin: a choice, nothing is wrong",
    "orchestration.run._unfit": "as artifacts.checks.publication._not_published",
    "orchestration.home": "as orchestration.home._made",
    "hub.doctor._versions": "an installation that lacks a package, which this one does not",
    "hub.doctor._token": "the token is the person's",
    "hub.refusals._refusal": "the licence and the token are the person's",
    "storage.as_read._unexpected": "artifacts/test_as_read.py executes it",
    "storage.publishing.Published._wrong_mounts": "artifacts/test_as_read.py",
    "web.session": "starts the page: web/test_page.py",
    "web.session.link_command": "as web.session",
    # Said beside a result, of nothing that is wrong.
    "artifacts.requirements.notifications": "notify/test_webhook.py executes it",
    "cli.notify": "the address is the person's",
    "cli.notify._notify": "what was called",
    "notify.webhook.DeliveryError.__init__": "notify/test_webhook.py executes it",
    "orchestration.notifications": "verifies, of a run whose reason is not known",
    "orchestration.notifications.notification_sensor.notify": "notify/test_webhook.py executes it",
    "checkpoints.verification._against_source": "`wmtp verify` shows what is wrong",
    "cli.pages._report": "`wmtp gate` shows the verdict",
    "cli.common._tell_where_wmtp_is": "executed below, by a shell that does not find it",
    "cli.report._reasons": "`wmtp gate --json` shows all reasons",
    "cli.moving._text": "how others verify it: export/test_moved.py",
    "cli.moving.verify_exported": "what was called",
    "cli.moving._export": "which command takes a URL: bucket/test_access calls both",
    "cli.moving.doctor_of_a_copy": "as cli.moving._export",
    "cli.versions._gc": "how it is called: bucket/test_marks",
    "corpora.tests_file.open_tests": "which command takes a URL: bucket/test_commands",
    "artifacts.bucket_copies._published": "as artifacts.exporting.export",
    "artifacts.bucket_copies._artifacts": "as artifacts.exporting.export",
    "artifacts.bucket_copies._edition": "as artifacts.types.demand",
    "artifacts.bucket_copies._upstream": "as artifacts.types.demand",
    "bucket.heads.current": "what to push is where the storage is",
    "bucket.edition.damaged": "executed in bucket/test_bucket",
    "bucket.edition.Edition.require_readable": "it shows what is wrong, as `wmtp verify` does",
    "bucket.marks": "it says who is at work",
    "bucket.marks.Mark.require_alone": "executed in bucket/test_marks",
    "bucket.access.remedy": "executed in bucket/test_bucket",
    "bucket.push._require_no_loss": "executed in bucket/test_bucket",
    "bucket.push._overtaken": "executed in bucket/test_bucket",
    "bucket.upkeep.gc": "executed in bucket/test_records",
    "bucket.upkeep.rollback": "it lists editions, of which a person names one",
    "bucket.upkeep._wanted": "as bucket.upkeep.rollback",
    "bucket.cache._limit": "bucket/test_in_bucket executes it",
    "bucket.plain._read": "it shows what is wrong, with the hints that are executed above",
    "bucket.plain._recorded": "executed in bucket/test_plain",
    "bucket.ranges.Reader.refuse": "executed in bucket/test_in_bucket",
    "corpora.in_bucket.BucketCorpus.verify": "what to do, that command says",
    "storage.publishing.Published._require_members": "as _rollback_target, above",
    "cli.buckets.gc_of_bucket": "what was called",
    "cli.buckets._pushed": "how others verify it: bucket/test_commands",
    "cli.buckets._pull": "what goes by the catalog",
    "cli.buckets._wrong_lines": "executed in bucket/test_commands",
    "cli.signing._sign": "how others verify it: artifacts/test_signing.py",
    "corpora.reader._again": "it says what `wmtp gc` has done",
    "corpora.annotations._again": "as corpora.reader._again",
    "corpora.annotations.AnnotationFile.require_rows": "its command publishes the rows",
    "corpora.annotated_rows.AnnotatedRows._whole": "as require_rows, of a small copy",
    "corpora.annotated_rows.AnnotatedRows._missing": "executed in artifact_checks/test_duplicates",
    "artifacts.checks._waiting": "executed in orchestration/test_on_request",
    "artifacts.checks.verdicts": "what another machine does: artifact_checks/test_verdicts",
    "artifacts.checks.verdicts.rows_executed": "artifact_checks/test_verdicts makes them",
    "execution.confinement": "executed in execution/test_confinement",
    "execution.judge._Worker.receive": "as execution.confinement",
    # What a check prints when an artifact itself is wrong: test_checks.py breaks each.
    "pages.quality_facts._recorded": "as artifacts.checks.common.files_unchanged, on a page",
    "pages.card.card_of": "the hint of its checks, for each kind: test_checks.py",
    "pages.card.source_card": "as orchestration.assets.sources._drift_text",
    "pages.card._origin": "as how_to_pin: which commit, a person decides",
    "pages.card._real": "fetches from the Hub: pages/test_card.py parses it",
    "pages.facts._require_recorded": "as artifacts.checks.common.files_unchanged, on a page",
    "checkpoints.tokenizers.check_same_tokenizer": "artifacts/test_own_tokenizer.py follows it",
    "artifacts.checks._failed": "test_checks.py",
    "artifacts.checks.schemas.schema_is_ours": "test_checks.py",
    "artifacts.checks.schemas.data_files_declared": "test_checks.py",
    "artifacts.checks.checkpoints._as_released": "a race with `wmtp gc --raw`, over when printed",
    "artifacts.checks.models.certificate_of_checkpoint": "test_checks.py",
    "artifacts.checks.models.tokenizer_file_shared": "test_checks.py",
    "artifacts.checks.derived.derived_from_inputs.compute": "test_checks.py",
}


def test_every_hint_with_a_command_has_a_scenario_or_a_reason() -> None:
    executed = {scenario.place for scenario in [*SCENARIOS, *SIGNING, *OTHERS]} | CALLS.keys()
    assert executed.isdisjoint(ELSEWHERE)
    covered = executed | ELSEWHERE.keys()
    found = hints()
    assert {place: texts for place, texts in found.items() if place not in covered} == {}
    assert covered - found.keys() == set(), "these say nothing any more"


def test_the_scan_finds_hints_in_every_form() -> None:
    found = hints()
    assert found["artifacts.types.demand"] == [
        "wmtp materialize {name} --force",
        "wmtp materialize {name}",
    ]
    assert len(found) > 20


def test_commands_are_read_from_what_is_printed() -> None:
    assert printed_commands("x. What to do: `mv a b`, then `wmtp materialize`.") == [
        "mv a b",
        "wmtp materialize",
    ]
    assert printed_commands("in f; hint: wmtp materialize datasets/x_test --force") == [
        "wmtp materialize datasets/x_test --force"
    ]


def follow(shell: Shell, scenario: Scenario) -> None:
    """Meets what is broken, and executes what is printed until it is repaired."""
    status, text = shell.run(scenario.met_by)
    assert status == scenario.status, text
    commands = printed_commands(text)
    assert any(scenario.hint in command for command in commands), text
    # One after the other, as printed, until nothing is wrong any more.
    for _ in range(4):
        for command in commands:
            for word, ours in scenario.own.items():
                command = command.replace(word, ours)
            _, said = shell.run(command)
            if shell.run(scenario.then)[0] == 0:
                return
        commands = printed_commands(said + shell.run("wmtp gate")[1])
        assert commands, "what was printed did not repair it, and nothing else is printed"
    pytest.fail(f"still wrong after what was printed: {json.dumps(commands)}")


@pytest.fixture(scope="module")
def sound(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A world to copy."""
    world = tiny.rows(project, tmp_path_factory.mktemp("hints") / "world")
    assert world.opens()
    return world


@pytest.fixture
def shell(sound: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(tiny.copied(sound, tmp_path / "world"), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: f"{one.place} {one.hint[:20]}")
def test_the_printed_command_repairs_what_it_was_printed_for(
    scenario: Scenario, shell: Shell
) -> None:
    scenario.broken(shell.world.storage)
    follow(shell, scenario)


@pytest.mark.slow
def test_what_is_printed_about_keys_and_signatures_makes_them(shell: Shell) -> None:
    pytest.importorskip("model_signing", reason="the extra `sign` is not installed")
    for scenario in SIGNING:
        scenario.broken(shell.world.storage)
        follow(shell, scenario)


@pytest.mark.slow
def test_what_programs_are_told_is_repaired_by_the_command_that_they_are_told(
    shell: Shell,
) -> None:
    project = shell.world.project
    for place, (broken, call, command) in CALLS.items():
        broken(shell.world.storage)
        with pytest.raises(WmtpError) as told:
            call(project)
        assert command in printed_commands(str(told.value)), place
        assert shell.run(command)[0] == 0, place
        call(project)


@pytest.mark.slow
def test_where_the_shell_does_not_find_wmtp_it_is_told_how(shell: Shell) -> None:
    (shell.world.storage / LINES).unlink()
    shell.monkeypatch.setenv("PATH", "/usr/bin:/bin")
    status, said = shell.run("wmtp gate")
    command = re.search(r"as they are printed: `(.*)`$", said, re.MULTILINE)
    assert status == 1
    assert command is not None
    assert said.splitlines()[-1].startswith("The gate is CLOSED: "), "the verdict comes last"
    found = subprocess.run(
        ["/bin/bash", "-c", f"{command[1]} && command -v wmtp"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == str(tiny.BIN / "wmtp")
    shell.monkeypatch.setenv("PATH", f"{tiny.BIN}:/usr/bin:/bin")
    assert "export PATH" not in shell.run("wmtp gate")[1]


@pytest.mark.slow
def test_a_version_that_the_history_names_can_be_gone_back_to(shell: Shell) -> None:
    status, said = shell.run(f"wmtp rollback {SPLIT} 0123456789ab")
    (command,) = printed_commands(said)
    assert (status, command) == (2, f"wmtp history {SPLIT}")
    (version,) = re.findall(r"^\* ([0-9a-f]{12})", shell.run(command)[1], re.MULTILINE)
    assert shell.run(f"wmtp rollback {SPLIT} {version}")[0] == 0


@pytest.mark.slow
def test_a_folder_of_something_else_is_left_for_one_that_a_run_makes_a_storage(
    shell: Shell,
) -> None:
    (scenario,) = (one for one in OTHERS if one.place == "storage.preflight.require_storage")
    other = shell.world.folder / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("mine", encoding="utf-8")
    shell.variables["WMTP_STORAGE"] = str(other)
    status, said = shell.run(scenario.met_by)
    assert status == scenario.status
    hint = re.search(r"What to do: (.*)", said)
    assert hint is not None
    assert re.search(r"set (\w+) to the storage, or to a new folder", hint[1]), said
    (command,) = (one for one, _ in COMMAND.findall(said) if one.startswith(scenario.hint))
    shell.variables["WMTP_STORAGE"] = str(shell.world.folder / "new")
    assert shell.run(scenario.then)[0] == 0, "a new folder is none of something else"
    assert shell.run(command)[0] == 0
    assert shell.run(scenario.then)[0] == 0
    shell.variables["WMTP_STORAGE"] = str(shell.world.storage)
    assert shell.run(scenario.then)[0] == 0
    assert [path.name for path in other.iterdir()] == ["chapter.tex"]


@pytest.mark.slow
def test_a_catalog_that_is_shipped_is_copied_by_the_command_that_is_printed(shell: Shell) -> None:
    shell.variables["WMTP_CATALOG"] = "sample"
    (scenario,) = (one for one in OTHERS if one.place == "catalog.pin.check_own")
    follow(shell, scenario)
    assert shell.variables["WMTP_CATALOG"] == "catalog.yaml"


@pytest.mark.slow
def test_a_mirror_that_lacks_a_file_is_filled_by_the_command_that_is_printed(
    shell: Shell, project: Project
) -> None:
    hub = shell.world.folder / "my mirror"
    shutil.copytree(str(project.hub_spec), hub)
    shell.variables["WMTP_HUB"] = str(hub)
    for root in (hub, shell.world.storage / "upstream"):
        (lost,) = root.glob("datasets/openai/**/test-*.parquet")
        lost.unlink()
    (scenario,) = (one for one in OTHERS if one.place == "hub.directory.DirectoryHub.completion")
    follow(shell, scenario)
    assert lost.is_file()


@pytest.mark.slow
def test_weights_that_were_let_go_are_fetched_again_by_the_command_that_is_printed(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = Shell(tiny.whole(project, tmp_path / "world"), monkeypatch)
    assert shell.run("wmtp gc --raw")[0] == 0
    (scenario,) = (one for one in OTHERS if one.whole)
    assert scenario.hint in printed_commands(shell.run("wmtp gate")[1])
    follow(shell, scenario)
